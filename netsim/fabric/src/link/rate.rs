//! How fast a link sends: without limit, at a rate, by a schedule of rates, or by recorded opportunities.

use super::trace::Trace;
use crate::time::Time;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU64;

/// How fast a link sends. Schedules and traces start when the link does, or when they are set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Rate {
    /// Infinitely fast.
    #[default]
    Unlimited,
    /// So many bits per second.
    Constant(NonZeroU64),
    /// At different times different rates.
    Schedule(Schedule),
    /// Whenever the trace says so.
    Trace(Arc<Trace>),
}

impl Rate {
    /// Bits per second in the long run; `None` where there is no limit, or a schedule that ends in nothing.
    pub fn mean_bps(&self) -> Option<NonZeroU64> {
        match self {
            Rate::Unlimited => None,
            Rate::Constant(rate) => Some(*rate),
            Rate::Schedule(schedule) => NonZeroU64::new(schedule.mean_bps()),
            Rate::Trace(trace) => NonZeroU64::new(trace.mean_bps()),
        }
    }

    /// Whether a packet's sending time depends on when it is sent.
    pub fn varies(&self) -> bool {
        matches!(self, Rate::Schedule(_) | Rate::Trace(_))
    }

    /// The longest time for which nothing is sent, in nanoseconds.
    pub fn longest_pause_ns(&self) -> u64 {
        match self {
            Rate::Unlimited | Rate::Constant(_) => 0,
            Rate::Schedule(schedule) => schedule.longest_pause_ns(),
            Rate::Trace(trace) => u64::from(trace.longest_pause_ms()) * 1_000_000,
        }
    }

    /// The most that a schedule adds to a packet's delay, in nanoseconds.
    pub fn extra_delay_ns(&self) -> u64 {
        match self {
            Rate::Schedule(schedule) => schedule.steps.iter().map(|step| step.extra_delay_ns).max().unwrap_or(0),
            _ => 0,
        }
    }
}

/// One stretch of a [`Schedule`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Nanoseconds after the schedule's start.
    pub from_ns: u64,
    /// Bits per second from then on. 0: nothing is sent until the next step; what comes waits in the queue.
    pub rate_bps: u64,
    /// What a packet sent in this stretch takes longer than the link's own delay, in nanoseconds: another cell, another
    /// satellite.
    pub extra_delay_ns: u64,
}

/// A rate that changes at fixed times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    steps: Arc<[Step]>,
    period_ns: Option<NonZeroU64>,
}

/// Why steps are not a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The first step does not start at 0, or there is none.
    #[error("the first step of a schedule must start at 0")]
    Start,
    /// A step starts before or with the one in front of it.
    #[error("step {step} of the schedule does not start after the one before it")]
    Order {
        /// Counted from 1.
        step: usize,
    },
    /// The schedule would repeat before its last step.
    #[error("the schedule repeats before its last step starts")]
    Period,
    /// Nothing would ever be sent.
    #[error("every step of the schedule has rate 0")]
    NothingSent,
}

impl Schedule {
    /// Steps in order of time, repeated every `period_ns` nanoseconds; without a period the last step stays.
    pub fn new(steps: Vec<Step>, period_ns: Option<NonZeroU64>) -> Result<Schedule, ScheduleError> {
        let last = match (steps.first(), steps.last()) {
            (Some(Step { from_ns: 0, .. }), Some(last)) => last.from_ns,
            _ => return Err(ScheduleError::Start),
        };
        if let Some(at) = steps.windows(2).position(|pair| pair[1].from_ns <= pair[0].from_ns) {
            return Err(ScheduleError::Order { step: at + 2 });
        }
        if period_ns.is_some_and(|period| period.get() <= last) {
            return Err(ScheduleError::Period);
        }
        if steps.iter().all(|step| step.rate_bps == 0) {
            return Err(ScheduleError::NothingSent);
        }
        Ok(Schedule { steps: steps.into(), period_ns })
    }

    /// The steps, in order of time.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Bits per second in the long run.
    fn mean_bps(&self) -> u64 {
        let Some(period) = self.period_ns else { return self.steps.last().map_or(0, |step| step.rate_bps) };
        let ends = self.steps.iter().skip(1).map(|step| step.from_ns).chain([period.get()]);
        let sent: u128 =
            self.steps.iter().zip(ends).map(|(s, end)| u128::from(end - s.from_ns) * u128::from(s.rate_bps)).sum();
        u64::try_from(sent / u128::from(period.get())).unwrap_or(u64::MAX)
    }

