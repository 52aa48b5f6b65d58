//! A tap on a link: what went in, what came out, and what became of the rest.

use super::Link;
use super::counters::Cause;
use super::queue::Segment;
use crate::packet::Packet;
use crate::time::Time;
use alloc::vec::Vec;

/// What a tapped link did with a run of segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// They entered.
    Entered,
    /// A copy was made of them.
    Copied,
    /// They were dropped.
    Dropped(Cause),
    /// They left at the far end.
    Left,
}

/// A run of segments seen at a tapped link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting<B> {
    /// When.
    pub at: Time,
    /// The first segment's number on the link; the others follow.
    pub number: u64,
    /// What happened.
    pub sight: Sight,
    /// The segments, with their header as it was then.
    pub packet: Packet<B>,
}

impl<B: Clone> Link<B> {
    /// Starts or stops keeping what is seen.
    pub(crate) fn tap(&mut self, on: bool) {
        self.tap = on.then(Vec::new);
    }

    /// What was seen since this was last asked, in order of time.
    pub(crate) fn take_sightings(&mut self) -> Vec<Sighting<B>> {
        self.tap.as_mut().map(core::mem::take).unwrap_or_default()
    }

    /// A run is seen as it is.
    pub(super) fn see(&mut self, at: Time, number: u64, sight: Sight, packet: &Packet<B>) {
        if let Some(tap) = &mut self.tap {
            tap.push(Sighting { at, number, sight, packet: packet.clone() });
        }
    }

    /// One segment of a packet is seen.
    pub(super) fn see_segment(&mut self, at: Time, sight: Sight, index: u16, number: u64, packet: &Packet<B>) {
        if self.tap.is_some() {
            let mut alone = packet.clone();
            (alone.segments.first, alone.segments.count) = (index, 1);
            self.see(at, number, sight, &alone);
        }
    }

    /// What waited is dropped, all at once.
    pub(super) fn lose_waiting(&mut self, now: Time) {
        if self.tap.is_some() {
            let waiting: Vec<(Segment, u16, Packet<B>)> =
                self.waiting.runs().map(|run| (run.batch.first, run.batch.count, run.packet.clone())).collect();
            for (first, count, mut packet) in waiting {
                (packet.segments.first, packet.segments.count) = (first.index, count);
                self.see(now, first.number, Sight::Dropped(Cause::LinkDown), &packet);
            }
        }
        self.counters.down += self.waiting.clear();
    }
}
