//! One run over time: lanes above each other on one time axis.

use super::Size;
use super::axis::{Axis, Span};
use super::canvas::{Canvas, Ink, UNIT};
use super::svg::{document, escape};
use longhaul_record::Unit;
use plotters::prelude::*;
use std::error::Error;
use std::fmt::Write;

/// One lane.
pub(crate) struct Lane {
    /// What it shows, with its unit where the axis does not say it.
    pub(crate) title: String,
    /// Unit of the values.
    pub(crate) unit: Unit,
    /// How to draw them.
    pub(crate) kind: LaneKind,
    /// What is drawn, the most important last. Empty: the lane was not measured.
    pub(crate) traces: Vec<Trace>,
}

/// How values become shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LaneKind {
    /// A line; tall.
    Rate,
    /// A line; low.
    Level,
    /// A bar where the value is above zero; lowest.
    Events,
}

/// Values at equal intervals.
pub(crate) struct Trace {
    /// Its name.
    pub(crate) label: String,
    /// Its colour.
    pub(crate) ink: Ink,
    /// Width of an interval, in seconds.
    pub(crate) interval_s: f64,
    /// One per interval, from the clock's zero.
    pub(crate) values: Vec<f64>,
}

const LEFT: u32 = 78;
const RIGHT: u32 = 30;
const TITLE: u32 = 34;
const GAP: u32 = 14;
const BOTTOM: u32 = 26;

/// The chart, `width` wide and as high as its lanes, with a numbered line through all of them at each of `marks`, in
/// seconds. `title` is for those who cannot see it.
pub(crate) fn timeline(title: &str, width: u32, lanes: &[Lane], marks: &[f64]) -> String {
    let end = lanes.iter().flat_map(|lane| &lane.traces).map(Trace::end).fold(0.0, f64::max);
    let height = lanes.iter().map(|lane| lane.outer_height()).sum::<u32>() + BOTTOM;
    let size = Size { width, height };
    let seconds = Axis::between(0.0, end, Unit::Seconds, (width / 120).clamp(3, 10));
    let mut body = String::new();
    if end > 0.0 {
        draw_marks(&mut body, size, marks, end);
    }
    let mut top = 0;
    for lane in lanes {
        heading(&mut body, lane, top, width);
        if !lane.is_flat() {
            let drawn = draw_lane(&mut body, size, lane, top + TITLE, end);
            if let Err(error) = drawn {
                let _ = write!(body, "<desc>{}</desc>", escape(&error.to_string()));
            }
        }
        top += lane.outer_height();
    }
    if end <= 0.0 {
        return document("chart timeline", size, title, &description(lanes, end), &body);
    }
    if let Err(error) = draw_time(&mut body, size, &seconds, end) {
        let _ = write!(body, "<desc>{}</desc>", escape(&error.to_string()));
    }
    document("chart timeline", size, title, &description(lanes, end), &body)
}

impl Trace {
    fn end(&self) -> f64 {
        self.interval_s * self.values.len() as f64
    }

    fn peak(&self) -> f64 {
        self.values.iter().copied().fold(0.0, f64::max)
    }

    /// The middle of interval `i`.
    fn at(&self, i: usize) -> f64 {
        (i as f64 + 0.5) * self.interval_s
    }
}

impl Lane {
    fn height(&self) -> u32 {
        match self.kind {
            _ if self.is_flat() => 0,
            LaneKind::Rate => 150,
            LaneKind::Level => 70,
            LaneKind::Events => 34,
        }
    }

    /// With its heading and the gap below it.
    fn outer_height(&self) -> u32 {
        if self.is_flat() { 24 + GAP } else { TITLE + self.height() + GAP }
    }

    fn peak(&self) -> f64 {
        self.traces.iter().map(Trace::peak).fold(0.0, f64::max)
    }

    /// Nothing to draw: not measured, or zero throughout. Its heading says which.
    fn is_flat(&self) -> bool {
        self.peak() <= 0.0
    }

    fn remark(&self) -> String {
        match (self.traces.is_empty(), self.is_flat(), self.kind) {
            (true, ..) => "not measured".into(),
            (false, true, _) => "none throughout".into(),
            (false, false, LaneKind::Events) => {
                let total: f64 = self.traces.iter().flat_map(|trace| &trace.values).sum();
                format!("{} in all", self.unit.text(total))
            }
            _ => format!("peak {}", self.unit.text(self.peak())),
        }
    }
}

