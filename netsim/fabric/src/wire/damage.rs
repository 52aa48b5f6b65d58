//! Writes single segments whole, with a finished checksum: for capture files, and with one wrong bit, which the
//! receiver's checksum catches.

use super::checksum;
use super::header::write_header;
use super::parse::{Layout, Offload};
use crate::packet::{Damage, Head, Proto, Segments};
use core::net::IpAddr;

/// Writes the single segment `segments` whole, as a plain packet with a finished checksum. With `damage` it then turns
/// one bit of its transport header or payload over. Returns its length. What `out` holds must be sent without an offload
/// header.
///
/// Damage spares the checksum field itself, and a UDP datagram that came without a checksum (RFC 768) gets one first:
/// otherwise the damage would reach the application. Protocols without a checksum known here, and fragments, are damaged
/// where they are; what they make of it is their business.
///
/// `original`, `layout` and `head` are as for [`write_header`]; `out` must hold the segment's length on the wire, and 20
/// more where IPv4 becomes IPv6.
pub fn write_segment(
    offload: &Offload,
    original: &[u8],
    layout: &Layout,
    segments: &Segments,
    head: &Head,
    damage: Option<Damage>,
    out: &mut [u8],
) -> usize {
    let written = write_header(offload, original, layout, segments, head, out);
    let (from, to) = segments.run_range();
    let payload = &original[usize::from(layout.payload)..][from as usize..to as usize];
    let header = usize::from(written.header_len);
    let len = header + payload.len();
    out[header..len].copy_from_slice(payload);
    let packet = &mut out[..len];
    let start = header - usize::from(layout.payload - layout.transport);
    let partial = written.flags & Offload::NEEDS_CSUM != 0;
    let field = finish(head, head.src.addr.is_ipv6(), partial, damage.is_some(), &mut packet[start..]);
    if let Some(damage) = damage {
        flip(damage, field, if start < len { &mut packet[start..] } else { packet });
    }
    len
}

/// Completes the checksum of a transport header and payload, or makes one where there was none and there has to be one;
/// returns where its field is.
fn finish(head: &Head, v6: bool, partial: bool, required: bool, transport: &mut [u8]) -> Option<usize> {
    let at = match head.proto {
        Proto::Tcp => 16,
        Proto::Udp => 6,
        Proto::Echo => 2,
        Proto::Other(_) => return None,
    };
    let given = [*transport.get(at)?, *transport.get(at + 1)?];
    let without = required && !partial && head.proto == Proto::Udp && given == [0, 0];
    if partial || without {
        // A partial field holds the pseudo-header's sum: summing over it adds the pseudo-header.
        let pseudo = if without { pseudo_sum(head, v6, transport.len()) } else { 0 };
        let sum = match !checksum::sum(pseudo, transport) {
            0 if head.proto == Proto::Udp => 0xffff,
            sum => sum,
        };
        transport[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
    Some(at)
}

/// The sum of a UDP pseudo-header (RFC 768, RFC 8200 section 8.1).
fn pseudo_sum(head: &Head, v6: bool, len: usize) -> u16 {
    let address = |sum, addr| match (addr, v6) {
        (IpAddr::V4(addr), false) => checksum::sum(sum, &addr.octets()),
        (IpAddr::V6(addr), true) => checksum::sum(sum, &addr.octets()),
        _ => sum,
    };
    let addresses = address(address(0, head.src.addr), head.dst.addr);
    checksum::sum(addresses, &[0, super::parse::UDP, (len >> 8) as u8, len as u8])
}

/// Turns one bit over, but none of the two bytes at `spared`.
fn flip(damage: Damage, spared: Option<usize>, bytes: &mut [u8]) {
    let bit = damage.bit((bytes.len() - spared.map_or(0, |_| 2)) * 8);
    let byte = match spared {
        Some(at) if bit / 8 >= at => bit / 8 + 2,
        _ => bit / 8,
    };
    if let Some(byte) = bytes.get_mut(byte) {
        *byte ^= 1 << (bit % 8);
    }
}
