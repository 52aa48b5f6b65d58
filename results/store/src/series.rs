//! Histories: what charts are drawn from and changes found in.

use crate::Commit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which history to read. The default: the newest 100 commits, with every run's value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SeriesQuery {
    /// The scenario.
    pub scenario: String,
    /// Only of this project.
    pub project: Option<String>,
    /// Only from the machine of this fingerprint.
    pub host: Option<String>,
    /// Only of this subject.
    pub subject: Option<String>,
    /// Only this metric.
    pub metric: Option<String>,
    /// Only commits that were on this branch at their first run.
    pub branch: Option<String>,
    /// Only commits of this time or later: author dates, or first runs where there are none, in milliseconds since 1970.
    pub from_ms: Option<i64>,
    /// Only commits of before this time.
    pub until_ms: Option<i64>,
    /// Of those, the newest this many.
    pub commits: u32,
    /// Whether [`CommitPoint::values`] are asked for. A chart of many commits needs none.
    pub values: bool,
}

impl Default for SeriesQuery {
    fn default() -> SeriesQuery {
        SeriesQuery {
            scenario: String::new(),
            project: None,
            host: None,
            subject: None,
            metric: None,
            branch: None,
            from_ms: None,
            until_ms: None,
            commits: 100,
            values: true,
        }
    }
}

/// The history of a scenario.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct SeriesSet {
    /// The commits on which anything of it was measured, oldest first: the shared horizontal axis.
    pub commits: Vec<Commit>,
    /// Ordered by metric, subject, peer, project, host.
    pub series: Vec<MetricSeries>,
}

/// One metric of one subject on one machine.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct MetricSeries {
    /// Name of the project.
    pub project: String,
    /// Fingerprint of the machine.
    pub host: String,
    /// Name of the subject.
    pub subject: String,
    /// Metric id.
    pub metric: String,
    /// Which side, where the metric has one for each.
    pub peer: Option<String>,
    /// Oldest commit first; two points of one commit differ in their scenario hash.
    pub points: Vec<CommitPoint>,
}

/// Everything measured of one series on one commit.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CommitPoint {
    /// Index into [`SeriesSet::commits`].
    pub commit: usize,
    /// Hash of the scenario's resolved form: a new one starts a new series.
    pub scenario_hash: String,
    /// The runs, in the order they were recorded; empty where they were not asked for.
    pub values: Vec<RunValue>,
    /// How many runs there are.
    pub n: u64,
    /// Their median.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

/// One run's value.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RunValue {
    /// The run's id.
    pub run: String,
    /// The value in the metric's unit.
    pub value: f64,
}

/// Whose values to read: those of one commit, in all scenarios.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValuesQuery {
    /// Name of the project.
    pub project: String,
    /// Fingerprint of the machine.
    pub host: String,
    /// Full hash; without it, the runs outside a git repository.
    pub commit: Option<String>,
    /// Whether the tree differed from the commit.
    pub dirty: bool,
}

/// One metric of one subject in one scenario, on one commit.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CommitValues {
    /// Name of the scenario.
    pub scenario: String,
    /// Hash of its resolved form.
    pub scenario_hash: String,
    /// Name of the subject.
    pub subject: String,
    /// Metric id.
    pub metric: String,
    /// Which side, where the metric has one for each.
    pub peer: Option<String>,
    /// The runs, in the order they were recorded; at least one.
    pub values: Vec<RunValue>,
}

impl SeriesSet {
    /// Brings commits and series into their promised order. Backends call it last, so that the order is one
    /// decision.
    pub fn sort(&mut self) {
        let mut commits: Vec<(usize, Commit)> = std::mem::take(&mut self.commits).into_iter().enumerate().collect();
        commits.sort_by(|(_, a), (_, b)| a.order().cmp(&b.order()));
        let mut place = vec![0; commits.len()];
        for (new, (old, _)) in commits.iter().enumerate() {
            place[*old] = new;
        }
        self.commits = commits.into_iter().map(|(_, commit)| commit).collect();
        for series in &mut self.series {
            for point in &mut series.points {
                point.commit = place[point.commit];
            }
            series.points.sort_by(|a, b| (a.commit, &a.scenario_hash).cmp(&(b.commit, &b.scenario_hash)));
        }
        let key =
            |s: &MetricSeries| (s.metric.clone(), s.subject.clone(), s.peer.clone(), s.project.clone(), s.host.clone());
        self.series.sort_by_cached_key(key);
    }
}
