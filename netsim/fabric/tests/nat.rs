//! NAT inside a network: hosts behind routers, from outside and from inside.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use netsim_fabric::{
    Cause, Endpoint, Fabric, Filtering, FirewallConfig, Hairpin, LinkConfig, MapError, NatConfig, NodeId, Outbound,
    Packet, PortAssignment, Proto, RouterConfig, Scope, Time,
};
use std::net::SocketAddr;

struct Home {
    fabric: Fabric<()>,
    alice: NodeId,
    bob: NodeId,
    public: NodeId,
    router: NodeId,
}

/// Alice (192.168.1.10) and Bob (192.168.1.11) behind one router (198.18.0.1); a public host (198.18.0.2).
fn home(nat: NatConfig) -> Home {
    let mut fabric = Fabric::new(1);
    let [alice, bob, public] = [(); 3].map(|()| fabric.add_host());
    let core = fabric.add_router(None);
    let router = fabric.add_router(Some(("198.18.0.1".parse().unwrap(), nat)));
    let wire = LinkConfig::default();
    for (router, host, addr) in [
        (router, alice, "192.168.1.10"),
        (router, bob, "192.168.1.11"),
        (core, public, "198.18.0.2"),
        (core, router, "198.18.0.1"),
    ] {
        let (down, _) = fabric.connect(router, host, wire.clone());
        fabric.add_route(router, addr.parse().unwrap(), down);
        let (up, _) = fabric.connect(host, router, wire.clone());
        fabric.set_default_route(host, up);
    }
    Home { fabric, alice, bob, public, router }
}

impl Home {
    /// Sends a datagram; who received it, and from which endpoint.
    fn send(&mut self, from: NodeId, src: &str, dst: &str) -> Option<(NodeId, Endpoint, Endpoint)> {
        self.fabric.ingress(Time::ZERO, from, Packet::udp(src, dst, 100, ()).unwrap());
        let egress = self.fabric.poll(Time::ZERO)?;
        Some((egress.host, egress.packet.head.src, egress.packet.head.dst))
    }
}

fn endpoint(text: &str) -> Endpoint {
    text.parse::<SocketAddr>().unwrap().into()
}

#[test]
fn out_and_back() {
    let mut home = home(NatConfig { ports: PortAssignment::Random, ..NatConfig::default() });
    let (alice, public) = (home.alice, home.public);
    let (to, mapped, _) = home.send(alice, "192.168.1.10:4000", "198.18.0.2:80").unwrap();
    assert_eq!((to, mapped.addr.to_string().as_str()), (public, "198.18.0.1"));
    let reply = home.send(public, "198.18.0.2:80", &format!("198.18.0.1:{}", mapped.port)).unwrap();
    assert_eq!(reply, (alice, endpoint("198.18.0.2:80"), endpoint("192.168.1.10:4000")));
}

#[test]
fn from_outside_only_mappings_can_be_reached() {
    let mut home = home(NatConfig::default());
    let (public, router) = (home.public, home.router);
    assert_eq!(home.send(public, "198.18.0.2:80", "198.18.0.1:4000"), None);
    assert_eq!(home.send(public, "198.18.0.2:80", "192.168.1.10:4000"), None, "the core has no route inside");
    let drops = home.fabric.router_drops(router);
    assert_eq!(drops.get(&Cause::NatNoMapping), Some(&1));
}

#[test]
fn neighbours_talk_without_translation() {
    let mut home = home(NatConfig::default());
    let (alice, bob) = (home.alice, home.bob);
    let got = home.send(alice, "192.168.1.10:4000", "192.168.1.11:5000").unwrap();
    assert_eq!(got, (bob, endpoint("192.168.1.10:4000"), endpoint("192.168.1.11:5000")));
}

#[test]
fn hairpinning_shows_the_source_it_says() {
    let filtering = Filtering::EndpointIndependent;
    for hairpin in [Hairpin::ExternalSource, Hairpin::Off, Hairpin::InternalSource] {
        let mut home = home(NatConfig { hairpin, filtering, ..NatConfig::default() });
        let (alice, bob, router) = (home.alice, home.bob, home.router);
        home.send(bob, "192.168.1.11:5000", "198.18.0.2:80").unwrap();
        let got = home.send(alice, "192.168.1.10:4000", "198.18.0.1:5000");
        let source = match hairpin {
            Hairpin::Off => {
                assert_eq!(got, None);
                assert_eq!(home.fabric.router_drops(router).get(&Cause::NatHairpin), Some(&1));
                continue;
            }
            Hairpin::ExternalSource => "198.18.0.1:4000",
            Hairpin::InternalSource => "192.168.1.10:4000",
        };
        assert_eq!(got, Some((bob, endpoint(source), endpoint("192.168.1.11:5000"))));
    }
}

#[test]
fn restart_forgets_mappings() {
    let mut home = home(NatConfig { filtering: Filtering::EndpointIndependent, ..NatConfig::default() });
    let (alice, public) = (home.alice, home.public);
    home.send(alice, "192.168.1.10:4000", "198.18.0.2:80").unwrap();
    assert!(home.send(public, "198.18.0.2:80", "198.18.0.1:4000").is_some());
    home.fabric.restart(Time::ZERO, 2);
    assert_eq!(home.send(public, "198.18.0.2:80", "198.18.0.1:4000"), None);
}

