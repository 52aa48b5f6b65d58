//! One metric across commits: a line through the medians, the range of the runs as a band, a dot per run while these are
//! few, a break where the scenario changed, change points, thresholds, the physical limit, and notes of people.
//!
//! Thousands of commits become at most [`CELLS`] cells in all; each keeps its smallest and its largest median and the
//! outermost runs, so no spike is lost, and change points are drawn at their own commit always.
//!
//! # For the page's script
//!
//! The `<svg>` element says what is needed to know what is below a pointer:
//!
//! - `data-chart="history"`
//! - `data-plot="x0 y0 x1 y1"`: the plot area in units of the view box. Commit `i` of `data-n` is in the middle of its
//!   share of the width: `i = floor((x - x0) / (x1 - x0) * n)`.
//! - `data-n`: commits in the window; `data-first`: place of the window's first commit in the whole history.
//! - `data-axis="low high linear|log"`: values at `y1` and at `y0`.
//!
//! `<metadata>` holds one JSON object:
//!
//! ```text
//! {"title":"Goodput","divisor":1000000,"unit":"Mbit/s",
//!  "at":[0,1,…],                  commits that are told of (indices in the window, ascending); of many, one per cell
//!  "names":["1a2b3c4",…],         their short names
//!  "lines":[{"label":"iroh","class":"c1","medians":[4812e4,null,…]}],   one value per `at`; null: not measured
//!  "changes":[{"at":17,"line":0,"text":"+4.2 %"}],
//!  "flags":[{"at":9,"text":"…"}]}
//! ```
//!
//! Values are in the base unit (bit/s, s, bytes), with four significant digits: show `value / divisor` and `unit`.

mod cells;
mod data;
mod marks;

use super::axis::Axis;
use super::canvas::Ink;
use super::grid::{Plot, Ticks, grid};
use super::svg::{Anchor, Path, document_with, heading, linked, px, tip, wide, words};
use super::{Scale, Size};
use cells::{Cell, Columns};
use longhaul_record::Unit;
use std::fmt::Write;

/// What to draw. [`History::new`] has none of what is optional.
pub(crate) struct History<'a> {
    /// Outer size.
    pub(crate) size: Size,
    /// The metric's title.
    pub(crate) title: &'a str,
    /// Which way is better, in words.
    pub(crate) better: &'a str,
    /// Unit of the values.
    pub(crate) unit: Unit,
    /// How values are spread. Where one is not above zero the axis is linear all the same, and the chart says so.
    pub(crate) scale: Scale,
    /// Short names of the commits, oldest first: the horizontal axis.
    pub(crate) commits: Vec<String>,
    /// The place of the first of them in the whole history.
    pub(crate) first: usize,
    /// One per subject.
    pub(crate) lines: Vec<Line<'a>>,
    /// Where lines changed.
    pub(crate) changes: Vec<Change>,
    /// Thresholds.
    pub(crate) boundaries: Vec<Boundary>,
    /// The most that is physically possible.
    pub(crate) ceiling: Option<f64>,
    /// What people noted.
    pub(crate) flags: Vec<Flag>,
}

/// One subject.
pub(crate) struct Line<'a> {
    /// Its name, written at the line's end.
    pub(crate) label: String,
    /// Its colour.
    pub(crate) ink: Ink,
    /// What is known of it, oldest first, one per commit and version.
    pub(crate) marks: Vec<Mark<'a>>,
}

/// One subject on one commit.
#[derive(Default)]
pub(crate) struct Mark<'a> {
    /// Index into the commits.
    pub(crate) commit: usize,
    /// What the network was: medians are only joined where this is equal.
    pub(crate) version: &'a str,
    /// The middle of the runs.
    pub(crate) median: f64,
    /// The band's lower edge: the smallest run, or an interval's end.
    pub(crate) low: f64,
    /// The band's upper edge.
    pub(crate) high: f64,
    /// How many runs there are.
    pub(crate) runs: usize,
    /// Not measured on this commit: an earlier one's value stands in.
    pub(crate) carried: bool,
    /// Every run, to be drawn as a dot where a chart has at most [`DOTS`] of them. May be empty.
    pub(crate) points: Vec<Point>,
}

