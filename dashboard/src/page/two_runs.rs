//! Two runs on one clock: with the same seed, the same packets were lost.

use super::Frame;
use super::run::timelines;
use crate::html::{commit, glue, outcome, subject, svg, time};
use longhaul_record::{METRICS, Outcome, RunRecord, Unit, metric, text};
use maud::{Markup, html};

/// The page.
pub(crate) fn two_runs(frame: &Frame, a: &RunRecord, b: &RunRecord) -> Markup {
    let title = format!("{} above {}", label(a), label(b));
    let runs = [(label(a), a), (label(b), b)];
    let runs: Vec<(&str, &RunRecord)> = runs.iter().map(|(label, run)| (label.as_str(), *run)).collect();
    let content = html! {
        h1 { (glue(&headline(a, b))) }
        @for (name, run) in [("Above", a), ("Below", b)] {
            p {
                (name) ": " a href=(frame.links.run(&run.id)) { (run.scenario) } " · " (subject(&run.subject)) " · "
                (commit(run.commit.as_deref(), run.commit_detail.as_ref().is_some_and(|detail| detail.dirty)))
                " · seed " (run.seed) " · " (time(run.started_ms)) " " (outcome(run.outcome))
            }
        }
        p.quiet { (same(a, b)) }
        figure {
            @for (class, width) in [("on-wide", 1072), ("on-narrow", 348)] {
                div class=(class) { (svg(timelines(&title, width, &runs))) }
            }
            figcaption.small { "Both from the start of the fetcher's process, on the same axes." }
        }
        (numbers(a, b))
    };
    frame.page(&title, "compare", &content)
}

fn label(run: &RunRecord) -> String {
    let commit = run.commit.as_deref().map(|sha| format!(" at {}", crate::html::short(sha))).unwrap_or_default();
    format!("{}{commit}", run.subject)
}

/// Where both went well, by how much the second differs.
fn headline(a: &RunRecord, b: &RunRecord) -> String {
    let time = |run: &RunRecord| run.value("transfer_time", None).filter(|_| run.outcome == Outcome::Ok);
    match time(a).zip(time(b)).filter(|(a, _)| *a > 0.0) {
        Some((old, new)) => {
            format!(
                "{} took {}, {} {} ({}).",
                label(a),
                text::seconds(old),
                label(b),
                text::seconds(new),
                text::change(new / old - 1.0)
            )
        }
        None => "At least one of the two did not go well.".into(),
    }
}

/// What must be the same for the losses to line up.
fn same(a: &RunRecord, b: &RunRecord) -> &'static str {
    match (a.scenario_hash == b.scenario_hash, a.seed == b.seed) {
        (true, true) => "The same network and the same seed: packet by packet, both met the same losses.",
        (true, false) => "The same network with different seeds: each met losses of its own.",
        (false, _) => "Different networks: what differs may be theirs.",
    }
}

/// What both measured, side by side. One pair of runs shows a difference, and never a change.
fn numbers(a: &RunRecord, b: &RunRecord) -> Markup {
    let both: Vec<(&str, Option<&str>, f64, f64)> = METRICS
        .iter()
        .flat_map(|known| a.samples.iter().filter(|sample| sample.metric == known.id))
        .filter_map(|sample| {
            let peer = sample.peer.as_deref();
            Some((sample.metric.as_str(), peer, sample.value, b.value(&sample.metric, peer)?))
        })
        .collect();
    html! {
        @if !both.is_empty() && a.outcome == Outcome::Ok && b.outcome == Outcome::Ok {
            h2 { "Every number of both" }
            p.small.quiet { "One pair of runs shows a difference, not a change: see " code { "longhaul compare" } " for that." }
            div.table.narrow {
                table {
                    thead { tr { th { "Metric" } th.n { "Above" } th.n { "Below" } th.n { "Difference" } } }
                    tbody {
                        @for (id, peer, old, new) in both {
                            @let unit = metric(id).map_or(Unit::Ratio, |metric| metric.unit);
                            tr {
                                td { (text::metric_name(id, peer)) }
                                td.n { (unit.text(old)) }
                                td.n { (unit.text(new)) }
                                td.n { @if old > 0.0 { (text::change(new / old - 1.0)) } @else { "–" } }
                            }
                        }
                    }
                }
            }
        }
    }
}
