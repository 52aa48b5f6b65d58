//! The run record: one execution of one subject in one scenario, with the evidence of how it was obtained.

use crate::{Calibration, CrossReport, Fidelity, LinkReport, NatMapping, Pairing, PathChange, Stall, Tolerance};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the record's shape. A reader refuses a larger one.
pub const SCHEMA: u32 = 1;

/// One execution of one subject in one scenario. One line of `--json` output, one row in the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunRecord {
    /// [`SCHEMA`].
    pub schema: u32,
    /// UUIDv7 in its usual text form; ingest is idempotent by it.
    pub id: String,
    /// Name of the project whose commits are measured.
    pub project: String,
    /// Full hash of the commit the run belongs to; absent outside a git repository.
    pub commit: Option<String>,
    /// What else is known of that commit.
    pub commit_detail: Option<CommitDetail>,
    /// Name of the scenario.
    pub scenario: String,
    /// BLAKE3 hash of the scenario's resolved form, in hexadecimal. A new hash starts a new series.
    pub scenario_hash: String,
    /// The scenario's resolved form, as text for people and as the hash's preimage.
    pub scenario_resolved: String,
    /// One sentence that says who sends what to whom over which network.
    pub scenario_words: String,
    /// Name of the subject.
    pub subject: String,
    /// Which build of it ran.
    pub subject_detail: SubjectDetail,
    /// The machine it ran on.
    pub host: HostDetail,
    /// Seed of every random decision of the network; at most 2^53 - 1 so that JSON keeps it exact.
    pub seed: u64,
    /// Which repetition within its command, from 0.
    pub iteration: u32,
    /// Start of the run, in milliseconds since 1970-01-01T00:00:00Z.
    pub started_ms: i64,
    /// End of the run, in the same unit.
    pub ended_ms: i64,
    /// What asked for the run.
    pub trigger: Trigger,
    /// How it ended. Only `ok` runs have samples that may be compared.
    pub outcome: Outcome,
    /// Why the outcome is not `ok`, for a person.
    pub reason: Option<String>,
    /// Where it stands in a comparison; absent in all other runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairing: Option<Pairing>,
    /// Payload size in bytes, without any protocol's overhead.
    pub payload_bytes: u64,
    /// Files the payload consists of.
    pub payload_files: u64,
    /// The proof from before the run.
    pub calibration: Calibration,
    /// The proof from during the run.
    pub fidelity: Fidelity,
    /// How far both may be off before the outcome is `untrusted`.
    pub tolerance: Tolerance,
    /// What every link saw.
    pub links: Vec<LinkReport>,
    /// What the flows beside the transfer did.
    #[serde(default)]
    pub cross: Vec<CrossReport>,
    /// What happened to the network, in order of time. Absent in records from before there were such.
    #[serde(default)]
    pub changes: Vec<NetworkChange>,
    /// How the transfer came back from what cut it off, in order of time. Empty where nothing did, and where the run failed.
    #[serde(default)]
    pub recoveries: Vec<Recovery>,
    /// The ways that fetchers took, in order of time. Empty where there was no choice, and in records from before this was
    /// recorded, as are the next two.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathChange>,
    /// The NAT mappings of the simulated routers, in order of time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mappings: Vec<NatMapping>,
    /// The fetchers' silences, in order of time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stalls: Vec<Stall>,
    /// Every process of the subject.
    pub processes: Vec<ProcessReport>,
    /// The numbers. Empty unless the transfer completed and was verified.
    pub samples: Vec<Sample>,
    /// Values over time, on one clock that starts with the fetcher process.
    pub series: Vec<Series>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Transferred, verified, on the network that was asked for.
    Ok,
    /// The subject exited with an error, broke its protocol or delivered wrong bytes.
    SubjectFailed,
    /// The subject was still running at the scenario's timeout.
    TimedOut,
    /// The network or the emulator was outside tolerance.
    Untrusted,
    /// The lab, the payload or the subject's build could not be set up.
    SetupFailed,
}

impl Outcome {
    /// The outcome as it is written in records and stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::SubjectFailed => "subject_failed",
            Outcome::TimedOut => "timed_out",
            Outcome::Untrusted => "untrusted",
            Outcome::SetupFailed => "setup_failed",
        }
    }

    /// The inverse of [`Outcome::as_str`].
    pub fn parse(text: &str) -> Option<Outcome> {
        [Outcome::Ok, Outcome::SubjectFailed, Outcome::TimedOut, Outcome::Untrusted, Outcome::SetupFailed]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
    }
}

/// What asked for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A person at a terminal.
    Local,
    /// A CI job.
    Ci,
    /// `longhaul backfill`: a commit of the past.
    Backfill,
    /// `longhaul bisect`: a commit under suspicion.
    Bisect,
    /// Nothing of ours: another tool measured, and its result was imported. There was no simulated network.
    Import,
    /// Nothing at all: the record is invented, for trying the dashboard. Its machine is [`SYNTHETIC_HOST`].
    Synthetic,
}

/// The fingerprint of the machine that invented records are of. No real machine has it, so none of them ever stands beside a
/// measurement.
pub const SYNTHETIC_HOST: &str = "synthetic";

impl Trigger {
    /// The trigger as it is written in records and stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Trigger::Local => "local",
            Trigger::Ci => "ci",
            Trigger::Backfill => "backfill",
            Trigger::Bisect => "bisect",
            Trigger::Import => "import",
            Trigger::Synthetic => "synthetic",
        }
    }

    /// The inverse of [`Trigger::as_str`].
    pub fn parse(text: &str) -> Option<Trigger> {
        [Trigger::Local, Trigger::Ci, Trigger::Backfill, Trigger::Bisect, Trigger::Import, Trigger::Synthetic]
            .into_iter()
            .find(|trigger| trigger.as_str() == text)
    }
}

