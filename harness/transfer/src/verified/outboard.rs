//! Computing a hash tree.

use std::fmt;
use std::io;

use bao_tree::iter::BaoChunk;
use bao_tree::{BaoTree, TreeNode};
use blake3::Hash;

use super::{GROUP, GROUP_BYTES, Nodes, PAIR_BYTES, Pair, Source, hash_group, hash_pair};

/// The inner nodes of a blob's hash tree: 64 bytes for each 16 KiB.
pub struct Outboard {
    root: Hash,
    tree: BaoTree,
    nodes: Box<dyn Nodes>,
}

/// Why a blob's hash tree cannot be computed.
#[derive(Debug, thiserror::Error)]
pub enum OutboardError<E> {
    /// The blob cannot be read.
    #[error("cannot read the blob")]
    Read(#[source] E),
    /// The tree cannot be kept.
    #[error("cannot keep the hash tree")]
    Keep(#[source] io::Error),
}

impl Outboard {
    /// Reads a whole blob once and computes its hash tree. `nodes` must have room for [`pairs`](super::pairs)`(size)`
    /// of them.
    pub fn of<S: Source>(
        source: &mut S,
        size: u64,
        mut nodes: Box<dyn Nodes>,
    ) -> Result<Outboard, OutboardError<S::Error>> {
        let tree = BaoTree::new(size, GROUP);
        let mut buffer = vec![0; GROUP_BYTES];
        let mut stack: Vec<Hash> = Vec::new();
        for item in tree.post_order_chunks_iter() {
            let hash = match item {
                BaoChunk::Leaf { start_chunk, size, is_root, .. } => {
                    let group = &mut buffer[..size];
                    source.read_exact_at(start_chunk.to_bytes(), group).map_err(OutboardError::Read)?;
                    hash_group(start_chunk.to_bytes(), group, is_root)
                }
                BaoChunk::Parent { node, is_root, .. } => {
                    let (Some(right), Some(left)) = (stack.pop(), stack.pop()) else {
                        unreachable!("in post-order both children come before their parent")
                    };
                    let mut pair = [0; PAIR_BYTES];
                    pair[..32].copy_from_slice(left.as_bytes());
                    pair[32..].copy_from_slice(right.as_bytes());
                    nodes.save(position(tree, node), &pair).map_err(OutboardError::Keep)?;
                    hash_pair(&left, &right, is_root)
                }
            };
            stack.push(hash);
        }
        let root = stack.pop().expect("the last item is the root");
        Ok(Outboard { root, tree, nodes })
    }

    /// The same with the tree in memory.
    pub fn in_memory<S: Source>(source: &mut S, size: u64) -> Result<Outboard, OutboardError<S::Error>> {
        let nodes = vec![[0; PAIR_BYTES]; super::pairs(size) as usize];
        Outboard::of(source, size, Box::new(nodes))
    }

    /// The blob's hash.
    pub fn hash(&self) -> Hash {
        self.root
    }

    /// The blob's length in bytes.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    pub(super) fn load(&self, node: TreeNode) -> io::Result<Pair> {
        self.nodes.load(position(self.tree, node))
    }

    pub(super) fn tree(&self) -> BaoTree {
        self.tree
    }
}

impl fmt::Debug for Outboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outboard").field("root", &self.root).field("size", &self.size()).finish_non_exhaustive()
    }
}

/// Where a node stands in pre-order. Every node that iterators over the tree yield has a place.
pub(super) fn position(tree: BaoTree, node: TreeNode) -> u64 {
    tree.pre_order_offset(node).unwrap_or(u64::MAX)
}
