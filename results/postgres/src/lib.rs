//! longhaul's store for several runners: a PostgreSQL database.
//!
//! Everything that the default store promises, on a server that many machines write to. What is asked and written is in
//! `longhaul-sql`, for all SQL backends. Here is what is PostgreSQL's own: the schema, opening and refusing databases, locks,
//! and what its error codes mean.
//!
//! Writers take turns by an advisory lock, as SQLite's do by its file: what was there before is added to. A run
//! takes milliseconds, so nobody waits long.

mod open;
mod place;
mod session;
#[cfg(feature = "testing")]
pub mod testing;
mod trouble;
mod upkeep;

pub use open::{OpenError, PostgresStore};
pub use place::{is_address, without_password};

use longhaul_store::Trouble;
use session::Tx;

longhaul_sql::implement_store!(PostgresStore, Tx);

impl PostgresStore {
    async fn reading(&self) -> Result<Tx, sqlx::Error> {
        Tx::reading(self.pool()).await
    }

    async fn writing(&self) -> Result<Tx, sqlx::Error> {
        Tx::writing(self.pool()).await
    }

    /// Names the database in what it said.
    fn trouble(&self, error: sqlx::Error) -> Trouble {
        trouble::trouble(self.shown(), error)
    }
}
