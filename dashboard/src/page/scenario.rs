//! A scenario's page: what it is, what the newest commit reaches on it, how that came to be.

use super::{BASELINE, Frame};
use crate::chart::{History, Ink, Line, Mark, Point, Size, history};
use crate::html::{commit, commit_text, glue, listed, outcome, outcome_words, plural, subject, svg, time};
use longhaul_record::{Direction, METRICS, Metric, Outcome, Role, Unit, metric};
use longhaul_store::{Commit, CommitPoint, MetricSeries, RunSummary, SeriesSet};
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
            div.charts { @for chart in &charts { (small(page, chart)) } }
        } @else {
            @if let Some(chart) = charts.first() { (wide(page, chart)) }
            (newest(page, &charts))
            @if charts.len() > 1 {
                h2 { "Everything else across commits" }
                div.charts { @for chart in &charts[1..] { (small(page, chart)) } }
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

/// All subjects of one metric and side.
struct Chart<'a> {
    title: String,
    known: Option<&'static Metric>,
    series: Vec<&'a MetricSeries>,
}

/// Whether a series is of all peers or a side. What single hosts got is on the pages of the runs: here it would be a chart
/// for each of a hundred hosts.
fn is_of_a_side(series: &MetricSeries) -> bool {
    let sides = [Role::Provider, Role::Fetcher, Role::Relay, Role::Node].map(Role::as_str);
    series.peer.as_deref().is_none_or(|peer| sides.contains(&peer))
}

/// One chart per metric and side: those that longhaul knows in its own order, then any others.
fn charts(set: &SeriesSet) -> Vec<Chart<'_>> {
    let mut groups: BTreeMap<(usize, &str, Option<&str>), Vec<&MetricSeries>> = BTreeMap::new();
    for series in set.series.iter().filter(|series| is_of_a_side(series)) {
        let place = METRICS.iter().position(|metric| metric.id == series.metric).unwrap_or(METRICS.len());
        groups.entry((place, &series.metric, series.peer.as_deref())).or_default().push(series);
    }
    let mut charts = Vec::new();
    for ((_, id, peer), series) in groups {
        let known = metric(id);
        let title = known.map_or(id, |metric| metric.title);
        let title = peer.map_or(title.to_string(), |peer| format!("{title}, {peer}"));
        charts.push(Chart { title, known, series });
    }
    charts
}

impl<'a> Chart<'a> {
    fn unit(&self) -> Unit {
        self.known.map_or(Unit::Ratio, |metric| metric.unit)
    }

    fn better(&self) -> &'static str {
        match self.known.map(|metric| metric.direction) {
            Some(Direction::Higher) => "↑ better",
            Some(Direction::Lower) => "↓ better",
            None => "",
        }
    }

    fn draw(&self, page: &Scenario, size: Size) -> Markup {
        let line = |series: &&'a MetricSeries| Line {
            label: series.subject.clone(),
            ink: Ink::of_subject(&series.subject),
            marks: series.points.iter().map(|point| mark(page, series, point, self.unit())).collect(),
        };
        let commits = page.set.commits.iter().map(|commit| commit_text(commit.sha.as_deref(), commit.dirty));
        let lines = self.series.iter().map(line).collect();
        svg(history(&History::new(size, (&self.title, self.better()), self.unit(), commits.collect(), lines)))
    }
}

fn mark<'a>(page: &Scenario, series: &MetricSeries, point: &'a CommitPoint, unit: Unit) -> Mark<'a> {
    let commit = page.set.commits.get(point.commit);
    let name = commit.map_or(String::new(), |commit| commit_text(commit.sha.as_deref(), commit.dirty));
    let summary = commit.and_then(|commit| commit.summary.as_deref()).unwrap_or_default();
    let dot = |value: &longhaul_store::RunValue| Point {
        value: value.value,
        href: page.frame.links.run(&value.run),
        title: format!("{} at {name}: {}\n{summary}", series.subject, unit.text(value.value)),
    };
    Mark {
        commit: point.commit,
        version: &point.scenario_hash,
        median: point.median,
        low: point.min,
        high: point.max,
        runs: point.values.len(),
        carried: false,
        points: point.values.iter().map(dot).collect(),
    }
}

/// The leading chart, drawn once for wide screens and once for narrow ones, so that its words stay readable.
fn wide(page: &Scenario, chart: &Chart<'_>) -> Markup {
    html! {
        h2 { "Across commits" }
        figure {
            div.on-wide { (chart.draw(page, Size { width: 1072, height: 280 })) }
            div.on-narrow { (chart.draw(page, SMALL)) }
            (twin(page, chart))
        }
    }
}

const SMALL: Size = Size { width: 348, height: 210 };

fn small(page: &Scenario, chart: &Chart<'_>) -> Markup {
    html! {
        figure {
            (chart.draw(page, SMALL))
            (twin(page, chart))
        }
    }
}

/// The same numbers as a table, newest first.
fn twin(page: &Scenario, chart: &Chart<'_>) -> Markup {
    let rows = page.set.commits.iter().enumerate().rev();
    html! {
        details {
            summary { (chart.title) " as a table" }
            @if let Some(metric) = chart.known { p.small.quiet { (metric.definition) } }
            div.table {
                table {
                    thead { tr { th { "Commit" } @for series in &chart.series { th.n { (subject(&series.subject)) } } } }
                    tbody {
                        @for (i, commit) in rows {
                            tr {
                                td { (self::commit(commit.sha.as_deref(), commit.dirty)) }
                                @for series in &chart.series { td.n { (cell(page, series, i, chart.unit())) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A commit's values of one series: the median, and a link to each run.
fn cell(page: &Scenario, series: &MetricSeries, commit: usize, unit: Unit) -> Markup {
    let points: Vec<&CommitPoint> = series.points.iter().filter(|point| point.commit == commit).collect();
    html! {
        @if points.is_empty() { span.quiet { "–" } }
        @for point in points {
            (unit.text(point.median))
            span.quiet {
                @for (i, value) in point.values.iter().enumerate() {
                    " " a.quiet href=(page.frame.links.run(&value.run)) title=(unit.text(value.value)) { (i + 1) }
                }
            }
            " "
        }
    }
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
