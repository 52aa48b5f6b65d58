//! One network in several fabrics does what it does in one, in virtual time.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use netsim_fabric::{
    CoDelConfig, Crossing, Discipline, Egress, Fabric, Filtering, Jitter, LinkConfig, Loss, Mtu, NatConfig, NodeId,
    Oversize, Packet, PortAssignment, Probability, Queue, Rate, RouterDrops, Time,
};
use netsim_topology::{
    Access, Built, Gateway, Host, LabStep, LinkName, Place, Plan, Router, Shards, Topology, Transit, build, plan,
    with_kernel_routers, with_pipes,
};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::{NonZeroU64, NonZeroUsize};

const MS: u64 = 1_000_000;
const SEED: u64 = 11;

fn ppb(percent: u32) -> Probability {
    Probability::from_ppb(percent * 10_000_000).unwrap()
}

/// Everything that chance and queues can do to a packet.
fn rough(delay_ms: u64, mbit: u64) -> LinkConfig {
    LinkConfig {
        delay_ns: delay_ms * MS,
        jitter: Jitter::Uniform { ns: MS / 2 },
        loss: Loss::Bernoulli(ppb(5)),
        duplicate: ppb(3),
        corrupt: ppb(3),
        rate: Rate::Constant(NonZeroU64::new(mbit * 1_000_000).unwrap()),
        queue: Queue { discipline: Discipline::CoDel(CoDelConfig::default()), ..Queue::drop_tail(20_000) },
        ..LinkConfig::default()
    }
}

/// Two households, one of them translated and one with a network in a network, and two public hosts.
fn topology() -> Topology {
    let nat = NatConfig {
        ports: PortAssignment::Preserve,
        filtering: Filtering::EndpointIndependent,
        ..NatConfig::default()
    };
    let access = |delay_ms, mbit| Access { up: rough(delay_ms, mbit), down: rough(delay_ms + 1, mbit + 3) };
    let router = |name: &str, gateway, behind: Option<&str>| Router {
        behind: behind.map(Into::into),
        ..Router::new(name, gateway, access(3, 7))
    };
    let mut narrow = access(4, 9);
    narrow.down.mtu = Some(Mtu { bytes: 700, oversize: Oversize::TooBig });
    Topology {
        routers: vec![
            router("home", Gateway::with_nat(nat), None),
            router("office", Gateway::OPEN, None),
            router("floor", Gateway::OPEN, Some("office")),
        ],
        hosts: vec![
            Host::new("a", Some("home"), Access::default()),
            Host::new("b", Some("home"), access(1, 20)),
            Host::new("c", Some("office"), access(2, 10)),
            Host::new("d", Some("floor"), access(1, 30)),
            Host::new("e", None, access(5, 8)),
            Host::new("f", None, narrow),
        ],
        ..Topology::default()
    }
}

/// The same in three regions.
fn world() -> Topology {
    let mut topology = topology();
    let somewhere = |n: usize| Some(["east", "south", "west"][n % 3].to_owned());
    for (n, router) in topology.routers.iter_mut().enumerate().filter(|(_, router)| router.behind.is_none()) {
        router.region = somewhere(n);
    }
    let hosts = topology.hosts.iter_mut().flat_map(|host| host.interfaces.iter_mut());
    for (n, interface) in hosts.enumerate().filter(|(_, interface)| interface.behind.is_none()) {
        interface.region = somewhere(n);
    }
    let transit = |a: &str, b: &str, ms| Transit {
        between: [a.into(), b.into()],
        link: Access { up: LinkConfig { delay_ns: ms * MS, ..LinkConfig::default() }, down: rough(ms, 40) },
    };
    topology.transits = vec![transit("east", "south", 30), transit("west", "east", 12), transit("south", "west", 9)];
    topology
}

fn at_most(threads: usize) -> NonZeroUsize {
    NonZeroUsize::new(threads).unwrap()
}

fn cut(plan: &Plan, threads: usize) -> (Built<()>, Shards) {
    let built = build(&plan.steps, Fabric::new(0));
    let shards = Shards::new(&plan.steps, &built, at_most(threads));
    (built, shards)
}

/// A UDP datagram with so many bytes of payload, number `number` of its test.
fn datagram(from: (IpAddr, u16), to: (IpAddr, u16), number: u32, payload: u16) -> Packet<Vec<u8>> {
    let ((IpAddr::V4(src), from), (IpAddr::V4(dst), to)) = (from, to) else { panic!("IPv4") };
    // With "don't fragment".
    let mut bytes = vec![0x45, 0];
    bytes.extend((28 + payload).to_be_bytes());
    bytes.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    bytes.extend(src.octets());
    bytes.extend(dst.octets());
    for word in [from, to, 8 + payload, 0] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend(number.to_be_bytes());
    bytes.resize(28 + usize::from(payload), 0);
    Packet::from_bytes(bytes).unwrap()
}

