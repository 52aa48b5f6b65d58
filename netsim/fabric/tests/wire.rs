//! Cutting a super-packet must give what the kernel would have sent: checked by recomputing every checksum.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use netsim_fabric::wire::{Joined, Layout, Malformed, Offload, parse, write_header, write_segment};
use netsim_fabric::{Damage, Ecn, Endpoint, Head, Packet, Proto, Segments};
use proptest::prelude::*;
use std::net::IpAddr;

/// A transport packet with a finished or a partial checksum.
fn build(v6: bool, tcp: bool, payload: &[u8], partial: bool) -> Vec<u8> {
    let (src, dst): (IpAddr, IpAddr) = if v6 {
        ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap())
    } else {
        ("192.168.1.10".parse().unwrap(), "198.18.0.2".parse().unwrap())
    };
    let mut transport = vec![0x10, 0x20, 0x30, 0x40];
    if tcp {
        // Sequence, acknowledgement, 12 bytes of options; CWR, ACK, PSH and FIN set.
        transport.extend([0xff, 0xff, 0xff, 0x00, 0, 0, 0, 9, 0x80, 0b1001_1001, 1, 0, 0, 0, 0, 0]);
        transport.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    } else {
        transport.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
        transport.extend([0, 0]);
    }
    transport.extend(payload);
    let protocol = if tcp { 6 } else { 17 };
    let mut packet = ip_header(src, dst, protocol, transport.len());
    let at = if tcp { 16 } else { 6 };
    let pseudo = pseudo_sum(src, dst, protocol, transport.len());
    let sum = if partial { fold(pseudo) } else { !fold(pseudo + sum(&transport)) };
    transport[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    packet.extend(transport);
    packet
}

fn ip_header(src: IpAddr, dst: IpAddr, protocol: u8, len: usize) -> Vec<u8> {
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let total = u16::try_from(20 + len).unwrap().to_be_bytes();
            let mut header = vec![0x45, 0, total[0], total[1], 0xff, 0xfe, 0x40, 0, 64, protocol, 0, 0];
            header.extend(src.octets());
            header.extend(dst.octets());
            let checksum = !fold(sum(&header));
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
            header
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let len = u16::try_from(len).unwrap().to_be_bytes();
            let mut header = vec![0x60, 0, 0, 0, len[0], len[1], protocol, 64];
            header.extend(src.octets());
            header.extend(dst.octets());
            header
        }
        _ => unreachable!("one family"),
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

fn pseudo_sum(src: IpAddr, dst: IpAddr, protocol: u8, len: usize) -> u32 {
    let addresses = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => sum(&src.octets()) + sum(&dst.octets()),
        (IpAddr::V6(src), IpAddr::V6(dst)) => sum(&src.octets()) + sum(&dst.octets()),
        _ => unreachable!("one family"),
    };
    addresses + u32::from(protocol) + u32::try_from(len).unwrap()
}

/// What a device that finishes partial checksums would put on the wire.
fn finish(offload: &Offload, packet: &mut [u8], transport: usize) {
    if offload.flags & Offload::NEEDS_CSUM == 0 {
        return;
    }
    let at = transport + if packet_protocol(packet) == 6 { 16 } else { 6 };
    // The field holds the pseudo-header's sum, so summing over it adds the pseudo-header.
    let checksum = !fold(sum(&packet[transport..]));
    packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

fn packet_protocol(packet: &[u8]) -> u8 {
    if packet[0] >> 4 == 4 { packet[9] } else { packet[6] }
}

/// Every checksum of a finished packet is right.
fn assert_valid(packet: &[u8], layout: &Layout) {
    let transport = usize::from(layout.transport);
    if !layout.v6 {
        assert_eq!(fold(sum(&packet[..transport])), 0xffff, "IPv4 header checksum");
        assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len(), "total length");
    }
    let parsed = parse(&Offload::default(), packet).unwrap();
    let len = packet.len() - transport;
    let pseudo = pseudo_sum(parsed.head.src.addr, parsed.head.dst.addr, packet_protocol(packet), len);
    assert_eq!(fold(pseudo + sum(&packet[transport..])), 0xffff, "transport checksum");
}

fn offload(v6: bool, tcp: bool, mss: u16) -> Offload {
    let gso_type = match (tcp, v6) {
        (true, false) => Offload::GSO_TCPV4,
        (true, true) => Offload::GSO_TCPV6,
        (false, _) => Offload::GSO_UDP_L4,
    };
    let csum_start = if v6 { 40 } else { 20 };
    let csum_offset = if tcp { 16 } else { 6 };
    Offload { flags: Offload::NEEDS_CSUM, gso_type, header_len: 0, gso_size: mss, csum_start, csum_offset }
}

