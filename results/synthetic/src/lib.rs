//! A year of invented history of a project that does not exist.
//!
//! For trying the dashboard, for screenshots and for benchmarks of pages. [`runs`] invents the runs of a [`Plan`], oldest first,
//! with what a real history has: a regression that was mended, one that was not, an improvement, a drift, a changed scenario, runs
//! that failed and runs that cannot be trusted. [`comparisons`] invents pairs of runs and lets [`longhaul_stats`] judge them.
//! Everything follows from the seed.
//!
//! **Invariant:** pure, and never taken for a measurement: every record is of the project [`PROJECT`], triggered by
//! [`longhaul_record::Trigger::Synthetic`], on the machine [`longhaul_record::SYNTHETIC_HOST`], which no real one can be.

mod events;
mod network;
mod pairs;
mod record;

pub use pairs::comparisons;

use longhaul_record::RunRecord;
use network::Network;

/// The project that does not exist.
pub const PROJECT: &str = "driftwood (invented data)";

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How much to invent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Everything follows from it.
    pub seed: u64,
    /// When the newest commit was measured, in milliseconds since 1970.
    pub until_ms: i64,
    /// Commits, spread over a year.
    pub commits: u32,
    /// Networks: the first twelve have names of their own.
    pub scenarios: u32,
    /// Programs that are measured: `driftwood`, `curl`, and others that exist as little as the first.
    pub subjects: u32,
    /// Runs of each on each network and commit.
    pub runs: u32,
    /// Whether the matrix of routers is there too: 36 pairs on every tenth commit.
    pub nat: bool,
}

impl Default for Plan {
    fn default() -> Plan {
        // 2026-11-01T09:00:00Z.
        Plan { seed: 1, until_ms: 1_793_523_600_000, commits: 180, scenarios: 12, subjects: 3, runs: 3, nat: true }
    }
}

/// Which run to invent.
#[derive(Debug, Clone, Copy)]
struct Shape {
    commit: u32,
    subject: u32,
    run: u32,
}

impl Plan {
    /// How many runs [`runs`] invents.
    pub fn len(&self) -> u64 {
        let each = u64::from(self.subjects) * u64::from(self.runs) * u64::from(self.scenarios);
        u64::from(self.commits) * each + self.nat_commits() * (network::ROUTERS.len() as u64).pow(2) * NAT_RUNS
    }

    /// Whether there is nothing to invent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn nat_commits(&self) -> u64 {
        if self.nat { (0..self.commits).filter(|commit| self.has_nat(*commit)).count() as u64 } else { 0 }
    }

    /// Every tenth commit, counted from the newest.
    fn has_nat(&self, commit: u32) -> bool {
        self.nat && (self.commits - 1 - commit).is_multiple_of(10)
    }

    /// When a commit was written.
    fn authored_ms(&self, commit: u32) -> i64 {
        let year = 365 * DAY_MS;
        let back = i64::from(self.commits - 1 - commit) * year / i64::from(self.commits.max(1));
        // Nobody commits at equal intervals.
        let slack = year / i64::from(self.commits.max(1)) / 2;
        let jitter = if back == 0 { 0 } else { (self.random(&[1, u64::from(commit)]).share() * slack as f64) as i64 };
        self.until_ms - HOUR_MS - back - jitter
    }

    /// Where a commit lies in the year, from 0 to 1.
    fn part(&self, commit: u32) -> f64 {
        f64::from(commit + 1) / f64::from(self.commits.max(1))
    }

    /// The full hash of a commit.
    fn sha(&self, commit: u32) -> String {
        let mut random = self.random(&[2, u64::from(commit)]);
        format!("{:016x}{:016x}{:08x}", random.draw(), random.draw(), random.draw() as u32)
    }

    /// A stream of random numbers of its own for everything that has a name.
    fn random(&self, parts: &[u64]) -> longhaul_stats::Random {
        let seed =
            parts.iter().fold(self.seed, |sum, part| sum.wrapping_mul(0x100_0000_01b3).wrapping_add(*part ^ 0x9e37));
        longhaul_stats::Random::new(seed)
    }
}

const NAT_RUNS: u64 = 2;

/// Every run of the plan, commit by commit, oldest first.
pub fn runs(plan: &Plan) -> impl Iterator<Item = RunRecord> {
    let networks: Vec<Network> = (0..plan.scenarios).map(Network::of).collect();
    let pairs: Vec<Network> = if plan.nat { Network::routers() } else { Vec::new() };
    let plan = *plan;
    (0..plan.commits).flat_map(move |commit| {
        let mut runs = Vec::new();
        for network in &networks {
            for subject in 0..plan.subjects {
                for run in 0..plan.runs {
                    runs.push(record::record(&plan, network, Shape { commit, subject, run }));
                }
            }
        }
        for network in pairs.iter().filter(|_| plan.has_nat(commit)) {
            for run in 0..NAT_RUNS as u32 {
                runs.push(record::record(&plan, network, Shape { commit, subject: 0, run }));
            }
        }
        runs
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_record::{Outcome, SYNTHETIC_HOST, Trigger, Verdict};
    use std::collections::BTreeSet;

    const SMALL: Plan =
        Plan { seed: 7, until_ms: 1_793_523_600_000, commits: 40, scenarios: 8, subjects: 2, runs: 2, nat: true };

    #[test]
    fn every_record_is_valid_and_says_that_it_is_invented() {
        let all: Vec<RunRecord> = runs(&SMALL).collect();
        assert_eq!(all.len() as u64, SMALL.len());
        let ids: BTreeSet<&str> = all.iter().map(|run| run.id.as_str()).collect();
        assert_eq!(ids.len(), all.len());
        for run in &all {
            longhaul_store::check(run).unwrap();
            assert_eq!((run.project.as_str(), run.host.fingerprint.as_str()), (PROJECT, SYNTHETIC_HOST));
            assert_eq!(run.trigger, Trigger::Synthetic);
            assert!(run.ended_ms <= SMALL.until_ms + DAY_MS);
        }
        assert!(all.windows(2).all(|pair| pair[0].started_ms <= pair[1].started_ms));
        for outcome in [Outcome::Ok, Outcome::SubjectFailed, Outcome::Untrusted] {
            assert!(all.iter().any(|run| run.outcome == outcome), "{outcome:?}");
        }
    }

    #[test]
    fn the_same_seed_invents_the_same() {
        let nth = |plan: &Plan| runs(plan).nth(333).unwrap();
        assert_eq!(nth(&SMALL), nth(&SMALL));
        assert_ne!(nth(&SMALL), nth(&Plan { seed: 8, ..SMALL }));
    }

    #[test]
    fn comparisons_are_judged_not_invented() {
        let all = comparisons(&SMALL);
        for comparison in &all {
            longhaul_store::check_comparison(comparison).unwrap();
        }
        let verdicts: BTreeSet<Option<Verdict>> = all.iter().map(|one| one.verdict).collect();
        assert!(verdicts.contains(&Some(Verdict::Regressed)), "{verdicts:?}");
        assert!(verdicts.contains(&Some(Verdict::Unchanged)), "{verdicts:?}");
        assert!(all.iter().any(longhaul_record::Comparison::is_of_the_same_program));
    }
}
