//! What is foretold of NAT behaviour discovery against the fabric: RFC 5780's questions are asked with packets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use netsim_fabric::{
    Collision, Endpoint, Fabric, Filtering, Hairpin, Mapping, NatConfig, NodeId, Outbound, Packet, PortAssignment, Time,
};
use netsim_services::behaviour::{BehaviourError, Client, Hairpinned, Socket, classify};
use netsim_services::stun::{Answer, Change, PORT};
use netsim_topology::{
    Access, Built, Discovery, Found, Gateway, Host, Lan, NAT_PRESETS, Place, Router, Topology, Turned, build,
    discovery, nat_preset, plan,
};
use proptest::prelude::*;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

/// A host that asks, and the servers that answer.
struct Prober {
    fabric: Fabric<u32>,
    host: NodeId,
    servers: NodeId,
    own: IpAddr,
    alternate: SocketAddr,
    now: Time,
}

impl Prober {
    /// What arrives where, of a packet from `from`: node, source, destination.
    fn send(&mut self, at: NodeId, from: SocketAddr, to: SocketAddr) -> Option<(NodeId, Endpoint, Endpoint)> {
        self.now = self.now + 1_000_000;
        let packet = Packet::udp(&from.to_string(), &to.to_string(), 100, 0).unwrap();
        // A host's own address never meets the network.
        if at == self.host && to.ip() == self.own {
            return Some((at, from.into(), to.into()));
        }
        self.fabric.ingress(self.now, at, packet);
        let mut arrived = None;
        while let Some(egress) = self.fabric.poll(self.now) {
            arrived = Some((egress.host, egress.packet.head.src, egress.packet.head.dst));
        }
        arrived
    }
}

fn address(endpoint: Endpoint) -> SocketAddr {
    SocketAddr::new(endpoint.addr, endpoint.port)
}

impl Client for Prober {
    type Error = Infallible;

    fn local(&self, socket: Socket) -> SocketAddr {
        SocketAddr::new(self.own, 40_000 + 100 * socket as u16)
    }

    fn ask(&mut self, socket: Socket, to: SocketAddr, change: Change) -> Result<Option<Answer>, Infallible> {
        let local = self.local(socket);
        let Some((servers, mapped, at)) = self.send(self.host, local, to) else { return Ok(None) };
        assert_eq!(servers, self.servers);
        let ip = if change.ip { self.alternate.ip() } else { at.addr };
        let port = if change.port { self.alternate.port() } else { at.port };
        let back = self.send(servers, SocketAddr::new(ip, port), address(mapped));
        let heard = back.is_some_and(|(host, _, at)| host == self.host && address(at) == local);
        let answer = Answer { transaction: 0, mapped: address(mapped), other: Some(self.alternate) };
        Ok(heard.then_some(answer))
    }

    fn hairpin(&mut self, to: SocketAddr, opening: SocketAddr) -> Result<Option<SocketAddr>, Infallible> {
        let [receiver, sender] = [Socket::Mapping, Socket::Hairpin].map(|socket| self.local(socket));
        self.send(self.host, receiver, opening);
        let back = self.send(self.host, sender, to);
        Ok(back
            .filter(|(host, _, at)| *host == self.host && address(*at) == receiver)
            .map(|(_, from, _)| address(from)))
    }
}

/// What host `a` finds when it asks.
fn found(topology: &Topology) -> Discovery {
    let plan = plan(topology).unwrap();
    let Built { nodes, fabric, .. } = build(&plan.steps, Fabric::new(3));
    let own = plan.addresses.hosts["a"][0];
    let servers: Vec<IpAddr> =
        plan.addresses.internet.iter().filter(|addr| addr.is_ipv4() == own.is_ipv4()).copied().collect();
    let mut prober = Prober {
        fabric,
        host: nodes[&Place::Host("a".into())],
        servers: nodes[&Place::Servers(None)],
        own,
        alternate: SocketAddr::new(servers[1], PORT + 1),
        now: Time::ZERO,
    };
    match classify(&mut prober, SocketAddr::new(servers[0], PORT)) {
        Err(BehaviourError::Silent { .. }) => Discovery::Silence,
        Err(error) => panic!("{error}"),
        Ok(got) => Discovery::Found(Found {
            mapping: got.mapping,
            filtering: got.filtering,
            port_preserved: got.port_preserved,
            hairpin: match got.hairpin {
                Hairpinned::Nothing => Turned::Nothing,
                Hairpinned::FromOutside => Turned::FromOutside,
                Hairpinned::FromInside => Turned::FromInside,
            },
        }),
    }
}

