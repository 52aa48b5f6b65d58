//! Opening, creating and refusing database files.

use crate::session::Tx;
use crate::trouble::{code, kind, trouble};
use longhaul_sql::{Columns, Session, Statement};
use longhaul_store::{Trouble, TroubleKind};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};
use sqlx::{Connection, Row, SqlSafeStr, SqliteConnection};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// "lhau", as the first migration writes it.
const APPLICATION_ID: i64 = 1_818_780_021;

/// Readers beside the one writer that SQLite allows.
const CONNECTIONS: u32 = 4;

/// Memory of a writing connection for pages, in KiB (negative by SQLite's convention): a batch goes to the ends of all series,
/// thousands of pages far from each other.
const CACHE: &str = "-65536";

/// Pages after which the log is folded into the file: 32 MiB, a few batches. Each time all of them are written once more.
const LOG_PAGES: &str = "8192";

/// Rows that SQLite's thread reads ahead: waking each other up costs more than reading.
const ROWS_AHEAD: usize = 4096;

/// How long to leave a new file to the other program that wants it alone.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// One SQLite file. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    pool: SqlitePool,
}

/// How to open a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long to wait for another program's lock.
    pub busy_timeout: Duration,
    /// The largest size of the file, in pages of 4096 bytes; `None` for SQLite's own limit. For tests of full disks.
    pub max_pages: Option<u32>,
}

impl Default for Options {
    /// Waits 5 s for a lock; no limit of size.
    fn default() -> Options {
        Options { busy_timeout: Duration::from_secs(5), max_pages: None }
    }
}

/// Why a database was not opened. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing to read.
    #[error(
        "{}: there is no database; measure something first (`longhaul quickstart`), or name another with --db",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The directory for a new database is not there and cannot be made.
    #[error("{}: its directory cannot be created; create it, or choose another place with --db", path.display())]
    Directory {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A directory or a device.
    #[error("{}: not a file; name a file with --db, for example {}/longhaul.db", path.display(), path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// Not SQLite.
    #[error("{}: not a database (the file was not touched); name another with --db", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },
    /// SQLite, but not ours.
    #[error("{}: a database of another program (it was not touched); name another with --db", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Written by a later version of longhaul.
    #[error(
        "{}: written by a newer longhaul (its format is {found}, this longhaul knows up to {known}); \
         upgrade longhaul. The file was not touched",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The newest migration in it.
        found: i64,
        /// The newest migration of this build.
        known: i64,
    },
    /// Written by an earlier version of longhaul, and opened for reading only.
    #[error(
        "{}: written by an older longhaul (its format is {found}, this longhaul reads {known}) and opened read-only; \
         open it once for writing, for example with `longhaul run`, to upgrade it",
        path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// The newest migration in it.
        found: i64,
        /// The newest migration of this build.
        known: i64,
    },
    /// The format could not be brought up to date.
    #[error("{}: its format cannot be brought up to date; the file is as it was", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: MigrateError,
    },
    /// The place cannot be used.
    #[error(transparent)]
    Store(#[from] Trouble),
}

impl SqliteStore {
    /// Opens `path` for reading and writing. Creates it, and its directory, where they are missing.
    pub async fn open(path: impl AsRef<Path>) -> Result<SqliteStore, OpenError> {
        SqliteStore::open_with(path, &Options::default()).await
    }

    /// [`SqliteStore::open`] with other options than the default ones.
    pub async fn open_with(path: impl AsRef<Path>, options: &Options) -> Result<SqliteStore, OpenError> {
        let path = path.as_ref().to_path_buf();
        make_directory(&path)?;
        only_files(&path)?;
        // Looks before it opens for writing, so that a file that is not ours stays as it is.
        if has_content(&path) {
            inspect(&path, options).await?;
        }
        let mut connect = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .pragma("cache_size", CACHE)
            .pragma("wal_autocheckpoint", LOG_PAGES)
            .busy_timeout(options.busy_timeout)
            .row_buffer_size(ROWS_AHEAD);
        if let Some(pages) = options.max_pages {
            connect = connect.pragma("max_page_count", pages.to_string());
        }
        let pool = connect_alone(connect, options).await.map_err(|error| unwritable(&path, error))?;
        let store = SqliteStore { path, pool };
        store.migrate().await?;
        store.probe().await?;
        Ok(store)
    }

    /// Opens an existing database for reading. Works on a read-only file system too, unless an interrupted writer left
    /// a log beside the file that could not be read there.
    pub async fn open_read_only(path: impl AsRef<Path>) -> Result<SqliteStore, OpenError> {
        let path = path.as_ref().to_path_buf();
        if !path.exists() {
            return Err(OpenError::Missing { path });
        }
        only_files(&path)?;
        let options = Options::default();
        let format = inspect(&path, &options).await?;
        match format {
            Format::Known(found) if found < newest() => {
                return Err(OpenError::Older { path, found, known: newest() });
            }
            Format::Known(_) => {}
            Format::Empty => return Err(OpenError::Missing { path }),
        }
        let connect = readable(&path, &options).await.map_err(|error| trouble(&path, error))?.0;
        let pool = pool().connect_with(connect).await.map_err(|error| trouble(&path, error))?;
        Ok(SqliteStore { path, pool })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// All of it or none, with the write lock held: two programs may start at once.
    async fn migrate(&self) -> Result<(), OpenError> {
        let said = |error| OpenError::Store(trouble(&self.path, error));
        let mut tx = Tx::writing(&self.pool).await.map_err(said)?;
        migrator().run(tx.connection()).await.map_err(|error| match error {
            MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)
                if kind(&source) != TroubleKind::Other =>
            {
                said(source)
            }
            source => OpenError::Migrate { path: self.path.clone(), source },
        })?;
        let old = Statement::new("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'old_samples'");
        if tx.row(old).await.and_then(|row| row.integer("n")).map_err(said)? > 0 {
            longhaul_sql::repack(&mut tx).await.map_err(said)?;
            tx.change(Statement::new("DROP TABLE old_samples")).await.map_err(said)?;
        }
        tx.commit().await.map_err(said)
    }

