//! The table, for people.

use super::{Document, Tried, Verdict};
use std::fmt::Write;

/// Nobody reads a longer one.
const MAX_SCRIPT: usize = 80;

/// Markdown: a row of the suite on each line, an engine in each column, the reasons for what is unsupported below.
pub fn routers_markdown(documents: &[Document]) -> String {
    let done = |tried: &Tried| {
        let (script, expected) = tried.script.clone().unwrap_or_default();
        if script.len() <= MAX_SCRIPT {
            vec![format!("`{script}`"), format!("`{expected}`")]
        } else {
            let count = script.split(' ').count();
            vec![format!("{count} random sendings"), "what the model sees".to_owned()]
        }
    };
    table(documents, |tried| tried.script.is_some(), &["What is done", "What must be seen"], done)
}

/// The same for links.
pub fn links_markdown(documents: &[Document]) -> String {
    table(documents, |tried| tried.script.is_none(), &[], |_| Vec::new())
}

fn table(
    documents: &[Document],
    is_part: impl Fn(&Tried) -> bool,
    heads: &[&str],
    cells: impl Fn(&Tried) -> Vec<String>,
) -> String {
    let all: Vec<&Tried> = documents.iter().flat_map(|document| &document.tried).filter(|t| is_part(t)).collect();
    let mut columns: Vec<&str> = Vec::new();
    // One line for each name: another document may have rows that the first has not.
    let mut rows: Vec<&Tried> = Vec::new();
    for tried in &all {
        if !columns.contains(&tried.column.as_str()) {
            columns.push(&tried.column);
        }
        if !rows.iter().any(|row| row.is_of(&tried.about, &tried.terms)) {
            rows.push(tried);
        }
    }
    let heads = ["About", "Terms"].iter().chain(heads).chain(&columns).copied().collect::<Vec<&str>>();
    let mut reasons = Vec::new();
    let mut text = format!("| {} |\n|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
    for row in rows {
        let mut line = vec![row.about.clone(), row.terms.clone()];
        line.extend(cells(row));
        for column in &columns {
            let same = all.iter().find(|tried| tried.column == *column && tried.is_of(&row.about, &row.terms));
            line.push(same.map_or_else(String::new, |same| cell(&same.verdict, &mut reasons)));
        }
        let _ = writeln!(text, "| {} |", line.join(" | "));
    }
    for (n, reason) in reasons.iter().enumerate() {
        let _ = write!(text, "{}{}. {reason}", if n == 0 { "\n" } else { "" }, n + 1);
        text.push('\n');
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_become_columns() {
        let tried = |column: &str, about: &str, script: Option<(&str, &str)>, verdict| Tried {
            column: column.into(),
            about: about.into(),
            terms: "1 %".into(),
            script: script.map(|(script, expected)| (script.into(), expected.into())),
            verdict,
        };
        let refused = || Verdict::Unsupported { why: "it cannot".into() };
        let here = Document {
            place: "here".into(),
            tried: vec![
                tried("nftables", "hairpin", Some(("c>>a", "-")), refused()),
                tried("userspace", "loss", None, Verdict::True),
            ],
        };
        let there = Document {
            place: "there".into(),
            tried: vec![tried("netem", "loss", None, Verdict::True), tried("netem", "MTU", None, refused())],
        };
        let table = format!("{}\n{}", routers_markdown(std::slice::from_ref(&here)), links_markdown(&[here, there]));
        let expect = "\
            | About | Terms | What is done | What must be seen | nftables |\n\
            |---|---|---|---|---|\n\
            | hairpin | 1 % | `c>>a` | `-` | unsupported (1) |\n\
            \n\
            1. it cannot\n\
            \n\
            | About | Terms | userspace | netem |\n\
            |---|---|---|---|\n\
            | loss | 1 % | true | true |\n\
            | MTU | 1 % |  | unsupported (1) |\n\
            \n\
            1. it cannot\n";
        assert_eq!(table, expect);
    }
}
