//! Which commit changed a metric, when every measurement is noisy.
//!
//! A binary search with a memory (Burnashev & Zigangirov 1974; Waeber, Frazier & Henderson 2013): every commit has a
//! probability of being the culprit, each value moves it, and the next one is asked for where both halves are as likely.
//!
//! All commits are measured under the same seeds. A value is what its seed does to every commit, plus the change if its commit is
//! not before the culprit, plus noise; nothing is known beforehand of how large each is. How probable the values are for each
//! culprit is then a regression's marginal likelihood (Zellner 1971, chapter 3; here with a mean for every seed), which knows
//! that a good commit's value that is off makes all those beside it look off.

use crate::changes::means::as_normal;
use crate::{median, signed_rank};

/// How sure to be, and at what cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effort {
    /// How probable the answer has to be.
    pub certainty: f64,
    /// The fewest pairs of good and bad that say by how much they differ, before anything else is tried.
    pub pairs: usize,
    /// The most of them, before it is said that they do not.
    pub most_pairs: usize,
    /// The most values to ask for.
    pub values: usize,
}

impl Default for Effort {
    fn default() -> Effort {
        Effort { certainty: 0.95, pairs: 6, most_pairs: 24, values: 300 }
    }
}

/// What to measure: a commit, and under which of the seeds, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Place of the commit: 0 is good, the last one is bad.
    pub commit: usize,
    /// The seed's number.
    pub seed: usize,
}

/// What came of a probe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Told {
    /// The metric's value, on a scale on which a change is a difference: its logarithm, unless it may be zero.
    Value(f64),
    /// The run failed, or cannot be trusted. Under another seed it may do better.
    Failed,
    /// The commit cannot be built: it never will.
    Unbuildable,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// To measure.
    Probe(Probe),
    /// Nothing: this is the answer. If it is a range, those in it cannot be told apart, because none before the last can be
    /// measured.
    Found(Suspects),
    /// Nothing: the effort was spent before it was known.
    Spent(Suspects),
    /// Nothing: good and bad do not differ by more than they vary.
    NoDifference,
    /// Nothing: one of the ends cannot be measured.
    NoEnd {
        /// Place of the end.
        commit: usize,
    },
}

/// Among whom the culprit is.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspects {
    /// The first one, and the last one: more than one where what is between cannot be measured, or where the effort was spent.
    pub range: (usize, usize),
    /// How probable it is that one of them changed the metric.
    pub probability: f64,
    /// The most probable one.
    pub likeliest: usize,
    /// How probable that one is.
    pub likeliest_probability: f64,
}

/// A search.
#[derive(Debug, Clone)]
pub struct Bisection {
    effort: Effort,
    /// Of each commit, by seed; nothing where a run failed, or where its commit was not asked.
    values: Vec<Vec<Option<f64>>>,
    /// Runs that failed since the last that did not.
    failures: Vec<usize>,
    unmeasurable: Vec<bool>,
    asked: usize,
}

/// After so many failures in a row a commit is left alone.
const PATIENCE: usize = 3;

impl Bisection {
    /// Among `commits`, at least two, of which the first is good and the last is bad.
    pub fn new(commits: usize, effort: Effort) -> Bisection {
        let commits = commits.max(2);
        Bisection {
            effort,
            values: vec![Vec::new(); commits],
            failures: vec![0; commits],
            unmeasurable: vec![false; commits],
            asked: 0,
        }
    }

    /// Takes what came of a probe.
    pub fn tell(&mut self, Probe { commit, seed }: Probe, told: Told) {
        self.asked += 1;
        let (value, failures) = match told {
            Told::Value(value) => (Some(value), 0),
            Told::Failed => (None, self.failures[commit] + 1),
            Told::Unbuildable => (None, PATIENCE),
        };
        let values = &mut self.values[commit];
        values.resize(values.len().max(seed + 1), None);
        values[seed] = value;
        self.failures[commit] = failures;
        self.unmeasurable[commit] = failures >= PATIENCE;
    }

    /// Asks for nothing more, whatever was allowed: there is no time left.
    pub fn spend(&mut self) {
        self.effort.values = self.asked;
    }

