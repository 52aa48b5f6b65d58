//! Intervals for proportions.

/// The standard normal quantile of a two-sided 99.9 % interval.
pub const Z_999: f64 = 3.290_526_731_491_926;

/// The standard normal quantile of a two-sided 95 % interval.
pub const Z_95: f64 = 1.959_963_984_540_054;

/// A closed interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether `value` lies inside.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// The Wilson score interval for a proportion of `hits` in `trials` (Wilson 1927), `z` standard errors wide.
///
/// Unlike the textbook interval it stays inside 0..=1 and is sound for few hits, none included. `None` without trials.
pub fn wilson(hits: u64, trials: u64, z: f64) -> Option<Interval> {
    if trials == 0 {
        return None;
    }
    let n = trials as f64;
    let p = hits.min(trials) as f64 / n;
    let z2 = z * z;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // The ends are exact where the proportion is 0 or 1; rounding must not exclude them.
    let low = if hits == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if hits >= trials { 1.0 } else { (centre + half).min(1.0) };
    Some(Interval { low, high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_published_values() {
        // Newcombe 1998, table I, method 3 (score, no continuity correction), 95 %.
        let rows =
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)];
        for (hits, trials, low, high) in rows {
            let got = wilson(hits, trials, Z_95).unwrap();
            assert!((got.low - low).abs() < 5e-5 && (got.high - high).abs() < 5e-5, "{hits}/{trials}: {got:?}");
        }
        assert_eq!(wilson(0, 0, 2.0), None);
    }

    proptest! {
        #[test]
        fn holds_the_observed_share(trials in 1u64..100_000, share in 0.0f64..=1.0) {
            let hits = (trials as f64 * share) as u64;
            let interval = wilson(hits, trials, Z_999).unwrap();
            prop_assert!(interval.contains(hits as f64 / trials as f64));
            prop_assert!(interval.low >= 0.0 && interval.high <= 1.0);
        }
    }
}