/// The bytes of one segment, as a receiver sees them.
fn segment(offload: &Offload, packet: &[u8], index: u16, head: Option<Head>) -> (Vec<u8>, Layout) {
    let parsed = parse(offload, packet).unwrap();
    let run = Segments { first: index, count: 1, ..parsed.segments };
    let mut header = [0; 128];
    let head = head.unwrap_or(parsed.head);
    let cut = write_header(offload, packet, &parsed.layout, &run, &head, &mut header);
    let start = usize::from(parsed.layout.payload);
    let (from, to) = run.run_range();
    let mut bytes = header[..start].to_vec();
    bytes.extend(&packet[start + from as usize..start + to as usize]);
    finish(&cut, &mut bytes, usize::from(parsed.layout.transport));
    assert_eq!(cut.gso_type, Offload::GSO_NONE);
    (bytes, parsed.layout)
}

proptest! {
    /// All segments together carry the payload, each with valid checksums, also after a NAT changed the addresses.
    #[test]
    fn segments_are_whole_valid_packets(
        v6: bool, tcp: bool, mss in 1_u16..1500, translate: bool,
        payload in proptest::collection::vec(any::<u8>(), 1..4000),
    ) {
        let packet = build(v6, tcp, &payload, true);
        let offload = offload(v6, tcp, mss);
        let parsed = parse(&offload, &packet).unwrap();
        let mut head = parsed.head;
        head.hop_limit -= 1;
        if translate && !v6 {
            head.src = Endpoint::new("198.18.0.1".parse().unwrap(), 40_000);
        }
        let mut carried: Vec<u8> = Vec::new();
        for index in 0..parsed.segments.total() {
            let (bytes, layout) = segment(&offload, &packet, index, Some(head));
            assert_valid(&bytes, &layout);
            let got = parse(&Offload::default(), &bytes).unwrap();
            prop_assert_eq!(got.head.src, head.src);
            prop_assert_eq!(got.head.hop_limit, 63);
            carried.extend(&bytes[usize::from(layout.payload)..]);
        }
        prop_assert_eq!(carried, payload);
    }

    /// A damaged segment is the intact one but for one bit, and its receiver's checksum says so.
    #[test]
    fn damage_is_one_bit_that_the_checksum_finds(
        v6: bool, tcp: bool, mss in 1_u16..1500, super_packet: bool, without_checksum: bool, draw: u64,
        payload in proptest::collection::vec(any::<u8>(), 1..4000),
    ) {
        let mut packet = build(v6, tcp, &payload, super_packet);
        let mut offload = offload(v6, tcp, mss);
        if !super_packet {
            offload = Offload::default();
        }
        let without_checksum = without_checksum && !v6 && !tcp && !super_packet;
        if without_checksum {
            packet[26..28].copy_from_slice(&[0, 0]);
        }
        let parsed = parse(&offload, &packet).unwrap();
        for index in 0..parsed.segments.total() {
            let run = Segments { first: index, count: 1, ..parsed.segments };
            let mut bytes = vec![0; packet.len()];
            let len = write_segment(
                &offload, &packet, &parsed.layout, &run, &parsed.head, Some(Damage::new(draw)), &mut bytes);
            prop_assert_eq!(len, run.wire_len(index) as usize);
            bytes.truncate(len);
            let (intact, layout) = segment(&offload, &packet, index, None);
            let flipped: u32 = intact.iter().zip(&bytes).map(|(a, b)| (a ^ b).count_ones()).sum();
            if without_checksum {
                // It got one, so more than a bit differs.
                prop_assert!(bytes[26..28] != [0, 0]);
            } else {
                assert_valid(&intact, &layout);
                prop_assert_eq!(flipped, 1);
            }
            let transport = usize::from(layout.transport);
            let pseudo = pseudo_sum(parsed.head.src.addr, parsed.head.dst.addr, packet_protocol(&bytes), len - transport);
            prop_assert_ne!(fold(pseudo + sum(&bytes[transport..])), 0xffff, "the receiver must notice");
            if !v6 {
                prop_assert_eq!(fold(sum(&bytes[..transport])), 0xffff, "the header is intact");
            }
        }
    }

    /// Datagrams that were joined and are cut again are the ones that were sent.
    #[test]
    fn joined_datagrams_come_apart_whole(
        v6: bool, translate: bool, size in 1_usize..1400, count in 1_usize..80, last in 1_usize..1400, fill: u8,
    ) {
        let offload = partial(v6);
        let len = |n: usize| if n > 0 && n + 1 == count { last } else { size };
        let payload = |n: usize| vec![fill.wrapping_add(n as u8); len(n)];
        let packets: Vec<Vec<u8>> = (0..count).map(|n| build(v6, false, &payload(n), true)).collect();
        let datagram = |bytes: &[u8]| {
            let parsed = parse(&offload, bytes).unwrap();
            let mut head = parsed.head;
            head.hop_limit -= 1;
            if translate {
                head.src = Endpoint::new(if v6 { "2001:db8::7" } else { "198.18.0.1" }.parse().unwrap(), 40_000);
            }
            (Packet { head, segments: parsed.segments, damage: None, body: () }, parsed.layout)
        };
        let (first, layout) = datagram(&packets[0]);
        let mut joined = Joined::start(&first, &offload, &layout).unwrap();
        let mut all = payload(0);
        for (n, bytes) in packets.iter().enumerate().skip(1) {
            let next = datagram(bytes);
            if !joined.push((&first, &packets[0]), (&next.0, bytes, &offload, &layout)) {
                break;
            }
            all.extend(payload(n));
        }
        // A longer one ends the run before it, and so does a full super-packet.
        let room = 65_535 - usize::from(layout.payload);
        let fits = |n: &usize| *n < 64 && n * size + payload(*n).len() <= room && payload(*n).len() <= size;
        prop_assert_eq!(joined.count(), 1 + (1..count).take_while(fits).count());
        let mut header = [0; 128];
        let written = joined.write(&first, &offload, &packets[0], &layout, &mut header);
        let packet = [&header[..usize::from(written.header_len)], &all].concat();
        let parsed = parse(&written, &packet).unwrap();
        prop_assert_eq!(parsed.head, first.head);
        prop_assert_eq!(usize::from(parsed.segments.total()), joined.count());
        for index in 0..parsed.segments.total() {
            let (bytes, layout) = segment(&written, &packet, index, None);
            assert_valid(&bytes, &layout);
            prop_assert_eq!(&bytes[usize::from(layout.payload)..], &payload(usize::from(index)));
        }
    }

    /// A plain packet with a finished checksum stays valid through translation.
    #[test]
    fn finished_checksums_are_patched(v6: bool, tcp: bool, port: u16, payload in proptest::collection::vec(any::<u8>(), 0..99)) {
        let packet = build(v6, tcp, &payload, false);
        let mut head = parse(&Offload::default(), &packet).unwrap().head;
        head.dst.port = port;
        let (bytes, layout) = segment(&Offload::default(), &packet, 0, Some(head));
        assert_valid(&bytes, &layout);
    }

    /// No bytes make the parser panic, and what it accepts can be written back.
    #[test]
    fn any_bytes_are_handled(
        bytes in proptest::collection::vec(any::<u8>(), 0..200), gso_type in 0_u8..8, gso_size: u16, flags: u8,
        version in prop_oneof![Just(0x45_u8), Just(0x60), any::<u8>()],
    ) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = version;
        }
        let offload = Offload { gso_type, gso_size, flags, ..Offload::default() };
        if let Ok(parsed) = parse(&offload, &bytes) {
            let mut out = [0; 256];
            write_header(&offload, &bytes, &parsed.layout, &parsed.segments, &parsed.head, &mut out);
        }
    }
}

