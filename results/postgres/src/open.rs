//! Opening, creating and refusing databases.

use crate::place::without_password;
use crate::session::Tx;
use crate::trouble::{kind, trouble};
use longhaul_sql::{Columns, Session, Statement};
use longhaul_store::{Trouble, TroubleKind};
use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use std::str::FromStr;
use std::time::Duration;

/// Readers beside the one writer at a time.
const CONNECTIONS: u32 = 4;

/// A PostgreSQL database. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct PostgresStore {
    /// Without its password.
    place: String,
    pool: PgPool,
}

/// Why a database was not opened. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address makes no sense.
    #[error("{place}: not an address of a database ({what}); use postgres://USER@HOST/DATABASE")]
    Address {
        /// The address, without its password.
        place: String,
        /// What is wrong with it.
        what: String,
    },
    /// Nothing to read.
    #[error(
        "{place}: nothing was recorded there yet; measure something first (`longhaul quickstart --db …`), or name another \
         with --db"
    )]
    Missing {
        /// The address, without its password.
        place: String,
    },
    /// Somebody else's tables.
    #[error(
        "{place}: a database of another program (it was not touched); create an empty one (`createdb NAME`), and name it \
         with --db"
    )]
    Foreign {
        /// The address, without its password.
        place: String,
    },
    /// Written by a later version of longhaul.
    #[error(
        "{place}: written by a newer longhaul (its format is {found}, this longhaul knows up to {known}); \
         upgrade longhaul. The database was not touched"
    )]
    Newer {
        /// The address, without its password.
        place: String,
        /// The newest migration in it.
        found: i64,
        /// The newest migration of this build.
        known: i64,
    },
    /// Written by an earlier version of longhaul, and opened for reading only.
    #[error(
        "{place}: written by an older longhaul (its format is {found}, this longhaul reads {known}) and opened read-only; \
         open it once for writing, for example with `longhaul run`, to upgrade it"
    )]
    Older {
        /// The address, without its password.
        place: String,
        /// The newest migration in it.
        found: i64,
        /// The newest migration of this build.
        known: i64,
    },
    /// The format could not be brought up to date.
    #[error("{place}: its format cannot be brought up to date; the database is as it was")]
    Migrate {
        /// The address, without its password.
        place: String,
        /// What went wrong.
        #[source]
        source: MigrateError,
    },
    /// The place cannot be used.
    #[error(transparent)]
    Store(#[from] Trouble),
}

impl PostgresStore {
    /// Opens a database for reading and writing. It must be there; what is missing in it is created.
    pub async fn open(address: &str) -> Result<PostgresStore, OpenError> {
        let store = PostgresStore::connect(address, false).await?;
        store.inspect().await?;
        store.migrate().await?;
        store.probe().await?;
        Ok(store)
    }

    /// Opens a database for reading.
    pub async fn open_read_only(address: &str) -> Result<PostgresStore, OpenError> {
        let store = PostgresStore::connect(address, true).await?;
        let place = store.place.clone();
        match store.inspect().await? {
            None => Err(OpenError::Missing { place }),
            Some(found) if found < newest() => Err(OpenError::Older { place, found, known: newest() }),
            Some(_) => Ok(store),
        }
    }

