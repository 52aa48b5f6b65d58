//! What is said on a stream before the payload flows.
//!
//! The fetcher opens a bidirectional stream, writes one [`Request`] and finishes its side. The provider answers with
//! one [`Answer`] byte; after [`Answer::Serving`] the payload's encoding follows until the stream ends. A fetcher may ask
//! again before it has everything: requests are answered one after the other, in the order of their streams. It may also
//! stop a stream when it needs no more of it. All integers
//! are little-endian. The application protocol name ([`ALPN`]) carries the version.

/// The application protocol negotiated in the TLS handshake.
pub const ALPN: &[u8] = b"longhaul-transfer/2";

/// The longest request in bytes. A provider reads no more.
pub const MAX_REQUEST_BYTES: usize = 64;

/// What a fetcher asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// The blob of this hash, or a part of it, verifiable. The part is made of whole groups.
    Blob {
        /// BLAKE3 hash of the blob.
        hash: blake3::Hash,
        /// Where in the blob the part begins.
        start: u64,
        /// Where it ends, or a place beyond the blob's end.
        end: u64,
    },
    /// So many bytes of nothing in particular: the yardstick.
    Raw {
        /// How many bytes to send.
        bytes: u64,
    },
}

/// The provider's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The payload follows.
    Serving,
    /// The provider does not have what was asked for.
    Unknown,
    /// The provider could not read the request.
    Malformed,
    /// The ticket was for one use, and somebody has used it.
    Used,
}

/// Why bytes are not a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first byte names no request.
    #[error("no request has the tag {tag:?}")]
    Tag {
        /// The first byte, if there was one.
        tag: Option<u8>,
    },
    /// The request is too short or too long for its kind.
    #[error("the request's body has {found} bytes instead of {expected}")]
    Length {
        /// Bytes found.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
}

impl Request {
    /// The request as bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Request::Blob { hash, start, end } => {
                [&[1], hash.as_bytes().as_slice(), &start.to_le_bytes(), &end.to_le_bytes()].concat()
            }
            Request::Raw { bytes } => [&[2], bytes.to_le_bytes().as_slice()].concat(),
        }
    }

    /// Reads a request.
    pub fn decode(bytes: &[u8]) -> Result<Request, FrameError> {
        match bytes.split_first() {
            Some((1, body)) => {
                let body = fixed::<48>(body)?;
                let number =
                    |at: usize| body[at..at + 8].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
                let mut hash = [0; 32];
                hash.copy_from_slice(&body[..32]);
                Ok(Request::Blob { hash: hash.into(), start: number(32), end: number(40) })
            }
            Some((2, body)) => Ok(Request::Raw { bytes: u64::from_le_bytes(fixed(body)?) }),
            other => Err(FrameError::Tag { tag: other.map(|(tag, _)| *tag) }),
        }
    }
}

impl Answer {
    /// The answer's byte.
    pub fn to_byte(self) -> u8 {
        match self {
            Answer::Serving => 0,
            Answer::Unknown => 1,
            Answer::Malformed => 2,
            Answer::Used => 3,
        }
    }

    /// The answer a byte stands for, if any.
    pub fn from_byte(byte: u8) -> Option<Answer> {
        let all = [Answer::Serving, Answer::Unknown, Answer::Malformed, Answer::Used];
        all.into_iter().find(|answer| answer.to_byte() == byte)
    }
}

fn fixed<const N: usize>(body: &[u8]) -> Result<[u8; N], FrameError> {
    body.try_into().map_err(|_| FrameError::Length { found: body.len(), expected: N })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn garbage_is_refused() {
        let rows: [(&[u8], FrameError); 4] = [
            (b"", FrameError::Tag { tag: None }),
            (b"GET / HTTP/1.1", FrameError::Tag { tag: Some(b'G') }),
            (&[1, 0], FrameError::Length { found: 1, expected: 48 }),
            (&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0], FrameError::Length { found: 9, expected: 8 }),
        ];
        for (bytes, expect) in rows {
            assert_eq!(Request::decode(bytes), Err(expect), "{bytes:?}");
        }
    }

    #[test]
    fn every_answer_has_its_byte() {
        for byte in 0..=u8::MAX {
            assert_eq!(Answer::from_byte(byte).map(Answer::to_byte), (byte < 4).then_some(byte));
        }
    }

    proptest! {
        #[test]
        fn request_round_trip(hash: [u8; 32], start: u64, end: u64, bytes: u64) {
            for request in [Request::Blob { hash: hash.into(), start, end }, Request::Raw { bytes }] {
                let encoded = request.encode();
                prop_assert!(encoded.len() <= MAX_REQUEST_BYTES);
                prop_assert_eq!(Request::decode(&encoded), Ok(request));
            }
        }

        #[test]
        fn any_bytes_are_refused_or_understood(bytes: Vec<u8>) {
            if let Ok(request) = Request::decode(&bytes) {
                prop_assert_eq!(request.encode(), bytes);
            }
        }
    }
}