fn description(lanes: &[Lane], end: f64) -> String {
    let mut out = format!("Over {}.", Unit::Seconds.text(end));
    for lane in lanes {
        let _ = write!(out, " {}: {}.", lane.title, lane.remark());
    }
    out
}

/// The lane's name, the names of its traces in their colours, and its most important number.
fn heading(body: &mut String, lane: &Lane, top: u32, width: u32) {
    let y = top + 15;
    let _ = write!(
        body,
        "<text class=\"ink title\" fill=\"currentColor\" x=\"0\" y=\"{y}\">{}</text>",
        escape(&lane.title)
    );
    if lane.traces.len() > 1 {
        let _ = write!(body, "<text x=\"{width}\" y=\"{y}\" text-anchor=\"end\">");
        for (i, trace) in lane.traces.iter().rev().enumerate() {
            let gap = if i == 0 { "" } else { " dx=\"12\"" };
            let (class, label) = (trace.ink.class(), escape(&trace.label));
            let _ = write!(body, "<tspan class=\"{class}\" fill=\"currentColor\"{gap}>{label}</tspan>");
        }
        body.push_str("</text>");
    } else {
        let remark = escape(&lane.remark());
        let _ = write!(
            body,
            "<text class=\"soft\" fill=\"currentColor\" x=\"{width}\" y=\"{y}\" text-anchor=\"end\">{remark}</text>"
        );
    }
}

