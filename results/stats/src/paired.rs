//! What pairs of runs say about a change: one version, then the other, on the same network.
//!
//! A block has a run of each. Of every metric it gives one number: the logarithm of head divided by base, or their difference
//! where the metric can be 0. A run that failed gives none: it counts where successes are compared. All the rest is ranks of
//! those numbers.

use crate::fit::student_quantile;
use crate::interval::Z_95;
use crate::ladder::{ALPHA, CALLED, Look, rarest};
use crate::seeds::seed_gain;
use crate::{Interval, false_discovery, mcnemar, median, normal_quantile, shift, signed_rank, wilson};
use longhaul_record::{
    Compared, Direction, METRICS, Metric, MetricChange, Outcome, RunRecord, Standing, SuccessChange, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};

/// What one run of a block came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    /// How it ended.
    pub outcome: Outcome,
    /// Its values by metric and side.
    pub values: BTreeMap<(String, Option<String>), f64>,
}

/// A run of either version, with the same seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// The version that is compared with.
    pub base: Ran,
    /// The version that is judged.
    pub head: Ran,
}

/// Which metrics are compared.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// By id, each with a relative δ in place of its own. All of them decide. If there is none, all metrics are compared, and
    /// those of the first standing decide.
    pub metrics: BTreeMap<String, Option<f64>>,
}

/// The blocks of one scenario, at one look.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Those in which both runs said something about the subject.
    pub blocks: &'a [Block],
    /// How many others there were, that could not be trusted.
    pub untrusted: u32,
    /// Blocks whose runs had seeds of their own, if there were such.
    pub independent: &'a [Block],
    /// The part of [`ALPHA`] that this look may spend.
    pub share: f64,
    /// The last look there will be.
    pub last: Look,
}

impl Ran {
    /// What matters of a record. Values of single hosts or moments are not compared.
    pub fn of(record: &RunRecord) -> Ran {
        const SIDES: [&str; 4] = ["provider", "fetcher", "relay", "node"];
        let counts = |peer: &Option<String>| peer.as_ref().is_none_or(|peer| SIDES.contains(&peer.as_str()));
        let samples = record.samples.iter().filter(|sample| counts(&sample.peer));
        let values = samples.map(|sample| ((sample.metric.clone(), sample.peer.clone()), sample.value));
        Ran { outcome: record.outcome, values: values.collect() }
    }

    fn is_ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }
}

impl Block {
    /// Whether both runs say something about the subject.
    pub fn tells(&self) -> bool {
        let tells = |ran: &Ran| matches!(ran.outcome, Outcome::Ok | Outcome::SubjectFailed | Outcome::TimedOut);
        tells(&self.base) && tells(&self.head)
    }

    /// Whether both transferred everything.
    pub fn is_ok(&self) -> bool {
        self.base.is_ok() && self.head.is_ok()
    }

    /// Whether neither did.
    pub(crate) fn fails(&self) -> bool {
        !self.base.is_ok() && !self.head.is_ok()
    }

    /// The values of both.
    fn values(&self, key: &(String, Option<String>)) -> Option<(f64, f64)> {
        let of = |ran: &Ran| ran.values.get(key).copied();
        if self.is_ok() { of(&self.base).zip(of(&self.head)) } else { None }
    }
}

impl Choice {
    fn wants(&self, metric: &Metric) -> bool {
        match self.metrics.is_empty() {
            true => !matches!(metric.standing, Standing::Restated(_)),
            false => self.metrics.contains_key(metric.id),
        }
    }

    fn decides(&self, metric: &Metric) -> bool {
        !self.metrics.is_empty() || metric.standing == Standing::First
    }

    /// The smallest change that matters, as a share.
    fn delta(&self, metric: &Metric) -> f64 {
        let own = metric.delta();
        self.metrics.get(metric.id).copied().flatten().unwrap_or(own)
    }
}

/// What was seen, with all questions of all scenarios corrected for each other.
pub fn compare(scenarios: &[Seen], choice: &Choice) -> Vec<Compared> {
    let mut all: Vec<Compared> = scenarios.iter().map(|seen| ask(seen, choice)).collect();
    // Where nothing was seen, nothing is asked.
    let asked = |one: &Compared| one.blocks > 0;
    let p: Vec<f64> = all
        .iter()
        .filter(|one| asked(one))
        .flat_map(|one| one.metrics.iter().map(|change| change.p).chain([one.success.p]))
        .collect();
    let mut q = false_discovery(&p).into_iter();
    for (one, seen) in all.iter_mut().zip(scenarios).filter(|(one, _)| asked(one)) {
        for change in &mut one.metrics {
            change.q = q.next().unwrap_or(1.0);
        }
        one.success.q = q.next().unwrap_or(1.0);
        answer(one, seen, choice, p.len());
    }
    all
}

