//! How the values of some sets are spread: the share of values at or below each value (ECDF), or boxes with every value
//! beside them. Medians are marked in both: a difference of means can hide everything.

use super::Size;
use super::axis::Axis;
use super::canvas::Ink;
use super::grid::{Plot, Ticks, grid};
use super::svg::{Anchor, Path, area, document_with, escape, fitted, heading, px, rule, wide, words};
use longhaul_record::{Unit, text};
use std::fmt::Write;

/// What to draw.
pub(crate) struct Distribution<'a> {
    /// The metric's title.
    pub(crate) title: &'a str,
    /// Which way is better, in words.
    pub(crate) better: &'a str,
    /// Unit of the values.
    pub(crate) unit: Unit,
    /// Outer width; the height follows from the kind.
    pub(crate) width: u32,
    /// How to draw it.
    pub(crate) kind: DistributionKind,
    /// What to compare.
    pub(crate) sets: Vec<Set>,
}

/// How values become shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DistributionKind {
    /// Steps from 0 to 100 %.
    Curves,
    /// A box from the first to the third quartile, whiskers to the outermost values, a dot per value.
    Boxes,
}

/// Some values of the same kind.
pub(crate) struct Set {
    /// Its name.
    pub(crate) label: String,
    /// Its colour.
    pub(crate) ink: Ink,
    /// The values, in any order. What is no number is left out.
    pub(crate) values: Vec<f64>,
}

const LEFT: u32 = 78;
const RIGHT: u32 = 16;
const BOTTOM: u32 = 26;
/// Height of a box with its name, and of the curves.
const ROW: u32 = 54;
const CURVES: u32 = 200;
/// The most values of a set that are drawn as dots.
const DOTS: usize = 200;

/// The chart. Sets without a value are named and not drawn.
pub(crate) fn distribution(chart: &Distribution<'_>) -> String {
    let sets: Vec<(&Set, Vec<f64>)> = chart.sets.iter().map(|set| (set, sorted(&set.values))).collect();
    let top = if chart.kind == DistributionKind::Curves { 50 } else { 30 };
    let height = match chart.kind {
        DistributionKind::Curves => top + CURVES + BOTTOM,
        DistributionKind::Boxes => top + ROW * sets.len().max(1) as u32 + BOTTOM,
    };
    let size = Size { width: chart.width, height };
    let left = if chart.kind == DistributionKind::Curves { LEFT } else { 36 };
    let plot = Plot::within(size, left, RIGHT + 20, top, BOTTOM);
    let values = sets.iter().flat_map(|(_, values)| [values.first(), values.last()]).flatten().copied();
    let wanted = (chart.width / 140).clamp(2, 7);
    let axis = Axis::around(values.clone(), chart.unit, wanted);
    let mut body = String::new();
    let notes = [Some(chart.better.to_string()), axis.note()].into_iter().flatten().filter(|note| !note.is_empty());
    heading(&mut body, chart.width, chart.title, &notes.collect::<Vec<_>>().join(" · "));
    if values.count() == 0 {
        let middle = (f64::from(chart.width) / 2.0, f64::from(height) / 2.0);
        words(&mut body, Ink::Soft, middle, Anchor::Middle, "no run has measured this yet");
    } else {
        let sheet = Sheet { plot, axis, unit: chart.unit };
        sheet.ground(&mut body, size, chart.kind);
        match chart.kind {
            DistributionKind::Curves => sheet.curves(&mut body, &sets),
            DistributionKind::Boxes => sheet.boxes(&mut body, &sets),
        }
    }
    let attributes = format!(" data-chart=\"distribution\"{}", plot.attribute());
    document_with("chart", &attributes, size, chart.title, &chart.description(&sets), &body)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// A quantile of sorted values, linear between neighbours (type 7 of Hyndman and Fan, "Sample Quantiles in Statistical
/// Packages", 1996).
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}

impl Distribution<'_> {
    fn description(&self, sets: &[(&Set, Vec<f64>)]) -> String {
        let mut out = String::new();
        for (set, values) in sets {
            let [low, median, high] = [0.0, 0.5, 1.0].map(|share| quantile(values, share));
            let Some(((low, median), high)) = low.zip(median).zip(high) else {
                let _ = write!(out, "{}: nothing measured. ", set.label);
                continue;
            };
            let [low, median, high] = [low, median, high].map(|value| self.unit.text(value));
            let _ = write!(out, "{}: {} values from {low} to {high}, median {median}. ", set.label, values.len());
        }
        out.trim_end().into()
    }
}

