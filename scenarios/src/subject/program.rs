//! One program of a subject: how it is started, when it is ready, what it says, how it is stopped.

use super::FanIn;
use super::capture::{self, Capture, CaptureFile, What};
use crate::error::FileError;
use crate::payload::Sort;
use crate::quantity::Nanos;
use longhaul_record::Role;
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// How to run one program of a subject.
#[derive(Debug, Clone)]
pub struct Program {
    /// Command line for a payload of one file; absent: the subject cannot send any. Words in braces, such as
    /// `{payload.path}`, are filled in.
    pub command: Option<Vec<String>>,
    /// Command line for a payload of many files; absent: the subject cannot send those.
    pub command_tree: Option<Vec<String>>,
    /// Command line for announcing keys, or looking them up; absent: the subject can do neither.
    pub command_lookups: Option<Vec<String>>,
    /// The command lines where the subject's relay runs, if others.
    pub relayed: Option<Commands>,
    /// Run to its end before the program is started, on the same host.
    pub prepare: Option<Vec<String>>,
    /// When it can be used.
    pub ready: Ready,
    /// How it is ended.
    pub stop: Stop,
    /// Whether it speaks the subject protocol on standard output.
    pub events: bool,
    /// What to look for in standard output if it does not.
    pub captures: Vec<Capture>,
}

/// Command lines for payloads of one file and of many.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Commands {
    /// As [`Program::command`].
    pub command: Vec<String>,
    /// As [`Program::command_tree`].
    pub command_tree: Option<Vec<String>>,
}

/// When a program can be used.
#[derive(Debug, Clone)]
pub enum Ready {
    /// When it says so in the subject protocol.
    Event,
    /// When this TCP port accepts connections.
    Port(u16),
    /// When it prints a line in which this is found.
    Line(Regex),
    /// When this file is there. May have placeholders.
    File(String),
}

impl Ready {
    /// Whether the program itself says it on standard output.
    pub fn is_said(&self) -> bool {
        matches!(self, Ready::Event | Ready::Line(_))
    }
}

/// How a program is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// What it is asked with.
    pub signal: StopSignal,
    /// How long it may take before it is killed.
    pub grace: Duration,
}

/// What a program is asked to end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub enum StopSignal {
    /// SIGTERM.
    #[default]
    #[serde(rename = "TERM")]
    Term,
    /// SIGINT, as from a terminal.
    #[serde(rename = "INT")]
    Int,
    /// SIGQUIT.
    #[serde(rename = "QUIT")]
    Quit,
    /// SIGKILL: it is not asked.
    #[serde(rename = "KILL")]
    Kill,
}

