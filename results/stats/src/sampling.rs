//! Which block of a comparison is run next, and when there are enough.
//!
//! A state machine without a clock: it is told what a block came to and how long everything has taken so far. Simulations and
//! the command line use the same one. Scenarios take turns, so that what happens to the machine happens to all of them. How
//! many blocks there will be is settled at the first step of the ladder, by the time that blocks have taken until then:
//! nothing that was measured has a say in it, or the error would not be what it is said to be.

use crate::ladder::{Ladder, Look, STEPS};
use crate::paired::{Block, Choice, Seen, compare, is_open, is_untrusted};
use crate::random::mix;
use longhaul_record::{Arm, Compared, End};

/// How much may be run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// At most so many blocks in each scenario.
    pub blocks: u32,
    /// At most so many seconds.
    pub budget_s: f64,
}

/// A block that is to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// Index of the scenario.
    pub scenario: usize,
    /// Number of the block in it.
    pub block: u32,
    /// Which version runs first.
    pub first: Arm,
    /// Seeds of base and head: the same, unless the block is to measure what that is good for.
    pub seeds: [u64; 2],
}

impl Task {
    /// Whether both runs have a seed of their own.
    pub fn is_independent(&self) -> bool {
        self.seeds[0] != self.seeds[1]
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Run this, and say what it came to.
    Run(Task),
    /// Enough.
    End(End),
}

/// A comparison on its way.
#[derive(Debug, Clone)]
pub struct Sampling {
    limits: Limits,
    choice: Choice,
    seed: u64,
    /// Whether every block is followed by one with seeds of its own.
    independent: bool,
    scenarios: Vec<Course>,
}

/// How far a scenario is.
#[derive(Debug, Clone, Default)]
struct Course {
    blocks: Vec<Block>,
    independent: Vec<Block>,
    untrusted: u32,
    /// Blocks that were begun, whatever became of them.
    begun: u32,
    /// Whether the last one is yet to be followed by one with seeds of its own.
    owes: bool,
    seconds: f64,
    ladder: Option<Ladder>,
    /// Looks that were made, and the last one.
    looks: usize,
    last: Option<Look>,
    over: Option<End>,
}

impl Sampling {
    /// A comparison in several scenarios. With `independent`, half of the blocks measure what shared seeds are good for.
    pub fn new(scenarios: usize, limits: Limits, choice: Choice, seed: u64, independent: bool) -> Sampling {
        Sampling { limits, choice, seed, independent, scenarios: vec![Course::default(); scenarios] }
    }

    /// What is to be done now, `elapsed_s` after the start.
    pub fn next(&self, elapsed_s: f64) -> Next {
        let open = self.scenarios.iter().enumerate().filter(|(_, course)| course.over.is_none());
        let Some((scenario, course)) = open.min_by_key(|(_, course)| course.begun) else {
            return Next::End(self.scenarios.iter().filter_map(|course| course.over.clone()).fold(End::Decided, worse));
        };
        let usual = course.seconds / f64::from(course.begun.max(1));
        if course.begun > 0 && elapsed_s + usual > self.limits.budget_s {
            return Next::End(End::Budget);
        }
        Next::Run(self.task(scenario, course))
    }

    fn task(&self, scenario: usize, course: &Course) -> Task {
        // So that a block can be run again by hand: `longhaul run --seed` of the comparison's seed plus the block's number.
        const OWN: u64 = 1 << 20;
        let block = course.begun;
        let own = self.seed + OWN + 2 * u64::from(block);
        let shared = self.seed + u64::from(block);
        let seeds = if course.owes { [own, own + 1] } else { [shared, shared] };
        let coin = mix(&[self.seed, scenario as u64, block.into()]) & 1;
        Task { scenario, block, first: if coin == 0 { Arm::Base } else { Arm::Head }, seeds }
    }

    /// What a block came to, `elapsed_s` after the start; it has taken `seconds`.
    pub fn ran(&mut self, task: Task, block: Block, seconds: f64, elapsed_s: f64) {
        let independent = self.independent;
        let Some(course) = self.scenarios.get_mut(task.scenario) else { return };
        course.begun += 1;
        course.seconds += seconds;
        if task.is_independent() {
            course.independent.extend(block.tells().then_some(block));
            course.owes = false;
            return;
        }
        course.owes = independent;
        match block.tells() {
            true => course.blocks.push(block),
            false => course.untrusted += 1,
        }
        if course.is_hopeless() {
            course.over = Some(End::Hopeless);
            return;
        }
        self.plan(elapsed_s);
        self.look(task.scenario);
    }

