//! Runs over time: lanes above each other on one time axis. Two runs above each other share the time axis and, lane by
//! lane, the value axes, so that equal heights and places are equal values and moments.
//!
//! # For the page's script
//!
//! The `<svg>` element has `data-chart="timeline"`, `data-plot="x0 y0 x1 y1"` (the plot area in units of the view box: time
//! runs from `x0` to `x1`) and `data-end` (seconds at `x1`; 0 at `x0`). `<metadata>` holds one JSON object:
//!
//! ```text
//! {"lanes":[{"title":"Throughput","run":"","top":34,"bottom":184,"divisor":1000000,"unit":"Mbit/s",
//!   "lines":[{"label":"payload","class":"c0","step":0.05,"values":[0,2e7,…]}],
//!   "bars":[{"label":"direct","class":"good","from":0.186,"to":11.9}]}]}
//! ```
//!
//! Value `i` of a line is about the time from `i × step` to `(i + 1) × step` seconds: the largest value in it, `null` where
//! there is none; `run` is the section's label.

mod data;
mod lanes;

use super::Size;
use super::axis::Axis;
use super::canvas::Ink;
use super::grid::{Plot, Ticks, grid};
use super::svg::{Anchor, area, document_with, escape, fitted, rule, tip, words, words_of};
use longhaul_record::{Unit, text};
use std::fmt::Write;

/// What to draw.
pub(crate) struct Timeline<'a> {
    /// For those who cannot see it.
    pub(crate) title: &'a str,
    /// Outer width; the height is what the lanes need.
    pub(crate) width: u32,
    /// One run each.
    pub(crate) runs: &'a [Section],
}

/// One run.
#[derive(Default)]
pub(crate) struct Section {
    /// Written above its lanes; may be empty where there is only one.
    pub(crate) label: String,
    /// Its lanes, from top to bottom.
    pub(crate) lanes: Vec<Lane>,
    /// Moments at which something happened to the network, in seconds: numbered lines through all lanes.
    pub(crate) marks: Vec<f64>,
    /// Spans in which nothing came, in seconds: shaded through all lanes.
    pub(crate) stalls: Vec<(f64, f64)>,
}

/// One lane.
pub(crate) struct Lane {
    /// What it shows, with its unit where the axis does not say it.
    pub(crate) title: String,
    /// Unit of the values.
    pub(crate) unit: Unit,
    /// What is drawn.
    pub(crate) content: Content,
    /// Lanes with the same group have the same value axis. Usually the title.
    pub(crate) group: String,
    /// The most that is physically possible, drawn where it is near.
    pub(crate) limit: Option<f64>,
    /// Stands at the right of the title, in place of what the chart would say.
    pub(crate) remark: Option<String>,
}

/// What a lane shows.
pub(crate) enum Content {
    /// Lines; tall. The most important last; none: it was not measured.
    Rate(Vec<Trace>),
    /// Lines; low.
    Level(Vec<Trace>),
    /// A stroke where a value is above zero; lowest.
    Events(Vec<Trace>),
    /// Spans of time in as many rows as they need.
    Bars(Vec<Bar>),
}

/// Values at equal intervals.
pub(crate) struct Trace {
    /// Its name.
    pub(crate) label: String,
    /// Its colour.
    pub(crate) ink: Ink,
    /// Width of an interval, in seconds.
    pub(crate) interval_s: f64,
    /// One per interval, from the clock's zero. What is no number is a gap.
    pub(crate) values: Vec<f64>,
}

/// A span of time.
pub(crate) struct Bar {
    /// Start in seconds; below zero: it was there before.
    pub(crate) from: f64,
    /// End in seconds; `None`: it was there at the end.
    pub(crate) to: Option<f64>,
    /// Written in it as far as there is room.
    pub(crate) label: String,
    /// Its colour.
    pub(crate) ink: Ink,
    /// What hovering says.
    pub(crate) detail: String,
}

/// Room at the left for tick labels; at the right; for a lane's heading; between lanes; for the time axis; for a run's label.
const LEFT: u32 = 78;
const RIGHT: u32 = 30;
const TITLE: u32 = 34;
const GAP: u32 = 14;
const BOTTOM: u32 = 26;
const LABEL: u32 = 30;
/// Height of a row of bars, and how many rows there may be.
const ROW: u32 = 20;
const ROWS: usize = 8;

/// The chart.
pub(crate) fn timeline(chart: &Timeline<'_>) -> String {
    let end = chart.end();
    let height = chart.runs.iter().map(Section::height).sum::<u32>() + BOTTOM;
    let size = Size { width: chart.width, height };
    let sheet = Sheet { chart, size, end };
    let mut body = String::new();
    let mut top = 0;
    for run in chart.runs {
        sheet.section(&mut body, run, top);
        top += run.height();
    }
    if end > 0.0 {
        sheet.time(&mut body);
    }
    sheet.data(&mut body);
    let plot = sheet.plot(0, height.saturating_sub(BOTTOM).max(1));
    let attributes = format!(" data-chart=\"timeline\"{} data-end=\"{end}\"", plot.attribute());
    document_with("chart timeline", &attributes, size, chart.title, &sheet.description(), &body)
}

