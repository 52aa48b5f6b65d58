//! What the engine tells of the network and of itself.

use super::fidelity::Watch;
use super::port::PortDrops;
use netsim_fabric::{LinkCounters, RouterDrops, Time};
use netsim_topology::Shards;

/// Width of one interval of [`Snapshot::timeline`], in nanoseconds.
pub const INTERVAL_NS: u64 = 50_000_000;

/// What the engine knows, at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// When the counters were last set to 0.
    pub since: Time,
    /// When the snapshot was taken.
    pub at: Time,
    /// Each link's counters, by [`netsim_fabric::LinkId::index`].
    pub links: Vec<LinkCounters>,
    /// Each router's drops, by [`netsim_fabric::NodeId::index`]; empty for hosts.
    pub routers: Vec<RouterDrops>,
    /// Different flows each host sent on, by [`netsim_fabric::NodeId::index`]; 0 for routers.
    pub flows: Vec<u64>,
    /// What each interval since the start saw. The last one ends with the snapshot: nothing came after.
    pub timeline: Vec<Interval>,
    /// How well the engine kept time.
    pub(crate) watch: Watch,
    /// Packets lost at the devices, by [`netsim_fabric::NodeId::index`].
    pub(crate) port_drops: Vec<PortDrops>,
    /// Packets lost between the engine's threads.
    pub(crate) trunk_drops: u64,
    /// Whether all threads had real-time priority.
    pub realtime: bool,
    /// Processor time the threads have used since the network came up, in nanoseconds; the kernel's work for them
    /// included.
    pub cpu_ns: u64,
}

impl Snapshot {
    /// What several threads know, each of its part of the network; `None` of none.
    pub(super) fn merge(parts: Vec<Box<Snapshot>>, shards: &Shards) -> Option<Box<Snapshot>> {
        let mut parts = parts.into_iter().enumerate();
        let (_, mut whole) = parts.next()?;
        for (shard, part) in parts {
            let carries: Vec<bool> = shards.links().iter().map(|of| *of == shard).collect();
            whole.take_in(*part, &carries);
        }
        Some(whole)
    }

    /// Takes in another thread's part: the links that it `carries`. Of nodes each thread knows but its own, and its share of
    /// the core.
    fn take_in(&mut self, part: Snapshot, carries: &[bool]) {
        self.at = self.at.max(part.at);
        replace(&mut self.links, part.links, carries);
        for (drops, others) in self.routers.iter_mut().zip(part.routers) {
            for (cause, count) in others {
                *drops.entry(cause).or_insert(0) += count;
            }
        }
        for (flows, others) in self.flows.iter_mut().zip(part.flows) {
            *flows += others;
        }
        for (drops, others) in self.port_drops.iter_mut().zip(part.port_drops) {
            *drops += others;
        }
        // The last one may lack where a thread answered earlier than another.
        let missing = Interval { links: vec![LinkInterval::default(); self.links.len()] };
        self.timeline.resize(self.timeline.len().max(part.timeline.len()), missing);
        for (interval, others) in self.timeline.iter_mut().zip(part.timeline) {
            replace(&mut interval.links, others.links, carries);
        }
        self.watch.take_in(&part.watch);
        self.trunk_drops += part.trunk_drops;
        self.realtime &= part.realtime;
        self.cpu_ns += part.cpu_ns;
    }
}

fn replace<T>(all: &mut [T], others: Vec<T>, which: &[bool]) {
    for ((one, other), _) in all.iter_mut().zip(others).zip(which).filter(|(_, which)| **which) {
        *one = other;
    }
}

/// What each link saw in one interval of [`INTERVAL_NS`], by [`netsim_fabric::LinkId::index`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interval {
    /// Per link.
    pub links: Vec<LinkInterval>,
}

/// What one link saw in one interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkInterval {
    /// Bytes that left at the far end.
    pub delivered_bytes: u64,
    /// Packets dropped.
    pub dropped: u64,
    /// Longest wait for the serialiser, in nanoseconds.
    pub peak_queueing_ns: u64,
}
