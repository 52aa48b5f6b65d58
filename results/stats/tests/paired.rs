//! What blocks say about a change.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use longhaul_record::{Compared, MetricChange, Outcome, Verdict};
use longhaul_stats::{Block, Choice, Look, Ran, Random, Seen, compare, overall, shift, signed_rank};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn ran(values: &[(&str, f64)]) -> Ran {
    let values = values.iter().map(|(metric, value)| (((*metric).to_owned(), None), *value));
    Ran { outcome: Outcome::Ok, values: values.collect() }
}

fn failed() -> Ran {
    Ran { outcome: Outcome::SubjectFailed, values: BTreeMap::new() }
}

fn only(metric: &str, delta: Option<f64>) -> Choice {
    Choice { metrics: [(metric.to_owned(), delta)].into() }
}

fn look(blocks: &[Block], choice: &Choice, share: f64) -> Compared {
    let last = Look { blocks: 40, share: 1.0 };
    compare(&[Seen { blocks, untrusted: 0, independent: &[], share, last }], choice).remove(0)
}

/// One metric, in pairs of base and head.
fn one(metric: &str, pairs: &[(f64, f64)]) -> Option<MetricChange> {
    let block = |(base, head): &(f64, f64)| Block { base: ran(&[(metric, *base)]), head: ran(&[(metric, *head)]) };
    let blocks: Vec<Block> = pairs.iter().map(block).collect();
    look(&blocks, &only(metric, None), 1.0).metrics.pop()
}

/// Twelve values around another, a thousandth apart.
fn around(middle: f64) -> impl Iterator<Item = f64> {
    (0..12).map(move |n| middle * (1.0 + f64::from((n * 5) % 12) / 1e3))
}

fn pairs(base: f64, head: f64) -> Vec<(f64, f64)> {
    around(base).zip(around(head)).collect()
}

#[test]
fn which_way_is_better_is_the_metrics_word() {
    for (metric, head, verdict) in [
        ("transfer_time", 110.0, Verdict::Regressed),
        ("transfer_time", 90.0, Verdict::Improved),
        ("transfer_time", 100.0, Verdict::Unchanged),
        ("fairness", 110.0, Verdict::Improved),
        ("fairness", 90.0, Verdict::Regressed),
        // Two percent of time are less than what matters, of bytes they are more.
        ("transfer_time", 102.0, Verdict::Unchanged),
        ("wire_bytes", 102.0, Verdict::Regressed),
    ] {
        let change = one(metric, &pairs(100.0, head)).unwrap();
        assert_eq!(change.verdict, verdict, "{metric} {head}: {change:?}");
    }
}

#[test]
fn it_is_the_signed_rank_test_of_logarithms() {
    let mut random = Random::new(5);
    let pairs: Vec<(f64, f64)> = (0..20).map(|_| (random.normal().exp(), 1.2 * random.normal().exp())).collect();
    let logs: Vec<f64> = pairs.iter().map(|(base, head)| (head / base).ln()).collect();
    let blocks: Vec<Block> = pairs
        .iter()
        .map(|(base, head)| Block { base: ran(&[("total_time", *base)]), head: ran(&[("total_time", *head)]) })
        .collect();
    for share in [1.0, 0.1115] {
        let change = look(&blocks, &only("total_time", None), share).metrics.pop().unwrap();
        let expect = shift(&logs, 0.05 * share).unwrap();
        let ends = expect.interval.unwrap();
        assert!((change.shift - expect.estimate.exp_m1()).abs() < 1e-12);
        assert_eq!(change.interval, Some([ends.low.exp_m1(), ends.high.exp_m1()]));
        assert!((change.p - (signed_rank(&logs).unwrap() / share).min(1.0)).abs() < 1e-12);
    }
}

#[test]
fn what_can_be_zero_is_compared_by_differences() {
    // No stall, and none.
    let none = one("stall_time", &[(0.0, 0.0); 12]).unwrap();
    assert_eq!((none.verdict, none.difference, none.shift, none.delta), (Verdict::Unchanged, true, 0.0, 0.1));
    let some = one("stall_time", &[(0.0, 0.5); 12]).unwrap();
    assert_eq!((some.verdict, some.interval), (Verdict::Regressed, Some([0.5, 0.5])));
    // Where there are many stalls, a tenth of them matters.
    let many = one("stall_time", &[(5.0, 5.2); 12]).unwrap();
    assert_eq!((many.verdict, many.delta), (Verdict::Unchanged, 0.5));
    // Of a ratio's metric, what is not positive gives nothing.
    let mut odd = pairs(1.0, 1.0);
    odd[3].0 = 0.0;
    odd[4].1 = -1.0;
    assert_eq!(one("transfer_time", &odd).unwrap().blocks, 10);
    assert_eq!(one("transfer_time", &[(0.0, 1.0); 12]), None);
}

