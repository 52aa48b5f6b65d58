//! Subject files: how to run any program, without code.

mod build;
mod capture;
mod limits;
mod placeholder;
mod program;

use crate::error::{FileError, parse};
use crate::payload::Sort;
pub use build::Build;
use build::BuildFile;
pub use capture::{Amount, Capture, Milestone, Source, What};
pub use limits::Limits;
use limits::LimitsFile;
use longhaul_record::Role;
pub use placeholder::Values;
use program::ProgramFile;
pub use program::{Commands, Program, Ready, Stop, StopSignal};
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A program that can be measured, in its resolved form.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its name, as in results.
    pub name: String,
    /// One line for lists.
    pub summary: String,
    /// How a user gets it, for whoever does not have it.
    pub obtain: Option<String>,
    /// Programs it needs beside those its command lines begin with.
    pub needs: Vec<String>,
    /// How to ask for its version.
    pub version: Option<VersionSpec>,
    /// What its processes find in their environment beside the search path and the home. Values may have placeholders.
    pub environment: BTreeMap<String, String>,
    /// Files its processes find in their home, by relative path. Contents may have placeholders.
    pub files: BTreeMap<String, String>,
    /// The public host that helps the others find each other; absent: it needs none.
    pub relay: Option<Program>,
    /// What runs on the nodes of a network in which things are looked up; absent: it needs none.
    pub node: Option<Program>,
    /// The side that has the payload.
    pub provider: Program,
    /// The side that gets it.
    pub fetcher: Program,
    /// What runs beside a fetcher from before its clock starts, for programs that are a daemon and its client.
    pub fetcher_daemon: Option<Program>,
    /// How many providers one fetcher uses.
    pub fan_in: FanIn,
    /// How much its programs may use.
    pub limits: Limits,
    /// What its fetchers end up with.
    pub delivers: Delivers,
    /// How to get the program from its source.
    pub build: Option<Build>,
}

/// How many providers one fetcher uses where a scenario has several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FanIn {
    /// One: the fetchers take turns.
    One,
    /// All: a word of its command line that names a provider's value is repeated for each.
    All,
}

/// What a fetcher ends up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivers {
    /// The payload, which is compared byte for byte with what was sent.
    #[default]
    Payload,
    /// Nothing: as many bytes as the payload has are received and dropped. How many they were is its own word.
    Nothing,
}

/// How to ask for a version.
#[derive(Debug, Clone)]
pub struct VersionSpec {
    /// The command line.
    pub command: Vec<String>,
    /// Its first group is the version.
    pub regex: Regex,
}

