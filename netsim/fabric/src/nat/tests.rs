//! RFC 4787 behaviours as rows: which packets get through which NAT, and from which port.

use super::*;
use crate::link::Cause;
use crate::packet::{Ecn, Head};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

const SECOND: u64 = 1_000_000_000;
const INSIDE: &str = "192.168.1.10:4000";
const X1: &str = "198.18.9.1:1";
const X2: &str = "198.18.9.1:2";
const EXTERNAL: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1));
const Y1: &str = "198.18.9.2:1";

fn head(src: &str, dst: &str) -> Head {
    let parse = |text: &str| Endpoint::from(text.parse::<SocketAddr>().unwrap());
    Head { src: parse(src), dst: parse(dst), proto: Proto::Udp, hop_limit: 64, closing: false, ecn: Ecn::NotCapable }
}

fn nat(config: NatConfig) -> Nat {
    Nat::new(1, 0, alloc::vec![EXTERNAL], config)
}

/// Sends from inside; the external port it comes out with.
fn out(nat: &mut Nat, seconds: u64, src: &str, dst: &str) -> u16 {
    let mut head = head(src, dst);
    nat.outbound(Time::from_nanos(seconds * SECOND), &mut head, None).unwrap();
    assert_eq!(head.src.addr, EXTERNAL);
    head.src.port
}

/// Sends from outside; the internal endpoint it reaches, or why not.
fn back(nat: &mut Nat, seconds: u64, src: &str, port: u16) -> Result<String, Cause> {
    let mut head = head(src, X1);
    head.dst = Endpoint::new(EXTERNAL, port);
    nat.inbound(Time::from_nanos(seconds * SECOND), &mut head, None)?;
    Ok(alloc::format!("{}:{}", head.dst.addr, head.dst.port))
}

#[test]
fn mapping_behaviours() {
    // A second destination: same external port for (another port, another address)?
    for (mapping, same_for_port, same_for_address) in [
        (Mapping::EndpointIndependent, true, true),
        (Mapping::AddressDependent, true, false),
        (Mapping::AddressAndPortDependent, false, false),
    ] {
        for ports in [PortAssignment::Preserve, PortAssignment::Sequential, PortAssignment::Random] {
            let mut nat = nat(NatConfig { mapping, ports, ..NatConfig::default() });
            let first = out(&mut nat, 0, INSIDE, X1);
            assert_eq!(out(&mut nat, 0, INSIDE, X2) == first, same_for_port, "{mapping:?} {ports:?}");
            assert_eq!(out(&mut nat, 0, INSIDE, Y1) == first, same_for_address, "{mapping:?} {ports:?}");
            assert_eq!(out(&mut nat, 0, INSIDE, X1), first, "the first mapping stays");
        }
    }
}

#[test]
fn filtering_behaviours() {
    // After a packet to X1, who may answer: (X1, X2, Y1)?
    for (filtering, allowed) in [
        (Filtering::EndpointIndependent, [true, true, true]),
        (Filtering::AddressDependent, [true, true, false]),
        (Filtering::AddressAndPortDependent, [true, false, false]),
    ] {
        let mut nat = nat(NatConfig { filtering, ..NatConfig::default() });
        let port = out(&mut nat, 0, INSIDE, X1);
        for (remote, allowed) in [X1, X2, Y1].into_iter().zip(allowed) {
            let expect = if allowed { Ok(INSIDE.into()) } else { Err(Cause::NatFiltered) };
            assert_eq!(back(&mut nat, 1, remote, port), expect, "{filtering:?} from {remote}");
        }
        assert_eq!(back(&mut nat, 1, X1, port + 1), Err(Cause::NatNoMapping));
    }
}

#[test]
fn mappings_die_on_time_and_only_inside_traffic_keeps_them() {
    let config = NatConfig { timeout_ns: 2 * SECOND, ..NatConfig::default() };
    let mut nat = nat(config);
    let port = out(&mut nat, 0, INSIDE, X1);
    assert!(back(&mut nat, 1, X1, port).is_ok());
    assert_eq!(back(&mut nat, 2, X1, port), Err(Cause::NatNoMapping), "dead at exactly the timeout");
    // Keepalives hold it far beyond the timeout.
    for second in 10..400 {
        assert_eq!(out(&mut nat, second, INSIDE, X1), port);
    }
    assert!(back(&mut nat, 400, X1, port).is_ok());
    assert_eq!(back(&mut nat, 401, X1, port), Err(Cause::NatNoMapping), "the inbound packet did not refresh it");
}