fn draw_lane(body: &mut String, size: Size, lane: &Lane, top: u32, end: f64) -> Result<(), Box<dyn Error>> {
    let ticks = if lane.kind == LaneKind::Rate { 5 } else { 2 };
    let axis = Axis::up_to(lane.peak(), lane.unit, ticks);
    let root = Canvas::new(body, size.width, size.height).into_drawing_area();
    let mut plot = ChartBuilder::on(&root)
        .margin_top(top as i32 * UNIT)
        .margin_bottom((size.height - top - lane.height()) as i32 * UNIT)
        .margin_right(RIGHT as i32 * UNIT)
        .set_label_area_size(LabelAreaPosition::Left, LEFT as i32 * UNIT)
        .build_cartesian_2d(Span::new(0.0..end, vec![]), axis.span())
        .map_err(|error| error.to_string())?;
    let label = ("sans-serif", 11.5 * f64::from(UNIT)).into_font().color(&Ink::Soft.color());
    plot.configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .max_light_lines(0)
        .bold_line_style(Ink::Rule.line(10))
        .axis_style(TRANSPARENT)
        .set_all_tick_mark_size(6 * UNIT)
        .label_style(label)
        .y_label_formatter(&|y| axis.label(*y))
        .draw()
        .map_err(|error| error.to_string())?;
    let pixels = (size.width - LEFT - RIGHT) as usize;
    for trace in &lane.traces {
        if lane.kind == LaneKind::Events {
            let event = |(i, value): (usize, &f64)| {
                let x = trace.at(i);
                PathElement::new(vec![(x, 0.0), (x, *value)], trace.ink.line(14))
            };
            let events = trace.values.iter().enumerate().filter(|(_, value)| **value > 0.0).map(event);
            plot.draw_series(events).map_err(|error| error.to_string())?;
        } else {
            let points = thinned(trace, pixels);
            plot.draw_series(LineSeries::new(points, trace.ink.line(15))).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// What happened on the way: behind the curves, each with its number below the first lane's heading.
fn draw_marks(body: &mut String, size: Size, marks: &[f64], end: f64) {
    let plot = f64::from(size.width - LEFT - RIGHT);
    for (n, mark) in marks.iter().enumerate().filter(|(_, mark)| (0.0..=end).contains(*mark)) {
        let x = f64::from(LEFT) + mark / end * plot;
        let (top, bottom) = (TITLE, size.height - BOTTOM);
        let _ = write!(
            body,
            "<path class=\"soft\" stroke=\"currentColor\" stroke-dasharray=\"2 3\" d=\"M{x:.1} {top}V{bottom}\"/>\
             <text class=\"soft\" fill=\"currentColor\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            top - 4,
            n + 1
        );
    }
}

/// The time axis below all lanes.
fn draw_time(body: &mut String, size: Size, seconds: &Axis, end: f64) -> Result<(), Box<dyn Error>> {
    let root = Canvas::new(body, size.width, size.height).into_drawing_area();
    let ticks: Vec<f64> = seconds.ticks.iter().copied().filter(|tick| *tick <= end * 1.0001).collect();
    let mut plot = ChartBuilder::on(&root)
        .margin_top((size.height - BOTTOM - 1) as i32 * UNIT)
        .margin_right(RIGHT as i32 * UNIT)
        .margin_left(LEFT as i32 * UNIT)
        .set_label_area_size(LabelAreaPosition::Bottom, BOTTOM as i32 * UNIT)
        .build_cartesian_2d(Span::new(0.0..end, ticks), Span::new(0.0..1.0, vec![]))
        .map_err(|error| error.to_string())?;
    let label = ("sans-serif", 11.5 * f64::from(UNIT)).into_font().color(&Ink::Soft.color());
    plot.configure_mesh()
        .disable_mesh()
        .axis_style(Ink::Rule.line(10))
        .set_all_tick_mark_size(3 * UNIT)
        .label_style(label)
        .x_label_formatter(&|x| seconds.label(*x))
        .draw()
        .map_err(|error| error.to_string())?;
    Ok(())
}

/// At most two points per pixel: where there are more, each bucket's smallest and largest value in their order, so that
/// no spike is lost.
fn thinned(trace: &Trace, pixels: usize) -> Vec<(f64, f64)> {
    let point = |i: usize| (trace.at(i), trace.values[i]);
    let count = trace.values.len();
    if count <= pixels * 2 {
        return (0..count).map(point).collect();
    }
    let mut out = Vec::with_capacity(pixels * 2);
    for pixel in 0..pixels {
        let (from, to) = (pixel * count / pixels, (pixel + 1) * count / pixels);
        let by_value = |a: &usize, b: &usize| trace.values[*a].total_cmp(&trace.values[*b]);
        let low = (from..to).min_by(by_value).unwrap_or(from);
        let high = (from..to).max_by(by_value).unwrap_or(from);
        out.push(point(low.min(high)));
        if low != high {
            out.push(point(low.max(high)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(label: &str, ink: Ink, values: &[f64]) -> Trace {
        Trace { label: label.into(), ink, interval_s: 0.05, values: values.into() }
    }

    #[test]
    fn timelines_look_like_this() {
        let rates = [0.0, 20e6, 90e6, 94e6, 93e6, 95e6, 91e6, 94e6];
        let lanes = [
            Lane {
                title: "Throughput".into(),
                unit: Unit::BitsPerSecond,
                kind: LaneKind::Rate,
                traces: vec![
                    trace("wire", Ink::Soft, &rates.map(|rate| rate * 1.07)),
                    trace("payload", Ink::Subject(0), &rates),
                ],
            },
            Lane {
                title: "Queue".into(),
                unit: Unit::Seconds,
                kind: LaneKind::Level,
                traces: vec![trace("queue", Ink::Queue, &[0.0, 0.01, 0.03, 0.042, 0.04, 0.03, 0.03, 0.03])],
            },
            Lane {
                title: "Lost packets".into(),
                unit: Unit::Count,
                kind: LaneKind::Events,
                traces: vec![trace("lost", Ink::Bad, &[0.0, 0.0, 3.0, 0.0, 1.0, 0.0, 0.0, 0.0])],
            },
            Lane { title: "Missing".into(), unit: Unit::Count, kind: LaneKind::Level, traces: vec![] },
            Lane {
                title: "Quiet".into(),
                unit: Unit::Seconds,
                kind: LaneKind::Level,
                traces: vec![trace("quiet", Ink::Queue, &[0.0; 8])],
            },
        ];
        insta::assert_snapshot!(timeline("a run", 360, &lanes, &[0.4, 99.0]));
        let nothing = [Lane { title: "Missing".into(), unit: Unit::Count, kind: LaneKind::Rate, traces: vec![] }];
        insta::assert_snapshot!(timeline("nothing", 360, &nothing, &[0.4]));
    }

    #[test]
    fn thinning_keeps_every_spike() {
        let mut values = vec![1.0; 10_000];
        values[4321] = 99.0;
        values[7777] = -5.0;
        let thin = thinned(&trace("x", Ink::Soft, &values), 300);
        assert!(thin.len() <= 600);
        assert!(thin.iter().any(|(_, value)| *value == 99.0) && thin.iter().any(|(_, value)| *value == -5.0));
        assert!(thin.is_sorted_by(|a, b| a.0 < b.0));
    }
}
