//! ICMP messages of routers: errors, what they are about, their translation, and answers to pings.
//!
//! RFC 792 and RFC 4443 for the messages, RFC 5508 for NATs, RFC 7915 for the way between the families.

use super::checksum::{Delta, internet};
use super::parse::{ICMP, ICMPV6, TCP, UDP, parse_v4, parse_v6};
use crate::packet::{Endpoint, Head, Proto};
use alloc::vec::Vec;
use core::net::IpAddr;

/// What a router tells a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IcmpError {
    /// The hop limit ran out on the way.
    HopLimit,
    /// There is no way to the destination.
    NoRoute,
    /// A firewall forbids it.
    Prohibited,
    /// Nothing listens at that port.
    Port,
    /// The next link carries only packets of so many bytes.
    TooBig {
        /// Next-hop MTU in bytes.
        mtu: u32,
    },
}

/// Which packet an ICMP error is about: the header fields of the packet it quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// Transport protocol.
    pub proto: Proto,
    /// Sender of the quoted packet: who gets the error.
    pub src: Endpoint,
    /// Receiver of the quoted packet.
    pub dst: Endpoint,
}

/// IPv4 and IPv6 headers without options.
const HEADER_V4: usize = 20;
const HEADER_V6: usize = 40;
/// Type, code, checksum and four bytes that depend on the type.
const HEADER_ICMP: usize = 8;
/// The longest error, with all headers: what every host takes in (RFC 1812, section 4.3.2.3; RFC 4443, section 2.4).
const MAX_ERROR_V4: usize = 576;
const MAX_ERROR_V6: usize = 1280;
/// Hop limit of packets that routers make.
const HOP_LIMIT: u8 = 64;

/// The packet that tells the sender of `about` what went wrong, or `None` where nothing may be said: about errors,
/// fragments and packets whose sender or receiver is not one machine (RFC 1122, section 3.2.2; RFC 4443, section 2.4).
pub fn icmp_error(error: IcmpError, from: IpAddr, about: &[u8]) -> Option<Vec<u8>> {
    let ip = ip_header(about)?;
    let (src, dst) = (ip.src, ip.dst);
    let broadcast = matches!(dst, IpAddr::V4(dst) if dst.is_broadcast());
    let speechless = src.is_unspecified() || src.is_multicast() || dst.is_multicast() || broadcast || ip.fragment;
    if speechless || is_error(about) || src.is_ipv4() != from.is_ipv4() {
        return None;
    }
    let (kind, code, rest) = match (error, src.is_ipv4()) {
        (IcmpError::HopLimit, true) => (11, 0, 0),
        (IcmpError::HopLimit, false) => (3, 0, 0),
        (IcmpError::NoRoute, true) => (3, 0, 0),
        (IcmpError::NoRoute, false) => (1, 0, 0),
        (IcmpError::Prohibited, true) => (3, 13, 0),
        (IcmpError::Prohibited, false) => (1, 1, 0),
        (IcmpError::Port, true) => (3, 3, 0),
        (IcmpError::Port, false) => (1, 4, 0),
        (IcmpError::TooBig { mtu }, true) => (3, 4, mtu.min(0xffff)),
        (IcmpError::TooBig { mtu }, false) => (2, 0, mtu),
    };
    let limit = if src.is_ipv4() { MAX_ERROR_V4 - HEADER_V4 } else { MAX_ERROR_V6 - HEADER_V6 } - HEADER_ICMP;
    Some(message(from, src, HOP_LIMIT, kind, code, rest, &about[..about.len().min(limit)]))
}

/// The answer to an echo request, or `None` if `request` is none.
pub fn echo_reply(request: &[u8]) -> Option<Vec<u8>> {
    let ip = ip_header(request)?;
    let icmp = request.get(ip.header..)?;
    let kind = match (ip.protocol, icmp.first()?) {
        (ICMP, 8) => 0,
        (ICMPV6, 128) => 129,
        _ => return None,
    };
    let rest = u32::from_be_bytes(*icmp.get(4..8)?.first_chunk()?);
    Some(message(ip.dst, ip.src, HOP_LIMIT, kind, 0, rest, &icmp[HEADER_ICMP..]))
}

/// Whether `packet` is an ICMP error.
fn is_error(packet: &[u8]) -> bool {
    let kind = || ip_header(packet).and_then(|ip| Some((ip.protocol, *packet.get(ip.header)?)));
    matches!(kind(), Some((ICMP, 3 | 4 | 5 | 11 | 12) | (ICMPV6, 0..128)))
}