/// One run.
pub(crate) struct Point {
    /// Its value.
    pub(crate) value: f64,
    /// Where a click leads.
    pub(crate) href: String,
    /// What hovering says.
    pub(crate) title: String,
}

/// A change point: from this commit on, a line is elsewhere.
pub(crate) struct Change {
    /// Index into the commits.
    pub(crate) commit: usize,
    /// Index into the lines.
    pub(crate) line: usize,
    /// How far, for example `+4.2 %`. The chart adds since when.
    pub(crate) text: String,
    /// What it means.
    pub(crate) mood: Mood,
    /// Where a click leads.
    pub(crate) href: Option<String>,
}

/// Whether something is welcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It is.
    Good,
    /// It is not.
    Bad,
    /// Who knows.
    #[default]
    Neutral,
}

impl Mood {
    /// Its colour.
    pub(crate) fn ink(self) -> Ink {
        match self {
            Mood::Good => Ink::Good,
            Mood::Bad => Ink::Bad,
            Mood::Neutral => Ink::Text,
        }
    }
}

/// A threshold.
pub(crate) struct Boundary {
    /// Where.
    pub(crate) value: f64,
    /// What it is, for example `alarm below`.
    pub(crate) label: String,
}

/// What somebody noted of a commit. Flags are numbered in their order; the page lists the texts.
pub(crate) struct Flag {
    /// Index into the commits.
    pub(crate) commit: usize,
    /// The note.
    pub(crate) text: String,
    /// Where a click leads.
    pub(crate) href: Option<String>,
}

/// The most runs that are drawn as dots; of more, the band is drawn alone.
const DOTS: usize = 240;
/// Cells of all lines together: what keeps a chart below 60 KB.
const CELLS: usize = 1400;
/// Room at the left for tick labels, at the right for names, above for the title and what changed, below for commits.
const LEFT: u32 = 78;
const RIGHT: u32 = 74;
const TOP: u32 = 42;
const BOTTOM: u32 = 26;

/// What the parts of the drawing have in common.
struct Sheet<'a, 'b> {
    chart: &'b History<'a>,
    plot: Plot,
    axis: Axis,
    columns: Columns,
    /// Of each line.
    cells: Vec<Vec<Cell>>,
}

/// The chart. Without any value it says that nothing was measured.
pub(crate) fn history(chart: &History<'_>) -> String {
    let plot = Plot::within(chart.size, LEFT, RIGHT, TOP, BOTTOM);
    let columns = Columns::new(chart.commits.len(), chart.lines.len(), plot.width());
    let cells: Vec<Vec<Cell>> = chart.lines.iter().map(|line| columns.cells(&line.marks)).collect();
    let (axis, notes) = chart.axis(&cells);
    let sheet = Sheet { chart, plot, axis, columns, cells };
    let mut body = String::new();
    heading(&mut body, chart.size.width, chart.title, &notes.join(" · "));
    if sheet.cells.iter().all(Vec::is_empty) {
        let middle = (f64::from(chart.size.width) / 2.0, f64::from(chart.size.height) / 2.0);
        words(&mut body, Ink::Soft, middle, Anchor::Middle, "no run has measured this yet");
    } else {
        sheet.draw(&mut body);
    }
    let scale = if sheet.axis.scale == Scale::Log { "log" } else { "linear" };
    let attributes = format!(
        " data-chart=\"history\"{} data-n=\"{}\" data-first=\"{}\" data-axis=\"{} {} {scale}\"",
        sheet.plot.attribute(),
        chart.commits.len(),
        chart.first,
        sheet.axis.low,
        sheet.axis.high
    );
    sheet.data(&mut body);
    document_with("chart", &attributes, chart.size, chart.title, &chart.description(), &body)
}

