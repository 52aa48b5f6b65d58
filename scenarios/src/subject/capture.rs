//! What is looked for in the standard output of a program that does not speak the subject protocol.

use crate::error::{FileError, nearest};
use longhaul_record::Role;
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Something found in standard output.
#[derive(Debug, Clone)]
pub struct Capture {
    /// What it is.
    pub what: What,
    /// Where it is found.
    pub source: Source,
}

/// What a capture finds.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A moment of the transfer: the first line that has it counts.
    Moment {
        /// Which.
        milestone: Milestone,
        /// Seconds per unit of the number found, on the clock of the fetcher's process; absent: the moment is when the
        /// line was read.
        seconds_per_unit: Option<f64>,
    },
    /// An amount: the last line that has it counts, so that running totals work.
    Amount {
        /// Of what.
        amount: Amount,
        /// Base units per unit of the number found.
        scale: f64,
    },
    /// Text that fills placeholders of other programs: the first line that has it counts.
    Text(String),
}

impl What {
    /// The names that mean something by themselves.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        Milestone::ALL.into_iter().map(Milestone::as_str).chain(Amount::ALL.into_iter().map(Amount::as_str))
    }
}

/// A moment of the transfer, on the clock of the fetcher's own process: the same as the subject protocol's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Milestone {
    /// The connection is up.
    Connected,
    /// A path without a relay is in use.
    Direct,
    /// The first payload byte arrived.
    FirstByte,
    /// Everything arrived.
    Done,
}

impl Milestone {
    const ALL: [Milestone; 4] = [Milestone::Connected, Milestone::Direct, Milestone::FirstByte, Milestone::Done];

    /// As in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Milestone::Connected => "connected",
            Milestone::Direct => "direct",
            Milestone::FirstByte => "first_byte",
            Milestone::Done => "done",
        }
    }
}

/// What only a program itself can count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Amount {
    /// Seconds a provider took to make its payload ready: hashing, copying into a store.
    ImportTime,
    /// Messages of its protocol, of all kinds, sent and received.
    Messages,
    /// Bytes it received, of a subject that delivers nothing.
    Bytes,
    /// Payload bytes that came without a relay.
    DirectBytes,
    /// Payload bytes that came through a relay.
    RelayedBytes,
}

impl Amount {
    const ALL: [Amount; 5] =
        [Amount::ImportTime, Amount::Messages, Amount::Bytes, Amount::DirectBytes, Amount::RelayedBytes];

    /// As in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Amount::ImportTime => "import_time",
            Amount::Messages => "messages",
            Amount::Bytes => "bytes",
            Amount::DirectBytes => "direct_bytes",
            Amount::RelayedBytes => "relayed_bytes",
        }
    }

    /// Who counts it.
    fn role(self) -> Role {
        if self == Amount::ImportTime { Role::Provider } else { Role::Fetcher }
    }
}

/// Where something is found in a line.
#[derive(Debug, Clone)]
pub enum Source {
    /// In a line that is a JSON document.
    Json {
        /// JSON pointer (RFC 6901) to it.
        pointer: String,
        /// Pointers and what has to be there for the line to count.
        given: Vec<(String, Value)>,
    },
    /// By a regular expression: its first group, or all of it where it has none.
    Regex(Regex),
}

impl Source {
    /// What `line` has, as text.
    pub fn find(&self, line: &str) -> Option<String> {
        match self {
            Source::Json { pointer, given } => {
                let document = serde_json::from_str::<Value>(line).ok()?;
                if !given.iter().all(|(pointer, value)| document.pointer(pointer) == Some(value)) {
                    return None;
                }
                match document.pointer(pointer)? {
                    Value::String(text) => Some(text.clone()),
                    Value::Null => None,
                    other => Some(other.to_string()),
                }
            }
            Source::Regex(regex) => {
                let captures = regex.captures(line)?;
                captures.get(1).or_else(|| captures.get(0)).map(|found| found.as_str().to_owned())
            }
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CaptureFile {
    json: Option<String>,
    #[serde(default, rename = "where")]
    given: BTreeMap<String, Value>,
    regex: Option<String>,
    unit: Option<Unit>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
enum Unit {
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "us")]
    Microseconds,
    #[serde(rename = "ns")]
    Nanoseconds,
}

impl Unit {
    fn seconds(self) -> f64 {
        match self {
            Unit::Seconds => 1.0,
            Unit::Milliseconds => 1e-3,
            Unit::Microseconds => 1e-6,
            Unit::Nanoseconds => 1e-9,
        }
    }
}

impl CaptureFile {
    /// `key` is its place in the file, `name` its last part.
    pub(super) fn resolve(self, file: &str, key: &str, name: &str, role: Role) -> Result<Capture, FileError> {
        let what = self.what(name, role).map_err(|message| FileError::new(file, key, message))?;
        Ok(Capture { what, source: self.source(file, key)? })
    }

    fn what(&self, name: &str, role: Role) -> Result<What, String> {
        let seconds_per_unit = self.unit.map(Unit::seconds);
        if let Some(milestone) = Milestone::ALL.into_iter().find(|milestone| milestone.as_str() == name) {
            return match role {
                Role::Fetcher => Ok(What::Moment { milestone, seconds_per_unit }),
                _ => Err("a moment of the transfer: only a fetcher has it".into()),
            };
        }
        if let Some(amount) = Amount::ALL.into_iter().find(|amount| amount.as_str() == name) {
            let owner = amount.role().as_str();
            return match (role == amount.role(), amount == Amount::ImportTime, seconds_per_unit) {
                (false, _, _) => Err(format!("only the {owner} says this")),
                (true, true, None) => Err("a time needs `unit`: \"s\", \"ms\", \"us\" or \"ns\"".into()),
                (true, false, Some(_)) => Err("a count has no unit; remove it".into()),
                (true, _, scale) => Ok(What::Amount { amount, scale: scale.unwrap_or(1.0) }),
            };
        }
        let good = |c: char| c.is_ascii_lowercase() || c == '_';
        if name.is_empty() || name.len() > 32 || name == "address" || !name.chars().all(good) {
            return Err("not a name for a captured value; use 1 to 32 of a-z and `_`, and not `address`".into());
        }
        if self.unit.is_some() {
            let near =
                nearest(name, What::names()).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(format!("text has no unit; remove it{near}"));
        }
        Ok(What::Text(name.to_owned()))
    }

    fn source(self, file: &str, key: &str) -> Result<Source, FileError> {
        match (self.json, self.regex) {
            (Some(pointer), None) => {
                for pointer in self.given.keys().chain([&pointer]) {
                    if !pointer.starts_with('/') {
                        let message = format!("{pointer:?} is not a JSON pointer; write for example \"/time_total\"");
                        return Err(FileError::new(file, format!("{key}.json"), message));
                    }
                }
                Ok(Source::Json { pointer, given: self.given.into_iter().collect() })
            }
            (None, Some(text)) if self.given.is_empty() => {
                Ok(Source::Regex(regex(file, &format!("{key}.regex"), &text)?))
            }
            (None, Some(_)) => Err(FileError::new(file, format!("{key}.where"), "goes with `json` alone; remove it")),
            _ => Err(FileError::new(file, key, "needs exactly one of `json` and `regex`")),
        }
    }
}

pub(super) fn regex(file: &str, key: &str, text: &str) -> Result<Regex, FileError> {
    Regex::new(text).map_err(|error| {
        // The parser draws a picture of several lines; its last one says what is wrong.
        let error = error.to_string();
        let last = error.lines().last().unwrap_or_default().replace("error: ", "");
        FileError::new(file, key, format!("not a regular expression: {last}"))
    })
}
