//! What the lab's test programs share. They have a `main` of their own, because entering the sandbox must come before
//! the first thread, and so that a test that cannot run here is reported as ignored.

#![allow(dead_code, reason = "each program uses a part of it")]

use libtest_mimic::{Arguments, Failed, Trial};
use netsim_fabric::LinkConfig;
use netsim_lab::{Attachment, Engines, State};
use netsim_topology::{Access, Host};
use std::time::Duration;

/// Names the attachment to use instead of the one that suits the machine.
const CHOICE: &str = "LONGHAUL_TEST_ATTACHMENT";

/// Longer than a busy machine keeps a thread that wants to run from running.
pub(crate) const STALL: Duration = Duration::from_secs(3);

pub(crate) fn attachment() -> Attachment {
    let packet = std::env::var_os(CHOICE).is_some_and(|choice| choice == "packet");
    if packet { Attachment::Packet } else { Attachment::pick() }
}

/// Says how many threads carry packets, instead of what suits the machine.
const THREADS: &str = "LONGHAUL_TEST_THREADS";

pub(crate) fn engines() -> Engines {
    let best = Engines::default();
    let threads = std::env::var(THREADS).ok().and_then(|number| number.parse().ok());
    Engines { attachment: attachment(), threads: threads.unwrap_or(best.threads), ..best }
}

/// A host whose link does the same in both directions.
pub(crate) fn host(name: &str, behind: Option<&str>, link: LinkConfig) -> Host {
    Host::new(name, behind, Access::both(link))
}

/// The tests of a program.
pub(crate) struct Suite {
    arguments: Arguments,
    /// Why there are no labs on this machine.
    missing: Option<String>,
    trials: Vec<Trial>,
}

impl Suite {
    /// Enters the sandbox, so it comes first in `main`.
    pub(crate) fn enter() -> Suite {
        let missing = match netsim_lab::enter() {
            Ok(_) => netsim_lab::doctor().into_iter().find(|finding| finding.state == State::Missing).map(|f| f.detail),
            Err(error) => Some(error.to_string()),
        };
        let suite = Suite { arguments: Arguments::from_args(), missing, trials: Vec::new() };
        suite.skipped("no lab on this machine", suite.missing.as_deref());
        suite
    }

    /// What is missing of something beyond a lab. Not asked where there are no labs.
    pub(crate) fn needs(&self, what: &str, missing: impl FnOnce() -> Option<String>) -> bool {
        let reason = if self.missing.is_none() { missing() } else { None };
        self.skipped(what, reason.as_deref());
        reason.is_none()
    }

    fn skipped(&self, what: &str, reason: Option<&str>) {
        if let Some(reason) = reason {
            println!("SKIPPED: {what}: {reason}");
        }
    }

    /// Adds a test that is named like its function and its file.
    pub(crate) fn test<F: FnOnce() + Send + 'static>(&mut self, test: F) {
        self.test_if(true, test);
    }

    /// The same, ignored unless `able`.
    pub(crate) fn test_if<F: FnOnce() + Send + 'static>(&mut self, able: bool, test: F) {
        let path = std::any::type_name::<F>();
        let name = path.split_once("::").map_or(path, |(_program, name)| name);
        self.case_if(able, name, || {
            test();
            Ok(())
        });
    }

    /// Adds one case of many.
    pub(crate) fn case_if(
        &mut self,
        able: bool,
        name: impl Into<String>,
        test: impl FnOnce() -> Result<(), Failed> + Send + 'static,
    ) {
        let ignored = !able || self.missing.is_some();
        self.trials.push(Trial::test(name, test).with_ignored_flag(ignored));
    }

    /// Runs what the command line asks for, so many at once, and leaves with the verdict.
    pub(crate) fn run(self, at_once: usize) -> ! {
        println!("hosts are attached by {}, {} threads at most", attachment(), engines().threads);
        let arguments = Arguments { test_threads: self.arguments.test_threads.or(Some(at_once)), ..self.arguments };
        libtest_mimic::run(&arguments, self.trials).exit()
    }
}
