//! Every parser that sees bytes from a network, called with any bytes at all. None may panic, whatever they are.

use netsim_fabric::wire::{self, IcmpError, MAX_HEADER, MAX_WRITTEN, Offload, parse, write_header, write_segment};
use netsim_fabric::{
    Body, Damage, Fabric, LinkConfig, NatConfig, Packet, Prefix, RouterConfig, Samples, Segments, Time, Trace,
};
use netsim_services::port_mapping::{self, Refusal, Router, Wish};
use netsim_services::upnp::{self, Gateway};
use netsim_services::{dns, stun};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

/// An offload header from the first bytes, as a device would hand it over, and the rest.
fn offload(data: &[u8]) -> (Offload, &[u8]) {
    data.split_first_chunk().map_or((Offload::default(), data), |(header, rest)| (Offload::read(header), rest))
}

/// IP, TCP, UDP and ICMP headers and `virtio_net_hdr`; what is read must be writable, segment by segment.
pub fn headers(data: &[u8]) {
    let (offload, packet) = offload(data);
    let Ok(parsed) = parse(&offload, packet) else { return };
    // What the lab passes on.
    if usize::from(parsed.layout.payload) > MAX_HEADER {
        return;
    }
    let mut header = [0; MAX_WRITTEN];
    write_header(&offload, packet, &parsed.layout, &parsed.segments, &parsed.head, &mut header);
    for index in 0..parsed.segments.total().min(4) {
        let segment = Segments { first: index, count: 1, ..parsed.segments };
        let mut out = vec![0; segment.wire_len(index) as usize + MAX_WRITTEN];
        for damage in [None, Some(Damage::new(data.len() as u64))] {
            write_segment(&offload, packet, &parsed.layout, &segment, &parsed.head, damage, &mut out);
        }
    }
}

/// Any packet through a network: a host behind a NAT, the internet, a host there.
pub fn headers_at_work(data: &[u8]) {
    let mut fabric: Fabric<Vec<u8>> = Fabric::new(1);
    let (inside, outside) = (fabric.add_host(), fabric.add_host());
    let address = |text: &str| -> Vec<IpAddr> { text.parse().into_iter().collect() };
    let core = fabric.add_router(None);
    let router = fabric.add_configured_router(RouterConfig {
        inside: address("192.168.1.1"),
        outside: address("198.18.0.1"),
        nat: Some(NatConfig::default()),
        ..RouterConfig::default()
    });
    let wire = LinkConfig::default;
    fabric.connect(inside, router, wire());
    fabric.connect(outside, core, wire());
    let (to_inside, _) = fabric.connect(router, inside, wire());
    let (to_outside, _) = fabric.connect(core, outside, wire());
    let (up, _) = fabric.connect(router, core, wire());
    let (down, _) = fabric.connect(core, router, wire());
    fabric.add_prefix_route(router, Prefix::new(Ipv4Addr::new(192, 168, 1, 0).into(), 24), to_inside);
    fabric.set_default_route(router, up);
    fabric.add_prefix_route(core, Prefix::new(Ipv4Addr::new(198, 18, 0, 1).into(), 32), down);
    fabric.set_default_route(core, to_outside);
    for (n, part) in data.chunks(data.len().div_ceil(3).max(1)).enumerate() {
        let from = if n % 2 == 0 { inside } else { outside };
        if let Some(packet) = Packet::from_bytes(part.to_vec()) {
            fabric.ingress(Time::from_nanos(n as u64), from, packet);
        }
        while let Some(egress) = fabric.poll(Time::from_nanos(n as u64)) {
            let _ = egress.packet.to_bytes();
        }
    }
}

/// ICMP errors that quote any packet, and answers to pings.
pub fn icmp(data: &[u8]) {
    let from = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1));
    for error in [IcmpError::HopLimit, IcmpError::NoRoute, IcmpError::TooBig { mtu: 1280 }] {
        let _ = wire::icmp_error(error, from, data);
        let _ = wire::icmp_error(error, "2001:2::1".parse().unwrap_or(from), data);
    }
    let _ = wire::echo_reply(data);
    if let (Some(quote), Ok(parsed)) = (wire::quote(data), parse(&Offload::default(), data)) {
        let _ = wire::rewrite_error(data, &parsed.head, &quote);
    }
    let _ = <Vec<u8> as Body>::from_bytes(data.to_vec());
}

