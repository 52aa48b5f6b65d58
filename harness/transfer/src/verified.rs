//! Verified streaming: an encoding of a blob in which every group of 16 KiB can be checked the moment it arrives.
//!
//! A blob's BLAKE3 hash is the root of a binary tree of hashes. The *outboard* holds the tree's inner nodes, down to
//! groups of 16 chunks. The *encoding* is the blob with those nodes woven in, in pre-order: each pair of child hashes
//! comes before what it vouches for. A decoder that knows the root and the size can therefore check each pair and then
//! each group, and never has to trust a byte it cannot check. The geometry is `bao-tree`'s; encoder and decoder here
//! work on whole buffers, because one asynchronous step per group would cost more than the hashing.

use bao_tree::io::outboard::PreOrderMemOutboard;
use bao_tree::io::sync::{Outboard as _, OutboardMut as _};
use bao_tree::iter::{BaoChunk, ResponseIter};
use bao_tree::{BaoTree, BlockSize, ChunkRanges};
use blake3::Hash;
use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

/// Groups of 2⁴ chunks of 1 KiB.
const GROUP: BlockSize = BlockSize::from_chunk_log(4);

/// Bytes that are verified together.
pub const GROUP_BYTES: usize = 16 * 1024;

/// Bytes of a pair of child hashes in the encoding.
pub const PAIR_BYTES: usize = 64;

/// The largest item of an encoding in bytes.
pub const MAX_ITEM_BYTES: usize = GROUP_BYTES;

/// A blob that can be read anywhere.
pub trait Source {
    /// Why a read failed.
    type Error;

    /// Fills `buffer` with the bytes at `offset`.
    fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), Self::Error>;
}

/// The inner nodes of a blob's hash tree: 64 bytes for each 16 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outboard(PreOrderMemOutboard);

impl Outboard {
    /// Reads a whole blob once and computes its hash tree.
    pub fn of<S: Source>(source: &mut S, size: u64) -> Result<Outboard, S::Error> {
        let tree = BaoTree::new(size, GROUP);
        let data = vec![0; tree.outboard_size() as usize];
        let mut outboard = PreOrderMemOutboard { root: Hash::from_bytes([0; 32]), tree, data };
        let mut buffer = vec![0; GROUP_BYTES];
        let mut stack: Vec<Hash> = Vec::new();
        for item in tree.post_order_chunks_iter() {
            let hash = match item {
                BaoChunk::Leaf { start_chunk, size, is_root, .. } => {
                    let group = &mut buffer[..size];
                    source.read_exact_at(start_chunk.to_bytes(), group)?;
                    hash_group(start_chunk.to_bytes(), group, is_root)
                }
                BaoChunk::Parent { node, is_root, .. } => {
                    let (Some(right), Some(left)) = (stack.pop(), stack.pop()) else {
                        unreachable!("in post-order both children come before their parent")
                    };
                    outboard.save(node, &(left, right)).expect("the outboard has room for every node of its tree");
                    hash_pair(&left, &right, is_root)
                }
            };
            stack.push(hash);
        }
        outboard.root = stack.pop().expect("the last item is the root");
        Ok(Outboard(outboard))
    }

    /// The blob's hash.
    pub fn hash(&self) -> Hash {
        self.0.root
    }

    /// The blob's length in bytes.
    pub fn size(&self) -> u64 {
        self.0.tree.size()
    }
}

/// Why a blob cannot be encoded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
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
    /// The blob is not what the outboard was made of.
    #[error("the bytes {offset}..{} no longer have the hash they had", offset + *bytes as u64)]
    Changed {
        /// Offset in the blob.
        offset: u64,
        /// Length of the group in bytes.
        bytes: usize,
    },
}

/// Produces a blob's encoding piece by piece.
pub struct Encoder<'a> {
    outboard: &'a Outboard,
    items: ResponseIter,
    next: Option<BaoChunk>,
    /// Hashes that the coming items must have, the next one last.
    expected: Vec<Hash>,
    check: bool,
}

impl<'a> Encoder<'a> {
    /// An encoder that checks what it reads against the outboard.
    pub fn new(outboard: &'a Outboard) -> Self {
        let mut items = ResponseIter::new(outboard.0.tree, ChunkRanges::all());
        let next = items.next();
        Encoder { outboard, items, next, expected: vec![outboard.hash()], check: true }
    }

    /// An encoder that sends whatever it reads. Only good for testing the other side.
    pub fn unchecked(outboard: &'a Outboard) -> Self {
        Encoder { check: false, ..Encoder::new(outboard) }
    }

    /// Whether the encoding is complete.
    pub fn is_done(&self) -> bool {
        self.next.is_none()
    }