    /// Settles how many blocks there will be, for every scenario that has come to the first step.
    fn plan(&mut self, elapsed_s: f64) {
        let first = STEPS[0].min(self.limits.blocks);
        let open = self.scenarios.iter().filter(|course| course.over.is_none());
        let round: f64 = open.map(|course| course.seconds / (course.blocks.len().max(1) as f64)).sum();
        let more = ((self.limits.budget_s - elapsed_s) / round.max(1e-9)).clamp(0.0, 1e6).floor();
        for course in &mut self.scenarios {
            let done = course.count();
            if course.ladder.is_none() && done >= first {
                course.ladder = Some(Ladder::new(done.saturating_add(more as u32).min(self.limits.blocks)));
            }
        }
    }

    /// Looks at a scenario's blocks, if it is time to, and says whether it is over. Others may change with it: their questions
    /// are corrected for its answers.
    fn look(&mut self, scenario: usize) {
        let course = &mut self.scenarios[scenario];
        let Some(look) = course.ladder.as_ref().and_then(|ladder| ladder.looks().get(course.looks).copied()) else {
            return;
        };
        if course.count() < look.blocks {
            return;
        }
        course.looks += 1;
        course.last = Some(look);
        let all = compare(&self.seen(false), &self.choice);
        for (course, compared) in self.scenarios.iter_mut().zip(&all) {
            let planned = course.ladder.as_ref().map_or(1, |ladder| ladder.looks().len());
            course.over = match &course.over {
                Some(End::Hopeless) => Some(End::Hopeless),
                _ if course.last.is_some() && is_decided(compared) => Some(End::Decided),
                _ if course.last.is_some() && course.looks >= planned => Some(End::Blocks),
                _ => None,
            };
        }
    }

    /// Everything, as it was at the last look that settled it; where none did, with all that is left to spend.
    pub fn compared(&self) -> Vec<Compared> {
        compare(&self.seen(true), &self.choice)
    }

    /// What each scenario is judged by: its last look; with `all`, all of its blocks, where they are not settled.
    fn seen(&self, all: bool) -> Vec<Seen<'_>> {
        let of = |course: &Course| {
            let settled = matches!(course.over, Some(End::Decided | End::Blocks));
            let rest = course.ladder.as_ref().map_or(1.0, |ladder| ladder.rest(course.looks));
            let planned = course.ladder.as_ref().and_then(|ladder| ladder.looks().last().copied());
            match (course.last, planned) {
                (Some(look), Some(last)) if settled || !all => (look, last),
                (None, _) if !all => (Look { blocks: 0, share: 1.0 }, Look { blocks: 0, share: 1.0 }),
                _ => {
                    let now = Look { blocks: course.count(), share: rest };
                    (now, now)
                }
            }
        };
        let seen = |course| {
            let (Look { blocks, share }, last) = of(course);
            let Course { untrusted, independent, .. } = course;
            Seen { blocks: &course.blocks[..blocks as usize], untrusted: *untrusted, independent, share, last }
        };
        self.scenarios.iter().map(seen).collect()
    }

    /// Blocks of a scenario that count.
    pub fn blocks(&self, scenario: usize) -> usize {
        self.scenarios.get(scenario).map_or(0, |course| course.blocks.len())
    }

    /// How many blocks there will be in a scenario at most, as far as that is known.
    pub fn most(&self, scenario: usize) -> u32 {
        let ladder = self.scenarios.get(scenario).and_then(|course| course.ladder.as_ref());
        ladder.and_then(|ladder| ladder.looks().last()).map_or(self.limits.blocks, |look| look.blocks)
    }
}

impl Course {
    /// Blocks that count.
    fn count(&self) -> u32 {
        u32::try_from(self.blocks.len()).unwrap_or(u32::MAX)
    }

    /// Whether more blocks would be wasted: hardly one can be trusted, or neither version ever goes well.
    fn is_hopeless(&self) -> bool {
        const FAILURES: usize = 4;
        let fails = |block: &Block| block.fails();
        is_untrusted(self.untrusted, self.count()) || self.blocks.len() >= FAILURES && self.blocks.iter().all(fails)
    }
}

/// Whether all that decides is decided.
fn is_decided(compared: &Compared) -> bool {
    let mut metrics = compared.metrics.iter().filter(|change| change.decides);
    !is_open(compared) && compared.success.verdict.is_decided() && metrics.all(|change| change.verdict.is_decided())
}

/// Of two scenarios' ends, the one that is said of both.
fn worse(a: End, b: End) -> End {
    match (a, b) {
        (End::Hopeless, _) | (_, End::Hopeless) => End::Hopeless,
        (End::Blocks, _) | (_, End::Blocks) => End::Blocks,
        (a, _) => a,
    }
}

#[cfg(test)]
mod tests;