/// What everything together comes to: the worst of what decides; and whatever became worse, also if it does not decide.
/// Inconclusive where there is too much noise in all that would say more. `None` where nothing was seen.
pub fn overall(all: &[Compared]) -> Option<Verdict> {
    let of = |one: &Compared| {
        let metrics = one
            .metrics
            .iter()
            .filter(|change| change.decides || matches!(change.verdict, Verdict::Regressed | Verdict::Untrusted));
        let open = is_open(one).then_some(Verdict::Inconclusive);
        let silent = one.metrics.is_empty() && one.success.base_ok + one.success.head_ok == 0;
        let verdicts = metrics.map(|change| change.verdict).chain([one.success.verdict]).chain(open);
        if silent { Vec::new() } else { verdicts.collect() }
    };
    all.iter().flat_map(of).max()
}

/// Whether something is asked for that nobody has, or there is too much noise in all that would say more than that there were
/// no stalls.
pub(crate) fn is_open(one: &Compared) -> bool {
    let noisy = one.metrics.iter().any(|change| change.noisy);
    !one.missing.is_empty() || noisy && !one.metrics.iter().any(|change| change.decides && !change.difference)
}

/// Whether so many blocks could not be trusted that the others are not to be either: more than one in four.
pub fn is_untrusted(untrusted: u32, blocks: u32) -> bool {
    untrusted >= 4 && untrusted * 3 > blocks
}

/// Estimates and p-values, before anything is corrected or judged.
fn ask(seen: &Seen, choice: &Choice) -> Compared {
    let keys: BTreeSet<&(String, Option<String>)> =
        seen.blocks.iter().flat_map(|block| block.base.values.keys()).collect();
    let wanted = METRICS.iter().filter(|metric| choice.wants(metric));
    let of = |metric: &'static Metric| {
        let own = keys.iter().filter(move |(id, _)| id == metric.id);
        own.filter_map(move |key| change(metric, key, seen, choice))
    };
    let metrics: Vec<MetricChange> = wanted.flat_map(of).collect();
    let is_there = |id: &String| metrics.iter().any(|change| change.metric == *id);
    Compared {
        blocks: count(seen.blocks.len()),
        untrusted: seen.untrusted,
        share: seen.share,
        success: success(seen),
        missing: choice.metrics.keys().filter(|id| !is_there(id)).cloned().collect(),
        metrics,
    }
}

fn change(metric: &Metric, key: &(String, Option<String>), seen: &Seen, choice: &Choice) -> Option<MetricChange> {
    let pairs: Vec<(f64, f64)> = usable(metric, key, seen.blocks);
    let moved = changes(metric, &pairs);
    let (base, head): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let middle = median(&base)?;
    let shift = shift(&moved, ALPHA * seen.share)?;
    let relative = |value: f64| if metric.least_difference.is_none() { value.exp_m1() } else { value };
    let delta = choice.delta(metric);
    let independent = changes(metric, &usable(metric, key, seen.independent));
    Some(MetricChange {
        metric: key.0.clone(),
        peer: key.1.clone(),
        decides: choice.decides(metric),
        difference: metric.least_difference.is_some(),
        delta: metric.least_difference.map_or(delta, |least| least.max(delta * middle.abs())),
        blocks: count(moved.len()),
        base: middle,
        head: median(&head)?,
        shift: relative(shift.estimate),
        interval: shift.interval.map(|interval| [relative(interval.low), relative(interval.high)]),
        noisy: false,
        p: (signed_rank(&moved).unwrap_or(1.0) / seen.share).min(1.0),
        q: 1.0,
        detectable: None,
        noise: noise(&base),
        seeds: seed_gain(&moved, &independent),
        verdict: Verdict::Inconclusive,
    })
}

/// The values of those blocks that have both, and of which a ratio can be made if one is.
fn usable(metric: &Metric, key: &(String, Option<String>), blocks: &[Block]) -> Vec<(f64, f64)> {
    let comparable = |(base, head): &(f64, f64)| metric.least_difference.is_some() || *base > 0.0 && *head > 0.0;
    blocks.iter().filter_map(|block| block.values(key)).filter(comparable).collect()
}

fn changes(metric: &Metric, pairs: &[(f64, f64)]) -> Vec<f64> {
    let of = |(base, head): &(f64, f64)| match metric.least_difference {
        None => (head / base).ln(),
        Some(_) => head - base,
    };
    pairs.iter().map(of).collect()
}

/// The coefficient of variation.
fn noise(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (values.len() > 1 && mean > 0.0).then(|| variance.sqrt() / mean)
}

fn success(seen: &Seen) -> SuccessChange {
    let n = |counts: &dyn Fn(&Block) -> bool| count(seen.blocks.iter().filter(|block| counts(block)).count());
    let (base_ok, head_ok) = (n(&|block| block.base.is_ok()), n(&|block| block.head.is_ok()));
    let only_base = n(&|block| block.base.is_ok() && !block.head.is_ok());
    let only_head = n(&|block| !block.base.is_ok() && block.head.is_ok());
    let blocks = seen.blocks.len() as u64;
    let interval = |ok: u32| wilson(ok.into(), blocks, Z_95).map(|Interval { low, high }| [low, high]);
    SuccessChange {
        base_ok,
        head_ok,
        base_interval: interval(base_ok),
        head_interval: interval(head_ok),
        only_base,
        only_head,
        p: (mcnemar(only_base.into(), only_head.into()) / seen.share).min(1.0),
        q: 1.0,
        detectable: None,
        verdict: Verdict::Inconclusive,
    }
}

