//! When a series changed.
//!
//! Candidates come from E-divisive means. All of a series are then judged together, the weakest going first, by the segments
//! between them: a test of means that knows how many places were tried and how much points depend on their predecessors, a
//! rank test, and a shift that matters. Spikes do not take part. The last few points alone are no change yet: they are to be
//! measured again.

mod divisive;
pub(crate) mod means;
mod spikes;

use crate::{Shift, mann_whitney, median, shift_between};
use divisive::candidates;
use means::{correlation, deviations, searched};
use spikes::{all_far, calmed};

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

impl Detection {
    /// The fewest points of a series in which a change can be found, with as many before it as after it.
    pub fn fewest(&self) -> usize {
        let p = |half: usize| mann_whitney(&vec![0.0; half], &vec![1.0; half]);
        let half = (self.least..self.window).find(|half| p(*half).is_some_and(|p| p <= self.significance));
        2 * half.unwrap_or(self.window)
    }
}

/// A change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChangePoint {
    /// The first point that is different.
    pub index: usize,
    /// The relative shift: 0.1 is ten percent more than before. `None` where that has no meaning: before, it was zero.
    pub shift: Option<f64>,
    /// Two-sided p-value of the difference, corrected for the search for the place and for dependence.
    pub p: f64,
    /// The median of the segment before.
    pub before: f64,
    /// The median of the segment that begins here.
    pub after: f64,
    /// Whether there are enough points after it. One that is not is to be measured again: it may be a spike.
    pub confirmed: bool,
}

/// The changes of a series, oldest first; only the last one may be unconfirmed. Values must be finite.
///
/// Where all are positive, shifts are ratios: what is compared are logarithms.
pub fn change_points(values: &[f64], how: &Detection) -> Vec<ChangePoint> {
    let scale = if values.iter().all(|value| *value > 0.0) { Scale::Ratio } else { Scale::Difference };
    let series: Vec<f64> = values.iter().map(|value| scale.of(*value)).collect();
    let calm = calmed(&series);
    let splits = prune(&calm, candidates(&calm, how), scale, how);
    let mut found = judged(&calm, &splits, scale, how);
    // As they are: what is alone at the end is calmed away.
    found.extend(unconfirmed(&series, splits.last().copied().unwrap_or(0), scale, how));
    found
}

/// How values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Ratio,
    Difference,
}

impl Scale {
    fn of(self, value: f64) -> f64 {
        if self == Scale::Ratio { value.ln() } else { value }
    }

    fn back(self, value: f64) -> f64 {
        if self == Scale::Ratio { value.exp() } else { value }
    }

    /// A difference on this scale, relative to what it was before.
    fn relative(self, difference: f64, before: f64) -> Option<f64> {
        match self {
            Scale::Ratio => Some(difference.exp_m1()),
            Scale::Difference => (before != 0.0).then(|| difference / before.abs()),
        }
    }
}

/// Takes candidates away, the weakest first, until each of those left is a change.
fn prune(values: &[f64], mut splits: Vec<usize>, scale: Scale, how: &Detection) -> Vec<usize> {
    loop {
        let found = judged(values, &splits, scale, how);
        let weakest =
            (0..found.len()).filter(|n| !found[*n].confirmed).max_by(|a, b| found[*a].p.total_cmp(&found[*b].p));
        match weakest {
            Some(weakest) => drop(splits.remove(weakest)),
            None => return splits,
        }
    }
}

/// Each candidate by the segments before and after it.
fn judged(values: &[f64], splits: &[usize], scale: Scale, how: &Detection) -> Vec<ChangePoint> {
    let bounds: Vec<usize> = [0].into_iter().chain(splits.iter().copied()).chain([values.len()]).collect();
    let correlation = correlation(values, &bounds);
    let judge = |ends: &[usize]| {
        // No further than a window: what was long ago says little of what was usual.
        let from = ends[0].max(ends[1].saturating_sub(how.window));
        let (before, after) = (&values[from..ends[1]], &values[ends[1]..ends[2].min(ends[1] + how.window)]);
        let p = searched(deviations(before, after, correlation), before.len() + after.len(), how.least);
        // Means and ranks have to agree: a few wild values convince the one, a few that are only just the largest the other.
        let confirmed = before.len() >= how.least
            && after.len() >= how.least
            && p <= how.significance
            && mann_whitney(before, after).is_some_and(|p| p <= how.significance);
        between(before, after, ends[1], scale, how, (p, confirmed))
    };
    bounds.windows(3).map(judge).collect()
}

/// What is between two segments: a change only if it matters.
fn between(
    before: &[f64],
    after: &[f64],
    index: usize,
    scale: Scale,
    how: &Detection,
    (p, sure): (f64, bool),
) -> ChangePoint {
    let [old, new] = [before, after].map(|side| scale.back(median(side).unwrap_or(0.0)));
    let shift = shift_between(before, after, INTERVAL);
    let confirmed = sure && shift.is_some_and(|shift| matters(&shift, scale, old, how));
    let shift = shift.and_then(|shift| scale.relative(shift.estimate, old));
    ChangePoint { index, shift, p, before: old, after: new, confirmed }
}

/// The chance that the interval of a shift misses it.
const INTERVAL: f64 = 0.05;

/// Whether a shift may be as large as δ and is not much smaller. An estimate of just δ is below it half of the time.
fn matters(shift: &Shift, scale: Scale, before: f64, how: &Detection) -> bool {
    let size = |difference| scale.relative(difference, before).map_or(f64::INFINITY, f64::abs);
    let ends = shift.interval.map_or([shift.estimate; 2], |interval| [interval.low, interval.high]);
    let largest = ends.into_iter().map(size).fold(0.0, f64::max);
    size(shift.estimate) >= how.delta / 2.0 && largest >= how.delta
}

