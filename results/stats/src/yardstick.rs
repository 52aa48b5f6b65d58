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

impl Made {
    /// Every kind, as tables show them.
    pub const ALL: [Made; 9] = [
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

    /// What it is, in a few words.
    pub fn words(self) -> String {
        match self {
            Made::Normal => "no change, normal, CV 2 %".into(),
            Made::Lognormal => "no change, lognormal, σ = 0.3".into(),
            Made::Spikes => "no change, one in twenty is a spike".into(),
            Made::Autoregressive => "no change, AR(1), φ = 0.5".into(),
            Made::Bimodal => "no change, two values 5 % apart".into(),
            Made::Step(permille) => format!("{:+} % from the middle half on, CV 2 %", f64::from(permille) / 10.0),
            Made::Fresh(points) => format!("−10 %, {points} new {}", if points == 1 { "point" } else { "points" }),
        }
    }

    /// Whether there is something to be found.
    pub fn has_change(self) -> bool {
        matches!(self, Made::Step(_) | Made::Fresh(_))
    }
}

/// What the detector made of many series of one kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Yardstick {
    /// The series.
    pub made: Made,
    /// Where there is no change: the share of series in which one was confirmed. Else the share in which it was, within
    /// five points of its place.
    pub confirmed: f64,
    /// The share of series whose last points are to be measured again before anything is said.
    pub unconfirmed: f64,
}

/// A row of the table from `repeats` series. The same seed makes the same series.
pub fn yardstick(made: Made, how: &Detection, repeats: u64, seed: u64) -> Yardstick {
    let (mut confirmed, mut unconfirmed) = (0, 0);
    for number in 0..repeats {
        let (series, at) = make(made, Random::of(seed, number));
        let found = change_points(&series, how);
        let is_it = |index: usize| at.is_none_or(|at| index.abs_diff(at) <= MARGIN);
        confirmed += u64::from(found.iter().any(|point| point.confirmed && is_it(point.index)));
        unconfirmed += u64::from(found.iter().any(|point| !point.confirmed));
    }
    let [confirmed, unconfirmed] = [confirmed, unconfirmed].map(|count| count as f64 / repeats as f64);
    Yardstick { made, confirmed, unconfirmed }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The goals of the table in docs/statistics.md. The series are the same each time, so this passes always or never.
    #[test]
    fn the_detector_reaches_its_goals() {
        for made in Made::ALL {
            let row = yardstick(made, &Detection::default(), 60, 1);
            let goal = match made {
                Made::Step(30) => 0.75..=1.0,
                Made::Step(_) => 0.97..=1.0,
                Made::Fresh(3) => 0.95..=1.0,
                // One point confirms nothing.
                Made::Fresh(_) => 0.0..=0.0,
                _ => 0.0..=0.02,
            };
            assert!(goal.contains(&row.confirmed), "{row:?}");
        }
    }

    #[test]
    fn series_are_what_they_are_called() {
        let all = |made| (0..200).map(move |number| make(made, Random::of(7, number)));
        for made in Made::ALL {
            let values: Vec<f64> = all(made).flat_map(|(series, _)| series).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let expected = match made {
                // Of a lognormal distribution: e to the σ²/2.
                Made::Lognormal => 104.6,
                Made::Spikes | Made::Bimodal => 102.5,
                Made::Step(permille) => 100.0 + f64::from(permille) / 20.0,
                _ => 100.0,
            };
            assert!((mean - expected).abs() < 0.6, "{made:?}: {mean}");
            assert_eq!(make(made, Random::of(7, 3)).0, make(made, Random::of(7, 3)).0);
        }
        let neighbours: f64 = all(Made::Autoregressive)
            .map(|(series, _)| series.windows(2).map(|pair| (pair[0] - 100.0) * (pair[1] - 100.0)).sum::<f64>() / 99.0)
            .sum();
        assert!((neighbours / 200.0 / 4.0 - 0.5).abs() < 0.05, "{neighbours}");
    }
}
