//! One metric across commits, as a chart with its table: what scenarios and alerts are shown by.

use super::Frame;
use crate::chart::{History, Ink, Line, Mark, Point, Size, history};
use crate::html::{commit, commit_text, subject, svg};
use longhaul_record::{Direction, METRICS, Metric, Role, Unit, metric, text};
use longhaul_store::{Commit, CommitPoint, MetricSeries, RunValue, SeriesSet};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// All subjects of one metric and side.
pub(super) struct Chart<'a> {
    pub(super) title: String,
    pub(super) known: Option<&'static Metric>,
    pub(super) series: Vec<&'a MetricSeries>,
}

/// Whether a series is of all peers or a side. What single hosts got is on the pages of the runs: here it would be a chart
/// for each of a hundred hosts.
fn is_of_a_side(series: &MetricSeries) -> bool {
    let sides = [Role::Provider, Role::Fetcher, Role::Relay, Role::Node].map(Role::as_str);
    series.peer.as_deref().is_none_or(|peer| sides.contains(&peer))
}

/// One chart per metric and side: those that longhaul knows in its own order, then any others.
pub(super) fn charts(set: &SeriesSet) -> Vec<Chart<'_>> {
    let mut groups: BTreeMap<(usize, &str, Option<&str>), Vec<&MetricSeries>> = BTreeMap::new();
    for series in set.series.iter().filter(|series| is_of_a_side(series)) {
        let place = METRICS.iter().position(|metric| metric.id == series.metric).unwrap_or(METRICS.len());
        groups.entry((place, &series.metric, series.peer.as_deref())).or_default().push(series);
    }
    let mut charts = Vec::new();
    for ((_, id, peer), series) in groups {
        charts.push(Chart { title: text::metric_name(id, peer), known: metric(id), series });
    }
    charts
}

impl<'a> Chart<'a> {
    pub(super) fn unit(&self) -> Unit {
        self.known.map_or(Unit::Ratio, |metric| metric.unit)
    }

    fn better(&self) -> &'static str {
        match self.known.map(|metric| metric.direction) {
            Some(Direction::Higher) => "↑ better",
            Some(Direction::Lower) => "↓ better",
            None => "",
        }
    }

    fn draw(&self, frame: &Frame, commits: &[Commit], size: Size) -> Markup {
        let line = |series: &&'a MetricSeries| Line {
            label: series.subject.clone(),
            ink: Ink::of_subject(&series.subject),
            marks: series.points.iter().map(|point| mark(frame, commits, series, point, self.unit())).collect(),
        };
        let names = commits.iter().map(|commit| commit_text(commit.sha.as_deref(), commit.dirty));
        let lines = self.series.iter().map(line).collect();
        svg(history(&History::new(size, (&self.title, self.better()), self.unit(), names.collect(), lines)))
    }
}

fn mark<'a>(frame: &Frame, commits: &[Commit], series: &MetricSeries, point: &'a CommitPoint, unit: Unit) -> Mark<'a> {
    let commit = commits.get(point.commit);
    let name = commit.map_or(String::new(), |commit| commit_text(commit.sha.as_deref(), commit.dirty));
    let summary = commit.and_then(|commit| commit.summary.as_deref()).unwrap_or_default();
    let dot = |value: &RunValue| Point {
        value: value.value,
        href: frame.links.run(&value.run),
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
pub(super) fn wide(frame: &Frame, commits: &[Commit], chart: &Chart<'_>) -> Markup {
    html! {
        figure {
            div.on-wide { (chart.draw(frame, commits, Size { width: 1072, height: 280 })) }
            div.on-narrow { (chart.draw(frame, commits, SMALL)) }
            (twin(frame, commits, chart))
        }
    }
}

const SMALL: Size = Size { width: 348, height: 210 };

pub(super) fn small(frame: &Frame, commits: &[Commit], chart: &Chart<'_>) -> Markup {
    html! {
        figure {
            (chart.draw(frame, commits, SMALL))
            (twin(frame, commits, chart))
        }
    }
}

/// The same numbers as a table, newest first.
fn twin(frame: &Frame, commits: &[Commit], chart: &Chart<'_>) -> Markup {
    let rows = commits.iter().enumerate().rev();
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
                                @for series in &chart.series { td.n { (cell(frame, series, i, chart.unit())) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A commit's values of one series: the median, and a link to each run.
fn cell(frame: &Frame, series: &MetricSeries, commit: usize, unit: Unit) -> Markup {
    let points: Vec<&CommitPoint> = series.points.iter().filter(|point| point.commit == commit).collect();
    html! {
        @if points.is_empty() { span.quiet { "–" } }
        @for point in points {
            (unit.text(point.median))
            span.quiet {
                @for (i, value) in point.values.iter().enumerate() {
                    " " a.quiet href=(frame.links.run(&value.run)) title=(unit.text(value.value)) { (i + 1) }
                }
            }
            " "
        }
    }
}
