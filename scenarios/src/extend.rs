//! `extend`: a scenario that is another one with some keys changed.
//!
//! Both files are plain tables here. What the extending file says goes over what the other says, by the rules of
//! [`over`]; the result is read as if somebody had written it.

use crate::error::{FileError, nearest};
use crate::files::{Files, Read};
use crate::shipped::suite;
use toml::{Table, Value};

/// What every file says for itself: nothing of it comes from the file it extends.
const OWN: [&str; 5] = ["name", "summary", "tags", "extend", "matrix"];
/// Lists whose entries have names.
const NAMED: [&str; 4] = ["router", "host", "interface", "region"];
/// Keys that cannot be together: one of the extending file takes the place of the others.
const RIVALS: [&[&str]; 5] = [
    &["rate", "trace"],
    &["behind", "region"],
    &["interface", "behind"],
    &["interface", "link"],
    &["interface", "region"],
];
/// So many files may extend each other.
const MAX_DEPTH: usize = 16;

/// A scenario file as a table, with all that it extends.
pub(crate) struct Extended {
    pub(crate) table: Table,
    /// What it extends, what that extends, and so on.
    pub(crate) bases: Vec<String>,
}

/// Puts the file `text` over what it extends. `file` is its name for messages.
pub(crate) fn extended(file: &str, text: &str, read: Read) -> Result<Extended, FileError> {
    let mut chain: Vec<String> = vec![file.to_owned()];
    let mut bases: Vec<String> = Vec::new();
    let mut tables = vec![table(file, text)?];
    while let Some(base) = tables.last().and_then(|table| table.get("extend")) {
        let at = chain.last().cloned().unwrap_or_default();
        let files = Files { name: &at, read };
        let Value::String(base) = base else {
            return Err(files.error("extend", "write the name of one scenario, for example \"dsl\""));
        };
        let (base, (name, text)) = (base.clone(), base_text(base, &files)?);
        // The first name may have a directory in front.
        let is_same = |other: &String| *other == name || other.ends_with(&format!("/{name}"));
        if chain.iter().any(is_same) {
            let circle = chain.iter().chain([&name]).cloned().collect::<Vec<_>>().join(" extends ");
            return Err(files.error("extend", format!("scenarios extend each other in a circle: {circle}")));
        }
        if chain.len() == MAX_DEPTH {
            return Err(files.error("extend", format!("more than {MAX_DEPTH} files extend each other; merge some")));
        }
        tables.push(table(&name, &text)?);
        chain.push(name);
        bases.push(base);
    }
    let mut merged = tables.pop().unwrap_or_default();
    while let Some(own) = tables.pop() {
        merged.retain(|key, _| !OWN.contains(&key));
        over(&mut merged, own);
    }
    Ok(Extended { table: merged, bases })
}

fn table(file: &str, text: &str) -> Result<Table, FileError> {
    crate::error::parse(file, text)
}

/// A shipped scenario by its name, or a file beside this one.
fn base_text(base: &str, files: &Files) -> Result<(String, String), FileError> {
    if base.ends_with(".toml") {
        if base.contains(['/', '\\']) {
            return Err(
                files.error("extend", format!("\"{base}\" is not beside this file; put both into one directory"))
            );
        }
        return Ok((base.to_owned(), files.load("extend", base, |text| Ok::<_, std::fmt::Error>(text.to_owned()))?));
    }
    let of = |file: &'static str| file.trim_start_matches("suite/").trim_end_matches(".toml");
    if let Some((file, text)) = suite().iter().find(|(file, _)| of(file) == base) {
        return Ok(((*file).to_owned(), (*text).to_owned()));
    }
    if let Some((family, _)) = base.split_once('[') {
        let message = format!("\"{base}\" is one combination of a matrix; extend \"{family}\" and change the keys");
        return Err(files.error("extend", message));
    }
    let known: Vec<&str> = suite().iter().map(|(file, _)| of(file)).collect();
    let near = nearest(base, known.iter().copied());
    let hint = near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
    let message = format!(
        "no shipped scenario is named \"{base}\" (`longhaul scenario list` has them all), and a file beside this one ends \
         with .toml{hint}"
    );
    Err(files.error("extend", message))
}