#[test]
fn inbound_refresh_when_asked_for() {
    let mut nat = nat(NatConfig { timeout_ns: 2 * SECOND, inbound_refresh: true, ..NatConfig::default() });
    let port = out(&mut nat, 0, INSIDE, X1);
    for second in 1..20 {
        assert!(back(&mut nat, second, X1, port).is_ok(), "at {second} s");
    }
}

#[test]
fn a_filter_entry_dies_although_its_mapping_lives() {
    let mut nat = nat(NatConfig { timeout_ns: 2 * SECOND, ..NatConfig::default() });
    let port = out(&mut nat, 0, INSIDE, Y1);
    for second in 1..5 {
        out(&mut nat, second, INSIDE, X1);
    }
    assert!(back(&mut nat, 5, X1, port).is_ok());
    assert_eq!(back(&mut nat, 5, Y1, port), Err(Cause::NatFiltered));
}

#[test]
fn two_hosts_with_one_port_are_both_reachable() {
    let config = NatConfig { filtering: Filtering::EndpointIndependent, ..NatConfig::default() };
    let mut nat = nat(config);
    let first = out(&mut nat, 0, INSIDE, X1);
    let second = out(&mut nat, 0, "192.168.1.11:4000", X1);
    assert_eq!((first, second), (4000, 4001), "preserved, then the next free one");
    assert_eq!(back(&mut nat, 1, Y1, first), Ok(INSIDE.into()));
    assert_eq!(back(&mut nat, 1, Y1, second), Ok("192.168.1.11:4000".into()));
}

#[test]
fn protocols_have_port_spaces_of_their_own() {
    let mut nat = nat(NatConfig::default());
    let udp = out(&mut nat, 0, INSIDE, X1);
    let mut tcp = head("192.168.1.11:4000", X1);
    tcp.proto = Proto::Tcp;
    nat.outbound(Time::ZERO, &mut tcp, None).unwrap();
    assert_eq!((udp, tcp.src.port), (4000, 4000));
    let mut gre = head(INSIDE, X1);
    gre.proto = Proto::Other(47);
    assert_eq!(nat.outbound(Time::ZERO, &mut gre, None), Err(Cause::NatProtocol));
}

#[test]
fn a_closed_tcp_connection_gives_its_port_back() {
    let mut nat = nat(NatConfig::default());
    let mut tcp = head(INSIDE, X1);
    (tcp.proto, tcp.closing) = (Proto::Tcp, true);
    nat.outbound(Time::ZERO, &mut tcp, None).unwrap();
    let lives = |seconds: u64| nat.mappings(Time::from_nanos(seconds * SECOND)).len();
    assert_eq!((lives(239), lives(240)), (1, 0));
}

#[test]
fn ports_run_out_and_come_back() {
    let config = NatConfig { mapping: Mapping::AddressAndPortDependent, timeout_ns: SECOND, ..NatConfig::default() };
    let mut nat = nat(config);
    let port_of = |n: u64| alloc::format!("198.19.{}.{}:{}", n >> 8 & 255, n & 255, 1 + (n >> 16));
    let used: Vec<u16> = (0..64_512).map(|n| out(&mut nat, 0, INSIDE, &port_of(n))).collect();
    assert_eq!(used.len(), 64_512);
    let mut one_more = head(INSIDE, X1);
    assert_eq!(nat.outbound(Time::ZERO, &mut one_more, None), Err(Cause::NatExhausted));
    assert_eq!(out(&mut nat, 1, INSIDE, X1), 4000, "a second later all have expired");
}

