//! A scenario's page: what it is, what the newest commit reaches on it, how that came to be.

use super::run::rate_limit;
use super::series::{Chart, Sheet, charts, small, wide};
use super::{BASELINE, Frame, Served, network};
use crate::chart::Scale;
use crate::html::{commit, commit_link, glue, listed, outcome, outcome_words, plural, subject, time};
use longhaul_record::{Alert, METRICS, Outcome, RunRecord, Unit, text};
use longhaul_store::{Commit, CommitPoint, RunSummary, SeriesSet};
use maud::{Markup, html};
use serde::Deserialize;
use std::collections::BTreeSet;

/// What the page shows.
pub(crate) struct Scenario {
    /// What is around it.
    pub(crate) frame: Frame,
    /// The scenario's name.
    pub(crate) name: String,
    /// The scenario in one sentence.
    pub(crate) words: String,
    /// What of its history was asked for.
    pub(crate) view: View,
    /// That history.
    pub(crate) set: SeriesSet,
    /// What is known to have got worse there.
    pub(crate) alerts: Vec<Alert>,
    /// Its newest runs, newest first; never empty.
    pub(crate) runs: Vec<RunSummary>,
    /// The newest of them that went well, whole.
    pub(crate) newest: Option<RunRecord>,
}

/// What of a history is shown: the state of the page's address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct View {
    /// From here on: a day, as `2026-11-22`, or the beginning of a commit's hash.
    pub(crate) from: String,
    /// Up to and with here, likewise.
    pub(crate) to: String,
    /// Only commits of this branch.
    pub(crate) branch: String,
    /// At most this many commits, the newest.
    pub(crate) commits: u32,
    /// The metric of the wide chart, by its id; `ID:PEER` of one side.
    pub(crate) metric: String,
    /// Linear, or logarithmic.
    pub(crate) scale: Scale,
}

impl Default for View {
    fn default() -> View {
        View {
            from: String::new(),
            to: String::new(),
            branch: String::new(),
            commits: View::COMMITS[0],
            metric: HEADLINE.into(),
            scale: Scale::Linear,
        }
    }
}

impl View {
    /// How many commits can be asked for.
    const COMMITS: [u32; 4] = [60, 200, 1000, 5000];
    /// Of more, only one metric is drawn.
    const FEW: u32 = 200;

    /// The one metric that is read, where there are too many commits for all.
    pub(crate) fn only(&self) -> Option<&str> {
        (self.commits > View::FEW).then(|| self.metric.split(':').next().unwrap_or(HEADLINE))
    }

    fn leads(&self, chart: &Chart<'_>) -> bool {
        let (id, peer) =
            self.metric.split_once(':').map_or((self.metric.as_str(), None), |(id, peer)| (id, Some(peer)));
        chart.id == id && chart.peer == peer
    }
}

/// The metric that the page leads with.
const HEADLINE: &str = "goodput";

/// The page.
pub(crate) fn scenario(page: &Scenario) -> Markup {
    let mut charts = charts(&page.set);
    if let Some(at) = charts.iter().position(|chart| page.view.leads(chart)) {
        charts[..=at].rotate_right(1);
    }
    let sheet = Sheet {
        frame: &page.frame,
        commits: &page.set.commits,
        alerts: &page.alerts,
        scale: page.view.scale,
        line_rate: page.newest.as_ref().and_then(rate_limit),
    };
    // With one or two commits a wide chart is mostly paper: numbers first then.
    let few = page.set.commits.len() < 3;
    let content = html! {
        h1 { (glue(&headline(page))) }
        p.lead { (glue(&page.words)) }
        p.quiet { code { (page.name) } " · " (measured(page)) }
        (open_alerts(page))
        @if let Some(run) = &page.newest { (network::figure(&format!("The network of {}", page.name), &run.scenario_resolved)) }
        @if page.frame.served != Served::Exported { (form(page, &charts)) }
        @if few {
            (newest(page, &charts))
            @if !charts.is_empty() {
                h2 { "Across commits" }
                p.quiet { "A line joins commits that follow each other; so far there is little to join." }
            }
            div.charts { @for chart in &charts { (small(&sheet, chart)) } }
        } @else {
            @if let Some(chart) = charts.first() {
                h2 { "Across commits" }
                (wide(&sheet, chart))
            }
            (newest(page, &charts))
            @if charts.len() > 1 {
                h2 { "Everything else across commits" }
                div.charts { @for chart in &charts[1..] { (small(&sheet, chart)) } }
            }
        }
        (runs(page))
        (again(page))
    };
    page.frame.page(&page.name, "scenario", &content)
}

/// What got worse here, before anything else.
fn open_alerts(page: &Scenario) -> Markup {
    let open: Vec<&Alert> = page.alerts.iter().filter(|alert| alert.state.is_open()).collect();
    html! {
        @if !open.is_empty() {
            ul.alerts {
                @for alert in &open {
                    li {
                        a href=(page.frame.links.alert(&alert.id)) { (glue(&alert.sentence())) }
                        " since " (commit_link(&page.frame, &alert.range.first_after)) " " (super::alerts::state(alert))
                    }
                }
            }
        }
    }
}

/// What of the history to show. Works without a script: the page's address is the form's content.
fn form(page: &Scenario, charts: &[Chart<'_>]) -> Markup {
    let view = &page.view;
    let id = |chart: &Chart<'_>| match chart.peer {
        Some(peer) => format!("{}:{peer}", chart.id),
        None => chart.id.to_owned(),
    };
    let mut all: Vec<(String, &str)> = charts.iter().map(|chart| (id(chart), chart.title.as_str())).collect();
    if view.only().is_some() {
        // The others were not read.
        all = METRICS.iter().map(|metric| (metric.id.to_owned(), metric.title)).collect();
    }
    let changed = *view != View::default();
    html! {
        form.view method="get" data-view {
            (page.frame.hidden())
            label { "Metric " select name="metric" { @for (id, title) in &all { option value=(id) selected[*id == view.metric] { (title) } } } }
            label { "Commits " select name="commits" { @for n in View::COMMITS { option value=(n) selected[n == view.commits] { (text::count(f64::from(n))) } } } }
            label { "From " input name="from" value=(view.from) placeholder="day or commit" size="11"; }
            label { "to " input name="to" value=(view.to) placeholder="day or commit" size="11"; }
            label { "Branch " input name="branch" value=(view.branch) placeholder="any" size="8"; }
            label { "Axis " select name="scale" { @for (id, words, scale) in [("linear", "linear", Scale::Linear), ("log", "logarithmic", Scale::Log)] { option value=(id) selected[view.scale == scale] { (words) } } } }
            button { "Show" }
            @if changed { " " a.small href=(page.frame.links.scenario(&page.name)) { "Reset" } }
        }
    }
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
    html! {
        h2 { "The newest runs" }
        div.table {
            table.runs {
                thead {
                    tr { th { "Started" } th { "Subject" } th { "Commit" } th.n { "Seed" } th.n { "Took" } th { "Result" } }
                }
                tbody {
                    @for run in &page.runs {
                        tr {
                            td { a href=(page.frame.links.run(&run.id)) { (time(run.started_ms)) } }
                            td { (subject(&run.subject)) }
                            td { (commit(run.commit.as_deref(), run.dirty)) }
                            td.n { (run.seed) }
                            td.n { (text::seconds((run.ended_ms - run.started_ms) as f64 / 1e3)) }
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

fn again(page: &Scenario) -> Markup {
    html! {
        h2 { "Measure it again" }
        pre { code { "longhaul run " (crate::html::shell(&page.name)) } }
    }
}
