//! What has been sent and has not arrived yet.

use super::queue::{Batch, Segment};
use crate::packet::Packet;
use crate::time::Time;
use alloc::collections::{BTreeMap, VecDeque};

/// A run of segments under way.
#[derive(Debug)]
pub(super) struct Flying<B> {
    /// When it arrives: with its last segment.
    pub(super) at: Time,
    /// When its first segment would have arrived alone.
    pub(super) first_at: Time,
    pub(super) offer: u64,
    /// Its first segment's number.
    pub(super) number: u64,
    pub(super) packet: Packet<B>,
}

impl<B> Flying<B> {
    /// All of `packet`, which a link passes through untouched.
    pub(super) fn whole(at: Time, offer: u64, number: u64, packet: Packet<B>) -> Flying<B> {
        Flying { at, first_at: at, offer, number, packet }
    }

    /// Segments of `packet` that arrive together.
    pub(super) fn of(batch: &Batch, at: Time, packet: &Packet<B>) -> Flying<B>
    where
        B: Clone,
    {
        let mut run = Flying::alone(&batch.first, at, packet);
        run.packet.segments.count = batch.count;
        run
    }

    /// One segment of `packet`.
    pub(super) fn alone(segment: &Segment, at: Time, packet: &Packet<B>) -> Flying<B>
    where
        B: Clone,
    {
        let Segment { offer, index, number, fate, .. } = *segment;
        let mut packet = packet.clone();
        (packet.segments.first, packet.segments.count) = (index, 1);
        (packet.head.ecn, packet.damage) = (fate.ecn, fate.damage);
        Flying { at, first_at: at, offer, number, packet }
    }

    /// Whether `segment` is the one after this run's last, and may travel with it.
    pub(super) fn continues_with(&self, segment: &Segment) -> bool {
        self.offer == segment.offer
            && self.number + u64::from(self.packet.segments.count) == segment.number
            && self.packet.head.ecn == segment.fate.ecn
            && self.packet.damage.is_none()
            && segment.fate.in_company()
    }
}

/// Everything under way on a link.
#[derive(Debug)]
pub(super) struct Flight<B> {
    /// In order of arrival.
    in_turn: VecDeque<Flying<B>>,
    /// By arrival, then by departure.
    out_of_turn: BTreeMap<(Time, u64), Flying<B>>,
    /// Arrival of the last one in turn.
    last: Time,
    launched: u64,
}

impl<B: Clone> Flight<B> {
    pub(super) fn new() -> Flight<B> {
        Flight { in_turn: VecDeque::new(), out_of_turn: BTreeMap::new(), last: Time::ZERO, launched: 0 }
    }

    /// Not before what went in front of it.
    pub(super) fn clamp(&self, at: Time) -> Time {
        at.max(self.last)
    }

    /// A run that keeps its turn; `run.at` must have gone through [`Flight::clamp`].
    pub(super) fn push(&mut self, run: Flying<B>) {
        self.last = run.at;
        self.in_turn.push_back(run);
    }

    /// A segment that keeps its turn, with the run in front of it if that takes it.
    pub(super) fn join(&mut self, segment: &Segment, start: Time, at: Time, coalesce_ns: u64, packet: &Packet<B>) {
        match self.in_turn.back_mut() {
            // What has arrived before the segment was sent cannot wait for it.
            Some(run)
                if run.continues_with(segment) && start <= run.at && at.nanos_since(run.first_at) <= coalesce_ns =>
            {
                run.at = at;
                run.packet.segments.count += 1;
                self.last = at;
            }
            _ => self.push(Flying::alone(segment, at, packet)),
        }
    }

    /// A segment that keeps no order.
    pub(super) fn overtake(&mut self, segment: &Segment, at: Time, packet: &Packet<B>) {
        self.pass(Flying::alone(segment, at, packet));
    }

    /// A run that keeps no order.
    pub(super) fn pass(&mut self, run: Flying<B>) {
        self.launched += 1;
        self.out_of_turn.insert((run.at, self.launched), run);
    }

    /// How many runs are under way.
    pub(super) fn len(&self) -> usize {
        self.in_turn.len() + self.out_of_turn.len()
    }

    /// When the last one that is under way arrives; the beginning of time if none is.
    pub(super) fn latest(&self) -> Time {
        let out_of_turn = self.out_of_turn.last_key_value().map(|((at, _), _)| *at);
        self.in_turn.back().map(|run| run.at).into_iter().chain(out_of_turn).max().unwrap_or(Time::ZERO)
    }

    /// When the next run arrives.
    pub(super) fn next(&self) -> Option<Time> {
        let in_turn = self.in_turn.front().map(|run| run.at);
        let out_of_turn = self.out_of_turn.first_key_value().map(|((at, _), _)| *at);
        in_turn.into_iter().chain(out_of_turn).min()
    }

    /// The run that is both the first to arrive and the last that was sent, if nothing else is under way.
    pub(super) fn only(&self) -> Option<&Flying<B>> {
        self.in_turn.front().filter(|_| self.in_turn.len() == 1 && self.out_of_turn.is_empty())
    }

    pub(super) fn has_stragglers(&self) -> bool {
        !self.out_of_turn.is_empty()
    }

    /// Takes out the next run, if it arrives at or before `now`.
    pub(super) fn pop(&mut self, now: Time) -> Option<Flying<B>> {
        let in_turn = self.in_turn.front().map(|run| run.at);
        match self.out_of_turn.first_entry() {
            Some(first) if in_turn.is_none_or(|at| first.key().0 < at) => {
                if first.key().0 <= now {
                    Some(first.remove())
                } else {
                    None
                }
            }
            _ => in_turn.filter(|at| *at <= now).and_then(|_| self.in_turn.pop_front()),
        }
    }
}
