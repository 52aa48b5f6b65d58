//! Files of one number per line, and what can be wrong with them.

use core::str::FromStr;

/// Why a file of one number per line was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// There is no number in it.
    #[error("the file holds no numbers")]
    Empty,
    /// A line is not a number of the kind that was asked for.
    #[error("line {line}: `{text}` is not a whole number in range")]
    NotANumber {
        /// Counted from 1.
        line: usize,
        /// The line, or its start.
        text: alloc::string::String,
    },
    /// Times must not go back.
    #[error("line {line}: {found} ms comes after {before} ms; times must not decrease")]
    GoesBack {
        /// Counted from 1.
        line: usize,
        /// The time on the line.
        found: u32,
        /// The time before it.
        before: u32,
    },
    /// All times are 0: repeated, the trace would have no length.
    #[error("all times are 0 ms; the last one is the length of the trace")]
    NoDuration,
    /// More numbers than memory should be spent on.
    #[error("the file holds more than {limit} numbers")]
    TooLong {
        /// The most there may be.
        limit: usize,
    },
}

/// The numbers of a text, one per line. Empty lines and lines that start with `#` are skipped.
pub(super) fn numbers<T: FromStr>(text: &str) -> impl Iterator<Item = Result<T, LineError>> {
    numbered(text).map(|(_, number)| number)
}

/// The same with the number of each line, counted from 1.
pub(super) fn numbered<T: FromStr>(text: &str) -> impl Iterator<Item = (usize, Result<T, LineError>)> {
    const SHOWN: usize = 40;
    let lines = text.lines().map(str::trim).enumerate();
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(|(index, text)| {
        let line = index + 1;
        let error = |_| LineError::NotANumber { line, text: text.chars().take(SHOWN).collect() };
        (line, text.parse().map_err(error))
    })
}
