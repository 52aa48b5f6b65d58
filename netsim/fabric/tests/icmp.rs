//! Routers that speak, and NATs that translate what other routers say: real bytes in, real bytes out, every checksum
//! computed anew.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use netsim_fabric::wire::{self, Offload};
use netsim_fabric::{
    Cause, Fabric, Filtering, FirewallConfig, Ipv6Config, LinkConfig, LinkId, Mtu, NatConfig, NodeId, Outbound,
    Oversize, Packet, Prefix, Proto, RouterConfig, Time,
};
use std::net::IpAddr;

struct Net {
    fabric: Fabric<Vec<u8>>,
    inside: NodeId,
    outside: NodeId,
    router: NodeId,
    core: NodeId,
    to_inside: LinkId,
    to_outside: LinkId,
    uplink: LinkId,
}

const PUBLIC_V4: &str = "198.18.0.2";
const PUBLIC_V6: &str = "2001:2::2";

/// A host behind a router of `config`, the core, a public host.
fn net(config: RouterConfig, own: &str) -> Net {
    let mut fabric = Fabric::new(1);
    let (inside, outside) = (fabric.add_host(), fabric.add_host());
    let addresses: Vec<IpAddr> = vec!["198.19.255.254".parse().unwrap(), "2001:2:0:ffff::1".parse().unwrap()];
    let core = RouterConfig { inside: addresses.clone(), outside: addresses, ..RouterConfig::default() };
    let core = fabric.add_configured_router(core);
    let external = config.outside.clone();
    let router = fabric.add_configured_router(config);
    let wire = LinkConfig::default;
    fabric.connect(inside, router, wire());
    fabric.connect(outside, core, wire());
    let (to_inside, _) = fabric.connect(router, inside, wire());
    let (to_outside, _) = fabric.connect(core, outside, wire());
    let (up, _) = fabric.connect(router, core, wire());
    let (down, _) = fabric.connect(core, router, wire());
    fabric.add_route(router, own.parse().unwrap(), to_inside);
    fabric.set_default_route(router, up);
    for addr in [PUBLIC_V4, PUBLIC_V6] {
        fabric.add_route(core, addr.parse().unwrap(), to_outside);
    }
    for addr in external {
        fabric.add_prefix_route(core, Prefix::new(addr, if addr.is_ipv4() { 32 } else { 64 }), down);
    }
    Net { fabric, inside, outside, router, core, to_inside, to_outside, uplink: up }
}

impl Net {
    /// Sends bytes; the bytes that arrive anywhere, checked.
    fn send(&mut self, from: NodeId, bytes: Vec<u8>) -> Option<(NodeId, Vec<u8>)> {
        self.fabric.ingress(Time::ZERO, from, Packet::from_bytes(bytes).unwrap());
        self.receive()
    }

    fn receive(&mut self) -> Option<(NodeId, Vec<u8>)> {
        let egress = self.fabric.poll(Time::ZERO)?;
        let bytes = egress.packet.to_bytes().unwrap();
        assert_valid(&bytes);
        let head = wire::parse(&Offload::default(), &bytes).unwrap().head;
        assert_eq!((head.src, head.dst), (egress.packet.head.src, egress.packet.head.dst));
        Some((egress.host, bytes))
    }
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]))).sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Header length, protocol, sum of the pseudo-header's addresses, length the header gives for what follows.
fn ip(packet: &[u8]) -> (usize, u8, u32, usize) {
    if packet[0] >> 4 == 4 {
        assert_eq!(fold(sum(&packet[..20])), 0xffff, "IPv4 header checksum");
        (20, packet[9], sum(&packet[12..20]), usize::from(u16::from_be_bytes([packet[2], packet[3]])) - 20)
    } else {
        (40, packet[6], sum(&packet[8..40]), usize::from(u16::from_be_bytes([packet[4], packet[5]])))
    }
}

