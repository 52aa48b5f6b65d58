//! Which pairs of routers a subject gets through directly, as a matrix.

use super::Frame;
use crate::chart::{Heat, HeatCell, heat};
use crate::html::{plural, subject, svg};
use longhaul_record::text;
use longhaul_store::OverviewRow;
use maud::{Markup, html};
use std::collections::BTreeMap;

/// The routers in front of both sides, by a scenario's name as matrices of routers give it: `nat[nat.a=home,nat.b=cgnat]`.
pub(super) fn pair_of(scenario: &str) -> Option<[&str; 2]> {
    let values = scenario.strip_suffix(']')?.split_once('[')?.1;
    let mut routers =
        values.split(',').map(|value| value.strip_prefix("nat.")?.split_once('=').map(|(_, router)| router));
    match (routers.next(), routers.next(), routers.next()) {
        (Some(a), Some(b), None) => Some([a?, b?]),
        _ => None,
    }
}

/// One matrix for every subject that says which way it took. `rows` are of the metric that only a direct way has, one value a
/// run.
pub(super) fn matrices(frame: &Frame, rows: &[OverviewRow]) -> Markup {
    let mut subjects: BTreeMap<&str, Vec<(&OverviewRow, [&str; 2])>> = BTreeMap::new();
    for row in rows {
        if let Some(pair) = pair_of(&row.scenario) {
            subjects.entry(&row.subject).or_default().push((row, pair));
        }
    }
    // A subject that never says which way it took has a matrix of nothing.
    subjects.retain(|_, rows| rows.iter().any(|(row, _)| !row.recent.is_empty()));
    html! {
        @for (name, rows) in &subjects {
            h2 { "Direct connections between kinds of access, by " (subject(name)) }
            figure {
                @for (class, width) in [("on-wide", 720), ("on-narrow", 348)] {
                    div class=(class) { (svg(matrix(frame, name, rows, width))) }
                }
                (twin(frame, rows))
            }
        }
    }
}

/// How many of the newest commit's runs went directly, and of how many.
fn direct(row: &OverviewRow) -> Option<(u64, u64)> {
    let tried = row.tally.ok + row.tally.failed;
    let newest =
        row.recent.last().filter(|recent| recent.commit == row.latest.commit && recent.dirty == row.latest.dirty);
    (tried > 0).then(|| (newest.map_or(0, |recent| recent.n).min(tried), tried))
}

fn matrix(frame: &Frame, name: &str, rows: &[(&OverviewRow, [&str; 2])], width: u32) -> String {
    let mut routers: Vec<&str> = rows.iter().flat_map(|(_, pair)| *pair).collect();
    // The easiest to get through first.
    let ease = |router: &str| -> u64 {
        let of = rows.iter().filter(|(_, pair)| pair.contains(&router)).filter_map(|(row, _)| direct(row));
        of.map(|(direct, _)| direct).sum()
    };
    routers.sort_unstable();
    routers.dedup();
    routers.sort_by_key(|router| std::cmp::Reverse(ease(router)));
    let cell = |a: &str, b: &str| -> Option<HeatCell> {
        let (row, _) = rows.iter().find(|(_, pair)| *pair == [a, b])?;
        let (direct, tried) = direct(row)?;
        let share = direct as f64 / tried as f64;
        Some(HeatCell {
            share,
            text: format!("{:.0}", share * 100.0),
            detail: format!("{direct} of {} directly", plural(tried, "run")),
            href: Some(frame.links.scenario(&row.scenario)),
            odd: false,
        })
    };
    heat(&Heat {
        title: &format!("{name}: % of the newest runs"),
        note: "rows: in front of the provider",
        width,
        rows: routers.iter().map(ToString::to_string).collect(),
        columns: routers.iter().map(ToString::to_string).collect(),
        cells: routers.iter().map(|a| routers.iter().map(|b| cell(a, b)).collect()).collect(),
    })
}

fn twin(frame: &Frame, rows: &[(&OverviewRow, [&str; 2])]) -> Markup {
    html! {
        details {
            summary { "As a table" }
            div.table.narrow {
                table {
                    thead { tr { th { "Provider behind" } th { "Fetcher behind" } th.n { "Directly" } th.n { "Runs" } } }
                    tbody {
                        @for (row, [a, b]) in rows {
                            @let found = direct(row);
                            tr {
                                td { a href=(frame.links.scenario(&row.scenario)) { (a) } }
                                td { (b) }
                                td.n { @match found { Some((direct, tried)) => (text::percent(direct as f64 / tried as f64)), None => "–" } }
                                td.n { (found.map_or(0, |(_, tried)| tried)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pairs_of_routers_are_pairs() {
        let rows = [
            ("nat[nat.a=home,nat.b=cgnat]", Some(["home", "cgnat"])),
            ("mine[nat.left=x,nat.right=y]", Some(["x", "y"])),
            ("nat[nat.a=home]", None),
            ("nat[nat.a=home,nat.b=cgnat,nat.c=x]", None),
            ("latency[rtt=20ms]", None),
            ("latency[rtt=20ms,loss=1%]", None),
            ("nat", None),
            ("", None),
        ];
        for (name, expect) in rows {
            assert_eq!(pair_of(name), expect, "{name}");
        }
    }
}