#[test]
fn hop_limit_runs_out() {
    let mut home = home(NatConfig::default());
    let (alice, router) = (home.alice, home.router);
    let mut packet = Packet::udp("192.168.1.10:1", "198.18.0.2:2", 100, ()).unwrap();
    packet.head.hop_limit = 1;
    home.fabric.ingress(Time::ZERO, alice, packet);
    assert_eq!(home.fabric.poll(Time::ZERO), None);
    assert_eq!(home.fabric.router_drops(router).get(&Cause::HopLimit), Some(&1));
}

/// Sends at a later time.
fn send_at(home: &mut Home, seconds: u64, from: NodeId, src: &str, dst: &str) -> Option<(NodeId, Endpoint, Endpoint)> {
    let now = Time::from_nanos(seconds * 1_000_000_000);
    home.fabric.ingress(now, from, Packet::udp(src, dst, 100, ()).unwrap());
    let egress = home.fabric.poll(now)?;
    Some((egress.host, egress.packet.head.src, egress.packet.head.dst))
}

/// What patchbay 0.7 got wrong: a 2 s timeout that still delivered after 8 s; a full cone that died at 300 s despite
/// keepalives; the second of two hosts with one source port unreachable; hairpinning with the internal source; a flush
/// that left the map.
#[test]
fn where_others_were_caught() {
    let cone = NatConfig { filtering: Filtering::EndpointIndependent, ..NatConfig::default() };
    let server = "198.18.0.2:80";

    let mut short = home(NatConfig { timeout_ns: 2_000_000_000, ..cone });
    let (alice, bob, public, router) = (short.alice, short.bob, short.public, short.router);
    send_at(&mut short, 0, alice, "192.168.1.10:4000", server).unwrap();
    assert!(send_at(&mut short, 1, public, server, "198.18.0.1:4000").is_some());
    assert_eq!(send_at(&mut short, 8, public, server, "198.18.0.1:4000"), None);

    let mut kept = home(cone);
    for second in (0..1000).step_by(20) {
        let (_, mapped, _) = send_at(&mut kept, second, alice, "192.168.1.10:4000", server).unwrap();
        assert_eq!(mapped, endpoint("198.18.0.1:4000"), "at {second} s");
    }
    assert!(send_at(&mut kept, 1000, public, "198.18.0.2:99", "198.18.0.1:4000").is_some());

    let mut two = home(cone);
    send_at(&mut two, 0, alice, "192.168.1.10:4000", server).unwrap();
    let (_, second, _) = send_at(&mut two, 0, bob, "192.168.1.11:4000", server).unwrap();
    let (reached, ..) = send_at(&mut two, 1, public, server, &format!("198.18.0.1:{}", second.port)).unwrap();
    assert_eq!(reached, bob);

    let (to, source, _) = send_at(&mut two, 1, alice, "192.168.1.10:4000", "198.18.0.1:4001").unwrap();
    assert_eq!((to, source), (bob, endpoint("198.18.0.1:4000")), "REQ-9a");

    two.fabric.reboot_router(Time::from_nanos(2_000_000_000), router);
    assert_eq!(two.fabric.mappings(Time::from_nanos(2_000_000_000), router), []);
    assert_eq!(send_at(&mut two, 2, public, server, "198.18.0.1:4000"), None);
}

#[test]
fn a_renumbered_router_is_found_at_its_new_address() {
    let mut home = home(NatConfig { filtering: Filtering::EndpointIndependent, ..NatConfig::default() });
    let (alice, public, router) = (home.alice, home.public, home.router);
    send_at(&mut home, 0, alice, "192.168.1.10:4000", "198.18.0.2:80").unwrap();
    home.fabric.renumber(Time::from_nanos(1_000_000_000), router, vec!["198.18.0.9".parse().unwrap()]);
    for old in ["198.18.0.1:4000", "198.18.0.9:4000"] {
        assert_eq!(send_at(&mut home, 1, public, "198.18.0.2:80", old), None, "{old}");
    }
    let (_, source, _) = send_at(&mut home, 2, alice, "192.168.1.10:4000", "198.18.0.2:80").unwrap();
    assert_eq!(source, endpoint("198.18.0.9:4000"));
    assert!(send_at(&mut home, 2, public, "198.18.0.2:80", "198.18.0.9:4000").is_some());
    home.fabric.restart(Time::ZERO, 1);
    let (_, source, _) = send_at(&mut home, 0, alice, "192.168.1.10:4000", "198.18.0.2:80").unwrap();
    assert_eq!(source, endpoint("198.18.0.1:4000"), "a restart brings the first address back");
}

