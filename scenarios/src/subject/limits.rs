//! How much a subject's programs may use.

use crate::error::FileError;
use crate::quantity::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

/// How much each program of a subject may use, with all that it starts. What is absent is as the runner sees fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Private memory of all its processes, in bytes.
    pub memory_bytes: Option<u64>,
    /// Processes and threads at one time.
    pub processes: Option<u64>,
    /// Open files of each process.
    pub files: Option<u64>,
    /// What all programs of a run may write, in bytes.
    pub space_bytes: Option<u64>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsFile {
    memory: Option<Bytes>,
    processes: Option<u64>,
    files: Option<u64>,
    space: Option<Bytes>,
}

/// Less than any program can start with.
const LEAST_BYTES: u64 = 1 << 20;

impl LimitsFile {
    pub(super) fn resolve(self, file: &str) -> Result<Limits, FileError> {
        let fail = |key: &str, message: &str| Err(FileError::new(file, format!("limits.{key}"), message));
        for (key, size) in [("memory", self.memory), ("space", self.space)] {
            if size.is_some_and(|size| size.0 < LEAST_BYTES) {
                return fail(key, "too little for any program; write at least \"1MiB\"");
            }
        }
        for (key, number, least) in [("processes", self.processes, 1), ("files", self.files, 16)] {
            if number.is_some_and(|number| number < least) {
                return fail(key, &format!("too few for any program; write at least {least}"));
            }
        }
        Ok(Limits {
            memory_bytes: self.memory.map(|size| size.0),
            processes: self.processes,
            files: self.files,
            space_bytes: self.space.map(|size| size.0),
        })
    }
}
