//! Quantiles of small samples.

/// The middle of `values`, the mean of the two middle ones when their number is even; `None` when there is none.
///
/// ```
/// assert_eq!(longhaul_stats::median(&[3.0, 1.0, 2.0]), Some(2.0));
/// assert_eq!(longhaul_stats::median(&[]), None);
/// ```
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The `p` quantile by linear interpolation between order statistics (type 7 of Hyndman & Fan 1996, the default of R
/// and NumPy). `p` is clamped to 0..=1; `None` when `values` is empty. Values must be finite.
pub fn quantile(values: &[f64], p: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let position = p.clamp(0.0, 1.0) * last as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    let share = position - below as f64;
    Some(sorted[below] + (sorted[above] - sorted[below]) * share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_r() {
        // quantile(c(1, 2, 4, 8, 16), c(0, .1, .25, .5, .9, 1))
        let values = [16.0, 1.0, 8.0, 2.0, 4.0];
        for (p, expect) in [(0.0, 1.0), (0.1, 1.4), (0.25, 2.0), (0.5, 4.0), (0.9, 12.8), (1.0, 16.0)] {
            let got = quantile(&values, p).unwrap();
            assert!((got - expect).abs() < 1e-12, "p = {p}: {got}, not {expect}");
        }
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
    }

    proptest! {
        #[test]
        fn stays_inside_the_sample(values in prop::collection::vec(-1e9f64..1e9, 1..50), p in 0.0f64..=1.0) {
            let got = quantile(&values, p).unwrap();
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert!((low..=high).contains(&got));
        }
    }
}
