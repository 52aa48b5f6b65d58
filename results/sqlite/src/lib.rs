//! longhaul's default store: one SQLite file.
//!
//! A run and its evidence commit in one transaction, or not at all. Columns answer what pages ask; everything else of
//! a record (and its series over time) is kept as zstd-compressed artifacts named by their BLAKE3 hash, in the same
//! file. Rollups and tallies are kept by the writer, so that readers never count.
//!
//! What is asked and written is in `longhaul-sql`, for all SQL backends. Here is what is SQLite's own: the schema, opening
//! and refusing files, locks, what its result codes mean, and copies of a file in use.

mod open;
mod session;
#[cfg(feature = "testing")]
pub mod testing;
mod trouble;
mod upkeep;

pub use open::{OpenError, Options, SqliteStore};

use async_trait::async_trait;
use longhaul_record::{Alert, Comparison, RunRecord};
use longhaul_sql::Fault;
use longhaul_store::{
    AlertFilter, Commit, CommitFilter, ComparisonFilter, ComparisonSummary, InsertError, Inserted, OverviewQuery,
    OverviewRow, Page, Position, ReadError, RunFilter, RunSummary, Scope, SeriesQuery, SeriesSet, Store, Trouble,
};
use session::Tx;

#[async_trait]
impl Store for SqliteStore {
    async fn insert_runs(&self, runs: &[RunRecord]) -> Result<Vec<Inserted>, InsertError> {
        let parcels = longhaul_sql::pack(runs)?;
        let write = async {
            let mut tx = Tx::writing(self.pool()).await?;
            let inserted = longhaul_sql::insert(&mut tx, &parcels).await?;
            tx.commit().await?;
            Ok(inserted)
        };
        Ok(write.await.map_err(|error| self.trouble(error))?)
    }

    async fn run(&self, id: &str) -> Result<Option<RunRecord>, ReadError> {
        self.read(async |tx| longhaul_sql::run(tx, id).await).await
    }

    async fn records(&self, after: Position, limit: u32) -> Result<Page, ReadError> {
        self.read(async |tx| longhaul_sql::records(tx, after, limit).await).await
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, ReadError> {
        self.read(async |tx| longhaul_sql::runs(tx, filter).await).await
    }

    async fn scopes(&self) -> Result<Vec<Scope>, ReadError> {
        self.read(async |tx| longhaul_sql::scopes(tx).await).await
    }

    async fn overview(&self, query: &OverviewQuery) -> Result<Vec<OverviewRow>, ReadError> {
        self.read(async |tx| longhaul_sql::overview(tx, query).await).await
    }

    async fn series(&self, query: &SeriesQuery) -> Result<SeriesSet, ReadError> {
        self.read(async |tx| longhaul_sql::series(tx, query).await).await
    }

    async fn commits(&self, filter: &CommitFilter) -> Result<Vec<Commit>, ReadError> {
        self.read(async |tx| longhaul_sql::commits(tx, filter).await).await
    }

    async fn insert_comparison(&self, comparison: &Comparison) -> Result<Inserted, InsertError> {
        let parcel = longhaul_sql::pack_comparison(comparison)?;
        let write = async {
            let mut tx = Tx::writing(self.pool()).await?;
            let inserted = longhaul_sql::insert_comparison(&mut tx, &parcel).await?;
            tx.commit().await?;
            Ok(inserted)
        };
        Ok(write.await.map_err(|error| self.trouble(error))?)
    }

    async fn comparison(&self, id: &str) -> Result<Option<Comparison>, ReadError> {
        self.read(async |tx| longhaul_sql::comparison(tx, id).await).await
    }

    async fn comparisons(&self, filter: &ComparisonFilter) -> Result<Vec<ComparisonSummary>, ReadError> {
        self.read(async |tx| longhaul_sql::comparisons(tx, filter).await).await
    }

    async fn put_alerts(&self, alerts: &[Alert]) -> Result<(), InsertError> {
        let documents = longhaul_sql::documents(alerts)?;
        let write = async {
            let mut tx = Tx::writing(self.pool()).await?;
            longhaul_sql::put_alerts(&mut tx, &documents).await?;
            tx.commit().await
        };
        Ok(write.await.map_err(|error| self.trouble(error))?)
    }

    async fn alerts(&self, filter: &AlertFilter) -> Result<Vec<Alert>, ReadError> {
        self.read(async |tx| longhaul_sql::alerts(tx, filter).await).await
    }
}

impl SqliteStore {
    /// Answers a question within a transaction.
    async fn read<T>(&self, question: impl AsyncFnOnce(&mut Tx) -> Result<T, Fault>) -> Result<T, ReadError> {
        let answer = async {
            let mut tx = Tx::reading(self.pool()).await?;
            let answer = question(&mut tx).await?;
            tx.commit().await?;
            Ok(answer)
        };
        answer.await.map_err(|fault: Fault| fault.told(|error| self.trouble(error)))
    }

    /// Names the file in what the database said.
    fn trouble(&self, error: sqlx::Error) -> Trouble {
        trouble::trouble(self.path(), error)
    }
}
