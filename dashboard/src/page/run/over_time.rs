//! What happened, second by second: the chart, and the same in tables.

use super::lanes::timelines;
use crate::html::svg;
use longhaul_record::{Outcome, Recovery, RunRecord, text};
use maud::{Markup, html};

/// The most events that are listed.
const EVENTS: usize = 300;

/// Throughput, queue, losses, ways, mappings and silences on one clock.
pub(super) fn over_time(run: &RunRecord) -> Markup {
    let title = format!("{} on {} over time", run.subject, run.scenario);
    html! {
        h2 { @if run.outcome == Outcome::Ok { "Over time" } @else { "Over time, as far as it came" } }
        figure {
            div.on-wide { (svg(timelines(&title, 1072, &[("", run)]))) }
            div.on-narrow { (svg(timelines(&title, 348, &[("", run)]))) }
            figcaption.small {
                "From the start of the fetcher's process."
                @for (n, change) in run.changes.iter().enumerate() {
                    " " b { (n + 1) } " at " (text::nanoseconds(change.at_ns)) ": " (change.what) "."
                }
                @for recovery in &run.recoveries { " " (recovered(recovery)) }
            }
            (twin(run))
            (events(run))
        }
    }
}

/// How a disturbance ended for the transfer, in a sentence.
fn recovered(recovery: &Recovery) -> String {
    let Recovery { from_ns, what, seconds, note, .. } = recovery;
    let then = match (seconds, note) {
        (Some(0.0), _) => "payload never ceased to flow, or flowed before it was over".to_owned(),
        (Some(seconds), _) => {
            format!("payload flowed again {} after it was over", text::trimmed(text::seconds(*seconds)))
        }
        (None, Some(note)) => format!("no recovery: {note}"),
        (None, None) => "no recovery".to_owned(),
    };
    format!("From {} on, {what}: {then}.", text::trimmed(text::nanoseconds(*from_ns)))
}

/// The curves as a table of at most sixty rows; longer series are folded, each row the mean of its intervals.
fn twin(run: &RunRecord) -> Markup {
    let series: Vec<_> = run.series.iter().filter(|series| !series.values.is_empty()).collect();
    let longest = series.iter().map(|series| series.values.len()).max().unwrap_or(0);
    let fold = longest.div_ceil(60).max(1);
    let interval = series.first().map_or(0, |series| series.interval_ms);
    let same = series.iter().all(|series| series.interval_ms == interval);
    html! {
        @if longest > 0 && same {
            details {
                summary { "Over time as a table" }
                div.table.narrow {
                    table {
                        thead {
                            tr {
                                th.n { "From" }
                                @for one in &series {
                                    th.n {
                                        (one.name) @if let Some(peer) = &one.peer { " at " (peer) } ", " (one.unit)
                                    }
                                }
                            }
                        }
                        tbody {
                            @for row in 0..longest.div_ceil(fold) {
                                tr {
                                    td.n { (moment((row * fold) as f64 * f64::from(interval) / 1e3)) }
                                    @for one in &series { td.n { (folded(&one.values, row * fold, fold)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn folded(values: &[f64], from: usize, count: usize) -> String {
    let part = values.get(from..(from + count).min(values.len())).unwrap_or_default();
    if part.is_empty() {
        return "–".into();
    }
    let mean = part.iter().sum::<f64>() / part.len() as f64;
    if mean.abs() >= 1000.0 { text::count(mean.round()) } else { text::trimmed(text::digits(mean)) }
}

fn moment(seconds: f64) -> String {
    text::trimmed(text::seconds(seconds))
}

/// Something that happened, and where.
struct Event {
    at_s: f64,
    place: String,
    what: String,
}

/// Everything that has a moment, in order of time.
fn all_events(run: &RunRecord) -> Vec<Event> {
    let event = |at_s, place: &str, what| Event { at_s, place: place.into(), what };
    let changes = run.changes.iter().map(|change| event(change.at_ns as f64 / 1e9, "network", change.what.clone()));
    let paths =
        run.paths.iter().map(|path| event(path.at_s, &path.host, format!("goes on {} by {}", path.kind, path.remote)));
    let made = run.mappings.iter().map(|mapping| {
        let what = format!("mapping made: {} {} ↔ {}", mapping.protocol, mapping.internal, mapping.external);
        event(mapping.from_s, &mapping.router, what)
    });
    let ended = run.mappings.iter().filter_map(|mapping| {
        let end = mapping.end.map_or("ended", |end| end.as_str());
        let what = format!("mapping {end}: {} {} ↔ {}", mapping.protocol, mapping.internal, mapping.external);
        Some(event(mapping.until_s?, &mapping.router, what))
    });
    let stalls = run.stalls.iter().map(|stall| {
        event(stall.from_s, &stall.host, format!("nothing comes for {}", moment(stall.until_s - stall.from_s)))
    });
    let mut all: Vec<Event> = changes.chain(paths).chain(made).chain(ended).chain(stalls).collect();
    all.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    all
}

/// The bars, shades and numbered lines as a table.
fn events(run: &RunRecord) -> Markup {
    let all = all_events(run);
    html! {
        @if !all.is_empty() {
            details {
                summary { "What happened, as a table" }
                div.table.narrow {
                    table {
                        thead { tr { th.n { "At" } th { "Where" } th { "What" } } }
                        tbody {
                            @for event in all.iter().take(EVENTS) {
                                tr {
                                    td.n { @if event.at_s < 0.0 { "before" } @else { (moment(event.at_s)) } }
                                    td.nowrap { (event.place) }
                                    td { (event.what) }
                                }
                            }
                        }
                    }
                }
                @if all.len() > EVENTS {
                    p.small.quiet { (text::count((all.len() - EVENTS) as f64)) " more are in the record." }
                }
            }
        }
    }
}
