//! Files that are not what they should be: one clear error each, and the file stays as it was.

#![expect(clippy::unwrap_used, reason = "a test that fails should panic where it fails")]

use longhaul_record::{Outcome, RunRecord};
use longhaul_sqlite::{OpenError, Options, SqliteStore};
use longhaul_store::testing::sample::{self, Shape};
use longhaul_store::{BackupError, InsertError, Inserted, RunFilter, Store, TroubleKind, Upkeep};
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SHAPE: Shape = Shape { network: 1, subject: "reference", commit: 0, iteration: 0 };

/// A database with one run in it, closed, in a directory that lives as long as the guard.
async fn written() -> (PathBuf, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("longhaul.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.insert_run(&sample::run(SHAPE)).await.unwrap();
    store.close().await;
    (path, dir)
}

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

/// Both ways of opening refuse with the same words, and not a byte changes.
async fn refused(path: &Path, expect: &str) {
    let before = fs::read(path).unwrap();
    let writing = SqliteStore::open(path).await.unwrap_err().to_string();
    let reading = SqliteStore::open_read_only(path).await.unwrap_err().to_string();
    for message in [writing, reading] {
        assert!(message.starts_with(&path.display().to_string()), "{message}");
        assert!(message.contains(expect), "{message:?} should contain {expect:?}");
    }
    assert_eq!(fs::read(path).unwrap(), before);
}

#[tokio::test]
async fn a_newer_database_is_refused_untouched() {
    let (path, _dir) = written().await;
    let mut db = raw(&path).await;
    sqlx::query("INSERT INTO _sqlx_migrations VALUES (99, 'later', CURRENT_TIMESTAMP, true, x'00', 1)")
        .execute(&mut db)
        .await
        .unwrap();
    db.close().await.unwrap();
    refused(&path, "written by a newer longhaul (its format is 99, this longhaul knows up to").await;
}

/// A database as the first version wrote it: `tests/fixtures/0001.sql`, made by [`write_fixture`].
#[tokio::test]
async fn a_database_of_the_first_version_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("longhaul.db");
    let mut db = raw(&path).await;
    sqlx::raw_sql(include_str!("fixtures/0001.sql")).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    let error = SqliteStore::open_read_only(&path).await.unwrap_err();
    assert!(matches!(error, OpenError::Older { found: 1, .. }), "{error:?}");
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.check().await.unwrap(), []);
    // What there was not at that time.
    let comparison = longhaul_store::testing::comparison::comparison(1, None);
    assert_eq!(store.insert_comparison(&comparison).await.unwrap(), Inserted::New);
    store.put_alerts(&[longhaul_store::testing::alert::alert(1)]).await.unwrap();
    let [first, second] = fixture();
    assert_eq!(store.run(&first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(store.run(&second.id).await.unwrap(), Some(second));
    assert_eq!(store.insert_run(&first).await.unwrap(), Inserted::Known);
    assert_eq!(store.insert_run(&sample::run(Shape { iteration: 1, ..SHAPE })).await.unwrap(), Inserted::New);
    assert_eq!(store.check().await.unwrap(), []);
}

/// A database as the last version without sheets wrote it: `tests/fixtures/0004.sql`.
#[tokio::test]
async fn numbers_move_into_sheets() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("longhaul.db");
    let mut db = raw(&path).await;
    sqlx::raw_sql(include_str!("fixtures/0004.sql")).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    let migrated = SqliteStore::open(&path).await.unwrap();
    longhaul_store::testing::contract::is_as_if_written_now(
        &migrated,
        &SqliteStore::open(dir.path().join("new.db")).await.unwrap(),
    )
    .await;
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name GLOB 'old_*' OR name = 'rollups'")
            .fetch_one(&mut raw(&path).await)
            .await
            .unwrap();
    assert_eq!(left, 0);
}

/// What is in the fixture of the first format: a good run and a failed one.
fn fixture() -> [RunRecord; 2] {
    let failed = Shape { iteration: 2, ..SHAPE };
    let mut runs = [sample::run(SHAPE), sample::failed(failed, Outcome::TimedOut, "still running after 60 s", "")];
    for run in &mut runs {
        // A fixture is read by people too.
        run.series.truncate(1);
    }
    runs
}

/// Writes the fixture of this build's format anew, as text: `cargo test -p longhaul-sqlite --test open -- --ignored`. What a
/// released version wrote stays as it is.
#[tokio::test]
#[ignore = "writes the fixture"]
async fn write_fixture() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("longhaul.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.insert_runs(&sample::fixture()).await.unwrap();
    store.close().await;
    let mut db = raw(&path).await;
    let tables: Vec<(String, String)> =
        sqlx::query_as("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type DESC, rowid")
            .fetch_all(&mut db)
            .await
            .unwrap();
    let mut text = String::from("PRAGMA application_id = 1818780021;\n");
    for (name, sql) in &tables {
        text += &format!("{sql};\n");
        if sql.starts_with("CREATE TABLE") {
            let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info(?)")
                .bind(name)
                .fetch_all(&mut db)
                .await
                .unwrap();
            let quoted: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
            let rows = format!("SELECT {} FROM {name}", quoted.join(" || ', ' || "));
            let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(rows)).fetch_all(&mut db).await.unwrap();
            for row in rows {
                text += &format!("INSERT INTO {name} VALUES ({row});\n");
            }
        }
    }
    let version: i64 =
        sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(&mut db).await.unwrap();
    fs::write(format!("tests/fixtures/{version:04}.sql"), text).unwrap();
}

