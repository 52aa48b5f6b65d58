//! One metric across commits, as a chart with its table: what scenarios and alerts are shown by.

use super::Frame;
use crate::chart::{Change, History, Ink, Line, Mark, Mood, Point, Scale, Size, history};
use crate::html::{better, commit, commit_link, commit_text, subject, svg};
use longhaul_record::{Alert, METRICS, Metric, Role, Standing, Unit, metric, text};
use longhaul_store::{Commit, CommitPoint, MetricSeries, SeriesSet};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// What all charts of a page have in common.
pub(super) struct Sheet<'a> {
    /// What is around the page.
    pub(super) frame: &'a Frame,
    /// The shared axis, oldest first.
    pub(super) commits: &'a [Commit],
    /// What is known to have got worse there.
    pub(super) alerts: &'a [Alert],
    /// How values are spread.
    pub(super) scale: Scale,
    /// What the line can carry, in bit/s, if that is known.
    pub(super) line_rate: Option<f64>,
}

/// All subjects of one metric and side.
pub(super) struct Chart<'a> {
    pub(super) title: String,
    pub(super) id: &'a str,
    pub(super) known: Option<&'static Metric>,
    pub(super) peer: Option<&'a str>,
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
    let chart =
        |((_, id, peer), series)| Chart { title: text::metric_name(id, peer), id, known: metric(id), peer, series };
    groups.into_iter().map(chart).collect()
}

impl<'a> Chart<'a> {
    pub(super) fn unit(&self) -> Unit {
        self.known.map_or(Unit::Ratio, |metric| metric.unit)
    }

    /// Dots lead somewhere, and are most of a chart's bytes: the leading chart alone has them.
    fn draw(&self, sheet: &Sheet<'_>, size: Size, dots: bool) -> Markup {
        let line = |series: &&'a MetricSeries| Line {
            label: series.subject.clone(),
            ink: Ink::of_subject(&series.subject),
            marks: self.marks(sheet, series, dots),
        };
        let names = sheet.commits.iter().map(|commit| commit_text(commit.sha.as_deref(), commit.dirty));
        let lines = self.series.iter().map(line).collect();
        let mut chart = History::new(size, (&self.title, better(self.known)), self.unit(), names.collect(), lines);
        chart.scale = sheet.scale;
        chart.ceiling = sheet.line_rate.filter(|_| self.id == "goodput" && self.peer.is_none());
        chart.changes = self.changes(sheet);
        svg(history(&chart))
    }

    fn marks(&self, sheet: &Sheet<'_>, series: &'a MetricSeries, dots: bool) -> Vec<Mark<'a>> {
        let mut before: Option<&CommitPoint> = None;
        let mark = |point: &'a CommitPoint| {
            let from = before.replace(point);
            Mark {
                commit: point.commit,
                version: &point.scenario_hash,
                median: point.median,
                low: point.min,
                high: point.max,
                runs: usize::try_from(point.n).unwrap_or(usize::MAX),
                carried: false,
                points: if dots { self.dot(sheet, series, from, point).into_iter().collect() } else { Vec::new() },
            }
        };
        series.points.iter().map(mark).collect()
    }

    /// A click compares a commit with the measured one before it.
    fn dot(
        &self,
        sheet: &Sheet<'_>,
        series: &MetricSeries,
        before: Option<&CommitPoint>,
        point: &CommitPoint,
    ) -> Option<Point> {
        let commit = sheet.commits.get(point.commit)?;
        let sha = commit.sha.as_deref()?;
        let from = before.and_then(|before| sheet.commits.get(before.commit)?.sha.as_deref());
        let links = &sheet.frame.links;
        Some(Point {
            value: point.median,
            href: from.map_or_else(|| links.commit(sha), |from| links.compare(from, sha)),
            title: format!(
                "{} at {}: {}\n{}",
                series.subject,
                commit_text(Some(sha), commit.dirty),
                self.unit().text(point.median),
                commit.summary.as_deref().unwrap_or_default()
            ),
        })
    }

    /// Whether what is said of a metric is said of this chart: it may show the same in other words.
    fn tells(&self, id: &str) -> bool {
        let restated = self.known.and_then(|metric| match metric.standing {
            Standing::Restated(other) => Some(other),
            Standing::First | Standing::Second => None,
        });
        self.id == id || restated == Some(id)
    }

    /// Where lines got worse, and where they were mended.
    fn changes(&self, sheet: &Sheet<'_>) -> Vec<Change> {
        let place = |sha: &str| sheet.commits.iter().position(|commit| commit.sha.as_deref() == Some(sha));
        let mut changes = Vec::new();
        for alert in sheet.alerts.iter().filter(|alert| self.tells(&alert.series.metric)) {
            let series = &alert.series;
            if series.peer.as_deref() != self.peer {
                continue;
            }
            let Some(line) = self.series.iter().position(|own| own.subject == series.subject) else { continue };
            let href = Some(sheet.frame.links.alert(&alert.id));
            let words = match alert.shift {
                Some(shift) if self.id == series.metric => text::change(shift),
                Some(shift) => {
                    format!("{} {}", text::metric_name(&series.metric, None).to_lowercase(), text::change(shift))
                }
                None => "worse".into(),
            };
            let begun = place(&alert.range.first_after).map(|commit| (commit, words, Mood::Bad));
            let mended = alert.fixed.as_ref().and_then(|range| place(&range.first_after));
            let mended = mended.map(|commit| (commit, "mended".into(), Mood::Good));
            let change = |(commit, text, mood)| Change { commit, line, text, mood, href: href.clone() };
            changes.extend(begun.into_iter().chain(mended).map(change));
        }
        changes
    }
}

