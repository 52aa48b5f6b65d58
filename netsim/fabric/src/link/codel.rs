//! CoDel: drops at the head when packets have waited too long for too long (RFC 8289).

use super::queue::Verdict;
use crate::time::Time;

/// CoDel's two parameters (RFC 8289, section 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoDelConfig {
    /// The wait that is acceptable as a standing one, in nanoseconds.
    pub target_ns: u64,
    /// How long a wait must stay above it before anything is done, in nanoseconds: about the longest round trip.
    pub interval_ns: u64,
}

impl Default for CoDelConfig {
    /// 5 ms and 100 ms, as the RFC recommends for the open internet.
    fn default() -> CoDelConfig {
        CoDelConfig { target_ns: 5_000_000, interval_ns: 100_000_000 }
    }
}

/// A queue of at most this many bytes never waits for itself: one packet of the usual size ("MAXPACKET").
const MAX_PACKET: u64 = 1500;
/// A pause of less than so many intervals between two phases of dropping goes on where the last one ended.
const RECENT_INTERVALS: u64 = 16;

/// The state of RFC 8289, section 5, `first_above_time_` and the like. The RFC's `deque()` takes packets out until one may
/// pass; here it is asked about one packet at a time and remembers with `follows` where in that loop it is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CoDel {
    first_above: Option<Time>,
    drop_next: Time,
    count: u64,
    last_count: u64,
    dropping: bool,
    follows: Follows,
}

/// What the packet asked about came after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Follows {
    /// One that passed.
    #[default]
    Passed,
    /// The drop that began a phase of dropping.
    FirstDrop,
    /// A later drop.
    Drop,
}

impl CoDel {
    /// Decides on the packet at the head, which has waited `sojourn_ns`, with `behind` bytes behind it.
    pub(super) fn decide(
        &mut self,
        config: CoDelConfig,
        now: Time,
        sojourn_ns: u64,
        behind: u64,
        markable: bool,
    ) -> Verdict {
        let ok_to_drop = self.ok_to_drop(config, now, sojourn_ns, behind);
        let verdict = match core::mem::take(&mut self.follows) {
            Follows::FirstDrop => Verdict::Pass,
            follows if self.dropping => {
                self.dropping = ok_to_drop;
                if ok_to_drop && follows == Follows::Drop {
                    self.drop_next = self.control_law(config, self.drop_next);
                }
                if self.dropping && now >= self.drop_next { self.drop(config, markable) } else { Verdict::Pass }
            }
            _ if ok_to_drop => self.start_dropping(config, now, markable),
            _ => Verdict::Pass,
        };
        self.follows = match verdict {
            Verdict::Drop if self.follows == Follows::Passed => Follows::Drop,
            _ => self.follows,
        };
        verdict
    }

    /// The queue has run empty.
    pub(super) fn empty(&mut self) {
        self.first_above = None;
        self.dropping = false;
        self.follows = Follows::Passed;
    }

    fn ok_to_drop(&mut self, config: CoDelConfig, now: Time, sojourn_ns: u64, behind: u64) -> bool {
        if sojourn_ns < config.target_ns || behind <= MAX_PACKET {
            self.first_above = None;
            return false;
        }
        match self.first_above {
            Some(at) => now >= at,
            None => {
                self.first_above = Some(now + config.interval_ns);
                false
            }
        }
    }

    fn drop(&mut self, config: CoDelConfig, markable: bool) -> Verdict {
        self.count += 1;
        if markable {
            // A marked packet goes out, so nothing follows in this round: schedule the next drop now, as Linux does.
            self.drop_next = self.control_law(config, self.drop_next);
        }
        Verdict::against(markable)
    }

    fn start_dropping(&mut self, config: CoDelConfig, now: Time, markable: bool) -> Verdict {
        self.dropping = true;
        let delta = self.count - self.last_count;
        let recent = now.nanos_since(self.drop_next) < RECENT_INTERVALS.saturating_mul(config.interval_ns);
        self.count = if delta > 1 && recent { delta } else { 1 };
        self.last_count = self.count;
        self.drop_next = self.control_law(config, now);
        let verdict = Verdict::against(markable);
        if verdict == Verdict::Drop {
            self.follows = Follows::FirstDrop;
        }
        verdict
    }

    /// interval / sqrt(count) after `at`.
    fn control_law(&self, config: CoDelConfig, at: Time) -> Time {
        let square = u128::from(config.interval_ns) * u128::from(config.interval_ns) / u128::from(self.count.max(1));
        at + u64::try_from(square.isqrt()).unwrap_or(u64::MAX)
    }
}