const TWICE: &str = "INSERT INTO sheets (cell_id, version_id, level, runs, first_ms, last_ms, commits, ids, numbers)
                     SELECT cell_id, version_id, 1, runs, first_ms, last_ms, commits, ids, numbers FROM sheets";

#[tokio::test]
async fn damage_is_found() {
    for (spoil, expect) in [
        ("UPDATE tallies SET runs = 7", "counts 7 as `ok`, there are 1"),
        ("UPDATE sheets SET numbers = zeroblob(length(numbers))", "its samples are not those of its record"),
        ("UPDATE series SET place = place + 50", "its samples are not those of its record"),
        ("UPDATE sheets SET numbers = x'00'", "a sheet of `latency-20ms` × `reference` ends too early"),
        ("UPDATE sheets SET ids = x''", "has parts of different numbers of runs"),
        ("UPDATE sheets SET last_ms = last_ms + 1", "is not where its commits stand in time"),
        ("UPDATE commits SET order_ms = order_ms + 1", "is not where its commits stand in time"),
        ("UPDATE sheets SET runs = 2", "says that it has 2 runs, it has 1"),
        ("UPDATE sheets SET commits = x'09000000'", "which belongs elsewhere"),
        (TWICE, "which another line has too"),
        ("DELETE FROM sheets", "it is in no sheet"),
        ("UPDATE commits SET summary = 'another'", "the packed commits 0 are not those of the table"),
        ("DELETE FROM commit_sheets", "the packed commits 0 are not those of the table"),
        ("INSERT INTO commit_sheets VALUES (7, x'')", "the packed commits 7 are not those of the table"),
        ("DELETE FROM tallies", "counts 0 as `ok`, there are 1"),
        ("UPDATE artifacts SET zstd = x'00'", "its stored record is damaged"),
        ("UPDATE artifacts SET hash = zeroblob(32) WHERE id = 1", "does not match its hash"),
        ("UPDATE runs SET outcome = 'untrusted'", "it is listed as `untrusted`, its record says `ok`"),
        ("UPDATE runs SET uuid = 'another'", "which is not there"),
        (
            "UPDATE runs SET uuid = 'another'; UPDATE sheets SET ids = CAST(x'0007000000' || 'another' AS BLOB)",
            "is that of run",
        ),
        ("PRAGMA foreign_keys = off; DELETE FROM cells", "rows of `sheets` refer to rows that are not"),
    ] {
        let (path, _dir) = written().await;
        let mut db = raw(&path).await;
        sqlx::raw_sql(spoil).execute(&mut db).await.unwrap();
        db.close().await.unwrap();
        let store = SqliteStore::open_read_only(&path).await.unwrap();
        let said: Vec<String> = store.check().await.unwrap().iter().map(ToString::to_string).collect();
        assert!(said.iter().any(|finding| finding.contains(expect)), "{spoil}: {said:?} should contain {expect:?}");
    }
}

#[tokio::test]
async fn a_backup_is_whole_and_never_over_anything() {
    let (path, dir) = written().await;
    let writer = SqliteStore::open(&path).await.unwrap();
    let second = sample::run(Shape { iteration: 1, ..SHAPE });
    writer.insert_run(&second).await.unwrap();
    let copy = dir.path().join("copy.db");
    SqliteStore::open_read_only(&path).await.unwrap().backup(&copy).await.unwrap();
    let kept = SqliteStore::open(&copy).await.unwrap();
    assert_eq!(kept.run(&second.id).await.unwrap(), Some(second));
    assert_eq!(kept.check().await.unwrap(), []);
    kept.close().await;
    let bytes = fs::read(&copy).unwrap();
    assert!(matches!(writer.backup(&copy).await.unwrap_err(), BackupError::Exists { .. }));
    assert_eq!(fs::read(&copy).unwrap(), bytes);
    let nowhere = writer.backup(&dir.path().join("nowhere/copy.db")).await.unwrap_err();
    assert!(matches!(nowhere, BackupError::NoDirectory { .. }), "{nowhere:?}");
}

#[tokio::test]
async fn a_text_file_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.db");
    fs::write(&path, "Dear diary, ".repeat(500)).unwrap();
    refused(&path, "not a database").await;
}

#[tokio::test]
async fn another_programs_database_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("places.sqlite");
    let mut db = raw(&path).await;
    sqlx::query("CREATE TABLE bookmarks (url TEXT)").execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    refused(&path, "a database of another program").await;
}