#[test]
fn lifetimes_and_unanswered_timeouts() {
    let base = NatConfig { timeout_ns: 10 * SECOND, ..NatConfig::default() };
    // (behaviour, answered at 1 s, kept alive from inside every second, dead at)
    for (config, answered, kept, dead_at) in [
        (base, true, false, 10),
        (NatConfig { unanswered_timeout_ns: Some(3 * SECOND), ..base }, false, false, 3),
        (NatConfig { unanswered_timeout_ns: Some(3 * SECOND), ..base }, true, false, 10),
        (NatConfig { lifetime_ns: Some(25 * SECOND), ..base }, false, true, 25),
        (NatConfig { lifetime_ns: Some(25 * SECOND), ..base }, true, false, 10),
        (NatConfig { inbound_refresh: true, ..base }, true, false, 11),
    ] {
        let mut nat = nat(config);
        let port = out(&mut nat, 0, INSIDE, X1);
        if answered {
            back(&mut nat, 1, X1, port).unwrap();
        }
        for second in 1..dead_at {
            if kept {
                out(&mut nat, second, INSIDE, X1);
            }
            let lives = nat.mappings(Time::from_nanos(second * SECOND));
            assert_eq!(lives.len(), 1, "{config:?} at {second} s");
        }
        assert_eq!(nat.mappings(Time::from_nanos(dead_at * SECOND)), [], "{config:?}");
        assert_eq!(back(&mut nat, dead_at, X1, port), Err(Cause::NatNoMapping));
    }
}

/// Linux: the longer time-out is for mappings with an answer that are two seconds old when the next packet passes.
#[test]
fn an_answer_counts_once_the_mapping_has_settled() {
    let config = NatConfig {
        timeout_ns: 10 * SECOND,
        unanswered_timeout_ns: Some(3 * SECOND),
        settling_ns: Some(2 * SECOND),
        inbound_refresh: true,
        ..NatConfig::default()
    };
    // (passes outwards, and is answered, at; ends at)
    for (passes, ends) in [
        (&[(0, false)][..], 3),
        (&[(0, true)], 3),
        (&[(0, true), (2, false)], 5),
        (&[(0, true), (2, true), (3, false)], 13),
        (&[(0, false), (2, false), (4, true)], 7),
        (&[(0, false), (2, false), (4, true), (5, false)], 15),
    ] {
        let mut nat = nat(config);
        for (at, answered) in passes {
            let port = out(&mut nat, *at, INSIDE, X1);
            if *answered {
                back(&mut nat, *at, X1, port).unwrap();
            }
        }
        let mappings = nat.mappings(Time::from_nanos(passes.last().unwrap().0 * SECOND));
        assert_eq!(mappings[0].expires, Time::from_nanos(ends * SECOND), "{passes:?}");
    }
}

/// Linux looks first at what it has already given to an endpoint (`find_appropriate_src`).
#[test]
fn an_endpoint_moved_by_a_collision_stays_there() {
    let config = NatConfig {
        mapping: Mapping::AddressAndPortDependent,
        filtering: Filtering::AddressAndPortDependent,
        collision: Collision::Overload,
        ..NatConfig::default()
    };
    let mut nat = nat(config);
    assert_eq!(out(&mut nat, 0, INSIDE, X1), 4000);
    let moved = out(&mut nat, 0, "192.168.1.11:4000", X1);
    assert_ne!(moved, 4000);
    assert_eq!(out(&mut nat, 0, "192.168.1.11:4000", X2), moved);
    assert_eq!(out(&mut nat, 0, INSIDE, X2), 4000);
    assert_eq!(out(&mut nat, 400, "192.168.1.11:4000", X2), 4000, "everything has expired");
}

#[test]
fn parity_is_kept() {
    for ports in [PortAssignment::Preserve, PortAssignment::Sequential, PortAssignment::Random] {
        let mut nat = nat(NatConfig { ports, parity: true, ..NatConfig::default() });
        for n in 0..200_u16 {
            let port = out(&mut nat, 0, &alloc::format!("192.168.1.{}:{}", n / 50 + 10, 4000 + n % 50), X1);
            assert_eq!(port % 2, n % 2, "{ports:?}");
        }
    }
}

