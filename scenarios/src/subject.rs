//! Subject files: how to run any program, without code.

use crate::error::{FileError, parse};
use longhaul_record::Role;
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
    /// How to ask for its version.
    pub version: Option<VersionSpec>,
    /// The side that has the payload.
    pub provider: RoleSpec,
    /// The side that gets it.
    pub fetcher: RoleSpec,
    /// How to get the program from its source.
    pub build: Option<Build>,
}

/// How to ask for a version.
#[derive(Debug, Clone)]
pub struct VersionSpec {
    /// The command line.
    pub command: Vec<String>,
    /// Its first group is the version.
    pub regex: Regex,
}

/// How to run one side.
#[derive(Debug, Clone)]
pub struct RoleSpec {
    /// Command line for a payload of one file. Words in braces, such as `{payload.path}`, are filled in.
    pub command: Vec<String>,
    /// Command line for a payload of many files; absent: the subject cannot send those.
    pub command_tree: Option<Vec<String>>,
    /// When the provider can be fetched from.
    pub ready: Ready,
    /// Whether it speaks the subject protocol on standard output.
    pub events: bool,
    /// What to look for in standard output if it does not.
    pub captures: Vec<Capture>,
}

/// When a provider can be fetched from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// When it says so in the subject protocol.
    Event,
    /// When this TCP port accepts connections.
    Port(u16),
}

/// A moment of the transfer, on the clock of the fetcher's own process: the same as the subject protocol's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Milestone {
    /// The connection is up.
    Connected,
    /// The first payload byte arrived.
    FirstByte,
    /// Everything arrived.
    Done,
}

/// A milestone found in standard output.
#[derive(Debug, Clone, PartialEq)]
pub struct Capture {
    /// Which.
    pub milestone: Milestone,
    /// JSON pointer (RFC 6901) into a line that is a JSON document. The first line that has it counts.
    pub json: String,
    /// Seconds per unit of the number found.
    pub seconds_per_unit: f64,
}

/// How to get the program from its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The repository must have this file; elsewhere the installed program is used.
    pub only_if: String,
    /// The command line, run at the top of the repository.
    pub command: Vec<String>,
    /// Where the program is then, relative to the top.
    pub artifact: String,
}

/// What may stand in braces in a command line.
pub(crate) const PLACEHOLDERS: [&str; 7] =
    ["payload.dir", "payload.path", "payload.name", "payload.list", "provider.address", "provider.ticket", "out"];

