//! The table, for people.

use super::{Tried, TriedLink, Verdict};
use crate::lab::NatEngine;
use std::fmt::Write;

/// Nobody reads a longer one.
const MAX_SCRIPT: usize = 80;

/// Markdown: a row of the suite on each line, an engine in each column, the reasons for what is unsupported below.
pub fn markdown(tried: &[Tried]) -> String {
    let mut engines: Vec<NatEngine> = tried.iter().map(|tried| tried.engine).collect();
    engines.sort_unstable();
    engines.dedup();
    let mut reasons = Vec::new();
    let mut text = String::from("| About | Terms | What is done | What must be seen |");
    for engine in &engines {
        let _ = write!(text, " {} |", engine.as_str());
    }
    let _ = writeln!(text, "\n|---|---|---|---|{}", "---|".repeat(engines.len()));
    for first in tried.iter().filter(|tried| Some(&tried.engine) == engines.first()) {
        let row = &first.row;
        let (script, expected) = if row.script.len() <= MAX_SCRIPT {
            (format!("`{}`", row.script), format!("`{}`", row.expected))
        } else {
            (format!("{} random sendings", row.script.split(' ').count()), "what the model sees".to_owned())
        };
        let _ = write!(text, "| {} | {} | {script} | {expected} |", row.about, row.terms);
        for engine in &engines {
            let same = tried.iter().find(|tried| tried.engine == *engine && tried.row == *row);
            let _ = write!(text, " {} |", same.map_or_else(String::new, |same| cell(&same.verdict, &mut reasons)));
        }
        text.push('\n');
    }
    text.push('\n');
    for (n, reason) in reasons.iter().enumerate() {
        let _ = writeln!(text, "{}. {reason}", n + 1);
    }
    text
}

/// The same for links: a column for each that was tried.
pub fn links_markdown(tried: &[TriedLink]) -> String {
    let mut columns: Vec<&str> = Vec::new();
    for tried in tried {
        if !columns.contains(&tried.column.as_str()) {
            columns.push(&tried.column);
        }
    }
    let mut reasons = Vec::new();
    let mut text = format!("| About | Terms | {} |\n|---|---|{}\n", columns.join(" | "), "---|".repeat(columns.len()));
    for first in tried.iter().filter(|tried| Some(&tried.column.as_str()) == columns.first()) {
        let _ = write!(text, "| {} | {} |", first.row.about, first.row.terms);
        for column in &columns {
            let same = tried.iter().find(|tried| tried.column == *column && tried.row == first.row);
            let _ = write!(text, " {} |", same.map_or_else(String::new, |same| cell(&same.verdict, &mut reasons)));
        }
        text.push('\n');
    }
    for (n, reason) in reasons.iter().enumerate() {
        let _ = writeln!(text, "{}. {reason}", n + 1);
    }
    text
}

fn cell(verdict: &Verdict, reasons: &mut Vec<String>) -> String {
    match verdict {
        Verdict::True => "true".to_owned(),
        Verdict::False { seen } => format!("**false**: `{seen}`"),
        Verdict::Unsupported { why } => {
            let known = reasons.iter().position(|reason| reason == why);
            let n = known.unwrap_or_else(|| {
                reasons.push(why.clone());
                reasons.len() - 1
            });
            format!("unsupported ({})", n + 1)
        }
        Verdict::Busy { why } => format!("**not tried**: the machine was too busy: {why}"),
        Verdict::Broken { why } => format!("**not tried**: {why}"),
    }
}
