//! The sending side.

use std::io;
use std::ops::Range;

use bao_tree::iter::{BaoChunk, ResponseIter};
use blake3::Hash;

use super::{GROUP_BYTES, Outboard, Source, chunks, hash_group, split_pair};

/// Why a blob cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError<E> {
    /// The blob cannot be read.
    #[error("cannot read at offset {offset}")]
    Read {
        /// Offset in the blob.
        offset: u64,
        /// What the source said.
        #[source]
        source: E,
    },
    /// The hash tree cannot be read.
    #[error("cannot read the hash tree")]
    Nodes(#[source] io::Error),
    /// The blob is not what the outboard was made of.
    #[error("the bytes {offset}..{} no longer have the hash they had", offset + *bytes as u64)]
    Changed {
        /// Offset in the blob.
        offset: u64,
        /// Length of the group in bytes.
        bytes: usize,
    },
}

/// Produces the encoding of a blob, or of a part, piece by piece.
pub struct Encoder<'a> {
    outboard: &'a Outboard,
    items: ResponseIter,
    next: Option<BaoChunk>,
    /// Hashes that the coming items must have, the next one last.
    expected: Vec<Hash>,
    check: bool,
}

/// A group that has been read but not checked.
struct Unchecked {
    offset: u64,
    /// Where it lies in the piece.
    place: Range<usize>,
    is_root: bool,
    expected: Option<Hash>,
}

impl<'a> Encoder<'a> {
    /// An encoder of whole groups. What it reads is checked against the outboard, unless the source knows that it is
    /// what it was: a fetcher verifies it in any case, so a mistake here costs a worse message and nothing more.
    pub fn new(outboard: &'a Outboard, range: &Range<u64>) -> Self {
        let mut items = ResponseIter::new(outboard.tree(), chunks(range, outboard.size()));
        let next = items.next();
        Encoder { outboard, items, next, expected: vec![outboard.hash()], check: true }
    }

    /// An encoder that sends whatever it reads. Only good for testing the other side.
    pub fn unchecked(outboard: &'a Outboard, range: &Range<u64>) -> Self {
        Encoder { check: false, ..Encoder::new(outboard, range) }
    }

    /// Whether the encoding is complete.
    pub fn is_done(&self) -> bool {
        self.next.is_none()
    }

    /// Writes the next items to `out`, as many as fit as a whole, and returns their length. `out` should have room
    /// for many times [`MAX_ITEM_BYTES`](super::MAX_ITEM_BYTES).
    pub fn fill<S: Source>(&mut self, source: &mut S, out: &mut [u8]) -> Result<usize, EncodeError<S::Error>> {
        let mut filled = 0;
        let mut unchecked = Vec::with_capacity(out.len() / GROUP_BYTES + 1);
        while let Some(item) = self.next.take_if(|item| item.size() <= out.len() - filled) {
            let bytes = &mut out[filled..filled + item.size()];
            match item {
                BaoChunk::Parent { node, left, right, .. } => {
                    let pair = self.outboard.load(node).map_err(EncodeError::Nodes)?;
                    let hashes = split_pair(&pair);
                    self.expected.pop();
                    self.expected.extend(right.then_some(hashes.1));
                    self.expected.extend(left.then_some(hashes.0));
                    bytes.copy_from_slice(&pair);
                }
                BaoChunk::Leaf { start_chunk, size, is_root, .. } => {
                    let offset = start_chunk.to_bytes();
                    source.read_exact_at(offset, bytes).map_err(|source| EncodeError::Read { offset, source })?;
                    let place = filled..filled + size;
                    unchecked.push(Unchecked { offset, place, is_root, expected: self.expected.pop() });
                }
            }
            filled += item.size();
            self.next = self.items.next();
        }
        if self.check && !source.is_unchanged() {
            for Unchecked { offset, place, is_root, expected } in unchecked {
                let bytes = place.len();
                if Some(hash_group(offset, &out[place], is_root)) != expected {
                    return Err(EncodeError::Changed { offset, bytes });
                }
            }
        }
        Ok(filled)
    }
}
