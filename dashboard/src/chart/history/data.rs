//! What the page's script is told.

use super::Sheet;
use crate::chart::svg::{json_number, json_text};
use std::fmt::Write;

impl Sheet<'_, '_> {
    /// One JSON object in `<metadata>`; the module's doc says what is in it.
    pub(super) fn data(&self, body: &mut String) {
        let at = self.told();
        let (divisor, unit) = self.axis.unit();
        let chart = self.chart;
        let _ = write!(
            body,
            "<metadata>{{\"title\":{},\"divisor\":{divisor},\"unit\":{},\"at\":[{}],\"names\":[{}],\"lines\":[",
            json_text(chart.title),
            json_text(unit),
            joined(at.iter().map(usize::to_string)),
            joined(at.iter().map(|commit| json_text(chart.commits.get(*commit).map_or("", String::as_str))))
        );
        let lines = chart.lines.iter().map(|line| {
            let mut marks = line.marks.iter().peekable();
            let median = |commit: &usize| {
                while marks.next_if(|mark| mark.commit < *commit).is_some() {}
                // Of several versions on a commit the last one counts.
                let mut found = None;
                while let Some(mark) = marks.next_if(|mark| mark.commit == *commit) {
                    found = Some(mark.median);
                }
                found.map_or_else(|| "null".into(), json_number)
            };
            let medians = joined(at.iter().map(median));
            format!(
                "{{\"label\":{},\"class\":\"{}\",\"medians\":[{medians}]}}",
                json_text(&line.label),
                line.ink.class()
            )
        });
        body.push_str(&joined(lines));
        let inside = |commit: usize| commit < chart.commits.len();
        let changes = chart.changes.iter().filter(|one| inside(one.commit)).map(|change| {
            format!("{{\"at\":{},\"line\":{},\"text\":{}}}", change.commit, change.line, json_text(&change.text))
        });
        let flags = chart
            .flags
            .iter()
            .filter(|one| inside(one.commit))
            .map(|flag| format!("{{\"at\":{},\"text\":{}}}", flag.commit, json_text(&flag.text)));
        let _ = write!(body, "],\"changes\":[{}],\"flags\":[{}]}}</metadata>", joined(changes), joined(flags));
    }

    /// The commits that are told of: all, or of each column the one that is farthest from what is usual in it.
    fn told(&self) -> Vec<usize> {
        let count = self.chart.commits.len();
        if self.columns.is_exact() {
            return (0..count).collect();
        }
        let height = (self.axis.high - self.axis.low).max(f64::MIN_POSITIVE);
        let mut best: Vec<Option<(f64, usize)>> = vec![None; self.columns.count()];
        for line in &self.chart.lines {
            let of = |mark: &super::Mark| self.columns.of(mark.commit.min(count.saturating_sub(1)));
            for column in line.marks.chunk_by(|a, b| of(a) == of(b)) {
                let mean = column.iter().map(|mark| mark.median).sum::<f64>() / column.len() as f64;
                for mark in column.iter().filter(|mark| mark.commit < count) {
                    let odd = (mark.median - mean).abs() / height;
                    let best = &mut best[of(mark)];
                    if best.is_none_or(|(most, _)| odd > most) {
                        *best = Some((odd, mark.commit));
                    }
                }
            }
        }
        best.into_iter().flatten().map(|(_, commit)| commit).collect()
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    let mut out = String::new();
    for (n, part) in parts.enumerate() {
        if n > 0 {
            out.push(',');
        }
        out.push_str(&part);
    }
    out
}
