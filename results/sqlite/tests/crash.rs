//! A writer that is killed, again and again, at random points: also while the file is made, and while the log of the one
//! before is read.

use libtest_mimic::{Arguments, Failed, Trial};
use longhaul_sqlite::SqliteStore;
use longhaul_store::Upkeep;
use longhaul_store::testing::crash::{self, Random};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};

/// Set for the copy of this program that writes: where, and which writer it is.
const INSIDE: &str = "LONGHAUL_CRASH_TEST";

/// Databases, and writers killed at each.
const DATABASES: u64 = 20;
const WRITERS: u64 = 12;

fn main() -> ExitCode {
    if let Some((place, writer)) = std::env::var(INSIDE).ok().as_deref().and_then(|text| text.split_once('@')) {
        return write(Path::new(place), writer);
    }
    let name = "a_killed_writer_leaves_whole_runs";
    libtest_mimic::run(&Arguments::from_args(), vec![Trial::test(name, killed)]).exit_code()
}

fn write(place: &Path, writer: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let written = runtime.block_on(async {
        let store = SqliteStore::open(place).await?;
        crash::writer(&store, crash::first_of(writer.parse()?)).await
    });
    written.expect("a writer that is not killed has no trouble");
    ExitCode::SUCCESS
}

fn killed() -> Result<(), Failed> {
    let mut random = Random::from_environment();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let program = std::env::current_exe()?;
    let mut total = 0;
    for _ in 0..DATABASES {
        let directory = tempfile::tempdir()?;
        let path: PathBuf = directory.path().join("longhaul.db");
        let mut acknowledged = BTreeSet::new();
        for writer in 0..WRITERS {
            let mut command = Command::new(&program);
            command.env(INSIDE, format!("{}@{writer}", path.display()));
            let end = |child: &mut Child| child.kill().expect("it can be killed");
            acknowledged.extend(crash::kill(&mut command, &mut random, end));
            if writer % 4 == 3 {
                runtime.block_on(async {
                    let store = SqliteStore::open(&path).await?;
                    crash::inspect(&store, &acknowledged, writer + 1).await;
                    store.close().await;
                    Ok::<_, Failed>(())
                })?;
            }
        }
        total += acknowledged.len();
    }
    // Otherwise nothing was tried.
    if total < 100 { Err("hardly any run was acknowledged".into()) } else { Ok(()) }
}
