//! Comparisons without a network: what a block comes to is made up.

use super::*;
use crate::{Ran, Random, overall};
use longhaul_record::{Outcome, Verdict};
use proptest::prelude::*;

/// A run with one value of each of some metrics.
pub(super) fn ran(values: &[(&str, f64)]) -> Ran {
    let values = values.iter().map(|(metric, value)| (((*metric).to_owned(), None), *value));
    Ran { outcome: Outcome::Ok, values: values.collect() }
}

fn failed(outcome: Outcome) -> Ran {
    Ran { outcome, ..ran(&[]) }
}

fn only(metrics: &[&str]) -> Choice {
    Choice { metrics: metrics.iter().map(|id| ((*id).to_owned(), None)).collect() }
}

const HOUR: f64 = 3600.0;

fn limits(blocks: u32) -> Limits {
    Limits { blocks, budget_s: HOUR }
}

/// Runs everything, a second a block. Returns why it ended and how many seconds it took.
fn play(sampling: &mut Sampling, mut block: impl FnMut(Task) -> Block) -> (End, u32) {
    let mut seconds = 0;
    loop {
        match sampling.next(f64::from(seconds)) {
            Next::End(end) => return (end, seconds),
            Next::Run(task) => {
                let block = block(task);
                seconds += 1;
                sampling.ran(task, block, 1.0, f64::from(seconds));
            }
        }
    }
}

/// A factor of blocks that are never decided.
const OPEN: f64 = 0.0;

/// Bytes that differ by a factor, with a thousandth of noise.
fn shifted(factor: f64, task: Task, random: &mut Random) -> Block {
    // Far more than what matters as often as far less.
    let factor = if factor == OPEN { [0.92, 0.97, 1.01, 1.04, 1.09][task.block as usize / 2 % 5] } else { factor };
    let mut arm = |factor: f64| ran(&[("wire_bytes", 1e6 * factor * (0.001 * random.normal()).exp())]);
    Block { base: arm(1.0), head: arm(factor) }
}

#[test]
fn it_ends_as_soon_as_everything_is_decided() {
    for (factor, verdict) in
        [(1.0, Verdict::Unchanged), (1.1, Verdict::Regressed), (0.9, Verdict::Improved), (OPEN, Verdict::Inconclusive)]
    {
        let mut sampling = Sampling::new(1, limits(40), only(&["wire_bytes"]), 1, false);
        let mut random = Random::new(1);
        let (end, blocks) = play(&mut sampling, |task| shifted(factor, task, &mut random));
        let expect = if verdict.is_decided() { (End::Decided, 20) } else { (End::Blocks, 40) };
        assert_eq!((end, blocks), expect, "{factor}");
        assert_eq!(overall(&sampling.compared()), Some(verdict), "{factor}: {:?}", sampling.compared());
    }
}

#[test]
fn the_budget_decides_how_many_blocks_there_are() {
    for (budget_s, blocks, end, verdict) in [
        (3.0, 3, End::Budget, Verdict::Inconclusive),
        (8.0, 8, End::Decided, Verdict::Regressed),
        (11.0, 11, End::Decided, Verdict::Regressed),
        (25.0, 12, End::Decided, Verdict::Regressed),
        (1000.0, 20, End::Decided, Verdict::Regressed),
    ] {
        let limits = Limits { blocks: 40, budget_s };
        let mut sampling = Sampling::new(1, limits, only(&["wire_bytes"]), 1, false);
        let mut random = Random::new(1);
        let got = play(&mut sampling, |task| shifted(1.1, task, &mut random));
        assert_eq!(got, (end, blocks), "{budget_s}");
        assert_eq!(overall(&sampling.compared()), Some(verdict), "{budget_s}");
    }
}

#[test]
fn scenarios_take_turns_and_those_that_are_decided_wait() {
    let mut sampling = Sampling::new(2, limits(40), only(&["wire_bytes"]), 1, false);
    let mut random = Random::new(1);
    let mut order = Vec::new();
    let (end, blocks) = play(&mut sampling, |task| {
        order.push(task.scenario);
        shifted(if task.scenario == 0 { 1.1 } else { OPEN }, task, &mut random)
    });
    assert_eq!((end, blocks), (End::Blocks, 60));
    assert_eq!(order[..6], [0, 1, 0, 1, 0, 1]);
    assert_eq!((sampling.blocks(0), sampling.blocks(1)), (20, 40));
    assert_eq!(overall(&sampling.compared()), Some(Verdict::Regressed));
}

#[test]
fn what_fails_always_is_not_run_on_and_what_fails_in_head_is_a_regression() {
    let sampling = || Sampling::new(1, limits(8), only(&["wire_bytes"]), 1, false);
    let good = || ran(&[("wire_bytes", 1.0)]);
    let bad = || failed(Outcome::TimedOut);
    let mut both = sampling();
    let got = play(&mut both, |_| Block { base: bad(), head: bad() });
    assert_eq!(got, (End::Hopeless, 4));
    assert_eq!(overall(&both.compared()), None, "nothing was seen to work");
    let mut head = sampling();
    let got = play(&mut head, |_| Block { base: good(), head: bad() });
    assert_eq!(got.1, 8);
    let compared = head.compared();
    assert_eq!(compared[0].success.verdict, Verdict::Regressed);
    assert_eq!((compared[0].metrics.len(), &compared[0].missing), (0, &vec!["wire_bytes".to_owned()]));
    assert_eq!(overall(&compared), Some(Verdict::Regressed));
}