#[test]
fn subscribers_keep_to_their_blocks() {
    let config = NatConfig {
        mapping: Mapping::AddressAndPortDependent,
        ports: PortAssignment::Random,
        port_block: NonZeroU16::new(100),
        ..NatConfig::default()
    };
    let externals: Vec<IpAddr> = [1, 2].map(|n| IpAddr::V4(Ipv4Addr::new(198, 18, 0, n))).into();
    let mut nat = Nat::new(1, 0, externals.clone(), config);
    let mut seen: Vec<(IpAddr, u16)> = Vec::new();
    for host in ["100.64.0.10", "100.64.0.11", "100.64.2.200"] {
        let mut ports = Vec::new();
        for n in 0..101_u16 {
            let mut packet = head(&alloc::format!("{host}:4000"), &alloc::format!("198.18.9.1:{}", n + 1));
            match nat.outbound(Time::ZERO, &mut packet, None) {
                Ok(()) => ports.push((packet.src.addr, packet.src.port)),
                // RFC 6888, REQ-4: one subscriber cannot eat the ports of others.
                Err(cause) => assert_eq!((n, cause), (100, Cause::NatExhausted)),
            }
        }
        ports.sort_unstable();
        assert_eq!(ports.len(), 100);
        assert_eq!((ports[0].0, ports[99].1), (ports[99].0, ports[0].1 + 99), "one address, one range");
        // From the port alone, the subscriber can be told.
        let address = externals.iter().position(|addr| *addr == ports[0].0).unwrap() as u64;
        let block = address * 645 + u64::from(ports[0].1 - 1024) / 100;
        let subscriber = u32::from(host.parse::<Ipv4Addr>().unwrap()) & 0x3f_ffff;
        assert_eq!(block, u64::from(subscriber) % (2 * 645));
        assert!(!seen.contains(&ports[0]), "blocks differ");
        seen.extend(ports);
    }
}

#[test]
fn overloaded_ports_are_told_apart_by_the_remote() {
    let other = "192.168.1.11:4000";
    let shared = NatConfig {
        mapping: Mapping::AddressAndPortDependent,
        filtering: Filtering::AddressAndPortDependent,
        collision: Collision::Overload,
        ..NatConfig::default()
    };
    let mut nat = nat(shared);
    assert_eq!(out(&mut nat, 0, INSIDE, X1), 4000);
    assert_eq!(out(&mut nat, 0, INSIDE, Y1), 4000, "one's own port can be had for every destination");
    assert_eq!(out(&mut nat, 0, other, X2), 4000, "another host's too, towards another endpoint");
    assert_eq!(out(&mut nat, 0, other, X1), 4001, "not towards the same one");
    for (remote, owner) in [(X1, INSIDE), (Y1, INSIDE), (X2, other)] {
        assert_eq!(back(&mut nat, 1, remote, 4000), Ok(owner.into()), "from {remote}");
    }
    assert_eq!(back(&mut nat, 1, "198.18.9.9:9", 4000), Err(Cause::NatFiltered));
    // What has ended is in nobody's way.
    assert_eq!(out(&mut nat, 1000, "192.168.1.12:4000", X1), 4000);
    // With endpoint-independent filtering nothing could be told apart: the next free port it is.
    for (filtering, expect) in [
        (Filtering::EndpointIndependent, 4001),
        (Filtering::AddressDependent, 4001),
        (Filtering::AddressAndPortDependent, 4000),
    ] {
        let mut nat = self::nat(NatConfig { mapping: Mapping::EndpointIndependent, filtering, ..shared });
        out(&mut nat, 0, INSIDE, X1);
        assert_eq!(out(&mut nat, 0, other, X2), expect, "{filtering:?}");
        assert_eq!(back(&mut nat, 1, X1, 4000), Ok(INSIDE.into()));
        assert_eq!(back(&mut nat, 1, X2, expect), Ok(other.into()));
    }
}

#[test]
fn pools_are_paired_or_arbitrary() {
    let externals: Vec<IpAddr> = (1..=4).map(|n| IpAddr::V4(Ipv4Addr::new(198, 18, 0, n))).collect();
    for (pooling, one_each) in [(Pooling::Paired, true), (Pooling::Arbitrary, false)] {
        let mut nat = Nat::new(1, 0, externals.clone(), NatConfig { pooling, ..NatConfig::default() });
        let mut of_hosts = Vec::new();
        for host in 10..18 {
            let mut addresses: Vec<IpAddr> = (0..20)
                .map(|n| {
                    let mut packet = head(&alloc::format!("192.168.1.{host}:{}", 4000 + n), X1);
                    nat.outbound(Time::ZERO, &mut packet, None).unwrap();
                    packet.src.addr
                })
                .collect();
            addresses.sort_unstable();
            addresses.dedup();
            assert_eq!(addresses.len() == 1, one_each, "{pooling:?}: {addresses:?}");
            of_hosts.extend(addresses);
        }
        of_hosts.sort_unstable();
        of_hosts.dedup();
        assert_eq!(of_hosts, externals, "all are used");
    }
}

