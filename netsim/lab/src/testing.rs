//! Labs in ordinary tests, also of other projects.
//!
//! The kernel lets only a program with one thread enter namespaces of its own, and test runners start theirs at once. So
//! [`sandboxed!`](crate::sandboxed) at the top of a test file enters before `main`. From then on every `#[test]` in it may
//! have a lab of its own with [`in_lab`], beside all others and without root:
//!
//! ```no_run
#![doc = include_str!("../tests/ordinary.rs")]
//! ```

use crate::{Lab, State};
use netsim_topology::{Topology, plan};
use std::io::{Write, stderr};
use std::sync::OnceLock;

#[doc(hidden)]
pub use ctor::declarative::ctor;

/// Why there are no labs; unset in a program that has not entered the sandbox.
static MISSING: OnceLock<Option<String>> = OnceLock::new();

/// What to do with tests that cannot have a lab: `skip`, or fail, which is the default.
pub const WITHOUT_LAB: &str = "NETSIM_WITHOUT_LAB";

/// Takes the whole test program into the sandbox before its first thread. Once in each test file that uses [`in_lab`].
#[macro_export]
macro_rules! sandboxed {
    () => {
        $crate::testing::ctor! {
            #[ctor(unsafe)]
            fn enter_the_sandbox() {
                $crate::testing::enter();
            }
        }
    };
}

#[doc(hidden)]
pub fn enter() {
    let missing = match crate::enter() {
        Ok(_) => crate::doctor().into_iter().find(|finding| finding.state == State::Missing).map(|f| f.detail),
        Err(error) => Some(error.to_string()),
    };
    // Nobody else sets it: there is one thread, and one constructor.
    let _ = MISSING.set(missing);
}

/// Builds a network for one test, and takes it down after it. All random decisions follow from `seed`.
///
/// Where this machine cannot have labs, the test fails with the reason; with `NETSIM_WITHOUT_LAB=skip` in the environment
/// it is skipped, which is said on standard error, past the test runner.
///
/// # Panics
///
/// If the topology is not valid, there are no labs, or the program has not said [`sandboxed!`](crate::sandboxed).
#[expect(clippy::panic, reason = "that is how tests fail")]
pub fn in_lab<T>(topology: &Topology, seed: u64, test: impl FnOnce(&Lab) -> T) -> Option<T> {
    match MISSING.get() {
        Some(None) => {}
        Some(Some(why)) if std::env::var_os(WITHOUT_LAB).is_some_and(|choice| choice == "skip") => {
            let thread = std::thread::current();
            // The macros' output is kept by the test runner, and a test that passes shows nothing.
            let _ = writeln!(stderr(), "SKIPPED: {}: no lab on this machine: {why}", thread.name().unwrap_or("a test"));
            return None;
        }
        Some(Some(why)) => panic!("no lab on this machine: {why}; or skip such tests with {WITHOUT_LAB}=skip"),
        None => panic!("no lab without a sandbox: say `netsim_lab::sandboxed!();` at the top of this test's file"),
    }
    let lab = plan(topology).map_err(|error| error.to_string());
    let lab = lab.and_then(|plan| Lab::up(&plan, seed).map_err(|error| longhaul_record::text::chain(&error)));
    Some(test(&lab.unwrap_or_else(|why| panic!("the network cannot be built: {why}"))))
}
