//! What SQLite's result codes mean for a person.

use longhaul_store::{Trouble, TroubleKind};
use std::path::Path;

/// Wraps an error of sqlx with the file it is about.
pub(crate) fn trouble(path: &Path, error: sqlx::Error) -> Trouble {
    Trouble { place: path.display().to_string(), kind: kind(&error), source: Some(Box::new(error)) }
}

/// See <https://www.sqlite.org/rescode.html>. The low byte is the primary code.
pub(crate) fn kind(error: &sqlx::Error) -> TroubleKind {
    // The shared-memory file of a WAL could not grow: in practice, the disk is full.
    const IOERR_SHMSIZE: i32 = 4874;
    match error {
        // Every connection is waiting for a lock or a slow disk.
        sqlx::Error::PoolTimedOut => return TroubleKind::Locked,
        sqlx::Error::Io(_) => return TroubleKind::Unreachable,
        // A text where a number should be, or a column that is missing: not what we wrote.
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) => return TroubleKind::Damaged,
        _ => {}
    }
    match code(error) {
        Some(IOERR_SHMSIZE) => TroubleKind::Full,
        Some(code) => match code & 0xff {
            5 | 6 => TroubleKind::Locked,
            8 => TroubleKind::ReadOnly,
            11 | 26 => TroubleKind::Damaged,
            13 => TroubleKind::Full,
            14 => TroubleKind::Unreachable,
            _ => TroubleKind::Other,
        },
        None => TroubleKind::Other,
    }
}

/// The extended result code.
pub(crate) fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}