impl<'a> History<'a> {
    /// A chart without anything that is optional.
    pub(crate) fn new(
        size: Size,
        (title, better): (&'a str, &'a str),
        unit: Unit,
        commits: Vec<String>,
        lines: Vec<Line<'a>>,
    ) -> History<'a> {
        History {
            size,
            title,
            better,
            unit,
            scale: Scale::Linear,
            commits,
            first: 0,
            lines,
            changes: Vec::new(),
            boundaries: Vec::new(),
            ceiling: None,
            flags: Vec::new(),
        }
    }

    /// Whether words on the lines would hide them.
    fn is_narrow(&self) -> bool {
        self.size.width < 500
    }

    /// The value axis, and what has to be said of it.
    fn axis(&self, cells: &[Vec<Cell>]) -> (Axis, Vec<String>) {
        let mut values: Vec<f64> = cells.iter().flatten().flat_map(|cell| [cell.low, cell.high]).collect();
        let peak = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut notes = vec![self.better.to_string()];
        // A limit or threshold far away would press what was measured flat.
        let near = |value: &f64| value.is_finite() && (peak < 0.0 || *value <= peak * 1.6);
        if peak.is_finite() {
            values.extend(self.boundaries.iter().map(|boundary| boundary.value).filter(near));
            values.extend(self.ceiling.filter(near));
        }
        let log = (self.scale == Scale::Log).then(|| Axis::log(values.iter().copied(), self.unit, 4));
        let axis = match log {
            Some(Some(axis)) => axis,
            Some(None) if peak.is_finite() => {
                notes.push("linear: not all is above zero".into());
                Axis::around(values.iter().copied(), self.unit, 3)
            }
            _ => Axis::around(values.iter().copied(), self.unit, 3),
        };
        if let Some(ceiling) = self.ceiling.filter(|ceiling| !near(ceiling)) {
            notes.push(format!("limit {} is above", longhaul_record::text::trimmed(self.unit.text(ceiling))));
        }
        if let Some(ceiling) = self.ceiling.filter(|ceiling| near(ceiling) && self.is_narrow()) {
            notes.push(format!("limit {}", longhaul_record::text::trimmed(self.unit.text(ceiling))));
        }
        notes.extend(axis.note());
        notes.retain(|note| !note.is_empty());
        (axis, notes)
    }

    /// A line's marks that can be drawn: numbers, on commits that there are.
    fn known<'l>(&'l self, line: &'l Line<'l>) -> impl DoubleEndedIterator<Item = &'l Mark<'l>> {
        line.marks.iter().filter(|mark| mark.median.is_finite() && mark.commit < self.commits.len())
    }

    fn description(&self) -> String {
        let mut out = format!("{} across {} commits.", self.title, self.commits.len());
        for line in &self.lines {
            if let Some(last) = self.known(line).next_back() {
                let when = if last.carried { "when last measured" } else { "at the newest" };
                let _ = write!(out, " {}: {} {when}.", line.label, self.unit.text(last.median));
            }
        }
        for change in &self.changes {
            let (line, commit) = (self.lines.get(change.line), self.commits.get(change.commit));
            if let (Some(line), Some(commit)) = (line, commit) {
                let _ = write!(out, " {} changed at {commit}: {}.", line.label, change.text);
            }
        }
        if let Some(ceiling) = self.ceiling {
            let _ = write!(out, " The physical limit is {}.", self.unit.text(ceiling));
        }
        out
    }
}

impl Sheet<'_, '_> {
    /// The middle of a commit's share of the width.
    fn x(&self, commit: usize) -> f64 {
        self.plot.x((commit as f64 + 0.5) / self.chart.commits.len().max(1) as f64)
    }

    fn y(&self, value: f64) -> f64 {
        self.plot.y(&self.axis, value)
    }

    fn draw(&self, body: &mut String) {
        let ticks = Ticks { at: self.ticks(), label: &|share| self.commit_at(share) };
        if let Err(error) = grid(body, self.chart.size, &self.plot, Some(&self.axis), Some(&ticks)) {
            // The axis is lost, the lines are not.
            let _ = write!(body, "<desc>{}</desc>", super::svg::escape(&error.to_string()));
        }
        self.bands(body);
        self.breaks(body);
        self.medians(body);
        self.dots(body);
        self.boundaries(body);
        self.changes(body);
        self.flags(body);
        self.names(body);
    }

    fn commit_at(&self, share: f64) -> String {
        let count = self.chart.commits.len();
        self.chart.commits.get((share * count as f64) as usize).cloned().unwrap_or_default()
    }

    /// As many commits as have room for their name, the newest always, evenly apart.
    fn ticks(&self) -> Vec<f64> {
        let count = self.chart.commits.len();
        let widest = self.chart.commits.last().map_or(0.0, |name| wide(name)) + 18.0;
        let room = (self.plot.width() / widest.max(64.0)) as usize;
        let step = count.div_ceil(room.clamp(2, 12)).max(1);
        (0..count).rev().step_by(step).map(|i| (i as f64 + 0.5) / count as f64).collect()
    }

