//! Files that are not what they should be: one clear error each, and the file stays as it was.

#![expect(clippy::unwrap_used, reason = "a test that fails should panic where it fails")]

use longhaul_sqlite::{OpenError, Options, SqliteStore};
use longhaul_store::testing::sample::{self, Shape};
use longhaul_store::{InsertError, Inserted, RunFilter, Store, TroubleKind, Upkeep};
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
    refused(&path, "written by a newer longhaul (its format is 99, this longhaul knows up to 1)").await;
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
