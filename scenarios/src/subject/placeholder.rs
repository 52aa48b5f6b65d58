//! Words in braces: what stands for them, and that each is known.

use super::{Ready, Subject, What};
use crate::error::{FileError, nearest};
use std::collections::{BTreeMap, BTreeSet};

/// What every program may refer to.
const ALWAYS: [&str; 9] = [
    "payload.dir",
    "payload.path",
    "payload.name",
    "payload.list",
    "payload.bytes",
    "out",
    "home",
    "self.address",
    "run.seed",
];

/// The first node's address.
const BOOTSTRAP: &str = "bootstrap.address";

/// What stands for the words in braces, by their name. Several values are those of several providers.
#[derive(Debug, Clone, Default)]
pub struct Values(BTreeMap<String, Vec<String>>);

impl Values {
    /// Gives a word one value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), vec![value.into()]);
    }

    /// Adds a value to those a word has.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.entry(name.into()).or_default().push(value.into());
    }

    /// A command line with its placeholders filled in. A word in which one with several values stands is repeated for
    /// each. Those without a value stay as they are.
    pub fn fill(&self, command: &[String]) -> Vec<String> {
        command.iter().flat_map(|word| self.fill_word(word)).collect()
    }

    /// A text with its placeholders filled in; several values stand there with commas.
    pub fn fill_text(&self, text: &str) -> String {
        let fill = |text: String, (name, values): (&String, &Vec<String>)| replace(&text, name, &values.join(","));
        self.0.iter().fold(text.to_owned(), fill)
    }

    /// A placeholder of `text` that has no value.
    pub fn lacking<'a>(&self, text: &'a str) -> Option<&'a str> {
        placeholders(text).find(|name| !self.0.contains_key(*name) && is_value(name))
    }

    fn fill_word(&self, word: &str) -> Vec<String> {
        let names: Vec<&str> = placeholders(word).collect();
        let times = names.iter().filter_map(|name| self.0.get(*name)).map(Vec::len).max().unwrap_or(1);
        let nth = |n: usize| {
            names.iter().fold(word.to_owned(), |word, name| {
                match self.0.get(*name).and_then(|values| values.get(n).or_else(|| values.last())) {
                    Some(value) => replace(&word, name, value),
                    None => word,
                }
            })
        };
        (0..times).map(nth).collect()
    }
}

fn replace(text: &str, name: &str, value: &str) -> String {
    text.replace(&format!("{{{name}}}"), value)
}

/// Whether a placeholder is a value of another program, which there may be without it.
fn is_value(name: &str) -> bool {
    name.starts_with("provider.") || name.starts_with("relay.") || name.starts_with("daemon.") || name == BOOTSTRAP
}

/// The words in braces that look like placeholders: `out`, `home`, or lower-case letters and underscores around a dot.
/// Other braces are the program's own.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('{').filter_map(|(at, _)| {
        // `%{json}` is curl's, `${x}` the shell's.
        if text[..at].ends_with(['%', '$']) {
            return None;
        }
        let rest = &text[at + 1..];
        let name = &rest[..rest.find('}')?];
        let good = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let dotted = name.split_once('.').is_some_and(|(owner, value)| good(owner) && good(value));
        (dotted || matches!(name, "out" | "home")).then_some(name)
    })
}

/// Every placeholder means something where it stands, and every captured text is used.
pub(super) fn check(file: &str, subject: &Subject) -> Result<(), FileError> {
    let texts = |key: &str| {
        let program = subject.programs().find(|(at, _)| *at == key).map(|(_, program)| program);
        // The subject protocol has one text.
        let ticket = program.filter(|program| program.events).map(|_| "ticket");
        let texts = program.into_iter().flat_map(|program| program.texts()).map(String::as_str);
        texts.chain(ticket).collect::<BTreeSet<&str>>()
    };
    let named = |owner: &str, key: &str| {
        let address = (owner != "daemon").then(|| format!("{owner}.address"));
        address.into_iter().chain(texts(key).into_iter().map(|text| format!("{owner}.{text}"))).collect::<Vec<_>>()
    };
    let relay = if subject.relay.is_some() { named("relay", "relay") } else { Vec::new() };
    let provider = named("provider", "provider");
    let daemon = named("daemon", "fetcher.daemon");
    let mut used = BTreeSet::new();
    for (key, program) in subject.programs() {
        let mut known: BTreeSet<&str> = ALWAYS.into();
        if key != "relay" {
            known.extend(relay.iter().map(String::as_str));
        }
        if key != "relay" && subject.node.is_some() {
            known.insert(BOOTSTRAP);
        }
        if key.starts_with("fetcher") {
            known.extend(provider.iter().map(String::as_str));
        }
        if key == "fetcher" {
            known.extend(daemon.iter().map(String::as_str));
        }
        let ready = if let Ready::File(path) = &program.ready { Some(("ready.file", path)) } else { None };
        let words = program.commands().flat_map(|(at, command)| command.iter().map(move |word| (at, word)));
        for (at, text) in words.chain(ready) {
            for name in placeholders(text) {
                known_or_error(file, &format!("{key}.{at}"), name, &known)?;
                used.insert(name.to_owned());
            }
        }
    }
    // In any program's environment and home: only what all of them may refer to, and the relay.
    let shared: BTreeSet<&str> = ALWAYS.into_iter().chain(relay.iter().map(String::as_str)).collect();
    for (key, table) in [("environment", &subject.environment), ("files", &subject.files)] {
        for (name, text) in table {
            for word in placeholders(text) {
                known_or_error(file, &format!("{key}.{name:?}"), word, &shared)?;
                used.insert(word.to_owned());
            }
        }
    }
    unused(file, subject, &used)
}

fn known_or_error(file: &str, key: &str, name: &str, known: &BTreeSet<&str>) -> Result<(), FileError> {
    if known.contains(name) {
        return Ok(());
    }
    let near =
        nearest(name, known.iter().copied()).map_or_else(String::new, |near| format!("; did you mean {{{near}}}?"));
    let all: Vec<String> = known.iter().map(|name| format!("{{{name}}}")).collect();
    Err(FileError::new(file, key, format!("unknown placeholder {{{name}}}; there are {}{near}", all.join(", "))))
}

/// A captured text that nobody refers to is probably a moment's name, misspelt.
fn unused(file: &str, subject: &Subject, used: &BTreeSet<String>) -> Result<(), FileError> {
    for (key, program) in subject.programs() {
        let owner = key.rsplit('.').next().unwrap_or(key);
        for text in program.texts() {
            if !used.contains(&format!("{owner}.{text}")) {
                let near = nearest(text, What::names());
                let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                let message = format!("nothing refers to {{{owner}.{text}}}{near}");
                return Err(FileError::new(file, format!("{key}.capture.{text}"), message));
            }
        }
    }
    Ok(())
}
