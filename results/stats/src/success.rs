//! How often something works.

use crate::interval::{Interval, Z_95, wilson};
use longhaul_record::Outcome;

const BILLION: u64 = 1_000_000_000;

/// How many of the runs that say something about a subject went well. Runs on a network that was not what it should be, or
/// that could not be set up, say nothing about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Success {
    /// Runs that transferred everything.
    pub ok: u64,
    /// Those, and the ones in which the subject failed or was too slow.
    pub tried: u64,
}

impl Success {
    /// Counts outcomes.
    pub fn of(outcomes: impl IntoIterator<Item = Outcome>) -> Success {
        let mut success = Success { ok: 0, tried: 0 };
        for outcome in outcomes {
            match outcome {
                Outcome::Ok => success.ok += 1,
                Outcome::SubjectFailed | Outcome::TimedOut => {}
                Outcome::Untrusted | Outcome::SetupFailed => continue,
            }
            success.tried += 1;
        }
        success
    }

    /// Where the true share lies, with 95 % confidence (Wilson's interval); `None` without a run.
    pub fn interval(self) -> Option<Interval> {
        wilson(self.ok, self.tried, Z_95)
    }

    /// Whether at least a share was seen, in parts per billion; `None` without a run.
    pub fn reaches(self, least_ppb: u32) -> Option<bool> {
        let enough = u128::from(self.tried) * u128::from(least_ppb);
        (self.tried > 0).then(|| u128::from(self.ok) * u128::from(BILLION) >= enough)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_runs_that_say_something_about_the_subject_count() {
        use Outcome::{Ok, SetupFailed, SubjectFailed, TimedOut, Untrusted};
        let success = Success::of([Ok, Untrusted, Ok, SubjectFailed, SetupFailed, TimedOut]);
        assert_eq!(success, Success { ok: 2, tried: 4 });
        assert_eq!((success.reaches(500_000_000), success.reaches(500_000_001)), (Some(true), Some(false)));
        let none = Success::of([Untrusted]);
        assert_eq!((none.reaches(1), none.interval()), (None, None));
        // Newcombe 1998, as for the interval itself: 81 of 263.
        let interval = Success { ok: 81, tried: 263 }.interval().unwrap();
        assert!((interval.low - 0.2553).abs() < 5e-5 && (interval.high - 0.3662).abs() < 5e-5, "{interval:?}");
    }
}