    /// The longest stretch of steps with rate 0, in nanoseconds.
    fn longest_pause_ns(&self) -> u64 {
        let end = self.period_ns.map_or_else(|| self.steps.last().map_or(0, |step| step.from_ns), NonZeroU64::get);
        // Twice round: a pause may go on from the last step to the first.
        let starts = self.steps.iter().map(|step| step.from_ns);
        let ends = starts.skip(1).chain([end]);
        let stretches = self.steps.iter().zip(ends).map(|(step, end)| (step.rate_bps, end - step.from_ns));
        let rounds = if self.period_ns.is_some() { 2 } else { 1 };
        let (mut longest, mut pause) = (0, 0);
        for (rate, length) in core::iter::repeat_n(stretches, rounds).flatten() {
            pause = if rate == 0 { pause + length } else { 0 };
            longest = longest.max(pause);
        }
        longest
    }

    /// What holds `elapsed` nanoseconds after the start, and for how many nanoseconds; `None`: for ever.
    fn at(&self, elapsed: u64) -> (Step, Option<u64>) {
        let within = self.period_ns.map_or(elapsed, |period| elapsed % period.get());
        let next = self.steps.partition_point(|step| step.from_ns <= within);
        let end = self.steps.get(next).map(|step| step.from_ns).or(self.period_ns.map(NonZeroU64::get));
        (self.steps[next.max(1) - 1], end.map(|end| end - within))
    }
}

/// When and with what a packet starts to be sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) at: Time,
    /// For traces, which opportunity.
    opportunity: u64,
}

/// A byte takes this many nanoseconds at one bit per second.
const NS_PER_BYTE_AT_1_BPS: u128 = 8_000_000_000;

/// A line that sends one packet after the other: the virtual clock of L. Zhang ("VirtualClock", SIGCOMM 1990), or the
/// place in a trace.
///
/// No tokens: a burst after a pause is not sent faster than the rate. The remainder of every division is carried, so
/// that a long run of packets takes exactly its time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Serialiser {
    /// Start of the schedule or trace.
    origin: Time,
    /// When the next packet may start.
    free_at: Time,
    /// Nanoseconds times rate that the last division left over; below the rate.
    carry: u64,
    /// When the last bit of the last packet is sent.
    sent_at: Time,
    /// That packet's bytes.
    sending: u32,
    /// How long that packet took.
    took_ns: u64,
    /// The first opportunity not used yet, and what is left of the one before it.
    next: u64,
    left: u32,
}

impl Serialiser {
    pub(super) fn new(origin: Time) -> Serialiser {
        Serialiser {
            origin,
            free_at: Time::ZERO,
            carry: 0,
            sent_at: Time::ZERO,
            sending: 0,
            took_ns: 0,
            next: 0,
            left: 0,
        }
    }

    /// The rate has changed at `now`. The packet being sent finishes as it began.
    pub(super) fn change_rate(&mut self, now: Time) {
        *self = Serialiser { origin: now, free_at: self.sent_at, carry: 0, next: 0, left: 0, ..*self };
    }

    /// Bytes of the packet that is being sent at `now`; 0 when the line is idle.
    #[inline]
    pub(super) fn in_service(&self, now: Time) -> u32 {
        if self.sent_at > now { self.sending } else { 0 }
    }

    /// How many packets like the last one could have been sent since the line fell idle.
    pub(super) fn idle_packets(&self, now: Time) -> u64 {
        now.nanos_since(self.sent_at) / self.took_ns.max(1)
    }

    /// When the next packet starts, if it is ready from `ready` on. `None`: never.
    #[inline]
    pub(super) fn start(&self, rate: &Rate, ready: Time) -> Option<Start> {
        let at = ready.max(self.free_at);
        match rate {
            Rate::Unlimited | Rate::Constant(_) => Some(Start { at, opportunity: 0 }),
            Rate::Schedule(schedule) => {
                let mut at = at;
                loop {
                    match schedule.at(at.nanos_since(self.origin)) {
                        (Step { rate_bps: 0, .. }, None) => return None,
                        (Step { rate_bps: 0, .. }, Some(left)) => at = at + left,
                        _ => return Some(Start { at, opportunity: 0 }),
                    }
                }
            }
            Rate::Trace(trace) => {
                if self.left > 0 && trace.at(self.origin, self.next - 1) > ready {
                    let opportunity = self.next - 1;
                    return Some(Start { at: trace.at(self.origin, opportunity), opportunity });
                }
                let opportunity = self.next.max(trace.first_after(self.origin, ready));
                Some(Start { at: trace.at(self.origin, opportunity), opportunity })
            }
        }
    }

