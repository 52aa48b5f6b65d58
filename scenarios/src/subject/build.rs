//! How a program is got from its source.

use crate::error::FileError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How to build a program. Paths are relative to the top of the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Build {
    /// The repository must have this file; elsewhere the installed program is used. Absent: every repository is its own.
    pub only_if: Option<String>,
    /// The command line, run at the top of the repository.
    pub command: Vec<String>,
    /// Where the program is then; or a directory, with programs in it or in its `bin`.
    pub artifact: String,
    /// What the command finds in its environment beside what every build needs.
    pub environment: BTreeMap<String, String>,
    /// What it finds there as the user has it.
    pub inherit: Vec<String>,
    /// What the next build, of another commit, may find of this one: compilers' caches. All else is cleared away.
    pub keep: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BuildFile {
    only_if: Option<String>,
    command: Vec<String>,
    artifact: String,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    inherit: Vec<String>,
    #[serde(default)]
    keep: Vec<String>,
}

impl BuildFile {
    pub(super) fn resolve(self, file: &str) -> Result<Build, FileError> {
        let BuildFile { only_if, command, artifact, environment, inherit, keep } = self;
        if command.is_empty() {
            return Err(FileError::new(file, "build.command", "names no program"));
        }
        let named = [("artifact", Some(&artifact)), ("only_if", only_if.as_ref())];
        let named = named.into_iter().filter_map(|(key, path)| Some((key, path?)));
        for (key, path) in named.chain(keep.iter().map(|path| ("keep", path))) {
            if !super::is_below(path) {
                let message = format!("{path:?} is not a path in the repository; write for example \"target\"");
                return Err(FileError::new(file, format!("build.{key}"), message));
            }
        }
        Ok(Build { only_if, command, artifact, environment, inherit, keep })
    }
}