/// Host `a` behind these routers, the innermost first.
fn behind(gateways: &[Gateway]) -> Topology {
    let name = |n: usize| format!("r{n}");
    let routers = gateways.iter().enumerate().map(|(n, gateway)| Router {
        behind: (n + 1 < gateways.len()).then(|| name(n + 1)),
        ..Router::new(&name(n), *gateway, Access::default())
    });
    let outer = (!gateways.is_empty()).then(|| name(0));
    let host = Host::new("a", outer.as_deref(), Access::default());
    Topology { routers: routers.collect(), hosts: vec![host], ..Topology::default() }
}

#[test]
fn every_preset_is_found_as_foretold() {
    for preset in NAT_PRESETS {
        let topology = behind(&[preset.gateway()]);
        let foretold = discovery(&topology, "a");
        let expect = foretold.unwrap_or(OPEN);
        assert_eq!(found(&topology), expect, "{}", preset.name);
        assert_eq!(foretold.is_none(), preset.name == "no-nat", "{}", preset.name);
    }
    assert_eq!(discovery(&behind(&[]), "a"), None);
    assert_eq!(discovery(&behind(&[]), "b"), None);
}

/// Nothing in front.
const OPEN: Discovery = Discovery::Found(Found {
    mapping: None,
    filtering: Filtering::EndpointIndependent,
    port_preserved: true,
    hairpin: Turned::FromInside,
});

#[test]
fn known_routers_are_foretold_as_known() {
    let of = |names: &[&str]| {
        let gateways: Vec<Gateway> = names.iter().map(|name| nat_preset(name).unwrap()).collect();
        discovery(&behind(&gateways), "a")
    };
    let found = |mapping, filtering, port_preserved, hairpin| {
        Some(Discovery::Found(Found { mapping: Some(mapping), filtering, port_preserved, hairpin }))
    };
    let (independent, dependent) = (Mapping::EndpointIndependent, Mapping::AddressAndPortDependent);
    let strict = Filtering::AddressAndPortDependent;
    assert_eq!(of(&["home"]), found(independent, strict, true, Turned::Nothing));
    assert_eq!(of(&["fritzbox"]), found(independent, strict, true, Turned::FromOutside));
    assert_eq!(of(&["symmetric"]), found(dependent, strict, false, Turned::Nothing));
    // Its mappings differ, but all have one port.
    assert_eq!(of(&["linux"]), found(independent, strict, true, Turned::Nothing));
    assert_eq!(of(&["full-cone", "symmetric"]), found(dependent, strict, false, Turned::Nothing));
    assert_eq!(of(&["udp-blocked"]), Some(Discovery::Silence));
}

fn nats() -> impl Strategy<Value = NatConfig> {
    let mapping = prop::sample::select(vec![
        Mapping::EndpointIndependent,
        Mapping::AddressDependent,
        Mapping::AddressAndPortDependent,
    ]);
    let filtering = prop::sample::select(vec![
        Filtering::EndpointIndependent,
        Filtering::AddressDependent,
        Filtering::AddressAndPortDependent,
    ]);
    let hairpin = prop::sample::select(vec![Hairpin::Off, Hairpin::ExternalSource, Hairpin::InternalSource]);
    let ports = prop::sample::select(vec![PortAssignment::Preserve, PortAssignment::Random]);
    (mapping, filtering, hairpin, ports).prop_map(|(mapping, filtering, hairpin, ports)| {
        let collision = Collision::NextFree;
        NatConfig { mapping, filtering, hairpin, ports, collision, ..NatConfig::default() }
    })
}

proptest! {
    #[test]
    fn stacks_are_found_as_foretold(nats in prop::collection::vec(nats(), 1..4), firewall in 0..4_usize) {
        let mut gateways: Vec<Gateway> =
            nats.into_iter().map(|nat| Gateway { lan: Lan::Carrier, ..Gateway::with_nat(nat) }).collect();
        if let Some(gateway) = gateways.get_mut(firewall) {
            gateway.firewall.outbound = Outbound::NoUdp;
        }
        let topology = behind(&gateways);
        prop_assert_eq!(discovery(&topology, "a"), Some(found(&topology)));
    }
}
