//! When a series changed.
//!
//! Candidates come from E-divisive means (Matteson & James 2014) in windows, as Hunter and Apache Otava use it: a split
//! where the two sides differ most in energy distance, then each side again. Spikes do not take part. All candidates of
//! a series are then judged together, the weakest first, by the segments between them: a rank test made stricter by how much
//! the points depend on their predecessors, and a shift that matters. What is left is confirmed.

use crate::{mann_whitney, median, normal_cdf, normal_quantile, shift_between};

/// How changes are looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Points that are looked at together.
    pub window: usize,
    /// The largest p-value of a change.
    pub significance: f64,
    /// δ: the smallest relative shift that matters.
    pub delta: f64,
    /// The fewest points on either side.
    pub least: usize,
}

impl Default for Detection {
    fn default() -> Detection {
        Detection { window: 50, significance: 0.001, delta: 0.03, least: 3 }
    }
}

/// A change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChangePoint {
    /// The first point that is different.
    pub index: usize,
    /// The relative shift: 0.1 is ten percent more than before.
    pub shift: f64,
    /// Two-sided p-value of the difference, corrected for dependence.
    pub p: f64,
    /// The median of the segment before.
    pub before: f64,
    /// The median of the segment that begins here.
    pub after: f64,
}

/// The changes of a series, oldest first. Values must be finite and positive.
pub fn change_points(values: &[f64], how: &Detection) -> Vec<ChangePoint> {
    let calm: Vec<f64> = calmed(values);
    let mut splits = Vec::new();
    let stride = (how.window / 2).max(1);
    let mut start = 0;
    loop {
        let end = (start + how.window).min(values.len());
        divide(&calm, start, end, how, &mut splits);
        if end == values.len() {
            break;
        }
        start += stride;
    }
    splits.sort_unstable();
    splits.dedup();
    prune(&calm, splits, how)
}

/// The series with its spikes put at the median of their neighbours. A spike is far from those before and from those after
/// it, as Hampel's filter (1974) measures it; a point that stays far is a step, and the last one alone is to be measured again.
fn calmed(values: &[f64]) -> Vec<f64> {
    const HALF: usize = 5;
    const DEVIATIONS: f64 = 4.0;
    /// Of a normal distribution's standard deviation in its median distance from the middle.
    const TO_SIGMA: f64 = 1.482_602_218_505_602;
    let distances = |side: &[f64]| {
        let middle = median(side);
        side.iter().filter_map(|value| Some((value - middle?).abs())).collect::<Vec<_>>()
    };
    let calm = |(at, value): (usize, &f64)| {
        let before = &values[at.saturating_sub(HALF)..at];
        let after = &values[at + 1..(at + 1 + HALF).min(values.len())];
        let spread = median(&[distances(before), distances(after)].concat()).unwrap_or(0.0) * TO_SIGMA;
        let is_far = |other: f64| (value - other).abs() > DEVIATIONS * spread;
        let next_to_it = [before.last(), after.first()].into_iter().flatten().copied();
        let alone = [before, after].into_iter().filter_map(median).chain(next_to_it).all(is_far);
        let usual = || median(&[before, after].concat());
        if alone { usual().unwrap_or(*value) } else { *value }
    };
    values.iter().enumerate().map(calm).collect()
}

/// Splits a range where its sides differ most, if they do at all, then both sides.
fn divide(values: &[f64], start: usize, end: usize, how: &Detection, splits: &mut Vec<usize>) {
    /// Candidates are many: the judgement comes later.
    const WEAK: f64 = 0.05;
    if end - start < 2 * how.least {
        return;
    }
    let at = start + best_split(&values[start..end], how.least);
    let p = mann_whitney(&values[start..at], &values[at..end]).unwrap_or(1.0);
    if p > WEAK {
        return;
    }
    splits.push(at);
    divide(values, start, at, how, splits);
    divide(values, at, end, how, splits);
}