/// The offload header of a plain datagram whose checksum the kernel left unfinished.
fn partial(v6: bool) -> Offload {
    let csum_start = if v6 { 40 } else { 20 };
    Offload { flags: Offload::NEEDS_CSUM, csum_start, csum_offset: 6, ..Offload::default() }
}

/// What a receiver could tell apart is not joined.
#[test]
fn only_datagrams_of_one_flow_are_joined() {
    let offload = partial(false);
    let bytes = build(false, false, &[7; 100], true);
    let parsed = parse(&offload, &bytes).unwrap();
    let (layout, head) = (parsed.layout, parsed.head);
    let packet = |head: Head| Packet { head, segments: parsed.segments, damage: None, body: () };
    let first = packet(head);
    let start = || Joined::start(&first, &offload, &layout).unwrap();
    let joins = |next: &Packet<()>, bytes: &[u8], offload: &Offload| {
        start().push((&first, &build(false, false, &[7; 100], true)), (next, bytes, offload, &layout))
    };
    assert!(joins(&first, &bytes, &offload));
    let elsewhere = Head { dst: Endpoint::new(head.dst.addr, 1), ..head };
    assert!(!joins(&packet(elsewhere), &bytes, &offload));
    assert!(!joins(&packet(Head { ecn: Ecn::CongestionExperienced, ..head }), &bytes, &offload));
    assert!(!joins(&packet(Head { hop_limit: 3, ..head }), &bytes, &offload));
    assert!(!joins(&Packet { damage: Some(Damage::new(1)), ..packet(head) }, &bytes, &offload));
    assert!(!joins(&first, &bytes, &Offload::default()), "its checksum is finished");
    for (at, what) in [(1, 0xb8), (6, 0)] {
        let mut other = bytes.clone();
        other[at] = what;
        assert!(!joins(&first, &other, &offload), "byte {at}");
    }
    let tcp = build(false, true, &[7; 100], true);
    let parsed = parse(&offload, &tcp).unwrap();
    let tcp = Packet { head: parsed.head, segments: parsed.segments, damage: None, body: () };
    assert_eq!(Joined::start(&tcp, &offload, &parsed.layout), None);
}

