//! What the engine knows of its own timing, and how it uses it: when to watch the clock, when to let packets gather, when
//! a packet came. Pure.

use netsim_fabric::Time;

/// The longest stretch before a release that is spent watching the clock.
const MAX_SPIN_NS: u64 = 60_000;
/// What is added to the longest recent wake-up.
const SPIN_MARGIN_NS: u64 = 10_000;
/// Share of the time that may be spent watching the clock. Under real-time priority the kernel takes the processor away
/// for up to 50 ms from a thread that leaves too little to others; at 100 Mbit/s, watching for every packet did that.
/// Several threads share it: they may all have to make do with few processors.
const SPIN_SHARE_PERCENT: u64 = 5;
/// The most time to watch that can be saved up.
const MAX_SPIN_SAVINGS_NS: u64 = 2_000_000;
/// Below this, packets are handled as they come.
const MODERATE_ABOVE_PPS: u64 = 20_000;

/// Keeps the time spent watching the clock within one thread's part of [`SPIN_SHARE_PERCENT`].
#[derive(Debug)]
pub(super) struct SpinBudget {
    threads: u64,
    savings_ns: u64,
    counted_to: Time,
    /// The release that has been paid for, and the stretch before it.
    watching_for: Option<(Time, u64)>,
}

impl SpinBudget {
    /// The budget of one of so many threads, at least 1.
    pub(super) fn new(now: Time, threads: usize) -> SpinBudget {
        SpinBudget { threads: threads.max(1) as u64, savings_ns: 0, counted_to: now, watching_for: None }
    }

    /// How long before the release at `at` to be awake and watch the clock, where waking up takes at most `wake_up_ns`;
    /// 0 if that cannot be afforded.
    pub(super) fn may_watch_for(&mut self, now: Time, at: Time, wake_up_ns: u64) -> u64 {
        let earned = now.nanos_since(self.counted_to) * SPIN_SHARE_PERCENT / (100 * self.threads);
        self.savings_ns = (self.savings_ns + earned).min(MAX_SPIN_SAVINGS_NS);
        self.counted_to = now;
        match self.watching_for {
            Some((paid, stretch)) if paid == at => stretch,
            _ => {
                let stretch = (wake_up_ns + SPIN_MARGIN_NS).min(MAX_SPIN_NS);
                if self.savings_ns < stretch {
                    return 0;
                }
                self.savings_ns -= stretch;
                self.watching_for = Some((at, stretch));
                stretch
            }
        }
    }
}

/// How long waking up takes, learnt from sleeps that ended by time.
///
/// The kernel does not say when a packet came. A thread that slept learns of it one wake-up later, and without
/// correction each packet's delay would be longer by that.
#[derive(Debug)]
pub(super) struct WakeUps {
    /// Follows the shortest: falls at once, rises slowly.
    least_ns: u64,
    /// Follows the longest: rises at once, falls slowly.
    most_ns: u64,
}

impl Default for WakeUps {
    fn default() -> WakeUps {
        WakeUps { least_ns: 0, most_ns: MAX_SPIN_NS }
    }
}

impl WakeUps {
    /// Share of the way to a new value that is gone in the slow direction.
    const SLOWNESS: u64 = 32;

    /// A wake-up took so long.
    pub(super) fn took(&mut self, nanos: u64) {
        // Longer ones are not wake-ups but another thread's turn.
        let nanos = nanos.min(MAX_SPIN_NS);
        self.least_ns = nanos.min(self.least_ns + nanos.saturating_sub(self.least_ns).div_ceil(Self::SLOWNESS));
        self.most_ns = nanos.max(self.most_ns - self.most_ns.saturating_sub(nanos).div_ceil(Self::SLOWNESS));
    }

    /// The latest that what woke the thread at `awake` can well have happened.
    pub(super) fn event_before(&self, awake: Time) -> Time {
        Time::from_nanos(awake.as_nanos().saturating_sub(self.least_ns))
    }

    /// What few wake-ups take longer than.
    pub(super) fn at_most_ns(&self) -> u64 {
        self.most_ns
    }
}

/// Whether packets come fast and together, measured over windows of 10 ms.
#[derive(Debug, Default)]
pub(super) struct Pace {
    window_start: Time,
    packets: u64,
    /// Rounds that found packets.
    rounds: u64,
    gathers: bool,
    /// Windows until pausing is tried again.
    patience: u32,
}

