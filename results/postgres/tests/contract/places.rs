//! Databases that are not what they should be: one clear error each, and they stay as they were.

use crate::trial;
use libtest_mimic::Trial;
use longhaul_postgres::testing::Server;
use longhaul_postgres::{OpenError, PostgresStore};
use longhaul_store::testing::contract;
use longhaul_store::testing::sample::{self, Shape};
use longhaul_store::{BackupError, InsertError, Inserted, RunFilter, Store, TroubleKind, Upkeep};
use std::path::Path;
use std::sync::Arc;

const SHAPE: Shape = Shape { network: 1, subject: "reference", commit: 0, iteration: 0 };

pub(crate) fn trials(server: &Option<Arc<Server>>, missing: bool) -> Vec<Trial> {
    vec![
        trial("a_newer_database_is_refused_untouched", server, missing, newer),
        trial("another_programs_database_is_refused_untouched", server, missing, foreign),
        trial("what_was_written_is_there_after_reopening", server, missing, reopened),
        trial("reading_alone_writes_nothing", server, missing, read_only),
        trial("who_may_not_write_is_told_so_at_once", server, missing, unprivileged),
        trial("passwords_are_never_said", server, missing, passwords),
        trial("several_programs_may_create_the_same_database_at_once", server, missing, at_once),
        trial("a_backup_names_the_servers_own_tool", server, missing, backup),
        trial("damage_is_found", server, missing, damage),
        trial("numbers_move_into_sheets", server, missing, migrated),
        trial("write_fixture", server, missing, write_fixture).with_ignored_flag(true),
    ]
}

/// The last part of an address.
fn name(address: &str) -> &str {
    address.trim_start_matches("postgres:///").split('?').next().unwrap()
}

async fn written(server: &Server) -> String {
    let address = server.database().await;
    let store = PostgresStore::open(&address).await.unwrap();
    assert_eq!(store.insert_run(&sample::run(SHAPE)).await.unwrap(), Inserted::New);
    store.close().await;
    address
}

/// Both ways of opening refuse with the same words.
async fn refused(address: &str, expect: &str) {
    let writing = PostgresStore::open(address).await.unwrap_err().to_string();
    let reading = PostgresStore::open_read_only(address).await.unwrap_err().to_string();
    for message in [writing, reading] {
        assert!(message.starts_with(address), "{message}");
        assert!(message.contains(expect), "{message:?} should contain {expect:?}");
    }
}

async fn newer(server: &Server) {
    let address = written(server).await;
    let later = "INSERT INTO _sqlx_migrations VALUES (99, 'later', now(), true, '', 1); DROP TABLE sheets";
    server.execute(name(&address), later).await;
    refused(&address, "written by a newer longhaul (its format is 99, this longhaul knows up to").await;
    server.execute(name(&address), "DO $$ BEGIN ASSERT to_regclass('sheets') IS NULL; END $$").await;
}

async fn foreign(server: &Server) {
    let address = server.database().await;
    server.execute(name(&address), "CREATE TABLE bookmarks (url text)").await;
    refused(&address, "a database of another program").await;
    let alone = "DO $$ BEGIN ASSERT (SELECT count(*) FROM pg_tables WHERE schemaname = 'public') = 1; END $$";
    server.execute(name(&address), alone).await;
}

async fn reopened(server: &Server) {
    let address = written(server).await;
    let run = sample::run(SHAPE);
    let store = PostgresStore::open(&address).await.unwrap();
    assert_eq!(store.insert_run(&run).await.unwrap(), Inserted::Known);
    assert_eq!(store.run(&run.id).await.unwrap(), Some(run));
}

async fn read_only(server: &Server) {
    let address = server.database().await;
    let error = PostgresStore::open_read_only(&address).await.unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error:?}");
    let address = written(server).await;
    let store = PostgresStore::open_read_only(&address).await.unwrap();
    assert_eq!(store.runs(&RunFilter::default()).await.unwrap().len(), 1);
    let error = store.insert_run(&sample::run(Shape { iteration: 1, ..SHAPE })).await.unwrap_err();
    let InsertError::Store(trouble) = error else { panic!("{error:?}") };
    assert_eq!(trouble.kind, TroubleKind::ReadOnly, "{trouble:?}");
}

async fn unprivileged(server: &Server) {
    let address = written(server).await;
    let reader = "CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader";
    server.execute(name(&address), reader).await;
    let address = address.replace("user=longhaul", "user=reader");
    let error = PostgresStore::open(&address).await.unwrap_err();
    let OpenError::Store(trouble) = error else { panic!("{error:?}") };
    assert_eq!(trouble.kind, TroubleKind::ReadOnly, "{trouble:?}");
    let store = PostgresStore::open_read_only(&address).await.unwrap();
    assert_eq!(store.runs(&RunFilter::default()).await.unwrap().len(), 1);
}

