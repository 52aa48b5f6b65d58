//! The ticket: what a fetcher must know to find and verify a payload.
//!
//! One word of letters, digits and dashes, so that it survives a shell, a chat and a regular expression:
//!
//! ```text
//! lht2-tree-1048576-<hash, 64 hex digits>-<key, 64 hex digits>-4433
//! ```
//!
//! It holds no address: which one is reachable depends on where the fetcher stands, so the fetcher is told apart. The
//! version is part of the first word; a later one may carry more.

use std::fmt;
use std::str::FromStr;

const VERSION: &str = "lht2";

/// The largest blob in bytes: 1 EiB. Beyond it, offsets in the hash tree could overflow.
pub const MAX_BLOB_BYTES: u64 = 1 << 60;

/// What the blob holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The bytes of one file.
    File,
    /// A [manifest](crate::manifest) followed by the contents of its files.
    Tree,
    /// Bytes of nothing in particular, unverified: the [yardstick](crate::raw). Its hash means nothing.
    Raw,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::File => "file",
            Kind::Tree => "tree",
            Kind::Raw => "raw",
        })
    }
}

/// A provider's Ed25519 public key: its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerKey(pub [u8; 32]);

/// Everything a fetcher needs besides an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// What the blob holds.
    pub kind: Kind,
    /// Length of the blob in bytes.
    pub size: u64,
    /// BLAKE3 hash of the blob.
    pub hash: blake3::Hash,
    /// The key the provider must prove to own.
    pub key: PeerKey,
    /// The UDP port the provider listens on.
    pub port: u16,
}

/// Why a text is not a ticket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// The first word is not a known version.
    #[error("not a ticket of this version: it should begin with `{VERSION}-`")]
    Version,
    /// Too few or too many words.
    #[error("a ticket has 6 parts joined by dashes, this text has {found}: was it cut off?")]
    Parts {
        /// Number of parts found.
        found: usize,
    },
    /// One part cannot be read.
    #[error("the ticket's {part} is damaged: {text:?}")]
    Part {
        /// Name of the part.
        part: &'static str,
        /// What was found, shortened.
        text: String,
    },
}

impl Ticket {
    /// A ticket out of its parts as text, without the version.
    pub(crate) fn of_parts([kind, size, hash, key, port]: [&str; 5]) -> Result<Ticket, TicketError> {
        let kind = match kind {
            "file" => Kind::File,
            "tree" => Kind::Tree,
            "raw" => Kind::Raw,
            other => return Err(damaged("kind", other)),
        };
        Ok(Ticket {
            kind,
            size: decimal(size).filter(|size| *size <= MAX_BLOB_BYTES).ok_or_else(|| damaged("size", size))?,
            hash: hex(hash).map(blake3::Hash::from_bytes).ok_or_else(|| damaged("hash", hash))?,
            key: hex(key).map(PeerKey).ok_or_else(|| damaged("key", key))?,
            port: decimal(port)
                .and_then(|port| u16::try_from(port).ok())
                .filter(|port| *port > 0)
                .ok_or_else(|| damaged("port", port))?,
        })
    }
}

impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}-{}-{}-{}-{}-{}", self.kind, self.size, self.hash, self.key, self.port)
    }
}

impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Ticket, TicketError> {
        let parts: Vec<&str> = text.trim().split('-').collect();
        if parts[0] != VERSION {
            return Err(TicketError::Version);
        }
        let &[_, kind, size, hash, key, port] = parts.as_slice() else {
            return Err(TicketError::Parts { found: parts.len() });
        };
        Ticket::of_parts([kind, size, hash, key, port])
    }
}

fn damaged(part: &'static str, text: &str) -> TicketError {
    TicketError::Part { part, text: text.chars().take(80).collect() }
}

/// Digits only: `str::parse` would also take a plus sign.
fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    let pairs: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if digits.len() % 2 == 1 { None } else { pairs.try_into().ok() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Ticket {
        let hash = blake3::hash(b"payload");
        Ticket { kind: Kind::Tree, size: 1 << 20, hash, key: PeerKey([0xab; 32]), port: 4433 }
    }

    #[test]
    fn damage_is_named() {
        let good = sample().to_string();
        let rows = [
            (String::new(), "should begin with `lht2-`"),
            (good.replace("lht2", "lht1"), "should begin with `lht2-`"),
            (good[..good.len() - 5].to_string(), "6 parts joined by dashes, this text has 5"),
            (format!("{good}-x"), "this text has 7"),
            (good.replace("tree", "shrub"), "the ticket's kind is damaged: \"shrub\""),
            (good.replace("1048576", "+1"), "the ticket's size is damaged: \"+1\""),
            (good.replace("1048576", ""), "the ticket's size is damaged: \"\""),
            (good.replace("1048576", "18446744073709551615"), "the ticket's size is damaged"),
            (good.replace("1048576", "99999999999999999999"), "the ticket's size is damaged"),
            (good.replace("abab", "ab"), "the ticket's key is damaged"),
            (good.replace("abab", "äbab"), "the ticket's key is damaged"),
            (good.replace("4433", "0"), "the ticket's port is damaged"),
            (good.replace("4433", "65536"), "the ticket's port is damaged"),
        ];
        for (text, expect) in rows {
            let error = text.parse::<Ticket>().unwrap_err().to_string();
            assert!(error.contains(expect), "{text:?}: {error:?} should contain {expect:?}");
        }
    }

    #[test]
    fn surrounding_white_space_is_forgiven() {
        assert_eq!(format!(" {}\n", sample()).parse(), Ok(sample()));
    }

    proptest! {
        #[test]
        fn text_round_trip(kind in 0..3_usize, size in 0..=MAX_BLOB_BYTES, hash: [u8; 32], key: [u8; 32], port in 1..=u16::MAX) {
            let kind = [Kind::File, Kind::Tree, Kind::Raw][kind];
            let ticket = Ticket { kind, size, hash: hash.into(), key: PeerKey(key), port };
            prop_assert_eq!(ticket.to_string().parse(), Ok(ticket));
        }

        #[test]
        fn any_text_is_refused_or_understood(text in ".{0,300}") {
            let _ = text.parse::<Ticket>();
        }
    }
}
