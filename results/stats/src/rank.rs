//! Tests and estimates by ranks: no distribution is assumed, and a few wild values do little.
//!
//! p-values are two-sided: the probability, if nothing changed, of ranks at least as lopsided as those seen. They are exact,
//! given the ties there are, up to [`EXACT`] values; beyond, the normal approximation with corrections for ties and
//! continuity.

use crate::interval::Interval;
use crate::{normal_cdf, normal_quantile};

/// The most values for which distributions of ranks are computed in full.
pub const EXACT: usize = 60;

/// How far something has moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// The Hodges–Lehmann estimate.
    pub estimate: f64,
    /// Holds the true shift with at least the probability asked for; absent where so few values cannot say that of any
    /// interval (below 6 differences, for 95 %).
    pub interval: Option<Interval>,
}

impl Shift {
    /// The smallest shift that as many values of the same noise would have shown with a probability of 80 %: where 95 %
    /// intervals are as wide as this one, one that lies 2.8 standard errors off zero. `None` without an interval.
    pub fn detectable(&self) -> Option<f64> {
        const POWER: f64 = 0.8;
        let half = self.interval.map(|interval| (interval.high - interval.low) / 2.0)?;
        Some(half * (1.0 + normal_quantile(POWER) / normal_quantile(0.975)))
    }
}

/// The signed-rank test of differences around zero (Wilcoxon 1945). Zeros are left out. `None` if nothing else is there.
pub fn signed_rank(differences: &[f64]) -> Option<f64> {
    let mut moved: Vec<f64> = differences.iter().copied().filter(|difference| *difference != 0.0).collect();
    moved.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    if moved.is_empty() {
        return None;
    }
    let ranks = doubled_ranks(&moved.iter().map(|difference| difference.abs()).collect::<Vec<_>>());
    let positive = ranks.iter().zip(&moved).filter(|(_, difference)| **difference > 0.0).map(|(rank, _)| *rank).sum();
    if moved.len() <= EXACT {
        return Some(two_sided(&sums_of_any(&ranks), positive));
    }
    let n = moved.len() as f64;
    let deviation = ranks.iter().map(|rank| (*rank as f64 / 2.0).powi(2) / 4.0).sum::<f64>().sqrt();
    Some(normal_p(positive as f64 / 2.0 - n * (n + 1.0) / 4.0, deviation))
}