/// What the ICMP error `packet` is about, or `None` if it is none or does not say.
pub fn quote(packet: &[u8]) -> Option<Quote> {
    if !is_error(packet) {
        return None;
    }
    let quoted = packet.get(ip_header(packet)?.header + HEADER_ICMP..)?;
    let ip = ip_header(quoted)?;
    let transport: &[u8; 8] = quoted.get(ip.header..)?.first_chunk()?;
    let word = |at: usize| u16::from_be_bytes([transport[at], transport[at + 1]]);
    let (proto, src, dst) = match (ip.protocol, transport[0]) {
        _ if ip.fragment => return None,
        (TCP, _) => (Proto::Tcp, word(0), word(2)),
        (UDP, _) => (Proto::Udp, word(0), word(2)),
        (ICMP, 8) | (ICMPV6, 128) => (Proto::Echo, word(4), 0),
        (ICMP, 0) | (ICMPV6, 129) => (Proto::Echo, 0, word(4)),
        _ => return None,
    };
    Some(Quote { proto, src: Endpoint::new(ip.src, src), dst: Endpoint::new(ip.dst, dst) })
}

/// The ICMP error `packet` with the addresses and hop limit of `head`, about the packet that `quote` describes; in
/// another family, if theirs is another (RFC 7915). `None` where that family has no such error.
pub fn rewrite_error(packet: &[u8], head: &Head, about: &Quote) -> Option<Vec<u8>> {
    let outer = ip_header(packet)?;
    let icmp = packet.get(outer.header..)?;
    let rest = u32::from_be_bytes(*icmp.get(4..8)?.first_chunk()?);
    let quoted = rewrite_quoted(icmp.get(HEADER_ICMP..)?, about)?;
    let to_v6 = head.dst.addr.is_ipv6();
    let (kind, code, rest) = if outer.src.is_ipv6() == to_v6 {
        (icmp[0], icmp[1], rest)
    } else if to_v6 {
        error_to_v6(icmp[0], icmp[1], rest)?
    } else {
        error_to_v4(icmp[0], icmp[1], rest)?
    };
    let limit = if to_v6 { MAX_ERROR_V6 } else { 65_535 - HEADER_V6 } - HEADER_V6 - HEADER_ICMP;
    let quoted = &quoted[..quoted.len().min(limit)];
    Some(message(head.src.addr, head.dst.addr, head.hop_limit, kind, code, rest, quoted))
}

/// RFC 7915, section 4.2.
fn error_to_v6(kind: u8, code: u8, rest: u32) -> Option<(u8, u8, u32)> {
    Some(match (kind, code) {
        (3, 0 | 1 | 5..=8 | 11 | 12) => (1, 0, 0),
        // The protocol is not known there: a pointer to the Next Header field.
        (3, 2) => (4, 1, 6),
        (3, 3) => (1, 4, 0),
        // The IPv6 header is longer by 20 bytes, and nothing carries less than 1,280.
        (3, 4) => (2, 0, ((rest & 0xffff) + 20).max(1280)),
        (3, 9 | 10 | 13 | 15) => (1, 1, 0),
        (11, code) => (3, code, 0),
        _ => return None,
    })
}

/// RFC 7915, section 5.2.
fn error_to_v4(kind: u8, code: u8, rest: u32) -> Option<(u8, u8, u32)> {
    Some(match (kind, code) {
        (1, 0 | 2 | 3) => (3, 1, 0),
        (1, 1) => (3, 10, 0),
        (1, 4) => (3, 3, 0),
        (2, _) => (3, 4, rest.saturating_sub(20).min(0xffff)),
        (3, code) => (11, code, 0),
        (4, 1) => (3, 2, 0),
        _ => return None,
    })
}

/// A quoted packet, which may be cut off anywhere behind its eighth transport byte, with other addresses and ports.
fn rewrite_quoted(quoted: &[u8], about: &Quote) -> Option<Vec<u8>> {
    let ip = ip_header(quoted)?;
    let mut transport = quoted.get(ip.header..)?.to_vec();
    let to_v6 = about.src.addr.is_ipv6();
    // The lengths in the header are those of the whole packet, of which this is the front.
    let len = match ip.src {
        IpAddr::V4(_) => usize::from(u16::from_be_bytes([quoted[2], quoted[3]])).saturating_sub(ip.header),
        IpAddr::V6(_) => usize::from(u16::from_be_bytes([quoted[4], quoted[5]])),
    };
    let mut pseudo = Delta::default();
    pseudo.replace(&octets(ip.src), &octets(about.src.addr));
    pseudo.replace(&octets(ip.dst), &octets(about.dst.addr));
    let mut body = Delta::default();
    let mut set = |transport: &mut [u8], at: usize, new: u16| {
        body.word(u16::from_be_bytes([transport[at], transport[at + 1]]), new);
        transport[at..at + 2].copy_from_slice(&new.to_be_bytes());
    };
    if transport.len() < 8 {
        return None;
    }
    let (checksum_at, protocol) = match about.proto {
        Proto::Tcp | Proto::Udp => {
            set(&mut transport, 0, about.src.port);
            set(&mut transport, 2, about.dst.port);
            if about.proto == Proto::Tcp { (16, TCP) } else { (6, UDP) }
        }
        Proto::Echo => {
            set(&mut transport, 4, if about.src.port == 0 { about.dst.port } else { about.src.port });
            let kind = echo_type(transport[0], to_v6);
            let code = transport[1];
            set(&mut transport, 0, u16::from_be_bytes([kind, code]));
            pseudo = echo_pseudo(ip.src.is_ipv6().then_some((ip.src, ip.dst)), to_v6.then_some(about), len);
            (2, if to_v6 { ICMPV6 } else { ICMP })
        }
        Proto::Other(_) => return None,
    };
    if let Some(field) = transport.get_mut(checksum_at..checksum_at + 2) {
        let old = u16::from_be_bytes([field[0], field[1]]);
        if about.proto != Proto::Udp || old != 0 {
            let new = body.patch(pseudo.patch(old));
            let new = if about.proto == Proto::Udp && new == 0 { 0xffff } else { new };
            field.copy_from_slice(&new.to_be_bytes());
        }
    }
    let mut packet = header(about.src.addr, about.dst.addr, protocol, ip.hop_limit, len);
    if ip.src.is_ipv4() && !to_v6 {
        // Type of service, identifier and fragment flags are the sender's to recognise.
        for range in [1..2, 4..8] {
            packet[range.clone()].copy_from_slice(&quoted[range]);
        }
        finish_v4(&mut packet);
    }
    packet.extend(transport);
    Some(packet)
}

