//! The receiving side.

use std::ops::Range;

use bao_tree::iter::{BaoChunk, ResponseIter};
use bao_tree::{BaoTree, TreeNode};
use blake3::Hash;

use super::outboard::position;
use super::{GROUP, GROUP_BYTES, Pair, chunks, hash_group, hash_pair, split_pair};

/// A verified group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group<'a> {
    /// Offset in the blob.
    pub offset: u64,
    /// The verified bytes.
    pub data: &'a [u8],
}

/// A pair's place in the hash tree; [`Decoder::position`] makes a number of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(TreeNode);

/// A verified item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted<'a> {
    /// Two hashes that what follows must have.
    Pair(Place, &'a Pair),
    /// Bytes of the blob.
    Group(Group<'a>),
}

/// Received bytes that do not have the hash they should have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A pair of hashes is wrong: the encoding is not of the expected blob, or of another size.
    #[error("the hashes that vouch for the bytes from {offset} on do not match the blob's hash")]
    Pair {
        /// Offset in the blob of the first byte the pair vouches for.
        offset: u64,
    },
    /// A group is wrong.
    #[error("the bytes {offset}..{} do not match the blob's hash", offset + *bytes as u64)]
    Group {
        /// Offset in the blob.
        offset: u64,
        /// Length of the group in bytes.
        bytes: usize,
    },
}

impl VerifyError {
    /// The part of the blob that is in doubt: one group, even when it is the hashes before it that are wrong.
    pub fn range(&self) -> Range<u64> {
        match *self {
            VerifyError::Pair { offset } => offset..offset + GROUP_BYTES as u64,
            VerifyError::Group { offset, bytes } => offset..offset + bytes as u64,
        }
    }
}

/// Checks an encoding item by item.
///
/// [`need`](Decoder::need) says how many bytes the next item has, [`accept`](Decoder::accept) takes them.
pub struct Decoder {
    tree: BaoTree,
    items: ResponseIter,
    next: Option<BaoChunk>,
    /// Hashes that the coming items must have, the next one last.
    expected: Vec<Hash>,
    /// Where the next group begins in the blob.
    offset: u64,
}

impl Decoder {
    /// A decoder for whole groups of the blob of this hash and size.
    pub fn new(hash: Hash, size: u64, range: &Range<u64>) -> Decoder {
        let tree = BaoTree::new(size, GROUP);
        let mut items = ResponseIter::new(tree, chunks(range, size));
        let next = items.next();
        Decoder { tree, items, next, expected: vec![hash], offset: range.start }
    }

    /// Length of the next item in bytes, at most [`MAX_ITEM_BYTES`](super::MAX_ITEM_BYTES); none when the range is complete.
    pub fn need(&self) -> Option<usize> {
        self.next.as_ref().map(BaoChunk::size)
    }

    /// Where in the blob the next group begins: all before it, from the range's start on, is verified.
    pub fn verified(&self) -> u64 {
        self.offset
    }

    /// Checks the next item. `bytes` must be as long as [`need`](Decoder::need) said. After an error the decoder must
    /// not be used any more.
    pub fn accept<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Accepted<'a>>, VerifyError> {
        let (Some(item), Some(expected)) = (self.next.take(), self.expected.pop()) else { return Ok(None) };
        let accepted = match item {
            BaoChunk::Parent { node, is_root, left, right, .. } => {
                let Ok(pair) = <&Pair>::try_from(bytes) else {
                    return Err(VerifyError::Pair { offset: self.offset });
                };
                let hashes = split_pair(pair);
                if hash_pair(&hashes.0, &hashes.1, is_root) != expected {
                    return Err(VerifyError::Pair { offset: self.offset });
                }
                self.expected.extend(right.then_some(hashes.1));
                self.expected.extend(left.then_some(hashes.0));
                Accepted::Pair(Place(node), pair)
            }
            BaoChunk::Leaf { start_chunk, size, is_root, .. } => {
                let offset = start_chunk.to_bytes();
                if bytes.len() != size || hash_group(offset, bytes, is_root) != expected {
                    return Err(VerifyError::Group { offset, bytes: size });
                }
                self.offset = offset + size as u64;
                Accepted::Group(Group { offset, data: bytes })
            }
        };
        self.next = self.items.next();
        Ok(Some(accepted))
    }

    /// Where in pre-order a pair stands.
    pub fn position(&self, place: Place) -> u64 {
        position(self.tree, place.0)
    }
}