    /// From the smallest run to the largest, where there are several.
    fn bands(&self, body: &mut String) {
        for (line, cells) in self.chart.lines.iter().zip(&self.cells) {
            let mut path = Path::default();
            for run in cells.chunk_by(|_, next| next.joined()) {
                if run.iter().all(|cell| cell.low == cell.high) {
                    continue;
                }
                if let [one] = run {
                    // A lonely range is a bar as wide as a dot.
                    path.go((one.x - 2.0, self.y(one.high)));
                    path.line((one.x + 2.0, self.y(one.high)));
                    path.line((one.x + 2.0, self.y(one.low)));
                    path.line((one.x - 2.0, self.y(one.low)));
                    path.close();
                    continue;
                }
                let upper = run.iter().map(|cell| (cell.x, self.y(cell.high)));
                let lower = run.iter().rev().map(|cell| (cell.x, self.y(cell.low)));
                for (n, at) in upper.chain(lower).enumerate() {
                    if n == 0 { path.go(at) } else { path.line(at) }
                }
                path.close();
            }
            path.fill(body, line.ink, " fill-opacity=\".16\"");
        }
    }

    /// The medians: a line where commits follow each other, a thin dashed one across those that were not measured and
    /// to values that were carried forward, none across a change of the scenario.
    fn medians(&self, body: &mut String) {
        for (line, cells) in self.chart.lines.iter().zip(&self.cells) {
            let (mut solid, mut dashed) = (Path::default(), Path::default());
            let mut before: Option<&Cell> = None;
            for cell in cells {
                let ends = cell.ends().map(|value| (cell.x, self.y(value)));
                if cell.joined() {
                    solid.line(ends[0]);
                } else {
                    if let Some(before) = before.filter(|_| cell.bridged()) {
                        dashed.go((before.x, self.y(before.ends()[1])));
                        dashed.line(ends[0]);
                    }
                    solid.go(ends[0]);
                }
                solid.line(ends[1]);
                before = Some(cell);
            }
            dashed.stroke(body, line.ink, 1.0, " stroke-dasharray=\"1.5 3\"");
            solid.stroke(body, line.ink, 1.6, " stroke-linejoin=\"round\"");
        }
    }

    /// A dot per run while these are few; else one per median while those are. A hollow one is carried forward.
    fn dots(&self, body: &mut String) {
        let all = || self.chart.lines.iter().flat_map(|line| self.chart.known(line).map(move |mark| (line, mark)));
        let runs: usize = all().map(|(_, mark)| mark.points.len()).sum();
        let few = runs <= DOTS;
        for (line, mark) in all().filter(|_| few) {
            for point in &mark.points {
                let (class, x, y) = (line.ink.class(), px(self.x(mark.commit)), px(self.y(point.value)));
                let dot = format!(
                    "<circle class=\"dot {class}\" fill=\"currentColor\" cx=\"{x}\" cy=\"{y}\" r=\"3\">{}</circle>",
                    tip(&point.title)
                );
                body.push_str(&linked(Some(&point.href), &dot));
            }
        }
        let roomy = all().count() <= DOTS && self.columns.is_exact();
        let alone = |marks: &[Mark]| marks.len() == 1;
        for (line, mark) in all() {
            let (class, x, y) = (line.ink.class(), px(self.x(mark.commit)), px(self.y(mark.median)));
            if mark.carried && roomy {
                let _ = write!(
                    body,
                    "<circle class=\"{class} hollow\" stroke=\"currentColor\" stroke-width=\"1.4\" cx=\"{x}\" \
                     cy=\"{y}\" r=\"3\">{}</circle>",
                    tip("carried forward: not measured on this commit")
                );
            } else if (roomy && !few) || (mark.points.is_empty() && (roomy || alone(&line.marks))) {
                let _ =
                    write!(body, "<circle class=\"{class}\" fill=\"currentColor\" cx=\"{x}\" cy=\"{y}\" r=\"2.2\"/>");
            }
        }
    }
}

#[cfg(test)]
mod tests;