    /// SQLite opens a read-only file for "writing" without a word. Find out now, not after an hour of measuring.
    async fn probe(&self) -> Result<(), OpenError> {
        let failed = |error| trouble(&self.path, error);
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        sqlx::query("DELETE FROM projects WHERE id < 0").execute(&mut *tx).await.map_err(failed)?;
        tx.rollback().await.map_err(failed)?;
        Ok(())
    }
}

/// Connects, and asks again while another program is making the same file.
///
/// A new file needs to be had alone once, to turn its write-ahead log on. Two programs that want this at once each hold
/// what the other one waits for, so SQLite says busy to one of them at once, whatever the timeout
/// (<https://sqlite.org/c3ref/busy_handler.html>).
async fn connect_alone(connect: SqliteConnectOptions, options: &Options) -> Result<SqlitePool, sqlx::Error> {
    let mut left = options.busy_timeout;
    loop {
        match pool().connect_with(connect.clone()).await {
            Err(error) if kind(&error) == TroubleKind::Locked && !left.is_zero() => {
                let pause = left.min(ASK_AGAIN);
                tokio::time::sleep(pause).await;
                left -= pause;
            }
            other => return other,
        }
    }
}

fn pool() -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(Duration::from_secs(15))
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
    Migrator::with_migrations((1..).zip(ALL).map(migration).collect())
}

fn newest() -> i64 {
    migrator().iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// What a file holds.
enum Format {
    /// Nothing yet: new, or its creation was interrupted.
    Empty,
    /// Ours, up to this migration.
    Known(i64),
}

/// Looks at a file through a reading connection and refuses what is not ours to write.
async fn inspect(path: &Path, options: &Options) -> Result<Format, OpenError> {
    let said = |error: sqlx::Error| match code(&error) {
        Some(26) => OpenError::NotADatabase { path: path.to_path_buf(), source: error },
        _ => OpenError::Store(trouble(path, error)),
    };
    let (_, mut db) = readable(path, options).await.map_err(said)?;
    let row = sqlx::query(
        "SELECT count(*) AS tables, coalesce(sum(name = '_sqlx_migrations'), 0) AS ours,
                (SELECT application_id FROM pragma_application_id) AS id
         FROM sqlite_schema WHERE type = 'table'",
    )
    .fetch_one(&mut db)
    .await
    .map_err(said)?;
    let (tables, ours, id): (i64, i64, i64) = (row.get("tables"), row.get("ours"), row.get("id"));
    let found = if ours == 1 && id == APPLICATION_ID {
        let newest = sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations");
        newest.fetch_one(&mut db).await.map_err(said)?
    } else {
        0i64
    };
    db.close().await.map_err(said)?;
    match found {
        _ if id == APPLICATION_ID && found > newest() => {
            Err(OpenError::Newer { path: path.to_path_buf(), found, known: newest() })
        }
        _ if id == APPLICATION_ID => Ok(Format::Known(found)),
        _ if tables == 0 && id == 0 => Ok(Format::Empty),
        _ => Err(OpenError::Foreign { path: path.to_path_buf() }),
    }
}

/// A reading connection and the options that made it.
///
/// A database in WAL mode needs a shared-memory file beside it, which a read-only directory refuses. Without a log
/// nothing can change under us there, so SQLite may be told that the file is immutable.
async fn readable(path: &Path, options: &Options) -> Result<(SqliteConnectOptions, SqliteConnection), sqlx::Error> {
    let plain = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(options.busy_timeout)
        .row_buffer_size(ROWS_AHEAD);
    let error = match first_read(&plain).await {
        Ok(db) => return Ok((plain, db)),
        Err(error) => error,
    };
    let mut log = path.as_os_str().to_os_string();
    log.push("-wal");
    // 14 is SQLITE_CANTOPEN, 8 SQLITE_READONLY: both are said when the shared-memory file cannot be made.
    if !matches!(code(&error).map(|code| code & 0xff), Some(8 | 14)) || has_content(Path::new(&log)) {
        return Err(error);
    }
    let immutable = plain.immutable(true);
    let db = first_read(&immutable).await?;
    Ok((immutable, db))
}

/// Opening alone reads nothing; the first query shows whether the file can be used.
async fn first_read(connect: &SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    let mut db = SqliteConnection::connect_with(connect).await?;
    sqlx::query("SELECT count(*) FROM sqlite_schema").execute(&mut db).await?;
    Ok(db)
}

/// A file that was just inspected, or is new in a directory that is there, and yet cannot be opened for writing: it or
/// the log beside it may not be written.
fn unwritable(path: &Path, error: sqlx::Error) -> Trouble {
    let mut trouble = trouble(path, error);
    if trouble.kind == TroubleKind::Unreachable {
        trouble.kind = TroubleKind::ReadOnly;
    }
    trouble
}

fn make_directory(path: &Path) -> Result<(), OpenError> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => {
            fs::create_dir_all(parent).map_err(|source| OpenError::Directory { path: path.to_path_buf(), source })
        }
        _ => Ok(()),
    }
}

fn only_files(path: &Path) -> Result<(), OpenError> {
    match fs::metadata(path) {
        Ok(meta) if !meta.is_file() => Err(OpenError::NotAFile { path: path.to_path_buf() }),
        _ => Ok(()),
    }
}

fn has_content(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.len() > 0)
}