impl Default for Stop {
    fn default() -> Stop {
        Stop { signal: StopSignal::Term, grace: Duration::from_secs(3) }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProgramFile {
    command: Option<Vec<String>>,
    command_tree: Option<Vec<String>>,
    /// For a provider, a fetcher and its daemon: where keys are announced and looked up.
    command_lookups: Option<Vec<String>>,
    /// Other command lines, for scenarios in which the subject's relay runs.
    relayed: Option<Commands>,
    prepare: Option<Vec<String>>,
    ready: Option<ReadyFile>,
    stop: Option<StopFile>,
    #[serde(default)]
    events: bool,
    #[serde(default)]
    capture: BTreeMap<String, CaptureFile>,
    /// For a fetcher alone.
    pub(super) daemon: Option<Box<ProgramFile>>,
    /// For a fetcher alone.
    pub(super) providers: Option<FanIn>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadyFile {
    port: Option<u16>,
    line: Option<String>,
    file: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StopFile {
    #[serde(default)]
    signal: StopSignal,
    grace: Option<Nanos>,
}

impl Program {
    /// The command line for a payload of that sort, or `None` if the subject cannot do it. `relayed`: the subject's relay
    /// runs, which makes no difference to lookups.
    pub fn command_for(&self, sort: Sort, relayed: bool) -> Option<&[String]> {
        let relayed = self.relayed.as_ref().filter(|_| relayed);
        match (sort, relayed) {
            (Sort::Lookups, _) => self.command_lookups.as_deref(),
            (Sort::File, Some(lines)) => Some(&lines.command),
            (Sort::Tree, Some(lines)) => lines.command_tree.as_deref(),
            (Sort::File, None) => self.command.as_deref(),
            (Sort::Tree, None) => self.command_tree.as_deref(),
        }
    }

    /// The names of the texts it tells others.
    pub fn texts(&self) -> impl Iterator<Item = &String> {
        self.captures.iter().filter_map(|capture| if let What::Text(name) = &capture.what { Some(name) } else { None })
    }

    /// Every command line it has, with its key.
    pub fn commands(&self) -> impl Iterator<Item = (&'static str, &Vec<String>)> {
        let own = [
            ("command", &self.command),
            ("command_tree", &self.command_tree),
            ("command_lookups", &self.command_lookups),
        ];
        let own = own.into_iter().filter_map(|(key, command)| Some((key, command.as_ref()?)));
        let prepare = self.prepare.as_ref().map(|command| ("prepare", command));
        let relayed = self.relayed.iter().flat_map(|lines| {
            let tree = lines.command_tree.as_ref().map(|command| ("relayed.command_tree", command));
            [("relayed.command", &lines.command)].into_iter().chain(tree)
        });
        own.chain(relayed).chain(prepare)
    }
}

impl ProgramFile {
    /// `key` is its place in the file. All but a fetcher, whose clock starts with it, are waited for.
    pub(super) fn resolve(self, file: &str, key: &str, role: Role) -> Result<Program, FileError> {
        let fail = |at: &str, message: &str| Err(FileError::new(file, format!("{key}.{at}"), message));
        let relayed = self.relayed.as_ref();
        let lines = [
            ("command", self.command.as_ref()),
            ("command_tree", self.command_tree.as_ref()),
            ("command_lookups", self.command_lookups.as_ref()),
            ("relayed.command", relayed.map(|lines| &lines.command)),
            ("relayed.command_tree", relayed.and_then(|lines| lines.command_tree.as_ref())),
        ];
        for (at, line) in lines.into_iter().chain([("prepare", self.prepare.as_ref())]) {
            if line.is_some_and(Vec::is_empty) {
                return fail(at, "names no program");
            }
        }
        let takes_part = key.starts_with("fetcher") || key == "provider";
        match (&self.command, &self.command_lookups) {
            (_, Some(_)) if !takes_part => return fail("command_lookups", "only a provider and a fetcher have this"),
            (None, None) if takes_part => {
                return fail("command", "missing; write it, or `command_lookups` for a program that looks things up");
            }
            (None, _) if !takes_part => return fail("command", "missing"),
            (None, _) if self.command_tree.is_some() => {
                return fail("command", "missing; what can send many files can send one");
            }
            _ => {}
        }
        if self.daemon.is_some() || self.providers.is_some() {
            let at = if self.daemon.is_some() { "daemon" } else { "providers" };
            return fail(at, "only a fetcher has this; remove it");
        }
        let ready = match (key == "fetcher", self.ready, self.events) {
            (true, Some(_), _) => return fail("ready", "a fetcher is not waited for; remove it"),
            (true, None, _) | (_, None, true) => Ready::Event,
            (false, None, false) => {
                let message = "missing; write `ready = { port = … }`, `{ line = \"…\" }` or `{ file = \"…\" }`, or \
                               `events = true` if it speaks the subject protocol";
                return fail("ready", message);
            }
            (false, Some(ready), _) => ready.resolve(file, key)?,
        };
        if self.events && !self.capture.is_empty() {
            return fail(
                "capture",
                "a program that speaks the subject protocol needs no captures; remove them or `events`",
            );
        }
        let captures = self.capture.into_iter();
        let captures =
            captures.map(|(name, written)| written.resolve(file, &format!("{key}.capture.{name}"), &name, role));
        Ok(Program {
            command: self.command,
            command_tree: self.command_tree,
            command_lookups: self.command_lookups,
            relayed: self.relayed,
            prepare: self.prepare,
            ready,
            stop: self.stop.map_or_else(Stop::default, StopFile::resolve),
            events: self.events,
            captures: captures.collect::<Result<_, _>>()?,
        })
    }
}

impl StopFile {
    fn resolve(self) -> Stop {
        let grace = self.grace.map_or(Stop::default().grace, |Nanos(grace)| Duration::from_nanos(grace));
        Stop { signal: self.signal, grace }
    }
}

impl ReadyFile {
    fn resolve(self, file: &str, key: &str) -> Result<Ready, FileError> {
        match (self.port, self.line, self.file) {
            (Some(port), None, None) => Ok(Ready::Port(port)),
            (None, Some(line), None) => Ok(Ready::Line(capture::regex(file, &format!("{key}.ready.line"), &line)?)),
            (None, None, Some(path)) => Ok(Ready::File(path)),
            _ => Err(FileError::new(file, format!("{key}.ready"), "needs exactly one of `port`, `line` and `file`")),
        }
    }
}