/// The shift of differences off zero: the median of all means of two of them, each with itself included (Hodges & Lehmann
/// 1963). `alpha` is the probability that the interval misses. `None` without differences.
pub fn shift(differences: &[f64], alpha: f64) -> Option<Shift> {
    let n = differences.len();
    let pairs = (0..n).flat_map(|i| (i..n).map(move |j| (i, j)));
    let means = pairs.map(|(i, j)| (differences[i] + differences[j]) / 2.0).collect();
    let below = if n <= EXACT {
        quantile_of(&sums_of_any(&(1..=n as u64).collect::<Vec<_>>()), alpha / 2.0)
    } else {
        let n = n as f64;
        normal_below(n * (n + 1.0) / 4.0, (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt(), alpha)
    };
    estimate(means, below)
}

/// The rank-sum test of two samples (Mann & Whitney 1947). `None` if one of them is empty.
pub fn mann_whitney(base: &[f64], head: &[f64]) -> Option<f64> {
    if base.is_empty() || head.is_empty() {
        return None;
    }
    let mut all: Vec<(f64, bool)> = base.iter().map(|value| (*value, false)).collect();
    all.extend(head.iter().map(|value| (*value, true)));
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ranks = doubled_ranks(&all.iter().map(|(value, _)| *value).collect::<Vec<_>>());
    let sum: u64 = ranks.iter().zip(&all).filter(|(_, (_, of_head))| *of_head).map(|(rank, _)| *rank).sum();
    if all.len() <= EXACT {
        return Some(two_sided(&sums_of(&ranks, head.len()), sum));
    }
    let [n, m, total] = [base.len(), head.len(), all.len()].map(|count| count as f64);
    let middle = (total + 1.0) / 2.0;
    let spread = ranks.iter().map(|rank| (*rank as f64 / 2.0 - middle).powi(2)).sum::<f64>();
    let deviation = (n * m * spread / (total * (total - 1.0))).sqrt();
    Some(normal_p(sum as f64 / 2.0 - m * middle, deviation))
}

/// How much larger the values of `head` are than those of `base`: the median of all differences (Hodges & Lehmann 1963).
/// `alpha` as in [`shift`]. `None` if one of them is empty.
pub fn shift_between(base: &[f64], head: &[f64], alpha: f64) -> Option<Shift> {
    let differences = head.iter().flat_map(|new| base.iter().map(move |old| new - old)).collect();
    let (n, m) = (base.len(), head.len());
    let below = if n + m <= EXACT {
        // Sums of ranks, less the smallest that there can be.
        let sums = sums_of(&(1..=(n + m) as u64).collect::<Vec<_>>(), m);
        quantile_of(&sums[(m * (m + 1) / 2).min(sums.len())..], alpha / 2.0)
    } else {
        let [n, m] = [n, m].map(|count| count as f64);
        normal_below(n * m / 2.0, (n * m * (n + m + 1.0) / 12.0).sqrt(), alpha)
    };
    estimate(differences, below)
}

/// Twice the rank of each of some sorted values; equal ones have the middle of their ranks.
fn doubled_ranks(sorted: &[f64]) -> Vec<u64> {
    let mut ranks = Vec::with_capacity(sorted.len());
    for group in sorted.chunk_by(|a, b| a == b) {
        let before = ranks.len() as u64;
        ranks.extend(std::iter::repeat_n(2 * before + group.len() as u64 + 1, group.len()));
    }
    ranks
}

/// The probability of each sum where every one of `parts` is in it or not, as by a coin.
fn sums_of_any(parts: &[u64]) -> Vec<f64> {
    let most: u64 = parts.iter().sum();
    let mut chances = vec![0.0; most as usize + 1];
    chances[0] = 1.0;
    for part in parts {
        for sum in (0..chances.len()).rev() {
            let with = sum.checked_sub(*part as usize).map_or(0.0, |rest| chances[rest]);
            chances[sum] = (chances[sum] + with) / 2.0;
        }
    }
    chances
}

/// The probability of each sum of `count` of `parts`, all choices alike.
fn sums_of(parts: &[u64], count: usize) -> Vec<f64> {
    let most: u64 = parts.iter().sum();
    let mut ways = vec![vec![0.0; most as usize + 1]; count + 1];
    ways[0][0] = 1.0;
    for (seen, part) in parts.iter().enumerate() {
        for chosen in (1..=count.min(seen + 1)).rev() {
            let (fewer, more) = ways.split_at_mut(chosen);
            for (sum, ways) in more[0].iter_mut().enumerate().skip(*part as usize) {
                *ways += fewer[chosen - 1][sum - *part as usize];
            }
        }
    }
    let mut chances = ways.swap_remove(count);
    let all: f64 = chances.iter().sum();
    chances.iter_mut().for_each(|ways| *ways /= all);
    chances
}

fn two_sided(chances: &[f64], seen: u64) -> f64 {
    let seen = seen as usize;
    let (low, high): (f64, f64) = (chances[..=seen].iter().sum(), chances[seen..].iter().sum());
    (2.0 * low.min(high)).min(1.0)
}

/// How many values lie below an interval that is missed on that side with at most `share`: the largest number whose
/// predecessors have no larger a probability together. 0 if there is none.
fn quantile_of(chances: &[f64], share: f64) -> usize {
    let mut sum = 0.0;
    chances
        .iter()
        .take_while(|chance| {
            sum += **chance;
            sum <= share
        })
        .count()
}

fn normal_below(mean: f64, deviation: f64, alpha: f64) -> usize {
    (mean - normal_quantile(1.0 - alpha / 2.0) * deviation).max(0.0).floor() as usize
}

fn normal_p(off: f64, deviation: f64) -> f64 {
    if deviation == 0.0 {
        return 1.0;
    }
    let continuous = (off.abs() - 0.5).max(0.0);
    2.0 * normal_cdf(-continuous / deviation)
}

/// The median of all, and what is left without `below` of them at either end.
fn estimate(mut all: Vec<f64>, below: usize) -> Option<Shift> {
    all.sort_by(f64::total_cmp);
    let estimate = crate::median(&all)?;
    let ends = below.checked_sub(1).and_then(|at| Some((*all.get(at)?, *all.get(all.len().checked_sub(below)?)?)));
    Some(Shift { estimate, interval: ends.map(|(low, high)| Interval { low, high }) })
}