const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 168, 1, 10), 40_000);

/// STUN requests and answers.
pub fn stun(data: &[u8]) {
    let at = |last, port| SocketAddr::from(([198, 18, 0, last], port));
    let server = stun::Server { primary: at(1, 3478), alternate: at(2, 3479) };
    let _ = server.answer(data, CLIENT.into(), server.primary);
    let _ = stun::read_answer(data);
}

/// A router that grants everything.
struct Generous;

impl Router for Generous {
    fn external(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, 0, 1)
    }

    fn map(&mut self, wish: &Wish) -> Result<SocketAddrV4, Refusal> {
        Ok(SocketAddrV4::new(self.external(), wish.external_port))
    }

    fn unmap(&mut self, _: netsim_fabric::Proto, _: SocketAddrV4) {}
}

/// NAT-PMP and PCP.
pub fn port_mapping(data: &[u8]) {
    let mut server = port_mapping::Server::default();
    if let Some(answer) = server.answer(data, CLIENT, 1, &mut Generous) {
        let _ = port_mapping::read_pcp_map_answer(&answer);
    }
    let _ = port_mapping::read_pcp_map_answer(data);
}

/// DNS queries.
pub fn dns(data: &[u8]) {
    let hosts = [("alice".to_owned(), vec![IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1))])];
    let zone = dns::Zone { hosts: hosts.into(), dns64: true };
    let _ = zone.answer(data, 512);
}

/// SSDP, and HTTP with SOAP in it.
pub fn upnp(data: &[u8]) {
    let _ = upnp::answer_search(data, *CLIENT.ip());
    let _ = Gateway::default().http(data, *CLIENT.ip(), &mut Generous);
}

/// Traces and samples that users bring.
pub fn lines(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Trace::parse(text);
        let _ = Samples::parse(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netsim_fabric::{Purpose, Stream};

    /// Where inputs start from: one valid message each, so that changes to it get far.
    fn seeds() -> Vec<Vec<u8>> {
        let udp = [
            0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 168, 1, 10, 198, 18, 0, 2, 0x12, 0x34, 0, 53, 0, 12, 0,
            0, 1, 2, 3, 4,
        ];
        let map =
            Wish { proto: netsim_fabric::Proto::Udp, internal: CLIENT, external_port: 7, exact: true, lifetime_s: 60 };
        vec![
            Vec::new(),
            udp.to_vec(),
            [&[0; 10][..], &udp].concat(),
            [&[1, 5, 42, 0, 2, 0, 20, 0, 6, 0][..], &udp].concat(),
            stun::request(1, stun::Change { ip: true, port: true }),
            port_mapping::pcp_map_request(*CLIENT.ip(), &map, [1; 12]),
            b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x05alice\x03lab\x08internal\0\0\x1c\0\x01".to_vec(),
            b"POST /control HTTP/1.1\r\nContent-Length: 4\r\n\r\n<a/>".to_vec(),
            b"M-SEARCH * HTTP/1.1\r\nMAN: \"ssdp:discover\"\r\nST: ssdp:all\r\n\r\n".to_vec(),
            b"0\n1\n5\n".to_vec(),
        ]
    }

    #[test]
    fn no_input_makes_a_target_panic() {
        let draws = Stream::new(1, 0, Purpose::Damage);
        let targets = [headers, headers_at_work, icmp, stun, port_mapping, dns, upnp, lines];
        let seeds = seeds();
        for n in 0..20_000 {
            let mut input = seeds[draws.below(10 * n, seeds.len() as u64) as usize].clone();
            for change in 1..draws.below(10 * n + 1, 6) {
                let draw = draws.draw(10 * n + 1 + change);
                let at = (draw >> 16) as usize % (input.len() + 1);
                match draw % 3 {
                    0 if at < input.len() => input[at] = (draw >> 8) as u8,
                    1 => input.insert(at, (draw >> 8) as u8),
                    _ => input.truncate(at),
                }
            }
            targets.iter().for_each(|target| target(&input));
        }
    }
}
