//! Recorded delivery opportunities, in the format of mahimahi.

use super::lines::{LineError, numbered};
use crate::random::mix;
use crate::time::Time;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

/// Moments at which a link may send up to 1,500 bytes, repeated without end (R. Netravali et al., "Mahimahi: Accurate
/// Record-and-Replay for HTTP", USENIX ATC 2015; `link_queue.cc`).
///
/// What an opportunity has left over goes to the next packet if that is already waiting, and is lost otherwise. A packet
/// larger than what is left takes the rest from the following opportunities, and leaves with the last of them. Mahimahi
/// itself counts 1,504 bytes, four of which are the header of its device.
#[derive(Clone, PartialEq, Eq)]
pub struct Trace {
    /// Milliseconds since the start of the trace; never decreasing, the last one is its length.
    times_ms: Box<[u32]>,
}

/// A trace has too many times to be shown; what identifies it is.
impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = self.times_ms.iter().fold(0, |hash, ms| mix(hash ^ u64::from(*ms)));
        f.debug_struct("Trace")
            .field("opportunities", &self.times_ms.len())
            .field("period_ms", &self.period_ms())
            .field("digest", &format_args!("{digest:016x}"))
            .finish()
    }
}

impl Trace {
    /// Bytes of one opportunity.
    pub const OPPORTUNITY_BYTES: u32 = 1500;
    /// The most opportunities a trace may have: 16 MiB of memory, ten minutes at 80 Mbit/s.
    pub const MAX_OPPORTUNITIES: usize = 4 << 20;
    const NS_PER_MS: u64 = 1_000_000;

    /// Reads one time per line, in whole milliseconds. Empty lines and lines that start with `#` are skipped.
    pub fn parse(text: &str) -> Result<Trace, LineError> {
        let mut times_ms: Vec<u32> = Vec::new();
        for (line, time) in numbered(text) {
            let found = time?;
            match times_ms.last() {
                Some(&before) if found < before => return Err(LineError::GoesBack { line, found, before }),
                _ if times_ms.len() == Trace::MAX_OPPORTUNITIES => {
                    return Err(LineError::TooLong { limit: Trace::MAX_OPPORTUNITIES });
                }
                _ => times_ms.push(found),
            }
        }
        Trace::new(times_ms)
    }

    /// From times that do not decrease.
    pub(super) fn new(times_ms: Vec<u32>) -> Result<Trace, LineError> {
        match times_ms.last() {
            None => Err(LineError::Empty),
            Some(0) => Err(LineError::NoDuration),
            Some(_) => Ok(Trace { times_ms: times_ms.into() }),
        }
    }

    /// The opportunities' times in milliseconds, in order.
    pub fn times_ms(&self) -> &[u32] {
        &self.times_ms
    }

    /// Milliseconds until the trace repeats.
    pub fn period_ms(&self) -> u32 {
        self.times_ms.last().copied().unwrap_or(1)
    }

    /// The longest time between two opportunities, in milliseconds.
    pub fn longest_pause_ms(&self) -> u32 {
        // The last one ends the trace, and the next one is the first of the next round.
        let across = self.times_ms.first().copied().unwrap_or(0);
        self.times_ms.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0).max(across)
    }

    /// Bits per second over the whole trace.
    pub fn mean_bps(&self) -> u64 {
        let bits = self.times_ms.len() as u64 * u64::from(Trace::OPPORTUNITY_BYTES) * 8;
        bits * 1000 / u64::from(self.period_ms())
    }

    /// When opportunity `index` of the endlessly repeated trace comes.
    pub(super) fn at(&self, origin: Time, index: u64) -> Time {
        let len = self.times_ms.len() as u64;
        let ms = index / len * u64::from(self.period_ms()) + u64::from(self.times_ms[(index % len) as usize]);
        origin + ms.saturating_mul(Trace::NS_PER_MS)
    }

    /// The first opportunity after `time`. One at that very moment has passed already.
    pub(super) fn first_after(&self, origin: Time, time: Time) -> u64 {
        let elapsed_ms = time.nanos_since(origin) / Trace::NS_PER_MS;
        let period = u64::from(self.period_ms());
        let (round, within) = (elapsed_ms / period, elapsed_ms % period);
        let passed = self.times_ms.partition_point(|ms| u64::from(*ms) <= within);
        round * self.times_ms.len() as u64 + passed as u64
    }
}
