//! The comparison of two versions of a subject: what was asked, what was seen, what it means. A versioned contract like the
//! run record: gates, comments and pages read it, and never compute a verdict of their own.

use crate::{CommitDetail, HostDetail, Trigger, Unit, metric, text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the comparison's shape. A reader refuses a larger one.
pub const COMPARISON_SCHEMA: u32 = 1;

/// Two versions of a subject, compared in pairs of runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// [`COMPARISON_SCHEMA`].
    pub schema: u32,
    /// UUIDv7 in its usual text form.
    pub id: String,
    /// Name of the project whose commits are compared.
    pub project: String,
    /// Name of the subject.
    pub subject: String,
    /// The machine everything ran on.
    pub host: HostDetail,
    /// The version that is compared with.
    pub base: Side,
    /// The version that is judged.
    pub head: Side,
    /// Seed of the order of arms and of every block's network; at most 2^53 - 1.
    pub seed: u64,
    /// Start, in milliseconds since 1970-01-01T00:00:00Z.
    pub started_ms: i64,
    /// End, in the same unit.
    pub ended_ms: i64,
    /// How long it might take, in seconds; builds are not counted.
    pub budget_s: f64,
    /// What asked for it.
    pub trigger: Trigger,
    /// Why no more was run.
    pub end: End,
    /// What it comes to. `None` where both programs are the same, or nothing was seen.
    pub verdict: Option<Verdict>,
    /// How many questions the q-values are corrected for.
    pub questions: u32,
    /// What was seen, scenario by scenario.
    pub scenarios: Vec<RanIn>,
}

/// One of the two versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// What was asked for, for example `main`; `HEAD` with changes for the tree as it lies there.
    pub revision: String,
    /// Full hash of the commit.
    pub commit: String,
    /// What else is known of it.
    pub detail: CommitDetail,
    /// What the program calls its version.
    pub version: Option<String>,
    /// BLAKE3 hash over all of the subject's programs, in hexadecimal. Equal ones: there is nothing to compare.
    pub programs_hash: String,
}

/// Which of the two versions ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The version that is compared with.
    Base,
    /// The version that is judged.
    Head,
}

/// Where a run stands in a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pairing {
    /// The comparison's id.
    pub comparison: String,
    /// Number of the block within its scenario, from 0.
    pub block: u32,
    /// Which of its two versions this is.
    pub arm: Arm,
    /// Whether the block's runs have seeds of their own: such blocks only measure what shared seeds are good for.
    pub independent: bool,
}

/// Why a comparison ran no more blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Every deciding metric was decided.
    Decided,
    /// All blocks that were allowed had been run.
    Blocks,
    /// Another block would have exceeded the budget.
    Budget,
    /// Both programs are the same: there was nothing to compare.
    SameProgram,
    /// The subject failed, or the network could not be trusted, in so many blocks that more would not have helped.
    Hopeless,
    /// The user ended it.
    Interrupted,
    /// A run could not be set up.
    Setup {
        /// Why.
        reason: String,
    },
}

/// What a change of one thing, or all of them, comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No change as large as δ: the whole interval lies within.
    Unchanged,
    /// Better, by δ or more.
    Improved,
    /// Neither was shown.
    Inconclusive,
    /// The network was not what was asked for, in too many of the blocks.
    Untrusted,
    /// Worse, by δ or more.
    Regressed,
}

impl Verdict {
    /// All of them, as they are ordered.
    pub const ALL: [Verdict; 5] =
        [Verdict::Unchanged, Verdict::Improved, Verdict::Inconclusive, Verdict::Untrusted, Verdict::Regressed];

    /// The verdict as it is written in records, stores and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Unchanged => "unchanged",
            Verdict::Improved => "improved",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Untrusted => "untrusted",
            Verdict::Regressed => "regressed",
        }
    }

    /// The inverse of [`Verdict::as_str`].
    pub fn parse(text: &str) -> Option<Verdict> {
        Verdict::ALL.into_iter().find(|verdict| verdict.as_str() == text)
    }

    /// Whether more blocks could change nothing.
    pub fn is_decided(self) -> bool {
        matches!(self, Verdict::Unchanged | Verdict::Improved | Verdict::Regressed)
    }
}

/// What was seen in one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RanIn {
    /// Name of the scenario.
    pub scenario: String,
    /// Hash of its resolved form.
    pub scenario_hash: String,
    /// What its blocks come to.
    pub compared: Compared,
}

