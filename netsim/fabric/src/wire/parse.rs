//! Reads headers. Never panics, whatever the bytes.

use crate::packet::{Ecn, Endpoint, Head, Proto, Segments};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Linux's `struct virtio_net_hdr` (`include/uapi/linux/virtio_net.h`), as read from and written to a TUN device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offload {
    /// Bit 0: the transport checksum is partial.
    pub flags: u8,
    /// How the payload is to be cut; see the constants.
    pub gso_type: u8,
    /// Bytes of headers.
    pub header_len: u16,
    /// Payload bytes per segment.
    pub gso_size: u16,
    /// Where the checksummed part starts.
    pub csum_start: u16,
    /// Where in it the checksum field is.
    pub csum_offset: u16,
}

impl Offload {
    /// Size in front of every packet.
    pub const LEN: usize = 10;
    /// `VIRTIO_NET_HDR_F_NEEDS_CSUM`.
    pub const NEEDS_CSUM: u8 = 1;
    /// `VIRTIO_NET_HDR_GSO_NONE`.
    pub const GSO_NONE: u8 = 0;
    /// `VIRTIO_NET_HDR_GSO_TCPV4`.
    pub const GSO_TCPV4: u8 = 1;
    /// `VIRTIO_NET_HDR_GSO_TCPV6`.
    pub const GSO_TCPV6: u8 = 4;
    /// `VIRTIO_NET_HDR_GSO_UDP_L4`.
    pub const GSO_UDP_L4: u8 = 5;
    /// `VIRTIO_NET_HDR_GSO_ECN`, a flag beside the type.
    pub const GSO_ECN: u8 = 0x80;

    /// Reads the header; fields are in the machine's byte order.
    pub fn read(bytes: &[u8; Offload::LEN]) -> Offload {
        let word = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        Offload {
            flags: bytes[0],
            gso_type: bytes[1],
            header_len: word(2),
            gso_size: word(4),
            csum_start: word(6),
            csum_offset: word(8),
        }
    }

    /// The inverse of [`Offload::read`].
    pub fn write(&self) -> [u8; Offload::LEN] {
        let mut bytes = [self.flags, self.gso_type, 0, 0, 0, 0, 0, 0, 0, 0];
        for (at, word) in [(2, self.header_len), (4, self.gso_size), (6, self.csum_start), (8, self.csum_offset)] {
            bytes[at..at + 2].copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// The GSO type without its ECN flag.
    pub fn kind(&self) -> u8 {
        self.gso_type & !Offload::GSO_ECN
    }
}

/// Why bytes are not a packet the fabric can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than its headers say.
    Truncated,
    /// Neither IPv4 nor IPv6.
    Version,
    /// A super-packet of a kind that was not asked for, or one that does not match its header.
    Offload,
}

/// Where a packet's headers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Start of the transport header.
    pub transport: u16,
    /// Start of the payload: the length of all headers.
    pub payload: u16,
    /// Whether the packet is IPv6.
    pub v6: bool,
}

/// A packet taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed {
    /// For the fabric.
    pub head: Head,
    /// For the fabric.
    pub segments: Segments,
    /// For [`super::write_header`].
    pub layout: Layout,
}

/// What the IP header says.
pub(super) struct Ip {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) protocol: u8,
    pub(super) hop_limit: u8,
    pub(super) ecn: Ecn,
    pub(super) header: usize,
    /// Not the first fragment, or not the whole: ports are absent or must not be believed.
    pub(super) fragment: bool,
}

/// Reads the headers of `packet`, which starts with its IP header.
pub fn parse(offload: &Offload, packet: &[u8]) -> Result<Parsed, Malformed> {
    let ip = match packet.first().ok_or(Malformed::Truncated)? >> 4 {
        4 => parse_v4(packet)?,
        6 => parse_v6(packet)?,
        _ => return Err(Malformed::Version),
    };
    let rest = packet.get(ip.header..).ok_or(Malformed::Truncated)?;
    let transport = if ip.fragment { Transport::other(ip.protocol) } else { parse_transport(ip.protocol, rest)? };
    let header = ip.header + transport.header;
    let layout = Layout {
        transport: u16::try_from(ip.header).map_err(|_| Malformed::Truncated)?,
        payload: u16::try_from(header).map_err(|_| Malformed::Truncated)?,
        v6: ip.src.is_ipv6(),
    };
    let len = u32::try_from(packet.len()).map_err(|_| Malformed::Offload)?;
    let segments = match offload.kind() {
        Offload::GSO_NONE => Segments::plain(layout.payload, len),
        kind => {
            let fits = match kind {
                Offload::GSO_TCPV4 => transport.proto == Proto::Tcp && !layout.v6,
                Offload::GSO_TCPV6 => transport.proto == Proto::Tcp && layout.v6,
                Offload::GSO_UDP_L4 => transport.proto == Proto::Udp,
                _ => false,
            };
            let payload = len - u32::from(layout.payload);
            if !fits || offload.gso_size == 0 || payload == 0 || payload.div_ceil(offload.gso_size.into()) > 65_535 {
                return Err(Malformed::Offload);
            }
            Segments::cut(layout.payload, payload, offload.gso_size)
        }
    };
    let head = Head {
        src: Endpoint::new(ip.src, transport.src),
        dst: Endpoint::new(ip.dst, transport.dst),
        proto: transport.proto,
        hop_limit: ip.hop_limit,
        closing: transport.closing,
        ecn: ip.ecn,
    };
    Ok(Parsed { head, segments, layout })
}

