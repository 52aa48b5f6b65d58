//! What it is good for that both runs of a block have the same seed.

use crate::fit::student_quantile;
use longhaul_record::SeedGain;

/// The variance of changes between runs with seeds of their own, divided by that between runs with a shared one. The interval
/// is the jackknife's, of the logarithm (Miller 1968, "Jackknifing variances"): it needs no normal distribution. `None` with
/// fewer than [`FEWEST`] blocks of either kind, or where one kind does not vary.
pub(crate) fn seed_gain(shared: &[f64], independent: &[f64]) -> Option<SeedGain> {
    let (of_shared, error_shared) = log_variance(shared)?;
    let (of_independent, error_independent) = log_variance(independent)?;
    let middle = of_independent - of_shared;
    let error = error_shared.hypot(error_independent);
    let freedom = (shared.len().min(independent.len()) - 1) as f64;
    let t = student_quantile(0.975, freedom);
    let [low, high] = [middle - t * error, middle + t * error].map(f64::exp);
    let blocks = u32::try_from(independent.len()).unwrap_or(u32::MAX);
    Some(SeedGain { ratio: middle.exp(), interval: [low, high], blocks })
}

/// Fewer blocks say nothing about a variance.
const FEWEST: usize = 6;

/// The jackknife's estimate of the logarithm of the variance, and its standard error.
fn log_variance(values: &[f64]) -> Option<(f64, f64)> {
    let n = values.len();
    if n < FEWEST {
        return None;
    }
    let all = variance(values.iter()).ln();
    let without =
        |left: usize| variance(values.iter().enumerate().filter(move |(i, _)| *i != left).map(|(_, v)| v)).ln();
    let count = n as f64;
    let pseudo: Vec<f64> = (0..n).map(|left| count * all - (count - 1.0) * without(left)).collect();
    let mean = pseudo.iter().sum::<f64>() / count;
    let error = (variance(pseudo.iter()) / count).sqrt();
    (mean.is_finite() && error.is_finite()).then_some((mean, error))
}

fn variance<'a>(values: impl Iterator<Item = &'a f64> + Clone) -> f64 {
    let n = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / n;
    values.map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0)
}