#[test]
fn blocks_that_cannot_be_trusted_do_not_count() {
    let mut few = Sampling::new(1, limits(8), only(&["wire_bytes"]), 1, false);
    let mut random = Random::new(1);
    let untrusted = || Block { base: failed(Outcome::Untrusted), head: ran(&[("wire_bytes", 1.0)]) };
    let (end, blocks) = play(&mut few, |task| match task.block {
        1 | 3 => untrusted(),
        _ => shifted(1.0, task, &mut random),
    });
    assert_eq!((end, blocks), (End::Decided, 10));
    assert_eq!((few.compared()[0].blocks, few.compared()[0].untrusted), (8, 2));
    let mut many = Sampling::new(1, limits(40), only(&["wire_bytes"]), 1, false);
    let (end, blocks) = play(&mut many, |task| match task.block % 3 {
        0 => untrusted(),
        _ => shifted(1.0, task, &mut random),
    });
    assert_eq!(end, End::Hopeless);
    assert!(blocks < 20, "{blocks}");
    assert_eq!(overall(&many.compared()), Some(Verdict::Untrusted));
}

#[test]
fn a_block_has_one_seed_and_the_next_another() {
    let mut sampling = Sampling::new(1, limits(40), only(&["wire_bytes"]), 7, true);
    let mut random = Random::new(1);
    let mut seen = Vec::new();
    play(&mut sampling, |task| {
        seen.push((task.seeds, task.is_independent(), task.first));
        shifted(OPEN, task, &mut random)
    });
    assert_eq!(seen[0].0, [7, 7]);
    let independent: Vec<bool> = seen.iter().map(|(_, independent, _)| *independent).collect();
    assert_eq!(independent[..4], [false, true, false, true]);
    let mut seeds: Vec<u64> = seen.iter().flat_map(|(seeds, ..)| seeds.iter().copied()).collect();
    seeds.sort_unstable();
    seeds.dedup();
    assert_eq!(seeds.len(), 40 + 2 * 39, "no seed is used in two blocks");
    let base_first = seen.iter().filter(|(.., first)| *first == Arm::Base).count();
    assert!((20..=59).contains(&base_first), "the order is a coin: {base_first} of {}", seen.len());
    let gain = sampling.compared()[0].metrics[0].seeds.unwrap();
    assert!(gain.interval[0] < 1.0 && gain.interval[1] > 1.0, "there is nothing to gain here: {gain:?}");
}

/// Without a metric that was asked for, nothing is decided.
#[test]
fn a_metric_that_nobody_has_leaves_it_open() {
    let mut sampling = Sampling::new(1, limits(8), only(&["wire_bytes", "stall_time"]), 1, false);
    let mut random = Random::new(1);
    assert_eq!(play(&mut sampling, |task| shifted(1.0, task, &mut random)), (End::Blocks, 8));
    assert_eq!(overall(&sampling.compared()), Some(Verdict::Inconclusive));
}

proptest! {
    /// Whatever blocks come to, it ends, within its limits, and says what it has seen.
    #[test]
    fn it_always_ends(
        seed in 0u64..1_000_000,
        scenarios in 1usize..4,
        blocks in 1u32..50,
        budget_s in 0.0f64..120.0,
        good in 0.0f64..1.0,
        independent: bool,
    ) {
        let limits = Limits { blocks, budget_s };
        let mut sampling = Sampling::new(scenarios, limits, Choice::default(), seed, independent);
        let mut random = Random::new(seed);
        let arm = |random: &mut Random| match random.share() {
            share if share < good => ran(&[("wire_bytes", 1.0 + random.share()), ("stall_time", 0.0)]),
            share if share < (1.0 + good) / 2.0 => failed(Outcome::SubjectFailed),
            _ => failed(Outcome::Untrusted),
        };
        let (end, seconds) = play(&mut sampling, |_| Block { base: arm(&mut random), head: arm(&mut random) });
        prop_assert!(f64::from(seconds) <= budget_s.max(1.0) + scenarios as f64, "{end:?} after {seconds} s");
        let compared = sampling.compared();
        prop_assert_eq!(compared.len(), scenarios);
        for (n, one) in compared.iter().enumerate() {
            prop_assert!(one.blocks <= blocks && one.blocks as usize == sampling.blocks(n));
            prop_assert!(one.share > 0.0 && one.share <= 1.0);
            for change in &one.metrics {
                prop_assert!((0.0..=1.0).contains(&change.p) && change.q >= change.p && change.q <= 1.0);
                if let Some([low, high]) = change.interval {
                    prop_assert!(low <= change.shift && change.shift <= high);
                }
            }
        }
    }
}