    /// Writes the next items to `out`, as many as fit as a whole, and returns their length. `out` should have room
    /// for many times [`MAX_ITEM_BYTES`].
    pub fn fill<S: Source>(&mut self, source: &mut S, out: &mut [u8]) -> Result<usize, EncodeError<S::Error>> {
        let mut filled = 0;
        while let Some(item) = self.next.take_if(|item| item.size() <= out.len() - filled) {
            let bytes = &mut out[filled..filled + item.size()];
            match item {
                BaoChunk::Parent { node, .. } => {
                    let pair = self.outboard.0.load(node).ok().flatten();
                    let (left, right) = pair.expect("the outboard holds every node of its tree");
                    self.expected.pop();
                    self.expected.extend([right, left]);
                    bytes[..32].copy_from_slice(left.as_bytes());
                    bytes[32..].copy_from_slice(right.as_bytes());
                }
                BaoChunk::Leaf { start_chunk, size, is_root, .. } => {
                    let offset = start_chunk.to_bytes();
                    source.read_exact_at(offset, bytes).map_err(|source| EncodeError::Read { offset, source })?;
                    let expected = self.expected.pop();
                    if self.check && Some(hash_group(offset, bytes, is_root)) != expected {
                        return Err(EncodeError::Changed { offset, bytes: size });
                    }
                }
            }
            filled += item.size();
            self.next = self.items.next();
        }
        Ok(filled)
    }
}

/// A verified group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group<'a> {
    /// Offset in the blob.
    pub offset: u64,
    /// The verified bytes.
    pub data: &'a [u8],
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
    pub fn range(&self) -> std::ops::Range<u64> {
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
    items: ResponseIter,
    next: Option<BaoChunk>,
    /// Hashes that the coming items must have, the next one last.
    expected: Vec<Hash>,
    /// Where the next group begins in the blob.
    offset: u64,
}

impl Decoder {
    /// A decoder for the blob of this hash and size.
    pub fn new(hash: Hash, size: u64) -> Decoder {
        let mut items = ResponseIter::new(BaoTree::new(size, GROUP), ChunkRanges::all());
        let next = items.next();
        Decoder { items, next, expected: vec![hash], offset: 0 }
    }

    /// Length of the next item in bytes, at most [`MAX_ITEM_BYTES`]; none when the blob is complete.
    pub fn need(&self) -> Option<usize> {
        self.next.as_ref().map(BaoChunk::size)
    }

    /// Bytes of the blob verified so far.
    pub fn verified(&self) -> u64 {
        self.offset
    }

    /// Checks the next item. `bytes` must be as long as [`need`](Decoder::need) said. After an error the decoder must
    /// not be used any more.
    pub fn accept<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Group<'a>>, VerifyError> {
        let (Some(item), Some(expected)) = (self.next.take(), self.expected.pop()) else { return Ok(None) };
        let group = match item {
            BaoChunk::Parent { is_root, .. } => {
                let Some((left, right)) = split_pair(bytes) else {
                    return Err(VerifyError::Pair { offset: self.offset });
                };
                if hash_pair(&left, &right, is_root) != expected {
                    return Err(VerifyError::Pair { offset: self.offset });
                }
                self.expected.extend([right, left]);
                None
            }
            BaoChunk::Leaf { start_chunk, size, is_root, .. } => {
                let offset = start_chunk.to_bytes();
                if bytes.len() != size || hash_group(offset, bytes, is_root) != expected {
                    return Err(VerifyError::Group { offset, bytes: size });
                }
                self.offset = offset + size as u64;
                Some(Group { offset, data: bytes })
            }
        };
        self.next = self.items.next();
        Ok(group)
    }
}

