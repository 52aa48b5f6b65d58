//! Interfaces that go up and down, and hosts that get other addresses, in virtual time.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use netsim_fabric::{Cause, Fabric, LinkConfig, LinkCounters, LinkId, NatConfig, NodeId, Packet, Sight, Time};
use proptest::prelude::*;
use std::net::IpAddr;

const MS: u64 = 1_000_000;

/// A phone at two routers, Wi-Fi (a NAT) and mobile (a plain one), and a public host.
struct Net {
    fabric: Fabric<usize>,
    wifi: NodeId,
    mobile: NodeId,
    public: NodeId,
    home: NodeId,
    carrier: NodeId,
    core: NodeId,
    /// To the Wi-Fi interface.
    wifi_down: LinkId,
    /// To the mobile one.
    mobile_down: LinkId,
}

const WIFI: &str = "192.168.1.10";
const MOBILE: &str = "198.18.0.5";
const PUBLIC: &str = "198.18.0.2";

/// Every link takes a millisecond. `mobile_up`: whether that interface is up at first.
fn net(mobile_up: bool) -> Net {
    let mut fabric = Fabric::new(1);
    let (wifi, mobile, public) = (fabric.add_host(), fabric.add_interface(mobile_up), fabric.add_host());
    let core = fabric.add_router(None);
    let home = fabric.add_router(Some(("198.18.0.1".parse().unwrap(), NatConfig::default())));
    let carrier = fabric.add_router(None);
    let config = LinkConfig { delay_ns: MS, ..LinkConfig::default() };
    let mut join = |router: NodeId, below: NodeId, known: &[&str]| {
        let (down, _) = fabric.connect(router, below, config.clone());
        let (up, _) = fabric.connect(below, router, config.clone());
        fabric.set_default_route(below, up);
        known.iter().for_each(|addr| fabric.add_route(router, addr.parse().unwrap(), down));
        down
    };
    let wifi_down = join(home, wifi, &[WIFI]);
    let mobile_down = join(carrier, mobile, &[MOBILE]);
    join(core, public, &[PUBLIC]);
    join(core, home, &["198.18.0.1"]);
    join(core, carrier, &[MOBILE]);
    Net { fabric, wifi, mobile, public, home, carrier, core, wifi_down, mobile_down }
}

impl Net {
    fn send(&mut self, now: u64, from: NodeId, src: &str, dst: &str) {
        let packet = Packet::udp(&format!("{src}:1000"), &format!("{dst}:1000"), 100, 0).unwrap();
        self.fabric.ingress(Time::from_nanos(now), from, packet);
    }

    /// Who got something until then.
    fn received(&mut self, until: u64) -> Vec<NodeId> {
        std::iter::from_fn(|| self.fabric.poll(Time::from_nanos(until))).map(|egress| egress.host).collect()
    }

    /// Whether a packet to there gets there. Takes a second.
    fn reaches(&mut self, now: u64, dst: &str, host: NodeId) -> bool {
        self.send(now, self.public, PUBLIC, dst);
        self.received(now + 1000 * MS) == [host]
    }
}

fn conserved(counters: LinkCounters) {
    assert_eq!(
        counters.packets + counters.duplicated,
        counters.delivered + counters.dropped() + counters.queued(),
        "{counters:?}"
    );
}

#[test]
fn what_gets_to_an_interface_that_is_down_is_dropped_by_name() {
    let mut net = net(true);
    net.fabric.tap(net.mobile_down, true);
    net.send(0, net.public, PUBLIC, MOBILE);
    net.send(0, net.mobile, MOBILE, PUBLIC);
    // Both are under way by now. What was sent before arrives, what comes does not.
    assert_eq!(net.received(MS), []);
    net.fabric.set_interface(net.mobile, false);
    assert_eq!(net.received(100 * MS), [net.public]);
    let counters = net.fabric.link_counters(net.mobile_down);
    assert_eq!((counters.packets, counters.delivered, counters.interface_down), (1, 0, 1));
    assert_eq!(counters.delivered_bytes, 0);
    conserved(counters);
    let sights: Vec<Sight> = net.fabric.take_sightings(net.mobile_down).iter().map(|seen| seen.sight).collect();
    assert_eq!(sights, [Sight::Entered, Sight::Dropped(Cause::InterfaceDown)]);
    // Nothing leaves it either.
    let before = net.fabric.flows(net.mobile);
    net.send(100 * MS, net.mobile, MOBILE, "198.18.0.9");
    assert_eq!((net.received(200 * MS), net.fabric.flows(net.mobile)), (vec![], before));
    net.fabric.set_interface(net.mobile, true);
    assert!(net.reaches(200 * MS, MOBILE, net.mobile));
}

#[test]
fn a_restart_brings_every_interface_back() {
    for up in [true, false] {
        let mut net = net(up);
        assert_eq!(net.reaches(0, MOBILE, net.mobile), up, "at first");
        net.fabric.set_interface(net.mobile, !up);
        net.fabric.set_interface(net.wifi, false);
        assert_eq!(net.reaches(2000 * MS, MOBILE, net.mobile), !up, "changed");
        net.fabric.restart(Time::from_nanos(4000 * MS), 2);
        assert_eq!(net.reaches(4000 * MS, MOBILE, net.mobile), up, "restarted");
        net.send(6000 * MS, net.wifi, WIFI, PUBLIC);
        assert_eq!(net.received(7000 * MS), [net.public]);
    }
}

