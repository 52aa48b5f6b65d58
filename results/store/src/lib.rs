//! What can be asked of stored runs, without saying how they are stored.
//!
//! A [`Store`] takes whole [`longhaul_record::RunRecord`]s and answers the questions that pages, tables and gates ask.
//! Writers hand over a struct; readers get views made for one purpose each. "Not found" is `Ok(None)` or an empty
//! list, never an error. Every backend passes the same contract (`testing::contract`, feature `testing`). [`Upkeep`] is
//! what a person at a terminal does to a whole store.
//!
//! Runs of different projects or different machines are never mixed into one series: a [`Scope`] names the pair, and
//! every query may be narrowed to one.
//!
//! **Invariant:** no SQL, no file system and no backend's types in here.

mod check;
mod error;
mod history;
mod progress;
mod series;
mod store;
mod token;
mod upkeep;
mod view;

#[cfg(feature = "testing")]
pub mod testing;

pub use check::{Problem, check, check_comparison};
pub use error::{InsertError, ReadError, Trouble, TroubleKind};
pub use history::{History, Line};
pub use progress::Progress;
pub use series::{CommitPoint, CommitValues, MetricSeries, RunValue, SeriesQuery, SeriesSet, ValuesQuery};
pub use store::{Store, Upkeep};
pub use token::Token;
pub use upkeep::{BackupError, Finding, Freed, Page, Position, Retention};
pub use view::{
    AlertFilter, Commit, CommitFilter, ComparisonFilter, ComparisonSummary, Evidence, FalseAlarms, HealthQuery,
    HostHealth, Inserted, OverviewQuery, OverviewRow, Recent, RunFilter, RunSummary, Scope, Tally,
};
