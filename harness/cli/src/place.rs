//! Where results are kept: the one place that decides which backend opens what `--db` names.

use crate::error::CliError;
use longhaul_postgres::{PostgresStore, is_address, without_password};
use longhaul_sqlite::SqliteStore;
use longhaul_store::Upkeep;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A database. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A SQLite file.
    File(PathBuf),
    /// The address of a PostgreSQL database.
    Server(String),
}

impl From<OsString> for Place {
    /// Never fails: what is wrong with an address is said when it is opened, by words that don't quote its password.
    fn from(text: OsString) -> Place {
        match text.to_str() {
            Some(address) if is_address(address) => Place::Server(address.to_owned()),
            _ => Place::File(PathBuf::from(text)),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => path.display().fmt(f),
            Place::Server(address) => f.write_str(&without_password(address)),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Place {
    /// Opens it for reading and writing. What is missing is created.
    pub(crate) async fn open(&self) -> Result<Arc<dyn Upkeep>, CliError> {
        Ok(match self {
            Place::File(path) => Arc::new(SqliteStore::open(path).await?),
            Place::Server(address) => Arc::new(PostgresStore::open(address).await?),
        })
    }

    /// Opens what is there, for reading alone.
    pub(crate) async fn open_read_only(&self) -> Result<Arc<dyn Upkeep>, CliError> {
        Ok(match self {
            Place::File(path) => Arc::new(SqliteStore::open_read_only(path).await?),
            Place::Server(address) => Arc::new(PostgresStore::open_read_only(address).await?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_files_and_shown_without_passwords() {
        for (text, server, shown) in [
            ("results/longhaul.db", false, "results/longhaul.db"),
            ("postgres.db", false, "postgres.db"),
            ("postgres://a:secret@b/c", true, "postgres://a@b/c"),
            ("postgresql://b/c?password=secret", true, "postgresql://b/c"),
        ] {
            let place = Place::from(OsString::from(text));
            assert_eq!(matches!(place, Place::Server(_)), server, "{text}");
            assert_eq!((place.to_string(), format!("{place:?}")), (shown.to_owned(), shown.to_owned()));
        }
    }
}