#[test]
fn failures_are_no_numbers() {
    let block = |n: usize| {
        let good = || ran(&[("transfer_time", 1.0)]);
        let mut bad = failed();
        // Even if a record should carry some.
        bad.values = ran(&[("transfer_time", 1000.0)]).values;
        Block { base: good(), head: if n < 2 { bad } else { good() } }
    };
    let blocks: Vec<Block> = (0..12).map(block).collect();
    let compared = look(&blocks, &only("transfer_time", None), 1.0);
    assert_eq!((compared.metrics[0].blocks, compared.metrics[0].verdict), (10, Verdict::Unchanged));
    let success = &compared.success;
    assert_eq!((success.base_ok, success.head_ok, success.only_base, success.only_head), (12, 10, 2, 0));
    assert_eq!(success.verdict, Verdict::Inconclusive);
    assert_eq!(overall(&[compared]), Some(Verdict::Inconclusive));
}

#[test]
fn more_questions_ask_for_more() {
    let scenarios = |others: usize| {
        let changed: Vec<Block> = pairs(100.0, 104.0)
            .into_iter()
            .take(8)
            .map(|(base, head)| Block { base: ran(&[("transfer_time", base)]), head: ran(&[("transfer_time", head)]) })
            .collect();
        let same: Vec<Block> =
            changed.iter().map(|block| Block { head: block.base.clone(), ..block.clone() }).collect();
        let last = Look { blocks: 8, share: 1.0 };
        let seen = |blocks| Seen { blocks, untrusted: 0, independent: &[], share: 1.0, last };
        let all: Vec<Seen> = std::iter::once(seen(&changed)).chain((0..others).map(|_| seen(&same))).collect();
        compare(&all, &only("transfer_time", None))
    };
    let verdict = |others| scenarios(others)[0].metrics[0].verdict;
    assert_eq!((verdict(0), verdict(1)), (Verdict::Regressed, Verdict::Inconclusive));
    // So does what could have been seen: in two scenarios, eight blocks could not show anything.
    assert!(scenarios(0)[0].metrics[0].detectable.is_some() && scenarios(1)[0].metrics[0].detectable.is_none());
}

#[test]
fn noise_does_not_decide_unless_it_is_asked_to() {
    let mut random = Random::new(1);
    let mut value = |noise: f64| 100.0 * (noise * random.normal()).exp();
    let mut arm = || ran(&[("wire_bytes", value(0.001)), ("cpu_seconds", value(0.2))]);
    let blocks: Vec<Block> = (0..20).map(|_| Block { base: arm(), head: arm() }).collect();
    let compared = look(&blocks, &Choice::default(), 1.0);
    let of = |metric: &str| compared.metrics.iter().find(|change| change.metric == metric).unwrap();
    assert_eq!((of("wire_bytes").decides, of("wire_bytes").noisy), (true, false));
    assert_eq!((of("cpu_seconds").decides, of("cpu_seconds").noisy), (false, true));
    assert_eq!(overall(std::slice::from_ref(&compared)), Some(Verdict::Unchanged));
    let asked = look(&blocks, &only("cpu_seconds", None), 1.0);
    assert!(asked.metrics[0].decides && !asked.metrics[0].noisy);
    assert_eq!(overall(&[asked]), Some(Verdict::Inconclusive));
    // Nothing but noise is no ground to stand on.
    let only_noise: Vec<Block> = blocks
        .into_iter()
        .map(|mut block| {
            for arm in [&mut block.base, &mut block.head] {
                arm.values.remove(&("wire_bytes".to_owned(), None));
                arm.values.insert(("stall_time".to_owned(), None), 0.0);
            }
            block
        })
        .collect();
    assert_eq!(overall(&[look(&only_noise, &Choice::default(), 1.0)]), Some(Verdict::Inconclusive));
}

proptest! {
    /// Base for head and head for base: everything is turned round, and nothing else is.
    #[test]
    fn both_ways_are_alike(seed in 0u64..10_000, n in 6usize..41, off in 0.8f64..1.25) {
        let mut random = Random::new(seed);
        let pairs: Vec<(f64, f64)> =
            (0..n).map(|_| ((0.05 * random.normal()).exp(), off * (0.05 * random.normal()).exp())).collect();
        let back: Vec<(f64, f64)> = pairs.iter().rev().map(|(base, head)| (*head, *base)).collect();
        let [there, back] = [pairs, back].map(|pairs| one("total_time", &pairs).unwrap());
        prop_assert!(((1.0 + there.shift) * (1.0 + back.shift) - 1.0).abs() < 1e-9);
        prop_assert!((there.p - back.p).abs() < 1e-9);
        let [low, high] = there.interval.unwrap();
        let [back_low, back_high] = back.interval.unwrap();
        prop_assert!(((1.0 + low) * (1.0 + back_high) - 1.0).abs() < 1e-9);
        prop_assert!(((1.0 + high) * (1.0 + back_low) - 1.0).abs() < 1e-9);
        prop_assert!(low <= there.shift && there.shift <= high);
        prop_assert!(there.detectable.is_none_or(|least| least >= there.delta));
    }
}
