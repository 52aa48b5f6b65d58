//! What the engine tells of the network and of itself.

use super::fidelity::Watch;
use super::port::PortDrops;
use netsim_fabric::{LinkCounters, MappingEvent, RouterDrops, Time};
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
    /// The mappings that came and went at each router's NAT since the last snapshot, or since the network was restarted
    /// without its state, by [`netsim_fabric::NodeId::index`]; empty for hosts. The latest few thousand.
    pub mappings: Vec<Vec<MappingEvent>>,
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
    pub(super) fn merge(parts: Vec<Snapshot>, shards: &Shards) -> Option<Snapshot> {
        let mut parts = parts.into_iter().enumerate();
        let (_, mut whole) = parts.next()?;
        for (shard, part) in parts {
            let carries: Vec<bool> = shards.links().iter().map(|of| *of == shard).collect();
            whole.take_in(part, &carries);
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
        for (events, others) in self.mappings.iter_mut().zip(part.mappings) {
            events.extend(others);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fidelity_record;
    use netsim_fabric::{Cause, Endpoint, Fabric, Proto};
    use netsim_topology::{Access, Host, Topology, build, plan};
    use std::net::Ipv4Addr;
    use std::num::NonZeroUsize;

    fn made(at: u64) -> MappingEvent {
        let endpoint = Endpoint { addr: Ipv4Addr::LOCALHOST.into(), port: 1 };
        MappingEvent {
            at: Time::from_nanos(at),
            proto: Proto::Udp,
            internal: endpoint,
            external: endpoint,
            ended: None,
        }
    }

    /// What a thread saw of a network of which it carries some links: each delivered `n` packets so far, and `n` bytes in each
    /// of so many intervals.
    fn part(carries: &[bool], (n, intervals, late_ns, slept_ns): (u64, usize, u64, u64)) -> Snapshot {
        let of = |carries: &bool| if *carries { n } else { 0 };
        let interval = |n| LinkInterval { delivered_bytes: n, dropped: n, peak_queueing_ns: n };
        let interval = Interval { links: carries.iter().map(of).map(interval).collect() };
        let counters = |packets| LinkCounters { packets, ..LinkCounters::default() };
        let (since, awake, at) = (Time::ZERO, Time::from_nanos(slept_ns), Time::from_nanos(100));
        let mut watch = Watch::new(since);
        watch.going_to_sleep(since, slept_ns);
        watch.awake(awake);
        watch.released(Time::from_nanos(late_ns), Time::ZERO);
        Snapshot {
            since,
            at,
            links: carries.iter().map(of).map(counters).collect(),
            routers: vec![RouterDrops::from([(Cause::NoRoute, n)])],
            flows: vec![n, 0],
            mappings: vec![vec![made(n); n as usize], vec![]],
            timeline: vec![interval; intervals],
            watch,
            port_drops: vec![PortDrops { ring: n, no_buffer: n, write: n, malformed: n }],
            trunk_drops: n,
            realtime: n > 1,
            cpu_ns: n,
        }
    }

    #[test]
    fn threads_add_up() {
        let hosts = ["a", "b"].map(|name| Host::new(name, None, Access::default())).into();
        let plan = plan(&Topology { routers: vec![], hosts, ..Topology::default() }).unwrap();
        let two = NonZeroUsize::new(2).unwrap();
        let shards = Shards::new(&plan.steps, &build(&plan.steps, Fabric::<()>::new(0)), two);
        // Those of a, of b, and of the servers.
        assert_eq!(shards.links()[..4], [0, 0, 1, 1]);
        for (first, second) in [((1, 2, 30, 60), (10, 3, 5000, 20)), ((10, 3, 5000, 20), (1, 2, 30, 60))] {
            let (n, m) = (first.0, second.0);
            let merged = || {
                let parts = [(0, first), (1, second)].map(|(shard, seen)| {
                    let carries: Vec<bool> = shards.links().iter().map(|of| *of == shard).collect();
                    part(&carries, seen)
                });
                Snapshot::merge(parts.into(), &shards).unwrap()
            };
            let got = merged();
            assert_eq!(got.links.iter().map(|link| link.packets).collect::<Vec<_>>()[..4], [n, n, m, m]);
            assert_eq!(got.routers, [RouterDrops::from([(Cause::NoRoute, 11)])]);
            assert_eq!((got.flows, got.cpu_ns, got.realtime), (vec![11, 0], 11, false));
            assert_eq!(got.mappings.iter().map(Vec::len).collect::<Vec<_>>(), [11, 0]);
            let bytes = |link: usize| got.timeline.iter().map(move |all| all.links[link].delivered_bytes);
            let upto = |n, intervals| (0..3).map(move |i| if i < intervals { n } else { 0 }).collect::<Vec<_>>();
            assert_eq!(bytes(0).collect::<Vec<_>>(), upto(n, first.1));
            assert_eq!(bytes(2).collect::<Vec<_>>(), upto(m, second.1));
            let fidelity = fidelity_record(&merged(), 4);
            assert_eq!((fidelity.released, fidelity.lateness_max_ns >= 5000), (2, true));
            let drops = [("buffer_pool", 11), ("device_queue", 15), ("device_write", 11), ("malformed", 11)];
            let drops = drops.into_iter().chain([("trunk_queue", 11)]);
            assert_eq!(fidelity.unintended_drops, drops.map(|(cause, count)| (cause.to_owned(), count)).collect());
            // The busiest thread's share.
            assert!((fidelity.busy_share - 0.8).abs() < 1e-9, "{}", fidelity.busy_share);
        }
        assert!(Snapshot::merge(Vec::new(), &shards).is_none());
    }
}
