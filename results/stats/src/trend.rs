//! Slow changes.

use crate::interval::Interval;
use crate::{Shift, median, normal_quantile};

/// Theil's estimate of a slope (Theil 1950, Sen 1968): the median of the slopes between all pairs of points with different
/// `x`. The interval is Sen's, by Kendall's statistic, without ties among `x`. `None` where no two points differ in `x`.
pub fn theil_sen(points: &[(f64, f64)], alpha: f64) -> Option<Shift> {
    let n = points.len();
    let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (points[i], points[j])));
    let mut slopes: Vec<f64> = pairs.filter(|(a, b)| a.0 != b.0).map(|(a, b)| (b.1 - a.1) / (b.0 - a.0)).collect();
    slopes.sort_by(f64::total_cmp);
    let estimate = median(&slopes)?;
    let (n, all) = (n as f64, slopes.len() as f64);
    let width = normal_quantile(1.0 - alpha / 2.0) * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let (low, high) = (((all - width) / 2.0).round(), ((all + width) / 2.0).round());
    let at = |position: f64| slopes.get(position as usize).copied();
    // Sen's ranks count from one, and the upper one is the next.
    let low = (low >= 1.0).then(|| at(low - 1.0)).flatten();
    let interval = low.zip(at(high)).map(|(low, high)| Interval { low, high });
    Some(Shift { estimate, interval })
}
