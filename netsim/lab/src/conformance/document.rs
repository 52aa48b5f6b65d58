//! What was tried, as data that travels: a column may be made on another machine, whose kernel has what this one has not.
//!
//! A document is one line of JSON that starts with [`Document::START`], so that it can be picked out of whatever else a
//! console shows.

use super::Verdict;
use super::links::LinkRow;
use super::rows::Row;
use serde_json::{Value, json};

/// A row and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The engine that did it: a column of the table.
    pub column: String,
    /// What the row is about.
    pub about: String,
    /// How the router or link is configured.
    pub terms: String,
    /// What is done to a router, and what must be seen; absent: it is a link.
    pub script: Option<(String, String)>,
    /// What became of it.
    pub verdict: Verdict,
}

/// All that was tried in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Where and when: kernel, machine, day, version, in words.
    pub place: String,
    /// Rows, in order.
    pub tried: Vec<Tried>,
}

/// Why a text holds no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOne {
    /// No line is one.
    #[error("no line starts with `{}`; make one with `longhaul lab conformance --json`", Document::START)]
    Absent,
    /// A line starts like one.
    #[error("line {line} is no whole document ({what}); was it cut off, or made by another version?")]
    Broken {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

impl Tried {
    pub(super) fn router(row: &Row, column: &str, verdict: Verdict) -> Tried {
        let script = Some((row.script.clone(), row.expected.clone()));
        Tried { column: column.into(), about: row.about.into(), terms: row.terms.clone(), script, verdict }
    }

    pub(super) fn link(row: &LinkRow, column: &str, verdict: Verdict) -> Tried {
        Tried { column: column.into(), about: row.about.into(), terms: row.terms.into(), script: None, verdict }
    }

    /// Whether it is of the row of that name.
    pub(super) fn is_of(&self, about: &str, terms: &str) -> bool {
        self.about == about && self.terms == terms
    }

    fn to_json(&self) -> Value {
        let (verdict, why) = self.verdict.parts();
        let (script, expected) = self.script.clone().unzip();
        json!({
            "column": self.column, "about": self.about, "terms": self.terms, "script": script, "expected": expected,
            "verdict": verdict, "why": why,
        })
    }

    fn from_json(value: &Value) -> Option<Tried> {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        Some(Tried {
            column: text("column")?,
            about: text("about")?,
            terms: text("terms")?,
            script: text("script").zip(text("expected")),
            verdict: Verdict::from_parts(&text("verdict")?, text("why").unwrap_or_default())?,
        })
    }
}

impl Verdict {
    /// A word for it, and its reason.
    fn parts(&self) -> (&'static str, Option<&str>) {
        match self {
            Verdict::True => ("true", None),
            Verdict::False { seen } => ("false", Some(seen)),
            Verdict::Unsupported { why } => ("unsupported", Some(why)),
            Verdict::Busy { why } => ("busy", Some(why)),
            Verdict::Broken { why } => ("broken", Some(why)),
        }
    }

    fn from_parts(word: &str, why: String) -> Option<Verdict> {
        Some(match word {
            "true" => Verdict::True,
            "false" => Verdict::False { seen: why },
            "unsupported" => Verdict::Unsupported { why },
            "busy" => Verdict::Busy { why },
            "broken" => Verdict::Broken { why },
            _ => return None,
        })
    }
}

impl Document {
    /// What a document's line starts with.
    pub const START: &str = "{\"conformance\":1,";

    /// One line.
    pub fn to_line(&self) -> String {
        // By hand, so that the first key is the first.
        let rows = Value::from(self.tried.iter().map(Tried::to_json).collect::<Vec<Value>>());
        format!("{}\"place\":{},\"rows\":{rows}}}", Document::START, Value::from(self.place.as_str()))
    }

    /// All documents in a text, one or more; other lines are passed over.
    pub fn read_all(text: &str) -> Result<Vec<Document>, NotOne> {
        let lines = text.lines().enumerate().filter(|(_, line)| line.starts_with(Document::START));
        let documents: Vec<Document> = lines
            .map(|(n, line)| Document::read(line).map_err(|what| NotOne::Broken { line: n + 1, what }))
            .collect::<Result<_, _>>()?;
        if documents.is_empty() { Err(NotOne::Absent) } else { Ok(documents) }
    }

    fn read(line: &str) -> Result<Document, String> {
        let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let place = value["place"].as_str().ok_or("`place` is missing")?.to_owned();
        let rows = value["rows"].as_array().ok_or("`rows` is missing")?;
        let row = |(n, row)| Tried::from_json(row).ok_or_else(|| format!("`rows[{n}]` is none"));
        Ok(Document { place, tried: rows.iter().enumerate().map(row).collect::<Result<_, _>>()? })
    }

    /// Its columns, in order.
    pub fn columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = Vec::new();
        for tried in &self.tried {
            if !columns.contains(&tried.column.as_str()) {
                columns.push(&tried.column);
            }
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        let tried = |about: &str, script: Option<(&str, &str)>, verdict| Tried {
            column: "netem".into(),
            about: about.into(),
            terms: "20 ms, \"evenly\"".into(),
            script: script.map(|(script, expected)| (script.into(), expected.into())),
            verdict,
        };
        let why = || "because".to_owned();
        let tried = vec![
            tried("a", Some(("a>x1", "own")), Verdict::True),
            tried("b", None, Verdict::False { seen: why() }),
            tried("c", None, Verdict::Unsupported { why: why() }),
            tried("d", None, Verdict::Busy { why: why() }),
            tried("e", None, Verdict::Broken { why: why() }),
        ];
        Document { place: "2026-11-21: Linux 6.1, 2 processors (QEMU)".into(), tried }
    }

    #[test]
    fn documents_come_back_from_a_console() {
        let console = format!("booting\n{}\n{}\ndone", document().to_line(), document().to_line());
        assert_eq!(Document::read_all(&console), Ok(vec![document(), document()]));
        assert_eq!(document().columns(), ["netem"]);
    }

    #[test]
    fn what_is_no_document_is_said() {
        assert_eq!(Document::read_all("nothing\n"), Err(NotOne::Absent));
        let line = document().to_line();
        for (broken, expect) in [
            (line[..line.len() - 3].to_owned(), "line 2 is no whole document"),
            (line.replace("\"busy\"", "\"bored\""), "`rows[3]`"),
            (line.replace("\"rows\"", "\"roes\""), "`rows` is missing"),
        ] {
            let error = Document::read_all(&format!("x\n{broken}")).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        }
    }
}
