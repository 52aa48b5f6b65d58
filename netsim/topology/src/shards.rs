//! Which of several fabrics carries what: the internet's core keeps no state, so a network can be cut there. Where it has
//! regions, the transits between them are links like others, carried by the first shard.

use crate::build::Built;
use crate::plan::{LabStep, Place};
use alloc::vec::Vec;
use core::num::NonZeroUsize;
use netsim_fabric::{Body, Fabric, LinkId, NodeId};

/// A network's shards. Everything behind one link of the internet's core is in one of them; the core is in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shards {
    count: usize,
    /// By [`NodeId::index`]; the core's is 0.
    nodes: Vec<usize>,
    /// By [`LinkId::index`].
    links: Vec<usize>,
}

impl Shards {
    /// Cuts the network that `steps` have `built` into at most `most` shards, and no more than there are subtrees with
    /// hosts. Each subtree goes where the fewest hosts are, those with the most hosts first.
    pub fn new<B>(steps: &[LabStep], built: &Built<B>, most: NonZeroUsize) -> Shards {
        let mut trees = Trees::new(built.nodes.len());
        let node = |place: &Place| built.nodes.get(place).map(|node| node.index());
        let is_core = |place: &&Place| matches!(place, Place::Internet | Place::Region(_));
        let core: Vec<usize> = built.nodes.keys().filter(is_core).filter_map(node).collect();
        let mut hosts = alloc::vec![0_usize; built.nodes.len()];
        let mut lower_ends = Vec::with_capacity(built.links.len());
        for step in steps {
            let ends = match step {
                LabStep::AddLink { from, to, .. } => (node(from), node(to)),
                // What a kernel joins belongs together too.
                LabStep::AddKernelRouter { name, .. } => {
                    (node(&Place::Inner(name.clone())), node(&Place::Outer(name.clone())))
                }
                LabStep::AddPipe { link, .. } => {
                    let end = |near| node(&Place::PipeEnd { link: link.clone(), near });
                    (end(true), end(false))
                }
                LabStep::AddInterface { place, .. } => {
                    node(place).into_iter().for_each(|node| hosts[node] += 1);
                    continue;
                }
                _ => continue,
            };
            let (Some(from), Some(to)) = ends else { continue };
            let inside = [from, to].map(|end| core.contains(&end));
            if matches!(step, LabStep::AddLink { .. }) {
                lower_ends.push(if inside[0] { to } else { from });
            }
            if inside == [false; 2] {
                trees.join(from, to);
            }
        }
        let (count, nodes) = spread(&mut trees, &hosts, &core, most);
        let links = lower_ends.into_iter().map(|end| nodes[end]).collect();
        Shards { count, nodes, links }
    }

    /// How many there are, at least 1.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Where a host or router is. The core, which is in all, counts as part of the first.
    pub fn of_node(&self, node: NodeId) -> usize {
        self.nodes.get(node.index()).copied().unwrap_or(0)
    }

    /// Where a link is.
    pub fn of_link(&self, link: LinkId) -> usize {
        self.links.get(link.index()).copied().unwrap_or(0)
    }

    /// Where each link is, by [`LinkId::index`].
    pub fn links(&self) -> &[usize] {
        &self.links
    }

    /// Leaves to the fabric of the whole network what is in `shard`.
    pub fn keep_only<B: Body>(&self, shard: usize, built: &mut Built<B>) {
        let fabric: &mut Fabric<B> = &mut built.fabric;
        let others = built.links.iter().map(|(_, link)| *link).filter(|link| self.of_link(*link) != shard);
        others.for_each(|link| fabric.entrust(link));
    }
}

/// How many shards there are, and each node's.
fn spread(trees: &mut Trees, hosts: &[usize], core: &[usize], most: NonZeroUsize) -> (usize, Vec<usize>) {
    let mut weights = alloc::vec![0; hosts.len()];
    for (node, hosts) in hosts.iter().enumerate() {
        weights[trees.root(node)] += hosts;
    }
    let mut roots: Vec<usize> =
        (0..hosts.len()).filter(|&node| trees.root(node) == node && !core.contains(&node)).collect();
    roots.sort_by_key(|&root| core::cmp::Reverse(weights[root]));
    let carrying = roots.iter().filter(|&&root| weights[root] > 0).count();
    let count = most.get().min(carrying).max(1);
    let mut loads = alloc::vec![0; count];
    let mut of_root = alloc::vec![0; hosts.len()];
    for root in roots {
        let least = (0..count).min_by_key(|&shard| loads[shard]).unwrap_or(0);
        loads[least] += weights[root];
        of_root[root] = least;
    }
    (count, (0..hosts.len()).map(|node| of_root[trees.root(node)]).collect())
}

/// Nodes that are joined, as a forest: each points towards its tree's root.
struct Trees(Vec<usize>);

impl Trees {
    fn new(nodes: usize) -> Trees {
        Trees((0..nodes).collect())
    }

    fn root(&mut self, mut node: usize) -> usize {
        while self.0[node] != node {
            self.0[node] = self.0[self.0[node]];
            node = self.0[node];
        }
        node
    }

    /// The smaller root is the root of both.
    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        self.0[one.max(other)] = one.min(other);
    }
}
