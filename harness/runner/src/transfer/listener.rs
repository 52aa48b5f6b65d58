//! Makes sense of what a program prints: the subject protocol, or what its file says to look for.

use super::running::seconds_between;
use super::{Failure, Lookup, PathSeen};
use longhaul_record::{Event, MAX_HAPPENINGS};
use longhaul_scenarios::{Amount, Milestone, Program, Ready, What};
use netsim_lab::{Line, MAX_STDOUT_BYTES, Time};
use std::collections::BTreeMap;

/// The longest text that is passed on from one program to another.
const MAX_TEXT_BYTES: usize = 4096;

/// What was heard of one program.
pub(super) struct Listener<'a> {
    program: &'a Program,
    /// Who it is, for reasons: `the fetcher on bob`.
    whose: String,
    /// When it reached what, in seconds since its start.
    pub(super) milestones: BTreeMap<Milestone, f64>,
    /// What only it can count.
    pub(super) amounts: BTreeMap<Amount, f64>,
    /// What it tells other programs.
    pub(super) texts: BTreeMap<String, String>,
    /// Verified payload bytes by its own word: seconds since its start, bytes.
    pub(super) progress: Vec<(f64, u64)>,
    /// What it looked up.
    pub(super) lookups: Vec<Lookup>,
    /// The ways it took; times in seconds since its start.
    pub(super) paths: Vec<PathSeen>,
    ready: bool,
    /// The last error event.
    error: Option<String>,
}