impl Pace {
    /// For so many windows after a vain try, packets are handled as they come.
    const WINDOWS_WITHOUT: u32 = 64;

    /// Whether a pause between rounds lets packets gather. Only trying it out tells: without pauses, a real-time thread
    /// handles each packet the moment its sender lets go of it, and a flood looks like calls that wait for answers, which
    /// pauses would only slow down.
    pub(super) fn gathers(&self) -> bool {
        self.gathers
    }

    /// A round found so many packets.
    pub(super) fn count(&mut self, now: Time, packets: u64) {
        const WINDOW_NS: u64 = 10_000_000;
        self.packets += packets;
        self.rounds += u64::from(packets > 0);
        let elapsed = now.nanos_since(self.window_start);
        if elapsed >= WINDOW_NS {
            let per_second = self.packets * 1_000_000_000 / elapsed;
            let more_than_one_a_round = self.packets * 4 >= self.rounds * 5;
            self.patience = match self.patience.saturating_sub(1) {
                _ if self.gathers && !more_than_one_a_round => Self::WINDOWS_WITHOUT,
                left => left,
            };
            self.gathers = per_second >= MODERATE_ABOVE_PPS && (more_than_one_a_round || self.patience == 0);
            (self.window_start, self.packets, self.rounds) = (now, 0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watching_stays_within_its_share() {
        for (wake_up_ns, stretch, threads) in
            [(5_000, 15_000, 1), (50_000, 60_000, 1), (1_000_000, 60_000, 1), (50_000, 60_000, 4)]
        {
            let mut budget = SpinBudget::new(Time::ZERO, threads);
            let mut watched = 0;
            // A release every 100 µs for a second, each asked about twice.
            for n in 1..=10_000 {
                let (now, at) = (Time::from_nanos(n * 100_000), Time::from_nanos(n * 100_000 + 80_000));
                let got = budget.may_watch_for(now, at, wake_up_ns);
                assert!(got == 0 || got == stretch, "{got} for wake-ups of {wake_up_ns}");
                if got > 0 {
                    assert_eq!(budget.may_watch_for(now, at, wake_up_ns), got, "paid for already");
                }
                watched += got;
            }
            let watched = watched * threads as u64;
            assert!((45_000_000..=50_000_000).contains(&watched), "{watched} of 1 s for wake-ups of {wake_up_ns}");
        }
    }

    #[test]
    fn wake_ups_are_bounded_from_both_sides() {
        let mut wake_ups = WakeUps::default();
        for _ in 0..1000 {
            for nanos in [9_000, 12_000, 11_000] {
                wake_ups.took(nanos);
            }
        }
        let awake = Time::from_nanos(1_000_000);
        let before = awake.nanos_since(wake_ups.event_before(awake));
        assert!((9_000..9_200).contains(&before), "{before}");
        assert!((11_900..=12_000).contains(&wake_ups.at_most_ns()), "{}", wake_ups.at_most_ns());
        // Being kept from running is not a wake-up.
        wake_ups.took(50_000_000);
        assert_eq!(wake_ups.at_most_ns(), MAX_SPIN_NS);
        assert!(awake.nanos_since(wake_ups.event_before(awake)) < 11_000);
    }

    /// How often pauses were made in a second of so many rounds, in hundredths. `packets` says what a round finds with
    /// and without a pause before it.
    fn pauses(packets: impl Fn(bool) -> u64, rounds: u64) -> u64 {
        let mut pace = Pace::default();
        let mut paused = 0;
        for n in 0..rounds {
            paused += u64::from(pace.gathers());
            pace.count(Time::from_nanos(n * 1_000_000_000 / rounds), packets(pace.gathers()));
        }
        paused * 100 / rounds
    }

    #[test]
    fn only_what_gathers_is_paused_for() {
        for (what, hundredths, expect) in [
            ("calls", pauses(|_| 1, 50_000), 0..=4),
            (
                "a flood, handled packet by packet until there are pauses",
                pauses(|paused| 1 + 3 * u64::from(paused), 50_000),
                95..=100,
            ),
            ("crowds", pauses(|_| 64, 1_000), 95..=100),
            ("a slow stream", pauses(|_| 2, 5_000), 0..=0),
            ("silence", pauses(|_| 0, 50_000), 0..=0),
        ] {
            assert!(expect.contains(&hundredths), "{what}: {hundredths} %");
        }
    }
}
