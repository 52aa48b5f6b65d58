//! A link by the rules of Linux's `netem`, for those who want to know what results over it were worth: `netem_enqueue`
//! and `netem_dequeue` in `net/sched/sch_netem.c`.
//!
//! A super-packet is one packet to it: it is lost, copied and delayed whole. Its limit counts packets on their way too.
//! Jitter lets packets overtake each other, unless there is a rate. A copy comes first and meets a fate of its own.

use super::counters::{Cause, Decision};
use super::flight::Flying;
use super::queue::Limit;
use super::{Link, Rate, Sight};
use crate::packet::{Damage, Packet};
use crate::time::Time;

impl<B: Clone> Link<B> {
    pub(super) fn offer_as_netem(&mut self, now: Time, packet: Packet<B>) {
        let (number, count) = (self.counters.packets, u64::from(packet.segments.count));
        self.counters.packets += count;
        self.counters.bytes += packet.segments.run_wire_len();
        let lost = self.loss.loses(&self.config.loss, number, self.draws.loss, self.draws.loss_state);
        let copied = self.config.duplicate.hits(self.draws.duplicate, number);
        if copied {
            self.counters.decided(Decision::Duplicated, number);
        }
        if lost {
            self.counters.decided(Decision::Lost, number);
        }
        // One is added, one is taken away: nothing is left of either.
        match (copied, lost) {
            (true, false) => {
                self.counters.duplicated += count;
                self.see(now, number, Sight::Copied, &packet);
                self.delay_whole(now, number, true, &packet);
                self.delay_whole(now, number, false, &packet);
            }
            (false, true) => self.lose_whole(now, Cause::Loss, number, &packet),
            _ => self.delay_whole(now, number, false, &packet),
        }
    }

    fn lose_whole(&mut self, now: Time, cause: Cause, number: u64, packet: &Packet<B>) {
        let count = u64::from(packet.segments.count);
        match cause {
            Cause::Loss => self.counters.lost += count,
            _ => self.counters.queue_full += count,
        }
        self.see(now, number, Sight::Dropped(cause), packet);
    }

    fn delay_whole(&mut self, now: Time, number: u64, copy: bool, packet: &Packet<B>) {
        let draws = if copy { self.copy_draws } else { self.draws };
        let full = matches!(self.config.queue.limit, Limit::Packets(limit) if self.line.flight.len() as u64 >= limit);
        if copy && self.loss.loses(&self.config.loss, number, draws.loss, draws.loss_state) {
            return self.lose_whole(now, Cause::Loss, number, packet);
        }
        if full {
            return self.lose_whole(now, Cause::QueueFull, number, packet);
        }
        let deviation = self.line.sampler.draw(draws.jitter, number);
        let mut at = now + self.config.delay_ns.saturating_add_signed(deviation);
        // Any other rate is none of netem's.
        if let Rate::Constant(rate) = self.config.rate {
            let ready = at;
            let bits = u128::from(packet.segments.run_wire_len()) * 8_000_000_000;
            let takes = u64::try_from(bits / u128::from(rate.get())).unwrap_or(u64::MAX);
            at = at.max(self.line.flight.latest()) + takes;
            self.count_wait(at.nanos_since(ready).saturating_sub(takes));
        }
        let mut whole = Flying::whole(at, self.offers, number, packet.clone());
        // It takes a super-packet apart for this, and damages its first segment.
        if self.config.corrupt.hits(draws.corrupt, number) {
            self.counters.corrupted += 1;
            self.counters.decided(if copy { Decision::CopyCorrupted } else { Decision::Corrupted }, number);
            let mut first = whole.packet.clone();
            first.segments.count = 1;
            first.damage = Some(Damage::new(draws.damage.draw(number)));
            self.line.flight.pass(Flying::whole(at, self.offers, number, first));
            whole.number += 1;
            whole.packet.segments.first += 1;
            whole.packet.segments.count -= 1;
            if whole.packet.segments.count == 0 {
                return;
            }
        }
        self.line.flight.pass(whole);
    }
}
