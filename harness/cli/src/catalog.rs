//! Scenarios and subjects by name, tag or file.

use crate::error::CliError;
use longhaul_scenarios::{Head, Scenario, Subject};
use std::io;
use std::path::Path;

/// Every shipped scenario with its file's name; a matrix as all of its combinations.
pub(crate) fn scenarios() -> Result<Vec<(&'static str, Scenario)>, CliError> {
    shipped(|_| true)
}

/// The same of the files that are wanted: to expand them all takes a while.
fn shipped(wanted: impl Fn(&Head) -> bool) -> Result<Vec<(&'static str, Scenario)>, CliError> {
    let mut all = Vec::new();
    for (file, text) in longhaul_scenarios::suite() {
        if wanted(&Head::parse(file, text)?) {
            all.extend(Scenario::expand(file, text, &nothing)?.into_iter().map(|scenario| (*file, scenario)));
        }
    }
    Ok(all)
}

/// Whether some of a file's scenarios can be meant by `name`.
fn may_be_meant(head: &Head, name: &str) -> bool {
    is_pattern(name) || family(name) == head.name || head.tags.iter().any(|tag| tag == name)
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// A scenario's name without a combination's values.
fn family(name: &str) -> &str {
    name.split('[').next().unwrap_or_default()
}

/// Shipped scenarios name no files.
fn nothing(_: &str) -> io::Result<String> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Every shipped subject.
pub(crate) fn subjects() -> Result<Vec<Subject>, CliError> {
    longhaul_scenarios::subjects().iter().map(|(file, text)| Ok(Subject::parse(file, text)?)).collect()
}

/// The scenarios a user names: by name, by a pattern with `*` and `?`, by tag, or by file. A matrix' own name is all of its
/// combinations. In the order named, each once.
pub(crate) fn select(names: &[String]) -> Result<Vec<Scenario>, CliError> {
    let shipped = shipped(|head| names.iter().any(|name| may_be_meant(head, name)))?;
    let mut selected: Vec<Scenario> = Vec::new();
    for name in names {
        let found = shipped.iter().map(|(_, scenario)| scenario).filter(|scenario| is_named(scenario, name));
        let mut found: Vec<Scenario> = found.cloned().collect();
        if found.is_empty() {
            found = scenario_file(name)?;
        }
        // Not by name: a user's file may be a variant of what is shipped.
        found.retain(|scenario| !selected.contains(scenario));
        selected.append(&mut found);
    }
    Ok(selected)
}

/// Whether a user who says `name` means this scenario.
pub(crate) fn is_named(scenario: &Scenario, name: &str) -> bool {
    let pattern = is_pattern(name) && matches(name.as_bytes(), scenario.name.as_bytes());
    pattern || scenario.name == name || scenario.family() == name || scenario.tags.iter().any(|tag| tag == name)
}

/// Whether `text` is as `pattern` says: `*` is any bytes, `?` one. Brackets are themselves: combinations have them.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // Where to go on if what follows the last `*` does not fit: one byte later.
    let (mut at, mut seen, mut again) = (0, 0, None);
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                again = Some((at + 1, seen + 1));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[seen] => (at, seen) = (at + 1, seen + 1),
            _ => match again {
                Some((after, from)) => {
                    (at, seen, again) = (after, from, Some((after, from + 1)));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// One scenario, by name or file.
pub(crate) fn scenario(name: &str) -> Result<Scenario, CliError> {
    let shipped = shipped(|head| family(name) == head.name)?.into_iter().map(|(_, scenario)| scenario);
    let mut found: Vec<Scenario> = shipped.filter(|s| s.name == name || s.family() == name).collect();
    if found.is_empty() {
        found = scenario_file(name)?;
    }
    match (found.len(), found.into_iter().next()) {
        (1, Some(scenario)) => Ok(scenario),
        (count, first) => {
            let first = first.map(|scenario| scenario.name).unwrap_or_default();
            Err(CliError::SeveralScenarios { name: name.to_owned(), count, first })
        }
    }
}

/// The scenarios of a file; after the file's name, one combination may stand: `my.toml[loss=1%]`.
fn scenario_file(name: &str) -> Result<Vec<Scenario>, CliError> {
    let path = Path::new(name);
    if looks_like_a_file(path) {
        return open(path);
    }
    let unknown = || CliError::UnknownScenario { name: name.to_owned() };
    let (file, _) = name.split_once(".toml[").ok_or_else(unknown)?;
    let mut found = open(Path::new(&format!("{file}.toml")))?;
    let suffix = &name[file.len() + ".toml".len()..];
    found.retain(|scenario| scenario.name.strip_prefix(scenario.family()) == Some(suffix));
    if found.is_empty() { Err(unknown()) } else { Ok(found) }
}

/// The scenarios of a file. Files that it names are looked for beside it.
pub(crate) fn open(path: &Path) -> Result<Vec<Scenario>, CliError> {
    let beside = |name: &str| std::fs::read_to_string(path.parent().unwrap_or(Path::new("")).join(name));
    Ok(Scenario::expand(&path.to_string_lossy(), &read(path)?, &beside)?)
}

/// One subject, by name or file.
pub(crate) fn subject(name: &str) -> Result<Subject, CliError> {
    let shipped = subjects()?;
    if let Some(subject) = shipped.iter().find(|subject| subject.name == name) {
        return Ok(subject.clone());
    }
    let path = Path::new(name);
    if !looks_like_a_file(path) {
        let known = shipped.into_iter().map(|subject| subject.name).collect();
        return Err(CliError::UnknownSubject { name: name.to_owned(), known });
    }
    Ok(Subject::parse(name, &read(path)?)?)
}

fn looks_like_a_file(path: &Path) -> bool {
    path.exists() || path.extension().is_some_and(|extension| extension == "toml")
}

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|source| CliError::Read { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_are_what_they_look_like() {
        for (pattern, text, expect) in [
            ("lossy*", "lossy[loss=1%]", true),
            ("lossy[*", "lossy[loss=1%]", true),
            ("*[loss=1%]", "lossy[loss=1%]", true),
            ("lossy[loss=?%]", "lossy[loss=1%]", true),
            ("lossy[loss=?%]", "lossy[loss=0.1%]", false),
            ("*1*%*", "lossy[loss=0.1%]", true),
            ("*a*b", "aXbXaXb", true),
            ("*a*b", "aXbXaXc", false),
            ("lossy", "lossy[loss=1%]", false),
            ("**", "", true),
            ("?", "", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expect, "{pattern} {text}");
        }
    }
}