/// Verdicts, and what could have been seen, once it is known how many questions there are.
fn answer(one: &mut Compared, seen: &Seen, choice: &Choice, questions: usize) {
    let alpha = ALPHA * seen.share;
    let untrusted = is_untrusted(one.untrusted, one.blocks);
    for change in &mut one.metrics {
        let metric = METRICS.iter().find(|metric| metric.id == change.metric);
        change.detectable = detectable(change, seen.share, questions);
        let higher_is_better = metric.is_some_and(|metric| metric.direction == Direction::Higher);
        change.verdict = if untrusted { Verdict::Untrusted } else { judge(change, higher_is_better) };
        // Who names metrics wants them decided.
        change.noisy = change.decides && choice.metrics.is_empty() && is_noisy(change, alpha, seen.last);
        change.decides &= !change.noisy;
    }
    let success = &mut one.success;
    success.detectable = detectable_failures(one.blocks, CALLED * seen.share / questions.max(1) as f64);
    success.verdict = match (success.only_base, success.only_head) {
        _ if untrusted => Verdict::Untrusted,
        (0, 0) if one.blocks > 0 => Verdict::Unchanged,
        (base, head) if success.q <= CALLED && base > head => Verdict::Regressed,
        _ if success.q <= CALLED => Verdict::Improved,
        _ => Verdict::Inconclusive,
    };
}

fn judge(change: &MetricChange, higher_is_better: bool) -> Verdict {
    let Some([low, high]) = change.interval else { return Verdict::Inconclusive };
    let moved = low > 0.0 || high < 0.0;
    if change.q <= CALLED && moved && change.shift.abs() >= change.delta {
        return if (change.shift > 0.0) == higher_is_better { Verdict::Improved } else { Verdict::Regressed };
    }
    if low > -change.delta && high < change.delta { Verdict::Unchanged } else { Verdict::Inconclusive }
}

/// How often what is there is to be found.
const POWER: f64 = 0.8;

/// The smallest shift, to either side, that would have been called with a probability of [`POWER`], if it were the only one:
/// the interval is `2 t(α)` standard errors wide, so there is a standard error; a shift is called that lies `t(c / questions)`
/// of them off zero, with [`CALLED`] for c, and is no smaller than δ, and to be seen that far off in 4 of 5 cases it has to lie `t(0.8)` farther. The
/// quantiles are Student's, of one degree of freedom less than there are blocks.
fn detectable(change: &MetricChange, share: f64, questions: usize) -> Option<f64> {
    let corrected = CALLED * share / questions.max(1) as f64;
    if rarest(change.blocks) > corrected {
        return None;
    }
    let scale = |value: f64| if change.difference { value } else { value.ln_1p() };
    let [low, high] = change.interval.map(|ends| ends.map(scale))?;
    let freedom = f64::from(change.blocks) - 1.0;
    let two_sided = |alpha: f64| student_quantile(1.0 - alpha / 2.0, freedom);
    let error = (high - low) / 2.0 / two_sided(ALPHA * share);
    let farther = student_quantile(POWER, freedom) * error;
    let least = (two_sided(corrected) * error).max(scale(change.delta)) + farther;
    Some(if change.difference { least } else { least.exp_m1() })
}

/// Whether there is so much noise in a metric that it will stay open, most likely, if nothing has changed: its interval, at the
/// last look, would be wider than two fifths of δ to either side. Half as wide an interval as ±δ misses it in one of twenty
/// cases; this one in one of several hundred.
fn is_noisy(change: &MetricChange, alpha: f64, last: Look) -> bool {
    const NARROW: f64 = 0.4;
    let scale = |value: f64| if change.difference { value } else { value.ln_1p() };
    let Some([low, high]) = change.interval.map(|ends| ends.map(scale)) else { return false };
    let quantile = |alpha: f64| normal_quantile(1.0 - alpha / 2.0);
    let more = f64::from(last.blocks.max(change.blocks)) / f64::from(change.blocks);
    let half = (high - low) / 2.0 * quantile(ALPHA * last.share) / quantile(alpha) / more.sqrt();
    half > NARROW * scale(change.delta)
}

/// The smallest share of failures of head, where base has none, that McNemar's test would have called with a probability of
/// [`POWER`].
fn detectable_failures(blocks: u32, alpha: f64) -> Option<f64> {
    let needed = (1..=blocks).find(|failures| rarest(*failures) <= alpha)?;
    let chance = |share: f64| -> f64 {
        let mut none_yet = (1.0 - share).powi(i32::try_from(blocks).unwrap_or(i32::MAX));
        let mut fewer = 0.0;
        for failures in 0..needed {
            fewer += none_yet;
            none_yet *= f64::from(blocks - failures) / f64::from(failures + 1) * share / (1.0 - share);
        }
        1.0 - fewer
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if chance(middle) < POWER { low = middle } else { high = middle }
    }
    Some(high)
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