impl Timeline<'_> {
    fn end(&self) -> f64 {
        let lanes = || self.runs.iter().flat_map(|run| &run.lanes);
        let traces = lanes().flat_map(|lane| lane.content.traces()).map(Trace::end);
        let bars = lanes().flat_map(|lane| lane.content.bars()).map(|bar| bar.to.unwrap_or(bar.from));
        traces.chain(bars).filter(|end| end.is_finite()).fold(0.0, f64::max)
    }
}

impl Trace {
    fn end(&self) -> f64 {
        self.interval_s * self.values.len() as f64
    }

    fn peak(&self) -> f64 {
        self.values.iter().copied().filter(|value| value.is_finite()).fold(0.0, f64::max)
    }

    /// The middle of interval `i`.
    fn at(&self, i: usize) -> f64 {
        (i as f64 + 0.5) * self.interval_s
    }
}

impl Content {
    fn traces(&self) -> &[Trace] {
        match self {
            Content::Rate(traces) | Content::Level(traces) | Content::Events(traces) => traces,
            Content::Bars(_) => &[],
        }
    }

    fn bars(&self) -> &[Bar] {
        if let Content::Bars(bars) = self { bars } else { &[] }
    }
}

impl Lane {
    /// A lane with an axis of its own, without a limit.
    pub(crate) fn new(title: impl Into<String>, unit: Unit, content: Content) -> Lane {
        let title = title.into();
        Lane { group: title.clone(), title, unit, content, limit: None, remark: None }
    }

    fn height(&self) -> u32 {
        match &self.content {
            _ if self.is_flat() => 0,
            Content::Rate(_) => 150,
            Content::Level(_) => 70,
            Content::Events(_) => 34,
            Content::Bars(bars) => ROW * self.rows(bars) as u32,
        }
    }

    /// With its heading and the gap below it.
    fn outer_height(&self) -> u32 {
        match &self.content {
            _ if self.is_flat() => 24 + GAP,
            Content::Bars(_) => 24 + self.height() + GAP,
            _ => TITLE + self.height() + GAP,
        }
    }

    /// From the heading's top to the values'.
    fn heading(&self) -> u32 {
        if matches!(self.content, Content::Bars(_)) { 24 } else { TITLE }
    }

    fn rows(&self, bars: &[Bar]) -> usize {
        let rows = lanes::rows(bars);
        rows.iter().map(|row| row + 1).max().unwrap_or(0).min(ROWS)
    }

    fn peak(&self) -> f64 {
        self.content.traces().iter().map(Trace::peak).fold(0.0, f64::max)
    }

    /// Nothing to draw: not measured, or zero throughout. Its heading says which.
    fn is_flat(&self) -> bool {
        match &self.content {
            Content::Bars(bars) => bars.is_empty(),
            _ => self.peak() <= 0.0,
        }
    }

    fn remark(&self) -> String {
        if let Some(remark) = &self.remark {
            return remark.clone();
        }
        match (&self.content, self.is_flat()) {
            (Content::Bars(_), true) => "none".into(),
            (Content::Bars(bars), false) => {
                let hidden = lanes::rows(bars).iter().filter(|row| **row >= ROWS).count();
                let hidden = if hidden > 0 { format!(", {hidden} of them not drawn") } else { String::new() };
                format!("{}{hidden}", bars.len())
            }
            (content, true) if content.traces().is_empty() => "not measured".into(),
            (_, true) => "none throughout".into(),
            (Content::Events(traces), false) => {
                let total: f64 = traces.iter().flat_map(|trace| &trace.values).filter(|value| value.is_finite()).sum();
                format!("{} in all", self.unit.text(total))
            }
            _ => format!("peak {}", self.unit.text(self.peak())),
        }
    }
}

impl Section {
    fn height(&self) -> u32 {
        self.label_height() + self.lanes.iter().map(Lane::outer_height).sum::<u32>()
    }

    fn label_height(&self) -> u32 {
        if self.label.is_empty() { 0 } else { LABEL }
    }
}

/// What the parts of the drawing have in common.
struct Sheet<'a, 'b> {
    chart: &'b Timeline<'a>,
    size: Size,
    /// Seconds at the right edge.
    end: f64,
}

impl Sheet<'_, '_> {
    fn plot(&self, top: u32, bottom: u32) -> Plot {
        Plot::within(self.size, LEFT, RIGHT, top, self.size.height.saturating_sub(bottom))
    }

    /// Where a moment is, within the plot.
    fn x(&self, seconds: f64) -> f64 {
        let share = if self.end > 0.0 { (seconds / self.end).clamp(0.0, 1.0) } else { 0.0 };
        self.plot(0, 1).x(share)
    }

