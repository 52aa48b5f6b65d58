//! Where packets wait for the serialiser, and who must not.

use super::codel::CoDelConfig;
use super::red::RedConfig;
use crate::packet::{Damage, Ecn, Lens, Packet};
use crate::time::Time;
use alloc::collections::VecDeque;

/// A link's queue. The packet being sent takes up its room until its last bit is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queue {
    /// What fits.
    pub limit: Limit,
    /// What is done to keep it short.
    pub discipline: Discipline,
    /// Whether the discipline marks packets that can be marked, instead of dropping them (RFC 3168). What does not fit
    /// is dropped all the same.
    pub ecn: bool,
}

impl Queue {
    /// A drop-tail queue of so many bytes.
    pub const fn drop_tail(bytes: u64) -> Queue {
        Queue { limit: Limit::Bytes(bytes), discipline: Discipline::DropTail, ecn: false }
    }
}

/// What fits into a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Limit {
    /// Everything.
    #[default]
    Unbounded,
    /// So many IP bytes.
    Bytes(u64),
    /// So many packets (wire segments), however large.
    Packets(u64),
}

impl Limit {
    /// The limit in bytes, where it is one.
    pub const fn bytes(self) -> Option<u64> {
        match self {
            Limit::Bytes(bytes) => Some(bytes),
            Limit::Unbounded | Limit::Packets(_) => None,
        }
    }
}

/// What is done to keep a queue short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Discipline {
    /// Nothing.
    #[default]
    DropTail,
    /// CoDel.
    CoDel(CoDelConfig),
    /// RED.
    Red(RedConfig),
}

/// Queue management's decision on one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    /// Congestion experienced.
    Mark,
    Drop,
}

impl Verdict {
    /// What a packet gets that has to give way: a mark if it can take one.
    pub(super) fn against(markable: bool) -> Verdict {
        if markable { Verdict::Mark } else { Verdict::Drop }
    }
}

/// What was decided about a segment when it entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fate {
    /// It is the second of two.
    pub(super) copy: bool,
    pub(super) damage: Option<Damage>,
    pub(super) out_of_turn: bool,
    pub(super) ecn: Ecn,
}

impl Fate {
    /// Whether segments of this fate may travel as one run.
    #[inline]
    pub(super) fn in_company(&self) -> bool {
        !self.copy && self.damage.is_none() && !self.out_of_turn
    }
}

/// One wire segment of a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    /// Which packet it is a segment of.
    pub(super) offer: u64,
    /// Which segment of it.
    pub(super) index: u16,
    /// Its number on the link.
    pub(super) number: u64,
    /// Bytes on the wire.
    pub(super) len: u32,
    pub(super) arrived: Time,
    pub(super) fate: Fate,
}

/// Contiguous segments of one packet, with one fate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch {
    pub(super) first: Segment,
    pub(super) count: u16,
    pub(super) bytes: u64,
    pub(super) lens: Lens,
}

impl Batch {
    pub(super) fn of_one(segment: Segment, lens: Lens) -> Batch {
        Batch { first: segment, count: 1, bytes: u64::from(segment.len), lens }
    }

    /// Takes in the segment behind its last, if that has the same fate.
    #[inline]
    pub(super) fn extend(&mut self, segment: &Segment) -> bool {
        let fits = self.first.offer == segment.offer
            && self.first.number + u64::from(self.count) == segment.number
            && self.first.fate == segment.fate
            && segment.fate.in_company();
        if fits {
            self.count += 1;
            self.bytes += u64::from(segment.len);
        }
        fits
    }

    /// Takes its first segment away. Returns whether there are more.
    #[inline]
    pub(super) fn advance(&mut self) -> bool {
        self.count -= 1;
        self.bytes -= u64::from(self.first.len);
        self.step();
        self.count > 0
    }

    /// Looks at the next segment.
    #[inline]
    pub(super) fn step(&mut self) {
        self.first.index += 1;
        self.first.number += 1;
        self.first.len = self.lens.of(self.first.index);
    }
}

/// Segments of one packet that wait together.
#[derive(Debug)]
pub(super) struct Run<B> {
    pub(super) batch: Batch,
    pub(super) packet: Packet<B>,
}

/// Packets that wait, in order.
#[derive(Debug)]
pub(super) struct Waiting<B> {
    runs: VecDeque<Run<B>>,
    bytes: u64,
    packets: u64,
}

impl<B: Clone> Waiting<B> {
    pub(super) fn new() -> Waiting<B> {
        Waiting { runs: VecDeque::new(), bytes: 0, packets: 0 }
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = &Run<B>> {
        self.runs.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether so many more packets and bytes fit behind those that wait and one of `in_service` bytes.
    pub(super) fn has_room(&self, limit: Limit, in_service: u32, packets: u16, bytes: u64) -> bool {
        match limit {
            Limit::Unbounded => true,
            Limit::Bytes(limit) => self.bytes + u64::from(in_service) + bytes <= limit,
            Limit::Packets(limit) => self.packets + u64::from(in_service > 0) + u64::from(packets) <= limit,
        }
    }

    pub(super) fn push(&mut self, batch: Batch, packet: &Packet<B>) {
        self.bytes += batch.bytes;
        self.packets += u64::from(batch.count);
        // One by one, segments of a packet still make one run.
        let joined = batch.count == 1 && self.runs.back_mut().is_some_and(|run| run.batch.extend(&batch.first));
        if !joined {
            self.runs.push_back(Run { batch, packet: packet.clone() });
        }
    }

    /// The segments that wait in front.
    pub(super) fn head(&self) -> Option<&Run<B>> {
        self.runs.front()
    }

    /// Takes so many segments out of those in front.
    pub(super) fn remove(&mut self, count: u16) {
        let Some(Run { batch, .. }) = self.runs.front_mut() else { return };
        for _ in 0..count {
            self.bytes -= u64::from(batch.first.len);
            self.packets -= 1;
            if !batch.advance() {
                self.runs.pop_front();
                return;
            }
        }
    }

    /// Throws everything away; returns how many packets that were.
    pub(super) fn clear(&mut self) -> u64 {
        self.runs.clear();
        self.bytes = 0;
        core::mem::take(&mut self.packets)
    }
}