    pub(crate) fn shown(&self) -> &str {
        &self.place
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    async fn connect(address: &str, read_only: bool) -> Result<PostgresStore, OpenError> {
        let place = without_password(address);
        let options = PgConnectOptions::from_str(address).map_err(|error| {
            // Said in words of ours: what the parser quotes could be the password.
            let what = match error {
                sqlx::Error::Configuration(_) => "it cannot be read; special characters in it are written as %XX",
                _ => "it is incomplete",
            };
            OpenError::Address { place: place.clone(), what: what.into() }
        })?;
        let read_only = if read_only { "on" } else { "off" };
        let options = options
            .application_name("longhaul")
            .options([("lock_timeout", "5s"), ("default_transaction_read_only", read_only)]);
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(Duration::from_secs(15));
        let pool = pool.connect_with(options).await.map_err(|error| trouble(&place, error))?;
        Ok(PostgresStore { place, pool })
    }

    /// The newest migration, or `None` for an empty database. Refuses what is not ours.
    async fn inspect(&self) -> Result<Option<i64>, OpenError> {
        let said = |error| OpenError::Store(trouble(&self.place, error));
        let mut tx = Tx::reading(&self.pool).await.map_err(said)?;
        let sql = Statement::new(
            "SELECT to_regclass('longhaul_database') IS NOT NULL AND to_regclass('_sqlx_migrations') IS NOT NULL AS ours,
                    (SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace
                     AND relkind IN ('r', 'p', 'v', 'm', 'f')) AS tables",
        );
        let row = tx.row(sql).await.map_err(said)?;
        let (ours, tables) = (row.flag("ours").map_err(said)?, row.integer("tables").map_err(said)?);
        let found = match (ours, tables) {
            (true, _) => {
                let sql = Statement::new("SELECT coalesce(max(version), 0) AS newest FROM _sqlx_migrations");
                let row = tx.row(sql).await.map_err(said)?;
                Some(row.integer("newest").map_err(said)?)
            }
            (false, 0) => None,
            _ => return Err(OpenError::Foreign { place: self.place.clone() }),
        };
        tx.commit().await.map_err(said)?;
        match found {
            Some(found) if found > newest() => {
                Err(OpenError::Newer { place: self.place.clone(), found, known: newest() })
            }
            found => Ok(found),
        }
    }

    /// All of it or none, while no other writer does anything.
    async fn migrate(&self) -> Result<(), OpenError> {
        let said = |error| OpenError::Store(trouble(&self.place, error));
        let mut tx = Tx::writing(&self.pool).await.map_err(said)?;
        migrator().run(tx.connection()).await.map_err(|error| match error {
            MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)
                if kind(&source) != TroubleKind::Other =>
            {
                said(source)
            }
            source => OpenError::Migrate { place: self.place.clone(), source },
        })?;
        let old = Statement::new("SELECT to_regclass('old_samples') IS NOT NULL AS is_there");
        if tx.row(old).await.and_then(|row| row.flag("is_there")).map_err(said)? {
            longhaul_sql::repack(&mut tx).await.map_err(said)?;
            for gone in ["DROP VIEW old_samples", "DROP TABLE old_points"] {
                tx.change(Statement::new(gone)).await.map_err(said)?;
            }
        }
        tx.commit().await.map_err(said)
    }

    /// Finds out now whether it may be written to, not after an hour of measuring.
    async fn probe(&self) -> Result<(), OpenError> {
        let said = |error| OpenError::Store(trouble(&self.place, error));
        let mut tx = Tx::writing(&self.pool).await.map_err(said)?;
        tx.change(Statement::new("DELETE FROM projects WHERE id < 0")).await.map_err(said)?;
        tx.rollback().await.map_err(said)
    }
}

/// The migrations in this build, oldest first. Checked in, never edited once released.
fn migrator() -> Migrator {
    const ALL: [(&str, &str); 6] = [
        ("first", include_str!("../migrations/0001_first.sql")),
        ("comparisons", include_str!("../migrations/0002_comparisons.sql")),
        ("alerts", include_str!("../migrations/0003_alerts.sql")),
        ("tokens", include_str!("../migrations/0004_tokens.sql")),
        ("sheets", include_str!("../migrations/0005_sheets.sql")),
        ("progress", include_str!("../migrations/0006_progress.sql")),
    ];
    let migration = |(version, (name, sql)): (i64, (&'static str, &'static str))| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations((1..).zip(ALL).map(migration).collect());
    // The writers' lock is held already.
    migrator.set_locking(false);
    migrator
}

fn newest() -> i64 {
    migrator().iter().map(|migration| migration.version).max().unwrap_or(0)
}