/// When who sends what, in order of time. With `merging`, some links of the core carry what comes from several others.
fn traffic(plan: &Plan, merging: bool) -> Vec<(Time, Place, Packet<Vec<u8>>)> {
    let address = |name: &str| plan.addresses.hosts[name][0];
    let external = IpAddr::V4(plan.addresses.external("home").unwrap());
    let mut flows = vec![
        ("a", (address("a"), 5000), (address("e"), 2000)),
        // An answer through the NAT.
        ("e", (address("e"), 2000), (external, 5000)),
        ("b", (address("b"), 1001), (address("d"), 2001)),
        ("d", (address("d"), 2001), (address("f"), 2002)),
    ];
    if merging {
        flows.push(("f", (address("f"), 2002), (address("c"), 2003)));
        flows.push(("c", (address("c"), 2004), (address("e"), 2004)));
    }
    let mut all = Vec::new();
    for (flow, (host, from, to)) in (0_u64..).zip(flows) {
        for n in 0..400_u64 {
            // Bursts of 5, and no two packets of one moment.
            let at = Time::from_nanos((1 + n / 5) * 5 * MS + (n % 5) * 1000 + flow * 777_777);
            let payload = if n % 3 == 0 { 1200 } else { 300 };
            all.push((at, Place::Host(host.into()), datagram(from, to, n as u32, payload)));
        }
    }
    all.sort_by_key(|(at, ..)| *at);
    all
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// In order of time.
    arrived: Vec<(NodeId, Time, Packet<Vec<u8>>)>,
    /// Each link's counters and its trace of decisions.
    links: Vec<String>,
    drops: BTreeMap<Place, RouterDrops>,
}

/// Runs the traffic over so many shards; what leaves one gets to the other `late_ns` later.
fn run(plan: &Plan, traffic: &[(Time, Place, Packet<Vec<u8>>)], seed: u64, threads: usize, late_ns: u64) -> Outcome {
    let (whole, shards) = cut(plan, threads);
    let mut fabrics: Vec<Fabric<Vec<u8>>> = (0..shards.count())
        .map(|shard| {
            let mut built = build(&plan.steps, Fabric::new(seed));
            shards.keep_only(shard, &mut built);
            built.fabric
        })
        .collect();
    let mut traffic = traffic.iter().cloned().peekable();
    let mut between: Vec<(Time, Crossing<Vec<u8>>)> = Vec::new();
    let mut arrived = Vec::new();
    loop {
        let wake_ups = fabrics.iter().filter_map(Fabric::next_wakeup);
        let handed = between.iter().map(|(at, _)| *at);
        let Some(now) = wake_ups.chain(handed).chain(traffic.peek().map(|(at, ..)| *at)).min() else { break };
        while let Some((at, from, packet)) = traffic.next_if(|(at, ..)| *at <= now) {
            let node = whole.nodes[&from];
            fabrics[shards.of_node(node)].ingress(at, node, packet);
        }
        let (due, rest) = between.into_iter().partition(|(at, _)| *at <= now);
        between = rest;
        for (_, crossing) in due {
            fabrics[shards.of_link(crossing.link)].cross(crossing);
        }
        for (shard, fabric) in fabrics.iter_mut().enumerate() {
            while let Some(Egress { host, scheduled, packet }) = fabric.poll(now) {
                assert_eq!(shards.of_node(host), shard);
                arrived.push((host, scheduled, packet));
            }
            between.extend(fabric.take_crossings().map(|crossing| (now + late_ns, crossing)));
        }
    }
    arrived.sort_by_key(|(host, at, _)| (*at, *host));
    let counters = |fabric: &Fabric<Vec<u8>>, link| format!("{:?}", fabric.link_counters(link));
    let links = whole.links.iter().map(|(name, link)| {
        let unused = fabrics.iter().enumerate().filter(|(shard, _)| *shard != shards.of_link(*link));
        unused.for_each(|(_, fabric)| assert_eq!(fabric.link_counters(*link).packets, 0, "{name} in another shard"));
        format!("{name}: {}", counters(&fabrics[shards.of_link(*link)], *link))
    });
    let links = links.collect();
    let mut drops: BTreeMap<Place, RouterDrops> = BTreeMap::new();
    for (place, node) in &whole.nodes {
        for fabric in &fabrics {
            for (cause, count) in fabric.router_drops(*node) {
                *drops.entry(place.clone()).or_default().entry(cause).or_insert(0) += count;
            }
        }
    }
    Outcome { arrived, links, drops }
}

#[test]
fn the_seed_decides_whatever_the_threads() {
    decides_whatever_the_threads(&topology());
}

