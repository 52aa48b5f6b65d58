//! Verified streaming: an encoding of a blob in which every group of 16 KiB can be checked the moment it arrives.
//!
//! A blob's BLAKE3 hash is the root of a binary tree of hashes. The *outboard* holds the tree's inner nodes, down to
//! groups of 16 chunks. The *encoding* is the blob with those nodes woven in, in pre-order: each pair of child hashes
//! comes before what it vouches for. A decoder that knows the root and the size can therefore check each pair and then
//! each group, and never has to trust a byte it cannot check. The encoding of a *part* of a blob holds the groups of that
//! part and the pairs on the way to them. The geometry is `bao-tree`'s; encoder and decoder here
//! work on whole buffers, because one asynchronous step per group would cost more than the hashing.

mod decode;
mod encode;
mod outboard;
mod scan;

use std::io;
use std::ops::Range;

use bao_tree::{BaoTree, BlockSize, ChunkNum, ChunkRanges};
use blake3::Hash;
use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

pub use decode::{Accepted, Decoder, Group, VerifyError};
pub use encode::{EncodeError, Encoder};
pub use outboard::{Outboard, OutboardError};
pub use scan::missing;

/// Groups of 2⁴ chunks of 1 KiB.
const GROUP: BlockSize = BlockSize::from_chunk_log(4);

/// Bytes that are verified together.
pub const GROUP_BYTES: usize = 16 * 1024;

/// Bytes of a pair of child hashes in the encoding.
pub const PAIR_BYTES: usize = 64;

/// The largest item of an encoding in bytes.
pub const MAX_ITEM_BYTES: usize = GROUP_BYTES;

/// Two child hashes, left and right.
pub type Pair = [u8; PAIR_BYTES];

/// The pairs of a hash tree in pre-order, wherever they are kept.
pub trait Nodes: Send + Sync {
    /// Reads the pair at this position.
    fn load(&self, position: u64) -> io::Result<Pair>;

    /// Keeps a pair.
    fn save(&mut self, position: u64, pair: &Pair) -> io::Result<()>;
}

/// In memory.
impl Nodes for Vec<Pair> {
    fn load(&self, position: u64) -> io::Result<Pair> {
        let pair = usize::try_from(position).ok().and_then(|position| self.get(position));
        pair.copied().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn save(&mut self, position: u64, pair: &Pair) -> io::Result<()> {
        let place = usize::try_from(position).ok().and_then(|position| self.get_mut(position));
        *place.ok_or(io::ErrorKind::UnexpectedEof)? = *pair;
        Ok(())
    }
}

/// How many pairs the hash tree of a blob of so many bytes has.
pub fn pairs(size: u64) -> u64 {
    BaoTree::new(size, GROUP).outboard_size() / PAIR_BYTES as u64
}

/// Whether a range begins and ends with groups. A range may also end where, or beyond where, the blob does.
pub fn is_whole_groups(range: &Range<u64>, size: u64) -> bool {
    let group = GROUP_BYTES as u64;
    range.start.is_multiple_of(group)
        && (range.end >= size || range.end.is_multiple_of(group))
        && (range.start < range.end.min(size) || (range.start == 0 && size == 0))
}

/// The chunks of a range of whole groups.
fn chunks(range: &Range<u64>, size: u64) -> ChunkRanges {
    match (range.start, range.end >= size) {
        (0, true) => ChunkRanges::all(),
        (start, true) => ChunkRanges::from(ChunkNum::full_chunks(start)..),
        (start, false) => ChunkRanges::from(ChunkNum::full_chunks(start)..ChunkNum::full_chunks(range.end)),
    }
}

/// A blob that can be read anywhere.
pub trait Source {
    /// Why a read failed.
    type Error;

    /// Fills `buffer` with the bytes at `offset`.
    fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), Self::Error>;

    /// Whether all that was read since this was asked last is known, without looking at it, to be what it was when its
    /// hash tree was computed.
    fn is_unchanged(&mut self) -> bool {
        false
    }
}

fn split_pair(pair: &Pair) -> (Hash, Hash) {
    let (left, right) = pair.split_at(PAIR_BYTES / 2);
    let hash = |half: &[u8]| Hash::from_slice(half).unwrap_or(Hash::from_bytes([0; 32]));
    (hash(left), hash(right))
}

fn hash_group(offset: u64, data: &[u8], is_root: bool) -> Hash {
    if is_root {
        return blake3::hash(data);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(offset);
    hasher.update(data);
    Hash::from_bytes(hasher.finalize_non_root())
}

fn hash_pair(left: &Hash, right: &Hash, is_root: bool) -> Hash {
    if is_root {
        merge_subtrees_root(left.as_bytes(), right.as_bytes(), Mode::Hash)
    } else {
        Hash::from_bytes(merge_subtrees_non_root(left.as_bytes(), right.as_bytes(), Mode::Hash))
    }
}

#[cfg(test)]
mod tests;