/// What is known of a commit beside its hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommitDetail {
    /// Hashes of its parents.
    pub parents: Vec<String>,
    /// Author date, in milliseconds since 1970-01-01T00:00:00Z.
    pub authored_ms: i64,
    /// Branch that was checked out, if any.
    pub branch: Option<String>,
    /// First line of the message. Untrusted text.
    pub summary: String,
    /// Whether tracked files differed from the commit: such a run is not the commit's own.
    pub dirty: bool,
}

/// Which build of a subject ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SubjectDetail {
    /// What it calls its version.
    pub version: Option<String>,
    /// BLAKE3 hash of the fetcher's program file, in hexadecimal.
    pub binary_hash: Option<String>,
    /// Whether it delivers nothing: how many bytes arrived is its own word, and none was compared with what was sent.
    #[serde(default)]
    pub delivers_nothing: bool,
}

/// The machine a run was measured on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostDetail {
    /// Hash of the stable facts below: runs of different fingerprints are different series.
    pub fingerprint: String,
    /// Processor model.
    pub cpu: String,
    /// Processors the runner may use.
    pub cores: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Kernel release.
    pub kernel: String,
    /// The kernel's random identifier of this boot.
    pub boot_id: String,
    /// Version of longhaul.
    pub runner_version: String,
    /// What TCP uses on this machine unless told otherwise, for example `cubic` or `bbr`: no TCP result means much
    /// without it.
    pub tcp_congestion_control: String,
    /// What the network was made of: the links' engine, how hosts are attached, and the routers' engine where it is not
    /// `userspace`: for example `userspace/tun` or `netem/packet/nftables`.
    pub plane: String,
}

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Offers the payload.
    Provider,
    /// Gets the payload.
    Fetcher,
    /// Helps the others to find each other, and carries for them what has no other way.
    Relay,
    /// Is part of the network in which things are looked up.
    Node,
}

impl Role {
    /// The role as it is written in records, stores and subject files.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Provider => "provider",
            Role::Fetcher => "fetcher",
            Role::Relay => "relay",
            Role::Node => "node",
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExitState {
    /// Exited by itself with this status.
    Code(i32),
    /// Ended by this signal, which the runner did not send.
    Signal(i32),
    /// Stopped by the runner at the end of the run, as planned.
    Stopped,
    /// Killed by the runner at the timeout.
    TimedOut,
    /// Killed by the runner because it broke a rule; the run's reason says which.
    Killed,
    /// Never started.
    NotStarted,
}

/// One process of the subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessReport {
    /// What it was for.
    pub role: Role,
    /// The simulated host it ran on.
    pub host: String,
    /// Its command line.
    pub command: Vec<String>,
    /// How it ended.
    pub exit: ExitState,
    /// User CPU time in seconds, of it and of the children it waited for.
    pub cpu_user_s: f64,
    /// System CPU time in seconds, likewise.
    pub cpu_system_s: f64,
    /// Largest resident set in bytes.
    pub peak_rss_bytes: u64,
    /// How often it, or a child it waited for, gave the processor up or had it taken away. 0 in records from before this
    /// was counted.
    #[serde(default)]
    pub context_switches: u64,
    /// Instructions it executed outside the kernel, with its children; counted only where that was asked for.
    #[serde(default)]
    pub instructions: Option<u64>,
    /// The end of what it wrote to standard error. Untrusted text.
    pub stderr_tail: String,
}

/// One number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// Which [`crate::Metric`], by its id.
    pub metric: String,
    /// Which one of several: a side (`provider` or `fetcher`), a fetcher's host, or when what is recovered from began
    /// (`at 2 s`).
    pub peer: Option<String>,
    /// The value in the metric's unit; always finite.
    pub value: f64,
}

/// Something that happened to the network during a run, as its scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkChange {
    /// Nanoseconds after the start of the transfer.
    pub at_ns: u64,
    /// What happened, for example `bob loses wifi and goes on by mobile`.
    pub what: String,
}

/// What cut the transfer's way off, and how it came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recovery {
    /// When it began, in nanoseconds after the start of the transfer.
    pub from_ns: u64,
    /// When it was over: then too, where it took no time or was for good.
    pub until_ns: u64,
    /// What happened, for example `bob.link is down for 2 s`.
    pub what: String,
    /// Seconds from its end to payload flowing again; 0 if it never ceased to flow.
    pub seconds: Option<f64>,
    /// Why there is no such number.
    pub note: Option<String>,
}

/// Values at equal intervals, on the run's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// Stable name: `payload` (verified payload bytes by the fetcher's own word), `wire` (IP bytes handed to the
    /// fetcher's host), `lost` (packets lost on any link), `queue` (queueing delay at the slowest link, seconds).
    pub name: String,
    /// The host that it is about, where there is a series of that name for each of several; absent: all together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Unit of the values, for example `bit/s`, `s`, `packets`.
    pub unit: String,
    /// Width of one interval, in milliseconds.
    pub interval_ms: u32,
    /// One value per interval: the mean rate in it, the count in it, or the largest value in it.
    pub values: Vec<f64>,
}

impl RunRecord {
    /// The value of `metric` for `peer`, if it was measured.
    pub fn value(&self, metric: &str, peer: Option<&str>) -> Option<f64> {
        self.samples.iter().find(|s| s.metric == metric && s.peer.as_deref() == peer).map(|s| s.value)
    }
}