const SCHEMA: u32 = 1;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubjectFile {
    schema: u32,
    name: String,
    #[serde(default)]
    summary: String,
    version: Option<VersionFile>,
    provider: RoleFile,
    fetcher: RoleFile,
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

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RoleFile {
    command: Vec<String>,
    command_tree: Option<Vec<String>>,
    ready: Option<ReadyFile>,
    #[serde(default)]
    events: bool,
    #[serde(default)]
    capture: BTreeMap<MilestoneFile, CaptureFile>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadyFile {
    port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum MilestoneFile {
    Connected,
    FirstByte,
    Done,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CaptureFile {
    json: String,
    unit: UnitFile,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
enum UnitFile {
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "us")]
    Microseconds,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BuildFile {
    only_if: String,
    command: Vec<String>,
    artifact: String,
}

impl Subject {
    /// Reads a subject file. `file` is its name for error messages.
    pub fn parse(file: &str, text: &str) -> Result<Subject, FileError> {
        let written: SubjectFile = parse(file, text)?;
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
        let version = written.version.map(|version| version.resolve(file)).transpose()?;
        Ok(Subject {
            name: written.name,
            summary: written.summary,
            version,
            provider: written.provider.resolve(file, Role::Provider)?,
            fetcher: written.fetcher.resolve(file, Role::Fetcher)?,
            build: written.build.map(|BuildFile { only_if, command, artifact }| Build { only_if, command, artifact }),
        })
    }
}

impl VersionFile {
    fn resolve(self, file: &str) -> Result<VersionSpec, FileError> {
        let key = "version.capture.regex";
        let regex = Regex::new(&self.capture.regex)
            .map_err(|error| FileError::new(file, key, format!("not a regular expression: {}", last_line(&error))))?;
        if regex.captures_len() < 2 {
            return Err(FileError::new(file, key, "needs a group for the version, for example 'curl (\\S+)'"));
        }
        if self.command.is_empty() {
            return Err(FileError::new(file, "version.command", "names no program"));
        }
        Ok(VersionSpec { command: self.command, regex })
    }
}

/// The parser draws a picture of several lines; its last one says what is wrong.
fn last_line(error: &regex::Error) -> String {
    error.to_string().lines().last().unwrap_or_default().replace("error: ", "")
}

impl RoleFile {
    fn resolve(self, file: &str, role: Role) -> Result<RoleSpec, FileError> {
        let role_name = role.as_str();
        check_command(file, &format!("{role_name}.command"), &self.command)?;
        if let Some(command) = &self.command_tree {
            check_command(file, &format!("{role_name}.command_tree"), command)?;
        }
        let ready = match (role, self.ready, self.events) {
            (Role::Fetcher, Some(_), _) => {
                return Err(FileError::new(file, "fetcher.ready", "only a provider is waited for; remove it"));
            }
            (Role::Provider, None, false) => {
                let message =
                    "missing; write `ready = { port = … }`, or `events = true` if it speaks the subject protocol";
                return Err(FileError::new(file, "provider.ready", message));
            }
            (_, Some(ReadyFile { port }), _) => Ready::Port(port),
            (_, None, _) => Ready::Event,
        };
        if self.events && !self.capture.is_empty() {
            let message = "a program that speaks the subject protocol needs no captures; remove them or `events`";
            return Err(FileError::new(file, format!("{role_name}.capture"), message));
        }
        let captures = self.capture.into_iter().map(|(milestone, capture)| capture.resolve(file, role_name, milestone));
        Ok(RoleSpec {
            command: self.command,
            command_tree: self.command_tree,
            ready,
            events: self.events,
            captures: captures.collect::<Result<_, _>>()?,
        })
    }
}

impl CaptureFile {
    fn resolve(self, file: &str, role: &str, milestone: MilestoneFile) -> Result<Capture, FileError> {
        let milestone = match milestone {
            MilestoneFile::Connected => Milestone::Connected,
            MilestoneFile::FirstByte => Milestone::FirstByte,
            MilestoneFile::Done => Milestone::Done,
        };
        if !self.json.starts_with('/') {
            let message = format!("{:?} is not a JSON pointer; write for example \"/time_total\"", self.json);
            return Err(FileError::new(file, format!("{role}.capture.json"), message));
        }
        let seconds_per_unit = match self.unit {
            UnitFile::Seconds => 1.0,
            UnitFile::Milliseconds => 1e-3,
            UnitFile::Microseconds => 1e-6,
        };
        Ok(Capture { milestone, json: self.json, seconds_per_unit })
    }
}

fn check_command(file: &str, key: &str, command: &[String]) -> Result<(), FileError> {
    if command.is_empty() {
        return Err(FileError::new(file, key, "names no program"));
    }
    for word in command {
        for name in placeholders(word) {
            if !PLACEHOLDERS.contains(&name) {
                let known = PLACEHOLDERS.join("}, {");
                return Err(FileError::new(
                    file,
                    key,
                    format!("unknown placeholder {{{name}}}; there are {{{known}}}"),
                ));
            }
        }
    }
    Ok(())
}

/// The words in braces that look like placeholders: lower-case letters and dots. Other braces are the program's own.
fn placeholders(word: &str) -> impl Iterator<Item = &str> {
    word.match_indices('{').filter_map(|(at, _)| {
        // `%{json}` is curl's, `${x}` the shell's.
        if word[..at].ends_with(['%', '$']) {
            return None;
        }
        let rest = &word[at + 1..];
        let name = &rest[..rest.find('}')?];
        let looks_like_one = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '.');
        looks_like_one.then_some(name)
    })
}

impl RoleSpec {
    /// The command line for a payload of one file (`tree` false) or many, or `None` if the subject cannot send many.
    pub fn command_for(&self, tree: bool) -> Option<&[String]> {
        if tree { self.command_tree.as_deref() } else { Some(&self.command) }
    }

    /// `command` with its placeholders filled in. Those without a value stay as they are.
    pub fn fill(command: &[String], values: &BTreeMap<&str, String>) -> Vec<String> {
        let fill_word = |word: &String| {
            values.iter().fold(word.clone(), |word, (name, value)| word.replace(&format!("{{{name}}}"), value))
        };
        command.iter().map(fill_word).collect()
    }
}
