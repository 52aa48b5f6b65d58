//! Writes the header of a run of segments.

use super::checksum::{Delta, internet};
use super::icmp::{echo_type, octets, pseudo_v6};
use super::parse::{ICMP, ICMPV6, Layout, Offload, UDP};
use crate::packet::{Endpoint, Head, Proto, Segments};
use core::net::{IpAddr, Ipv6Addr};

/// The longest header [`write_header`] reads: IPv6 or IPv4 with options, and TCP with options.
pub const MAX_HEADER: usize = 128;
/// The longest header it writes: an IPv6 header is longer than the IPv4 header it takes the place of.
pub const MAX_WRITTEN: usize = MAX_HEADER + 20;

/// Writes the header of the run `segments` of the super-packet `original` into `out`, with `head`'s addresses, ports,
/// hop limit and congestion bits, in the family of `head`'s addresses. Returns the run's offload header; its
/// `header_len` says how many bytes were written.
///
/// `original` and `layout` are what [`super::parse`] was given and gave. `out` must hold `layout.payload` bytes, and 20
/// more where IPv4 becomes IPv6.
pub fn write_header(
    offload: &Offload,
    original: &[u8],
    layout: &Layout,
    segments: &Segments,
    head: &Head,
    out: &mut [u8],
) -> Offload {
    let (transport, payload) = (usize::from(layout.transport), usize::from(layout.payload));
    let mut run = *offload;
    let mut pseudo = Delta::default();
    let start = if head.src.addr.is_ipv6() == layout.v6 {
        out[..payload].copy_from_slice(&original[..payload]);
        if layout.v6 {
            write_v6(layout, segments, head, &mut out[..payload], &mut pseudo);
        } else {
            write_v4(segments, head, &mut out[..payload], &mut pseudo);
        }
        transport
    } else {
        let start = translate(original, layout, segments, head, out, &mut pseudo);
        run.gso_type = match offload.kind() {
            Offload::GSO_TCPV4 => Offload::GSO_TCPV6 | offload.gso_type & Offload::GSO_ECN,
            Offload::GSO_TCPV6 => Offload::GSO_TCPV4 | offload.gso_type & Offload::GSO_ECN,
            _ => offload.gso_type,
        };
        run.csum_start = (offload.csum_start + start as u16).saturating_sub(layout.transport);
        start
    };
    let len = start + payload - transport;
    write_transport(offload, original, layout, segments, head, &mut out[start..len], pseudo);
    run.header_len = len as u16;
    if segments.count == 1 {
        (run.gso_type, run.gso_size) = (Offload::GSO_NONE, 0);
    }
    run
}

