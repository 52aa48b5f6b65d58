//! What can go wrong with a store, named with the place and the fix.

use crate::Problem;
use std::error::Error;
use std::fmt;

/// Why a run was not kept. Whatever the reason, nothing recorded before is touched.
#[derive(Debug, thiserror::Error)]
pub enum InsertError {
    /// The record breaks the contract; no backend would take it.
    #[error("run {id}: not a valid record")]
    Invalid {
        /// The run's id as given.
        id: String,
        /// What is wrong with it.
        #[source]
        problem: Problem,
    },
    /// The same of a comparison.
    #[error("comparison {id}: not a valid one")]
    InvalidComparison {
        /// The comparison's id as given.
        id: String,
        /// What is wrong with it.
        #[source]
        problem: Problem,
    },
    /// The record cannot be written as JSON.
    #[error("{id}: cannot be encoded")]
    Encode {
        /// The run's or comparison's id.
        id: String,
        /// What the encoder said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The place refused it.
    #[error(transparent)]
    Store(#[from] Trouble),
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A stored run or comparison cannot be decoded.
    #[error("{id}: its stored record is damaged")]
    Damaged {
        /// The run's or comparison's id.
        id: String,
        /// What the decoder said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The place refused to answer.
    #[error(transparent)]
    Store(#[from] Trouble),
}

/// What is wrong with the place that keeps the runs.
#[derive(Debug)]
pub struct Trouble {
    /// Path or address of the store.
    pub place: String,
    /// What is wrong.
    pub kind: TroubleKind,
    /// What the backend said.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// The ways in which a store can be unusable. Each has its own fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// It may only be read.
    ReadOnly,
    /// There is no space left.
    Full,
    /// Somebody else holds it.
    Locked,
    /// Its content is not what a store holds.
    Damaged,
    /// It is not there or cannot be reached.
    Unreachable,
    /// The backend said something else; see the source.
    Other,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.kind {
            TroubleKind::ReadOnly => {
                "is read-only, so nothing was written; make the file and its directory writable or choose another \
                 place with --db"
            }
            TroubleKind::Full => {
                "no space is left, so nothing was written; what was recorded before is intact. Free some space or \
                 choose another place with --db, then repeat"
            }
            TroubleKind::Locked => {
                "another program keeps it locked; end that program (or wait for its import to finish), then repeat"
            }
            TroubleKind::Damaged => {
                "the database is damaged; restore it from a backup, or move it away to start a new one"
            }
            TroubleKind::Unreachable => "cannot be opened; check that it exists and that you may read it",
            TroubleKind::Other => "the database answered with an error",
        };
        write!(f, "{}: {text}", self.place)
    }
}

impl Error for Trouble {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
