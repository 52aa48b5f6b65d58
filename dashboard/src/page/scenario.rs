//! A scenario's page: what it is, what the newest commit reaches on it, how that came to be.

use super::series::{Chart, charts, small, wide};
use super::{BASELINE, Frame};
use crate::html::{commit, glue, listed, outcome, outcome_words, plural, subject, time};
use longhaul_record::{Outcome, Unit, metric};
use longhaul_store::{Commit, CommitPoint, RunSummary, SeriesSet};
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};

/// What the page shows.
pub(crate) struct Scenario {
    /// What is around it.
    pub(crate) frame: Frame,
    /// The scenario's name.
    pub(crate) name: String,
    /// The scenario in one sentence.
    pub(crate) words: String,
    /// Its history.
    pub(crate) set: SeriesSet,
    /// Its newest runs, newest first; never empty.
    pub(crate) runs: Vec<RunSummary>,
}

/// The metric that the page leads with.
const HEADLINE: &str = "goodput";

/// The page.
pub(crate) fn scenario(page: &Scenario) -> Markup {
    let charts = charts(&page.set);
    // With one or two commits a wide chart is mostly paper: numbers first then.
    let few = page.set.commits.len() < 3;
    let content = html! {
        h1 { (glue(&headline(page))) }
        p.lead { (glue(&page.words)) }
        p.quiet { code { (page.name) } " · " (measured(page)) }
        @if few {
            (newest(page, &charts))
            @if !charts.is_empty() {
                h2 { "Across commits" }
                p.quiet { "A line joins commits that follow each other; so far there is little to join." }
            }
            div.charts { @for chart in &charts { (small(&page.frame, &page.set.commits, chart)) } }
        } @else {
            @if let Some(chart) = charts.first() {
                h2 { "Across commits" }
                (wide(&page.frame, &page.set.commits, chart))
            }
            (newest(page, &charts))
            @if charts.len() > 1 {
                h2 { "Everything else across commits" }
                div.charts { @for chart in &charts[1..] { (small(&page.frame, &page.set.commits, chart)) } }
            }
        }
        (runs(page))
        (again(page))
    };
    page.frame.page(&page.name, "scenario", &content)
}

/// The newest value of every subject, best first; without one, why.
fn headline(page: &Scenario) -> String {
    let newest = page.set.commits.len().saturating_sub(1);
    let mut values: Vec<(&str, f64)> = page
        .set
        .series
        .iter()
        .filter(|series| series.metric == HEADLINE && series.peer.is_none())
        .filter_map(|series| series.points.last().filter(|point| point.commit == newest).map(|point| (series, point)))
        .map(|(series, point)| (series.subject.as_str(), point.median))
        .collect();
    values.sort_by(|a, b| b.1.total_cmp(&a.1));
    let reached: Vec<String> =
        values.iter().map(|(subject, value)| format!("{subject} {}", Unit::BitsPerSecond.text(*value))).collect();
    if !reached.is_empty() {
        return format!("On {}: {}.", page.name, listed(&reached));
    }
    match page.runs.first() {
        Some(run) if run.outcome != Outcome::Ok => {
            format!("On {}, the newest run of {}: {}.", page.name, run.subject, outcome_words(run.outcome).1)
        }
        _ => format!("{} has no value at the newest commit.", page.name),
    }
}

fn measured(page: &Scenario) -> String {
    let subjects: BTreeSet<&str> = page.runs.iter().map(|run| run.subject.as_str()).collect();
    let subjects: Vec<String> = subjects.into_iter().map(String::from).collect();
    format!("{} measured with {}", plural(page.set.commits.len() as u64, "commit"), listed(&subjects))
}

/// Every metric of the newest commit.
fn newest(page: &Scenario, charts: &[Chart<'_>]) -> Markup {
    let last = page.set.commits.len().saturating_sub(1);
    let subjects: BTreeSet<(bool, &str)> =
        page.set.series.iter().map(|series| (series.subject == BASELINE, series.subject.as_str())).collect();
    let find = |chart: &Chart<'_>, subject: &str| -> Option<CommitPoint> {
        let series = chart.series.iter().find(|series| series.subject == subject)?;
        series.points.iter().rev().find(|point| point.commit == last).cloned()
    };
    html! {
        @if let (Some(commit), false) = (page.set.commits.last(), subjects.is_empty()) {
            h2 { "At the newest commit, " (self::commit(commit.sha.as_deref(), commit.dirty)) }
            (about(commit))
            div.table.narrow {
                table {
                    thead {
                        tr { th { "Median of the runs" } @for (_, name) in &subjects { th.n { (subject(name)) } } }
                    }
                    tbody {
                        @for chart in charts {
                            tr {
                                td title=[chart.known.map(|metric| metric.definition)] { (chart.title) }
                                @for (_, name) in &subjects { td.n { (value(find(chart, name), chart)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn value(point: Option<CommitPoint>, chart: &Chart<'_>) -> Markup {
    let unit = chart.unit();
    html! {
        @match point {
            None => span.quiet { "–" },
            Some(point) => {
                (unit.text(point.median))
                @if let Some(spread) = spread(&point) {
                    span.spread.quiet.small title={ (unit.text(point.min)) " to " (unit.text(point.max)) } { " ± " (spread) }
                }
            }
        }
    }
}

/// Half the range, relative to the median, where it is anything to speak of.
fn spread(point: &CommitPoint) -> Option<String> {
    let share = (point.max - point.min) / 2.0 / point.median.abs();
    (share >= 0.000_5 && share.is_finite()).then(|| format!("{:.1}\u{a0}%", share * 100.0))
}

fn about(commit: &Commit) -> Markup {
    html! {
        @if let Some(summary) = &commit.summary {
            p {
                "“" (summary) "”"
                @if commit.dirty { ", with uncommitted changes" }
                @if let Some(authored) = commit.authored_ms { span.quiet { ", authored " (time(authored)) } }
            }
        }
    }
}

fn runs(page: &Scenario) -> Markup {
    let values = |id: &str| -> BTreeMap<String, f64> {
        let all = page.set.series.iter().filter(|series| series.peer.is_none());
        all.flat_map(|series| {
            let of_run = move |value: &&longhaul_store::RunValue| value.run == id;
            series.points.iter().flat_map(|point| &point.values).find(of_run).map(|v| (series.metric.clone(), v.value))
        })
        .collect()
    };
    html! {
        h2 { "The newest runs" }
        div.table {
            table.runs {
                thead {
                    tr {
                        th { "Started" } th { "Subject" } th { "Commit" } th.n { "Seed" } th.n { "Goodput" }
                        th.n { "Total time" } th { "Result" }
                    }
                }
                tbody {
                    @for run in &page.runs {
                        @let values = values(&run.id);
                        tr {
                            td { a href=(page.frame.links.run(&run.id)) { (time(run.started_ms)) } }
                            td { (subject(&run.subject)) }
                            td { (commit(run.commit.as_deref(), run.dirty)) }
                            td.n { (run.seed) }
                            td.n { (number(&values, "goodput")) }
                            td.n { (number(&values, "total_time")) }
                            td {
                                (outcome(run.outcome))
                                @if let Some(reason) = &run.reason { span.below { (glue(reason)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn number(values: &BTreeMap<String, f64>, id: &str) -> Markup {
    let text = values.get(id).zip(metric(id)).map(|(value, metric)| metric.unit.text(*value));
    html! { @match text { Some(text) => (text), None => span.quiet { "–" } } }
}

fn again(page: &Scenario) -> Markup {
    html! {
        h2 { "Measure it again" }
        pre { code { "longhaul run " (crate::html::shell(&page.name)) } }
    }
}