#[test]
fn port_mappings_are_for_those_inside() {
    let mut home = home(NatConfig::default());
    let (alice, public, router) = (home.alice, home.public, home.router);
    let map = |home: &mut Home, node, who: &str| {
        home.fabric.map_port(Time::ZERO, node, Proto::Udp, endpoint(who), Some(7000), 60_000_000_000)
    };
    assert_eq!(map(&mut home, router, "192.168.1.10:4000"), Ok(endpoint("198.18.0.1:7000")));
    assert_eq!(map(&mut home, router, "198.18.0.2:4000"), Err(MapError::NotInside));
    assert_eq!(map(&mut home, alice, "192.168.1.10:4000"), Err(MapError::NoNat));
    let got = send_at(&mut home, 59, public, "198.18.0.2:1", "198.18.0.1:7000").unwrap();
    assert_eq!((got.0, got.2), (alice, endpoint("192.168.1.10:4000")));
    let mappings = home.fabric.mappings(Time::from_nanos(59_000_000_000), router);
    assert_eq!(
        mappings.iter().map(|m| (m.explicit, m.remotes, m.external.port)).collect::<Vec<_>>(),
        [(true, Scope::Anyone, 7000)]
    );
    assert_eq!(send_at(&mut home, 60, public, "198.18.0.2:1", "198.18.0.1:7000"), None);
}

#[test]
fn neighbours_hear_groups_and_nobody_else_does() {
    let mut home = home(NatConfig::default());
    let (alice, bob, public) = (home.alice, home.bob, home.public);
    for group in ["224.0.0.251:5353", "239.255.255.250:1900", "255.255.255.255:9999", "[ff02::fb]:5353"] {
        let src = if group.starts_with('[') { "[fe80::1]:5353" } else { "192.168.1.10:5353" };
        assert_eq!(home.send(alice, src, group), Some((bob, endpoint(src), endpoint(group))));
        assert!(home.fabric.poll(Time::ZERO).is_none(), "not to the sender, not further");
        assert_eq!(home.send(public, "198.18.0.2:5353", group), None, "nobody hears it on the internet");
    }
    let flows = home.fabric.flows(alice);
    for proto in [Proto::Other(58), Proto::Other(2)] {
        let mut noise = Packet::udp("[fe80::1]:0", "[ff02::16]:0", 96, ()).unwrap();
        noise.head.proto = proto;
        home.fabric.ingress(Time::ZERO, alice, noise);
    }
    assert!(home.fabric.poll(Time::ZERO).is_none());
    assert_eq!(home.fabric.flows(alice), flows, "the kernel's own talk does not count");
}

#[test]
fn firewalls_let_out_what_they_should() {
    // (policy, protocol, port, passes)
    let web = Outbound::WebOnly { quic: false };
    let quic = Outbound::WebOnly { quic: true };
    for (outbound, proto, port, passes) in [
        (Outbound::All, Proto::Udp, 9, true),
        (Outbound::NoUdp, Proto::Udp, 443, false),
        (Outbound::NoUdp, Proto::Tcp, 9, true),
        (web, Proto::Tcp, 443, true),
        (web, Proto::Tcp, 22, false),
        (web, Proto::Udp, 443, false),
        (quic, Proto::Udp, 443, true),
        (quic, Proto::Udp, 444, false),
        (web, Proto::Echo, 0, false),
        (Outbound::Captive, Proto::Udp, 53, true),
        (Outbound::Captive, Proto::Tcp, 80, true),
        (Outbound::Captive, Proto::Tcp, 443, false),
    ] {
        for nat in [None, Some(NatConfig::default())] {
            let mut fabric: Fabric<()> = Fabric::new(1);
            let (inside, outside) = (fabric.add_host(), fabric.add_host());
            let firewall = FirewallConfig { outbound, ..FirewallConfig::default() };
            let external = vec!["198.18.0.1".parse().unwrap()];
            let router = fabric.add_configured_router(RouterConfig {
                outside: external,
                nat,
                firewall,
                ..RouterConfig::default()
            });
            let wire = LinkConfig::default;
            fabric.connect(inside, router, wire());
            fabric.connect(outside, router, wire());
            let (down, _) = fabric.connect(router, inside, wire());
            let (up, _) = fabric.connect(router, outside, wire());
            fabric.add_route(router, "198.18.7.10".parse().unwrap(), down);
            fabric.set_default_route(router, up);
            let mut packet = Packet::udp("198.18.7.10:4000", &format!("198.18.0.2:{port}"), 100, ()).unwrap();
            packet.head.proto = proto;
            fabric.ingress(Time::ZERO, inside, packet.clone());
            let got = fabric.poll(Time::ZERO);
            assert_eq!(got.is_some(), passes, "{outbound:?} {proto:?} {port}");
            let Some(got) = got else {
                assert_eq!(fabric.router_drops(router).get(&Cause::Firewall), Some(&1));
                continue;
            };
            // The answer comes back.
            let mut answer = got.packet;
            (answer.head.src, answer.head.dst) = (answer.head.dst, answer.head.src);
            fabric.ingress(Time::ZERO, outside, answer);
            assert_eq!(fabric.poll(Time::ZERO).map(|egress| egress.host), Some(inside));
        }
    }
}
