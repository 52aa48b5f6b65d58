//! When blocks are looked at, and what each look may cost.
//!
//! Whoever looks at growing data again and again, until something shows, will see something. So the 5 % error of a comparison
//! is spent over its looks by the function of Lan and DeMets (1983, Biometrika 70, 659–663) that is like O'Brien and
//! Fleming's test (1979): after a fraction t of the blocks, `2 − 2Φ(z / √t)` of it, with Φ(z) = 1 − 0.05 / 2. A look gets what
//! was added since the last one, and its test and its interval are those of that error. Together, all looks err with no more
//! than 5 %, however they depend on each other (Boole's inequality); what the joint distribution would give back is a
//! thousandth or two, and ranks of few blocks have no joint distribution that could be looked up.

use crate::{normal_cdf, normal_quantile};

/// The probability that an interval misses, over all looks.
pub const ALPHA: f64 = 0.05;

/// The largest q-value with which a change is called: if nothing has changed at all, two comparisons in a hundred call
/// something.
pub const CALLED: f64 = 0.02;

/// After how many blocks a comparison may be looked at.
pub const STEPS: [u32; 4] = [8, 12, 20, 40];

/// A look at the blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// After so many blocks.
    pub blocks: u32,
    /// The part of [`ALPHA`] that it may spend.
    pub share: f64,
}

/// The looks of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Ladder {
    looks: Vec<Look>,
}

impl Ladder {
    /// The looks of a comparison of at most `most` blocks: at those of [`STEPS`] that can show anything, and at the end. A step
    /// cannot where not even blocks that all agree would be rare enough: n of them have a p-value of 2^(1 − n). What it might
    /// have spent is left to the next.
    pub fn new(most: u32) -> Ladder {
        let mut looks = Vec::new();
        let mut used = 0.0;
        for blocks in STEPS.into_iter().filter(|step| *step < most) {
            let share = spent(f64::from(blocks) / f64::from(most)) / ALPHA - used;
            if rarest(blocks) <= ALPHA * share {
                looks.push(Look { blocks, share });
                used += share;
            }
        }
        looks.push(Look { blocks: most, share: 1.0 - used });
        Ladder { looks }
    }

    /// The looks, in order.
    pub fn looks(&self) -> &[Look] {
        &self.looks
    }

    /// What a look may spend that comes, unplanned, as the last one after `made` of the planned ones: all that is left.
    pub fn rest(&self, made: usize) -> f64 {
        1.0 - self.looks.iter().take(made).map(|look| look.share).sum::<f64>()
    }
}

/// The smallest p-value that as many blocks can have.
pub(crate) fn rarest(blocks: u32) -> f64 {
    2.0 * 0.5_f64.powi(i32::try_from(blocks).unwrap_or(i32::MAX))
}

/// What is spent of [`ALPHA`] after a fraction of all blocks.
fn spent(fraction: f64) -> f64 {
    2.0 * normal_cdf(-normal_quantile(1.0 - ALPHA / 2.0) / fraction.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lan and DeMets's function for 5 %, two-sided: R's `2 * pnorm(-qnorm(0.975) / sqrt(t))`.
    #[test]
    fn little_is_spent_early() {
        for (fraction, expect) in
            [(0.2, 1.172_645e-5), (0.3, 3.457_196e-4), (0.5, 5.574_597e-3), (0.75, 0.023_625_12), (1.0, 0.05)]
        {
            let got = spent(fraction);
            assert!((got / expect - 1.0).abs() < 1e-6, "{fraction}: {got}");
        }
    }

    #[test]
    fn looks_that_can_show_nothing_are_left_out() {
        let at = |most: u32| Ladder::new(most).looks().iter().map(|look| look.blocks).collect::<Vec<_>>();
        assert_eq!(at(40), [20, 40]);
        assert_eq!(at(20), [12, 20]);
        assert_eq!(at(12), [8, 12]);
        assert_eq!(at(8), [8]);
        assert_eq!(at(3), [3]);
        // As docs/statistics.md has them.
        let shares = |most: u32| {
            Ladder::new(most).looks().iter().map(|look| (look.share * 100.0).round() as u32).collect::<Vec<_>>()
        };
        assert_eq!([shares(12), shares(20), shares(40)], [[33, 67], [23, 77], [11, 89]]);
    }

    proptest! {
        #[test]
        fn all_looks_together_spend_everything_once(most in 1u32..200, made in 0usize..5) {
            let ladder = Ladder::new(most);
            prop_assert!(ladder.looks().iter().all(|look| look.share > 0.0));
            prop_assert!((ladder.looks().iter().map(|look| look.share).sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert!(ladder.looks().is_sorted_by_key(|look| look.blocks));
            let before: f64 = ladder.looks().iter().take(made).map(|look| look.share).sum();
            prop_assert!((ladder.rest(made) + before - 1.0).abs() < 1e-12);
        }
    }
}
