//! What readers ask for and what they get.

use longhaul_record::{AlertState, Comparison, Outcome, PathCheck, RunRecord, Trigger, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether an insert added something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// The run was not there before.
    New,
    /// A run of this id was there; nothing changed.
    Known,
}

/// A project measured on one machine. Numbers of different scopes are never compared with each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Scope {
    /// Name of the project.
    pub project: String,
    /// Fingerprint of the host.
    pub host: String,
    /// The host's processor, for people.
    pub cpu: String,
    /// Start of the newest run, in milliseconds since 1970.
    pub last_run_ms: i64,
    /// How many runs there are.
    pub runs: u64,
}

/// A measured state of the code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Commit {
    /// Name of the project.
    pub project: String,
    /// Full hash; absent for runs outside a git repository, which share one entry.
    pub sha: Option<String>,
    /// Whether the tree differed from the commit. Such runs are an entry of their own.
    pub dirty: bool,
    /// Author date, in milliseconds since 1970.
    pub authored_ms: Option<i64>,
    /// Branch that was checked out at the first run.
    pub branch: Option<String>,
    /// First line of the message. Untrusted text.
    pub summary: Option<String>,
    /// Start of its first run, in milliseconds since 1970.
    pub first_run_ms: i64,
}

impl Commit {
    /// Where the commit stands in time: author date, else first run; then first run; then hash, so that the order is
    /// total.
    pub fn order(&self) -> (i64, i64, Option<&str>, bool) {
        (self.authored_ms.unwrap_or(self.first_run_ms), self.first_run_ms, self.sha.as_deref(), self.dirty)
    }

    /// Sorts newest first.
    pub fn sort_newest_first(commits: &mut [Commit]) {
        commits.sort_by(|a, b| b.order().cmp(&a.order()));
    }

    /// Whether a run belongs to this commit.
    pub fn is_of(&self, run: &RunSummary) -> bool {
        self.sha == run.commit && self.dirty == run.dirty && self.project == run.project
    }
}

/// Which runs to list. The default lists the newest 100 of all.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunFilter {
    /// Only of this project.
    pub project: Option<String>,
    /// Only from the machine of this fingerprint.
    pub host: Option<String>,
    /// Only of this scenario.
    pub scenario: Option<String>,
    /// Only of this subject.
    pub subject: Option<String>,
    /// Only of this commit (full hash), dirty or not.
    pub commit: Option<String>,
    /// Only with this outcome.
    pub outcome: Option<Outcome>,
    /// Only with this seed: on the same network they lost the same packets.
    pub seed: Option<u64>,
    /// Only started then or later, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// At most this many.
    pub limit: u32,
}

impl Default for RunFilter {
    fn default() -> RunFilter {
        RunFilter {
            project: None,
            host: None,
            scenario: None,
            subject: None,
            commit: None,
            outcome: None,
            seed: None,
            since_ms: None,
            limit: 100,
        }
    }
}

/// Which commits to list. The default lists the newest 100 of all.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CommitFilter {
    /// Only of this project.
    pub project: Option<String>,
    /// Only those whose hash begins so. No character of it means anything else.
    pub prefix: Option<String>,
    /// At most this many.
    pub limit: u32,
}

impl Default for CommitFilter {
    fn default() -> CommitFilter {
        CommitFilter { project: None, prefix: None, limit: 100 }
    }
}

/// Which comparisons to list. The default lists the newest 100 of all.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ComparisonFilter {
    /// Only of this project.
    pub project: Option<String>,
    /// Only of this subject.
    pub subject: Option<String>,
    /// Only with this commit (full hash) as base.
    pub base: Option<String>,
    /// Only with this commit (full hash) as head, changes on top of it or not.
    pub head: Option<String>,
    /// Only with this verdict.
    pub verdict: Option<Verdict>,
    /// At most this many.
    pub limit: u32,
}

impl Default for ComparisonFilter {
    fn default() -> ComparisonFilter {
        ComparisonFilter { project: None, subject: None, base: None, head: None, verdict: None, limit: 100 }
    }
}

