//! A test of two means that knows how many places were tried, and how much points depend on their predecessors.

use crate::median;

/// By how many standard errors the means of two segments differ, as a normal distribution has them. Neighbours are
/// correlated by `correlation`.
pub(super) fn deviations(before: &[f64], after: &[f64], correlation: f64) -> f64 {
    let mean = |side: &[f64]| side.iter().sum::<f64>() / side.len() as f64;
    let difference = mean(after) - mean(before);
    let squares = |side: &[f64]| side.iter().map(|value| (value - mean(side)).powi(2)).sum::<f64>();
    let freedom = (before.len() + after.len()) as f64 - 2.0;
    if freedom <= 0.0 {
        return 0.0;
    }
    let variance = (squares(before) + squares(after)) / freedom;
    let of_means = variance * (of_mean(before.len(), correlation) + of_mean(after.len(), correlation));
    if of_means == 0.0 {
        return if difference == 0.0 { 0.0 } else { f64::INFINITY };
    }
    // As many of a normal distribution as of Student's (Wallace 1959).
    let t_squared = difference * difference / of_means;
    (8.0 * freedom + 1.0) / (8.0 * freedom + 3.0) * (freedom * (1.0 + t_squared / freedom).ln()).sqrt()
}

/// The variance of the mean of `n` values of variance 1, neighbours correlated by ρ, the next by ρ², and so on.
fn of_mean(n: usize, correlation: f64) -> f64 {
    let mut power = 1.0;
    let lags = (1..n).map(|lag| {
        power *= correlation;
        2.0 * (n - lag) as f64 * power
    });
    let sum: f64 = lags.sum();
    (n as f64 + sum) / (n as f64).powi(2)
}

/// The chance that the best of all splits of `n` points looks as good as one that is so many standard errors off, if there
/// is no change (Miller & Siegmund 1982).
pub(super) fn searched(deviations: f64, n: usize, least: usize) -> f64 {
    if deviations <= 1.0 {
        return 1.0;
    }
    if deviations.is_infinite() {
        return 0.0;
    }
    let first = (least as f64 / n as f64).min(0.5);
    let density = (-deviations * deviations / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let range = 2.0 * ((1.0 - first) / first).ln();
    (4.0 * density / deviations + density * (deviations - 1.0 / deviations) * range).min(1.0)
}

/// The correlation of neighbours around their segment's median, corrected for its bias in short segments.
pub(super) fn correlation(values: &[f64], bounds: &[usize]) -> f64 {
    let (mut products, mut squares, mut pairs) = (0.0, 0.0, 0.0);
    for ends in bounds.windows(2) {
        let segment = &values[ends[0]..ends[1]];
        let Some(middle) = median(segment) else { continue };
        products += segment.windows(2).map(|pair| (pair[0] - middle) * (pair[1] - middle)).sum::<f64>();
        squares += segment.iter().map(|value| (value - middle).powi(2)).sum::<f64>();
        pairs += segment.len() as f64;
    }
    if squares == 0.0 || pairs < 4.0 {
        return 0.0;
    }
    let segments = (bounds.len() - 1) as f64;
    let seen = products / squares;
    (seen + segments * (1.0 + 3.0 * seen) / pairs).clamp(0.0, 0.9)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Student's t of two samples by hand: means 2 and 5, pooled variance 1, six values; t = 3 / √(2/3), 4 degrees of freedom,
    /// two-sided p 0.0213, which is 2.30 standard deviations.
    #[test]
    fn means_differ_by_standard_errors() {
        let off = deviations(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0], 0.0);
        assert!((off - 2.30).abs() < 0.01, "{off}");
        assert!(deviations(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0], 0.5) < off, "what depends on its predecessor says less");
        assert_eq!(deviations(&[1.0; 3], &[1.0; 3], 0.0), 0.0);
        assert_eq!(deviations(&[1.0; 3], &[2.0; 3], 0.0), f64::INFINITY);
        assert_eq!(deviations(&[1.0], &[2.0], 0.0), 0.0);
    }

    /// Of n values with neighbours correlated by ρ: two have (1 + ρ) / 2 of the variance, very many (1 + ρ) / (1 − ρ) / n.
    #[test]
    fn means_of_dependent_values_vary_more() {
        assert_eq!(of_mean(1, 0.5), 1.0);
        assert_eq!(of_mean(4, 0.0), 0.25);
        assert_eq!(of_mean(2, 0.5), 0.75);
        assert!((of_mean(10_000, 0.5) * 10_000.0 - 3.0).abs() < 0.01);
    }

    /// Of series without a change, one in twenty has a best split that looks as good as one in twenty: known noise, by trial.
    #[test]
    fn the_search_for_the_place_has_its_price() {
        let mut state = 1_u64;
        let mut normal = || {
            // An affine generator's upper bits are good enough here.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            crate::normal_quantile(((state >> 33) as f64 + 0.5) / (1_u64 << 31) as f64)
        };
        let convincing = (0..1000).filter(|_| {
            let series: Vec<f64> = (0..100).map(|_| normal()).collect();
            let best = (10..=90).map(|at| deviations(&series[..at], &series[at..], 0.0)).fold(0.0, f64::max);
            searched(best, 100, 10) <= 0.05
        });
        let share = convincing.count();
        assert!((30..=60).contains(&share), "{share} of 1000");
        assert!(searched(3.0, 6, 3) < searched(3.0, 7, 3), "one place is no search");
        assert_eq!(searched(0.5, 100, 10), 1.0);
        assert_eq!(searched(f64::INFINITY, 100, 3), 0.0);
    }

    #[test]
    fn neighbours_are_correlated_around_their_own_segment() {
        let alternating: Vec<f64> = (0..100).map(|n| f64::from(n % 2)).collect();
        assert_eq!(correlation(&alternating, &[0, 100]), 0.0);
        let waves: Vec<f64> = (0..100).map(|n| f64::from(n / 5 % 2)).collect();
        assert!(correlation(&waves, &[0, 100]) > 0.5);
        let step: Vec<f64> = (0..100).map(|n| f64::from(n % 2) + f64::from(n / 50) * 9.0).collect();
        assert_eq!(correlation(&step, &[0, 50, 100]), 0.0);
        assert_eq!(correlation(&[1.0; 9], &[0, 9]), 0.0);
    }
}
