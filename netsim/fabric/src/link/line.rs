//! From the queue's head to the far end: serialisation, delay and jitter, order.

use super::config::{LinkConfig, LinkState, Reorder, Shift};
use super::flight::{Flight, Flying};
use super::jitter::Sampler;
use super::queue::{Batch, Discipline, Run, Segment, Waiting};
use super::rate::{Rate, Serialiser, Start};
use crate::packet::Packet;
use crate::random::Stream;
use crate::time::Time;
use core::num::NonZeroU64;

/// The part of a link that packets are on once they have left the queue.
#[derive(Debug)]
pub(super) struct Line<B> {
    pub(super) serialiser: Serialiser,
    pub(super) sampler: Sampler,
    pub(super) flight: Flight<B>,
}

impl<B: Clone> Line<B> {
    pub(super) fn new(config: &LinkConfig, now: Time) -> Line<B> {
        Line { serialiser: Serialiser::new(now), sampler: Sampler::new(&config.jitter), flight: Flight::new() }
    }

    /// Sends `segment` of `packet`; `jitter` is the stream its deviation is drawn from.
    pub(super) fn launch(
        &mut self,
        config: &LinkConfig,
        jitter: Stream,
        start: Start,
        segment: &Segment,
        packet: &Packet<B>,
    ) {
        let sent = self.serialiser.send(&config.rate, start, segment.len);
        let delay = delay_ns(config, &self.serialiser, sent, self.sampler.draw(jitter, segment.number));
        match config.reorder {
            // Order is kept by never arriving before the packet in front; a late one therefore delays followers too.
            Reorder::Never => {
                let at = self.flight.clamp(sent + delay);
                self.flight.join(segment, start.at, at, config.coalesce_ns, packet);
            }
            Reorder::ByJitter => self.flight.overtake(segment, sent + delay, packet),
            Reorder::Share { shift: Shift::Behind(ns), .. } if segment.fate.out_of_turn => {
                self.flight.overtake(segment, sent + delay + ns, packet);
            }
            Reorder::Share { shift: Shift::Ahead(ns), .. } if segment.fate.out_of_turn => {
                self.flight.overtake(segment, sent + delay.saturating_sub(ns), packet);
            }
            Reorder::Share { .. } => {
                let at = self.flight.clamp(sent + delay);
                self.flight.push(Flying::alone(segment, at, packet));
            }
        }
    }

    /// Sends those segments of `run`, ready from `ready` on, whose turn comes at or before `now`. Returns how many, and
    /// when the last of them started.
    pub(super) fn launch_run(
        &mut self,
        config: &LinkConfig,
        jitter: Stream,
        run: &Run<B>,
        ready: Time,
        now: Time,
    ) -> (u16, Time) {
        let (mut batch, packet) = (run.batch, &run.packet);
        let (mut launched, mut started) = (0, ready);
        while launched < run.batch.count
            && let Some(start) = self.serialiser.start(&config.rate, ready).filter(|start| start.at <= now)
        {
            self.launch(config, jitter, start, &batch.first, packet);
            (launched, started) = (launched + 1, start.at);
            batch.step();
        }
        (launched, started)
    }

    /// A time before which nothing arrives that starts to be sent at `start`.
    pub(super) fn earliest(&self, config: &LinkConfig, start: Time) -> Time {
        let ahead = match config.reorder {
            Reorder::Share { shift: Shift::Ahead(ns), .. } => ns,
            _ => 0,
        };
        start + config.delay_ns.saturating_add_signed(self.sampler.least_ns()).saturating_sub(ahead)
    }

    /// When `run`, the only one under way, arrives: together with those segments that still wait and will join it.
    /// Without this the caller would be woken for every segment of a run.
    pub(super) fn arrival_with_followers(
        &self,
        config: &LinkConfig,
        jitter: Stream,
        run: &Flying<B>,
        waiting: &Waiting<B>,
        not_before: Time,
    ) -> Time {
        // Nobody joins while the link is down, and CoDel may drop what waits.
        if config.coalesce_ns == 0
            || config.state != LinkState::Up
            || matches!(config.queue.discipline, Discipline::CoDel(_))
        {
            return run.at;
        }
        let Some(Run { batch, .. }) = waiting.head().filter(|head| run.continues_with(&head.batch.first)) else {
            return run.at;
        };
        let head = batch.first;
        if let (Rate::Constant(rate), Sampler::None) = (&config.rate, &self.sampler) {
            return self.arrival_by_division(config, *rate, run, batch);
        }
        let mut serialiser = self.serialiser;
        let mut arrival = run.at;
        for (number, index) in (head.number..).zip(head.index..head.index + batch.count) {
            let Some(start) = serialiser.start(&config.rate, head.arrived.max(not_before)) else { break };
            let sent = serialiser.send(&config.rate, start, batch.lens.of(index));
            let at = sent + delay_ns(config, &serialiser, sent, self.sampler.draw(jitter, number));
            let at = at.max(arrival);
            if start.at > arrival || at.nanos_since(run.first_at) > config.coalesce_ns {
                break;
            }
            arrival = at;
        }
        arrival
    }

    /// The same where packets follow each other evenly: a division says how many still join. The answer may be some
    /// nanoseconds too early, never too late.
    fn arrival_by_division(&self, config: &LinkConfig, rate: NonZeroU64, run: &Flying<B>, batch: &Batch) -> Time {
        let window = (run.first_at + config.coalesce_ns).as_nanos();
        let last_sent = Time::from_nanos(window.saturating_sub(config.delay_ns));
        let len = batch.first.len;
        let joining = self.serialiser.packets_until(rate, len, last_sent).min(batch.count.into());
        if joining == 0 {
            return run.at;
        }
        // Only the last of a super-packet may be shorter.
        let bytes = if joining == u64::from(batch.count) { batch.bytes } else { joining * u64::from(len) };
        run.at.max(self.serialiser.sent_not_before(rate, bytes) + config.delay_ns)
    }
}

/// How long a packet that was sent at `sent` travels, `deviation` nanoseconds of jitter included.
#[inline]
fn delay_ns(config: &LinkConfig, serialiser: &Serialiser, sent: Time, deviation: i64) -> u64 {
    let fixed = config.delay_ns.saturating_add(serialiser.extra_delay_ns(&config.rate, sent));
    fixed.saturating_add_signed(deviation)
}