/// Lengths and checksums are right, also those of a packet quoted whole.
fn assert_valid(packet: &[u8]) {
    let (start, protocol, addresses, len) = ip(packet);
    assert_eq!(len, packet.len() - start, "length");
    assert_transport(packet, start, protocol, addresses, len);
    let body = &packet[start..];
    let is_error = match protocol {
        1 => matches!(body[0], 3 | 4 | 5 | 11 | 12),
        58 => body[0] < 128,
        _ => false,
    };
    if is_error {
        let quoted = &body[8..];
        let (start, protocol, addresses, len) = ip(quoted);
        if quoted.len() == start + len {
            assert_transport(quoted, start, protocol, addresses, len);
        }
    }
}

fn assert_transport(packet: &[u8], start: usize, protocol: u8, addresses: u32, len: usize) {
    let pseudo = if protocol == 1 { 0 } else { addresses + u32::from(protocol) + u32::try_from(len).unwrap() };
    assert_eq!(fold(pseudo + sum(&packet[start..])), 0xffff, "checksum of protocol {protocol}");
}

/// A whole packet: protocol, addresses, hop limit, what follows the IP header with its checksum field at `checksum_at`.
fn packet(src: &str, dst: &str, protocol: u8, hop_limit: u8, checksum_at: usize, mut body: Vec<u8>) -> Vec<u8> {
    let (src, dst): (IpAddr, IpAddr) = (src.parse().unwrap(), dst.parse().unwrap());
    let len = u16::try_from(body.len()).unwrap();
    let mut header = match src {
        IpAddr::V4(_) => {
            let total = (len + 20).to_be_bytes();
            vec![0x45, 0, total[0], total[1], 0, 7, 0x40, 0, hop_limit, protocol, 0, 0]
        }
        IpAddr::V6(_) => vec![0x60, 0, 0, 0, len.to_be_bytes()[0], len.to_be_bytes()[1], protocol, hop_limit],
    };
    for addr in [src, dst] {
        match addr {
            IpAddr::V4(addr) => header.extend(addr.octets()),
            IpAddr::V6(addr) => header.extend(addr.octets()),
        }
    }
    let addresses = if src.is_ipv4() { sum(&header[12..]) } else { sum(&header[8..]) };
    if src.is_ipv4() {
        let checksum = !fold(sum(&header));
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
    }
    let pseudo = if protocol == 1 { 0 } else { addresses + u32::from(protocol) + u32::from(len) };
    let checksum = !fold(pseudo + sum(&body));
    body[checksum_at..checksum_at + 2].copy_from_slice(&checksum.to_be_bytes());
    header.extend(body);
    header
}

fn udp(src: &str, sport: u16, dst: &str, dport: u16, hop_limit: u8) -> Vec<u8> {
    let mut body = Vec::new();
    for word in [sport, dport, 16, 0] {
        body.extend(word.to_be_bytes());
    }
    body.extend(*b"payload!");
    packet(src, dst, 17, hop_limit, 6, body)
}

fn echo(src: &str, dst: &str, id: u16) -> Vec<u8> {
    let v6 = src.contains(':');
    let mut body = vec![if v6 { 128 } else { 8 }, 0, 0, 0];
    body.extend(id.to_be_bytes());
    body.extend([0, 1, 9, 9, 9]);
    packet(src, dst, if v6 { 58 } else { 1 }, 64, 2, body)
}

/// An error as a host or router on the way sends it.
fn error(src: &str, dst: &str, kind: u8, code: u8, rest: u32, about: &[u8]) -> Vec<u8> {
    let mut body = vec![kind, code, 0, 0];
    body.extend(rest.to_be_bytes());
    body.extend(about);
    packet(src, dst, if src.contains(':') { 58 } else { 1 }, 64, 2, body)
}

fn addresses(packet: &[u8]) -> (String, String) {
    let head = wire::parse(&Offload::default(), packet).unwrap().head;
    (head.src.addr.to_string(), head.dst.addr.to_string())
}

