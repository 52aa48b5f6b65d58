//! One lane: its heading, its axis, its curves, strokes or bars.

use super::{Bar, Content, Lane, ROW, ROWS, Sheet, Trace};
use crate::chart::axis::Axis;
use crate::chart::canvas::Ink;
use crate::chart::grid::{Plot, grid};
use crate::chart::svg::{Anchor, Path, area, escape, fitted, px, rule, tip, wide, words, words_of};
use longhaul_record::text;
use std::fmt::Write;

impl Sheet<'_, '_> {
    pub(super) fn lane(&self, body: &mut String, lane: &Lane, top: u32) {
        self.lane_heading(body, lane, top);
        if lane.is_flat() {
            return;
        }
        let top = top + lane.heading();
        let plot = self.plot(top, top + lane.height());
        if let Content::Bars(bars) = &lane.content {
            return self.bars(body, bars, &plot);
        }
        let axis = self.axis(lane);
        if let Err(error) = grid(body, self.size, &plot, Some(&axis), None) {
            // The axis is lost, the curves are not.
            let _ = write!(body, "<desc>{}</desc>", escape(&error.to_string()));
        }
        for trace in lane.content.traces() {
            match lane.content {
                Content::Events(_) => self.strokes(body, trace, &plot, &axis),
                _ => self.curve(body, trace, &plot, &axis),
            }
        }
        if let Some(limit) = lane.limit.filter(|limit| *limit <= axis.high) {
            let y = plot.y(&axis, limit);
            rule(body, Ink::Soft, (plot.left, y), (plot.right, y), " stroke-dasharray=\"1 3\"");
            let label = format!("limit {}", text::trimmed(lane.unit.text(limit)));
            // At the left: what starts slowly leaves room there.
            words_of(body, "soft halo", (plot.left + 4.0, y - 4.0), Anchor::Start, &label);
        }
    }

    /// The title at the left; at the right the names of several traces, or what there is to remark.
    fn lane_heading(&self, body: &mut String, lane: &Lane, top: u32) {
        let (right, y) = (f64::from(self.size.width), f64::from(top) + 14.0);
        let traces = lane.content.traces();
        let mut left = right;
        if traces.len() > 1 && !lane.is_flat() && lane.remark.is_none() {
            for trace in traces.iter().rev() {
                let label = fitted(&trace.label, right / 4.0);
                words(body, trace.ink, (left, y), Anchor::End, &label);
                left -= wide(&label) + 10.0;
            }
        } else {
            let remark = lane.remark();
            words(body, Ink::Soft, (left, y), Anchor::End, &remark);
            left -= wide(&remark) + 10.0;
        }
        // Titles are bold and a little larger than what `fitted` counts with.
        words_of(body, "ink title halo", (0.0, y), Anchor::Start, &fitted(&lane.title, (left * 0.82).max(60.0)));
    }

    fn curve(&self, body: &mut String, trace: &Trace, plot: &Plot, axis: &Axis) {
        let mut path = Path::default();
        let mut gap = true;
        for (seconds, value) in thinned(trace, plot.width() as usize) {
            if !value.is_finite() {
                gap = true;
                continue;
            }
            let at = (self.x(seconds), plot.y(axis, value));
            if gap {
                path.go(at);
            } else {
                path.line(at);
            }
            gap = false;
        }
        path.stroke(body, trace.ink, 1.5, " stroke-linejoin=\"round\"");
    }

    /// One stroke per pixel at most, as high as the largest value in it.
    fn strokes(&self, body: &mut String, trace: &Trace, plot: &Plot, axis: &Axis) {
        let mut path = Path::default();
        for (seconds, value) in thinned(trace, plot.width() as usize).into_iter().filter(|(_, value)| *value > 0.0) {
            let x = self.x(seconds);
            path.go((x, plot.bottom));
            // One packet beside a burst of hundreds is still to be seen.
            path.line((x, plot.y(axis, value).min(plot.bottom - 3.0)));
        }
        path.stroke(body, trace.ink, 1.4, "");
    }

    /// Spans of time, each in the first row that is free. An end that was seen has an edge; what was there before, or still
    /// is at the end, has none.
    fn bars(&self, body: &mut String, bars: &[Bar], plot: &Plot) {
        for (bar, row) in bars.iter().zip(rows(bars)).filter(|(_, row)| *row < ROWS) {
            let (left, right) = (self.x(bar.from), bar.to.map_or(plot.right, |to| self.x(to)));
            let right = right.max(left + 2.0);
            let (y, height) = (plot.top + f64::from(ROW) * row as f64, f64::from(ROW) - 4.0);
            body.push_str("<g>");
            body.push_str(&tip(if bar.detail.is_empty() { &bar.label } else { &bar.detail }));
            area(body, bar.ink, (left, y), (right - left, height), " fill-opacity=\".22\"");
            let seen = [(bar.from >= 0.0, left), (bar.to.is_some(), right)];
            for (_, x) in seen.iter().filter(|(seen, _)| *seen) {
                let class = bar.ink.class();
                let _ = write!(
                    body,
                    "<path class=\"{class}\" stroke=\"currentColor\" stroke-width=\"1.6\" d=\"M{} {}v{}\"/>",
                    px(*x),
                    px(y),
                    px(height)
                );
            }
            let room = right - left - 10.0;
            if room > 18.0 && !bar.label.is_empty() {
                words(body, Ink::Text, (left + 5.0, y + 12.0), Anchor::Start, &fitted(&bar.label, room));
            }
            body.push_str("</g>");
        }
    }
}

/// The row of each bar: the first in which nothing is in its way.
pub(super) fn rows(bars: &[Bar]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..bars.len()).collect();
    order.sort_by(|a, b| bars[*a].from.total_cmp(&bars[*b].from));
    let mut ends: Vec<f64> = Vec::new();
    let mut out = vec![0; bars.len()];
    for n in order {
        let to = bars[n].to.unwrap_or(f64::INFINITY);
        let row = ends.iter().position(|end| *end <= bars[n].from).unwrap_or(ends.len());
        if row == ends.len() {
            ends.push(to);
        } else {
            ends[row] = to;
        }
        out[n] = row;
    }
    out
}

/// At most two points per pixel: where there are more, each bucket's smallest and largest value in their order, so that
/// no spike is lost. A bucket without a number is a gap.
pub(super) fn thinned(trace: &Trace, pixels: usize) -> Vec<(f64, f64)> {
    let point = |i: usize| (trace.at(i), trace.values[i]);
    let (count, pixels) = (trace.values.len(), pixels.max(1));
    if count <= pixels * 2 {
        return (0..count).map(point).collect();
    }
    let mut out = Vec::with_capacity(pixels * 2);
    for pixel in 0..pixels {
        let (from, to) = (pixel * count / pixels, (pixel + 1) * count / pixels);
        let known = || (from..to).filter(|i| trace.values[*i].is_finite());
        let by_value = |a: &usize, b: &usize| trace.values[*a].total_cmp(&trace.values[*b]);
        let (Some(low), Some(high)) = (known().min_by(by_value), known().max_by(by_value)) else {
            out.push((trace.at(from), f64::NAN));
            continue;
        };
        out.push(point(low.min(high)));
        if low != high {
            out.push(point(low.max(high)));
        }
    }
    out
}
