//! The exit codes of the command line: documented, stable, different for every kind of ending.

/// How a `longhaul` command ends. CI jobs and scripts branch on these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for was done and held.
    Pass = 0,
    /// A comparison or gate found a regression.
    Regression = 1,
    /// The command line or a file given to it is wrong.
    Usage = 2,
    /// Neither changed nor unchanged within the budget.
    Inconclusive = 3,
    /// The network was not what the scenario says, or the emulator could not keep up: the numbers are not to be used.
    Untrusted = 4,
    /// The software under test failed, hung or delivered wrong bytes.
    SubjectFailed = 5,
    /// This machine lacks something, or the disk, database or port cannot be used. The message names the fix.
    Environment = 6,
    /// Ended by Ctrl-C or a termination signal; what was recorded before is kept.
    Interrupted = 130,
}

impl Exit {
    /// Every code with its one-line meaning, for help texts and documents.
    pub const ALL: [(Exit, &'static str); 8] = [
        (Exit::Pass, "pass"),
        (Exit::Regression, "regression"),
        (Exit::Usage, "usage: the command line or a file is wrong"),
        (Exit::Inconclusive, "inconclusive"),
        (Exit::Untrusted, "untrusted measurement"),
        (Exit::SubjectFailed, "subject failed"),
        (Exit::Environment, "environment; the message names the fix"),
        (Exit::Interrupted, "interrupted"),
    ];

    /// The process exit status.
    pub fn code(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_ascending() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|(exit, _)| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 130]);
    }
}