#[test]
fn a_new_address_is_reached_and_the_old_one_is_not() {
    let mut net = net(true);
    let new: IpAddr = "198.18.0.77".parse().unwrap();
    assert!(net.reaches(0, MOBILE, net.mobile));
    net.fabric.readdress(net.mobile_down, &[new]);
    assert!(net.reaches(2000 * MS, "198.18.0.77", net.mobile), "through both routers");
    assert!(!net.reaches(4000 * MS, MOBILE, net.mobile));
    assert_eq!(net.fabric.router_drops(net.core).get(&Cause::NoRoute), Some(&1), "nobody knows it any more");
    // And once more; the first one is what a restart brings back.
    net.fabric.readdress(net.mobile_down, &["198.18.0.78".parse().unwrap()]);
    assert!(net.reaches(6000 * MS, "198.18.0.78", net.mobile));
    assert!(!net.reaches(8000 * MS, "198.18.0.77", net.mobile));
    net.fabric.restart(Time::from_nanos(9000 * MS), 1);
    assert!(net.reaches(9000 * MS, MOBILE, net.mobile));
    assert!(!net.reaches(11_000 * MS, "198.18.0.78", net.mobile));
    assert_eq!(net.fabric.router_drops(net.carrier).get(&Cause::NoRoute), None, "dropped where it is not known");
}

/// What a NAT has translated for the old address stays, and leads nowhere.
#[test]
fn mappings_of_an_old_address_time_out_like_others() {
    let mut net = net(true);
    net.send(0, net.wifi, WIFI, PUBLIC);
    net.received(1000 * MS);
    let external = |net: &mut Net, at: u64| -> Vec<u16> {
        let mappings = net.fabric.mappings(Time::from_nanos(at), net.home);
        mappings.iter().map(|mapping| mapping.external.port).collect()
    };
    let answer = |net: &mut Net, at: u64, port: u16| {
        let packet = Packet::udp(&format!("{PUBLIC}:1000"), &format!("198.18.0.1:{port}"), 100, 0).unwrap();
        net.fabric.ingress(Time::from_nanos(at), net.public, packet);
        net.received(at + 1000 * MS)
    };
    let ports = external(&mut net, 1000 * MS);
    assert_eq!(answer(&mut net, 1000 * MS, ports[0]), [net.wifi]);
    net.fabric.readdress(net.wifi_down, &["192.168.1.99".parse().unwrap()]);
    assert_eq!(external(&mut net, 2000 * MS), ports);
    assert_eq!(answer(&mut net, 2000 * MS, ports[0]), []);
    assert_eq!(net.fabric.router_drops(net.home).get(&Cause::NoRoute), Some(&1));
    net.send(3000 * MS, net.wifi, "192.168.1.99", PUBLIC);
    assert_eq!(net.received(4000 * MS), [net.public]);
    let both = external(&mut net, 4000 * MS);
    assert_eq!((both.len(), both[0]), (2, ports[0]));
    assert_eq!(answer(&mut net, 4000 * MS, both[1]), [net.wifi]);
}

#[derive(Debug, Clone, Copy)]
enum Deed {
    Send(bool),
    Switch(bool, bool),
    Readdress(u8),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => any::<bool>().prop_map(Deed::Send),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(wifi, up)| Deed::Switch(wifi, up)),
        1 => (10..250_u8).prop_map(Deed::Readdress),
    ]
}

/// Which deed's packet arrived where, after `deeds` a third of a millisecond apart.
fn play(net: &mut Net, start: u64, deeds: &[Deed]) -> Vec<(usize, NodeId, u64)> {
    let mut mobile = MOBILE.to_owned();
    let mut got = Vec::new();
    let mut until = |net: &mut Net, at: u64| {
        while let Some(egress) = net.fabric.poll(Time::from_nanos(at)) {
            got.push((egress.packet.body, egress.host, egress.scheduled.as_nanos() - start));
        }
    };
    for (n, deed) in deeds.iter().enumerate() {
        let now = start + n as u64 * MS / 3;
        until(net, now);
        match *deed {
            Deed::Send(down) => {
                let (from, src, dst) = match down {
                    true => (net.public, PUBLIC, mobile.as_str()),
                    false => (net.mobile, mobile.as_str(), PUBLIC),
                };
                let packet = Packet::udp(&format!("{src}:1"), &format!("{dst}:1"), 100, n).unwrap();
                net.fabric.ingress(Time::from_nanos(now), from, packet);
            }
            Deed::Switch(wifi, up) => net.fabric.set_interface(if wifi { net.wifi } else { net.mobile }, up),
            Deed::Readdress(last) => {
                mobile = format!("198.18.1.{last}");
                net.fabric.readdress(net.mobile_down, &[mobile.parse().unwrap()]);
            }
        }
    }
    until(net, start + 10_000 * MS);
    got
}

proptest! {
    /// Every packet is accounted for, nothing reaches an interface that is down, and a restart forgets everything.
    #[test]
    fn switching_loses_nothing_uncounted(deeds in prop::collection::vec(deed(), 1..80), up in any::<bool>()) {
        let mut net = net(up);
        let first = play(&mut net, 0, &deeds);
        let counters = net.fabric.link_counters(net.mobile_down);
        conserved(counters);
        let arrived = first.iter().filter(|(_, host, _)| *host == net.mobile).count() as u64;
        prop_assert_eq!((counters.delivered, counters.queued()), (arrived, 0));
        let state_at = |at: u64| {
            let before = deeds.iter().enumerate().filter(|(n, _)| (*n as u64 * MS / 3) < at);
            before.filter_map(|(_, deed)| match deed {
                Deed::Switch(false, up) => Some(*up),
                _ => None,
            }).next_back().unwrap_or(up)
        };
        for (_, _, at) in first.iter().filter(|(_, host, _)| *host == net.mobile) {
            prop_assert!(state_at(*at), "at {}", at);
        }
        net.fabric.restart(Time::from_nanos(20_000 * MS), 1);
        prop_assert_eq!(play(&mut net, 20_000 * MS, &deeds), first);
    }
}
