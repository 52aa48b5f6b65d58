//! What stands on the lines: thresholds, the limit, changes of the scenario, change points, flags, names.

use super::{Change, Line, RIGHT, Sheet, TOP};
use crate::chart::canvas::Ink;
use crate::chart::svg::{Anchor, fitted, linked, px, rule, tip, wide, words, words_of};
use longhaul_record::text;
use std::fmt::Write;

/// A change point's text stands on this baseline, above the plot.
const CHANGES: f64 = TOP as f64 - 8.0;

impl Sheet<'_, '_> {
    /// Dashed thresholds and the dotted physical limit, where they are on the axis.
    pub(super) fn boundaries(&self, body: &mut String) {
        let value = |value: f64| text::trimmed(self.chart.unit.text(value));
        let boundaries = self.chart.boundaries.iter();
        let boundaries = boundaries.map(|one| (one.value, format!("{} {}", one.label, value(one.value)), "6 4"));
        let ceiling = self.chart.ceiling.map(|limit| (limit, format!("physical limit {}", value(limit)), "1 3"));
        let inside =
            |(value, ..): &(f64, String, &str)| value.is_finite() && (0.0..=1.0).contains(&self.axis.share(*value));
        for (value, label, dash) in boundaries.chain(ceiling).filter(inside) {
            let y = self.y(value);
            let (from, to) = ((self.plot.left, y), (self.plot.right, y));
            let _ = write!(body, "<g>{}", tip(&label));
            rule(body, Ink::Soft, from, to, &format!(" stroke-dasharray=\"{dash}\""));
            let label = fitted(label.trim(), self.plot.width() - 8.0);
            let (at, anchor, crowd) = self.free_place(y, wide(&label));
            if crowd == 0 || !self.chart.is_narrow() {
                words_of(body, "soft halo", at, anchor, &label);
            }
            body.push_str("</g>");
        }
    }

    /// Where a text on a horizontal line stands: at its left or right end, above or below it, wherever the fewest values
    /// are in its way; and how many these are.
    fn free_place(&self, y: f64, width: f64) -> ((f64, f64), Anchor, usize) {
        let (left, right) = (self.plot.left + 4.0, self.plot.right - 4.0);
        let sides = [(left, left, Anchor::Start), (right, right - width, Anchor::End)];
        let places = sides.iter().flat_map(|side| [y - 4.0, y + 13.0].map(|baseline| (*side, baseline)));
        let crowd = |((_, from, _), baseline): &((f64, f64, Anchor), f64)| {
            let inside = |x: f64| (*from - 4.0..from + width + 4.0).contains(&x);
            let values = self.cells.iter().flatten().filter(|cell| inside(cell.x));
            let meets = |low: f64, high: f64| self.y(high) < baseline + 3.0 && self.y(low) > baseline - 11.0;
            let outside = usize::from(!(self.plot.top + 4.0..self.plot.bottom).contains(baseline)) * 10_000;
            values.filter(|cell| meets(cell.low, cell.high)).count() + outside
        };
        let best = places.min_by_key(crowd).unwrap_or((sides[0], y - 4.0));
        ((best.0.0, best.1), best.0.2, crowd(&best))
    }

    /// A dashed line before the first commit of each later version of the scenario; of neighbours that have no room for
    /// words only the first has them.
    pub(super) fn breaks(&self, body: &mut String) {
        let lines = self.chart.lines.iter();
        let changed = lines.flat_map(|line| line.marks.windows(2)).filter(|pair| pair[0].version != pair[1].version);
        let mut places: Vec<usize> = changed.map(|pair| pair[1].commit).collect();
        places.sort_unstable();
        places.dedup();
        let (label, mut free) = ("scenario changed", self.plot.left);
        for commit in places {
            let x = (self.x(commit) - 0.5 * self.plot.width() / self.chart.commits.len().max(1) as f64)
                .clamp(self.plot.left, self.plot.right);
            rule(body, Ink::Soft, (x, self.plot.top), (x, self.plot.bottom), " stroke-dasharray=\"3 3\"");
            let room = wide(label) + 8.0;
            let (from, anchor, at) = if x + room <= self.plot.right {
                (x, Anchor::Start, x + 4.0)
            } else {
                (x - room, Anchor::End, x - 4.0)
            };
            if from >= free {
                words_of(body, "soft halo", (at, self.plot.bottom - 5.0), anchor, label);
                free = x.max(from + room);
            }
        }
    }

