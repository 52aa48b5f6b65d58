//! longhaul's default store: one SQLite file.
//!
//! A run and its evidence commit in one transaction, or not at all. Columns answer what pages ask; everything else of
//! a record (and its series over time) is kept as zstd-compressed artifacts named by their BLAKE3 hash, in the same
//! file. Numbers are packed by the writer, and runs counted, so that readers go through few rows.
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

use longhaul_store::Trouble;
use session::Tx;

longhaul_sql::implement_store!(SqliteStore, Tx);

impl SqliteStore {
    async fn reading(&self) -> Result<Tx, sqlx::Error> {
        Tx::reading(self.pool()).await
    }

    async fn writing(&self) -> Result<Tx, sqlx::Error> {
        Tx::writing(self.pool()).await
    }

    /// Names the file in what the database said.
    fn trouble(&self, error: sqlx::Error) -> Trouble {
        trouble::trouble(self.path(), error)
    }
}
