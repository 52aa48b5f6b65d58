//! The one place of this crate that reads clocks: `CLOCK_MONOTONIC`, which every process of the machine shares, and the
//! kernel's account of processor time.

use netsim_fabric::Time;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// Nanoseconds since boot.
pub fn now() -> Time {
    // The call cannot fail for this clock, see clock_gettime(2).
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC exists on every Linux");
    Time::from_nanos(nanos(now))
}

/// Processor time of the calling thread, in nanoseconds.
pub(crate) fn thread_cpu_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(0, nanos)
}

/// Processor time of a whole process, in nanoseconds.
pub(crate) fn process_cpu_ns(pid: Pid) -> Option<u64> {
    clock_getcpuclockid(pid).and_then(clock_gettime).ok().map(nanos)
}

fn nanos(time: TimeSpec) -> u64 {
    let nanos = i128::from(time.tv_sec()) * 1_000_000_000 + i128::from(time.tv_nsec());
    u64::try_from(nanos).unwrap_or(0)
}
