//! How often a detector finds what is there, and what is not: the same made-up series for everybody.

use crate::{Detection, change_points, normal_quantile};

/// A kind of series of 100 points around 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// Independent, normal, coefficient of variation 2 %.
    Normal,
    /// Independent, lognormal with σ = 0.3.
    Lognormal,
    /// Normal as above; one point in twenty is half again as large.
    Spikes,
    /// Normal as above; each depends on its predecessor, φ = 0.5.
    Autoregressive,
    /// Two values five percent apart, half each, with little noise.
    Bimodal,
    /// Normal; from a point in the middle half on larger by so many thousandths.
    Step(i32),
    /// Normal; the last points, so many, are a tenth smaller.
    Fresh(usize),
}

/// What a detector made of many series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Yardstick {
    /// The series.
    pub made: Made,
    /// Where there is no change: the share in which one was reported. Else the share in which it was found, within five points.
    pub share: f64,
}

/// All rows, from `repeats` series each. The same seed makes the same series.
pub fn yardsticks(how: &Detection, repeats: u64, seed: u64) -> Vec<Yardstick> {
    let kinds = [
        Made::Normal,
        Made::Lognormal,
        Made::Spikes,
        Made::Autoregressive,
        Made::Bimodal,
        Made::Step(30),
        Made::Step(50),
        Made::Fresh(1),
        Made::Fresh(3),
    ];
    let row = |made: Made| {
        let good = (0..repeats).filter(|n| {
            let (series, at) = make(made, Random::of(seed, *n));
            let found = change_points(&series, how);
            match at {
                None => !found.is_empty(),
                Some(at) => found.iter().any(|point| point.index.abs_diff(at) <= MARGIN),
            }
        });
        Yardstick { made, share: good.count() as f64 / repeats as f64 }
    };
    kinds.map(row).into()
}

/// How far off a change may be reported.
const MARGIN: usize = 5;

/// A series, and where it changes.
fn make(made: Made, mut random: Random) -> (Vec<f64>, Option<usize>) {
    const POINTS: usize = 100;
    const CV: f64 = 0.02;
    let mut before = random.normal();
    let at = match made {
        Made::Step(_) => Some(25 + (random.next() % 50) as usize),
        Made::Fresh(points) => Some(POINTS - points),
        _ => None,
    };
    let mut value = |n: usize| {
        let normal = random.normal();
        let noise = 1.0 + CV * normal;
        100.0
            * match made {
                Made::Normal => noise,
                Made::Lognormal => (0.3 * normal).exp(),
                Made::Spikes => {
                    if random.share() < 0.05 {
                        1.5 * noise
                    } else {
                        noise
                    }
                }
                Made::Autoregressive => {
                    before = 0.5 * before + 0.75_f64.sqrt() * normal;
                    1.0 + CV * before
                }
                Made::Bimodal => (if random.share() < 0.5 { 1.0 } else { 1.05 }) * (1.0 + 0.005 * normal),
                Made::Step(permille) => {
                    noise * if at.is_some_and(|at| n >= at) { 1.0 + f64::from(permille) / 1000.0 } else { 1.0 }
                }
                Made::Fresh(_) => noise * if at.is_some_and(|at| n >= at) { 0.9 } else { 1.0 },
            }
    };
    ((0..POINTS).map(&mut value).collect(), at)
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    /// One of many: their own starts are as good as random, or they would be each other's continuation.
    fn of(seed: u64, number: u64) -> Random {
        let start = Random(seed).next();
        Random(Random(start ^ number).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between 0 and 1, neither of them.
    fn share(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        normal_quantile(self.share())
    }
}
