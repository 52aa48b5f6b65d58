//! `[payload]`: what is sent.

use crate::error::FileError;
use crate::quantity::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// One file of random bytes, the same in every run.
    Random {
        /// Its size.
        bytes: u64,
    },
    /// Many files of random bytes, the same in every run.
    Files {
        /// How many.
        count: u64,
        /// The size of each.
        bytes_each: u64,
    },
    /// A directory of this machine: the first of these that exists.
    Tree {
        /// Absolute paths, in order of preference.
        paths: Vec<String>,
        /// Files are taken in order of their names up to this many bytes.
        limit_bytes: u64,
    },
    /// Nothing: so many keys, which providers announce and fetchers look up, the same in every run.
    Lookups {
        /// How many.
        count: u64,
    },
}

/// What sort of payload it is: a subject has a command line for each that it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// One file.
    File,
    /// Many files.
    Tree,
    /// Keys to be looked up.
    Lookups,
}

impl Sort {
    /// The command line's key in a subject file.
    pub fn key(self) -> &'static str {
        match self {
            Sort::File => "command",
            Sort::Tree => "command_tree",
            Sort::Lookups => "command_lookups",
        }
    }

    /// What a program without that command line cannot do.
    pub fn inability(self) -> &'static str {
        match self {
            Sort::File => "it cannot send a file",
            Sort::Tree => "it cannot send many files",
            Sort::Lookups => "it cannot look anything up",
        }
    }
}

impl Payload {
    /// What sort of payload it is.
    pub fn sort(&self) -> Sort {
        match self {
            Payload::Random { .. } => Sort::File,
            Payload::Files { .. } | Payload::Tree { .. } => Sort::Tree,
            Payload::Lookups { .. } => Sort::Lookups,
        }
    }

    /// Its size, or the largest that a directory's may have.
    pub fn bytes_at_most(&self) -> u64 {
        match self {
            Payload::Random { bytes } => *bytes,
            Payload::Files { count, bytes_each } => count.saturating_mul(*bytes_each),
            Payload::Tree { limit_bytes, .. } => *limit_bytes,
            Payload::Lookups { .. } => 0,
        }
    }
}

/// Payloads are held in memory while they are sent and checked.
const MAX_PAYLOAD_BYTES: u64 = 16 << 30;
/// More would take longer to make and to check than to send.
const MAX_FILES: u64 = 200_000;
/// One after the other, they would take hours.
const MAX_LOOKUPS: u64 = 10_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PayloadFile {
    kind: PayloadKind,
    size: Option<Bytes>,
    count: Option<u64>,
    paths: Option<Vec<String>>,
    limit: Option<Bytes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum PayloadKind {
    Random,
    Files,
    Tree,
    Lookups,
}

impl PayloadFile {
    pub(crate) fn resolve(self, file: &str) -> Result<Payload, FileError> {
        let error = |key: &str, message: &str| Err(FileError::new(file, format!("payload.{key}"), message));
        let unused = [("size", self.size.is_some()), ("count", self.count.is_some())];
        let unused = unused.into_iter().chain([("paths", self.paths.is_some()), ("limit", self.limit.is_some())]);
        let only =
            |keys: &[&str]| unused.clone().find(|(key, there)| *there && !keys.contains(key)).map(|(key, _)| key);
        let (payload, keys): (Payload, &[&str]) = match self.kind {
            PayloadKind::Random => match self.size {
                Some(size) => (Payload::Random { bytes: size.0 }, &["size"]),
                None => return error("size", "missing; write for example \"64MiB\""),
            },
            PayloadKind::Files => match (self.count, self.size) {
                (Some(count @ 1..=MAX_FILES), Some(size)) => {
                    (Payload::Files { count, bytes_each: size.0 }, &["count", "size"])
                }
                (Some(_), Some(_)) => return error("count", "write 1 to 200000"),
                (None, _) => return error("count", "missing; write for example 1000"),
                (_, None) => return error("size", "missing: of each file; write for example \"1KiB\""),
            },
            PayloadKind::Tree => match self.paths {
                Some(paths) if !paths.is_empty() && paths.iter().all(|path| path.starts_with('/')) => {
                    let limit_bytes = self.limit.map_or(MAX_PAYLOAD_BYTES, |limit| limit.0);
                    (Payload::Tree { paths, limit_bytes }, &["paths", "limit"])
                }
                Some(_) => return error("paths", "write at least one absolute path, for example [\"/usr/include\"]"),
                None => return error("paths", "missing; write for example [\"/usr/include\"]"),
            },
            PayloadKind::Lookups => match self.count {
                Some(count @ 1..=MAX_LOOKUPS) => (Payload::Lookups { count }, &["count"]),
                Some(_) => return error("count", "write 1 to 10000"),
                None => return error("count", "missing: of keys to look up; write for example 50"),
            },
        };
        if let Some(key) = only(keys) {
            let message = format!("a payload of this kind has {}; remove it", keys.join(" and "));
            return Err(FileError::new(file, format!("payload.{key}"), message));
        }
        if payload.bytes_at_most() > MAX_PAYLOAD_BYTES {
            return error("size", "payloads are held in memory; write at most \"16GiB\"");
        }
        Ok(payload)
    }
}
