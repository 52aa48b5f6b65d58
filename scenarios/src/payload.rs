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
    /// A directory of this machine: the first of these that exists.
    Tree {
        /// Absolute paths, in order of preference.
        paths: Vec<String>,
        /// Files are taken in order of their names up to this many bytes.
        limit_bytes: u64,
    },
}

/// Payloads are held in memory while they are sent and checked.
const MAX_PAYLOAD_BYTES: u64 = 16 << 30;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PayloadFile {
    kind: PayloadKind,
    size: Option<Bytes>,
    paths: Option<Vec<String>>,
    limit: Option<Bytes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum PayloadKind {
    Random,
    Tree,
}

impl PayloadFile {
    pub(crate) fn resolve(self, file: &str) -> Result<Payload, FileError> {
        let error = |key: &str, message: &str| Err(FileError::new(file, format!("payload.{key}"), message));
        let payload = match (self.kind, self.size, self.paths, self.limit) {
            (PayloadKind::Random, Some(size), None, None) => Payload::Random { bytes: size.0 },
            (PayloadKind::Random, None, ..) => return error("size", "missing; write for example \"64MiB\""),
            (PayloadKind::Random, ..) => return error("kind", "a random payload has `size` and nothing else"),
            (PayloadKind::Tree, None, Some(paths), limit) => {
                if paths.is_empty() || paths.iter().any(|path| !path.starts_with('/')) {
                    return error("paths", "write at least one absolute path, for example [\"/usr/include\"]");
                }
                Payload::Tree { paths, limit_bytes: limit.map_or(MAX_PAYLOAD_BYTES, |limit| limit.0) }
            }
            (PayloadKind::Tree, Some(_), ..) => return error("size", "a tree has `limit`, not `size`"),
            (PayloadKind::Tree, _, None, _) => return error("paths", "missing; write for example [\"/usr/include\"]"),
        };
        let bytes = match payload {
            Payload::Random { bytes } => bytes,
            Payload::Tree { limit_bytes, .. } => limit_bytes,
        };
        if bytes > MAX_PAYLOAD_BYTES {
            return error("size", "payloads are held in memory; write at most \"16GiB\"");
        }
        Ok(payload)
    }
}