const SCHEMA: u32 = 1;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubjectFile {
    schema: u32,
    name: String,
    #[serde(default)]
    summary: String,
    obtain: Option<String>,
    #[serde(default)]
    needs: Vec<String>,
    version: Option<VersionFile>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default)]
    delivers: Delivers,
    relay: Option<ProgramFile>,
    node: Option<ProgramFile>,
    provider: ProgramFile,
    fetcher: ProgramFile,
    #[serde(default)]
    limits: LimitsFile,
    build: Option<BuildFile>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct VersionFile {
    command: Vec<String>,
    capture: RegexFile,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RegexFile {
    regex: String,
}

impl Subject {
    /// Reads a subject file. `file` is its name for error messages.
    pub fn parse(file: &str, text: &str) -> Result<Subject, FileError> {
        let mut written: SubjectFile = parse(file, text)?;
        if written.schema != SCHEMA {
            let message =
                format!("schema {} is not known to this version of longhaul; it reads {SCHEMA}", written.schema);
            return Err(FileError::new(file, "schema", message));
        }
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        if written.name.is_empty() || written.name.len() > 40 || !written.name.chars().all(good) {
            let message = format!("{:?} is not a name; use 1 to 40 of a-z, 0-9, `-` and `.`", written.name);
            return Err(FileError::new(file, "name", message));
        }
        for path in written.files.keys() {
            check_path(file, path)?;
        }
        let fan_in = written.fetcher.providers.take().unwrap_or(FanIn::One);
        let daemon = written.fetcher.daemon.take();
        let version = written.version.map(|version| version.resolve(file)).transpose()?;
        let program = |written: ProgramFile, key: &str, role| written.resolve(file, key, role);
        let subject = Subject {
            name: written.name,
            summary: written.summary,
            obtain: written.obtain,
            needs: written.needs,
            version,
            environment: written.environment,
            files: written.files,
            relay: written.relay.map(|relay| program(relay, "relay", Role::Relay)).transpose()?,
            node: written.node.map(|node| program(node, "node", Role::Node)).transpose()?,
            provider: program(written.provider, "provider", Role::Provider)?,
            fetcher: program(written.fetcher, "fetcher", Role::Fetcher)?,
            // As a relay, it is no side of the transfer: all it says is texts.
            fetcher_daemon: daemon.map(|daemon| program(*daemon, "fetcher.daemon", Role::Relay)).transpose()?,
            fan_in,
            limits: written.limits.resolve(file)?,
            delivers: written.delivers,
            build: written.build.map(|build| build.resolve(file)).transpose()?,
        };
        subject.check_delivery(file)?;
        placeholder::check(file, &subject)?;
        Ok(subject)
    }

    /// Whether both sides have a command line for payloads of that sort.
    pub fn can_do(&self, sort: Sort) -> bool {
        [&self.provider, &self.fetcher].into_iter().all(|program| program.command_for(sort, false).is_some())
    }

    /// What nobody can check, the subject has to say; what is checked needs nobody's word.
    fn check_delivery(&self, file: &str) -> Result<(), FileError> {
        let is_bytes = |what: &What| matches!(what, What::Amount { amount: Amount::Bytes, .. });
        let said = self.fetcher.captures.iter().any(|capture| is_bytes(&capture.what));
        match (self.delivers, said || self.fetcher.events) {
            (Delivers::Nothing, false) => {
                let message = "delivers nothing, so it has to say how much it received; write `bytes = { … }`";
                Err(FileError::new(file, "fetcher.capture", message))
            }
            (Delivers::Payload, _) if said => {
                let message = "what it delivers is counted; remove this, or write `delivers = \"nothing\"`";
                Err(FileError::new(file, "fetcher.capture.bytes", message))
            }
            _ => Ok(()),
        }
    }

    /// Every program of it, with its key in the file.
    pub fn programs(&self) -> impl Iterator<Item = (&'static str, &Program)> {
        let relay = self.relay.as_ref().map(|relay| ("relay", relay));
        let node = self.node.as_ref().map(|node| ("node", node));
        let daemon = self.fetcher_daemon.as_ref().map(|daemon| ("fetcher.daemon", daemon));
        relay.into_iter().chain(node).chain([("provider", &self.provider), ("fetcher", &self.fetcher)]).chain(daemon)
    }

    /// The programs a machine needs to run it: what its command lines begin with, and what it names beside them.
    pub fn executables(&self) -> impl Iterator<Item = &str> {
        let commands = self.programs().flat_map(|(_, program)| program.commands());
        commands.filter_map(|(_, command)| command.first()).chain(&self.needs).map(String::as_str)
    }
}

impl VersionFile {
    fn resolve(self, file: &str) -> Result<VersionSpec, FileError> {
        let regex = capture::regex(file, "version.capture.regex", &self.capture.regex)?;
        if regex.captures_len() < 2 {
            let message = "needs a group for the version, for example 'curl (\\S+)'";
            return Err(FileError::new(file, "version.capture.regex", message));
        }
        if self.command.is_empty() {
            return Err(FileError::new(file, "version.command", "names no program"));
        }
        Ok(VersionSpec { command: self.command, regex })
    }
}

/// A home is all that a subject's file may write to.
fn check_path(file: &str, path: &str) -> Result<(), FileError> {
    if is_below(path) {
        return Ok(());
    }
    let message = "not a path below the home; write for example \"nginx/nginx.conf\"";
    Err(FileError::new(file, format!("files.{path:?}"), message))
}

/// Whether a relative path stays below where it begins.
fn is_below(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'))
}
