//! The one place that reads the machine's clock.
//!
//! Everything else is handed a [`Clock`], or the time that it showed.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// A stopwatch started with the process.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts the stopwatch. `main` does this first, so that every `t` counts from the start of the process.
    #[expect(clippy::disallowed_methods, reason = "this module is the shell's only clock")]
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// Time since the start.
    #[expect(clippy::disallowed_methods, reason = "this module is the shell's only clock")]
    pub fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(self.start)
    }

    /// Seconds since the start, to the microsecond: the `t` of the subject protocol.
    pub fn seconds(&self) -> f64 {
        seconds(self.elapsed())
    }
}

/// What files changed at this moment, or later, will at least have as their time of change, since 1970: the kernel's clock
/// for it goes in steps of some milliseconds. `None` if it cannot be read.
pub fn file_time() -> Option<Duration> {
    clock_gettime(ClockId::CLOCK_REALTIME_COARSE).ok().map(Duration::from)
}

/// A duration as seconds to the microsecond. More digits would only lengthen the event lines.
pub fn seconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e6
}
