//! What is asked of a store as a whole: pages of records, findings of a check, what retention keeps and frees.

use crate::Trouble;
use longhaul_record::RunRecord;
use std::path::PathBuf;

/// A place in the order in which runs were recorded. The default is before the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub i64);

/// Some of a store's records.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// In the order they were recorded.
    pub runs: Vec<RunRecord>,
    /// Where to go on; absent behind the last.
    pub next: Option<Position>,
}

/// Something that is not as the writer leaves it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// The backend's own check of its files and references.
    #[error("{0}")]
    Backend(String),
    /// A record that cannot be read: a part is missing, or its content does not match its hash.
    #[error("run {id}: {what}")]
    Record {
        /// The run's id.
        id: String,
        /// What is wrong with it.
        what: String,
    },
    /// The counts of runs by outcome are not those of the runs.
    #[error(
        "tally of `{scenario}` × `{subject}` on commit {commit}: counts {counted} as `{outcome}`, there are {runs}"
    )]
    Tally {
        /// The scenario.
        scenario: String,
        /// The subject.
        subject: String,
        /// Full hash, or "none".
        commit: String,
        /// The outcome.
        outcome: String,
        /// What the tally says.
        counted: i64,
        /// How many runs there are.
        runs: i64,
    },
    /// A sheet of numbers that does not fit its runs.
    #[error("a sheet of `{scenario}` × `{subject}` {what}")]
    Sheet {
        /// The scenario.
        scenario: String,
        /// The subject.
        subject: String,
        /// What is wrong with it.
        what: String,
    },
    /// What readers of histories are told of commits is not what is known of them.
    #[error("the packed commits {sheet} are not those of the table")]
    Commits {
        /// Which 256 of them.
        sheet: i64,
    },
}

/// Which series over time to keep: those that are new enough, and those among the newest. Without either, nothing is
/// dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Runs that started at this time or later keep theirs, in milliseconds since 1970.
    pub newer_than_ms: Option<i64>,
    /// So do the newest this many runs of each scenario × subject.
    pub newest: Option<u32>,
    /// Only say what would be dropped.
    pub dry_run: bool,
}

/// What retention dropped, or would.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freed {
    /// Runs without their series over time.
    pub runs: u64,
    /// Artifacts that no run needs any more.
    pub artifacts: u64,
    /// Their compressed size.
    pub bytes: u64,
}

/// Why there is no backup. What was there is as it was.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file is there.
    #[error("{}: is there already; a backup is never written over anything, name another file", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file's directory is not there.
    #[error("{}: its directory is not there; create it, or name another file", path.display())]
    NoDirectory {
        /// The file.
        path: PathBuf,
    },
    /// The backend's own tools do it better.
    #[error("{place}: is a server's; back it up with its own tool: {command}")]
    Elsewhere {
        /// The address, without its password.
        place: String,
        /// What to type.
        command: String,
    },
    /// Either place refused.
    #[error(transparent)]
    Store(#[from] Trouble),
}