/// Puts `own` over `base`, key by key.
///
/// Entries of `router`, `host`, `host.interface` and `region` are merged by their names, new ones are added at the end.
/// Tables of links, NATs, the payload and the single tables of a file are merged key by key, unless a link or NAT has a
/// `preset` or a payload a `kind`, which starts it anew. Everything else, other lists too, takes the place of what was
/// there.
pub(crate) fn over(base: &mut Table, own: Table) {
    for (key, value) in own {
        for rivals in RIVALS.iter().filter(|rivals| rivals.contains(&key.as_str())) {
            base.retain(|other, _| other == key || !rivals.contains(&other));
        }
        let before = base.remove(&key);
        base.insert(key.clone(), merged(&key, before, value));
    }
}

fn merged(key: &str, before: Option<Value>, own: Value) -> Value {
    match (key, before, own) {
        (key, Some(Value::Array(before)), Value::Array(own)) if NAMED.contains(&key) => by_name(before, own),
        ("link" | "uplink", Some(before), Value::Table(own)) => link_over(before, own),
        ("nat", Some(before), Value::Table(own)) if !own.contains_key("preset") => {
            let mut nat = with_preset(before);
            over(&mut nat, own);
            Value::Table(nat)
        }
        ("payload", Some(Value::Table(mut payload)), Value::Table(own)) if !own.contains_key("kind") => {
            over(&mut payload, own);
            Value::Table(payload)
        }
        ("roles" | "measure" | "expect" | "delay", Some(Value::Table(mut before)), Value::Table(own)) => {
            over(&mut before, own);
            Value::Table(before)
        }
        (_, _, own) => own,
    }
}

/// A preset's name is a table with it.
fn with_preset(written: Value) -> Table {
    match written {
        Value::Table(table) => table,
        preset => Table::from_iter([("preset".to_owned(), preset)]),
    }
}

/// What is set for both directions takes the place of what either had of its own.
fn link_over(before: Value, own: Table) -> Value {
    if own.contains_key("preset") {
        return Value::Table(own);
    }
    let mut link = with_preset(before);
    let is_way = |key: &String| ["up", "down"].contains(&key.as_str());
    for (way, value) in own.iter().filter(|(key, _)| is_way(key)) {
        let mut before = link.remove(way).and_then(|before| before.try_into::<Table>().ok()).unwrap_or_default();
        match value {
            Value::Table(own) => over(&mut before, own.clone()),
            other => {
                link.insert(way.clone(), other.clone());
                continue;
            }
        }
        link.insert(way.clone(), Value::Table(before));
    }
    for (key, value) in own.iter().filter(|(key, _)| !is_way(key)) {
        let rivals = RIVALS.iter().find(|rivals| rivals.contains(&key.as_str())).copied().unwrap_or_default();
        for way in ["up", "down"] {
            let said_now = own.get(way).and_then(Value::as_table);
            if let Some(Value::Table(before)) = link.get_mut(way) {
                let is_old = |other: &str| said_now.is_none_or(|now| !now.contains_key(other));
                before.retain(|other, _| !(other == key || rivals.contains(&other)) || !is_old(other));
            }
        }
        over(&mut link, Table::from_iter([(key.clone(), value.clone())]));
    }
    Value::Table(link)
}

fn by_name(mut before: Vec<Value>, own: Vec<Value>) -> Value {
    let name = |entry: &Value| entry.get("name").and_then(Value::as_str).map(str::to_owned);
    for entry in own {
        let same = before.iter().position(|other| name(other).is_some() && name(other) == name(&entry));
        match (same.and_then(|at| before.get_mut(at)), entry) {
            (Some(Value::Table(before)), Value::Table(own)) => over(before, own),
            (_, entry) => before.push(entry),
        }
    }
    Value::Array(before)
}
