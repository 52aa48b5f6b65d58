//! Writers and servers that are killed.

use libtest_mimic::Failed;
use longhaul_postgres::PostgresStore;
use longhaul_postgres::testing::Server;
use longhaul_store::Upkeep;
use longhaul_store::testing::crash::{self, Random};
use std::collections::BTreeSet;
use std::process::{Child, Command, ExitCode};

/// Set for the copy of this program that writes: where, and which writer it is.
const INSIDE: &str = "LONGHAUL_CRASH_TEST";

/// Writers that are killed, and every how many the server is killed instead.
const WRITERS: u64 = 60;
const SERVER: u64 = 6;

/// Whether this is the writer, and how it ended.
pub(crate) fn child() -> Option<ExitCode> {
    let inside = std::env::var(INSIDE).ok()?;
    let (place, writer) = inside.split_once('@')?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let written = runtime.block_on(async {
        let store = PostgresStore::open(place).await?;
        crash::writer(&store, crash::first_of(writer.parse()?)).await
    });
    // Where the server goes away, so does the writer.
    Some(if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) fn a_killed_writer_leaves_whole_runs() -> Result<(), Failed> {
    let mut random = Random::from_environment();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut server = Server::start()?;
    let address = runtime.block_on(server.database());
    let mut acknowledged = BTreeSet::new();
    for writer in 0..WRITERS {
        let mut command = Command::new(std::env::current_exe()?);
        command.env(INSIDE, format!("{address}@{writer}"));
        let of_server = writer % SERVER == SERVER - 1;
        acknowledged.extend(crash::kill(&mut command, &mut random, |child: &mut Child| match of_server {
            true => server.crash().unwrap(),
            false => child.kill().unwrap(),
        }));
        if writer % 10 == 9 {
            runtime.block_on(async {
                let store = PostgresStore::open(&address).await?;
                crash::inspect(&store, &acknowledged, writer + 1).await;
                store.close().await;
                Ok::<_, Failed>(())
            })?;
        }
    }
    // Otherwise nothing was tried.
    if acknowledged.len() < 20 { Err("hardly any run was acknowledged".into()) } else { Ok(()) }
}