impl<'a> Listener<'a> {
    pub(super) fn new(program: &'a Program, whose: String) -> Listener<'a> {
        Listener {
            program,
            whose,
            milestones: BTreeMap::new(),
            amounts: BTreeMap::new(),
            texts: BTreeMap::new(),
            progress: Vec::new(),
            lookups: Vec::new(),
            paths: Vec::new(),
            ready: false,
            error: None,
        }
    }

    /// Who it is, for reasons: `the fetcher on bob`.
    pub(super) fn whose(&self) -> &str {
        &self.whose
    }

    /// Whether it said that it can be used.
    pub(super) fn ready(&self) -> bool {
        self.ready
    }

    /// What it said went wrong.
    pub(super) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Payload bytes that have arrived by its own word.
    pub(super) fn bytes(&self) -> u64 {
        let said = self.amounts.get(&Amount::Bytes).map(|bytes| bytes.round() as u64);
        said.or_else(|| self.progress.last().map(|(_, bytes)| *bytes)).unwrap_or(0)
    }

    /// Takes in a line. Times count from `start`.
    pub(super) fn hear(&mut self, line: Line, start: Time) -> Result<(), Failure> {
        match line {
            Line::Flood => Err(flooded(&self.whose)),
            Line::TooLong if self.program.events => {
                Err(Failure::subject(format!("{} printed a line of more than 64 KiB", self.whose)))
            }
            Line::TooLong => Ok(()),
            Line::Text { at, text } if self.program.events => self.hear_event(&text, seconds_between(start, at)),
            Line::Text { at, text } => self.capture(&text, seconds_between(start, at)),
        }
    }

    fn hear_event(&mut self, text: &str, arrived_s: f64) -> Result<(), Failure> {
        // It may go on talking; nothing it says now can change the transfer.
        if self.ready {
            return Ok(());
        }
        let event = Event::parse(text)
            .map_err(|error| Failure::subject(format!("{} broke the subject protocol: {error}", self.whose)))?;
        let t = event.t().unwrap_or(arrived_s);
        match event {
            Event::Ready { ticket, import_seconds, .. } => {
                self.ready = true;
                if let Some(ticket) = ticket {
                    self.say("ticket", ticket)?;
                }
                if let Some(seconds) = import_seconds {
                    self.amounts.insert(Amount::ImportTime, seconds);
                }
            }
            Event::Connected { .. } => self.reached(Milestone::Connected, t),
            Event::Path { kind, remote, .. } => {
                if kind == "direct" {
                    self.reached(Milestone::Direct, t);
                }
                if self.paths.len() < MAX_HAPPENINGS {
                    self.paths.push(PathSeen { at_s: t, kind, remote });
                }
            }
            Event::FirstByte { .. } => self.reached(Milestone::FirstByte, t),
            Event::Progress { bytes, .. } => self.progress.push((t, bytes)),
            Event::Done { bytes, direct_bytes, relayed_bytes, messages, .. } => {
                self.reached(Milestone::Done, t);
                let told = [
                    (Amount::DirectBytes, direct_bytes),
                    (Amount::RelayedBytes, relayed_bytes),
                    (Amount::Messages, messages),
                ];
                self.amounts.extend(told.into_iter().filter_map(|(amount, number)| Some((amount, number? as f64))));
                self.progress.push((t, bytes));
            }
            Event::Lookup { found, seconds, messages, .. } => {
                self.lookups.push(Lookup { seconds: found.then_some(seconds), messages });
            }
            Event::Error { message, .. } => self.error = Some(message),
            Event::Imported { seconds, .. } => {
                self.amounts.insert(Amount::ImportTime, seconds);
            }
            Event::Importing { .. } | Event::Resumed { .. } | Event::Dropped { .. } => {}
        }
        Ok(())
    }

    fn reached(&mut self, milestone: Milestone, t: f64) {
        self.milestones.entry(milestone).or_insert(t);
    }

    /// Looks for what the subject file describes.
    fn capture(&mut self, line: &str, arrived_s: f64) -> Result<(), Failure> {
        let program = self.program;
        if let Ready::Line(regex) = &program.ready {
            self.ready |= regex.is_match(line);
        }
        for capture in &program.captures {
            let Some(found) = capture.source.find(line) else { continue };
            let number =
                |scale: f64| found.parse::<f64>().ok().map(|n| n * scale).filter(|n| n.is_finite() && *n >= 0.0);
            match &capture.what {
                What::Moment { milestone, seconds_per_unit: None } => self.reached(*milestone, arrived_s),
                What::Moment { milestone, seconds_per_unit: Some(scale) } => {
                    number(*scale).into_iter().for_each(|t| self.reached(*milestone, t));
                }
                What::Amount { amount, scale } => {
                    self.amounts.extend(number(*scale).map(|value| (*amount, value)));
                }
                What::Text(name) => self.say(name, found)?,
            }
        }
        Ok(())
    }

    /// Keeps a text for other programs. The first one of its name counts.
    fn say(&mut self, name: &str, text: String) -> Result<(), Failure> {
        if text.len() > MAX_TEXT_BYTES || text.chars().any(char::is_control) {
            let reason = format!(
                "{} said a `{name}` of more than {MAX_TEXT_BYTES} bytes or with control characters",
                self.whose
            );
            return Err(Failure::subject(reason));
        }
        self.texts.entry(name.to_owned()).or_insert(text);
        Ok(())
    }

    /// What it has to tell others and has not said yet.
    pub(super) fn lacking_text(&self) -> Option<&'a str> {
        self.program.texts().map(String::as_str).find(|name| !self.texts.contains_key(*name))
    }

    /// What a fetcher promised and did not say, although it exited with success: it is broken, or its file is.
    pub(super) fn missing(&self) -> Option<Failure> {
        let moments = self.program.captures.iter().filter_map(|capture| match capture.what {
            What::Moment { milestone, .. } => Some(milestone),
            _ => None,
        });
        let promised: Vec<Milestone> =
            if self.program.events { vec![Milestone::Connected, Milestone::Done] } else { moments.collect() };
        // Whether a direct path comes about is what is measured.
        let needed = |milestone: &&Milestone| **milestone != Milestone::Direct;
        let missing = promised.iter().filter(needed).find(|milestone| !self.milestones.contains_key(milestone))?;
        let said = missing.as_str();
        Some(Failure::subject(format!("{} exited with success but never said `{said}`", self.whose)))
    }
}

pub(super) fn flooded(whose: &str) -> Failure {
    let limit = MAX_STDOUT_BYTES >> 20;
    Failure::subject(format!("{whose} printed more than {limit} MiB to standard output"))
}