/// Type, code and quoted endpoints of an error.
fn said(packet: &[u8]) -> (u8, u8, String, String) {
    let quote = wire::quote(packet).unwrap();
    let start = if packet[0] >> 4 == 4 { 20 } else { 40 };
    let text = |endpoint: netsim_fabric::Endpoint| format!("{} {}", endpoint.addr, endpoint.port);
    (packet[start], packet[start + 1], text(quote.src), text(quote.dst))
}

fn home() -> RouterConfig {
    RouterConfig {
        inside: vec!["192.168.1.1".parse().unwrap()],
        outside: vec!["198.18.0.1".parse().unwrap()],
        nat: Some(NatConfig { ports: netsim_fabric::PortAssignment::Sequential, ..NatConfig::default() }),
        ..RouterConfig::default()
    }
}

const HOST: &str = "192.168.1.10";

#[test]
fn every_router_on_the_way_is_seen() {
    // Hop limit -> who says that it ran out. The second is beyond the NAT and quotes its translation.
    for (hop_limit, router) in [(1, "192.168.1.1"), (2, "198.19.255.254")] {
        let mut net = net(home(), HOST);
        let (host, bytes) = net.send(net.inside, udp(HOST, 4000, PUBLIC_V4, 33434, hop_limit)).unwrap();
        assert_eq!(host, net.inside);
        assert_eq!(addresses(&bytes), (router.into(), HOST.into()));
        assert_eq!(said(&bytes), (11, 0, format!("{HOST} 4000"), format!("{PUBLIC_V4} 33434")));
    }
    let mut net = net(home(), HOST);
    let (host, _) = net.send(net.inside, udp(HOST, 4000, PUBLIC_V4, 33434, 3)).unwrap();
    assert_eq!(host, net.outside);
}

#[test]
fn errors_are_translated_both_ways() {
    let mut net = net(home(), HOST);
    let (inside, outside) = (net.inside, net.outside);
    let (_, out) = net.send(inside, udp(HOST, 4000, PUBLIC_V4, 9, 64)).unwrap();
    assert_eq!(addresses(&out).0, "198.18.0.1");
    // A truncated quote, as old routers send it, and a whole one.
    for quoted in [&out[..28], &out[..]] {
        let port_unreachable = error(PUBLIC_V4, "198.18.0.1", 3, 3, 0, quoted);
        let (host, bytes) = net.send(outside, port_unreachable).unwrap();
        assert_eq!(host, inside);
        assert_eq!(said(&bytes), (3, 3, format!("{HOST} 4000"), format!("{PUBLIC_V4} 9")));
    }
    let (_, back) = net.send(outside, udp(PUBLIC_V4, 9, "198.18.0.1", 1024, 64)).unwrap();
    let (host, bytes) = net.send(inside, error(HOST, PUBLIC_V4, 3, 3, 0, &back)).unwrap();
    assert_eq!(host, outside);
    assert_eq!(addresses(&bytes), ("198.18.0.1".into(), PUBLIC_V4.into()));
    assert_eq!(said(&bytes), (3, 3, format!("{PUBLIC_V4} 9"), "198.18.0.1 1024".into()));
    // About a mapping that does not exist.
    let stranger = udp("198.18.0.1", 5555, PUBLIC_V4, 9, 64);
    assert_eq!(net.send(outside, error(PUBLIC_V4, "198.18.0.1", 3, 3, 0, &stranger)), None);
    assert_eq!(net.fabric.router_drops(net.router).get(&Cause::NatNoMapping), Some(&1));
}

#[test]
fn pings_are_answered_and_translated() {
    for target in ["192.168.1.1", "198.18.0.1", "198.19.255.254", PUBLIC_V4] {
        let mut net = net(home(), HOST);
        let inside = net.inside;
        let (host, bytes) = net.send(inside, echo(HOST, target, 77)).unwrap();
        if target == PUBLIC_V4 {
            assert_eq!((host, addresses(&bytes).0), (net.outside, "198.18.0.1".into()));
            continue;
        }
        assert_eq!(host, inside);
        assert_eq!(addresses(&bytes), (target.into(), HOST.into()));
        assert_eq!((bytes[20], &bytes[24..]), (0, &[0, 77, 0, 1, 9, 9, 9][..]));
    }
    let mut net = net(home(), HOST);
    let (host, bytes) = net.send(net.outside, echo(PUBLIC_V4, "198.18.0.1", 5)).unwrap();
    assert_eq!((host, addresses(&bytes)), (net.outside, ("198.18.0.1".into(), PUBLIC_V4.into())));
}