/// A comparison without its numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ComparisonSummary {
    /// The comparison's id.
    pub id: String,
    /// Name of the project.
    pub project: String,
    /// Name of the subject.
    pub subject: String,
    /// Fingerprint of the machine.
    pub host: String,
    /// Full hash of the commit that was compared with.
    pub base: String,
    /// Full hash of the commit that was judged.
    pub head: String,
    /// Whether there were changes on top of it.
    pub dirty: bool,
    /// Start, in milliseconds since 1970.
    pub started_ms: i64,
    /// End, in the same unit.
    pub ended_ms: i64,
    /// What it came to; `None` where both programs were the same, or nothing was seen.
    pub verdict: Option<Verdict>,
    /// Whether both programs were the same.
    pub same_program: bool,
}

impl ComparisonSummary {
    /// The summary of a whole comparison.
    pub fn of(comparison: &Comparison) -> ComparisonSummary {
        let Comparison { base, head, .. } = comparison;
        ComparisonSummary {
            id: comparison.id.clone(),
            project: comparison.project.clone(),
            subject: comparison.subject.clone(),
            host: comparison.host.fingerprint.clone(),
            base: base.commit.clone(),
            head: head.commit.clone(),
            dirty: head.detail.dirty,
            started_ms: comparison.started_ms,
            ended_ms: comparison.ended_ms,
            verdict: comparison.verdict,
            same_program: base.programs_hash == head.programs_hash,
        }
    }
}

/// How often comparing a version with itself saw a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FalseAlarms {
    /// How often.
    pub raised: u64,
    /// Of how many that came to something.
    pub compared: u64,
}

impl FalseAlarms {
    /// Of those that both sides of are the same program.
    pub fn of<'a>(all: impl IntoIterator<Item = &'a ComparisonSummary>) -> FalseAlarms {
        let verdicts = all.into_iter().filter(|one| one.same_program).filter_map(|one| one.verdict);
        verdicts.filter(|verdict| *verdict != Verdict::Untrusted).fold(FalseAlarms::default(), |sum, verdict| {
            FalseAlarms {
                raised: sum.raised + u64::from(matches!(verdict, Verdict::Regressed | Verdict::Improved)),
                compared: sum.compared + 1,
            }
        })
    }
}

/// Which alerts to list. The default lists the newest 100 of all.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlertFilter {
    /// Only of this project.
    pub project: Option<String>,
    /// Only in this state.
    pub state: Option<AlertState>,
    /// At most this many.
    pub limit: u32,
}

impl Default for AlertFilter {
    fn default() -> AlertFilter {
        AlertFilter { project: None, state: None, limit: 100 }
    }
}

/// A run without its bulk.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RunSummary {
    /// The run's id.
    pub id: String,
    /// Name of the project.
    pub project: String,
    /// Full hash of the commit, if any.
    pub commit: Option<String>,
    /// Whether the tree differed from it.
    pub dirty: bool,
    /// First line of the commit's message. Untrusted text.
    pub commit_summary: Option<String>,
    /// Name of the scenario.
    pub scenario: String,
    /// Hash of its resolved form.
    pub scenario_hash: String,
    /// Name of the subject.
    pub subject: String,
    /// Fingerprint of the machine.
    pub host: String,
    /// Seed of the network.
    pub seed: u64,
    /// Repetition within its command.
    pub iteration: u32,
    /// Start, in milliseconds since 1970.
    pub started_ms: i64,
    /// End, in the same unit.
    pub ended_ms: i64,
    /// What asked for it.
    pub trigger: Trigger,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it is not `ok`. Untrusted text.
    pub reason: Option<String>,
    /// The proof in brief.
    pub evidence: Evidence,
}

impl RunSummary {
    /// The summary of a whole record.
    pub fn of(run: &RunRecord) -> RunSummary {
        RunSummary {
            id: run.id.clone(),
            project: run.project.clone(),
            commit: run.commit.clone(),
            dirty: run.commit_detail.as_ref().is_some_and(|detail| detail.dirty),
            commit_summary: run.commit_detail.as_ref().map(|detail| detail.summary.clone()),
            scenario: run.scenario.clone(),
            scenario_hash: run.scenario_hash.clone(),
            subject: run.subject.clone(),
            host: run.host.fingerprint.clone(),
            seed: run.seed,
            iteration: run.iteration,
            started_ms: run.started_ms,
            ended_ms: run.ended_ms,
            trigger: run.trigger,
            outcome: run.outcome,
            reason: run.reason.clone(),
            evidence: Evidence::of(run),
        }
    }
}