    /// Not later than when so many bytes are sent that follow each other from the moment the line is free on.
    pub(super) fn sent_not_before(&self, rate: NonZeroU64, bytes: u64) -> Time {
        let nanos = u128::from(bytes) * NS_PER_BYTE_AT_1_BPS / u128::from(rate.get());
        self.free_at + u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    /// How many packets of `len` bytes are certainly sent until then.
    pub(super) fn packets_until(&self, rate: NonZeroU64, len: u32, until: Time) -> u64 {
        // One nanosecond more for what rounding may take.
        let each = u64::from(len).saturating_mul(NS_PER_BYTE_AT_1_BPS as u64) / rate.get() + 1;
        until.nanos_since(self.free_at).saturating_sub(1) / each
    }

    /// Sends a packet of `len` bytes; returns when its last bit is sent.
    #[inline]
    pub(super) fn send(&mut self, rate: &Rate, start: Start, len: u32) -> Time {
        self.sent_at = match rate {
            Rate::Unlimited => {
                self.free_at = start.at;
                start.at
            }
            Rate::Constant(rate) => {
                let work = self.begin(start.at, len);
                self.finish(work, rate.get())
            }
            Rate::Schedule(schedule) => self.send_by(schedule, start.at, len),
            Rate::Trace(trace) => self.use_opportunities(trace, start.opportunity, len),
        };
        self.sending = len;
        self.took_ns = self.sent_at.nanos_since(start.at);
        self.sent_at
    }

    /// How much there is to do for a packet that starts at `at`, in nanoseconds times rate.
    #[inline]
    fn begin(&mut self, at: Time, len: u32) -> u128 {
        if at > self.free_at {
            (self.free_at, self.carry) = (at, 0);
        }
        u128::from(len) * NS_PER_BYTE_AT_1_BPS + u128::from(self.carry)
    }

    /// Does the rest at one rate.
    #[inline]
    fn finish(&mut self, work: u128, rate: u64) -> Time {
        // A remainder that waits for the next packet must not let this one out early: round up, owe the difference.
        let nanos = match u64::try_from(work) {
            Ok(work) => {
                self.carry = work % rate;
                work / rate
            }
            Err(_) => {
                self.carry = (work % u128::from(rate)) as u64;
                u64::try_from(work / u128::from(rate)).unwrap_or(u64::MAX)
            }
        };
        self.free_at = self.free_at + nanos;
        if self.carry == 0 { self.free_at } else { self.free_at + 1 }
    }

    fn send_by(&mut self, schedule: &Schedule, at: Time, len: u32) -> Time {
        let mut work = self.begin(at, len);
        loop {
            let (Step { rate_bps, .. }, left) = schedule.at(self.free_at.nanos_since(self.origin));
            let room = left.map(|left| u128::from(left) * u128::from(rate_bps));
            match (left, room) {
                (Some(left), Some(room)) if work > room => {
                    work -= room;
                    (self.free_at, self.carry) = (self.free_at + left, 0);
                }
                // The schedule ends in nothing while the packet is half sent.
                _ if rate_bps == 0 => {
                    self.free_at = Time::from_nanos(u64::MAX);
                    return self.free_at;
                }
                _ => return self.finish(work, rate_bps),
            }
        }
    }

    fn use_opportunities(&mut self, trace: &Trace, first: u64, len: u32) -> Time {
        if first + 1 != self.next {
            (self.next, self.left) = (first + 1, Trace::OPPORTUNITY_BYTES);
        }
        let mut missing = len;
        while missing > self.left {
            missing -= self.left;
            (self.next, self.left) = (self.next + 1, Trace::OPPORTUNITY_BYTES);
        }
        self.left -= missing;
        trace.at(self.origin, self.next - 1)
    }

    /// How much longer than the link's delay a packet sent at `at` travels.
    #[inline]
    pub(super) fn extra_delay_ns(&self, rate: &Rate, at: Time) -> u64 {
        match rate {
            Rate::Schedule(schedule) => schedule.at(at.nanos_since(self.origin)).0.extra_delay_ns,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_as_long_as_nothing_is_sent() {
        let step = |from_ns, rate_bps| Step { from_ns, rate_bps, extra_delay_ns: from_ns };
        let schedule = |steps: &[Step], period| Schedule::new(steps.into(), NonZeroU64::new(period)).unwrap();
        for (steps, period, pause) in [
            (&[step(0, 1)][..], 0, 0),
            (&[step(0, 1), step(10, 0), step(15, 0), step(30, 1)], 0, 20),
            // From the last step on into the first of the next round.
            (&[step(0, 0), step(10, 1), step(30, 0)], 45, 25),
        ] {
            let rate = Rate::Schedule(schedule(steps, period));
            assert_eq!(rate.longest_pause_ns(), pause, "{steps:?}");
            assert_eq!(rate.extra_delay_ns(), steps[steps.len() - 1].from_ns);
            assert!(rate.varies());
        }
        for (text, pause_ms) in [("5", 5), ("1\n2\n9\n10", 7), ("7\n8", 7)] {
            let rate = Rate::Trace(Arc::new(Trace::parse(text).unwrap()));
            assert_eq!(rate.longest_pause_ns(), pause_ms * 1_000_000, "{text}");
        }
        assert_eq!((Rate::Unlimited.longest_pause_ns(), Rate::Unlimited.varies()), (0, false));
    }
}
