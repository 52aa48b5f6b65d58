//! Single wild values.

use crate::{median, quantile};

/// How many neighbours on either side say what is usual.
const NEIGHBOURS: usize = 5;
/// How many standard deviations are far.
const FAR: f64 = 4.0;
/// The standard deviation of a normal distribution whose values are 1 off the middle, in the median.
const TO_SIGMA: f64 = 1.482_602_218_505_602;
/// The upper quartile of the steps between normal values of standard deviation 1.
const STEP_QUARTILE: f64 = 1.626_790_7;

/// The series with its spikes put at the median of their neighbours. A spike is far from those before and from those after
/// it, as Hampel's filter (1974) measures it; a point that stays far is a step.
pub(super) fn calmed(values: &[f64]) -> Vec<f64> {
    let usual = usual(values);
    let calm = |(at, value): (usize, &f64)| {
        let before = &values[at.saturating_sub(NEIGHBOURS)..at];
        let after = &values[at + 1..(at + 1 + NEIGHBOURS).min(values.len())];
        let spread = spread(&[before, after]).unwrap_or(0.0).max(usual);
        let is_far = |other: f64| (value - other).abs() > FAR * spread;
        let next_to_it = [before.last(), after.first()].into_iter().flatten().copied();
        let alone = [before, after].into_iter().filter_map(median).chain(next_to_it).all(is_far);
        if alone { median(&[before, after].concat()).unwrap_or(*value) } else { *value }
    };
    values.iter().enumerate().map(calm).collect()
}

/// The standard deviation by the steps between neighbours: what has two usual values has small distances from either, and
/// large steps.
fn usual(values: &[f64]) -> f64 {
    let steps: Vec<f64> = values.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
    quantile(&steps, 0.75).unwrap_or(0.0) / STEP_QUARTILE
}

/// The standard deviation, by the distances of all values from the median of their part.
fn spread(parts: &[&[f64]]) -> Option<f64> {
    let distances = parts.iter().flat_map(|part| {
        let middle = median(part);
        part.iter().filter_map(move |value| Some((value - middle?).abs()))
    });
    Some(median(&distances.collect::<Vec<_>>())? * TO_SIGMA)
}

/// Whether all of `fresh` lie far from what was usual before, on the same side. How far is usual is told by `past`, too: of
/// what came after the last change there may be little.
pub(super) fn all_far(before: &[f64], past: &[f64], fresh: &[f64]) -> bool {
    let Some((middle, spread)) = median(before).zip(spread(&[before])) else { return false };
    let spread = spread.max(usual(past));
    let beyond = |sign: f64| fresh.iter().all(|value| (value - middle) * sign > FAR * spread);
    beyond(1.0) || beyond(-1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spikes_go_and_steps_stay() {
        let usual = [10.0, 10.2, 9.9, 10.1, 9.8, 10.0, 10.1];
        let with = |wild: &[f64]| [&usual, wild, &usual].concat();
        let spike = calmed(&with(&[15.0]));
        assert!((9.8..=10.2).contains(&spike[7]), "{spike:?}");
        assert_eq!(calmed(&usual), usual);
        let step: Vec<f64> = usual.iter().copied().chain(usual.iter().map(|value| value + 5.0)).collect();
        assert_eq!(calmed(&step), step);
        let two_values: Vec<f64> = (0..40).map(|n| [10.0, 10.01, 12.0, 12.01][n * n % 7 % 4]).collect();
        assert_eq!(calmed(&two_values), two_values);
        assert_eq!(calmed(&[]), [0.0; 0]);
        assert_eq!(calmed(&[3.0]), [3.0]);
    }

    #[test]
    fn fresh_values_are_far_on_one_side() {
        let usual = [10.0, 10.2, 9.9, 10.1, 9.8];
        for (fresh, far) in [(&[12.0][..], true), (&[8.0, 7.0], true), (&[8.0, 12.0], false), (&[10.3], false)] {
            assert_eq!(all_far(&usual, &usual, fresh), far, "{fresh:?}");
        }
        assert!(!all_far(&[], &[], &[1.0]));
        assert!(all_far(&[1.0; 5], &[1.0; 5], &[1.1]) && !all_far(&[1.0; 5], &[1.0; 5], &[1.0]));
        let past = [9.0, 5.0, 8.0, 6.0, 9.5, 10.0, 10.0, 10.0];
        assert!(all_far(&past[5..], &past[5..], &[13.0]) && !all_far(&past[5..], &past, &[13.0]));
    }
}