#[test]
fn mappings_on_request() {
    for mapping in [Mapping::EndpointIndependent, Mapping::AddressAndPortDependent] {
        let config = NatConfig { mapping, filtering: Filtering::AddressAndPortDependent, ..NatConfig::default() };
        let mut nat = nat(config);
        let at = |seconds: u64| Time::from_nanos(seconds * SECOND);
        let own = head(INSIDE, X1).src;
        let neighbour = head("192.168.1.11:4000", X1).src;
        let map = |nat: &mut Nat, seconds, who, wanted, lifetime: u64| {
            nat.map(at(seconds), Proto::Udp, who, wanted, lifetime * SECOND).map(|external| external.port)
        };
        assert_eq!(map(&mut nat, 0, own, Some(8000), 100), Ok(8000));
        assert_eq!(map(&mut nat, 0, neighbour, Some(8000), 100), Ok(8001), "taken");
        assert_eq!(back(&mut nat, 1, Y1, 8000), Ok(INSIDE.into()), "open to anyone");
        assert_eq!(out(&mut nat, 1, INSIDE, X1), 8000, "and used outwards");
        assert_eq!(out(&mut nat, 1, INSIDE, Y1), 8000, "for every destination");
        assert_eq!(map(&mut nat, 50, own, Some(9000), 100), Ok(8000), "renewed");
        assert!(back(&mut nat, 149, Y1, 8000).is_ok());
        assert_eq!(back(&mut nat, 100, Y1, 8001), Err(Cause::NatNoMapping), "the neighbour's has ended");
        assert_eq!(back(&mut nat, 150, Y1, 8000), Err(Cause::NatNoMapping));
        assert_eq!(map(&mut nat, 200, own, None, 100), Ok(4000), "without a wish: the internal port");
        assert!(nat.unmap(at(201), Proto::Udp, own));
        assert!(!nat.unmap(at(201), Proto::Udp, own));
        assert_eq!(back(&mut nat, 202, Y1, 4000), Err(Cause::NatNoMapping));
        assert_eq!(nat.map(at(202), Proto::Echo, own, None, 1), Err(MapError::NotInside));
    }
}

#[test]
fn a_request_keeps_the_port_a_host_has() {
    let mut nat = nat(NatConfig { ports: PortAssignment::Random, ..NatConfig::default() });
    let port = out(&mut nat, 0, INSIDE, X1);
    let external = nat.map(Time::ZERO, Proto::Udp, head(INSIDE, X1).src, Some(9000), SECOND).unwrap();
    assert_eq!(external.port, port);
}

#[test]
fn flushed_tables_are_empty_and_events_tell() {
    let mut nat = nat(NatConfig { timeout_ns: 2 * SECOND, ..NatConfig::default() });
    out(&mut nat, 0, INSIDE, X1);
    out(&mut nat, 5, "192.168.1.11:5000", X1);
    nat.flush(Time::from_nanos(6 * SECOND));
    assert_eq!(back(&mut nat, 6, X1, 5000), Err(Cause::NatNoMapping));
    let events: Vec<(u64, u16, Option<MappingEnd>)> = nat
        .take_events(Time::from_nanos(7 * SECOND))
        .iter()
        .map(|event| (event.at.as_nanos() / SECOND, event.external.port, event.ended))
        .collect();
    let expect =
        [(0, 4000, None), (2, 4000, Some(MappingEnd::Expired)), (5, 5000, None), (6, 5000, Some(MappingEnd::Flushed))];
    assert_eq!(events, expect);
    assert_eq!(nat.take_events(Time::from_nanos(8 * SECOND)), []);
    assert_eq!(out(&mut nat, 9, INSIDE, X1), 4000, "and it works on");
}

#[test]
fn a_full_table_refuses_quickly() {
    // Were the table walked for every refused packet, this would be 10^10 steps.
    let config = NatConfig { mapping: Mapping::AddressAndPortDependent, ..NatConfig::default() };
    let mut nat = nat(config);
    let remote = |n: u64| alloc::format!("198.19.{}.{}:{}", n >> 8 & 255, n & 255, 1 + (n >> 16));
    for n in 0..64_512 {
        out(&mut nat, 0, INSIDE, &remote(n));
    }
    for n in 64_512..164_512 {
        let mut packet = head(INSIDE, &remote(n));
        assert_eq!(nat.outbound(Time::from_nanos(n), &mut packet, None), Err(Cause::NatExhausted));
    }
}
