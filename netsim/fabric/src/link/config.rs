//! What a directed link is asked to do.

use super::jitter::Jitter;
use super::loss::Loss;
use super::queue::Queue;
use super::rate::Rate;
use crate::random::Stream;

/// A probability as an integer ratio: parts per billion, so that "1 %" has one spelling and no rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Probability(u32);

impl Probability {
    /// Never.
    pub const ZERO: Probability = Probability(0);
    /// Always.
    pub const ONE: Probability = Probability(Self::BILLION);
    const BILLION: u32 = 1_000_000_000;

    /// `ppb` parts per billion; `None` above one.
    pub const fn from_ppb(ppb: u32) -> Option<Probability> {
        if ppb <= Self::BILLION { Some(Probability(ppb)) } else { None }
    }

    /// Parts per billion.
    pub const fn ppb(self) -> u32 {
        self.0
    }

    /// Whether draw number `number` of a stream falls inside. What never happens costs no draw.
    pub(super) fn hits(self, stream: Stream, number: u64) -> bool {
        self != Probability::ZERO && self.contains(stream.draw(number))
    }

    /// Whether a uniform 64-bit draw falls inside.
    pub(super) fn contains(self, draw: u64) -> bool {
        (u128::from(draw) * u128::from(Self::BILLION)) >> 64 < u128::from(self.0)
    }
}

/// What a directed link does to packets, in the order in which it does it. The default is a perfect wire.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkConfig {
    /// Whose rules it follows.
    pub manner: Manner,
    /// Whether the link carries anything.
    pub state: LinkState,
    /// The largest packet it carries; absent: any.
    pub mtu: Option<Mtu>,
    /// Which packets are lost.
    pub loss: Loss,
    /// How often a packet comes out twice. The copy follows right behind.
    pub duplicate: Probability,
    /// How often a packet has one bit wrong at the far end. Its receiver's checksum catches it.
    pub corrupt: Probability,
    /// Where packets wait for the serialiser. Needs a rate, or a link that holds packets while down, to matter.
    pub queue: Queue,
    /// How fast packets are sent.
    pub rate: Rate,
    /// Fixed propagation delay, in nanoseconds.
    pub delay_ns: u64,
    /// How the delay varies. A packet is never delayed by less than nothing.
    pub jitter: Jitter,
    /// Whether packets may overtake each other.
    pub reorder: Reorder,
    /// Segments of one super-packet that leave within this window leave together, at the last one's time, in
    /// nanoseconds. 0 keeps every segment's own time, and so does a link that reorders.
    pub coalesce_ns: u64,
}

/// Whose rules a link follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Manner {
    /// A wire's: every segment has its own fate, and order is kept unless it is asked otherwise.
    #[default]
    Wire,
    /// Those of Linux's `netem`, its mistakes included: a super-packet has one fate, the queue's limit counts packets on
    /// their way too, and jitter reorders. MTU, reordering, queue management, limits in bytes and rates that change are
    /// not netem's and do nothing.
    Netem,
}

/// Whether a link carries anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinkState {
    /// It does.
    #[default]
    Up,
    /// It does not. What was sent already, or is being sent, still arrives.
    Down(Outage),
}

/// What becomes of packets while a link is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// They are dropped, and so are those that were waiting: an interface that goes down loses its queue.
    Drop,
    /// They wait in the queue until the link is up again, as on a radio link between two cells.
    Hold,
}

/// The largest packet a link carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mtu {
    /// IP bytes, header included.
    pub bytes: u32,
    /// What happens to larger ones.
    pub oversize: Oversize,
}

/// What happens to packets larger than a link's MTU. Both are dropped: routers here do not fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oversize {
    /// The router in front is told, so that it can answer (RFC 1191, RFC 8201).
    TooBig,
    /// Nobody is told: a path-MTU black hole (RFC 2923).
    BlackHole,
}

/// Whether packets may overtake each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reorder {
    /// Never: a packet that would come before the one in front of it waits for it. A late packet therefore makes its
    /// followers late too.
    #[default]
    Never,
    /// Where the jitter makes them, as `netem` does.
    ByJitter,
    /// Some packets leave out of turn; all others keep their order.
    Share {
        /// How many.
        share: Probability,
        /// How far out of turn.
        shift: Shift,
    },
}

/// How far a packet leaves out of turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// So many nanoseconds after its turn.
    Behind(u64),
    /// So many nanoseconds before its turn, at most the link's delay.
    Ahead(u64),
}
