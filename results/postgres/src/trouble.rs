//! What PostgreSQL's error codes mean for a person.

use longhaul_store::{Trouble, TroubleKind};

/// Wraps an error of sqlx with the database it is about.
pub(crate) fn trouble(place: &str, error: sqlx::Error) -> Trouble {
    Trouble { place: place.to_owned(), kind: kind(&error), source: Some(Box::new(error)) }
}

/// See <https://www.postgresql.org/docs/current/errcodes-appendix.html>. The first two characters are the class.
pub(crate) fn kind(error: &sqlx::Error) -> TroubleKind {
    match error {
        // Every connection is waiting for a lock or a slow disk.
        sqlx::Error::PoolTimedOut => return TroubleKind::Locked,
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) => return TroubleKind::Unreachable,
        // A text where a number should be, or a column that is missing: not what we wrote.
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) => return TroubleKind::Damaged,
        _ => {}
    }
    let Some(code) = error.as_database_error().and_then(|error| error.code()) else { return TroubleKind::Other };
    match &*code {
        // Read-only transaction, insufficient privilege.
        "25006" | "42501" => TroubleKind::ReadOnly,
        "53100" => TroubleKind::Full,
        // Lock not available, deadlock, serialisation failure.
        "55P03" | "40P01" | "40001" => TroubleKind::Locked,
        // No such database; too many connections; the server is starting or stopping.
        "3D000" | "53300" | "57P01" | "57P02" | "57P03" => TroubleKind::Unreachable,
        _ => match code.get(..2) {
            // Connection, authorization.
            Some("08" | "28") => TroubleKind::Unreachable,
            // Corrupted data or index.
            Some("XX") if &*code != "XX000" => TroubleKind::Damaged,
            _ => TroubleKind::Other,
        },
    }
}