/// Writes an IP header of the other family and the transport header behind it (RFC 7915, sections 4.1 and 5.1). Returns
/// the IP header's length.
fn translate(
    original: &[u8],
    layout: &Layout,
    segments: &Segments,
    head: &Head,
    out: &mut [u8],
    pseudo: &mut Delta,
) -> usize {
    let start = if layout.v6 { 20 } else { 40 };
    let protocol = match (head.proto, layout.v6) {
        (Proto::Echo, true) => ICMP,
        (Proto::Echo, false) => ICMPV6,
        (_, true) => original[6],
        (_, false) => original[9],
    };
    let len = total_len(segments);
    let (src, dst) = (octets(head.src.addr), octets(head.dst.addr));
    if layout.v6 {
        let traffic_class = original[0] << 4 | original[1] >> 4;
        // A packet that fits every IPv6 link may be cut on its way, a longer one may not.
        let dont_fragment = if len > 1260 { 0x40 } else { 0 };
        let len = len.to_be_bytes();
        let number = segments.first.to_be_bytes();
        out[..12].copy_from_slice(&[
            0x45,
            traffic_class,
            len[0],
            len[1],
            number[0],
            number[1],
            dont_fragment,
            0,
            head.hop_limit,
            protocol,
            0,
            0,
        ]);
        out[12..16].copy_from_slice(&src);
        out[16..20].copy_from_slice(&dst);
        let checksum = internet(&[&out[..20]]);
        out[10..12].copy_from_slice(&checksum.to_be_bytes());
    } else {
        let len = len.saturating_sub(40).to_be_bytes();
        let traffic_class = original[1];
        out[..8].copy_from_slice(&[
            0x60 | traffic_class >> 4,
            traffic_class << 4,
            0,
            0,
            len[0],
            len[1],
            protocol,
            head.hop_limit,
        ]);
        out[8..24].copy_from_slice(&src);
        out[24..40].copy_from_slice(&dst);
    }
    let (from, to) = if layout.v6 { (8, 40) } else { (12, 20) };
    let transport_len = usize::from(len) - start;
    match (head.proto, layout.v6) {
        (Proto::Echo, true) => {
            let dst = Ipv6Addr::from(*original[24..].first_chunk().unwrap_or(&[0; 16]));
            let src = Ipv6Addr::from(*original[8..].first_chunk().unwrap_or(&[0; 16]));
            pseudo.replace(&pseudo_v6(src.into(), dst.into(), transport_len), &[]);
        }
        (Proto::Echo, false) => pseudo.replace(&[], &pseudo_v6(head.src.addr, head.dst.addr, transport_len)),
        _ => {
            pseudo.replace(&original[from..to], &src);
            pseudo.replace(&[], &dst);
        }
    }
    out[start..start + usize::from(layout.payload - layout.transport)]
        .copy_from_slice(&original[usize::from(layout.transport)..usize::from(layout.payload)]);
    start
}

fn write_v4(segments: &Segments, head: &Head, out: &mut [u8], pseudo: &mut Delta) {
    let mut header = Delta::default();
    if !segments.is_whole() || segments.total() > 1 {
        set_word(out, 2, total_len(segments), &mut header);
        let identifier = word(out, 4).wrapping_add(segments.first);
        set_word(out, 4, identifier, &mut header);
    }
    // The type of service shares a checksum word with the version.
    let version_and_tos = u16::from_be_bytes([out[0], out[1] & !3 | head.ecn.bits()]);
    set_word(out, 0, version_and_tos, &mut header);
    // Time to live shares one with the protocol.
    let ttl_and_protocol = u16::from_be_bytes([head.hop_limit, out[9]]);
    set_word(out, 8, ttl_and_protocol, &mut header);
    for (at, addr) in [(12, head.src.addr), (16, head.dst.addr)] {
        if let IpAddr::V4(addr) = addr {
            header.bytes(&out[at..at + 4], &addr.octets());
            pseudo.bytes(&out[at..at + 4], &addr.octets());
            out[at..at + 4].copy_from_slice(&addr.octets());
        }
    }
    let checksum = header.patch(word(out, 10));
    out[10..12].copy_from_slice(&checksum.to_be_bytes());
}

fn write_v6(layout: &Layout, segments: &Segments, head: &Head, out: &mut [u8], pseudo: &mut Delta) {
    if !segments.is_whole() || segments.total() > 1 {
        let payload_len = total_len(segments).saturating_sub(40);
        out[4..6].copy_from_slice(&payload_len.to_be_bytes());
    }
    debug_assert!(layout.transport >= 40);
    out[1] = out[1] & !0x30 | head.ecn.bits() << 4;
    out[7] = head.hop_limit;
    for (at, addr) in [(8, head.src.addr), (24, head.dst.addr)] {
        if let IpAddr::V6(addr) = addr {
            pseudo.bytes(&out[at..at + 16], &addr.octets());
            out[at..at + 16].copy_from_slice(&addr.octets());
        }
    }
}