/// Where the energy distance between both sides, times their harmonic size, is largest.
fn best_split(values: &[f64], least: usize) -> usize {
    let n = values.len();
    let distance = |a: f64, b: f64| (a - b).abs();
    let to = |value: f64, others: &[f64]| others.iter().map(|other| distance(value, *other)).sum::<f64>();
    // Sums of distances within the left side, within the right one, and between them; each point moves from right to left.
    let mut left = 0.0;
    let mut right: f64 = (0..n).map(|i| to(values[i], &values[i + 1..])).sum();
    let mut between = 0.0;
    let mut best = (f64::NEG_INFINITY, least);
    for at in 1..=n - least {
        let moved = values[at - 1];
        let (to_left, to_right) = (to(moved, &values[..at - 1]), to(moved, &values[at..]));
        left += to_left;
        right -= to_right;
        between += to_right - to_left;
        if at < least {
            continue;
        }
        let (m, n) = (at as f64, (n - at) as f64);
        let within = |sum: f64, count: f64| if count > 1.0 { 2.0 * sum / (count * (count - 1.0)) } else { 0.0 };
        let energy = 2.0 * between / (m * n) - within(left, m) - within(right, n);
        let score = energy * m * n / (m + n);
        if score > best.0 {
            best = (score, at);
        }
    }
    best.1
}

/// Takes candidates away, the weakest first, until each of those left is a change.
fn prune(values: &[f64], mut splits: Vec<usize>, how: &Detection) -> Vec<ChangePoint> {
    loop {
        let found = judged(values, &splits, how);
        let is_weak = |point: &ChangePoint| {
            let size = point.shift.abs();
            // An estimate of δ is below it half of the time; what may be less than δ has to be surer.
            let surer = how.significance / 100.0;
            !(point.p <= how.significance && size >= how.delta || point.p <= surer && size >= how.delta / 2.0)
        };
        let weakest =
            (0..found.len()).filter(|n| is_weak(&found[*n])).max_by(|a, b| found[*a].p.total_cmp(&found[*b].p));
        match weakest {
            Some(weakest) => drop(splits.remove(weakest)),
            None => return found,
        }
    }
}

/// Each candidate by the segments before and after it.
fn judged(values: &[f64], splits: &[usize], how: &Detection) -> Vec<ChangePoint> {
    let bounds: Vec<usize> = [0].into_iter().chain(splits.iter().copied()).chain([values.len()]).collect();
    let dependence = dependence(values, &bounds);
    let judge = |ends: &[usize]| {
        // No further back than a window: what was long ago says little of what was usual.
        let from = ends[0].max(ends[1].saturating_sub(how.window));
        let to = ends[2].min(ends[1] + how.window);
        let (before, after) = (&values[from..ends[1]], &values[ends[1]..to]);
        let p = mann_whitney(before, after).unwrap_or(1.0);
        let [old, new] = [before, after].map(|side| median(side).unwrap_or(0.0));
        let shift = shift_between(before, after, how.significance).map_or(0.0, |shift| shift.estimate);
        let long_enough = before.len() >= how.least && after.len() >= how.least;
        let p = if long_enough { dependent(p, dependence) } else { 1.0 };
        ChangePoint { index: ends[1], shift: shift / old, p, before: old, after: new }
    };
    bounds.windows(3).map(judge).collect()
}

/// By how much fewer points there are than it seems, because each is like its predecessor: (1 − ρ) / (1 + ρ), with ρ the
/// correlation of neighbours around their segment's median, corrected for its bias in short series.
fn dependence(values: &[f64], bounds: &[usize]) -> f64 {
    let (mut products, mut squares, mut pairs) = (0.0, 0.0, 0.0);
    for ends in bounds.windows(2) {
        let segment = &values[ends[0]..ends[1]];
        let Some(middle) = median(segment) else { continue };
        products += segment.windows(2).map(|pair| (pair[0] - middle) * (pair[1] - middle)).sum::<f64>();
        squares += segment.iter().map(|value| (value - middle).powi(2)).sum::<f64>();
        pairs += segment.len() as f64;
    }
    if squares == 0.0 || pairs < 4.0 {
        return 1.0;
    }
    let segments = (bounds.len() - 1) as f64;
    let seen = products / squares;
    let rho = (seen + segments * (1.0 + 3.0 * seen) / pairs).clamp(0.0, 0.9);
    (1.0 - rho) / (1.0 + rho)
}

/// A p-value with as many fewer points.
fn dependent(p: f64, share: f64) -> f64 {
    let deviations = normal_quantile((p / 2.0).max(f64::MIN_POSITIVE));
    2.0 * normal_cdf(deviations * share.sqrt())
}
