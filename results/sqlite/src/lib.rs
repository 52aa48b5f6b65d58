//! longhaul's default store: one SQLite file.
//!
//! A run and its evidence commit in one transaction, or not at all. Columns answer what pages ask; everything else of
//! a record (and its series over time) is kept as zstd-compressed artifacts named by their BLAKE3 hash, in the same
//! file. Rollups and tallies are kept by the writer, so that readers never count.
//!
//! All SQL of the workspace lives here (and in the other backends to come).

mod artifact;
mod comparison;
mod insert;
mod open;
mod overview;
mod read;
mod series;
#[cfg(feature = "testing")]
pub mod testing;
mod trouble;

pub use open::{OpenError, Options, SqliteStore};

use async_trait::async_trait;
use longhaul_record::{Comparison, RunRecord};
use longhaul_store::{
    Commit, CommitFilter, ComparisonFilter, ComparisonSummary, InsertError, Inserted, OverviewQuery, OverviewRow,
    ReadError, RunFilter, RunSummary, Scope, SeriesQuery, SeriesSet, Store,
};

#[async_trait]
impl Store for SqliteStore {
    async fn insert_run(&self, run: &RunRecord) -> Result<Inserted, InsertError> {
        insert::insert_run(self, run).await
    }

    async fn run(&self, id: &str) -> Result<Option<RunRecord>, ReadError> {
        read::run(self, id).await
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, ReadError> {
        self.reading(read::runs(self.pool(), filter).await)
    }

    async fn scopes(&self) -> Result<Vec<Scope>, ReadError> {
        self.reading(read::scopes(self.pool()).await)
    }

    async fn overview(&self, query: &OverviewQuery) -> Result<Vec<OverviewRow>, ReadError> {
        self.reading(overview::overview(self.pool(), query).await)
    }

    async fn series(&self, query: &SeriesQuery) -> Result<SeriesSet, ReadError> {
        self.reading(series::series(self.pool(), query).await)
    }

    async fn commits(&self, filter: &CommitFilter) -> Result<Vec<Commit>, ReadError> {
        self.reading(read::commits(self.pool(), filter).await)
    }

    async fn insert_comparison(&self, comparison: &Comparison) -> Result<Inserted, InsertError> {
        comparison::insert(self, comparison).await
    }

    async fn comparison(&self, id: &str) -> Result<Option<Comparison>, ReadError> {
        comparison::read(self, id).await
    }

    async fn comparisons(&self, filter: &ComparisonFilter) -> Result<Vec<ComparisonSummary>, ReadError> {
        self.reading(comparison::list(self.pool(), filter).await)
    }
}

impl SqliteStore {
    /// Names the file in what the database said.
    fn reading<T>(&self, result: Result<T, sqlx::Error>) -> Result<T, ReadError> {
        result.map_err(|error| ReadError::Store(trouble::trouble(self.path(), error)))
    }
}