#[test]
fn tcp_flags_and_sequence_follow_the_kernel() {
    let packet = build(false, true, &[7; 250], true);
    let offload = offload(false, true, 100);
    // (segment, sequence, CWR, PSH and FIN, IPv4 identifier)
    for (index, sequence, cwr, last, identifier) in [
        (0, 0xffff_ff00_u32, true, false, 0xfffe_u16),
        (1, 0xffff_ff64, false, false, 0xffff),
        (2, 0xffff_ffc8, false, true, 0),
    ] {
        let (bytes, _) = segment(&offload, &packet, index, None);
        assert_eq!(u32::from_be_bytes(bytes[24..28].try_into().unwrap()), sequence);
        assert_eq!(bytes[33] & 0b1000_0000 != 0, cwr, "CWR of segment {index}");
        assert_eq!(bytes[33] & 0b1001 == 0b1001, last, "FIN and PSH of segment {index}");
        assert_eq!(u16::from_be_bytes([bytes[4], bytes[5]]), identifier);
    }
}

#[test]
fn congestion_marks_are_read_and_written() {
    for v6 in [false, true] {
        for (sent, marked) in [(Ecn::Capable0, Ecn::CongestionExperienced), (Ecn::NotCapable, Ecn::Capable1)] {
            let mut packet = build(v6, true, &[7; 250], true);
            // A differentiated-services code point beside it must stay.
            let tos = 0b1011_1000 | sent.bits();
            if v6 {
                (packet[0], packet[1]) = (0x60 | tos >> 4, tos << 4 | 0x5);
            } else {
                packet[1] = tos;
                let checksum = u16::from_be_bytes([packet[10], packet[11]]);
                packet[10..12].copy_from_slice(&(!fold(u32::from(!checksum) + u32::from(tos))).to_be_bytes());
            }
            let offload = offload(v6, true, 100);
            let head = parse(&offload, &packet).unwrap().head;
            assert_eq!(head.ecn, sent);
            let (bytes, layout) = segment(&offload, &packet, 1, Some(Head { ecn: marked, ..head }));
            assert_valid(&bytes, &layout);
            let written = if v6 { bytes[0] << 4 | bytes[1] >> 4 } else { bytes[1] };
            assert_eq!(written, 0b1011_1000 | marked.bits());
            assert_eq!(bytes[1] & 0xf, if v6 { 5 } else { written & 0xf }, "the flow label stays");
        }
    }
}

#[test]
fn echo_identifiers_stand_in_for_ports() {
    let mut request = ip_header("192.168.1.10".parse().unwrap(), "198.18.0.2".parse().unwrap(), 1, 12);
    let mut icmp = vec![8, 0, 0, 0, 0x12, 0x34, 0, 1, 1, 2, 3, 4];
    let checksum = !fold(sum(&icmp));
    icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
    request.extend(icmp);
    let parsed = parse(&Offload::default(), &request).unwrap();
    assert_eq!((parsed.head.proto, parsed.head.src.port, parsed.head.dst.port), (Proto::Echo, 0x1234, 0));
    let mut head = parsed.head;
    head.src = Endpoint::new("198.18.0.1".parse().unwrap(), 0x4321);
    let (bytes, _) = segment(&Offload::default(), &request, 0, Some(head));
    assert_eq!(&bytes[24..26], &[0x43, 0x21]);
    assert_eq!(fold(sum(&bytes[20..])), 0xffff, "ICMP checksum");
    assert_eq!(fold(sum(&bytes[..20])), 0xffff, "IPv4 header checksum");
}

