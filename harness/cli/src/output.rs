//! Standard output, for results, and standard error, for everything else a person reads.

use crate::error::CliError;
use std::io::{self, Write};

/// Prints one line. A reader that has gone away ends the program quietly.
pub(crate) fn line(text: impl AsRef<str>) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush()).map_err(|source| match source.kind() {
        io::ErrorKind::BrokenPipe => CliError::OutputClosed,
        _ => CliError::Environment { what: "cannot write to standard output", source },
    })
}

/// Says something on standard error. Nobody may be listening there, which is no reason to stop.
pub(crate) fn note(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// Prints a JSON value on one line.
pub(crate) fn json(value: &serde_json::Value) -> Result<(), CliError> {
    line(value.to_string())
}
