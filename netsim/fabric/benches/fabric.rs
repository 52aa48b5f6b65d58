//! The fabric core alone: what it costs to decide on packets, without devices, clocks and system calls.
//!
//! `cargo bench -p netsim-fabric`. Throughput counts wire segments: a super-packet of 45 is 45 decisions.
#![allow(missing_docs, reason = "criterion's macros generate undocumented functions")]

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use netsim_fabric::{
    CoDelConfig, Discipline, Ecn, Endpoint, Fabric, Head, Limit, LinkConfig, Loss, NatConfig, NodeId, Packet,
    Probability, Proto, Queue, Rate, Segments, Time,
};

/// Packets in one go, as the data plane reads them.
const BATCH: u64 = 64;
const SEGMENTS: u16 = 45;
const MSS: u16 = 1448;
/// IPv4 and TCP with time stamps.
const HEADER: u16 = 52;

/// Hosts around one router, each with a link of `config` on its way out.
struct Net {
    fabric: Fabric<()>,
    hosts: Vec<NodeId>,
    now: Time,
}

fn address(host: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 1)) + host as u32)
}

fn net(hosts: usize, config: LinkConfig) -> Net {
    let mut fabric = Fabric::new(1);
    let core = fabric.add_router(None);
    let add = |n| {
        let host = fabric.add_host();
        fabric.connect(host, core, config.clone());
        let (down, _) = fabric.connect(core, host, LinkConfig::default());
        fabric.add_route(core, address(n).into(), down);
        host
    };
    let hosts = (0..hosts).map(add).collect();
    Net { fabric, hosts, now: Time::ZERO }
}

fn packet(from: SocketAddr, to: SocketAddr, segments: Segments) -> Packet<()> {
    let (src, dst): (Endpoint, Endpoint) = (from.into(), to.into());
    Packet {
        head: Head { src, dst, proto: Proto::Tcp, hop_limit: 64, closing: false, ecn: Ecn::NotCapable },
        segments,
        damage: None,
        body: (),
    }
}

fn between(from: usize, to: usize, segments: Segments) -> Packet<()> {
    packet((address(from), 4000).into(), (address(to), 5000).into(), segments)
}

impl Net {
    /// One batch in, everything out. Returns how many runs came out.
    fn pass(&mut self, packets: &[(NodeId, Packet<()>)]) -> usize {
        self.now = self.now + 1_000_000;
        for (host, packet) in packets {
            self.fabric.ingress(self.now, *host, packet.clone());
        }
        std::iter::from_fn(|| self.fabric.poll(Time::from_nanos(u64::MAX))).map(black_box).count()
    }
}

fn plain() -> Segments {
    Segments::plain(HEADER, 1228)
}

fn super_packet() -> Segments {
    Segments::cut(HEADER, u32::from(SEGMENTS) * u32::from(MSS), MSS)
}

/// A link that cuts super-packets into a train at 100 Gbit/s, and is idle again before the next batch.
fn limited(discipline: Discipline) -> LinkConfig {
    let rate = NonZeroU64::new(100_000_000_000).map_or(Rate::Unlimited, Rate::Constant);
    let queue = Queue { limit: Limit::Bytes(16 << 20), discipline, ecn: false };
    LinkConfig { delay_ns: 5_000_000, rate, queue, coalesce_ns: 100_000, ..LinkConfig::default() }
}

fn one_percent() -> LinkConfig {
    let loss = Probability::from_ppb(10_000_000).expect("1 % is a probability");
    LinkConfig { delay_ns: 5_000_000, loss: Loss::Bernoulli(loss), coalesce_ns: 100_000, ..LinkConfig::default() }
}

/// A host behind a NAT and one outside; what goes out and what comes back.
fn nat() -> (Net, [(NodeId, Packet<()>); 2]) {
    let mut fabric = Fabric::new(1);
    let (inside, outside) = (fabric.add_host(), fabric.add_host());
    let external = address(9);
    let router = fabric.add_router(Some((external, NatConfig::default())));
    let wire = LinkConfig::default();
    fabric.connect(inside, router, wire.clone());
    fabric.connect(outside, router, wire.clone());
    let (to_inside, _) = fabric.connect(router, inside, wire.clone());
    let (to_outside, _) = fabric.connect(router, outside, wire);
    let private = Ipv4Addr::new(192, 168, 1, 10);
    fabric.add_route(router, private.into(), to_inside);
    fabric.set_default_route(router, to_outside);
    let out = packet((private, 4000).into(), (address(1), 5000).into(), plain());
    let back = packet((address(1), 5000).into(), (external, 4000).into(), plain());
    let net = Net { fabric, hosts: vec![inside, outside], now: Time::ZERO };
    let packets = [(net.hosts[0], out), (net.hosts[1], back)];
    (net, packets)
}

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("fabric");
    let batch =
        |net: &Net, segments| -> Vec<_> { (0..BATCH).map(|_| (net.hosts[0], between(0, 1, segments))).collect() };

    group.throughput(Throughput::Elements(BATCH));
    let mut wire = net(2, LinkConfig::default());
    let packets = batch(&wire, plain());
    assert_eq!(wire.pass(&packets) as u64, BATCH);
    group.bench_function("plain packets", |b| b.iter(|| wire.pass(&packets)));

    let (mut home, packets) = nat();
    let packets: Vec<_> = packets.iter().cycle().take(BATCH as usize).cloned().collect();
    // The first packet inwards finds no mapping yet, were it not for the one outwards in front of it.
    assert_eq!(home.pass(&packets) as u64, BATCH);
    group.bench_function("NAT, out and in", |b| b.iter(|| home.pass(&packets)));

    let mut crowd = net(100, LinkConfig { delay_ns: 5_000_000, ..LinkConfig::default() });
    let pairs = |n: u64| (n as usize % 100, (n as usize * 37 + 1) % 100);
    let packets: Vec<_> =
        (0..BATCH).map(pairs).map(|(from, to)| (crowd.hosts[from], between(from, to, plain()))).collect();
    assert_eq!(crowd.pass(&packets) as u64, BATCH);
    group.bench_function("100 hosts", |b| b.iter(|| crowd.pass(&packets)));

    group.throughput(Throughput::Elements(BATCH * u64::from(SEGMENTS)));
    let rows = [
        ("super-packets of 45", LinkConfig::default()),
        ("super-packets of 45, 1 % loss", one_percent()),
        ("super-packets of 45, rate", limited(Discipline::DropTail)),
        ("super-packets of 45, rate and CoDel", limited(Discipline::CoDel(CoDelConfig::default()))),
    ];
    for (name, config) in rows {
        let mut net = net(2, config);
        let packets = batch(&net, super_packet());
        assert!(net.pass(&packets) as u64 >= BATCH, "{name}");
        group.bench_function(name, |b| b.iter(|| net.pass(&packets)));
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
