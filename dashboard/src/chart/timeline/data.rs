//! What the page's script is told.

use super::{Bar, Lane, Sheet, Trace};
use crate::chart::svg::{json_number, json_text};
use std::fmt::Write;

/// The most values of a line that are told.
const VALUES: usize = 300;

impl Sheet<'_, '_> {
    /// One JSON object in `<metadata>`; the module's doc says what is in it.
    pub(super) fn data(&self, body: &mut String) {
        body.push_str("<metadata>{\"lanes\":[");
        let (mut top, mut first) = (0, true);
        for run in self.chart.runs {
            top += run.label_height();
            for lane in &run.lanes {
                if !std::mem::take(&mut first) {
                    body.push(',');
                }
                self.lane_data(body, &run.label, lane, top + lane.heading());
                top += lane.outer_height();
            }
        }
        body.push_str("]}</metadata>");
    }

    fn lane_data(&self, body: &mut String, run: &str, lane: &Lane, top: u32) {
        let (divisor, unit) = self.axis(lane).unit();
        let _ = write!(
            body,
            "{{\"title\":{},\"run\":{},\"top\":{top},\"bottom\":{},\"divisor\":{divisor},\"unit\":{},\"lines\":[",
            json_text(&lane.title),
            json_text(run),
            top + lane.height(),
            json_text(unit)
        );
        for (n, trace) in lane.content.traces().iter().enumerate() {
            body.push_str(if n > 0 { "," } else { "" });
            line(body, trace);
        }
        body.push_str("],\"bars\":[");
        for (n, bar) in lane.content.bars().iter().take(VALUES).enumerate() {
            body.push_str(if n > 0 { "," } else { "" });
            self.bar(body, bar);
        }
        body.push_str("]}");
    }

    fn bar(&self, body: &mut String, bar: &Bar) {
        let _ = write!(
            body,
            "{{\"label\":{},\"class\":\"{}\",\"from\":{},\"to\":{}}}",
            json_text(&bar.label),
            bar.ink.class(),
            json_number(bar.from.max(0.0)),
            json_number(bar.to.unwrap_or(self.end))
        );
    }
}

fn line(body: &mut String, trace: &Trace) {
    let fold = trace.values.len().div_ceil(VALUES).max(1);
    let _ = write!(
        body,
        "{{\"label\":{},\"class\":\"{}\",\"step\":{},\"values\":[",
        json_text(&trace.label),
        trace.ink.class(),
        trace.interval_s * fold as f64
    );
    for (n, part) in trace.values.chunks(fold).enumerate() {
        body.push_str(if n > 0 { "," } else { "" });
        let largest = part.iter().copied().filter(|value| value.is_finite()).reduce(f64::max);
        body.push_str(&json_number(largest.unwrap_or(f64::NAN)));
    }
    body.push_str("]}");
}