#[test]
fn senders_are_told_what_went_wrong() {
    let web = |reject| RouterConfig {
        firewall: FirewallConfig { outbound: Outbound::WebOnly { quic: false }, reject, ..FirewallConfig::default() },
        ..home()
    };
    // (router, packet, type and code of the answer)
    for (config, bytes, expect) in [
        (home(), udp(HOST, 1, "198.18.7.7", 9, 64), Some((3, 0))),
        (home(), udp(HOST, 1, "192.168.1.1", 9, 64), Some((3, 3))),
        (web(true), udp(HOST, 1, PUBLIC_V4, 9, 64), Some((3, 13))),
        (web(false), udp(HOST, 1, PUBLIC_V4, 9, 64), None),
        // Never about errors, groups or packets from nobody.
        (home(), error(HOST, "198.18.7.7", 3, 3, 0, &udp("198.18.7.7", 1, HOST, 1, 64)), None),
        (home(), udp(HOST, 1, "224.0.0.251", 5353, 1), None),
        (home(), udp("0.0.0.0", 1, "192.168.1.1", 9, 64), None),
    ] {
        let mut net = net(config, HOST);
        let got = net.send(net.inside, bytes.clone()).map(|(_, bytes)| (bytes[20], bytes[21]));
        assert_eq!(got, expect, "{bytes:02x?}");
    }
}

#[test]
fn errors_are_rationed() {
    let mut net = net(home(), HOST);
    let answers = |net: &mut Net, at: Time| {
        (0..200)
            .filter(|_| {
                let packet = Packet::from_bytes(udp(HOST, 1, PUBLIC_V4, 9, 1)).unwrap();
                net.fabric.ingress(at, net.inside, packet);
                net.fabric.poll(at).is_some()
            })
            .count()
    };
    assert_eq!(answers(&mut net, Time::ZERO), 50, "a burst");
    assert_eq!(answers(&mut net, Time::from_nanos(10_000_000)), 10, "then one a millisecond");
}

#[test]
fn too_big_is_said_in_the_senders_terms() {
    let mut net = net(home(), HOST);
    let (inside, outside) = (net.inside, net.outside);
    // So small that every packet is too large.
    let narrow = |net: &mut Net, link, mtu: Option<u32>| {
        let mtu = mtu.map(|bytes| Mtu { bytes, oversize: Oversize::TooBig });
        net.fabric.set_link(Time::ZERO, link, LinkConfig { mtu, ..LinkConfig::default() });
    };
    // Outwards, at the core and at the router's own uplink: the error crosses the NAT.
    for (link, from) in [(net.to_outside, "198.19.255.254"), (net.uplink, "198.18.0.1")] {
        narrow(&mut net, link, Some(13));
        let (host, bytes) = net.send(inside, udp(HOST, 4000, PUBLIC_V4, 9, 64)).unwrap();
        assert_eq!((host, said(&bytes)), (inside, (3, 4, format!("{HOST} 4000"), format!("{PUBLIC_V4} 9"))));
        assert_eq!(&bytes[26..28], &13_u16.to_be_bytes(), "next-hop MTU");
        assert_eq!(addresses(&bytes).0, from);
        narrow(&mut net, link, None);
    }
    // Inwards, behind the NAT: the packet is translated already.
    net.send(inside, udp(HOST, 4000, PUBLIC_V4, 9, 64)).unwrap();
    let (link, external) = (net.to_inside, net.fabric.mappings(Time::ZERO, net.router)[0].external.port);
    narrow(&mut net, link, Some(13));
    let (host, bytes) = net.send(outside, udp(PUBLIC_V4, 9, "198.18.0.1", external, 64)).unwrap();
    assert_eq!((host, said(&bytes)), (outside, (3, 4, format!("{PUBLIC_V4} 9"), format!("198.18.0.1 {external}"))));
    assert_eq!(addresses(&bytes).0, "198.18.0.1", "nobody outside hears of the inside");
}