/// The echo type of the other family, or the same.
pub(super) fn echo_type(kind: u8, to_v6: bool) -> u8 {
    match (kind, to_v6) {
        (8 | 128, true) => 128,
        (8 | 128, false) => 8,
        (_, true) => 129,
        (_, false) => 0,
    }
}

/// ICMPv6 has a pseudo-header and ICMP has none: what leaves the sum and what enters it.
fn echo_pseudo(old: Option<(IpAddr, IpAddr)>, new: Option<&Quote>, len: usize) -> Delta {
    let mut delta = Delta::default();
    if let Some((src, dst)) = old {
        delta.replace(&pseudo_v6(src, dst, len), &[]);
    }
    if let Some(new) = new {
        delta.replace(&[], &pseudo_v6(new.src.addr, new.dst.addr, len));
    }
    delta
}

/// What an ICMPv6 checksum covers in front of the message (RFC 8200, section 8.1).
pub(super) fn pseudo_v6(src: IpAddr, dst: IpAddr, len: usize) -> Vec<u8> {
    let mut bytes = octets(src);
    bytes.extend(octets(dst));
    bytes.extend((len as u32).to_be_bytes());
    bytes.extend([0, 0, 0, ICMPV6]);
    bytes
}

pub(super) fn octets(addr: IpAddr) -> Vec<u8> {
    match addr {
        IpAddr::V4(addr) => addr.octets().to_vec(),
        IpAddr::V6(addr) => addr.octets().to_vec(),
    }
}

fn message(src: IpAddr, dst: IpAddr, hop_limit: u8, kind: u8, code: u8, rest: u32, body: &[u8]) -> Vec<u8> {
    let protocol = if src.is_ipv4() { ICMP } else { ICMPV6 };
    let mut icmp = Vec::with_capacity(HEADER_ICMP + body.len());
    icmp.extend([kind, code, 0, 0]);
    icmp.extend(rest.to_be_bytes());
    icmp.extend(body);
    let pseudo = if src.is_ipv4() { Vec::new() } else { pseudo_v6(src, dst, icmp.len()) };
    let checksum = internet(&[&pseudo, &icmp]);
    icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
    let mut packet = header(src, dst, protocol, hop_limit, icmp.len());
    packet.extend(icmp);
    packet
}

/// An IP header for `len` bytes behind it.
fn header(src: IpAddr, dst: IpAddr, protocol: u8, hop_limit: u8, len: usize) -> Vec<u8> {
    if src.is_ipv4() {
        let total = ((HEADER_V4 + len) as u16).to_be_bytes();
        let mut header = Vec::from([0x45, 0, total[0], total[1], 0, 0, 0, 0, hop_limit, protocol, 0, 0]);
        header.extend(octets(src));
        header.extend(octets(dst));
        finish_v4(&mut header);
        header
    } else {
        let len = (len as u16).to_be_bytes();
        let mut header = Vec::from([0x60, 0, 0, 0, len[0], len[1], protocol, hop_limit]);
        header.extend(octets(src));
        header.extend(octets(dst));
        header
    }
}

fn finish_v4(header: &mut [u8]) {
    header[10..12].fill(0);
    let checksum = internet(&[header]);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
}

fn ip_header(packet: &[u8]) -> Option<super::parse::Ip> {
    match packet.first()? >> 4 {
        4 => parse_v4(packet).ok(),
        6 => parse_v6(packet).ok(),
        _ => None,
    }
}