/// The proof of a run in four numbers, kept beside it so that a page about many runs need not open each record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Evidence {
    /// Directions probed before the run.
    pub paths: u32,
    /// The largest error of a median one-way delay, in nanoseconds; jitter is not counted as error.
    pub delay_error_ns: u64,
    /// Lateness of the emulator at the 99th percentile, in nanoseconds.
    pub lateness_p99_ns: u64,
    /// Packets the emulator lost although the scenario did not.
    pub unintended_drops: u64,
}

impl Evidence {
    /// The proof of `run`.
    pub fn of(run: &RunRecord) -> Evidence {
        let error = |check: &PathCheck| {
            let delay = &check.delay;
            let upper = delay.asked_ns.saturating_add(delay.jitter_ns);
            delay.asked_ns.saturating_sub(delay.median_ns).max(delay.median_ns.saturating_sub(upper))
        };
        Evidence {
            paths: u32::try_from(run.calibration.paths.len()).unwrap_or(u32::MAX),
            delay_error_ns: run.calibration.paths.iter().map(error).max().unwrap_or(0),
            lateness_p99_ns: run.fidelity.lateness_p99_ns,
            unintended_drops: run.fidelity.unintended_drops.values().fold(0, |sum, n| sum.saturating_add(*n)),
        }
    }
}

/// What an overview shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverviewQuery {
    /// Only of this project.
    pub project: Option<String>,
    /// Only from the machine of this fingerprint.
    pub host: Option<String>,
    /// Metrics of the medians, without a peer: each row has the first of them that it has any of.
    pub metrics: Vec<String>,
    /// At most this many medians per row: those of the newest commits that have an `ok` run.
    pub recent: u32,
}

/// One scenario × subject.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct OverviewRow {
    /// Name of the scenario.
    pub scenario: String,
    /// The scenario in one sentence, as of the newest run.
    pub scenario_words: String,
    /// Name of the subject.
    pub subject: String,
    /// The newest run by start time.
    pub latest: RunSummary,
    /// How the runs of the newest run's commit ended.
    pub tally: Tally,
    /// Which of the query's metrics the medians are of; absent if there are none.
    pub metric: Option<String>,
    /// Medians per commit under the newest run's scenario hash, oldest first. Only `ok` runs count.
    pub recent: Vec<Recent>,
}

/// How many runs ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Tally {
    /// `ok`.
    pub ok: u64,
    /// `subject_failed` and `timed_out`: the subject's fault.
    pub failed: u64,
    /// `untrusted`: the network's or the machine's fault.
    pub untrusted: u64,
    /// `setup_failed`: the run never began.
    pub setup_failed: u64,
}

impl Tally {
    /// Counts `n` runs that ended with `outcome`.
    pub fn add(&mut self, outcome: Outcome, n: u64) {
        match outcome {
            Outcome::Ok => self.ok += n,
            Outcome::SubjectFailed | Outcome::TimedOut => self.failed += n,
            Outcome::Untrusted => self.untrusted += n,
            Outcome::SetupFailed => self.setup_failed += n,
        }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.ok + self.failed + self.untrusted + self.setup_failed
    }
}

/// Of which machines to tell how they do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthQuery {
    /// Only runs of this project.
    pub project: Option<String>,
    /// Only runs started then or later, in milliseconds since 1970.
    pub since_ms: i64,
}

/// How the runs on a machine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostHealth {
    /// Fingerprint of the machine.
    pub host: String,
    /// Its processor, for people.
    pub cpu: String,
    /// By outcome, in the order of [`Outcome`]: how many runs, and when the newest of them started, in milliseconds since
    /// 1970. Outcomes that did not occur are not there.
    pub outcomes: Vec<(Outcome, u64, i64)>,
}

impl HostHealth {
    /// How many runs ended how.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for (outcome, runs, _) in &self.outcomes {
            tally.add(*outcome, *runs);
        }
        tally
    }

    /// Start of the newest run, in milliseconds since 1970.
    pub fn last_run_ms(&self) -> i64 {
        self.outcomes.iter().map(|(_, _, newest)| *newest).max().unwrap_or(i64::MIN)
    }
}

/// The median of one commit, for a sparkline.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Recent {
    /// Full hash, if any.
    pub commit: Option<String>,
    /// Whether the tree differed from it.
    pub dirty: bool,
    /// How many runs it is of.
    pub n: u64,
    /// The median.
    pub median: f64,
}
