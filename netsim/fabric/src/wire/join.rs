//! Joins datagrams of one flow that leave at one time, as a network card's receive offload does: one system call carries
//! them all, and the receiver's kernel cuts them again (`udp_rcv_segment`).

use super::checksum::Delta;
use super::header::{set_word, word, write_header};
use super::parse::{Layout, Offload};
use crate::packet::{Packet, Proto, Segments};

/// As many datagrams as Linux cuts a super-packet into at most (`UDP_MAX_SEGMENTS` before 6.9).
const MAX_JOINED: usize = 64;
/// The longest IP packet.
const MAX_LEN: usize = 65_535;

/// Datagrams that will be one super-packet, put together in a buffer of the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// Bytes of payload of each but the last, which may have less.
    size: u16,
    payload: usize,
    count: usize,
}

impl Joined {
    /// Starts with this datagram; `None` if it is not one that others can follow.
    pub fn start<B>(packet: &Packet<B>, offload: &Offload, layout: &Layout) -> Option<Joined> {
        let is_plain = offload.kind() == Offload::GSO_NONE && packet.segments.is_whole() && packet.damage.is_none();
        // The checksum of the whole can only be left to the kernel where that of each was.
        let is_partial = offload.flags & Offload::NEEDS_CSUM != 0;
        let has_options = layout.transport != if layout.v6 { 40 } else { 20 };
        let size = u16::try_from(packet.segments.payload).ok()?;
        let joinable = packet.head.proto == Proto::Udp && is_plain && is_partial && !has_options && size > 0;
        joinable.then_some(Joined { size, payload: usize::from(size), count: 1 })
    }

    /// Takes in a datagram that leaves right behind, if it differs from the first one in its payload alone. `original`
    /// and `header` are the bytes of both.
    pub fn push<B>(&mut self, first: (&Packet<B>, &[u8]), next: (&Packet<B>, &[u8], &Offload, &Layout)) -> bool {
        let (packet, bytes, offload, layout) = next;
        let Some(Joined { size, .. }) = Joined::start(packet, offload, layout) else { return false };
        let is_full = self.payload == usize::from(self.size) * self.count && self.count < MAX_JOINED;
        let len = usize::from(layout.payload) + self.payload + usize::from(size);
        // What the fabric does not know of: the type of service or traffic class and flow label, and fragment flags.
        let same = |from: usize, to: usize| first.1.get(from..to) == bytes.get(from..to);
        let same_header = if layout.v6 { same(0, 4) } else { same(0, 2) && same(6, 8) };
        let follows = first.0.head == packet.head && same_header && size <= self.size && is_full && len <= MAX_LEN;
        if follows {
            self.payload += usize::from(size);
            self.count += 1;
        }
        follows
    }

    /// How many datagrams there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Writes the header of the super-packet into `out`, from the first datagram's; see [`write_header`]. All payloads
    /// belong behind it, in order.
    pub fn write<B>(
        &self,
        first: &Packet<B>,
        offload: &Offload,
        original: &[u8],
        layout: &Layout,
        out: &mut [u8],
    ) -> Offload {
        let len = u32::from(layout.payload) + u32::from(self.size);
        let alone = Segments::plain(layout.payload, len);
        let mut joined = write_header(offload, original, layout, &alone, &first.head, out);
        let transport = usize::from(joined.header_len) - 8;
        // `push` keeps the sum below this.
        let total = (usize::from(joined.header_len) + self.payload).min(MAX_LEN) as u16;
        if first.head.src.addr.is_ipv6() {
            out[4..6].copy_from_slice(&total.saturating_sub(40).to_be_bytes());
        } else {
            let mut header = Delta::default();
            set_word(out, 2, total, &mut header);
            let checksum = header.patch(word(out, 10));
            out[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
        // The partial checksum covers the pseudo-header, and that holds the length.
        let mut pseudo = Delta::default();
        set_word(out, transport + 4, total.saturating_sub(transport as u16), &mut pseudo);
        let checksum = pseudo.patch_partial(word(out, transport + 6));
        out[transport + 6..transport + 8].copy_from_slice(&checksum.to_be_bytes());
        (joined.gso_type, joined.gso_size) = (Offload::GSO_UDP_L4, self.size);
        joined
    }
}