#[test]
fn in_regions_too() {
    decides_whatever_the_threads(&world());
}

fn decides_whatever_the_threads(topology: &Topology) {
    let plan = plan(topology).unwrap();
    let traffic = traffic(&plan, true);
    let one = run(&plan, &traffic, SEED, 1, 0);
    let node = |name: &str| cut(&plan, 1).0.nodes[&Place::Host(name.into())];
    let arrived = |name: &str| one.arrived.iter().filter(|(to, ..)| *to == node(name)).count();
    for host in ["a", "c", "d", "e", "f"] {
        assert!(arrived(host) > 100, "{} packets for {host} arrived", arrived(host));
    }
    // `d` is told that its packets are too large for `f`'s link: by the core.
    let told = |(to, _, packet): &&(NodeId, Time, Packet<Vec<u8>>)| *to == node("d") && packet.body[9] == 1;
    assert!(one.arrived.iter().filter(told).count() > 20);
    assert!(run(&plan, &traffic, SEED + 1, 1, 0) != one, "another seed is seen");
    for threads in [2, 3, 4] {
        assert!(run(&plan, &traffic, SEED, threads, 0) == one, "{threads} threads");
    }
}

#[test]
fn a_late_hand_over_adds_no_delay() {
    let mut topology = topology();
    // What is too large goes on, or the core would send to the same link as others.
    topology.hosts[5].interfaces[0].link.down.mtu = None;
    let plan = plan(&topology).unwrap();
    let traffic = traffic(&plan, false);
    let one = run(&plan, &traffic, SEED, 1, 0);
    assert!(one.arrived.len() > 1000, "{} of 1600 packets arrived", one.arrived.len());
    for threads in [2, 3, 4] {
        for late_ns in [50_000, 10 * MS] {
            assert!(run(&plan, &traffic, SEED, threads, late_ns) == one, "{threads} threads, {late_ns} ns late");
        }
    }
}

/// Which hosts are together: by shard, in order of their names.
fn together(plan: &Plan, threads: usize) -> Vec<String> {
    let (built, shards) = cut(plan, threads);
    let mut hosts = vec![String::new(); shards.count()];
    for (place, node) in &built.nodes {
        if let Place::Host(name) = place {
            hosts[shards.of_node(*node)] += name;
        }
    }
    hosts
}

#[test]
fn subtrees_stay_whole() {
    for topology in [topology(), world()] {
        subtrees_of(&topology);
    }
}

fn subtrees_of(topology: &Topology) {
    let plan = plan(topology).unwrap();
    let [alone, two, three, four] =
        [vec!["abcdef"], vec!["abe", "cdf"], vec!["ab", "cd", "ef"], vec!["ab", "cd", "e", "f"]];
    for (threads, expect) in [(1, alone), (2, two), (3, three), (4, four.clone()), (64, four)] {
        assert_eq!(together(&plan, threads), expect, "{threads} threads");
        // Kernels and pipes change nothing about it.
        for other in [with_kernel_routers(&plan), with_pipes(plan.clone())] {
            assert_eq!(together(&other, threads), expect, "{threads} threads");
            let (built, shards) = cut(&other, threads);
            for step in &other.steps {
                let ends = match step {
                    LabStep::AddLink { from, to, .. } => [from.clone(), to.clone()],
                    LabStep::AddKernelRouter { name, .. } => [Place::Inner(name.clone()), Place::Outer(name.clone())],
                    _ => continue,
                };
                let is_core = |end: &Place| matches!(end, Place::Internet | Place::Region(_));
                let shards = ends.map(|end| (!is_core(&end)).then(|| shards.of_node(built.nodes[&end])));
                let [Some(one), Some(other)] = shards else { continue };
                assert_eq!(one, other, "{step:?}");
            }
        }
    }
    // Everything behind one router: there is nothing to share.
    let mut crowd = topology.clone();
    crowd.hosts.retain(|host| ["a", "b"].contains(&host.name.as_str()));
    crowd.routers.truncate(1);
    assert_eq!(together(&netsim_topology::plan(&crowd).unwrap(), 8), ["ab"]);
}

#[test]
fn links_are_where_their_hosts_are() {
    let plan = plan(&topology()).unwrap();
    let (built, shards) = cut(&plan, 4);
    let of = |place: Place| shards.of_node(built.nodes[&place]);
    for (LinkName { link, .. }, id) in &built.links {
        let place = match link.split_once('.').unwrap() {
            ("internet", _) => Place::Servers(None),
            (router, "uplink") => Place::Router(router.into()),
            (router, "servers") => Place::Servers(Some(router.into())),
            (host, _) => Place::Host(host.into()),
        };
        assert_eq!(shards.of_link(*id), of(place), "{link}");
    }
}
