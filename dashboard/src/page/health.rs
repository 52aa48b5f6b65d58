//! Can this machine measure? What failed, how exact its networks were, and how often it is fooled.

use super::Frame;
use crate::chart::{Ink, sparkline};
use crate::html::{badge, glue, outcome, plural, subject, svg, time, verdict};
use longhaul_record::{Outcome, Unit, text};
use longhaul_stats::{Z_95, quantile, wilson};
use longhaul_store::{ComparisonSummary, FalseAlarms, RunSummary, Tally};
use maud::{Markup, html};

/// What the page shows.
pub(crate) struct Health {
    /// What is around it.
    pub(crate) frame: Frame,
    /// The runs of the last while, newest first.
    pub(crate) runs: Vec<RunSummary>,
    /// Whether there are more than these.
    pub(crate) more: bool,
    /// Comparisons of a version with itself, newest first.
    pub(crate) canaries: Vec<ComparisonSummary>,
    /// Since when, in milliseconds since 1970.
    pub(crate) since_ms: i64,
}

const WEEK_MS: i64 = 7 * 86_400_000;
/// Failures that are listed.
const LISTED: usize = 40;

/// The page.
pub(crate) fn health(page: &Health) -> Markup {
    let content = html! {
        h1 { (glue(&headline(page))) }
        p.lead {
            @if page.more { "The newest " } (plural(page.runs.len() as u64, "run")) " since " (time(page.since_ms)) "."
        }
        (canary(page))
        (weeks(page))
        (failures(page))
        (machines(&page.frame))
    };
    page.frame.page("Health", "health", &content)
}

pub(super) fn tally<'a>(runs: impl IntoIterator<Item = &'a RunSummary>) -> Tally {
    let mut tally = Tally::default();
    runs.into_iter().for_each(|run| tally.add(run.outcome, 1));
    tally
}

fn headline(page: &Health) -> String {
    let all = tally(&page.runs);
    let share = |n: u64| text::percent((n as f64 / all.total().max(1) as f64 * 1000.0).round() / 1000.0);
    match (all.total(), all.untrusted, all.failed + all.setup_failed) {
        (0, ..) => "Nothing was measured lately.".into(),
        (_, 0, 0) => "Every run of late completed on a network that was what it claimed to be.".into(),
        (_, 0, failed) => format!(
            "{} of late failed ({}); every network was what it claimed to be.",
            plural(failed, "run"),
            share(failed)
        ),
        (_, untrusted, failed) => format!(
            "{} of the runs of late cannot be trusted{}.",
            share(untrusted),
            if failed > 0 { format!(", {} failed", share(failed)) } else { String::new() }
        ),
    }
}

/// How often it was fooled, in a sentence.
pub(crate) fn fooled(canaries: &[ComparisonSummary]) -> String {
    let FalseAlarms { raised, compared } = FalseAlarms::of(canaries);
    match wilson(raised, compared, Z_95) {
        Some(at) => format!(
            "Comparing a version with itself saw a change that is none in {raised} of {} ({} at most, with 95 % confidence).",
            plural(compared, "comparison"),
            text::percent((at.high * 1000.0).round() / 1000.0)
        ),
        None => {
            "No version has been compared with itself yet, so nothing shows how often this machine is fooled.".into()
        }
    }
}

