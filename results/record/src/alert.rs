//! An alert: a series got worse on the main branch, and what became of it.

use crate::{Unit, metric, text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A series that has a history.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct SeriesName {
    /// Name of the project.
    pub project: String,
    /// Fingerprint of the machine.
    pub host: String,
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
}

/// How it got worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// From one measured commit to the next.
    Step,
    /// Little by little.
    Drift,
}

/// What is known of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// Seen, with too few commits after it to be sure: they are to be measured again.
    New,
    /// Seen again on enough commits.
    Confirmed,
    /// Somebody knows.
    Acknowledged,
    /// The series is as good again as it was.
    Fixed,
    /// It was none: somebody says so, or a commit that was measured again is as good as before.
    Invalid,
}

impl AlertState {
    /// Every state, in the order in which an alert goes through them.
    pub const ALL: [AlertState; 5] =
        [AlertState::New, AlertState::Confirmed, AlertState::Acknowledged, AlertState::Fixed, AlertState::Invalid];

    /// Its name in records, URLs and databases.
    pub fn as_str(self) -> &'static str {
        match self {
            AlertState::New => "new",
            AlertState::Confirmed => "confirmed",
            AlertState::Acknowledged => "acknowledged",
            AlertState::Fixed => "fixed",
            AlertState::Invalid => "invalid",
        }
    }

    /// The inverse of [`AlertState::as_str`].
    pub fn parse(text: &str) -> Option<AlertState> {
        AlertState::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether something is still to be done.
    pub fn is_open(self) -> bool {
        !matches!(self, AlertState::Fixed | AlertState::Invalid)
    }
}

/// The last measured commit before a change, and the first after it: the culprit is the latter, or one between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommitRange {
    /// Full hash of the last one that is as before.
    pub last_before: String,
    /// Full hash of the first one that is not.
    pub first_after: String,
}

/// Something that happened to an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlertEvent {
    /// When, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: i64,
    /// What it became.
    pub state: AlertState,
    /// Who says so, and why. Untrusted text; empty where longhaul itself did it.
    pub note: String,
}

/// A series that got worse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// A UUID. It stays, whatever is found out later.
    pub id: String,
    /// What got worse.
    pub series: SeriesName,
    /// How.
    pub kind: AlertKind,
    /// Where.
    pub range: CommitRange,
    /// The median before.
    pub before: f64,
    /// The median after; of a drift, at its end.
    pub after: f64,
    /// By how much, relative to before; `None` where it was zero before.
    pub shift: Option<f64>,
    /// How probable as much is without a change.
    pub p: f64,
    /// What is known of it.
    pub state: AlertState,
    /// Where it was mended.
    pub fixed: Option<CommitRange>,
    /// What happened to it, the oldest first.
    pub history: Vec<AlertEvent>,
}

impl Alert {
    /// What it is of: `Total time of reference on lossy-1pct`.
    pub fn subject_matter(&self) -> String {
        let series = &self.series;
        let name = text::metric_name(&series.metric, series.peer.as_deref());
        format!("{name} of {} on {}", series.subject, series.scenario)
    }

    /// What happened: `Total time of reference on lossy-1pct rose by 11.4 %`.
    pub fn sentence(&self) -> String {
        let verb = if self.after < self.before { "fell" } else { "rose" };
        let by = match self.shift {
            Some(shift) => text::change(shift.abs()).trim_start_matches('+').to_owned(),
            None => self.value((self.after - self.before).abs()),
        };
        format!("{} {verb} by {by}", self.subject_matter())
    }

    /// How far it moved, relative to before; endless where it was zero before. The largest of several is told of first.
    pub fn size(&self) -> f64 {
        self.shift.map_or(f64::INFINITY, f64::abs)
    }

    /// A value of its metric, with its unit.
    pub fn value(&self, value: f64) -> String {
        metric(&self.series.metric).map_or(Unit::Ratio, |metric| metric.unit).text(value)
    }

    /// Changes its state, and remembers it.
    pub fn become_state(&mut self, state: AlertState, at_ms: i64, note: &str) {
        self.state = state;
        self.history.push(AlertEvent { at_ms, state, note: note.to_owned() });
    }
}