#[test]
fn malformed_packets_are_named() {
    let whole = build(false, true, &[1; 10], true);
    for (offload, bytes, expect) in [
        (Offload::default(), &whole[..0], Malformed::Truncated),
        (Offload::default(), &whole[..19], Malformed::Truncated),
        (Offload::default(), &whole[..30], Malformed::Truncated),
        (Offload::default(), &[0x55; 40][..], Malformed::Version),
        (offload(false, false, 100), &whole[..], Malformed::Offload),
        (offload(false, true, 0), &whole[..], Malformed::Offload),
    ] {
        assert_eq!(parse(&offload, bytes), Err(expect));
    }
}

/// One segment in the other IP family, as a NAT64 sends it on.
fn translated(offload: &Offload, packet: &[u8], index: u16) -> Vec<u8> {
    let parsed = parse(offload, packet).unwrap();
    let v6 = parsed.layout.v6;
    let mut head = parsed.head;
    let (src, dst) = if v6 { ("198.18.0.1", "198.18.0.2") } else { ("64:ff9b::c612:2", "fd00::a") };
    (head.src.addr, head.dst.addr) = (src.parse().unwrap(), dst.parse().unwrap());
    let header = if v6 { parsed.segments.header - 20 } else { parsed.segments.header + 20 };
    let run = Segments { first: index, count: 1, header, ..parsed.segments };
    let mut out = [0; 148];
    let cut = write_header(offload, packet, &parsed.layout, &run, &head, &mut out);
    assert_eq!(cut.header_len, header);
    let start = usize::from(parsed.layout.payload);
    let (from, to) = run.run_range();
    let mut bytes = out[..usize::from(cut.header_len)].to_vec();
    bytes.extend(&packet[start + from as usize..start + to as usize]);
    let transport = if v6 { 20 } else { 40 };
    if cut.flags & Offload::NEEDS_CSUM != 0 && cut.csum_start != 0 {
        assert_eq!(usize::from(cut.csum_start), transport, "where the checksum starts");
    }
    finish(&cut, &mut bytes, transport);
    bytes
}

proptest! {
    /// NAT64: segments in the other family are valid and carry the payload, whether checksums were finished or not.
    #[test]
    fn the_other_family_is_valid(
        v6: bool, tcp: bool, mss in 1_u16..1400, gso: bool, payload in proptest::collection::vec(any::<u8>(), 1..3000),
    ) {
        let packet = build(v6, tcp, &payload, gso);
        let offload = if gso { offload(v6, tcp, mss) } else { Offload::default() };
        let total = parse(&offload, &packet).unwrap().segments.total();
        let mut carried = Vec::<u8>::new();
        for index in 0..total {
            let bytes = translated(&offload, &packet, index);
            let parsed = parse(&Offload::default(), &bytes).unwrap();
            prop_assert_eq!(parsed.layout.v6, !v6);
            assert_valid(&bytes, &parsed.layout);
            carried.extend(&bytes[usize::from(parsed.layout.payload)..]);
        }
        prop_assert_eq!(carried, payload);
    }

    /// Whatever the bytes: nothing panics, and what comes out can be read.
    #[test]
    fn icmp_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), version in any::<bool>(), kind: u8, inner: bool) {
        use netsim_fabric::wire::{IcmpError, echo_reply, icmp_error, quote, rewrite_error};
        let (first, protocol_at, icmp_at) = if version { (0x45, 9, 20) } else { (0x60, 6, 40) };
        for (at, byte) in [(0, first), (protocol_at, if version { 1 } else { 58 }), (icmp_at, kind),
            (icmp_at + 8, if inner { 0x45 } else { 0x60 }), (icmp_at + 17, 17)] {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        echo_reply(&bytes);
        for from in ["198.18.0.1", "2001:2::1"] {
            icmp_error(IcmpError::HopLimit, from.parse().unwrap(), &bytes);
        }
        if let (Some(mut about), Ok(parsed)) = (quote(&bytes), parse(&Offload::default(), &bytes)) {
            rewrite_error(&bytes, &parsed.head, &about).map(|bytes| quote(&bytes));
            let other = if about.src.addr.is_ipv4() { "2001:2::1" } else { "198.18.0.1" };
            about.src.addr = other.parse().unwrap();
            about.dst.addr = other.parse().unwrap();
            let mut head = parsed.head;
            (head.src, head.dst) = (about.dst, about.src);
            rewrite_error(&bytes, &head, &about).map(|bytes| quote(&bytes));
        }
    }
}

#[test]
fn a_datagram_without_checksum_gets_one_for_ipv6() {
    let mut packet = build(false, false, &[1, 2, 3], false);
    packet[26..28].fill(0);
    let bytes = translated(&Offload::default(), &packet, 0);
    let parsed = parse(&Offload::default(), &bytes).unwrap();
    assert_valid(&bytes, &parsed.layout);
}