/// The last points, too few of them for a change, if they are far off all the same.
fn unconfirmed(values: &[f64], last: usize, scale: Scale, how: &Detection) -> Option<ChangePoint> {
    let far = |fresh: usize| {
        let index = values.len().checked_sub(fresh).filter(|index| index.saturating_sub(last) >= how.least)?;
        let (before, after) = values.split_at(index);
        let past = &before[index.saturating_sub(how.window)..];
        let before = &before[last.max(index.saturating_sub(how.window))..];
        let p = searched(deviations(before, after, 0.0), before.len() + fresh, 1);
        let point = between(before, after, index, scale, how, (p, false));
        let is_large = point.shift.is_none_or(|shift| shift.abs() >= how.delta);
        (all_far(before, past, after) && is_large).then_some(point)
    };
    (1..how.least).rev().find_map(far)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Repeatable noise of a few percent around 1.
    fn noise(n: usize) -> f64 {
        1.0 + ((n * n * 31 + n * 17) % 101) as f64 / 101.0 * 0.04 - 0.02
    }

    fn series(levels: &[(usize, f64)]) -> Vec<f64> {
        let levels = levels.iter().flat_map(|(count, level)| std::iter::repeat_n(*level, *count));
        levels.enumerate().map(|(n, level)| level * noise(n)).collect()
    }

    fn found(values: &[f64]) -> Vec<(usize, bool)> {
        change_points(values, &Detection::default()).iter().map(|point| (point.index, point.confirmed)).collect()
    }

    /// Of fourteen points there are 3,432 choices of seven, and two of those are the most lopsided.
    #[test]
    fn ranks_take_a_while_to_convince() {
        assert_eq!(Detection::default().fewest(), 14);
        assert_eq!(found(&series(&[(7, 5.0), (7, 6.0)])), [(7, true)]);
        assert!(found(&series(&[(6, 5.0), (6, 6.0)])).iter().all(|(_, confirmed)| !confirmed));
    }

    #[test]
    fn a_change_is_described() {
        let points = change_points(&series(&[(40, 100.0), (30, 120.0)]), &Detection::default());
        let [point] = points[..] else { panic!("{points:?}") };
        assert_eq!((point.index, point.confirmed), (40, true));
        assert!((point.shift.unwrap() - 0.2).abs() < 0.02 && point.p < 1e-6, "{point:?}");
        assert!((point.before - 100.0).abs() < 1.0 && (point.after - 120.0).abs() < 1.0, "{point:?}");
    }

    #[test]
    fn changes_are_where_they_are() {
        let rows = [
            (series(&[(100, 5.0)]), vec![]),
            (series(&[(60, 5.0), (60, 6.0), (60, 4.0)]), vec![(60, true), (120, true)]),
            // There and back again within a window.
            (series(&[(60, 5.0), (10, 6.0), (60, 5.0)]), vec![(60, true), (70, true)]),
            // Large enough to be seen, too small to matter.
            (series(&[(100, 5.0), (100, 5.05)]), vec![]),
            // At the end: to be measured again, until there are three.
            (series(&[(40, 5.0), (1, 6.0)]), vec![(40, false)]),
            (series(&[(40, 5.0), (2, 6.0)]), vec![(40, false)]),
            (series(&[(40, 5.0), (3, 6.0)]), vec![(40, true)]),
            // A spike that was followed by something usual.
            (series(&[(40, 5.0), (1, 9.0), (1, 5.0)]), vec![]),
            (series(&[(2, 5.0), (1, 9.0)]), vec![]),
            (vec![7.0; 50], vec![]),
            (vec![], vec![]),
        ];
        for (values, expected) in rows {
            assert_eq!(found(&values), expected, "{values:?}");
        }
    }

    /// What may be zero has differences instead of ratios, and none in percent where it was zero before.
    #[test]
    fn zeros_are_values() {
        let values: Vec<f64> = [vec![0.0; 30], vec![4.0; 30], vec![5.0; 30]].concat();
        let points = change_points(&values, &Detection::default());
        let shifts: Vec<_> = points.iter().map(|point| (point.index, point.shift, point.p)).collect();
        assert_eq!(shifts, [(30, None, 0.0), (60, Some(0.25), 0.0)]);
    }

    #[test]
    fn what_hardly_varies_is_judged_by_delta() {
        let counts = |change: f64| -> Vec<f64> { [vec![1e6; 30], vec![1e6 + change; 30]].concat() };
        assert_eq!(found(&counts(1.0)), []);
        assert_eq!(found(&counts(4e4)), [(30, true)]);
    }

    proptest! {
        #[test]
        fn a_unit_is_no_difference(values in prop::collection::vec(0.5..2.0_f64, 0..120), factor in 1e-6..1e6_f64) {
            let scaled: Vec<f64> = values.iter().map(|value| value * factor).collect();
            prop_assert_eq!(found(&values), found(&scaled));
        }

        #[test]
        fn any_numbers_will_do(values in prop::collection::vec(-1e12..1e12_f64, 0..120)) {
            for point in change_points(&values, &Detection::default()) {
                prop_assert!(point.index > 0 && point.index < values.len());
                prop_assert!((0.0..=1.0).contains(&point.p) && point.shift.is_none_or(f64::is_finite), "{:?}", point);
            }
        }
    }
}
