//! `longhaul bisect`: which commit changed a metric.
//!
//! What is measured next, and when it is known, is decided by [`Bisection`]. Here commits are built, run and recorded; what was
//! recorded before is told again instead, so that the same command goes on where it was interrupted.

mod report;

use crate::args::BisectArgs;
use crate::backfill::{not_built, title};
use crate::compare::{known_metric, subject};
use crate::error::CliError;
use crate::progress::Bar;
use crate::run::{At, Context, Kept, UnderTest, here, kept, key, remove, runtime, stage, under_test};
use crate::stop::Stop;
use crate::{VERSION, catalog, output, table};
use longhaul_record::{Exit, HostDetail, Metric, Outcome, RunRecord, Trigger};
use longhaul_runner::{Payload, PayloadError, Prepared, Repository, Revision, history, is_ancestor, machine};
use longhaul_scenarios::{Scenario, Subject};
use longhaul_stats::bisection::{Bisection, Effort, Next, Probe, Told};
use longhaul_store::Upkeep;
use netsim_lab::Sandbox;
use report::Answer;
use std::collections::HashMap;
use tokio::runtime::Runtime;

/// `longhaul bisect`.
pub(crate) fn command(args: &BisectArgs) -> Result<Exit, CliError> {
    let scenario = catalog::scenario(&args.scenario)?;
    netsim_lab::check_congestion(&scenario.cross)?;
    let question = Question { metric: known_metric(&args.metric)?, peer: args.peer.clone() };
    let [good, bad] = [&args.good, &args.bad].map(|revision| under_test(Some(revision)));
    let (good, bad) = (good?, bad?);
    let subject = subject(args.subject.as_deref(), &[&bad.programs])?;
    let commits = way(args, &good, &bad)?;
    let sandbox = netsim_lab::enter()?;
    let stop = Stop::on_signals()?;
    let runtime = runtime()?;
    let store = runtime.block_on(args.db.open())?;
    let (first, last) = (title(&commits[0]), title(&commits[commits.len() - 1]));
    output::note(format!("{} commits after {first}, up to {last}", commits.len() - 1));
    let staging = sandbox.scratch().join("staged");
    let payload = stage(&scenario, &sandbox, &staging)?;
    let engines = args.engines.engines();
    let lab = Lab {
        args,
        commits: &commits,
        scenario: &scenario,
        subject: &subject,
        question: &question,
        payload: &payload,
        machine: machine(VERSION, engines),
        sandbox: &sandbox,
        stop: &stop,
        runtime: &runtime,
        store: &*store,
    };
    let mut found = Found::default();
    let next = lab.search(&mut found).map_err(|error| match error {
        CliError::Interrupted { .. } => error,
        _ if stop.ended_it() => CliError::Interrupted { recorded: found.recorded },
        _ => error,
    });
    remove(&staging)?;
    runtime.block_on(store.close());
    let answer = Answer {
        args,
        commits: &commits,
        scenario: &scenario,
        subject: &subject,
        question: &question,
        found,
        next: next?,
    };
    match args.json {
        true => output::json(&answer.json())?,
        false => output::line(answer.text())?,
    }
    Ok(answer.exit())
}

/// All commits from the good one to the bad one, with both.
fn way(args: &BisectArgs, good: &UnderTest, bad: &UnderTest) -> Result<Vec<Revision>, CliError> {
    let no_path = |why| CliError::NoPath { good: args.good.clone(), bad: args.bad.clone(), why };
    let (Some(good), Some(bad)) = (&good.repository, &bad.repository) else {
        return Err(no_path("there is no repository in this directory"));
    };
    let after = history(&here(), &format!("{}..{}", good.commit, bad.commit));
    let after = after.map_err(|said| CliError::NoHistory { range: format!("{}..{}", args.good, args.bad), said })?;
    let is_older = |older: &str, newer: &str| is_ancestor(&here(), older, newer);
    joined(good, after, is_older(&good.commit, &bad.commit), is_older(&bad.commit, &good.commit)).map_err(no_path)
}

