//! The traits every backend implements.

use crate::{
    AlertFilter, BackupError, Commit, CommitFilter, CommitValues, ComparisonFilter, ComparisonSummary, Finding, Freed,
    HealthQuery, HostHealth, InsertError, Inserted, OverviewQuery, OverviewRow, Page, Position, Progress, ReadError,
    Retention, RunFilter, RunSummary, Scope, SeriesQuery, SeriesSet, Token, Trouble, ValuesQuery,
};
use async_trait::async_trait;
use longhaul_record::{Alert, Comparison, RunRecord};
use std::path::Path;

/// A place that keeps runs.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Keeps all of the runs with everything that belongs to them, or nothing of any. Inserting an id that is already
    /// there changes nothing and says [`Inserted::Known`], so an interrupted import can simply be repeated. The answers
    /// are in the order of the runs.
    async fn insert_runs(&self, runs: &[RunRecord]) -> Result<Vec<Inserted>, InsertError>;

    /// [`Store::insert_runs`] of one.
    async fn insert_run(&self, run: &RunRecord) -> Result<Inserted, InsertError> {
        let inserted = self.insert_runs(std::slice::from_ref(run)).await?;
        Ok(inserted.first().copied().unwrap_or(Inserted::Known))
    }

    /// The whole record, as it was inserted.
    async fn run(&self, id: &str) -> Result<Option<RunRecord>, ReadError>;

    /// Whole records in the order they were recorded: at most `limit` of those after `after`.
    async fn records(&self, after: Position, limit: u32) -> Result<Page, ReadError>;

    /// Runs that match, newest start first.
    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, ReadError>;

    /// Pairs of project and machine that have runs, the one measured last first.
    async fn scopes(&self) -> Result<Vec<Scope>, ReadError>;

    /// Every scenario × subject with its newest run and its recent medians, ordered by scenario, then subject.
    async fn overview(&self, query: &OverviewQuery) -> Result<Vec<OverviewRow>, ReadError>;

    /// The history of a scenario: its newest commits, and each series' values on them.
    async fn series(&self, query: &SeriesQuery) -> Result<SeriesSet, ReadError>;

    /// Everything that was measured of one commit: each series' values on it, ordered by scenario, hash, subject, metric,
    /// peer.
    async fn commit_values(&self, query: &ValuesQuery) -> Result<Vec<CommitValues>, ReadError>;

    /// How the runs on each machine ended, the machine measured on last first.
    async fn health(&self, query: &HealthQuery) -> Result<Vec<HostHealth>, ReadError>;

    /// Measured commits, newest author date first.
    async fn commits(&self, filter: &CommitFilter) -> Result<Vec<Commit>, ReadError>;

    /// Keeps a comparison of two versions, or nothing of it; an id that is already there as in [`Store::insert_run`].
    async fn insert_comparison(&self, comparison: &Comparison) -> Result<Inserted, InsertError>;

    /// The whole comparison, as it was inserted.
    async fn comparison(&self, id: &str) -> Result<Option<Comparison>, ReadError>;

    /// Comparisons that match, newest start first.
    async fn comparisons(&self, filter: &ComparisonFilter) -> Result<Vec<ComparisonSummary>, ReadError>;

    /// Keeps alerts, all or none, each in place of what was kept under its id.
    async fn put_alerts(&self, alerts: &[Alert]) -> Result<(), InsertError>;

    /// Alerts that match, the one found last first.
    async fn alerts(&self, filter: &AlertFilter) -> Result<Vec<Alert>, ReadError>;

    /// Says how far a command is that measures, in place of what it said before.
    async fn put_progress(&self, progress: &Progress) -> Result<(), InsertError>;

    /// Forgets a command that has ended.
    async fn end_progress(&self, id: &str) -> Result<(), InsertError>;

    /// What commands said then or later, in milliseconds since 1970; the newest first.
    async fn progress(&self, since_ms: i64) -> Result<Vec<Progress>, ReadError>;

    /// Keeps a new token; an id that is already there as in [`Store::insert_run`]. Two tokens of the same hash are an error.
    async fn put_token(&self, token: &Token) -> Result<Inserted, InsertError>;

    /// All tokens, the newest first.
    async fn tokens(&self) -> Result<Vec<Token>, ReadError>;

    /// The token with this hash, if it was not revoked.
    async fn token(&self, hash: &[u8; 32]) -> Result<Option<Token>, ReadError>;

    /// Remembers that the token was used; the latest time counts.
    async fn touch_token(&self, id: &str, used_ms: i64) -> Result<(), InsertError>;

    /// Ends a token for good. Whether there was one that had not ended: the first time counts.
    async fn revoke_token(&self, id: &str, revoked_ms: i64) -> Result<bool, InsertError>;
}

/// What is done to a store as a whole, by a person at a terminal. Pages need none of it.
#[async_trait]
pub trait Upkeep: Store {
    /// The store's path or address, fit to be shown: without passwords.
    fn place(&self) -> String;

    /// Ends all connections.
    async fn close(&self);

    /// Compares everything that is stored with everything it follows from. Changes nothing. Empty if all is well.
    async fn check(&self) -> Result<Vec<Finding>, ReadError>;

    /// Drops series over time that the rule does not keep, and never a sample. All of them or none.
    async fn prune(&self, rule: &Retention) -> Result<Freed, Trouble>;

    /// Writes a complete and compact copy into a new file, while others read and write.
    async fn backup(&self, to: &Path) -> Result<(), BackupError>;
}
