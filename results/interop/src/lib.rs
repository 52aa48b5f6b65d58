//! Other tools' formats: what they measured, as run records, and our results for them. From texts to values and back, without
//! files or clocks.
//!
//! Each tool has a module that understands its format and gives [`Measured`]; [`Measured::record`] makes the run record of
//! it. There was no simulated network, so such a record has no calibration, and says so in its words. Our own results come
//! and go as [`records`], which lose nothing, and as [`rows`] of numbers; [`openmetrics`] only go.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod bencher;
pub mod benchfmt;
pub mod criterion;
pub mod github_action;
pub mod hyperfine;
pub mod iperf3;
pub mod metro;
pub mod openmetrics;
pub mod over_time;
pub mod points;
pub mod quic_interop;
pub mod records;
pub mod rows;

use longhaul_record::{
    Calibration, CommitDetail, Fidelity, HostDetail, Outcome, RunRecord, SCHEMA, Sample, SubjectDetail, Tolerance,
    Trigger,
};
use serde::de::DeserializeOwned;

/// Refuses a text, naming the place.
fn wrong(file: &str, place: impl Into<String>, problem: impl Into<String>) -> ImportError {
    ImportError { file: file.to_owned(), place: place.into(), problem: problem.into() }
}

/// A text that another tool did not write, or wrote in a way this version does not know.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{file}{}: {problem}", if place.is_empty() { String::new() } else { format!(": `{place}`") })]
pub struct ImportError {
    /// Its name.
    pub file: String,
    /// The key in it; empty if it is the whole text.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
}

/// Something that was measured, or tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The tool that measured, for example `criterion`.
    pub tool: &'static str,
    /// What it measured, as the tool calls it.
    pub name: String,
    /// The same for people: one sentence.
    pub words: String,
    /// The program that was measured, where the tool tells programs apart; else the tool.
    pub subject: String,
    /// Bytes worked on, where the tool was told.
    pub bytes: u64,
    /// The numbers, or why there are none.
    pub outcome: Result<Vec<Sample>, String>,
    /// The commit it belongs to, where the tool says so.
    pub commit: Option<String>,
    /// When it was done, in milliseconds since 1970-01-01T00:00:00Z, where the tool says so.
    pub at_ms: Option<i64>,
    /// Hash of the texts it came from, so that an import that is repeated records nothing twice.
    pub hash: blake3::Hash,
}

/// Where and when it was measured.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Name of the project.
    pub project: String,
    /// Full hash of the commit, if there is one.
    pub commit: Option<String>,
    /// What else is known of it.
    pub commit_detail: Option<CommitDetail>,
    /// The machine.
    pub host: HostDetail,
    /// When it was done, unless the tool said so, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: i64,
}

/// The longest name of a benchmark, or of anything else that a file names.
const MAX_NAME: usize = 200;

impl Measured {
    /// What `tool` measured under a name, all of it in `text`. A name is as long as a page can show, and on one line.
    fn new(
        tool: &'static str,
        name: &str,
        text: &str,
        outcome: Result<Vec<Sample>, String>,
    ) -> Result<Measured, String> {
        fitting(name)?;
        Ok(Measured {
            tool,
            name: name.to_owned(),
            words: format!("{name}, as {tool} measured it, without a simulated network."),
            subject: tool.to_owned(),
            bytes: 0,
            outcome,
            commit: None,
            at_ms: None,
            hash: blake3::hash(text.as_bytes()),
        })
    }

    /// As a run record. What makes it the same run is the commit, the machine, and what was written.
    pub fn record(self, origin: Origin) -> RunRecord {
        let id = self.id(&origin);
        let resolved = format!("measured by {}: {}", self.tool, self.name);
        let at_ms = self.at_ms.unwrap_or(origin.at_ms);
        let (outcome, reason, samples) = match self.outcome {
            Ok(samples) => (Outcome::Ok, None, samples),
            Err(reason) => (Outcome::SubjectFailed, Some(reason), Vec::new()),
        };
        RunRecord {
            id,
            project: origin.project,
            commit: origin.commit,
            commit_detail: origin.commit_detail,
            scenario_hash: blake3::hash(resolved.as_bytes()).to_hex().to_string(),
            scenario: self.name,
            scenario_resolved: resolved,
            scenario_words: self.words,
            subject: self.subject,
            started_ms: at_ms,
            ended_ms: at_ms,
            outcome,
            reason,
            payload_bytes: self.bytes,
            samples,
            ..bare(origin.host)
        }
    }

    fn id(&self, origin: &Origin) -> String {
        let mut hasher = blake3::Hasher::new();
        let commit = origin.commit.as_deref().unwrap_or_default();
        for text in [self.tool, &self.name, &origin.project, commit, &origin.host.fingerprint, &self.subject] {
            hasher.update(text.as_bytes()).update(&[0]);
        }
        hasher.update(self.hash.as_bytes());
        let mut bits = [0; 10];
        hasher.finalize_xof().fill(&mut bits);
        let millis = u64::try_from(self.at_ms.unwrap_or(origin.at_ms)).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &bits).into_uuid().to_string()
    }
}

/// A record of something that was measured without a simulated network, or whose evidence is elsewhere: nothing is known but
/// the machine.
fn bare(host: HostDetail) -> RunRecord {
    RunRecord {
        schema: SCHEMA,
        id: String::new(),
        project: String::new(),
        commit: None,
        commit_detail: None,
        scenario: String::new(),
        scenario_hash: String::new(),
        scenario_resolved: String::new(),
        scenario_words: String::new(),
        subject: String::new(),
        subject_detail: SubjectDetail::default(),
        host,
        seed: 0,
        iteration: 0,
        started_ms: 0,
        ended_ms: 0,
        trigger: Trigger::Import,
        outcome: Outcome::Ok,
        reason: None,
        pairing: None,
        payload_bytes: 0,
        payload_files: 0,
        calibration: Calibration::default(),
        fidelity: Fidelity::default(),
        tolerance: Tolerance::default(),
        links: Vec::new(),
        cross: Vec::new(),
        changes: Vec::new(),
        recoveries: Vec::new(),
        paths: Vec::new(),
        mappings: Vec::new(),
        stalls: Vec::new(),
        processes: Vec::new(),
        samples: Vec::new(),
        series: Vec::new(),
    }
}

/// Whether a page can show a name.
fn fitting(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(format!("{name:?} is not a name of 1 to {MAX_NAME} bytes on one line"));
    }
    Ok(())
}

/// A value of a metric that has no sides.
fn sample(metric: &str, value: f64) -> Sample {
    Sample { metric: metric.to_owned(), peer: None, value }
}

/// How many seconds a unit of time is: `ns`, also as `ns/op` or `ns/iter`.
fn seconds_of(unit: &str) -> Option<f64> {
    let unit = unit.trim().split('/').next()?.trim();
    match unit {
        "s" | "sec" | "second" | "seconds" => Some(1.0),
        "ms" => Some(1e-3),
        "us" | "µs" | "μs" => Some(1e-6),
        "ns" => Some(1e-9),
        _ => None,
    }
}

/// Reads JSON; what is wrong is named by its place.
fn json<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, ImportError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| ImportError {
        file: file.to_owned(),
        place: Some(error.path().to_string()).filter(|path| !matches!(path.as_str(), "." | "?")).unwrap_or_default(),
        problem: error.into_inner().to_string(),
    })
}
