//! Cross traffic.

use crate::host;
use crate::network::{pair, up};
use longhaul_record::{CrossKind, CrossReport};
use netsim_fabric::{LinkConfig, LinkState, Outage, Queue, Rate};
use netsim_lab::{CrossTraffic, Lab};
use netsim_topology::{
    Access, Change, Cross, Direction, Event, LinkName, Opening, Router, Topology, Traffic, nat_preset, opening,
};
use std::net::UdpSocket;
use std::num::NonZeroU64;

const MS: u64 = 1_000_000;

/// From the first host to the second.
fn flow(from: &str, to: &str, traffic: Traffic, stop_ms: Option<u64>) -> Cross {
    Cross {
        from: from.into(),
        to: to.into(),
        start_ns: 0,
        stop_ns: stop_ms.map(|ms| ms * MS),
        traffic,
        opening: Opening::Sender,
    }
}

fn tcp() -> Traffic {
    Traffic::Tcp { congestion: None }
}

/// A thousand packets of 500 bytes a second.
fn udp() -> Traffic {
    Traffic::Udp { rate_bps: NonZeroU64::new(4_000_000).unwrap(), packet_bytes: 500 }
}

fn start(lab: &Lab, flows: &[Cross]) -> CrossTraffic {
    lab.cross(flows).unwrap().start(netsim_lab::now()).unwrap()
}

/// Asks again and again, at most as long as the slowest machine needs.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = netsim_lab::now();
    while !holds() {
        assert!(netsim_lab::now().nanos_since(start) < 60_000 * MS, "still not: {what}");
        std::thread::yield_now();
    }
}

/// Packets and bytes that entered a link.
fn entered(lab: &Lab, link: &str, direction: Direction) -> (u64, u64) {
    let reports = lab.link_reports(&lab.snapshot().unwrap());
    let report = reports.iter().find(|report| report.link == link && report.direction == direction.as_str());
    report.map(|report| (report.packets, report.bytes)).unwrap()
}

fn packets(report: &CrossReport) -> (u64, u64) {
    let CrossKind::Udp { due_packets, sent_packets, .. } = report.kind else { panic!("{report:?}") };
    (due_packets, sent_packets)
}

pub(crate) fn constant_rates_keep_to_their_schedule() {
    let (_, lab) = up(&pair(LinkConfig { delay_ns: 5 * MS, ..LinkConfig::default() }), 1);
    for round in 0..2 {
        lab.restart(round).unwrap();
        let traffic = start(&lab, &[flow("a", "b", udp(), Some(1_000))]);
        until("the flow ends by itself", || traffic.ended());
        let report = traffic.stop().remove(0);
        let (due, sent) = packets(&report);
        assert_eq!(report.failure, None);
        // The first packet is sent when the thread gets to it, and then the schedule begins.
        assert!((1..=1_000).contains(&due), "{report:?}");
        // How many it is too late for is the machine's affair.
        assert!(sent > 0 && sent <= due, "{report:?}");
        // The network saw just that, and no link lost anything.
        assert_eq!(entered(&lab, "a.link", Direction::Up), (sent, sent * 500), "{report:?}");
        assert_eq!((report.lost_packets, report.received_bytes), (0, sent * 472), "{report:?}");
        let asked_bps = 4_000_000.0 * 472.0 / 500.0;
        assert!(report.goodput_bps < asked_bps * 1.01, "{report:?}");
    }
}

/// What a namespace's tables of sockets say of a port that a flow has.
fn sockets(lab: &Lab, host: &str) -> usize {
    let tables = ["tcp", "tcp6", "udp", "udp6"].map(|kind| format!("/proc/thread-self/net/{kind}"));
    let read = || tables.map(|table| std::fs::read_to_string(table).unwrap()).concat();
    let text = lab.host(host).unwrap().run(read).unwrap();
    // Ports 20000 and 21000.
    text.lines().filter(|line| line.contains(":4E20 ") || line.contains(":5208 ")).count()
}

/// A packet there and back: whatever was under way before has arrived.
fn round_trip(lab: &Lab) {
    let [a, b]: [UdpSocket; 2] = ["a", "b"].map(|name| lab.host(name).unwrap().udp().unwrap());
    let mut buffer = [0; 8];
    a.send_to(b"ping", b.local_addr().unwrap()).unwrap();
    let (_, from) = b.recv_from(&mut buffer).unwrap();
    b.send_to(b"pong", from).unwrap();
    a.recv(&mut buffer).unwrap();
}

pub(crate) fn tcp_flows_stop_and_start_anew() {
    let rate = Rate::Constant(NonZeroU64::new(20_000_000).unwrap());
    let link = LinkConfig { delay_ns: 5 * MS, rate, queue: Queue::drop_tail(100_000), ..LinkConfig::default() };
    let (_, lab) = up(&pair(link), 1);
    for round in 0..3 {
        lab.restart(round).unwrap();
        let traffic = start(&lab, &[flow("a", "b", tcp(), None)]);
        until("a million bytes", || entered(&lab, "a.link", Direction::Up).1 > 1_000_000);
        assert!(!traffic.ended() && sockets(&lab, "a") > 0 && sockets(&lab, "b") > 0);
        let report = traffic.stop().remove(0);
        assert_eq!(report.failure, None);
        assert!(report.received_bytes > 500_000 && report.received_bytes <= report.sent_bytes, "{report:?}");
        assert!(report.goodput_bps > 0.0 && report.goodput_bps < 20_400_000.0, "{report:?}");
        assert_eq!((sockets(&lab, "a"), sockets(&lab, "b")), (0, 0), "round {round}");
        round_trip(&lab);
        let before = [Direction::Up, Direction::Down].map(|direction| entered(&lab, "a.link", direction).0);
        round_trip(&lab);
        let after = [Direction::Up, Direction::Down].map(|direction| entered(&lab, "a.link", direction).0);
        assert_eq!(after, before.map(|packets| packets + 1), "nothing but the round trip");
    }
}

