//! What of a blob is there already.

use bao_tree::iter::{BaoChunk, ResponseIter};
use bao_tree::{BaoTree, ChunkRanges};
use blake3::Hash;

use super::outboard::position;
use super::{GROUP, GROUP_BYTES, Nodes, Source, hash_group, hash_pair, split_pair};
use crate::ranges::Ranges;

/// Finds the groups of a blob that `source` does not hold, or for which `nodes` holds no way from the root. Nothing is
/// taken on trust: pairs are checked from the root down, and each group against the pair above it.
pub fn missing<S: Source>(hash: Hash, size: u64, nodes: &dyn Nodes, source: &mut S) -> Ranges {
    let tree = BaoTree::new(size, GROUP);
    let mut buffer = vec![0; GROUP_BYTES];
    let mut missing = Ranges::default();
    // Hashes that the coming items must have, as far as they are known, the next one last.
    let mut expected = vec![Some(hash)];
    for item in ResponseIter::new(tree, ChunkRanges::all()) {
        let hash = expected.pop().flatten();
        match item {
            BaoChunk::Parent { node, is_root, .. } => {
                let pair = hash.and_then(|_| nodes.load(position(tree, node)).ok());
                let pair = pair.map(|pair| split_pair(&pair));
                let pair = pair.filter(|(left, right)| Some(hash_pair(left, right, is_root)) == hash);
                expected.extend([pair.map(|pair| pair.1), pair.map(|pair| pair.0)]);
            }
            BaoChunk::Leaf { start_chunk, size, is_root, .. } => {
                let offset = start_chunk.to_bytes();
                let group = &mut buffer[..size];
                let there = hash.is_some()
                    && source.read_exact_at(offset, group).is_ok()
                    && Some(hash_group(offset, group, is_root)) == hash;
                if !there {
                    missing.insert(offset..offset + size as u64);
                }
            }
        }
    }
    missing
}