struct Sheet {
    plot: Plot,
    axis: Axis,
    unit: Unit,
}

impl Sheet {
    fn x(&self, value: f64) -> f64 {
        self.plot.x(self.axis.share(value).clamp(0.0, 1.0))
    }

    fn share(&self, share: f64) -> f64 {
        self.plot.bottom - share * self.plot.height()
    }

    /// The value axis below; for curves the shares at the left, for boxes a rule at each tick.
    fn ground(&self, body: &mut String, size: Size, kind: DistributionKind) {
        let at: Vec<f64> = self.axis.ticks.iter().map(|tick| self.axis.share(*tick)).collect();
        let value = |share: f64| self.axis.low + share * (self.axis.high - self.axis.low);
        let label = |share: f64| self.axis.label(value(share));
        for share in at.iter().filter(|_| kind == DistributionKind::Boxes) {
            let x = self.plot.x(*share);
            rule(body, Ink::Rule, (x, self.plot.top), (x, self.plot.bottom), "");
        }
        let shares = [(0.0, "0"), (0.25, ""), (0.5, "50 %"), (0.75, ""), (1.0, "100 %")];
        for (share, label) in shares.iter().filter(|_| kind == DistributionKind::Curves) {
            let y = self.share(*share);
            rule(body, Ink::Rule, (self.plot.left, y), (self.plot.right, y), "");
            if !label.is_empty() {
                words(body, Ink::Soft, (self.plot.left - 10.0, y + 4.0), Anchor::End, label);
            }
        }
        if let Err(error) = grid(body, size, &self.plot, None, Some(&Ticks { at, label: &label })) {
            let _ = write!(body, "<desc>{}</desc>", escape(&error.to_string()));
        }
    }

    /// A step at every value; the median is a dot on the line at 50 %. Names are in a legend, in the order of the medians.
    fn curves(&self, body: &mut String, sets: &[(&Set, Vec<f64>)]) {
        for (set, values) in sets.iter().filter(|(_, values)| !values.is_empty()) {
            let mut path = Path::default();
            path.go((self.plot.left, self.plot.bottom));
            let count = values.len();
            // More steps than pixels would only be bytes.
            let every = count.div_ceil(self.plot.width() as usize * 2).max(1);
            for n in (0..count).filter(|n| n % every == 0 || n + 1 == count) {
                let x = self.x(values[n]);
                path.line((x, self.share(n as f64 / count as f64)));
                path.line((x, self.share((n + 1) as f64 / count as f64)));
            }
            path.line((self.plot.right, self.plot.top));
            path.stroke(body, set.ink, 1.6, " stroke-linejoin=\"round\"");
        }
        let mut right = self.plot.right + 36.0;
        for (set, values) in sets.iter().rev() {
            let median = quantile(values, 0.5);
            if let Some(median) = median {
                let (x, y) = (self.x(median), self.share(0.5));
                rule(body, set.ink, (x, y), (x, self.plot.bottom), " stroke-dasharray=\"2 3\"");
                let (class, x, y) = (set.ink.class(), px(x), px(y));
                let _ =
                    write!(body, "<circle class=\"{class}\" fill=\"currentColor\" cx=\"{x}\" cy=\"{y}\" r=\"3.5\"/>");
            }
            let median = median.map_or_else(|| "–".into(), |median| text::trimmed(self.unit.text(median)));
            let label = format!("{} {median}", fitted(&set.label, self.plot.width() / 3.0));
            words(body, set.ink, (right, self.plot.top - 14.0), Anchor::End, &label);
            right -= wide(&label) + 12.0;
        }
        let label = "share of runs up to";
        if wide(label) <= right {
            words(body, Ink::Soft, (0.0, self.plot.top - 14.0), Anchor::Start, label);
        }
    }

    fn boxes(&self, body: &mut String, sets: &[(&Set, Vec<f64>)]) {
        for (n, (set, values)) in sets.iter().enumerate() {
            let top = self.plot.top + f64::from(ROW) * n as f64;
            let median =
                quantile(values, 0.5).map_or_else(|| "nothing measured".into(), |median| self.unit.text(median));
            words(body, set.ink, (0.0, top + 12.0), Anchor::Start, &fitted(&set.label, self.plot.width() * 0.6));
            words(body, Ink::Soft, (self.plot.right + 36.0, top + 12.0), Anchor::End, &median);
            self.one_box(body, set, values, top + 30.0);
        }
    }

