//! What the SQL backends share: how runs become rows, and rows become answers.
//!
//! Both databases have the same tables, and take the same statements. So each
//! question is written once, here, over a [`Session`]: a transaction of either. What differs stays with the backends: schema,
//! opening and refusing, how a transaction begins, what an error means.
//!
//! Writing is one plan for any number of runs ([`insert`]): everything is compressed before the lock is taken
//! ([`pack`]), names become ids, rows go in by the hundreds, numbers by the sheet, and tallies are brought up to date.
//!
//! **Invariant:** no connection, no schema and no backend's types in here. Statements are constants; values are bound.

mod alert;
mod artifact;
mod bytes;
mod check;
mod comparison;
mod directory;
mod insert;
mod overview;
mod place;
mod progress;
mod prune;
mod read;
mod repack;
mod series;
mod sheet;
mod sheets;
mod statement;
mod store;
mod token;

pub use alert::{alerts, documents, put_alerts};
pub use check::check;
pub use comparison::{ComparisonParcel, comparison, comparisons, insert_comparison, pack_comparison};
pub use insert::{Parcel, insert, pack};
pub use overview::overview;
pub use progress::{end_progress, progress, put_progress};
pub use prune::prune;
pub use read::{commits, health, records, run, runs, scopes};
pub use repack::repack;
pub use series::{commit_values, series};
pub use statement::{Columns, Session, Statement, Value};
pub use store::within;
pub use token::{put_token, revoke_token, token, tokens, touch_token};

/// What a question cannot be answered for.
#[derive(Debug)]
pub enum Fault {
    /// What the database said.
    Database(sqlx::Error),
    /// A stored run that cannot be decoded.
    Damaged {
        /// Its id.
        id: String,
        /// What the decoder said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Fault {
        Fault::Database(error)
    }
}

impl Fault {
    /// As a reader is told; `trouble` names the place in what the database said.
    pub fn told(self, trouble: impl FnOnce(sqlx::Error) -> longhaul_store::Trouble) -> longhaul_store::ReadError {
        match self {
            Fault::Database(error) => longhaul_store::ReadError::Store(trouble(error)),
            Fault::Damaged { id, source } => longhaul_store::ReadError::Damaged { id, source },
        }
    }
}