/// The good commit and those after it, if they are a way from it; else why not.
fn joined(
    good: &Repository,
    after: Vec<Revision>,
    is_ancestor: bool,
    is_descendant: bool,
) -> Result<Vec<Revision>, &'static str> {
    let first = Revision {
        commit: good.commit.clone(),
        parents: good.detail.parents.clone(),
        summary: good.detail.summary.clone(),
    };
    match after.first() {
        _ if is_ancestor && is_descendant => Err("they are the same commit"),
        _ if is_descendant => Err("the bad commit is the older one; name the good one first"),
        Some(next) if next.parents.first() == Some(&good.commit) => Ok([first].into_iter().chain(after).collect()),
        _ if is_ancestor => {
            Err("the good commit is on a branch that was merged; name one before the merge, by first parents")
        }
        _ => Err("the good commit is no ancestor of the bad one; `git merge-base` names one that is"),
    }
}

/// What is asked of a run.
struct Question {
    metric: &'static Metric,
    peer: Option<String>,
}

impl Question {
    /// The metric's value, on a scale on which changes are differences: its logarithm, unless it may be 0. Else why there is
    /// none.
    fn value(&self, record: &RunRecord) -> Result<f64, String> {
        let id = self.metric.id;
        if record.outcome != Outcome::Ok {
            return Err(format!("{}: {}", record.outcome.as_str(), table::reason(record)));
        }
        let Some(value) = record.value(id, self.peer.as_deref()) else {
            let others = record.samples.iter().filter(|sample| sample.metric == id);
            let others: Vec<&str> = others.map(|sample| sample.peer.as_deref().unwrap_or("all together")).collect();
            return Err(match others.as_slice() {
                [] => format!("the run has no {id}"),
                others => format!("the run has no such {id} (--peer); it has that of: {}", others.join(", ")),
            });
        };
        match self.metric.least_difference {
            Some(_) => Ok(value),
            None if value > 0.0 => Ok(value.ln()),
            None => Err(format!("{id} is {value}, of which there is no ratio")),
        }
    }

    /// The metric's value, of one on that scale.
    fn text(&self, value: f64) -> String {
        self.metric.unit.text(if self.metric.least_difference.is_some() { value } else { value.exp() })
    }
}

/// What came to light beside the answer.
#[derive(Default)]
struct Found {
    /// Runs that were looked at, and how many of those had been recorded before.
    runs: usize,
    before: usize,
    /// Of the good commit.
    values: Vec<f64>,
    /// By how much the bad one differs.
    change: Option<f64>,
    /// Why a commit came to nothing, the last time.
    reasons: HashMap<usize, String>,
    /// Runs that were recorded, those that could not be trusted with them.
    recorded: usize,
    /// How long they took, in seconds.
    spent_s: f64,
}

/// A commit that was looked at.
struct Tried {
    kept: Kept,
    /// Not before something is missing.
    built: Option<Result<(Prepared, Repository), String>>,
}

/// Where it is measured.
struct Lab<'a> {
    args: &'a BisectArgs,
    commits: &'a [Revision],
    scenario: &'a Scenario,
    subject: &'a Subject,
    question: &'a Question,
    payload: &'a Result<Payload, PayloadError>,
    machine: HostDetail,
    sandbox: &'a Sandbox,
    stop: &'a Stop,
    runtime: &'a Runtime,
    store: &'a dyn Upkeep,
}

/// A run's record, or why its commit cannot be built.
type Ran = Result<RunRecord, String>;