const SMALL: Size = Size { width: 348, height: 210 };

/// The leading chart, drawn once for wide screens and once for narrow ones, so that its words stay readable.
pub(super) fn wide(sheet: &Sheet<'_>, chart: &Chart<'_>) -> Markup {
    html! {
        figure {
            div.on-wide { (chart.draw(sheet, Size { width: 1072, height: 300 }, true)) }
            div.on-narrow { (chart.draw(sheet, SMALL, false)) }
            (twin(sheet, chart))
        }
    }
}

/// One of many.
pub(super) fn small(sheet: &Sheet<'_>, chart: &Chart<'_>) -> Markup {
    html! {
        figure {
            (chart.draw(sheet, SMALL, false))
            (twin(sheet, chart))
        }
    }
}

/// Commits in a chart's table.
const ROWS: usize = 20;

/// The newest numbers as a table, newest first.
fn twin(sheet: &Sheet<'_>, chart: &Chart<'_>) -> Markup {
    let rows = sheet.commits.iter().enumerate().rev().take(ROWS);
    html! {
        details {
            summary { (chart.title) " as a table" }
            @if let Some(metric) = chart.known { p.small.quiet { (metric.definition) } }
            div.table {
                table {
                    thead { tr { th { "Commit" } @for series in &chart.series { th.n { (subject(&series.subject)) } } } }
                    tbody {
                        @for (i, at) in rows {
                            tr {
                                td {
                                    @match at.sha.as_deref().filter(|_| !at.dirty) {
                                        Some(sha) => (commit_link(sheet.frame, sha)),
                                        None => (commit(at.sha.as_deref(), at.dirty)),
                                    }
                                }
                                @for series in &chart.series { td.n { (cell(series, i, chart.unit())) } }
                            }
                        }
                    }
                }
            }
            @if sheet.commits.len() > ROWS {
                p.small.quiet { "The newest " (ROWS) " commits; " code { "longhaul export csv" } " has all of them." }
            }
        }
    }
}

/// A commit's values of one series: the median, and the smallest and largest.
fn cell(series: &MetricSeries, commit: usize, unit: Unit) -> Markup {
    // Ordered by commit.
    let first = series.points.partition_point(|point| point.commit < commit);
    let points = series.points[first..].iter().take_while(|point| point.commit == commit);
    html! {
        @if series.points.get(first).is_none_or(|point| point.commit != commit) { span.quiet { "–" } }
        @for point in points {
            (unit.text(point.median))
            @if point.n > 1 { span.quiet.small { " " (unit.text(point.min)) " to " (unit.text(point.max)) } }
            " "
        }
    }
}