    /// What to do next.
    pub fn next(&self) -> Next {
        let last = self.last();
        if let Some(commit) = [0, last].into_iter().find(|end| self.unmeasurable[*end]) {
            return Next::NoEnd { commit };
        }
        let pairs = self.pairs().count();
        let spent = self.asked >= self.effort.values;
        let Some(difference) = self.difference() else {
            return if spent || pairs >= self.effort.most_pairs { Next::NoDifference } else { self.end() };
        };
        if pairs < self.effort.pairs && !spent {
            return self.end();
        }
        let posterior = self.posterior(&difference);
        let suspects = suspects(&posterior, self.effort.certainty);
        match self.middle(&posterior, suspects.range) {
            None => Next::Found(suspects),
            Some(_) if spent => Next::Spent(suspects),
            Some(commit) => self.probe(commit),
        }
    }

    /// How probable it is of each commit that it is the culprit; of the first, which is good, that is zero. Without enough
    /// values of the ends it is as probable of all others.
    pub fn probabilities(&self) -> Vec<f64> {
        match self.difference() {
            Some(difference) => self.posterior(&difference),
            None => shares(&vec![0.0; self.last()]),
        }
    }

    /// How many values were asked for.
    pub fn asked(&self) -> usize {
        self.asked
    }

    /// By how much bad differs from good under the same seeds, if that is known to be more than nothing.
    pub fn change(&self) -> Option<f64> {
        Some(self.difference()?.shift)
    }

    fn last(&self) -> usize {
        self.values.len() - 1
    }

    /// One of the ends: they take turns, so that a machine that gets slower does so to both.
    fn end(&self) -> Next {
        let bad = self.values[0].len() > self.values[self.last()].len();
        self.probe(if bad { self.last() } else { 0 })
    }

    /// A commit under the next seed under which the good one could be measured; or that one, if it has to be first.
    fn probe(&self, commit: usize) -> Next {
        let good = &self.values[0];
        let next = self.values[commit].len();
        let seed = (next..good.len()).find(|seed| good[*seed].is_some());
        Next::Probe(match seed {
            Some(seed) if commit > 0 => Probe { commit, seed },
            _ => Probe { commit: 0, seed: good.len() },
        })
    }

    /// A commit that can be measured, before and after which the culprit is most nearly as probable, and which tells some of
    /// the suspects from the others.
    fn middle(&self, posterior: &[f64], (first, last): (usize, usize)) -> Option<usize> {
        let until: Vec<f64> = posterior
            .iter()
            .scan(0.0, |sum, share| {
                *sum += share;
                Some(*sum)
            })
            .collect();
        let can = |commit: &usize| !self.unmeasurable[*commit];
        (first..last).filter(can).min_by(|a, b| (until[*a] - 0.5).abs().total_cmp(&(until[*b] - 0.5).abs()))
    }

    /// By how much bad was off from good, under each seed under which both were measured.
    fn pairs(&self) -> impl Iterator<Item = f64> {
        let both = self.values[0].iter().zip(&self.values[self.last()]);
        both.filter_map(|(good, bad)| Some((*bad)? - (*good)?))
    }

    /// By how much bad differs from good; nothing if that may be nothing: by Student's t, which can say so after a few pairs, or,
    /// where some values are wild, by their signed ranks, which take more of them.
    fn difference(&self) -> Option<Difference> {
        /// How rarely that is said of equals. It is asked again with every pair.
        const RARE: f64 = 0.0002;
        /// The same in standard errors.
        const SURE: f64 = 3.7;
        let pairs: Vec<f64> = self.pairs().collect();
        let count = pairs.len() as f64;
        if count < 3.0 {
            return None;
        }
        let shift = median(&pairs)?;
        let variance = pairs.iter().map(|value| (value - shift).powi(2)).sum::<f64>() / (count - 1.0);
        let spread = variance.sqrt().max(shift.abs() * LEAST_NOISE);
        let is_sure = as_normal(shift * shift * count / (spread * spread), count - 1.0) > SURE;
        let is_rare = || signed_rank(&pairs).is_some_and(|p| p < RARE);
        (is_sure || is_rare()).then_some(Difference { shift })
    }

    fn posterior(&self, difference: &Difference) -> Vec<f64> {
        let seeds = self.values.iter().map(Vec::len).max().unwrap_or(0);
        let of_seed = |seed: usize| {
            let of = |(commit, values): (usize, &Vec<Option<f64>>)| Some((commit, (*values.get(seed)?)?));
            self.values.iter().enumerate().filter_map(of).collect::<Vec<(usize, f64)>>()
        };
        let blocks: Vec<Vec<(usize, f64)>> = (0..seeds).map(of_seed).filter(|block| block.len() > 1).collect();
        let logs: Vec<f64> = (1..=self.last()).map(|culprit| likelihood(&blocks, culprit, difference)).collect();
        shares(&logs)
    }
}

