//! The oracle against the fabric: the hole-punching game is played with packets and must end as foretold.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use netsim_fabric::{
    Collision, Endpoint, Fabric, Filtering, Hairpin, Mapping, NatConfig, NodeId, Packet, PortAssignment, Proto, Time,
    nat64_from_v4, nat64_to_v4,
};
use netsim_topology::{
    Access, Allowed, Built, Expected, Gateway, Host, NAT_PRESETS, Place, Reason, Router, Topology, build, expected,
    nat_preset, plan,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// A network in which hosts can be found.
struct Field {
    fabric: Fabric<u32>,
    nodes: BTreeMap<Place, NodeId>,
    now: Time,
    inbox: BTreeMap<NodeId, Vec<Endpoint>>,
}

/// A socket of one host.
#[derive(Clone, Copy)]
struct Socket {
    node: NodeId,
    own: Endpoint,
}

impl Field {
    /// Sends all of it at once, then waits until everything has arrived.
    fn send(&mut self, packets: &[(Socket, Endpoint)]) {
        self.now = self.now + 20_000_000;
        for (socket, to) in packets {
            // A host without IPv4 finds it behind NAT64.
            let addr = if socket.own.addr.is_ipv6() { nat64_from_v4(to.addr) } else { to.addr };
            let text = |endpoint: Endpoint| SocketAddr::new(endpoint.addr, endpoint.port).to_string();
            let (src, dst) = (text(socket.own), text(Endpoint::new(addr, to.port)));
            self.fabric.ingress(self.now, socket.node, Packet::udp(&src, &dst, 100, 0).unwrap());
        }
        while let Some(egress) = self.fabric.poll(self.now) {
            let from = egress.packet.head.src;
            let from = Endpoint::new(nat64_to_v4(from.addr).unwrap_or(from.addr), from.port);
            self.inbox.entry(egress.host).or_default().push(from);
        }
    }

    fn received(&mut self, socket: Socket) -> Vec<Endpoint> {
        self.inbox.remove(&socket.node).unwrap_or_default()
    }
}

/// Plays the game in one family; whether the hosts reach each other.
fn play(topology: &Topology, v6: bool, allowed: Allowed) -> bool {
    let plan = plan(topology).unwrap();
    let Built { fabric, nodes, .. } = build(&plan.steps, Fabric::new(7));
    let mut field = Field { fabric, nodes, now: Time::ZERO, inbox: BTreeMap::new() };
    let socket = |field: &Field, name: &str, port| {
        let addresses = &plan.addresses.hosts[name];
        let own = addresses.iter().find(|addr| addr.is_ipv6() == v6).or(addresses.first()).unwrap();
        Socket { node: field.nodes[&Place::Host(name.into())], own: Endpoint::new(*own, port) }
    };
    let (a, b, rendezvous) = (socket(&field, "a", 4000), socket(&field, "b", 5000), socket(&field, "s", 3478));
    if allowed.port_mapping {
        for (name, socket) in [("a", a), ("b", b)] {
            let behind = topology.hosts.iter().find(|host| host.name == name).unwrap().interfaces[0].behind.as_ref();
            let router = behind.and_then(|behind| topology.routers.iter().find(|router| router.name == *behind));
            if let Some(router) = router.filter(|router| router.gateway.port_mapping) {
                let node = field.nodes[&Place::Router(router.name.clone())];
                let _ = field.fabric.map_port(field.now, node, Proto::Udp, socket.own, None, 7_200_000_000_000);
            }
        }
    }
    let observed = [a, b].map(|host| {
        field.send(&[(host, rendezvous.own)]);
        field.received(rendezvous).first().copied()
    });
    let [Some(seen_a), Some(seen_b)] = observed else { return false };
    let mut known = [BTreeSet::from([seen_b]), BTreeSet::from([seen_a])];
    for _ in 0..4 {
        let packets: Vec<_> =
            [a, b].into_iter().zip(&known).flat_map(|(host, known)| known.iter().map(move |to| (host, *to))).collect();
        field.send(&packets);
        for (host, known) in [a, b].into_iter().zip(&mut known) {
            known.extend(field.received(host));
        }
    }
    // Is there an endpoint that an answer comes back from?
    known[0].iter().any(|to| {
        field.send(&[(a, *to)]);
        field.received(a);
        let Some(from) = field.received(b).first().copied() else { return false };
        field.send(&[(b, from)]);
        field.received(b);
        field.received(a).contains(to)
    })
}

fn plays_direct(topology: &Topology, allowed: Allowed) -> bool {
    let has_v6 = |name: &str| plan(topology).unwrap().addresses.hosts[name].iter().any(IpAddr::is_ipv6);
    play(topology, false, allowed) || allowed.ipv6 && has_v6("a") && has_v6("b") && play(topology, true, allowed)
}

fn host(name: &str, behind: Option<&str>) -> Host {
    Host::new(name, behind, Access::default())
}

fn router(name: &str, behind: Option<&str>, gateway: Gateway) -> Router {
    Router { behind: behind.map(Into::into), ..Router::new(name, gateway, Access::default()) }
}

/// Hosts `a` and `b` behind routers of their own, `s` in public.
fn apart(left: Gateway, right: Gateway) -> Topology {
    Topology {
        routers: vec![router("left", None, left), router("right", None, right)],
        hosts: vec![host("a", Some("left")), host("b", Some("right")), host("s", None)],
        ..Topology::default()
    }
}

/// Both behind one router.
fn together(gateway: Gateway) -> Topology {
    Topology {
        routers: vec![router("one", None, gateway)],
        hosts: vec![host("a", Some("one")), host("b", Some("one")), host("s", None)],
        ..Topology::default()
    }
}

/// Both behind routers of their own, which are behind one.
fn stacked(left: Gateway, right: Gateway, carrier: Gateway) -> Topology {
    Topology {
        routers: vec![
            router("left", Some("carrier"), left),
            router("right", Some("carrier"), right),
            router("carrier", None, carrier),
        ],
        hosts: vec![host("a", Some("left")), host("b", Some("right")), host("s", None)],
        ..Topology::default()
    }
}

/// `a` behind two routers, `b` behind one.
fn uneven(inner: Gateway, outer: Gateway, right: Gateway) -> Topology {
    Topology {
        routers: vec![router("left", Some("outer"), inner), router("outer", None, outer), router("right", None, right)],
        hosts: vec![host("a", Some("left")), host("b", Some("right")), host("s", None)],
        ..Topology::default()
    }
}

fn variants() -> impl Iterator<Item = Allowed> {
    [(false, false), (true, false), (false, true), (true, true)]
        .into_iter()
        .map(|(port_mapping, ipv6)| Allowed { port_mapping, ipv6 })
}

/// Where the game does not end as foretold.
fn surprise(topology: &Topology) -> Option<String> {
    variants().find_map(|allowed| {
        let expect = expected(topology, "a", "b", allowed).unwrap();
        let direct = plays_direct(topology, allowed);
        (direct != (expect == Expected::Direct)).then(|| format!("{allowed:?}: expected {expect:?}, direct: {direct}"))
    })
}

fn check(what: &str, topology: &Topology) {
    assert_eq!(surprise(topology), None, "{what}");
}

#[test]
fn every_pair_of_presets_plays_as_foretold() {
    for left in NAT_PRESETS {
        for right in NAT_PRESETS {
            check(&format!("{} x {}", left.name, right.name), &apart(left.gateway(), right.gateway()));
        }
    }
}

#[test]
fn every_preset_plays_as_foretold_with_itself_in_front_of_both() {
    for preset in NAT_PRESETS {
        check(preset.name, &together(preset.gateway()));
        let modes = [Hairpin::Off, Hairpin::ExternalSource, Hairpin::InternalSource];
        for (hairpin, nat) in modes.into_iter().filter_map(|mode| Some((mode, preset.gateway().nat?))) {
            let gateway = Gateway { nat: Some(NatConfig { hairpin, ..nat }), ..preset.gateway() };
            check(&format!("{} with {hairpin:?}", preset.name), &together(gateway));
        }
    }
}

#[test]
fn stacks_of_presets_play_as_foretold() {
    // Only routers that pass IPv6 on may have routers with IPv6 behind them.
    let v4_only: Vec<_> = NAT_PRESETS.iter().filter(|p| p.gateway().ipv6 == netsim_topology::Ipv6::None).collect();
    for inner in &v4_only {
        for outer in ["home", "full-cone", "restricted-cone", "symmetric", "linux", "cgnat", "mobile", "fritzbox"] {
            let carrier = nat_preset(outer).unwrap();
            let what = format!("{} behind {outer}", inner.name);
            for other in ["home", "full-cone", "restricted-cone", "symmetric"] {
                let other = nat_preset(other).unwrap();
                check(&what, &stacked(inner.gateway(), other, carrier));
                check(&what, &uneven(inner.gateway(), carrier, other));
            }
        }
    }
}

#[test]
fn what_is_known_of_nats_is_foretold() {
    use Expected::{Direct, RelayOnly};
    let relay = |reason| RelayOnly { reason };
    // RFC 5128, section 3.3, and Tailscale's "How NAT traversal works".
    for (left, right, expect) in [
        ("no-nat", "no-nat", Direct),
        ("no-nat", "symmetric", Direct),
        ("home", "home", Direct),
        ("home", "linux", Direct),
        ("linux", "linux", Direct),
        ("full-cone", "symmetric", Direct),
        ("restricted-cone", "symmetric", Direct),
        ("home", "symmetric", relay(Reason::Filtered)),
        ("symmetric", "symmetric", relay(Reason::Filtered)),
        ("openbsd-pf", "home", relay(Reason::Filtered)),
        ("cgnat", "cgnat", Direct),
        ("cgnat", "mobile", Direct),
        ("mobile", "home", relay(Reason::Filtered)),
        ("cloud", "cloud", relay(Reason::Filtered)),
        ("hotel", "no-nat", relay(Reason::UdpBlocked)),
        ("corporate", "full-cone", relay(Reason::UdpBlocked)),
        ("ipv6-only", "home", Direct),
    ] {
        let topology = apart(nat_preset(left).unwrap(), nat_preset(right).unwrap());
        assert_eq!(expected(&topology, "a", "b", Allowed::default()), Some(expect), "{left} x {right}");
        assert_eq!(expected(&topology, "b", "a", Allowed::default()), Some(expect), "{right} x {left}");
    }
    let mapped = Allowed { port_mapping: true, ipv6: false };
    let topology = apart(nat_preset("home").unwrap(), nat_preset("symmetric").unwrap());
    assert_eq!(expected(&topology, "a", "b", mapped), Some(Direct), "a port mapping opens the home router");
    let home = together(nat_preset("home").unwrap());
    assert_eq!(expected(&home, "a", "b", Allowed::default()), Some(relay(Reason::Hairpin)));
    assert_eq!(expected(&home, "a", "nobody", Allowed::default()), None);
}

fn any_nat() -> impl Strategy<Value = NatConfig> {
    let mapping = prop_oneof![
        Just(Mapping::EndpointIndependent),
        Just(Mapping::AddressDependent),
        Just(Mapping::AddressAndPortDependent)
    ];
    let filtering = prop_oneof![
        Just(Filtering::EndpointIndependent),
        Just(Filtering::AddressDependent),
        Just(Filtering::AddressAndPortDependent)
    ];
    let ports =
        prop_oneof![Just(PortAssignment::Preserve), Just(PortAssignment::Sequential), Just(PortAssignment::Random)];
    let hairpin = prop_oneof![Just(Hairpin::Off), Just(Hairpin::ExternalSource), Just(Hairpin::InternalSource)];
    let collision = prop_oneof![Just(Collision::NextFree), Just(Collision::Overload)];
    (mapping, filtering, ports, hairpin, collision, any::<bool>()).prop_map(
        |(mapping, filtering, ports, hairpin, collision, parity)| NatConfig {
            mapping,
            filtering,
            ports,
            hairpin,
            collision,
            parity,
            ..NatConfig::default()
        },
    )
}

fn any_gateway() -> impl Strategy<Value = Gateway> {
    (any_nat(), any::<bool>()).prop_map(|(nat, port_mapping)| Gateway { port_mapping, ..Gateway::with_nat(nat) })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn all_combinations_play_as_foretold(
        a in any_gateway(), b in any_gateway(), c in any_gateway(), shape in 0_u8..4,
    ) {
        let topology = match shape {
            0 => apart(a, b),
            1 => together(a),
            2 => {
                // Two sequences that start alike would meet at the outer router, and luck decide who keeps the port.
                let ports = |nat: NatConfig| match nat.ports {
                    PortAssignment::Sequential => NatConfig { ports: PortAssignment::Random, ..nat },
                    _ => nat,
                };
                stacked(a, Gateway { nat: b.nat.map(ports), ..b }, c)
            }
            _ => uneven(a, c, b),
        };
        prop_assert_eq!(surprise(&topology), None);
    }
}
