//! How a link's delay varies from packet to packet.

use super::lines::{LineError, numbers};
use crate::quantile;
use crate::random::{Stream, mix};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// How much a packet's delay differs from the link's fixed delay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Jitter {
    /// Not at all.
    #[default]
    None,
    /// Evenly between so much earlier and so much later.
    Uniform {
        /// Half the width, in nanoseconds.
        ns: u64,
    },
    /// The bell curve, cut off at the outermost 1/4096 of either side (3.49 sigma).
    Normal {
        /// Standard deviation in nanoseconds.
        sigma_ns: u64,
    },
    /// Later only, mostly a little and rarely a lot: the Pareto distribution of the second kind (Lomax), with
    /// P(X > x) = (1 + x / scale)^-shape, cut off at its outermost 1/4096. Its mean is scale / (shape - 1).
    Pareto {
        /// Scale in nanoseconds.
        scale_ns: u64,
        /// Shape in thousandths: 3000 has a heavy tail, 1500 a very heavy one. 0 counts as 1.
        shape_milli: u32,
    },
    /// One of these measured deviations, each as likely as the other.
    Samples(Samples),
}

/// Measured deviations of delay, in nanoseconds, ascending. At least one.
#[derive(Clone, PartialEq, Eq)]
pub struct Samples(Arc<[i64]>);

/// There may be too many to be shown; what identifies them is.
impl fmt::Debug for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = self.0.iter().fold(0, |hash, ns| mix(hash ^ ns.cast_unsigned()));
        f.debug_struct("Samples")
            .field("count", &self.0.len())
            .field("least_ns", &self.least())
            .field("greatest_ns", &self.greatest())
            .field("digest", &format_args!("{digest:016x}"))
            .finish()
    }
}

impl Samples {
    /// In any order; `None` without a single one.
    pub fn new(mut deviations_ns: Vec<i64>) -> Option<Samples> {
        deviations_ns.sort_unstable();
        if deviations_ns.is_empty() { None } else { Some(Samples(deviations_ns.into())) }
    }

    fn least(&self) -> i64 {
        self.0.first().copied().unwrap_or(0)
    }

    fn greatest(&self) -> i64 {
        self.0.last().copied().unwrap_or(0)
    }

    /// Reads a text of one deviation per line, in nanoseconds; empty lines and lines that start with `#` are skipped.
    pub fn parse(text: &str) -> Result<Samples, LineError> {
        let deviations = numbers(text).collect::<Result<Vec<i64>, LineError>>()?;
        Samples::new(deviations).ok_or(LineError::Empty)
    }
}

impl Jitter {
    /// The earliest and the latest a packet can be, in nanoseconds against the fixed delay.
    pub fn bounds_ns(&self) -> (i64, i64) {
        let point = |u| self.quantile_ns(u);
        match self {
            Jitter::None => (0, 0),
            Jitter::Uniform { ns } => (-signed(*ns), signed(*ns)),
            Jitter::Normal { .. } | Jitter::Pareto { .. } => (point(0.0), point(1.0)),
            Jitter::Samples(samples) => (samples.least(), samples.greatest()),
        }
    }

    /// The deviation that a share `u` of packets stays below, for distributions given by a formula.
    fn quantile_ns(&self, u: f64) -> i64 {
        let inner = u.clamp(CUT_OFF, 1.0 - CUT_OFF);
        match self {
            Jitter::Normal { sigma_ns } => (quantile::normal(inner) * *sigma_ns as f64) as i64,
            Jitter::Pareto { scale_ns, shape_milli } => {
                let exponent = -1000.0 / f64::from((*shape_milli).max(1));
                let outer = u.min(1.0 - CUT_OFF);
                ((libm::pow(1.0 - outer, exponent) - 1.0) * *scale_ns as f64) as i64
            }
            _ => 0,
        }
    }
}

/// The tables below have this many cells of equal probability.
const CELL_BITS: u32 = 11;
const CELLS: usize = 1 << CELL_BITS;
/// Half a cell: what is further out has no bound, and comes as often as a bad clock.
const CUT_OFF: f64 = 0.5 / CELLS as f64;

/// A jitter made ready to be drawn from with integers only.
#[derive(Debug)]
pub(super) enum Sampler {
    None,
    Uniform(u64),
    /// The quantile function at the borders of [`CELLS`] cells.
    Quantiles(Box<[i64]>),
    Samples(Samples),
}

impl Sampler {
    pub(super) fn new(jitter: &Jitter) -> Sampler {
        match jitter {
            Jitter::None | Jitter::Uniform { ns: 0 } => Sampler::None,
            Jitter::Uniform { ns } => Sampler::Uniform(*ns),
            Jitter::Normal { .. } | Jitter::Pareto { .. } => {
                Sampler::Quantiles((0..=CELLS).map(|cell| jitter.quantile_ns(cell as f64 / CELLS as f64)).collect())
            }
            Jitter::Samples(samples) => Sampler::Samples(samples.clone()),
        }
    }

    /// What no deviation is below, in nanoseconds.
    pub(super) fn least_ns(&self) -> i64 {
        match self {
            Sampler::None => 0,
            Sampler::Uniform(ns) => -signed(*ns),
            Sampler::Quantiles(borders) => borders[0],
            Sampler::Samples(samples) => samples.least(),
        }
    }

    /// Packet number `n`'s deviation in nanoseconds.
    #[inline]
    pub(super) fn draw(&self, stream: Stream, n: u64) -> i64 {
        match self {
            Sampler::None => 0,
            Sampler::Uniform(ns) => signed(stream.below(n, 2 * ns + 1)) - signed(*ns),
            Sampler::Quantiles(borders) => {
                let draw = stream.draw(n);
                let cell = (draw >> (64 - CELL_BITS)) as usize;
                let [low, high] = [borders[cell], borders[cell + 1]];
                // The remaining bits say where in the cell.
                let within = i128::from((draw << CELL_BITS) >> 32);
                low + ((i128::from(high - low) * within) >> 32) as i64
            }
            Sampler::Samples(samples) => samples.0[stream.below(n, samples.0.len() as u64) as usize],
        }
    }
}

fn signed(nanos: u64) -> i64 {
    i64::try_from(nanos).unwrap_or(i64::MAX)
}
