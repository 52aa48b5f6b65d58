//! What measurements of kinds say about a population that is made of them.

use crate::interval::{Interval, Z_95, wilson};

/// How often something worked for one kind of a population.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// The kind's share of the population, from 0 to 1.
    pub weight: f64,
    /// How often it worked.
    pub hits: u64,
    /// How often it was tried; 0 where nothing is known.
    pub trials: u64,
}

/// For which share of a population something works.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Σ weight × hits ÷ trials over the kinds that were tried: of the whole population, as if it never worked for others.
    pub share: f64,
    /// Where that lies, with 95 % confidence.
    pub interval: Interval,
    /// The weight of the kinds that were not tried. By so much the share could be larger.
    pub unknown: f64,
}

/// The score of a population; `None` if no kind of it was tried.
///
/// Kinds are independent of each other. The interval is from the square roots of the sums of squares of weighted distances
/// between each kind's share and the ends of its Wilson interval: G. Zou, W. Huang, X. Zhang, "A note on confidence interval
/// estimation for a linear function of binomial proportions", Computational Statistics & Data Analysis 53 (2009). Unlike one
/// from standard errors it does not vanish where everything, or nothing, worked in few trials. Weights are taken as exact.
pub fn score(cells: &[Cell]) -> Option<Score> {
    let (mut share, mut below, mut above, mut known, mut unknown) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for Cell { weight, hits, trials } in cells {
        let Some(own) = wilson(*hits, *trials, Z_95) else {
            unknown += weight;
            continue;
        };
        let part = *hits.min(trials) as f64 / *trials as f64;
        share += weight * part;
        below += (weight * (part - own.low)).powi(2);
        above += (weight * (own.high - part)).powi(2);
        known += weight;
    }
    let low = (share - f64::sqrt(below)).max(0.0);
    let high = (share + f64::sqrt(above)).min(known);
    (known > 0.0).then_some(Score { share, interval: Interval { low, high: high.max(share) }, unknown })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cell(weight: f64, hits: u64, trials: u64) -> Cell {
        Cell { weight, hits, trials }
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn one_kind_has_wilsons_interval() {
        let got = score(&[cell(1.0, 81, 263)]).unwrap();
        let expect = wilson(81, 263, Z_95).unwrap();
        assert!(near(got.share, 81.0 / 263.0) && got.unknown == 0.0);
        assert!(near(got.interval.low, expect.low) && near(got.interval.high, expect.high), "{got:?}");
    }

    #[test]
    fn what_was_not_tried_is_neither_success_nor_forgotten() {
        let got = score(&[cell(0.5, 10, 10), cell(0.3, 0, 10), cell(0.2, 0, 0)]).unwrap();
        assert!(near(got.share, 0.5) && near(got.unknown, 0.2), "{got:?}");
        // Wilson's interval of 10 of 10 begins at 1 ÷ (1 + z² ÷ 10), that of 0 of 10 ends at the rest.
        let z2 = Z_95 * Z_95;
        let least = 1.0 / (1.0 + z2 / 10.0);
        assert!(near(got.interval.low, 0.5 - 0.5 * (1.0 - least)), "{got:?}");
        assert!(near(got.interval.high, 0.5 + 0.3 * (1.0 - least)), "{got:?}");
        assert_eq!(score(&[cell(1.0, 0, 0)]), None);
        assert_eq!(score(&[]), None);
        // Never more than what was tried.
        let full = score(&[cell(0.6, 9, 9), cell(0.4, 0, 0)]).unwrap();
        assert!(near(full.interval.high, 0.6), "{full:?}");
    }

    /// A generator whose every draw follows from the seed.
    fn uniform(state: &mut u64) -> f64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Few trials of many kinds, as a matrix of routers has them: nearly all work always or never.
    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says() {
        let (kinds, trials, rounds) = (25, 5, 2000);
        let mut state = 1;
        let truths: Vec<f64> = (0..kinds).map(|n| [0.999, 0.98, 0.9, 0.5, 0.02][n % 5]).collect();
        let raw: Vec<f64> = (0..kinds).map(|n| 1.0 + (n % 7) as f64).collect();
        let weights: Vec<f64> = raw.iter().map(|weight| weight / raw.iter().sum::<f64>()).collect();
        let truth: f64 = weights.iter().zip(&truths).map(|(weight, p)| weight * p).sum();
        let mut held = 0;
        for _ in 0..rounds {
            let draw = |p: &f64, state: &mut u64| (0..trials).filter(|_| uniform(state) < *p).count() as u64;
            let hits: Vec<u64> = truths.iter().map(|p| draw(p, &mut state)).collect();
            let cells: Vec<Cell> = weights.iter().zip(hits).map(|(weight, hits)| cell(*weight, hits, trials)).collect();
            held += usize::from(score(&cells).unwrap().interval.contains(truth));
        }
        let coverage = held as f64 / f64::from(rounds);
        assert!(coverage > 0.93, "{coverage}");
    }

    proptest! {
        #[test]
        fn the_share_is_in_its_interval(cells in prop::collection::vec((0.0f64..1.0, 0u64..20, 0u64..20), 1..30)) {
            let sum: f64 = cells.iter().map(|(weight, ..)| weight).sum::<f64>().max(f64::MIN_POSITIVE);
            let cells: Vec<Cell> = cells.iter().map(|(w, h, n)| cell(w / sum, *h.min(n), *n)).collect();
            if let Some(Score { share, interval, unknown }) = score(&cells) {
                prop_assert!(interval.low <= share && share <= interval.high);
                prop_assert!(interval.low >= 0.0 && interval.high <= 1.0 - unknown + 1e-9);
            }
        }
    }
}