/// `a` and `b` behind routers of these presets, `server` on the internet.
fn network(a: &str, b: &str) -> Topology {
    let router = |name, preset| Router::new(name, nat_preset(preset).unwrap(), Access::default());
    let wire = LinkConfig { delay_ns: MS, ..LinkConfig::default() };
    let hosts = [("a", Some("home")), ("b", Some("office")), ("server", None)];
    Topology {
        routers: vec![router("home", a), router("office", b)],
        hosts: hosts.map(|(name, behind)| host(name, behind, wire.clone())).into(),
        ..Topology::default()
    }
}

pub(crate) fn flows_get_through_wherever_there_is_a_way() {
    const PRESETS: [&str; 6] = ["home", "full-cone", "symmetric", "cgnat", "ipv6-only", "no-nat"];
    let mut openings = Vec::new();
    for (n, home) in PRESETS.iter().enumerate() {
        for office in &PRESETS[n..] {
            let topology = network(home, office);
            let (_, lab) = up(&topology, 1);
            for (from, to) in [("a", "b"), ("b", "a"), ("a", "server"), ("server", "a"), ("server", "b")] {
                for traffic in [tcp(), udp()] {
                    let Ok(opening) = opening(&topology, from, to, &traffic) else { continue };
                    lab.restart(7).unwrap();
                    let label = format!("{} {from} → {to}, {home} {office}, {opening:?}", traffic.as_str());
                    let running = start(&lab, &[Cross { opening, ..flow(from, to, traffic, None) }]);
                    let link = format!("{to}.link");
                    until(&label, || entered(&lab, &link, Direction::Down).1 > 20_000 || running.ended());
                    let report = running.stop().remove(0);
                    assert!(report.failure.is_none() && report.received_bytes > 5_000, "{label}: {report:?}");
                    openings.push(opening);
                }
            }
        }
    }
    for opening in [Opening::Sender, Opening::Receiver, Opening::Both] {
        assert!(openings.contains(&opening), "{opening:?} was not tried");
    }
}

/// A receiver behind a NAT that forgets it shows itself again.
pub(crate) fn a_reboot_does_not_end_a_flow() {
    let (_, lab) = up(&network("symmetric", "home"), 1);
    let reboot = Event { at_ns: 300 * MS, change: Change::Reboot { router: "home".into() } };
    lab.play(1, &[reboot]).unwrap();
    let traffic = start(&lab, &[Cross { opening: Opening::Receiver, ..flow("server", "a", udp(), None) }]);
    let arrived = |more: u64| {
        let before = entered(&lab, "a.link", Direction::Down).0;
        until("packets arrive", || entered(&lab, "a.link", Direction::Down).0 > before + more);
    };
    until("the reboot", || lab.router_drops(&lab.snapshot().unwrap()).contains_key("home: nat_no_mapping"));
    arrived(50);
    let report = traffic.stop().remove(0);
    assert!(report.failure.is_none() && report.lost_packets > 0, "{report:?}");
}

pub(crate) fn flows_that_cannot_be_say_why() {
    let topology = pair(LinkConfig::default());
    let (_, lab) = up(&topology, 1);
    let with = |name: &str| Traffic::Tcp { congestion: Some(name.into()) };
    let error = lab.cross(&[flow("a", "b", with("nonsense"), None)]).unwrap_err().to_string();
    assert!(error.contains("no TCP congestion control `nonsense`; it has: ") && error.contains("reno"), "{error}");
    let error = lab.cross(&[flow("a", "c", tcp(), None)]).unwrap_err().to_string();
    assert!(error.contains("no host `c`"), "{error}");
    // Its own choice is what the record says.
    let traffic = start(&lab, &[flow("a", "b", with("reno"), Some(100))]);
    until("the flow ends by itself", || traffic.ended());
    let report = traffic.stop().remove(0);
    assert_eq!(report.kind, CrossKind::Tcp { congestion: "reno".into() }, "{report:?}");
    assert_eq!(report.failure, None);
    // Over a dead link none of them opens; a constant rate from the start needs nobody's leave.
    for direction in [Direction::Up, Direction::Down] {
        let config = LinkConfig { state: LinkState::Down(Outage::Drop), ..LinkConfig::default() };
        let name = LinkName { link: "a.link".into(), direction };
        lab.change(&Change::Link { name, config: Box::new(config) }).unwrap();
    }
    let knocking = Cross { opening: Opening::Receiver, ..flow("a", "b", udp(), Some(300)) };
    let flows = [flow("a", "b", tcp(), Some(300)), knocking, flow("a", "b", udp(), Some(300))];
    let traffic = start(&lab, &flows);
    until("all flows give up", || traffic.ended());
    let reports = traffic.stop();
    for report in &reports[..2] {
        let failure = report.failure.as_deref().unwrap_or_default();
        assert!(failure.contains("could not be opened within") && report.started_ns.is_none(), "{report:?}");
    }
    let (_, sent) = packets(&reports[2]);
    assert!(reports[2].failure.is_none() && sent > 0, "{reports:?}");
    assert_eq!((reports[2].lost_packets, reports[2].received_bytes), (sent, 0), "{reports:?}");
    // The link is up again.
    lab.restart(1).unwrap();
    let traffic = start(&lab, &[flow("a", "b", udp(), Some(100))]);
    until("the flow ends by itself", || traffic.ended());
    let report = traffic.stop().remove(0);
    assert!(report.received_bytes > 0 && report.lost_packets == 0, "{report:?}");
}
