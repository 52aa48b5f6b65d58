//! What other tools measured, as run records: from texts to values, without files or clocks.
//!
//! Each tool has a module that understands its format and gives [`Measured`]; [`Measured::record`] makes the run record of
//! it. There was no simulated network, so such a record has no calibration, and says so in its words.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod criterion;
pub mod points;

use longhaul_record::{
    Calibration, CommitDetail, Fidelity, HostDetail, Outcome, RunRecord, SCHEMA, Sample, SubjectDetail, Tolerance,
    Trigger,
};
use serde::de::DeserializeOwned;

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

/// Something that was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The tool that measured, for example `criterion`.
    pub tool: &'static str,
    /// What was measured, as the tool calls it.
    pub name: String,
    /// The same for people: one sentence.
    pub words: String,
    /// Bytes worked on, where the tool was told.
    pub bytes: u64,
    /// The numbers.
    pub samples: Vec<Sample>,
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
    /// When it was done, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: i64,
}

impl Measured {
    /// As a run record. What makes it the same run is the commit, the machine, and what was written.
    pub fn record(self, origin: Origin) -> RunRecord {
        let id = self.id(&origin);
        let resolved = format!("measured by {}: {}", self.tool, self.name);
        RunRecord {
            schema: SCHEMA,
            id,
            project: origin.project,
            commit: origin.commit,
            commit_detail: origin.commit_detail,
            scenario_hash: blake3::hash(resolved.as_bytes()).to_hex().to_string(),
            scenario: self.name,
            scenario_resolved: resolved,
            scenario_words: self.words,
            subject: self.tool.to_owned(),
            subject_detail: SubjectDetail::default(),
            host: origin.host,
            seed: 0,
            iteration: 0,
            started_ms: origin.at_ms,
            ended_ms: origin.at_ms,
            trigger: Trigger::Import,
            outcome: Outcome::Ok,
            reason: None,
            payload_bytes: self.bytes,
            payload_files: 0,
            calibration: Calibration::default(),
            fidelity: Fidelity::default(),
            tolerance: Tolerance::default(),
            links: Vec::new(),
            cross: Vec::new(),
            changes: Vec::new(),
            recoveries: Vec::new(),
            processes: Vec::new(),
            samples: self.samples,
            series: Vec::new(),
        }
    }

    fn id(&self, origin: &Origin) -> String {
        let mut hasher = blake3::Hasher::new();
        let texts = [self.tool, &self.name, &origin.project, origin.commit.as_deref().unwrap_or_default()];
        for text in texts.into_iter().chain([origin.host.fingerprint.as_str()]) {
            hasher.update(text.as_bytes()).update(&[0]);
        }
        hasher.update(self.hash.as_bytes());
        let mut bits = [0; 10];
        hasher.finalize_xof().fill(&mut bits);
        let millis = u64::try_from(origin.at_ms).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &bits).into_uuid().to_string()
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