const V6_HOST: &str = "2001:2:0:1::a";

fn nat64() -> RouterConfig {
    RouterConfig {
        inside: vec!["2001:2:0:1::1".parse().unwrap()],
        outside: vec!["198.18.0.1".parse().unwrap(), "2001:2:0:1::1".parse().unwrap()],
        nat: Some(NatConfig { ports: netsim_fabric::PortAssignment::Sequential, ..NatConfig::default() }),
        ipv6: Ipv6Config::Nat64,
        firewall: FirewallConfig { inbound_v6: Some(Filtering::AddressDependent), ..FirewallConfig::default() },
    }
}

#[test]
fn nat64_translates_all_it_should() {
    let mut net = net(nat64(), V6_HOST);
    let (inside, outside, core) = (net.inside, net.outside, net.core);
    let server = "64:ff9b::c612:2";
    let (host, bytes) = net.send(inside, udp(V6_HOST, 4000, server, 9, 64)).unwrap();
    assert_eq!((host, addresses(&bytes)), (outside, ("198.18.0.1".into(), PUBLIC_V4.into())));
    let (host, back) = net.send(outside, udp(PUBLIC_V4, 9, "198.18.0.1", 1024, 64)).unwrap();
    assert_eq!((host, addresses(&back)), (inside, (server.into(), V6_HOST.into())));
    // Errors: about what went out, and about what came in.
    let (host, said_in) = net.send(outside, error(PUBLIC_V4, "198.18.0.1", 3, 4, 1400, &bytes)).unwrap();
    assert_eq!((host, said(&said_in)), (inside, (2, 0, format!("{V6_HOST} 4000"), format!("{server} 9"))));
    assert_eq!(&said_in[44..48], &1420_u32.to_be_bytes(), "room for a longer header");
    let (host, said_out) = net.send(inside, error(V6_HOST, server, 1, 4, 0, &back)).unwrap();
    assert_eq!((host, said(&said_out)), (outside, (3, 3, format!("{PUBLIC_V4} 9"), "198.18.0.1 1024".into())));
    // Echo there and back.
    let (host, ping) = net.send(inside, echo(V6_HOST, server, 7)).unwrap();
    assert_eq!((host, ping[20]), (outside, 8));
    let id = u16::from_be_bytes([ping[24], ping[25]]);
    let mut reply = echo(PUBLIC_V4, "198.18.0.1", id);
    reply[20] = 0;
    let checksum = u16::from_be_bytes([reply[22], reply[23]]);
    reply[22..24].copy_from_slice(&fold(u32::from(checksum) + 0x0800).to_be_bytes());
    let (host, pong) = net.send(outside, reply).unwrap();
    assert_eq!((host, pong[40], &pong[44..46]), (inside, 129, &[0, 7][..]));
    // The path is seen: the core's error comes in as IPv6.
    let (host, bytes) = net.send(inside, udp(V6_HOST, 4000, server, 9, 2)).unwrap();
    assert_eq!((host, addresses(&bytes).0), (inside, "64:ff9b::c613:fffe".into()));
    assert_eq!(net.fabric.router_drops(core).get(&Cause::HopLimit), Some(&1));
    // IPv6 goes straight through.
    let (host, bytes) = net.send(inside, udp(V6_HOST, 4000, PUBLIC_V6, 9, 64)).unwrap();
    assert_eq!((host, addresses(&bytes).0), (outside, V6_HOST.into()));
}

