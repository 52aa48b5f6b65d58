//! Where a series may have changed: E-divisive means (Matteson & James 2014) in windows, as Hunter and Apache Otava use it.

use super::Detection;
use super::means::deviations;

/// Standard errors below which there is nothing to look at. Candidates are many: they are judged later, together.
const WEAK: f64 = 2.0;

/// Splits of half-overlapping windows, in order.
pub(super) fn candidates(values: &[f64], how: &Detection) -> Vec<usize> {
    let mut splits = Vec::new();
    let stride = (how.window / 2).max(1);
    let mut start = 0;
    loop {
        let end = (start + how.window).min(values.len());
        divide(values, start, end, how.least, &mut splits);
        if end == values.len() {
            break;
        }
        start += stride;
    }
    splits.sort_unstable();
    splits.dedup();
    splits
}

/// Splits a range where its sides differ most, if they do at all, then both sides.
fn divide(values: &[f64], start: usize, end: usize, least: usize, splits: &mut Vec<usize>) {
    if end - start < 2 * least {
        return;
    }
    let at = start + best_split(&values[start..end], least);
    if deviations(&values[start..at], &values[at..end], 0.0) < WEAK {
        return;
    }
    splits.push(at);
    divide(values, start, at, least, splits);
    divide(values, at, end, least, splits);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The sums that go along with the split say the same as the definition.
    #[test]
    fn the_best_split_is_where_the_energy_is() {
        let values = [3.0, 1.0, 4.0, 1.5, 9.0, 2.5, 6.0, 5.5, 3.5, 5.0, 8.0, 9.5];
        let energy = |at: usize| {
            let (left, right) = values.split_at(at);
            let all = |a: &[f64], b: &[f64]| a.iter().flat_map(|a| b.iter().map(move |b| (a - b).abs())).sum::<f64>();
            let [m, n] = [left, right].map(|side| side.len() as f64);
            let within = |side: &[f64], n: f64| all(side, side) / (n * (n - 1.0));
            (2.0 * all(left, right) / (m * n) - within(left, m) - within(right, n)) * m * n / (m + n)
        };
        let best = (2..=values.len() - 2).max_by(|a, b| energy(*a).total_cmp(&energy(*b)));
        assert_eq!(best_split(&values, 2), best.unwrap());
    }

    #[test]
    fn nothing_is_split_that_is_too_short_or_all_alike() {
        let how = Detection::default();
        for count in [0, 1, 5, 200] {
            assert_eq!(candidates(&vec![1.0; count], &how), [0; 0]);
        }
        let step: Vec<f64> = (0..200).map(|n| if n < 110 { 1.0 } else { 2.0 }).collect();
        assert_eq!(candidates(&step, &how), [110]);
    }
}
