//! Delivery traces like those of a cellular link, made from a seed.

use super::lines::LineError;
use super::trace::Trace;
use crate::quantile;
use crate::random::{Purpose, Stream};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

/// A cellular link whose rate wanders and that sometimes says nothing for a while.
///
/// The model follows K. Winstein, A. Sivaraman, H. Balakrishnan, "Stochastic Forecasts Achieve High Throughput and Low
/// Delay over Cellular Networks" (Sprout), NSDI 2013: packets leave as a Poisson process whose rate itself drifts, and
/// outages are sticky states that the link leaves at a constant chance per time. Where the paper lets the rate do a
/// Brownian motion, here its logarithm does, drawn back to the mean (an Ornstein-Uhlenbeck process), so that the rate
/// stays positive and returns to its mean. A trace of few memories may still lie well beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cellular {
    /// Mean rate outside outages, in bits per second. Outages lower the mean of the whole.
    pub mean_bps: u64,
    /// How far the rate wanders: standard deviation of its natural logarithm, in thousandths. 500 is a factor of 1.65.
    pub spread_milli: u32,
    /// How fast: milliseconds after which a deviation has shrunk to 1/e. At least 1.
    pub memory_ms: u32,
    /// Mean time between two outages, in milliseconds. 0: there are none.
    pub between_outages_ms: u32,
    /// Mean length of an outage, in milliseconds.
    pub outage_ms: u32,
    /// Length of the trace, in milliseconds. At least 1; at most [`Cellular::MAX_DURATION_MS`] of it are made.
    pub duration_ms: u32,
}

impl Cellular {
    /// Ten minutes.
    pub const MAX_DURATION_MS: u32 = 600_000;

    /// The trace that follows from `seed`. An error only where the rate is so high that there are too many
    /// opportunities.
    pub fn trace(&self, seed: u64) -> Result<Trace, LineError> {
        let mut times = Vec::new();
        let mut state = State { draws: Stream::new(seed, 0, Purpose::Trace), next: 0, deviation: 0.0, silent: false };
        state.deviation = state.normal();
        let duration = self.duration_ms.clamp(1, Cellular::MAX_DURATION_MS);
        for ms in 0..duration {
            let opportunities = state.step(self);
            if times.len() + opportunities as usize >= Trace::MAX_OPPORTUNITIES {
                return Err(LineError::TooLong { limit: Trace::MAX_OPPORTUNITIES });
            }
            times.extend((0..opportunities).map(|_| ms));
        }
        // The last line of the format is also the length.
        times.push(duration);
        Trace::new(times)
    }

    /// The same as a file in mahimahi's format.
    pub fn text(&self, seed: u64) -> Result<String, LineError> {
        let mut text = String::new();
        for ms in self.trace(seed)?.times_ms() {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{ms}");
        }
        Ok(text)
    }
}

struct State {
    draws: Stream,
    next: u64,
    /// Of the logarithm of the rate, in standard deviations.
    deviation: f64,
    silent: bool,
}

impl State {
    /// One millisecond; returns how many opportunities fall into it.
    fn step(&mut self, model: &Cellular) -> u32 {
        let keep = libm::exp(-1.0 / f64::from(model.memory_ms.max(1)));
        self.deviation = self.deviation * keep + self.normal() * libm::sqrt(1.0 - keep * keep);
        let mean_wait_ms = if self.silent { model.outage_ms.max(1) } else { model.between_outages_ms };
        if mean_wait_ms > 0 && self.uniform() < 1.0 / f64::from(mean_wait_ms) {
            self.silent = !self.silent;
        }
        let spread = f64::from(model.spread_milli) / 1000.0;
        let per_ms = model.mean_bps as f64 / (f64::from(Trace::OPPORTUNITY_BYTES) * 8000.0);
        // The mean of exp(spread x) is exp(spread^2 / 2).
        let rate = per_ms * libm::exp(spread * self.deviation - spread * spread / 2.0);
        let opportunities = self.poisson(rate);
        if self.silent { 0 } else { opportunities }
    }

    /// By multiplication of uniforms (D. E. Knuth, The Art of Computer Programming 2, 3.4.1), in parts small enough for
    /// the exponential not to vanish.
    fn poisson(&mut self, mean: f64) -> u32 {
        const PART: f64 = 100.0;
        let (mut left, mut count) = (mean.min(1e6), 0);
        while left > 0.0 {
            let limit = libm::exp(-left.min(PART));
            let mut product = self.uniform();
            while product > limit {
                count += 1;
                product *= self.uniform();
            }
            left -= PART;
        }
        count
    }

    fn normal(&mut self) -> f64 {
        let uniform = self.uniform();
        quantile::normal(uniform)
    }

    /// Strictly between 0 and 1.
    fn uniform(&mut self) -> f64 {
        const BITS: u32 = 52;
        let draw = self.draws.draw(self.next) >> (64 - BITS);
        self.next += 1;
        (draw as f64 + 0.5) / (1_u64 << BITS) as f64
    }
}
