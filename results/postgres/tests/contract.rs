//! The contract every backend has to pass, and what PostgreSQL makes possible to get wrong: on a private server, skipped with
//! the reason where there is none.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stdout, reason = "a skipped test says why")]

#[path = "contract/crash.rs"]
mod crash;
#[path = "contract/places.rs"]
mod places;

use libtest_mimic::{Arguments, Failed, Trial};
use longhaul_postgres::PostgresStore;
use longhaul_postgres::testing::Server;
use longhaul_store::testing::contract::PROMISES;
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    if let Some(code) = crash::child() {
        return code;
    }
    let arguments = Arguments::from_args();
    let (server, missing) = match Server::start() {
        Ok(server) => (Some(Arc::new(server)), false),
        Err(reason) => {
            println!("SKIPPED: the store on PostgreSQL: {reason}");
            (None, true)
        }
    };
    let mut trials = Vec::new();
    for (name, promise) in PROMISES {
        trials.push(trial(name, &server, missing, async move |server: &Server| {
            let store = PostgresStore::open(&server.database().await).await.unwrap();
            promise(&store).await;
        }));
    }
    trials.extend(places::trials(&server, missing));
    let crash = || crash::a_killed_writer_leaves_whole_runs();
    trials.push(Trial::test("a_killed_writer_leaves_whole_runs", crash).with_ignored_flag(missing));
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Ends the server, which exit() would not.
    drop(server);
    conclusion.exit_code()
}

/// A test with a server, which outlives it.
fn trial(
    name: &str,
    server: &Option<Arc<Server>>,
    missing: bool,
    test: impl AsyncFnOnce(&Server) + Send + 'static,
) -> Trial {
    let server = server.clone();
    let run = move || -> Result<(), Failed> {
        let server = server.ok_or("there is no server")?;
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(test(&server));
        Ok(())
    };
    Trial::test(name, run).with_ignored_flag(missing)
}