/// Whatever is wrong, in no way of printing.
async fn passwords(server: &Server) {
    let host = server.address("").split_once("host=").unwrap().1.split('&').next().unwrap().to_owned();
    let rows = [
        format!("postgres://longhaul:hunter2@localhost:1/t?host={host}/nowhere"),
        format!("postgres:///nowhere?host={host}&user=longhaul&password=hunter2"),
        format!("postgres:///postgres?host={host}&user=nobody&password=hunter2"),
        "postgres://longhaul:hunter2@localhost:notaport/t".to_owned(),
        "postgres://longhaul:hun/hunter2@localhost/t".to_owned(),
        "postgres://longhaul:hunter2@local host/t".to_owned(),
        format!("postgres:///t?host={host}/nowhere&sslmode=hunter2&password=hunter2"),
    ];
    for address in rows {
        let error = PostgresStore::open(&address).await.unwrap_err();
        let mut said = format!("{error} {error:?}");
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            said.push_str(&cause.to_string());
            source = cause.source();
        }
        let said = said.replace("sslmode=hunter2", "");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

async fn at_once(server: &Server) {
    for _ in 0..5 {
        let address = server.database().await;
        let open = || PostgresStore::open(&address);
        let (a, b, c) = tokio::join!(open(), open(), open());
        a.unwrap().insert_run(&sample::run(SHAPE)).await.unwrap();
        for store in [b, c] {
            assert_eq!(store.unwrap().runs(&RunFilter::default()).await.unwrap().len(), 1);
        }
    }
}

async fn backup(server: &Server) {
    let address = written(server).await;
    let store = PostgresStore::open_read_only(&format!("{address}&password=hunter2")).await.unwrap();
    let error = store.backup(Path::new("copy.dump")).await.unwrap_err();
    assert!(matches!(error, BackupError::Elsewhere { .. }));
    let command = format!("pg_dump --format=custom --file='copy.dump' '{address}'");
    assert!(error.to_string().ends_with(&command), "{error}");
}

async fn damage(server: &Server) {
    for (spoil, expect) in [
        ("UPDATE tallies SET runs = 7", "counts 7 as `ok`, there are 1"),
        (
            "UPDATE sheets SET numbers = decode(repeat('00', length(numbers)), 'hex')",
            "its samples are not those of its record",
        ),
        ("UPDATE sheets SET numbers = '\\x00'", "a sheet of `latency-20ms` × `reference` ends too early"),
        ("UPDATE sheets SET last_ms = last_ms + 1", "is not where its commits stand in time"),
        ("UPDATE sheets SET commits = '\\x09000000'", "which belongs elsewhere"),
        ("DELETE FROM sheets", "it is in no sheet"),
        ("UPDATE commits SET summary = 'another'", "the packed commits 0 are not those of the table"),
        ("UPDATE artifacts SET zstd = '\\x00'", "its stored record is damaged"),
        ("UPDATE artifacts SET hash = decode(repeat('ab', 32), 'hex') WHERE id = 1", "does not match its hash"),
    ] {
        let address = written(server).await;
        server.execute(name(&address), spoil).await;
        let store = PostgresStore::open_read_only(&address).await.unwrap();
        let said: Vec<String> = store.check().await.unwrap().iter().map(ToString::to_string).collect();
        assert!(said.iter().any(|finding| finding.contains(expect)), "{spoil}: {said:?} should contain {expect:?}");
    }
}

/// A database as the last version without sheets wrote it: `tests/fixtures/0004.sql`.
async fn migrated(server: &Server) {
    let (old, new) = (server.database().await, server.database().await);
    server.execute(name(&old), include_str!("../fixtures/0004.sql")).await;
    let error = PostgresStore::open_read_only(&old).await.unwrap_err();
    assert!(matches!(error, OpenError::Older { found: 4, .. }), "{error:?}");
    let [migrated, new] = [PostgresStore::open(&old).await.unwrap(), PostgresStore::open(&new).await.unwrap()];
    contract::is_as_if_written_now(&migrated, &new).await;
    let gone = "DO $$ BEGIN ASSERT to_regclass('old_points') IS NULL AND to_regclass('old_samples') IS NULL; END $$";
    server.execute(name(&old), gone).await;
}

/// Writes the fixture of this build's format anew: `cargo test -p longhaul-postgres --test contract -- --ignored write_fixture`.
/// What a released version wrote stays as it is.
async fn write_fixture(server: &Server) {
    let address = server.database().await;
    let store = PostgresStore::open(&address).await.unwrap();
    store.insert_runs(&sample::fixture()).await.unwrap();
    store.close().await;
    let options = ["--inserts", "--no-owner", "--no-privileges", "--no-comments"];
    let dump = std::process::Command::new("pg_dump").args(options).arg(&address).output().unwrap();
    let text = String::from_utf8(dump.stdout).unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let version = text.lines().filter(|line| line.starts_with("INSERT INTO public._sqlx_migrations")).count();
    let of_ours = |line: &&str| !line.is_empty() && !["--", "\\", "SET "].iter().any(|start| line.starts_with(start));
    let lines: Vec<&str> = text.lines().filter(of_ours).collect();
    std::fs::write(format!("tests/fixtures/{version:04}.sql"), lines.join("\n") + "\n").unwrap();
}
