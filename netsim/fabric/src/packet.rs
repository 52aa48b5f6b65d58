//! What the fabric knows of a packet: who talks to whom, and how it is cut into wire segments. Never its bytes.

use crate::wire::{self, Offload};
use alloc::vec::Vec;
use core::net::{AddrParseError, IpAddr, SocketAddr};
use core::num::NonZeroU64;

/// A transport protocol, as far as routers and NATs tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proto {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP or ICMPv6 echo. The identifier stands in for the port of the side that sent the request (RFC 5508).
    Echo,
    /// Anything without ports, by its protocol number, and fragments that carry none.
    Other(u8),
}

/// One side of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// IPv4 or IPv6 address.
    pub addr: IpAddr,
    /// Port, echo identifier, or 0.
    pub port: u16,
}

impl Endpoint {
    /// The endpoint `addr:port`.
    pub const fn new(addr: IpAddr, port: u16) -> Endpoint {
        Endpoint { addr, port }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Endpoint {
        Endpoint::new(addr.ip(), addr.port())
    }
}

/// The header fields that routers and NATs read and change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Sender.
    pub src: Endpoint,
    /// Receiver.
    pub dst: Endpoint,
    /// Transport protocol.
    pub proto: Proto,
    /// IPv4 time to live or IPv6 hop limit.
    pub hop_limit: u8,
    /// Whether a TCP segment ends its connection (FIN or RST). NATs keep such mappings for a shorter time.
    pub closing: bool,
    /// Congestion notification: links that manage their queue set it.
    pub ecn: Ecn,
}

/// The two bits of explicit congestion notification (RFC 3168, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ecn {
    /// The sender does not take part: 00.
    #[default]
    NotCapable,
    /// The sender takes part, ECT(1): 01.
    Capable1,
    /// The sender takes part, ECT(0): 10.
    Capable0,
    /// A link on the way was congested: 11.
    CongestionExperienced,
}

impl Ecn {
    /// From the low two bits of the IPv4 type of service or the IPv6 traffic class.
    pub const fn from_bits(bits: u8) -> Ecn {
        match bits & 3 {
            0 => Ecn::NotCapable,
            1 => Ecn::Capable1,
            2 => Ecn::Capable0,
            _ => Ecn::CongestionExperienced,
        }
    }

    /// The two bits.
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// Whether a packet can be marked instead of dropped.
    pub const fn is_capable(self) -> bool {
        !matches!(self, Ecn::NotCapable)
    }
}

/// One wrong bit in a packet: drawn by a link, carried out where the packet leaves the fabric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage(NonZeroU64);

impl Damage {
    /// The damage that follows from a uniform draw.
    pub const fn new(draw: u64) -> Damage {
        // The lowest bit chooses nothing: setting it makes room for "no damage" in a word.
        Damage(NonZeroU64::MIN.saturating_add(draw & (u64::MAX - 1)))
    }

    /// Which of so many bits is wrong; 0 of none.
    pub(crate) fn bit(self, bits: usize) -> usize {
        ((u128::from(self.0.get()) * bits as u128) >> 64) as usize
    }
}

/// A run of wire segments that share one header: `count` of them, from number `first` of the original super-packet.
///
/// A plain packet is a run of one. Every segment carries `mss` payload bytes but the super-packet's last, which carries
/// the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segments {
    /// Bytes of IP and transport header on every segment.
    pub header: u16,
    /// Payload bytes of the whole super-packet.
    pub payload: u32,
    /// Payload bytes of every segment but the last. At least 1.
    pub mss: u16,
    /// First segment of this run.
    pub first: u16,
    /// Segments in this run.
    pub count: u16,
}

impl Segments {
    /// A plain packet of `len` bytes on the wire, `header` of which are headers.
    pub fn plain(header: u16, len: u32) -> Segments {
        let payload = len.saturating_sub(u32::from(header));
        let mss = u16::try_from(payload).unwrap_or(u16::MAX).max(1);
        Segments { header, payload, mss, first: 0, count: 1 }
    }

    /// A super-packet that is cut every `mss` bytes. `mss` must not be 0.
    pub fn cut(header: u16, payload: u32, mss: u16) -> Segments {
        let count = u16::try_from(payload.div_ceil(u32::from(mss))).unwrap_or(u16::MAX);
        Segments { header, payload, mss, first: 0, count }
    }

    /// Segments of the whole super-packet.
    pub fn total(&self) -> u16 {
        u16::try_from(self.payload.div_ceil(u32::from(self.mss))).unwrap_or(u16::MAX).max(1)
    }

    /// Where the payload of segment `index` of the super-packet starts and ends.
    fn payload_range(&self, index: u16) -> (u32, u32) {
        let start = u32::from(index) * u32::from(self.mss);
        let end = if index + 1 >= self.total() { self.payload } else { start + u32::from(self.mss) };
        (start.min(self.payload), end)
    }

    /// Bytes on the wire of segment `index` of the super-packet.
    pub fn wire_len(&self, index: u16) -> u32 {
        let (start, end) = self.payload_range(index);
        u32::from(self.header) + (end - start)
    }