    fn one_box(&self, body: &mut String, set: &Set, values: &[f64], y: f64) {
        let all = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| quantile(values, share));
        let [Some(low), Some(first), Some(median), Some(third), Some(high)] = all else { return };
        let [low, first, median, third, high] = [low, first, median, third, high].map(|value| self.x(value));
        if values.len() <= DOTS {
            for (n, value) in values.iter().enumerate() {
                // Spread over three heights, so that equal values do not hide each other.
                let y = y + f64::from((n % 3) as u32) * 3.0 - 3.0;
                let (class, x, y) = (set.ink.class(), px(self.x(*value)), px(y));
                let _ = write!(
                    body,
                    "<circle class=\"{class}\" fill=\"currentColor\" fill-opacity=\".45\" cx=\"{x}\" cy=\"{y}\" r=\"2\"/>"
                );
            }
        }
        rule(body, set.ink, (low, y), (first, y), "");
        rule(body, set.ink, (third, y), (high, y), "");
        area(body, set.ink, (first, y - 9.0), ((third - first).max(1.0), 18.0), " fill-opacity=\".18\"");
        let mut middle = Path::default();
        middle.go((median, y - 11.0));
        middle.line((median, y + 11.0));
        middle.stroke(body, set.ink, 2.5, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::testing::{HOSTILE, check, picture};

    fn set(label: &str, ink: Ink, level: f64, count: usize) -> Set {
        let value = |n: usize| level * (1.0 + 0.002 * ((n * 7919) % 23) as f64 - 0.001 * ((n * 31) % 17) as f64);
        Set { label: label.into(), ink, values: (0..count).map(value).collect() }
    }

    fn chart(width: u32, kind: DistributionKind) -> Distribution<'static> {
        let sets = vec![set("1a2b3c4", Ink::Soft, 88e6, 24), set("5d6e7f8", Ink::Subject(0), 86e6, 24)];
        Distribution { title: "Goodput", better: "↑ better", unit: Unit::BitsPerSecond, width, kind, sets }
    }

    #[test]
    fn distributions_look_like_this() {
        for kind in [DistributionKind::Curves, DistributionKind::Boxes] {
            insta::assert_snapshot!(distribution(&chart(348, kind)));
            picture(&format!("distribution-{kind:?}-wide"), &distribution(&chart(720, kind)));
            picture(&format!("distribution-{kind:?}-small"), &distribution(&chart(348, kind)));
        }
    }

    #[test]
    fn quantiles_of_known_values() {
        let rows: [(&[f64], f64, Option<f64>); 6] = [
            (&[], 0.5, None),
            (&[3.0], 0.9, Some(3.0)),
            (&[1.0, 2.0], 0.5, Some(1.5)),
            (&[1.0, 2.0, 3.0, 4.0], 0.25, Some(1.75)),
            (&[1.0, 2.0, 3.0, 4.0], 1.0, Some(4.0)),
            (&[1.0, 5.0, 9.0], 0.5, Some(5.0)),
        ];
        for (values, share, expect) in rows {
            assert_eq!(quantile(values, share), expect);
        }
    }

    #[test]
    fn odd_sets_are_drawn_without_odd_numbers() {
        for kind in [DistributionKind::Curves, DistributionKind::Boxes] {
            for values in [vec![], vec![f64::NAN], vec![0.0], vec![5.0; 9], vec![-1.0, 1.0], vec![1.0; 100_000]] {
                let sets = vec![Set { label: "a".into(), ink: Ink::Soft, values }, set("b", Ink::Soft, 4.0, 3)];
                let svg = distribution(&Distribution { sets, ..chart(348, kind) });
                check(&svg);
                assert!(svg.len() < 40_000, "{} bytes", svg.len());
            }
            let none = distribution(&Distribution { sets: vec![], ..chart(348, kind) });
            check(&none);
            assert!(none.contains("no run has measured this yet"));
        }
    }

    #[test]
    fn hostile_texts_stay_texts() {
        for text in HOSTILE {
            for kind in [DistributionKind::Curves, DistributionKind::Boxes] {
                let sets = vec![set(text, Ink::Soft, 88e6, 5), set(text, Ink::Bad, 1e6, 0)];
                check(&distribution(&Distribution { title: text, better: text, sets, ..chart(348, kind) }));
            }
        }
    }
}