impl Lab<'_> {
    fn search(&self, found: &mut Found) -> Result<Next, CliError> {
        let effort = Effort { certainty: self.args.certainty, values: self.args.runs as usize, ..Effort::default() };
        let mut search = Bisection::new(self.commits.len(), effort);
        let mut tried = HashMap::new();
        loop {
            if self.args.budget.is_some_and(|budget| found.spent_s >= budget) {
                search.spend();
            }
            let probe = match search.next() {
                Next::Probe(probe) => probe,
                end => {
                    found.change = search.change();
                    return Ok(end);
                }
            };
            let ran = self.probe(probe, &mut tried, found)?;
            let (told, said) = self.told(ran, probe, found)?;
            search.tell(probe, told);
            self.say(&search, probe, &said);
        }
    }

    /// What a run comes to, for the search and for a person.
    fn told(&self, ran: Ran, probe: Probe, found: &mut Found) -> Result<(Told, String), CliError> {
        let (told, why) = match ran {
            Err(why) => (Told::Unbuildable, format!("not built: {why}")),
            // Neither the commit nor the network is to blame, and the next run would fare no better.
            Ok(record) if record.outcome == Outcome::SetupFailed => {
                return Err(CliError::Setup { reason: table::reason(&record) });
            }
            Ok(record) => {
                found.runs += 1;
                match self.question.value(&record) {
                    Ok(value) => {
                        if probe.commit == 0 {
                            found.values.push(value);
                        }
                        return Ok((Told::Value(value), self.question.text(value)));
                    }
                    Err(why) => (Told::Failed, why),
                }
            }
        };
        found.reasons.insert(probe.commit, why.clone());
        Ok((told, why))
    }

    fn say(&self, search: &Bisection, probe: Probe, said: &str) {
        let shares = search.probabilities();
        let likeliest = (1..shares.len()).max_by(|a, b| shares[*a].total_cmp(&shares[*b]));
        let suspect = likeliest.filter(|_| search.change().is_some()).map_or_else(String::new, |likeliest| {
            format!("; {:.0} %: {}", shares[likeliest] * 100.0, title(&self.commits[likeliest]))
        });
        let (asked, most) = (search.asked(), self.args.runs);
        let commit = title(&self.commits[probe.commit]);
        output::note(format!("[{asked}/{most}] {commit}, seed {}: {said}{suspect}", self.seed(probe)));
    }

    fn seed(&self, probe: Probe) -> u64 {
        self.args.seed + probe.seed as u64
    }

    /// The record that there is, or that of a run.
    fn probe(&self, probe: Probe, tried: &mut HashMap<usize, Tried>, found: &mut Found) -> Result<Ran, CliError> {
        let commit = &self.commits[probe.commit].commit;
        let known = match tried.entry(probe.commit) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => {
                let repository = under_test(Some(commit))?.repository;
                let kept = kept(repository.as_ref(), &self.machine.fingerprint, self.runtime, self.store)?;
                new.insert(Tried { kept, built: None })
            }
        };
        if let Some(id) = known.kept.get(&key(self.scenario, self.subject, self.seed(probe)))
            && let Some(record) = self.runtime.block_on(self.store.run(id))?
            // It may have been run for another question, and have nothing but instructions.
            && (record.outcome != Outcome::Ok || self.question.value(&record).is_ok())
        {
            found.before += 1;
            return Ok(Ok(record));
        }
        let built = match &known.built {
            Some(built) => built,
            None => known.built.insert(self.build(commit, found.recorded)?),
        };
        let (prepared, repository) = match built {
            Ok(built) => built,
            Err(why) => return Ok(Err(why.clone())),
        };
        let began = netsim_lab::now();
        let ran = self.run(probe, prepared, repository, &mut found.recorded)?;
        found.spent_s += netsim_lab::now().nanos_since(began) as f64 / 1e9;
        Ok(Ok(ran))
    }

    /// The inner error is why the commit cannot be built.
    fn build(&self, commit: &str, recorded: usize) -> Result<Result<(Prepared, Repository), String>, CliError> {
        let UnderTest { repository, programs } = under_test(Some(commit))?;
        let Some(repository) = repository else { return Err(CliError::UnknownCommit { revision: commit.to_owned() }) };
        let name = &self.subject.name;
        let built = match programs.would_build(self.subject) {
            true => {
                programs.prepare(self.subject).map_err(|source| CliError::Subject { subject: name.clone(), source })
            }
            false => Err(CliError::NotBuiltHere { subjects: vec![name.clone()] }),
        };
        match built {
            Ok(prepared) => Ok(Ok((prepared, repository))),
            Err(_) if self.stop.ended_it() => Err(CliError::Interrupted { recorded }),
            Err(error) => Ok(Err(not_built(&error).ok_or(error)?)),
        }
    }

    /// Every run is recorded.
    fn run(
        &self,
        probe: Probe,
        prepared: &Prepared,
        repository: &Repository,
        recorded: &mut usize,
    ) -> Result<RunRecord, CliError> {
        let context = Context {
            json: false,
            trigger: Trigger::Bisect,
            repository: Some(repository),
            machine: self.machine.clone(),
            engines: self.args.engines.engines(),
            valgrind: None,
            sandbox: self.sandbox,
            stop: self.stop,
        };
        let iteration = u32::try_from(probe.seed).unwrap_or(u32::MAX);
        let at = || At { seed: self.seed(probe), iteration, pairing: None };
        let run = |bar: &Bar| context.run(self.scenario, prepared, self.payload, at(), bar);
        // What came of it is said with what follows from it.
        let bar = || Bar::new(probe.seed + 1, self.args.runs as usize, &self.scenario.name, &self.subject.name);
        let ran = context.attempts(run, bar, |bar, _| bar.abandon(), recorded, self.runtime, self.store)?;
        ran.ok_or(CliError::Interrupted { recorded: *recorded })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_record::{CommitDetail, Sample};
    use longhaul_store::testing::sample::{self, Shape};

    fn revision(commit: &str, parent: &str) -> Revision {
        Revision { commit: commit.to_owned(), parents: vec![parent.to_owned()], summary: String::new() }
    }

    #[test]
    fn a_way_leads_from_good_to_bad_or_it_is_said_why_not() {
        let detail =
            CommitDetail { parents: vec![], authored_ms: 0, branch: None, summary: "good".into(), dirty: false };
        let good = Repository { top: here(), project: "p".into(), commit: "a".into(), detail };
        let after = || vec![revision("b", "a"), revision("c", "b")];
        let way = joined(&good, after(), true, false).unwrap();
        assert_eq!(way.iter().map(|r| r.commit.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        let rows = [
            (vec![], true, true, "the same commit"),
            (vec![], false, true, "name the good one first"),
            (vec![revision("m", "x")], true, false, "branch that was merged"),
            (after(), false, false, ""),
            (vec![revision("m", "x")], false, false, "no ancestor"),
        ];
        for (after, is_ancestor, is_descendant, words) in rows {
            match joined(&good, after, is_ancestor, is_descendant) {
                Err(why) => assert!(!words.is_empty() && why.contains(words), "{why}"),
                Ok(_) => assert!(words.is_empty(), "{words}"),
            }
        }
    }

    #[test]
    fn values_are_on_a_scale_of_differences() {
        let mut record = sample::run(Shape { network: 1, subject: "reference", commit: 0, iteration: 0 });
        let sample = |metric: &str, peer: Option<&str>, value| Sample {
            metric: metric.to_owned(),
            peer: peer.map(str::to_owned),
            value,
        };
        record.samples = vec![
            sample("wire_bytes", None, 1000.0),
            sample("stall_time", None, 0.0),
            sample("goodput", None, 0.0),
            sample("cpu_seconds", Some("fetcher"), 1.0),
        ];
        let value = |metric: &str, peer: Option<&str>, record: &RunRecord| {
            let question = Question { metric: known_metric(metric).unwrap(), peer: peer.map(str::to_owned) };
            question.value(record)
        };
        assert_eq!(value("wire_bytes", None, &record), Ok(1000_f64.ln()));
        assert_eq!(value("stall_time", None, &record), Ok(0.0));
        assert_eq!(value("cpu_seconds", Some("fetcher"), &record), Ok(0.0));
        for (metric, words) in
            [("goodput", "no ratio"), ("lookup_time", "no lookup_time"), ("cpu_seconds", "of: fetcher")]
        {
            let why = value(metric, None, &record).unwrap_err();
            assert!(why.contains(words), "{metric}: {why}");
        }
        (record.outcome, record.reason) = (Outcome::TimedOut, Some("too slow".into()));
        assert_eq!(value("wire_bytes", None, &record), Err("timed_out: too slow".into()));
    }
}