/// The logarithm of how probable the values are if this is the culprit, up to what is the same for all: the change and every
/// seed's mean may be anything, the noise is as probable at every scale.
fn likelihood(blocks: &[Vec<(usize, f64)>], culprit: usize, difference: &Difference) -> f64 {
    // Sums of squares and products within seeds, of the values and of whether their commit has the change.
    let (mut has, mut both, mut all, mut freedom) = (0.0, 0.0, 0.0, -1.0);
    for block in blocks {
        let count = block.len() as f64;
        let changed = |commit: usize| if commit >= culprit { 1.0 } else { 0.0 };
        let share = block.iter().map(|(commit, _)| changed(*commit)).sum::<f64>() / count;
        let mean = block.iter().map(|(_, value)| value).sum::<f64>() / count;
        for (commit, value) in block {
            let (x, y) = (changed(*commit) - share, value - mean);
            has += x * x;
            both += x * y;
            all += y * y;
        }
        freedom += count - 1.0;
    }
    let least = freedom * (difference.shift * LEAST_NOISE).powi(2);
    let rest = (all - both * both / has).max(0.0) + least;
    -0.5 * has.ln() - 0.5 * freedom * rest.ln()
}

/// Probabilities of all commits, of the logarithms of what they are proportional to: of all but the first, which has none.
fn shares(logs: &[f64]) -> Vec<f64> {
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let relative: Vec<f64> = logs.iter().map(|log| (log - largest).exp()).collect();
    let all: f64 = relative.iter().sum();
    std::iter::once(0.0).chain(relative.iter().map(|share| share / all)).collect()
}

/// No metric varies by less than this share of the change, as far as anybody can tell.
const LEAST_NOISE: f64 = 0.02;

/// By how much bad differs from good.
#[derive(Debug, Clone, Copy)]
struct Difference {
    shift: f64,
}

