//! The engine watching itself: how late packets left, and how long the loop did not come round.

use crate::engine::Snapshot;
use hdrhistogram::Histogram;
use longhaul_record::{Fidelity, LatenessBucket};
use netsim_fabric::Time;
use std::collections::BTreeMap;

/// Lateness above this is counted as this: ten seconds.
const MAX_LATENESS_NS: u64 = 10_000_000_000;
/// A gap worth counting.
const GAP_NS: u64 = 1_000_000;

/// The engine's record of its own timing.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    lateness: Histogram<u64>,
    longest_gap_ns: u64,
    gaps: u64,
    started: Time,
    asleep_ns: u64,
    /// How long packets were waiting for the loop.
    backlog_ns: u64,
    /// Since when they are.
    behind_since: Option<Time>,
    /// When the loop last came round.
    awake_since: Time,
    /// When it went to sleep, and when it meant to wake up.
    sleep: (Time, Time),
}

impl Watch {
    pub(super) fn new(now: Time) -> Watch {
        // Two significant digits: a bucket is at most 1 % wide. The bounds are constants that the crate accepts.
        let lateness = Histogram::new_with_bounds(1, MAX_LATENESS_NS, 2).expect("constant bounds are valid");
        Watch {
            lateness,
            longest_gap_ns: 0,
            gaps: 0,
            started: now,
            asleep_ns: 0,
            backlog_ns: 0,
            behind_since: None,
            awake_since: now,
            sleep: (now, now),
        }
    }

    /// A packet leaves at `now` that should have left at `scheduled`.
    pub(super) fn released(&mut self, now: Time, scheduled: Time) {
        self.lateness.saturating_record(now.nanos_since(scheduled).max(1));
    }

    /// The loop has been in one round up to `now`.
    pub(super) fn still_awake(&mut self, now: Time) {
        self.gap(now.nanos_since(self.awake_since));
        self.awake_since = now;
    }

    /// The loop ends a round at `now` and wants to be back after `timeout_ns`.
    pub(super) fn going_to_sleep(&mut self, now: Time, timeout_ns: u64) {
        self.still_awake(now);
        self.sleep = (now, now + timeout_ns);
    }

    /// The loop is back.
    pub(super) fn awake(&mut self, now: Time) {
        let (fell_asleep, meant_to_wake) = self.sleep;
        self.gap(now.nanos_since(meant_to_wake));
        self.asleep_ns += now.nanos_since(fell_asleep);
        self.awake_since = now;
    }

    /// The loop has read from the devices, and `more` was waiting there than it takes in one round.
    pub(super) fn read(&mut self, now: Time, more: bool) {
        if let Some(since) = self.behind_since.take() {
            self.backlog_ns += now.nanos_since(since);
        }
        self.behind_since = more.then_some(now);
    }

    fn gap(&mut self, nanos: u64) {
        self.longest_gap_ns = self.longest_gap_ns.max(nanos);
        self.gaps += u64::from(nanos > GAP_NS);
    }

    /// Another thread's record of the same time. What is counted is added up; of shares and gaps, the worse one stands.
    pub(super) fn take_in(&mut self, other: &Watch) {
        // Both have the same bounds, so every value fits.
        let _ = self.lateness.add(&other.lateness);
        self.longest_gap_ns = self.longest_gap_ns.max(other.longest_gap_ns);
        self.gaps += other.gaps;
        self.asleep_ns = self.asleep_ns.min(other.asleep_ns);
        self.backlog_ns = self.backlog_ns.max(other.backlog_ns);
    }

    /// Share of the time since the start that the loop did not sleep: of several, the busiest one.
    fn busy_share(&self, now: Time) -> f64 {
        1.0 - self.share(self.asleep_ns, now)
    }

    fn share(&self, nanos: u64, now: Time) -> f64 {
        let elapsed = now.nanos_since(self.started).max(1);
        nanos.min(elapsed) as f64 / elapsed as f64
    }
}

/// The record of a run's fidelity. `device_drops` are packets lost in the kernel's rings.
pub(crate) fn fidelity_record(snapshot: &Snapshot, device_drops: u64) -> Fidelity {
    let Watch { lateness, longest_gap_ns, gaps, .. } = &snapshot.watch;
    let mut drops =
        BTreeMap::from([("device_queue".to_owned(), device_drops), ("trunk_queue".to_owned(), snapshot.trunk_drops)]);
    for port in &snapshot.port_drops {
        for (cause, count) in [
            ("device_queue", port.ring),
            ("buffer_pool", port.no_buffer),
            ("device_write", port.write),
            ("malformed", port.malformed),
        ] {
            *drops.entry(cause.to_owned()).or_insert(0) += count;
        }
    }
    drops.retain(|_, count| *count > 0);
    Fidelity {
        released: lateness.len(),
        lateness_p50_ns: lateness.value_at_quantile(0.5),
        lateness_p99_ns: lateness.value_at_quantile(0.99),
        lateness_p999_ns: lateness.value_at_quantile(0.999),
        lateness_max_ns: lateness.max(),
        lateness: lateness
            .iter_log(1000, 2.0)
            .filter(|bucket| bucket.count_since_last_iteration() > 0)
            .map(|bucket| LatenessBucket {
                le_ns: bucket.value_iterated_to(),
                count: bucket.count_since_last_iteration(),
            })
            .collect(),
        longest_gap_ns: *longest_gap_ns,
        gaps: *gaps,
        unintended_drops: drops,
        busy_share: snapshot.watch.busy_share(snapshot.at),
        backlog_share: snapshot.watch.share(snapshot.watch.backlog_ns, snapshot.at),
        realtime: snapshot.realtime,
    }
}