/// What the blocks of one scenario come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compared {
    /// Blocks in which both runs said something about the subject, well or failed.
    pub blocks: u32,
    /// Blocks of which a run could not be trusted, after all attempts.
    pub untrusted: u32,
    /// What may be spent of an error of 5 % at this look, as a share of it: `alpha` of the intervals is 0.05 times it.
    pub share: f64,
    /// How often either version went well.
    pub success: SuccessChange,
    /// What changed, metric by metric.
    pub metrics: Vec<MetricChange>,
    /// Metrics that were asked for and that no pair of runs had.
    pub missing: Vec<String>,
}

/// How often either version went well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SuccessChange {
    /// Blocks in which base went well.
    pub base_ok: u32,
    /// Blocks in which head did.
    pub head_ok: u32,
    /// Where base's true share lies, with 95 % confidence (Wilson).
    pub base_interval: Option<[f64; 2]>,
    /// Where head's does.
    pub head_interval: Option<[f64; 2]>,
    /// Blocks in which only base went well.
    pub only_base: u32,
    /// Blocks in which only head did.
    pub only_head: u32,
    /// McNemar's exact p-value, times what looking more than once costs.
    pub p: f64,
    /// The same, corrected for all questions of the report.
    pub q: f64,
    /// If base never fails: the smallest share of failures of head that this many blocks would have shown in 4 of 5 cases.
    pub detectable: Option<f64>,
    /// The verdict.
    pub verdict: Verdict,
}

/// What changed in one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricChange {
    /// Metric id.
    pub metric: String,
    /// Which side, where the metric has one for each.
    pub peer: Option<String>,
    /// Whether it decides when enough was run, and whether the comparison is conclusive.
    pub decides: bool,
    /// Whether it would decide, if there were less noise in it here: as it is, it would most likely stay inconclusive.
    pub noisy: bool,
    /// Whether `shift`, its interval, `delta` and `detectable` are differences in the metric's unit; otherwise they are
    /// relative: 0.05 is 5 % more than base.
    pub difference: bool,
    /// The smallest change that matters.
    pub delta: f64,
    /// Blocks with a value of either version.
    pub blocks: u32,
    /// Median of base.
    pub base: f64,
    /// Median of head.
    pub head: f64,
    /// How far head is from base: the Hodges–Lehmann estimate.
    pub shift: f64,
    /// Holds the true shift with 95 % confidence over all looks; `None` if so few blocks cannot say that of any interval.
    pub interval: Option<[f64; 2]>,
    /// The signed-rank test's p-value, times what looking more than once costs.
    pub p: f64,
    /// The same, corrected for all questions of the report.
    pub q: f64,
    /// The smallest shift that this many blocks of the same noise would have shown in 4 of 5 cases, to either side; `None` if
    /// none.
    pub detectable: Option<f64>,
    /// Coefficient of variation of base's values; `None` around 0.
    pub noise: Option<f64>,
    /// What shared seeds are good for; `None` if it was not measured.
    pub seeds: Option<SeedGain>,
    /// The verdict.
    pub verdict: Verdict,
}

impl MetricChange {
    /// The metric's unit.
    pub fn unit(&self) -> Unit {
        metric(&self.metric).map_or(Unit::Ratio, |metric| metric.unit)
    }

    /// The metric's title, and which side it is of.
    pub fn name(&self) -> String {
        text::metric_name(&self.metric, self.peer.as_deref())
    }

    /// A shift or an end of its interval, with sign and unit.
    pub fn moved(&self, shift: f64) -> String {
        match self.difference {
            true if shift > 0.0 => format!("+{}", self.unit().text(shift)),
            true => self.unit().text(shift).replace('-', "\u{2212}"),
            false => text::change(shift),
        }
    }

    /// The smallest shift that would have been seen, without a sign.
    pub fn least(&self) -> Option<String> {
        self.detectable.map(|least| match self.difference {
            true => self.unit().text(least),
            false => text::change(least).trim_start_matches('+').to_owned(),
        })
    }
}

impl Comparison {
    /// Whether both programs are the same, byte for byte: whatever is said to have changed has not.
    pub fn is_of_the_same_program(&self) -> bool {
        self.base.programs_hash == self.head.programs_hash
    }
}

/// What it is good for that both runs of a block have the same seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeedGain {
    /// Variance of the changes with seeds of their own, divided by that with shared ones.
    pub ratio: f64,
    /// Holds the true ratio with 95 % confidence.
    pub interval: [f64; 2],
    /// Blocks with seeds of their own.
    pub blocks: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_read_as_they_are_written() {
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::parse(verdict.as_str()), Some(verdict));
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.as_str());
        }
        assert_eq!(Verdict::parse("better"), None);
    }
}
