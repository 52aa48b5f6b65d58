//! Disks that are full or read-only, with a real file system: a small tmpfs in a mount namespace of this test's own.
//!
//! Needs `unshare` and the right to mount in a namespace of one's own; where that is missing the tests are reported as
//! ignored, with the reason.

#![expect(clippy::print_stdout, reason = "a skipped test says why")]

use libtest_mimic::{Arguments, Failed, Trial};
use longhaul_sqlite::{OpenError, SqliteStore};
use longhaul_store::testing::sample::{self, Shape};
use longhaul_store::{InsertError, Inserted, RunFilter, Store, TroubleKind, Upkeep};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

const SHAPE: Shape = Shape { network: 1, subject: "reference", commit: 0, iteration: 0 };
/// Set for the copy of this program that runs inside the namespace: which test, and where the tmpfs is.
const INSIDE: &str = "LONGHAUL_DISK_TEST";

fn main() -> ExitCode {
    if let Some((case, mount)) = std::env::var(INSIDE).ok().as_deref().and_then(|text| text.split_once('@')) {
        return inside(case, Path::new(mount));
    }
    let arguments = Arguments::from_args();
    let missing = namespace("true", "").err();
    if let Some(reason) = &missing {
        println!("SKIPPED: file systems of one's own: {reason}");
    }
    let cases = ["a_full_disk_keeps_what_it_has", "a_read_only_disk_can_be_served", "a_read_only_disk_is_named"];
    let trials = cases
        .into_iter()
        .map(|case| Trial::test(case, move || in_namespace(case)).with_ignored_flag(missing.is_some()))
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs `script` with a private mount table. `$1` is an empty directory, `$2` this program.
fn namespace(script: &str, case: &str) -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let script = format!("mount -t tmpfs -o size=512k longhaul-test \"$1\" && {script}");
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", &script, "sh"])
        .args([dir.path(), &program])
        .env(INSIDE, format!("{case}@{}", dir.path().display()))
        .output()
        .map_err(|error| format!("unshare cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr).trim_end()))
}

fn in_namespace(case: &str) -> Result<(), Failed> {
    Ok(namespace("exec \"$2\"", case)?)
}

fn inside(case: &str, mount: &Path) -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match case {
        "a_full_disk_keeps_what_it_has" => runtime.block_on(full(mount)),
        "a_read_only_disk_can_be_served" => runtime.block_on(read_only_served(mount)),
        "a_read_only_disk_is_named" => runtime.block_on(read_only_named(mount)),
        _ => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}

async fn full(mount: &Path) {
    let path = mount.join("longhaul.db");
    let store = SqliteStore::open(&path).await.expect("there is room for an empty database");
    let mut kept = Vec::new();
    let error = loop {
        let run = sample::run(Shape { iteration: kept.len() as u32, ..SHAPE });
        match store.insert_run(&run).await {
            Ok(_) => kept.push(run),
            Err(error) => break error,
        }
        assert!(kept.len() < 500, "512 KiB never fill up");
    };
    let InsertError::Store(trouble) = error else { panic!("{error:?}") };
    assert_eq!(trouble.kind, TroubleKind::Full, "{trouble:?}");
    assert!(!kept.is_empty());
    for run in &kept {
        assert_eq!(store.run(&run.id).await.expect("readable").as_ref(), Some(run));
    }
    drop(store);
    let store = SqliteStore::open_read_only(&path).await.expect("a full disk can be read");
    assert_eq!(store.runs(&RunFilter { limit: 1000, ..RunFilter::default() }).await.expect("runs").len(), kept.len());
}

async fn written(mount: &Path) -> std::path::PathBuf {
    let path = mount.join("longhaul.db");
    let store = SqliteStore::open(&path).await.expect("opens");
    assert_eq!(store.insert_run(&sample::run(SHAPE)).await.expect("inserts"), Inserted::New);
    store.close().await;
    let status = Command::new("mount").args(["-o", "remount,ro"]).arg(mount).status().expect("mount");
    assert!(status.success());
    fs::write(mount.join("probe"), "").expect_err("the file system is read-only");
    path
}

async fn read_only_served(mount: &Path) {
    let path = written(mount).await;
    let store = SqliteStore::open_read_only(&path).await.expect("serving needs no writing");
    assert_eq!(store.runs(&RunFilter::default()).await.expect("runs").len(), 1);
}

async fn read_only_named(mount: &Path) {
    let path = written(mount).await;
    let error = SqliteStore::open(&path).await.expect_err("nothing could be recorded");
    let OpenError::Store(trouble) = error else { panic!("{error:?}") };
    assert_eq!(trouble.kind, TroubleKind::ReadOnly, "{trouble:?}");
    let error = SqliteStore::open(mount.join("new.db")).await.expect_err("nothing can be created");
    let OpenError::Store(trouble) = error else { panic!("{error:?}") };
    assert_eq!(trouble.kind, TroubleKind::ReadOnly, "{trouble:?}");
}