#[test]
fn nptv6_changes_prefixes_and_no_checksum() {
    let local = "fd00:0:0:1::a";
    let inside = Prefix::new("fd00:0:0:1::".parse().unwrap(), 64);
    let outside = Prefix::new("2001:2:0:1::".parse().unwrap(), 64);
    let config = RouterConfig {
        outside: vec!["2001:2:0:1::1".parse().unwrap()],
        ipv6: Ipv6Config::Nptv6 { inside, outside },
        ..RouterConfig::default()
    };
    let mut net = net(config, local);
    let (host, public) = (net.inside, net.outside);
    let sent = udp(local, 4000, PUBLIC_V6, 9, 64);
    let (to, bytes) = net.send(host, sent.clone()).unwrap();
    let seen = addresses(&bytes).0;
    assert!(outside.contains(seen.parse().unwrap()), "{seen}");
    assert_eq!((to, &bytes[40..]), (public, &sent[40..]), "ports and checksum stay");
    let (to, back) = net.send(public, udp(PUBLIC_V6, 9, &seen, 4000, 64)).unwrap();
    assert_eq!((to, addresses(&back).1), (host, local.into()));
    let (to, bytes) = net.send(public, error(PUBLIC_V6, &seen, 1, 4, 0, &bytes)).unwrap();
    assert_eq!((to, said(&bytes)), (host, (1, 4, format!("{local} 4000"), format!("{PUBLIC_V6} 9"))));
}

#[test]
fn masquerade_hides_ipv6_too() {
    let config = RouterConfig {
        outside: vec!["2001:2:0:1::1".parse().unwrap()],
        ipv6: Ipv6Config::Masquerade(NatConfig {
            ports: netsim_fabric::PortAssignment::Random,
            ..NatConfig::default()
        }),
        ..RouterConfig::default()
    };
    let mut net = net(config, "fd00:0:0:1::a");
    let (_, bytes) = net.send(net.inside, udp("fd00:0:0:1::a", 4000, PUBLIC_V6, 9, 64)).unwrap();
    assert_eq!(addresses(&bytes).0, "2001:2:0:1::1");
    let port = u16::from_be_bytes([bytes[40], bytes[41]]);
    let (host, back) = net.send(net.outside, udp(PUBLIC_V6, 9, "2001:2:0:1::1", port, 64)).unwrap();
    assert_eq!((host, addresses(&back).1), (net.inside, "fd00:0:0:1::a".into()));
}

#[test]
fn firewalls_let_answers_in() {
    let inbound = |filtering| FirewallConfig { inbound_v6: Some(filtering), ..FirewallConfig::default() };
    // (filter, may another port of the same address answer)
    for (filtering, other_port) in [(Filtering::AddressAndPortDependent, false), (Filtering::AddressDependent, true)] {
        let outside = vec!["2001:2:0:1::1".parse().unwrap()];
        let mut net = net(RouterConfig { outside, firewall: inbound(filtering), ..RouterConfig::default() }, V6_HOST);
        let (host, public) = (net.inside, net.outside);
        let unasked = udp(PUBLIC_V6, 9, V6_HOST, 4000, 64);
        assert_eq!(net.send(public, unasked.clone()), None);
        let (_, sent) = net.send(host, udp(V6_HOST, 4000, PUBLIC_V6, 9, 64)).unwrap();
        assert!(net.send(public, unasked.clone()).is_some());
        assert_eq!(net.send(public, udp(PUBLIC_V6, 10, V6_HOST, 4000, 64)).is_some(), other_port);
        assert!(net.send(public, error(PUBLIC_V6, V6_HOST, 1, 4, 0, &sent)).is_some(), "an error about it");
        net.fabric.reboot_router(Time::ZERO, net.router);
        assert_eq!(net.send(public, unasked.clone()), None, "after a reboot");
        let pinhole = netsim_fabric::Endpoint::new(V6_HOST.parse().unwrap(), 4000);
        assert_eq!(net.fabric.map_port(Time::ZERO, net.router, Proto::Udp, pinhole, None, 9), Ok(pinhole));
        assert!(net.send(public, unasked.clone()).is_some(), "through a pinhole");
        assert!(net.fabric.unmap_port(Time::ZERO, net.router, Proto::Udp, pinhole));
        assert_eq!(net.send(public, unasked), None);
    }
}
