//! The trait every backend implements.

use crate::{
    Commit, CommitFilter, ComparisonFilter, ComparisonSummary, InsertError, Inserted, OverviewQuery, OverviewRow,
    ReadError, RunFilter, RunSummary, Scope, SeriesQuery, SeriesSet,
};
use async_trait::async_trait;
use longhaul_record::{Comparison, RunRecord};

/// A place that keeps runs.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Keeps one run with everything that belongs to it, or nothing of it. Inserting an id that is already there
    /// changes nothing and says [`Inserted::Known`], so an interrupted import can simply be repeated.
    async fn insert_run(&self, run: &RunRecord) -> Result<Inserted, InsertError>;

    /// The whole record, as it was inserted.
    async fn run(&self, id: &str) -> Result<Option<RunRecord>, ReadError>;

    /// Runs that match, newest start first.
    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, ReadError>;

    /// Pairs of project and machine that have runs, the one measured last first.
    async fn scopes(&self) -> Result<Vec<Scope>, ReadError>;

    /// Every scenario × subject with its newest run and its recent medians, ordered by scenario, then subject.
    async fn overview(&self, query: &OverviewQuery) -> Result<Vec<OverviewRow>, ReadError>;

    /// The history of a scenario: its newest commits, and each series' values on them.
    async fn series(&self, query: &SeriesQuery) -> Result<SeriesSet, ReadError>;

    /// Measured commits, newest author date first.
    async fn commits(&self, filter: &CommitFilter) -> Result<Vec<Commit>, ReadError>;

    /// Keeps a comparison of two versions, or nothing of it; an id that is already there as in [`Store::insert_run`].
    async fn insert_comparison(&self, comparison: &Comparison) -> Result<Inserted, InsertError>;

    /// The whole comparison, as it was inserted.
    async fn comparison(&self, id: &str) -> Result<Option<Comparison>, ReadError>;

    /// Comparisons that match, newest start first.
    async fn comparisons(&self, filter: &ComparisonFilter) -> Result<Vec<ComparisonSummary>, ReadError>;
}
