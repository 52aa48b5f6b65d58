//! What is being measured at the moment, for whoever looks.

/// A command that measures. Kept while it runs; one that was killed leaves its last word behind, which its time tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Of the command, made when it began.
    pub id: String,
    /// Fingerprint of the machine.
    pub host: String,
    /// What was asked for, in a few words. Untrusted text.
    pub what: String,
    /// What is being measured now. Untrusted text; empty between runs.
    pub now: String,
    /// Runs that have ended.
    pub done: u64,
    /// Runs that there will be, as far as is known.
    pub total: u64,
    /// When this was said, in milliseconds since 1970.
    pub updated_ms: i64,
}