/// The fewest neighbours around the likeliest commit that are as probable together as asked.
fn suspects(posterior: &[f64], certainty: f64) -> Suspects {
    let likeliest = (1..posterior.len()).max_by(|a, b| posterior[*a].total_cmp(&posterior[*b])).unwrap_or(1);
    let (mut first, mut last, mut sum) = (likeliest, likeliest, posterior[likeliest]);
    while sum < certainty && (first > 1 || last + 1 < posterior.len()) {
        let below = if first > 1 { posterior[first - 1] } else { -1.0 };
        let above = posterior.get(last + 1).copied().unwrap_or(-1.0);
        if below > above {
            first -= 1;
            sum += below;
        } else {
            last += 1;
            sum += above;
        }
    }
    Suspects { range: (first, last), probability: sum.min(1.0), likeliest, likeliest_probability: posterior[likeliest] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normal_quantile;

    /// A made-up project: where it got slower, by how much, and how noisy a run is.
    struct Project {
        commits: usize,
        culprit: usize,
        step: f64,
        noise: f64,
        state: u64,
    }

    impl Project {
        fn random(&mut self) -> f64 {
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
        }

        /// What the seed does to all commits, what the machine does to this run, and what the commit does.
        fn value(&mut self, probe: Probe) -> f64 {
            let of_seed = (probe.seed * 7 % 5) as f64 * 0.03;
            let of_run = self.noise * normal_quantile(self.random());
            let of_commit = if probe.commit >= self.culprit { self.step } else { 0.0 };
            1.0 + of_seed + of_run + of_commit
        }

        fn search(&mut self, effort: Effort, special: impl Fn(&mut Project, Probe) -> Option<Told>) -> (Next, usize) {
            let mut search = Bisection::new(self.commits, effort);
            loop {
                match search.next() {
                    Next::Probe(probe) => {
                        let told = special(self, probe).unwrap_or_else(|| Told::Value(self.value(probe)));
                        search.tell(probe, told);
                    }
                    end => return (end, search.asked()),
                }
            }
        }
    }

    fn project(number: u64, step: f64, noise: f64) -> Project {
        let culprit = 1 + (number * 37 % 63) as usize;
        Project { commits: 64, culprit, step, noise, state: number * 1_000_003 }
    }

    fn found(next: &Next) -> &Suspects {
        let (Next::Found(suspects) | Next::Spent(suspects)) = next else { panic!("{next:?}") };
        suspects
    }

    #[test]
    fn a_clear_step_is_found_at_once() {
        for number in 0..63 {
            let mut project = project(number, 1.0, 0.0);
            let (next, asked) = project.search(Effort::default(), |_, _| None);
            let suspects = found(&next);
            assert_eq!((suspects.range, suspects.likeliest), ((project.culprit, project.culprit), project.culprit));
            assert!(asked <= 2 * 6 + 2 * 7 && suspects.probability >= 0.95, "{asked} {suspects:?}");
        }
    }

    /// Five percent under a noise of two: right as often as it says, and cheaper than measuring all. The same numbers each time.
    #[test]
    fn a_step_under_noise_is_found_as_surely_as_said() {
        let (mut right, mut cost) = (0, 0);
        for number in 0..200 {
            let mut project = project(number, 0.05, 0.02);
            let (next, asked) = project.search(Effort { values: 400, ..Effort::default() }, |_, _| None);
            // One in some hundred does not see that good and bad differ: that is an answer, too.
            if let Next::Found(suspects) | Next::Spent(suspects) = &next {
                right += usize::from(suspects.range.0 <= project.culprit && project.culprit <= suspects.range.1);
            }
            cost += asked;
        }
        assert!(right >= 190, "{right} of 200");
        assert!(cost / 200 <= 40, "{} on average", cost / 200);
    }

    #[test]
    fn what_cannot_be_measured_is_left_out() {
        let mut project = project(5, 0.2, 0.01);
        let culprit = project.culprit;
        // The commit before the culprit cannot be built, so either may be it.
        let (next, _) =
            project.search(Effort::default(), |_, probe| (probe.commit == culprit - 1).then_some(Told::Unbuildable));
        assert_eq!(found(&next).range, (culprit - 1, culprit));
        // Commits that fail now and then only cost more, also if they always do so under the same seeds.
        let by_chance = |project: &mut Project, _: Probe| (project.random() < 0.1).then_some(Told::Failed);
        let by_seed = |_: &mut Project, probe: Probe| (probe.seed % 3 == probe.commit % 2).then_some(Told::Failed);
        for (next, asked) in [project.search(Effort::default(), by_chance), project.search(Effort::default(), by_seed)]
        {
            assert!((found(&next).likeliest, asked < 80) == (culprit, true), "{asked}: {next:?}");
        }
        let (next, asked) = project.search(Effort::default(), |_, _| Some(Told::Failed));
        assert_eq!((next, asked), (Next::NoEnd { commit: 0 }, PATIENCE));
        let (next, _) = project.search(Effort::default(), |_, probe| (probe.commit == 63).then_some(Told::Unbuildable));
        assert_eq!(next, Next::NoEnd { commit: 63 });
    }

    #[test]
    fn no_difference_is_said() {
        let saying = |number| project(number, 0.0, 0.02).search(Effort::default(), |_, _| None);
        let said = (0..200).filter(|number| saying(*number) == (Next::NoDifference, 48)).count();
        assert!(said >= 196, "{said} of 200");
    }

    #[test]
    fn the_effort_has_an_end() {
        let mut project = project(9, 0.1, 0.02);
        let (next, asked) = project.search(Effort { values: 20, ..Effort::default() }, |_, _| None);
        let Next::Spent(suspects) = &next else { panic!("{next:?}") };
        assert!(asked == 20 && suspects.range.0 < suspects.range.1, "{suspects:?}");
        assert!(suspects.probability >= 0.95 && suspects.likeliest_probability < 0.95);
        // Who has no time left is told what is known so far.
        let mut search = Bisection::new(64, Effort::default());
        while search.asked() < 20
            && let Next::Probe(probe) = search.next()
        {
            search.tell(probe, Told::Value(project.value(probe)));
        }
        assert!(matches!(search.next(), Next::Probe(_)));
        search.spend();
        assert!(matches!(search.next(), Next::Spent(_)), "{:?}", search.next());
        let mut nothing = Bisection::new(64, Effort::default());
        nothing.spend();
        assert_eq!(nothing.next(), Next::NoDifference);
        let two = Bisection::new(2, Effort::default());
        assert_eq!(two.next(), Next::Probe(Probe { commit: 0, seed: 0 }));
        assert_eq!(two.probabilities(), [0.0, 1.0]);
    }
}