    /// A lane's value axis: the one of all lanes of its group.
    fn axis(&self, lane: &Lane) -> Axis {
        let lanes = self.chart.runs.iter().flat_map(|run| &run.lanes).filter(|other| other.group == lane.group);
        let peak = lanes.clone().map(Lane::peak).fold(0.0, f64::max);
        let limits = lanes.filter_map(|lane| lane.limit).filter(|limit| *limit <= peak * 1.6);
        let ticks = if matches!(lane.content, Content::Rate(_)) { 5 } else { 2 };
        Axis::up_to(limits.fold(peak, f64::max), lane.unit, ticks)
    }

    fn section(&self, body: &mut String, run: &Section, top: u32) {
        let bottom = top + run.height();
        if !run.label.is_empty() {
            let label = fitted(&run.label, f64::from(self.size.width) - 8.0);
            words_of(body, "ink title", (0.0, f64::from(top) + 14.0), Anchor::Start, &label);
            let y = f64::from(top) + 20.0;
            rule(body, Ink::Rule, (0.0, y), (f64::from(self.size.width), y), "");
        }
        let top = top + run.label_height();
        if self.end > 0.0 {
            self.stalls(body, run, top, bottom);
            self.marks(body, run, top, bottom);
        }
        let mut at = top;
        for lane in &run.lanes {
            self.lane(body, lane, at);
            at += lane.outer_height();
        }
    }

    /// Spans in which nothing came, behind everything; long ones with their length.
    fn stalls(&self, body: &mut String, run: &Section, top: u32, bottom: u32) {
        let (top, bottom) = (f64::from(top + TITLE), f64::from(bottom - GAP));
        for (from, to) in run.stalls.iter().filter(|(from, to)| from < to && *from < self.end) {
            let (left, right) = (self.x(*from), self.x(*to));
            let label = format!("stall {}", text::trimmed(Unit::Seconds.text(to - from)));
            body.push_str("<g>");
            body.push_str(&tip(&label));
            area(body, Ink::Bad, (left, top), ((right - left).max(1.0), bottom - top), " fill-opacity=\".12\"");
            if super::svg::wide(&label) + 6.0 <= right - left {
                words(body, Ink::Bad, (f64::midpoint(left, right), top + 12.0), Anchor::Middle, &label);
            }
            body.push_str("</g>");
        }
    }

    /// What happened on the way: behind the curves, each with its number below the first lane's heading. Numbers that would
    /// stand on each other are joined: `2–4`.
    fn marks(&self, body: &mut String, run: &Section, top: u32, bottom: u32) {
        let (top, bottom) = (f64::from(top + TITLE), f64::from(bottom));
        let mut numbers: Vec<(f64, usize, usize)> = Vec::new();
        for (n, mark) in run.marks.iter().enumerate().filter(|(_, mark)| (0.0..=self.end).contains(*mark)) {
            let x = self.x(*mark);
            rule(body, Ink::Soft, (x, top), (x, bottom), " stroke-dasharray=\"2 3\"");
            match numbers.last_mut() {
                Some((at, _, last)) if (x - *at).abs() < 14.0 => *last = n + 1,
                _ => numbers.push((x, n + 1, n + 1)),
            }
        }
        for (x, first, last) in numbers {
            let number = if first == last { first.to_string() } else { format!("{first}–{last}") };
            words(body, Ink::Soft, (x, top - 4.0), Anchor::Middle, &number);
        }
    }

    /// The time axis below all lanes.
    fn time(&self, body: &mut String) {
        let seconds = Axis::between(0.0, self.end, Unit::Seconds, (self.size.width / 120).clamp(3, 10));
        let at = seconds.ticks.iter().map(|tick| tick / self.end).filter(|share| *share <= 1.0001).collect();
        let bottom = self.size.height.saturating_sub(BOTTOM);
        let plot = self.plot(bottom.saturating_sub(1), bottom);
        rule(body, Ink::Rule, (plot.left, plot.bottom), (plot.right, plot.bottom), "");
        let ticks = Ticks { at, label: &|share| seconds.label(share * self.end) };
        if let Err(error) = grid(body, self.size, &plot, None, Some(&ticks)) {
            let _ = write!(body, "<desc>{}</desc>", escape(&error.to_string()));
        }
    }

    fn description(&self) -> String {
        let mut out = format!("Over {}.", Unit::Seconds.text(self.end));
        for run in self.chart.runs {
            if !run.label.is_empty() {
                let _ = write!(out, " {}:", run.label);
            }
            for lane in &run.lanes {
                let _ = write!(out, " {}: {}.", lane.title, lane.remark());
            }
            if !run.stalls.is_empty() {
                let total: f64 = run.stalls.iter().map(|(from, to)| to - from).sum();
                let _ = write!(out, " Stalls: {}, {} in all.", run.stalls.len(), Unit::Seconds.text(total));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests;
