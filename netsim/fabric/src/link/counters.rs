//! What a link did, and why.

use crate::random::mix;

/// Why a packet was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The link's random loss.
    Loss,
    /// The link's queue was full.
    QueueFull,
    /// The link's queue management (CoDel, RED) asked its sender to slow down.
    Aqm,
    /// The link was down.
    LinkDown,
    /// The interface it reached was down.
    InterfaceDown,
    /// The packet was larger than the link's MTU; the router in front was told.
    TooBig,
    /// The packet was larger than the link's MTU; nobody was told.
    BlackHole,
    /// A router knows no way to the destination.
    NoRoute,
    /// The hop limit ran out.
    HopLimit,
    /// A NAT has no mapping for an inbound packet.
    NatNoMapping,
    /// A NAT's filter refused an inbound packet.
    NatFiltered,
    /// A NAT has no free port.
    NatExhausted,
    /// A NAT without hairpinning got a packet from inside for its own external address.
    NatHairpin,
    /// A NAT cannot translate this protocol or fragment.
    NatProtocol,
    /// A firewall forbids it.
    Firewall,
    /// It was for a router, which has no such service.
    NoService,
    /// It was for a group, and nobody of it can be reached.
    Multicast,
}

impl Cause {
    /// The cause as it is written in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Loss => "loss",
            Cause::QueueFull => "queue_full",
            Cause::Aqm => "aqm",
            Cause::LinkDown => "link_down",
            Cause::InterfaceDown => "interface_down",
            Cause::TooBig => "too_big",
            Cause::BlackHole => "black_hole",
            Cause::NoRoute => "no_route",
            Cause::HopLimit => "hop_limit",
            Cause::NatNoMapping => "nat_no_mapping",
            Cause::NatFiltered => "nat_filtered",
            Cause::NatExhausted => "nat_exhausted",
            Cause::NatHairpin => "nat_hairpin",
            Cause::NatProtocol => "nat_protocol",
            Cause::Firewall => "firewall",
            Cause::NoService => "no_service",
            Cause::Multicast => "multicast",
        }
    }
}

/// What a link saw since its start. Packets are wire segments; bytes are IP bytes.
///
/// `packets + duplicated = delivered + dropped() + queued()`, at every moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkCounters {
    /// Packets that entered.
    pub packets: u64,
    /// Bytes that entered.
    pub bytes: u64,
    /// Packets that left at the far end, copies included.
    pub delivered: u64,
    /// Bytes that left at the far end, copies included.
    pub delivered_bytes: u64,
    /// Packets lost at random.
    pub lost: u64,
    /// Packets the queue had no room for.
    pub queue_full: u64,
    /// Packets dropped by queue management.
    pub aqm: u64,
    /// Packets dropped because the link was down.
    pub down: u64,
    /// Packets that got to the far end when the host's interface there was down.
    pub interface_down: u64,
    /// Packets larger than the MTU of which the router in front was told.
    pub too_big: u64,
    /// Packets larger than the MTU of which nobody was told.
    pub black_hole: u64,
    /// Copies made.
    pub duplicated: u64,
    /// Packets and copies given a wrong bit.
    pub corrupted: u64,
    /// Packets marked by queue management instead of dropped (RFC 3168, congestion experienced).
    pub marked: u64,
    /// Packets that left after one that had entered behind them (RFC 4737, section 3).
    pub reordered: u64,
    /// Longest wait for the serialiser, in nanoseconds.
    pub peak_queueing_ns: u64,
    /// Hash of all random decisions on packets: which were lost, duplicated, corrupted, sent out of turn. Equal in two
    /// runs that decided the same.
    pub impairment_trace: u64,
}

/// A random decision against a packet, as it enters the impairment trace.
#[derive(Debug, Clone, Copy)]
pub(super) enum Decision {
    Lost = 0,
    Duplicated = 1,
    Corrupted = 2,
    CopyCorrupted = 3,
    Reordered = 4,
    CopyReordered = 5,
}

impl LinkCounters {
    /// Packets dropped, by cause; causes that did not occur are there with 0.
    pub fn by_cause(&self) -> [(Cause, u64); 7] {
        [
            (Cause::Loss, self.lost),
            (Cause::QueueFull, self.queue_full),
            (Cause::Aqm, self.aqm),
            (Cause::LinkDown, self.down),
            (Cause::InterfaceDown, self.interface_down),
            (Cause::TooBig, self.too_big),
            (Cause::BlackHole, self.black_hole),
        ]
    }

    /// Packets dropped for any cause.
    pub fn dropped(&self) -> u64 {
        self.by_cause().iter().map(|(_, count)| count).sum()
    }

    /// Packets inside the link.
    pub fn queued(&self) -> u64 {
        self.packets + self.duplicated - self.delivered - self.dropped()
    }

    /// Adds a decision on packet number `n` to the impairment trace.
    pub(super) fn decided(&mut self, decision: Decision, n: u64) {
        let word = n.wrapping_add(1) ^ (decision as u64).rotate_right(8);
        self.impairment_trace = mix(self.impairment_trace ^ word);
    }
}