#[tokio::test]
async fn a_damaged_database_says_so() {
    let (path, _dir) = written().await;
    let mut bytes = fs::read(&path).unwrap();
    for byte in &mut bytes[200..] {
        *byte = 0x5a;
    }
    fs::write(&path, &bytes).unwrap();
    refused(&path, "the database is damaged").await;
}

#[tokio::test]
async fn reading_what_is_not_there_names_the_next_step() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("longhaul.db");
    let error = SqliteStore::open_read_only(&path).await.unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error:?}");
    assert!(error.to_string().contains("longhaul quickstart"), "{error}");
    assert!(!path.exists(), "looking must not create");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let error = SqliteStore::open(dir.path().join("file/longhaul.db")).await.unwrap_err();
    assert!(matches!(error, OpenError::Directory { .. }), "{error:?}");
}

#[tokio::test]
async fn a_directory_in_place_of_the_file_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let error = SqliteStore::open(dir.path()).await.unwrap_err();
    assert!(matches!(error, OpenError::NotAFile { .. }), "{error:?}");
}

#[tokio::test]
async fn an_interrupted_creation_is_started_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("longhaul.db");
    fs::write(&path, "").unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.insert_run(&sample::run(SHAPE)).await.unwrap(), Inserted::New);
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let (path, _dir) = written().await;
    let run = sample::run(SHAPE);
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.insert_run(&run).await.unwrap(), Inserted::Known);
    store.close().await;
    let store = SqliteStore::open_read_only(&path).await.unwrap();
    assert_eq!(store.run(&run.id).await.unwrap(), Some(run));
}

#[tokio::test]
async fn a_read_only_store_refuses_to_write_and_serves_beside_a_writer() {
    let (path, _dir) = written().await;
    let reader = SqliteStore::open_read_only(&path).await.unwrap();
    let error = reader.insert_run(&sample::run(Shape { iteration: 1, ..SHAPE })).await.unwrap_err();
    let InsertError::Store(trouble) = error else { panic!("{error:?}") };
    assert_eq!(trouble.kind, TroubleKind::ReadOnly);
    assert!(trouble.to_string().contains("is read-only, so nothing was written"));

    let writer = SqliteStore::open(&path).await.unwrap();
    writer.insert_run(&sample::run(Shape { iteration: 2, ..SHAPE })).await.unwrap();
    assert_eq!(reader.runs(&RunFilter::default()).await.unwrap().len(), 2, "a reader sees what was committed");
}

#[tokio::test]
async fn a_lock_is_waited_for_then_reported() {
    let (path, _dir) = written().await;
    let mut other = raw(&path).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let options = Options { busy_timeout: Duration::from_millis(20), ..Options::default() };
    let error = SqliteStore::open_with(&path, &options).await.unwrap_err();
    let OpenError::Store(trouble) = error else { panic!("{error:?}") };
    assert_eq!(trouble.kind, TroubleKind::Locked);

    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    let store = SqliteStore::open_with(&path, &options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let second = sample::run(Shape { iteration: 1, ..SHAPE });
    let error = store.insert_run(&second).await.unwrap_err();
    let InsertError::Store(trouble) = error else { panic!("{error:?}") };
    assert_eq!(trouble.kind, TroubleKind::Locked);
    assert_eq!(store.runs(&RunFilter::default()).await.unwrap().len(), 1, "readers need no lock");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(store.insert_run(&second).await.unwrap(), Inserted::New, "the same run goes in afterwards");
}

/// Many times: the two collide over the lock that SQLite does not wait for in about one round of eighty.
#[tokio::test]
async fn two_programs_may_create_the_same_database_at_once() {
    for round in 0..100 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("longhaul.db");
        let (a, b) = tokio::join!(SqliteStore::open(&path), SqliteStore::open(&path));
        let opened =
            |store: Result<SqliteStore, OpenError>| store.unwrap_or_else(|why| panic!("round {round}: {why:?}"));
        opened(a).insert_run(&sample::run(SHAPE)).await.unwrap();
        assert_eq!(opened(b).runs(&RunFilter::default()).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_full_database_keeps_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("longhaul.db");
    let options = Options { max_pages: Some(60), ..Options::default() };
    let store = SqliteStore::open_with(&path, &options).await.unwrap();
    let mut kept = Vec::new();
    let error = loop {
        let run = sample::run(Shape { iteration: u32::try_from(kept.len()).unwrap(), ..SHAPE });
        match store.insert_run(&run).await {
            Ok(_) => kept.push(run),
            Err(error) => break error,
        }
        assert!(kept.len() < 200, "60 pages never fill up");
    };
    let InsertError::Store(trouble) = error else { panic!("{error:?}") };
    assert_eq!(trouble.kind, TroubleKind::Full);
    assert!(!kept.is_empty());
    for run in kept {
        assert_eq!(store.run(&run.id).await.unwrap().as_ref(), Some(&run));
    }
}
