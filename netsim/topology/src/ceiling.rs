//! The most that a network can carry from some hosts to others.

use crate::model::Topology;
use crate::tree::Tree;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::num::NonZeroU64;
use netsim_fabric::{LinkConfig, LinkState};

/// The most that hosts `from` together can send to hosts `to`, in bits of IP packets per second, by the interfaces they
/// use at first: the largest flow the links' rates allow (max-flow min-cut). Rates that vary count with their mean. `None`
/// where nothing limits it, or where a host does not exist or hangs nowhere.
pub fn ceiling_bps(topology: &Topology, from: &[&str], to: &[&str]) -> Option<NonZeroU64> {
    let tree = Tree::new(topology).ok()?;
    let host = |name: &&str| topology.hosts.iter().position(|host| host.name == *name);
    let [from, to] = [from, to].map(|names| names.iter().map(host).collect::<Option<Vec<usize>>>());
    let (from, to) = (from?, to?);
    let (routers, hosts) = (topology.routers.len(), topology.hosts.len());
    let at_router = |router: Option<usize>| router.map_or(0, |router| 1 + router);
    let at_host = |host: usize| 1 + routers + host;
    let (source, sink) = (1 + routers + hosts, 2 + routers + hosts);
    let mut network = Network::new(3 + routers + hosts);
    for (n, router) in topology.routers.iter().enumerate() {
        let (inner, outer) = (at_router(Some(n)), at_router(tree.parent(n)));
        network.join(inner, outer, rate(&router.uplink.up));
        network.join(outer, inner, rate(&router.uplink.down));
    }
    for &n in from.iter().chain(&to) {
        let primary = topology.hosts[n].primary()?;
        let router = at_router(tree.host(n));
        network.join(at_host(n), router, rate(&primary.link.up));
        network.join(router, at_host(n), rate(&primary.link.down));
    }
    from.iter().for_each(|&n| network.join(source, at_host(n), UNLIMITED));
    to.iter().for_each(|&n| network.join(at_host(n), sink, UNLIMITED));
    network.largest_flow(source, sink).and_then(NonZeroU64::new)
}

/// More than any sum of rates.
const UNLIMITED: u64 = u64::MAX / 2;

fn rate(link: &LinkConfig) -> u64 {
    match (link.state, link.rate.mean_bps()) {
        (LinkState::Down(_), _) => 0,
        (LinkState::Up, rate) => rate.map_or(UNLIMITED, NonZeroU64::get),
    }
}

/// What each place can still send to each other place directly.
struct Network {
    residual: Vec<Vec<u64>>,
}

impl Network {
    fn new(places: usize) -> Network {
        Network { residual: vec![vec![0; places]; places] }
    }

    /// Sets what `a` can send to `b`. Naming a host twice changes nothing.
    fn join(&mut self, a: usize, b: usize, rate: u64) {
        self.residual[a][b] = rate;
    }

    /// The method of Edmonds and Karp: takes the shortest way that is left, until none is. `None` if a way has no limit.
    fn largest_flow(mut self, source: usize, sink: usize) -> Option<u64> {
        let mut flow = 0_u64;
        while let Some(way) = self.shortest_way(source, sink) {
            let room = way.iter().map(|&(a, b)| self.residual[a][b]).min().unwrap_or(0);
            flow = flow.saturating_add(room);
            if flow >= UNLIMITED / 2 {
                return None;
            }
            for (a, b) in way {
                self.residual[a][b] -= room;
                self.residual[b][a] = self.residual[b][a].saturating_add(room);
            }
        }
        Some(flow)
    }

    /// Hop by hop, from the last to the first.
    fn shortest_way(&self, source: usize, sink: usize) -> Option<Vec<(usize, usize)>> {
        let mut before = vec![None; self.residual.len()];
        let mut waiting = VecDeque::from([source]);
        while let Some(at) = waiting.pop_front() {
            for (next, &room) in self.residual[at].iter().enumerate() {
                if room > 0 && next != source && before[next].is_none() {
                    before[next] = Some(at);
                    waiting.push_back(next);
                }
            }
        }
        before[sink]?;
        let hops = core::iter::successors(Some(sink), |&at| before[at]);
        Some(hops.clone().skip(1).zip(hops).collect())
    }
}
