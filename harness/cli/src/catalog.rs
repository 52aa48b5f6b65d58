//! Scenarios and subjects by name, tag or file.

use crate::error::CliError;
use longhaul_scenarios::{Scenario, Subject};
use std::path::Path;

/// Every shipped scenario with its file's name.
pub(crate) fn scenarios() -> Result<Vec<(&'static str, Scenario)>, CliError> {
    longhaul_scenarios::suite().iter().map(|(file, text)| Ok((*file, Scenario::parse(file, text)?))).collect()
}

/// Every shipped subject.
pub(crate) fn subjects() -> Result<Vec<Subject>, CliError> {
    longhaul_scenarios::subjects().iter().map(|(file, text)| Ok(Subject::parse(file, text)?)).collect()
}

/// The scenarios a user names: by name, by tag, or by file. In the order named, each once.
pub(crate) fn select(names: &[String]) -> Result<Vec<Scenario>, CliError> {
    let shipped = scenarios()?;
    let mut selected: Vec<Scenario> = Vec::new();
    for name in names {
        let matching = |scenario: &Scenario| scenario.name == *name || scenario.tags.contains(name);
        let mut found: Vec<Scenario> =
            shipped.iter().map(|(_, scenario)| scenario).filter(|s| matching(s)).cloned().collect();
        if found.is_empty() {
            found.push(scenario_file(name)?);
        }
        // Not by name: a user's file may be a variant of what is shipped.
        found.retain(|scenario| !selected.contains(scenario));
        selected.append(&mut found);
    }
    Ok(selected)
}

/// One scenario, by name or file.
pub(crate) fn scenario(name: &str) -> Result<Scenario, CliError> {
    let shipped = scenarios()?.into_iter().find(|(_, scenario)| scenario.name == name);
    shipped.map_or_else(|| scenario_file(name), |(_, scenario)| Ok(scenario))
}

fn scenario_file(name: &str) -> Result<Scenario, CliError> {
    let path = Path::new(name);
    if !looks_like_a_file(path) {
        return Err(CliError::UnknownScenario { name: name.to_owned() });
    }
    open(path)
}

/// The scenario of a file. Files that it names are looked for beside it.
pub(crate) fn open(path: &Path) -> Result<Scenario, CliError> {
    let beside = |name: &str| std::fs::read_to_string(path.parent().unwrap_or(Path::new("")).join(name));
    Ok(Scenario::parse_with(&path.to_string_lossy(), &read(path)?, &beside)?)
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