fn canary(page: &Health) -> Markup {
    html! {
        h2 { "How often is it fooled?" }
        p { (glue(&fooled(&page.canaries))) " " code { "longhaul canary" } " makes another comparison." }
        @if !page.canaries.is_empty() {
            details {
                summary { "The newest of them" }
                div.table.narrow {
                    table {
                        thead { tr { th { "When" } th { "Subject" } th { "Came to" } } }
                        tbody {
                            @for one in page.canaries.iter().take(LISTED) {
                                tr {
                                    td { a href=(page.frame.links.comparison(&one.id)) { (time(one.started_ms)) } }
                                    td { (subject(&one.subject)) }
                                    td { @match one.verdict { Some(found) => (verdict(found)), None => span.quiet { "nothing" } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// One week of runs.
struct Week<'a> {
    from_ms: i64,
    runs: Vec<&'a RunSummary>,
}

impl Week<'_> {
    /// A quantile of the evidence, over runs whose network was probed.
    fn evidence(&self, p: f64, of: impl Fn(&RunSummary) -> u64) -> Option<f64> {
        let proven = self.runs.iter().filter(|run| run.evidence.paths > 0);
        quantile(&proven.map(|run| of(run) as f64 / 1e9).collect::<Vec<_>>(), p)
    }
}

/// Newest last.
fn by_week(page: &Health) -> Vec<Week<'_>> {
    let mut weeks: Vec<Week<'_>> = Vec::new();
    for run in page.runs.iter().rev() {
        let from_ms = page.since_ms + (run.started_ms - page.since_ms).div_euclid(WEEK_MS) * WEEK_MS;
        match weeks.last_mut().filter(|week| week.from_ms == from_ms) {
            Some(week) => week.runs.push(run),
            None => weeks.push(Week { from_ms, runs: vec![run] }),
        }
    }
    weeks
}

/// Whether the networks got less exact as time went by.
fn weeks(page: &Health) -> Markup {
    let weeks = by_week(page);
    let drift: Vec<f64> =
        weeks.iter().filter_map(|week| week.evidence(0.95, |run| run.evidence.delay_error_ns)).collect();
    let seconds = |value: Option<f64>| value.map_or_else(|| "–".into(), text::seconds);
    html! {
        @if !weeks.is_empty() {
            h2 { "Does its calibration drift?" }
            @if drift.len() > 2 {
                p.quiet { "Error of the delay, 95th percentile by week: " (svg(sparkline("Error of the delay by week", &drift, Unit::Seconds, Ink::Text))) }
            }
            div.table {
                table {
                    thead {
                        tr {
                            th { "Week from" } th.n { "Runs" } th.n { "Failed" } th.n { "Untrusted" } th.n { "Not set up" }
                            th.n { "Error of the delay, p95" } th.n { "Lateness, p99 of the median run" } th.n { "Lost by the emulator" }
                        }
                    }
                    tbody {
                        @for week in weeks.iter().rev() {
                            @let all = tally(week.runs.iter().copied());
                            tr {
                                td { (time(week.from_ms)) }
                                td.n { (text::count(all.total() as f64)) }
                                td.n { span.bad[all.failed > 0] { (all.failed) } }
                                td.n { span.warn[all.untrusted > 0] { (all.untrusted) } }
                                td.n { span.bad[all.setup_failed > 0] { (all.setup_failed) } }
                                td.n { (seconds(week.evidence(0.95, |run| run.evidence.delay_error_ns))) }
                                td.n { (seconds(week.evidence(0.5, |run| run.evidence.lateness_p99_ns))) }
                                td.n { (week.runs.iter().map(|run| run.evidence.unintended_drops).sum::<u64>()) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The newest runs that did not become numbers, with their reasons.
fn failures(page: &Health) -> Markup {
    let failed: Vec<&RunSummary> = page.runs.iter().filter(|run| run.outcome != Outcome::Ok).collect();
    html! {
        h2 { "What failed" }
        @if failed.is_empty() { p { "Nothing did." } } @else {
            div.table {
                table {
                    thead { tr { th { "Started" } th { "What" } th { "Result" } th { "Why" } } }
                    tbody {
                        @for run in failed.iter().take(LISTED) {
                            tr {
                                td { a href=(page.frame.links.run(&run.id)) { (time(run.started_ms)) } }
                                td { (subject(&run.subject)) " on " (run.scenario) }
                                td { (outcome(run.outcome)) }
                                td { @if let Some(reason) = &run.reason { (glue(reason)) } }
                            }
                        }
                    }
                }
            }
            @if failed.len() > LISTED { p.quiet { "And " (plural((failed.len() - LISTED) as u64, "more run")) "." } }
        }
    }
}

fn machines(frame: &Frame) -> Markup {
    html! {
        @if !frame.scopes.is_empty() {
            h2 { "Machines" }
            div.table.narrow {
                table {
                    thead { tr { th { "Project" } th { "Machine" } th.n { "Runs" } th { "Last run" } } }
                    tbody {
                        @for scope in &frame.scopes {
                            tr {
                                td { (scope.project) @if Some(scope) == frame.scope.as_ref() { " " (badge("quiet", "shown")) } }
                                td { (super::layout::machine(scope)) }
                                td.n { (text::count(scope.runs as f64)) }
                                td { (time(scope.last_run_ms)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