fn write_transport(
    offload: &Offload,
    original: &[u8],
    layout: &Layout,
    segments: &Segments,
    head: &Head,
    transport: &mut [u8],
    mut pseudo: Delta,
) {
    let to_v6 = head.src.addr.is_ipv6();
    let partial = offload.flags & Offload::NEEDS_CSUM != 0;
    if offload.kind() != Offload::GSO_NONE {
        // A partial checksum covers the pseudo-header, and that holds the transport length.
        let header = u32::from(layout.payload) - u32::from(layout.transport);
        let (from, to) = segments.run_range();
        pseudo.word((header + segments.payload) as u16, (header + to - from) as u16);
    }
    // A partial sum gets the ports when it is finished; a finished one has to be told of them.
    let mut body = Delta::default();
    let checksum_at = match head.proto {
        Proto::Tcp => {
            set_ports(transport, head, &mut body);
            write_tcp(segments, transport);
            16
        }
        Proto::Udp => {
            set_ports(transport, head, &mut body);
            if offload.kind() != Offload::GSO_NONE {
                let (from, to) = segments.run_range();
                transport[4..6].copy_from_slice(&((8 + to - from) as u16).to_be_bytes());
            }
            6
        }
        Proto::Echo => {
            let identifier = if head.src.port != 0 { head.src.port } else { head.dst.port };
            set_word(transport, 4, identifier, &mut body);
            match (layout.v6, to_v6) {
                // ICMP (unlike ICMPv6) has no pseudo-header.
                (false, false) => pseudo = Delta::default(),
                (true, true) => {}
                _ => {
                    let kind_and_code = u16::from_be_bytes([echo_type(transport[0], to_v6), transport[1]]);
                    set_word(transport, 0, kind_and_code, &mut body);
                }
            }
            2
        }
        Proto::Other(_) => return,
    };
    let old = word(transport, checksum_at);
    let new = match (partial, head.proto) {
        (true, _) => pseudo.patch_partial(old),
        // UDP over IPv6 may not go without a checksum (RFC 7915, section 4.5).
        (false, Proto::Udp) if old == 0 && to_v6 && !layout.v6 => udp_v6(head, transport, original, layout),
        // UDP over IPv4 may (RFC 768).
        (false, Proto::Udp) if old == 0 => 0,
        (false, proto) => {
            let new = patch_both(pseudo, body, old);
            if proto == Proto::Udp && new == 0 { 0xffff } else { new }
        }
    };
    transport[checksum_at..checksum_at + 2].copy_from_slice(&new.to_be_bytes());
}

/// The checksum of a whole datagram that had none.
fn udp_v6(head: &Head, transport: &[u8], original: &[u8], layout: &Layout) -> u16 {
    let payload = &original[usize::from(layout.payload)..];
    let mut pseudo = pseudo_v6(head.src.addr, head.dst.addr, transport.len() + payload.len());
    if let Some(protocol) = pseudo.last_mut() {
        *protocol = UDP;
    }
    let checksum = internet(&[&pseudo, transport, payload]);
    if checksum == 0 { 0xffff } else { checksum }
}

fn patch_both(pseudo: Delta, body: Delta, checksum: u16) -> u16 {
    body.patch(pseudo.patch(checksum))
}

fn set_ports(transport: &mut [u8], head: &Head, body: &mut Delta) {
    let Endpoint { port: src, .. } = head.src;
    let Endpoint { port: dst, .. } = head.dst;
    set_word(transport, 0, src, body);
    set_word(transport, 2, dst, body);
}

/// Sequence number and flags of a TCP run, as `tcp_gso_segment` sets them.
fn write_tcp(segments: &Segments, transport: &mut [u8]) {
    const FIN_AND_PSH: u8 = 0b0000_1001;
    const CWR: u8 = 0b1000_0000;
    if segments.first > 0 {
        let sequence = u32::from_be_bytes([transport[4], transport[5], transport[6], transport[7]]);
        let sequence = sequence.wrapping_add(segments.run_range().0);
        transport[4..8].copy_from_slice(&sequence.to_be_bytes());
        transport[13] &= !CWR;
    }
    if segments.first + segments.count < segments.total() {
        transport[13] &= !FIN_AND_PSH;
    }
}

/// IP total length of a run, header included.
fn total_len(segments: &Segments) -> u16 {
    let (from, to) = segments.run_range();
    (u32::from(segments.header) + to - from) as u16
}

pub(super) fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn set_word(bytes: &mut [u8], at: usize, new: u16, delta: &mut Delta) {
    delta.word(word(bytes, at), new);
    bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
}
