//! Writers and servers that are killed.

use libtest_mimic::Failed;
use std::process::ExitCode;

pub(crate) fn child() -> Option<ExitCode> {
    None
}

pub(crate) fn a_killed_writer_leaves_whole_runs() -> Result<(), Failed> {
    Ok(())
}