    /// A rhomb on the line at each change point, and above the plot how far and since when, as far as there is room.
    pub(super) fn changes(&self, body: &mut String) {
        let mut changes: Vec<(&Change, &Line, f64)> = self.chart.changes.iter().filter_map(|c| self.place(c)).collect();
        changes.sort_by_key(|(change, ..)| change.commit);
        let mut free = 0.0;
        for (n, (change, line, median)) in changes.iter().enumerate() {
            let (x, y) = (self.x(change.commit), self.y(*median));
            let since = self.chart.commits.get(change.commit).map_or("", String::as_str);
            let long = format!("{} since {since}", change.text);
            let mut mark = String::new();
            rule(
                &mut mark,
                change.mood.ink(),
                (x, self.plot.top - 4.0),
                (x, self.plot.bottom),
                " stroke-opacity=\".5\"",
            );
            let _ = write!(
                mark,
                "<path class=\"{} change\" fill=\"currentColor\" d=\"M{} {}l5 5-5 5-5-5z\">{}</path>",
                change.mood.ink().class(),
                px(x),
                px(y - 5.0),
                tip(&format!("{}: {long}", line.label))
            );
            // The next one's text needs room too: its line, and half of its short form.
            let next = changes[n + 1..].iter().find(|(next, ..)| self.x(next.commit) > x + 1.0);
            let right = next.map_or(f64::from(self.chart.size.width), |(next, ..)| {
                self.x(next.commit) - wide(&next.text) / 2.0 - 8.0
            });
            let fitting = [&long, &change.text].into_iter().find_map(|text| {
                let width = wide(text);
                let from = (x - width / 2.0).min(right - width);
                (from >= free && from + width > x).then_some((text, from, width))
            });
            if let Some((text, from, width)) = fitting {
                words(&mut mark, change.mood.ink(), (from, CHANGES), Anchor::Start, text);
                free = from + width + 8.0;
            }
            body.push_str(&linked(change.href.as_deref(), &mark));
        }
    }

    /// The line of a change, and its median there, or at the last commit before that has one.
    fn place<'c>(&'c self, change: &'c Change) -> Option<(&'c Change, &'c Line<'c>, f64)> {
        let line = self.chart.lines.get(change.line)?;
        let after = line.marks.partition_point(|mark| mark.commit < change.commit);
        let mark = line.marks.get(after).or_else(|| line.marks.last())?;
        (change.commit < self.chart.commits.len() && mark.median.is_finite()).then_some((change, line, mark.median))
    }

    /// Numbered circles at the foot of the plot.
    pub(super) fn flags(&self, body: &mut String) {
        let inside = |commit: usize| commit < self.chart.commits.len();
        for (n, flag) in self.chart.flags.iter().enumerate().filter(|(_, flag)| inside(flag.commit)) {
            let (x, y) = (self.x(flag.commit), self.plot.bottom - 9.0);
            let mut mark = String::new();
            rule(&mut mark, Ink::Soft, (x, self.plot.top), (x, y - 8.0), " stroke-dasharray=\"1 3\"");
            let _ = write!(
                mark,
                "<circle class=\"ink hollow\" stroke=\"currentColor\" cx=\"{}\" cy=\"{}\" r=\"8\">{}</circle>",
                px(x),
                px(y),
                tip(&flag.text)
            );
            words(&mut mark, Ink::Text, (x, y + 4.0), Anchor::Middle, &(n + 1).to_string());
            body.push_str(&linked(flag.href.as_deref(), &mark));
        }
    }

    /// Each line's name at its end, pushed apart where ends meet.
    pub(super) fn names(&self, body: &mut String) {
        let end = |line: &Line| self.chart.known(line).next_back().map(|mark| self.y(mark.median));
        let mut names: Vec<(f64, &Line)> =
            self.chart.lines.iter().filter_map(|line| end(line).map(|y| (y, line))).collect();
        names.sort_by(|a, b| a.0.total_cmp(&b.0));
        let wanted: Vec<i32> = names.iter().map(|(y, _)| y.round() as i32).collect();
        let x = self.plot.right + 8.0;
        for ((_, line), y) in names.iter().zip(apart(&wanted, 14, TOP as i32 + 4)) {
            let name = fitted(&line.label, f64::from(RIGHT) - 8.0);
            words(body, line.ink, (x, f64::from(y) + 4.0), Anchor::Start, &name);
        }
    }
}

/// Moves ascending positions so that neighbours are `gap` apart, near where they were, none above `top`.
fn apart(wanted: &[i32], gap: i32, top: i32) -> Vec<i32> {
    let mut out: Vec<i32> = wanted.to_vec();
    for i in 1..out.len() {
        let missing = out[i - 1] + gap - out[i];
        if missing > 0 {
            // Both give way, the upper one and all that it touches by half.
            out[i] += missing - missing / 2;
            for j in (0..i).rev() {
                out[j] = out[j].min(out[j + 1] - gap);
            }
        }
    }
    if let Some(first) = out.first_mut() {
        *first = (*first).max(top);
    }
    for i in 1..out.len() {
        out[i] = out[i].max(out[i - 1] + gap);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_distance() {
        let rows: [(&[i32], &[i32]); 4] =
            [(&[10, 50], &[10, 50]), (&[30, 30], &[23, 37]), (&[2, 3, 4], &[0, 14, 28]), (&[], &[])];
        for (wanted, expect) in rows {
            assert_eq!(apart(wanted, 14, 0), expect);
        }
    }
}