/// Bytes of options in the header of an IPv4 packet; 0 for any other.
pub(crate) fn options_len(packet: &[u8]) -> u16 {
    packet.first().filter(|first| **first >> 4 == 4).map_or(0, |first| (u16::from(first & 15) * 4).saturating_sub(20))
}

pub(super) fn parse_v4(packet: &[u8]) -> Result<Ip, Malformed> {
    let fixed: &[u8; 20] = packet.first_chunk().ok_or(Malformed::Truncated)?;
    let header = usize::from(fixed[0] & 15) * 4;
    if header < 20 || packet.len() < header {
        return Err(Malformed::Truncated);
    }
    Ok(Ip {
        src: Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15]).into(),
        dst: Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]).into(),
        protocol: fixed[9],
        hop_limit: fixed[8],
        ecn: Ecn::from_bits(fixed[1]),
        header,
        // More fragments, or an offset: RFC 791.
        fragment: u16::from_be_bytes([fixed[6], fixed[7]]) & 0x3fff != 0,
    })
}

pub(super) fn parse_v6(packet: &[u8]) -> Result<Ip, Malformed> {
    let fixed: &[u8; 40] = packet.first_chunk().ok_or(Malformed::Truncated)?;
    let address = |at: usize| {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&fixed[at..at + 16]);
        IpAddr::from(Ipv6Addr::from(bytes))
    };
    const FRAGMENT: u8 = 44;
    Ok(Ip {
        src: address(8),
        dst: address(24),
        // Other extension headers are rare; such packets are carried as a protocol without ports.
        protocol: fixed[6],
        hop_limit: fixed[7],
        // The traffic class lies across the first two bytes.
        ecn: Ecn::from_bits(fixed[1] >> 4),
        header: 40,
        fragment: fixed[6] == FRAGMENT,
    })
}

struct Transport {
    proto: Proto,
    src: u16,
    dst: u16,
    header: usize,
    closing: bool,
}

impl Transport {
    fn other(protocol: u8) -> Transport {
        Transport { proto: Proto::Other(protocol), src: 0, dst: 0, header: 0, closing: false }
    }
}

/// IP protocol numbers.
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const ICMP: u8 = 1;
pub(super) const ICMPV6: u8 = 58;

fn parse_transport(protocol: u8, bytes: &[u8]) -> Result<Transport, Malformed> {
    let word = |at: usize| Ok(u16::from_be_bytes([byte(bytes, at)?, byte(bytes, at + 1)?]));
    match protocol {
        TCP => {
            let header = usize::from(byte(bytes, 12)? >> 4) * 4;
            if header < 20 || bytes.len() < header {
                return Err(Malformed::Truncated);
            }
            const FIN_OR_RST: u8 = 0b101;
            let closing = byte(bytes, 13)? & FIN_OR_RST != 0;
            Ok(Transport { proto: Proto::Tcp, src: word(0)?, dst: word(2)?, header, closing })
        }
        UDP => {
            byte(bytes, 7)?;
            Ok(Transport { proto: Proto::Udp, src: word(0)?, dst: word(2)?, header: 8, closing: false })
        }
        ICMP | ICMPV6 => {
            byte(bytes, 7)?;
            let identifier = word(4)?;
            // Echo request and reply: 8 and 0 in ICMP (RFC 792), 128 and 129 in ICMPv6 (RFC 4443).
            match (protocol, bytes[0]) {
                (ICMP, 8) | (ICMPV6, 128) => {
                    Ok(Transport { proto: Proto::Echo, src: identifier, dst: 0, header: 8, closing: false })
                }
                (ICMP, 0) | (ICMPV6, 129) => {
                    Ok(Transport { proto: Proto::Echo, src: 0, dst: identifier, header: 8, closing: false })
                }
                _ => Ok(Transport::other(protocol)),
            }
        }
        other => Ok(Transport::other(other)),
    }
}

fn byte(bytes: &[u8], at: usize) -> Result<u8, Malformed> {
    bytes.get(at).copied().ok_or(Malformed::Truncated)
}
