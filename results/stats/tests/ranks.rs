//! Ranks, intervals and corrections against what R and SciPy say (`fixtures/make.py`).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use longhaul_stats::{
    Shift, false_discovery, mann_whitney, mcnemar, normal_quantile, shift, shift_between, signed_rank, theil_sen,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixtures {
    one: Vec<One>,
    two: Vec<Two>,
    normal_quantile: Vec<[f64; 2]>,
    false_discovery: Adjusted,
    mcnemar: Vec<(u64, u64, f64)>,
    theil_sen: Vec<Slope>,
}

#[derive(Debug, Deserialize)]
struct One {
    values: Vec<f64>,
    p: Option<f64>,
    shift: f64,
    interval: Option<[f64; 2]>,
}

#[derive(Debug, Deserialize)]
struct Two {
    base: Vec<f64>,
    head: Vec<f64>,
    p: f64,
    shift: f64,
    interval: Option<[f64; 2]>,
}

#[derive(Deserialize)]
struct Adjusted {
    p: Vec<f64>,
    q: Vec<f64>,
}

#[derive(Debug, Deserialize)]
struct Slope {
    x: Vec<f64>,
    y: Vec<f64>,
    slope: f64,
    interval: [f64; 2],
}

fn fixtures() -> Fixtures {
    serde_json::from_str(include_str!("fixtures/ranks.json")).unwrap()
}

fn close(got: f64, expect: f64, what: &dyn std::fmt::Debug) {
    assert!((got - expect).abs() <= 1e-9 * expect.abs().max(1e-3), "{got}, not {expect}: {what:?}");
}

fn close_ends(got: Shift, expect: Option<[f64; 2]>, what: &dyn std::fmt::Debug) {
    let Some([low, high]) = expect else { return };
    let interval = got.interval.unwrap();
    close(interval.low, low, what);
    close(interval.high, high, what);
}

#[test]
fn one_sample_is_as_in_r() {
    for case in fixtures().one {
        if let Some(p) = case.p {
            close(signed_rank(&case.values).unwrap(), p, &case);
        }
        let got = shift(&case.values, 0.05).unwrap();
        close(got.estimate, case.shift, &case);
        close_ends(got, case.interval, &case);
        assert_eq!(got.interval.is_some(), case.values.len() >= 6, "{case:?}");
    }
}

#[test]
fn two_samples_are_as_in_r() {
    for case in fixtures().two {
        close(mann_whitney(&case.base, &case.head).unwrap(), case.p, &case);
        let got = shift_between(&case.base, &case.head, 0.05).unwrap();
        close(got.estimate, case.shift, &case);
        close_ends(got, case.interval, &case);
        let back = shift_between(&case.head, &case.base, 0.05).unwrap();
        close(back.estimate, -case.shift, &case);
    }
}

#[test]
fn what_cannot_be_said_is_not() {
    assert_eq!((signed_rank(&[]), signed_rank(&[0.0, 0.0])), (None, None));
    assert_eq!((mann_whitney(&[], &[1.0]), shift(&[], 0.05), shift_between(&[1.0], &[], 0.05)), (None, None, None));
    assert_eq!(shift_between(&[1.0, 2.0], &[5.0, 6.0], 0.05).unwrap(), Shift { estimate: 4.0, interval: None });
    assert_eq!(theil_sen(&[(1.0, 1.0), (1.0, 2.0)], 0.05), None);
    assert!(normal_quantile(1.1).is_nan());
}

#[test]
fn quantiles_are_the_inverse_of_shares() {
    for [share, expect] in fixtures().normal_quantile {
        close(normal_quantile(share), expect, &share);
    }
    assert_eq!((normal_quantile(0.0), normal_quantile(1.0)), (f64::NEG_INFINITY, f64::INFINITY));
}

#[test]
fn several_questions_are_corrected_as_in_r() {
    let Adjusted { p, q } = fixtures().false_discovery;
    for ((p, got), expect) in p.iter().zip(false_discovery(&p)).zip(q) {
        close(got, expect, p);
    }
    assert_eq!(false_discovery(&[]), [0.0; 0]);
}

#[test]
fn pairs_that_disagree_are_a_coin() {
    for (first, second, p) in fixtures().mcnemar {
        close(mcnemar(first, second), p, &(first, second));
        close(mcnemar(second, first), p, &(first, second));
    }
}

#[test]
fn slopes_are_as_in_scipy() {
    for case in fixtures().theil_sen {
        let points: Vec<(f64, f64)> = case.x.iter().copied().zip(case.y.iter().copied()).collect();
        let got = theil_sen(&points, 0.05).unwrap();
        close(got.estimate, case.slope, &case);
        close_ends(got, Some(case.interval), &case);
    }
}

#[test]
fn what_could_have_been_seen_is_said() {
    let differences: Vec<f64> = (0..40).map(|n| f64::from((n * 7) % 40) - 19.5).collect();
    let got = shift(&differences, 0.05).unwrap();
    let half = got.interval.map(|interval| (interval.high - interval.low) / 2.0).unwrap();
    close(got.detectable().unwrap() / half, 1.0 + 0.841_621_233_572_914_3 / 1.959_963_984_540_054, &half);
}