fn split_pair(bytes: &[u8]) -> Option<(Hash, Hash)> {
    let (left, right) = bytes.split_first_chunk::<32>()?;
    Some((Hash::from_bytes(*left), Hash::from_bytes(right.try_into().ok()?)))
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
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    struct Memory<'a>(&'a [u8]);

    impl Source for Memory<'_> {
        type Error = Infallible;

        fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), Infallible> {
            buffer.copy_from_slice(&self.0[offset as usize..][..buffer.len()]);
            Ok(())
        }
    }

    /// Bytes that differ from place to place, so that swapped groups show.
    fn blob(bytes: usize) -> Vec<u8> {
        let mut blob = vec![0; bytes];
        blake3::Hasher::new().update(b"longhaul test blob").finalize_xof().fill(&mut blob);
        blob
    }

    fn encode(blob: &[u8], piece_bytes: usize) -> (Hash, Vec<u8>) {
        let outboard = Outboard::of(&mut Memory(blob), blob.len() as u64).unwrap();
        let mut encoder = Encoder::new(&outboard);
        let mut encoding = Vec::new();
        let mut piece = vec![0; piece_bytes];
        while !encoder.is_done() {
            let filled = encoder.fill(&mut Memory(blob), &mut piece).unwrap();
            encoding.extend_from_slice(&piece[..filled]);
        }
        (outboard.hash(), encoding)
    }

    /// What comes out verified, and how it ended.
    fn decode(hash: Hash, size: u64, mut encoding: &[u8]) -> (Vec<u8>, Result<(), Option<VerifyError>>) {
        let mut decoder = Decoder::new(hash, size);
        let mut out = Vec::new();
        while let Some(need) = decoder.need() {
            let Some(item) = encoding.split_off(..need) else { return (out, Err(None)) };
            match decoder.accept(item) {
                Ok(None) => {}
                Ok(Some(group)) => {
                    assert_eq!(group.offset, out.len() as u64);
                    out.extend_from_slice(group.data);
                }
                Err(error) => return (out, Err(Some(error))),
            }
        }
        (out, Ok(()))
    }

    #[test]
    fn every_size_survives_a_round_trip_under_its_plain_hash() {
        let group = GROUP_BYTES;
        let sizes = [0, 1, 1023, 1024, 1025, group - 1, group, group + 1, 3 * group, 4 * group, 5 * group + 17];
        for size in sizes.into_iter().chain([1 << 20, (1 << 20) + 1]) {
            let blob = blob(size);
            let (hash, encoding) = encode(&blob, 100_000);
            assert_eq!(hash, blake3::hash(&blob), "{size}");
            assert_eq!(decode(hash, size as u64, &encoding), (blob, Ok(())), "{size}");
        }
    }

    #[test]
    fn the_encoding_is_the_one_of_bao_tree() {
        let blob = blob(300_001);
        let (hash, encoding) = encode(&blob, MAX_ITEM_BYTES);
        let outboard = PreOrderMemOutboard::create(&blob, GROUP);
        let mut theirs = Vec::new();
        let ranges = ChunkRanges::all();
        bao_tree::io::sync::encode_ranges_validated(blob.as_slice(), &outboard, &ranges, &mut theirs).unwrap();
        assert_eq!((hash, encoding), (outboard.root, theirs));
    }

    #[test]
    fn a_change_on_the_source_is_found_before_it_is_sent() {
        let good = blob(100_000);
        let outboard = Outboard::of(&mut Memory(&good), 100_000).unwrap();
        let mut bad = good.clone();
        bad[70_000] ^= 1;
        let mut out = vec![0; 1 << 20];
        let found = Encoder::new(&outboard).fill(&mut Memory(&bad), &mut out);
        assert_eq!(found, Err(EncodeError::Changed { offset: 65_536, bytes: GROUP_BYTES }));

        let filled = Encoder::unchecked(&outboard).fill(&mut Memory(&bad), &mut out).unwrap();
        let (verified, end) = decode(outboard.hash(), 100_000, &out[..filled]);
        assert_eq!(verified, &good[..65_536]);
        assert_eq!(end, Err(Some(VerifyError::Group { offset: 65_536, bytes: GROUP_BYTES })));
    }

    #[test]
    fn a_wrong_size_or_hash_is_found_at_once() {
        let blob = blob(100_000);
        let (hash, encoding) = encode(&blob, 1 << 20);
        for (hash, size) in [(hash, 200_000), (hash, 50_000), (hash, 10), (blake3::hash(b"other"), 100_000)] {
            let (verified, end) = decode(hash, size, &encoding);
            assert!(verified.is_empty() && matches!(end, Err(Some(_))), "{size}: {end:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_flipped_bit_gets_through(size in 0..200_000_usize, at: prop::sample::Index, bit in 0..8_u32) {
            let blob = blob(size);
            let (hash, mut encoding) = encode(&blob, 50_000);
            if !encoding.is_empty() {
                let at = at.index(encoding.len());
                encoding[at] ^= 1 << bit;
                let (verified, end) = decode(hash, size as u64, &encoding);
                prop_assert!(matches!(end, Err(Some(_))), "{end:?}");
                prop_assert_eq!(&verified, &blob[..verified.len()]);
            }
        }

        #[test]
        fn a_cut_encoding_yields_only_its_verified_beginning(size in 1..200_000_usize, at: prop::sample::Index) {
            let blob = blob(size);
            let (hash, encoding) = encode(&blob, 50_000);
            let (verified, end) = decode(hash, size as u64, &encoding[..at.index(encoding.len())]);
            prop_assert_eq!(end, Err(None));
            prop_assert_eq!(&verified, &blob[..verified.len()]);
        }
    }
}