    /// The wire lengths of all segments, without a division for each.
    pub(crate) fn lens(&self) -> Lens {
        let last = self.total() - 1;
        Lens { last, each: u32::from(self.header) + u32::from(self.mss), of_last: self.wire_len(last) }
    }

    /// Where this run's payload starts and ends in the super-packet's payload.
    pub fn run_range(&self) -> (u32, u32) {
        (self.payload_range(self.first).0, self.payload_range(self.first + self.count.max(1) - 1).1)
    }

    /// Bytes on the wire of the whole run.
    pub fn run_wire_len(&self) -> u64 {
        let (start, end) = self.run_range();
        u64::from(self.count) * u64::from(self.header) + u64::from(end - start)
    }

    /// Whether the run is the whole super-packet.
    pub fn is_whole(&self) -> bool {
        self.first == 0 && self.count == self.total()
    }
}

/// What [`Segments::wire_len`] says of a super-packet's segments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lens {
    last: u16,
    each: u32,
    of_last: u32,
}

impl Lens {
    /// Bytes on the wire of segment `index`.
    pub(crate) fn of(self, index: u16) -> u32 {
        if index >= self.last { self.of_last } else { self.each }
    }
}

/// A run of wire segments on its way through the fabric. `B` is the caller's handle on the bytes; it is cloned when
/// losses cut a run in two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet<B> {
    /// The header as it is now: routers change it here, the caller writes the changes into the bytes at the end.
    pub head: Head,
    /// How the bytes are cut.
    pub segments: Segments,
    /// A wrong bit, if a link has damaged it. Such a packet is a run of one.
    pub damage: Option<Damage>,
    /// The caller's handle on the bytes.
    pub body: B,
}

impl<B> Packet<B> {
    /// A UDP datagram of `len` bytes on the wire, for tests and examples.
    pub fn udp(src: &str, dst: &str, len: u32, body: B) -> Result<Packet<B>, AddrParseError> {
        let head = Head {
            src: src.parse::<SocketAddr>()?.into(),
            dst: dst.parse::<SocketAddr>()?.into(),
            proto: Proto::Udp,
            hop_limit: 64,
            closing: false,
            ecn: Ecn::NotCapable,
        };
        Ok(Packet { head, segments: Segments::plain(28, len), damage: None, body })
    }
}

/// The caller's handle on a packet's bytes. The fabric looks at them only where a router has to speak or to read what
/// an ICMP error is about.
pub trait Body: Clone {
    /// The packet as its host sent it, IP header first. Empty where there are no bytes; then routers keep silent.
    fn bytes(&self) -> &[u8];

    /// How the host's kernel wants the bytes to be cut.
    fn offload(&self) -> Offload {
        Offload::default()
    }

    /// A handle on a packet that a router made; `None` where there are no bytes.
    fn from_bytes(bytes: Vec<u8>) -> Option<Self>;
}

impl Body for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn from_bytes(bytes: Vec<u8>) -> Option<Vec<u8>> {
        Some(bytes)
    }
}

/// Bodies that only tell packets apart, for tests and examples.
macro_rules! without_bytes {
    ($($body:ty),*) => {$(
        impl Body for $body {
            fn bytes(&self) -> &[u8] {
                &[]
            }

            fn from_bytes(_: Vec<u8>) -> Option<$body> {
                None
            }
        }
    )*};
}

without_bytes!((), u32, usize);

impl<B: Body> Packet<B> {
    /// The packet that `bytes` are, IP header first; `None` if they are none, or `B` holds no bytes.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Packet<B>> {
        let parsed = wire::parse(&Offload::default(), &bytes).ok()?;
        Some(Packet { head: parsed.head, segments: parsed.segments, damage: None, body: B::from_bytes(bytes)? })
    }

    /// The first wire segment's bytes with the header as it is now; `None` if there are no bytes.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let (bytes, offload) = (self.body.bytes(), self.body.offload());
        let layout = wire::parse(&offload, bytes).ok()?.layout;
        let segments = Segments { count: 1, ..self.segments };
        let mut out = alloc::vec![0; usize::from(layout.payload) + 20];
        let written = wire::write_header(&offload, bytes, &layout, &segments, &self.head, &mut out);
        out.truncate(written.header_len.into());
        let (from, to) = segments.run_range();
        let start = usize::from(layout.payload);
        out.extend_from_slice(bytes.get(start + from as usize..start + to as usize)?);
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_add_up() {
        // (header, payload, mss) -> (segments, last segment's wire length)
        for (header, payload, mss, count, last) in
            [(40, 1, 1460, 1, 41), (40, 1460, 1460, 1, 1500), (40, 1461, 1460, 2, 41), (52, 65_000, 1448, 45, 1340)]
        {
            let segments = Segments::cut(header, payload, mss);
            assert_eq!(segments.count, count);
            assert_eq!(segments.wire_len(count - 1), last);
            let sum: u64 = (0..count).map(|i| u64::from(segments.wire_len(i))).sum();
            assert_eq!(sum, segments.run_wire_len());
            assert!(segments.is_whole());
        }
        assert_eq!(Segments::plain(28, 100).wire_len(0), 100);
        assert_eq!(Segments::plain(40, 40).run_range(), (0, 0));
    }
}
