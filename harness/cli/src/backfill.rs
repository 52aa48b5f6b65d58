//! `longhaul backfill`: the commits of a history, measured one by one.
//!
//! What is to be done is a plan, made of the history and of what the database has; what was done before is left out of it.

use crate::args::BackfillArgs;
use crate::compare::{short, subject};
use crate::error::CliError;
use crate::run::{Asked, How, Kept, Key, can_try, here, kept, key, measure, runtime, under_test};
use crate::stop::Stop;
use crate::{VERSION, catalog, expectation, output, table};
use longhaul_record::{Exit, Outcome, RunRecord, Trigger, text};
use longhaul_runner::{PrepareError, Revision, history, machine};
use longhaul_scenarios::{Scenario, Subject};
use longhaul_sqlite::OpenError;
use longhaul_store::Upkeep;
use netsim_lab::Sandbox;
use serde_json::{Value, json};
use std::collections::VecDeque;
use tokio::runtime::Runtime;

/// `longhaul backfill`.
pub(crate) fn command(args: &BackfillArgs) -> Result<Exit, CliError> {
    let scenarios = catalog::select(&args.scenarios)?;
    for scenario in &scenarios {
        netsim_lab::check_congestion(&scenario.cross)?;
    }
    let no_history = |said: String| CliError::NoHistory { range: args.range.clone(), said };
    let choice = match (args.merges, args.every) {
        (true, _) => Choice::Merges,
        (false, every) => Choice::Every(every.unwrap_or(1) as usize),
    };
    let commits = choice.of(history(&here(), &args.range).map_err(no_history)?);
    let newest = commits.last().ok_or_else(|| no_history("none of its commits is to be measured".to_owned()))?;
    let jobs = jobs(args, &newest.commit, &scenarios)?;
    let (mut rows, end) =
        if args.dry_run { (dry(args, &commits, &jobs)?, Ok(())) } else { wet(args, &commits, &jobs)? };
    let exit = rows.iter().map(Row::exit).max().unwrap_or(Exit::Pass);
    if !args.dry_run {
        rows.sort_by_key(|row| row.place);
    }
    if args.json {
        let commits: Vec<Value> = rows.iter().map(Row::json).collect();
        output::json(&json!({ "range": args.range, "commits": commits }))?;
    } else {
        output::line(shown(&rows))?;
    }
    end.map(|()| exit)
}

fn how(args: &BackfillArgs) -> How {
    let BackfillArgs { seed, repeat, engines, .. } = *args;
    How { trigger: Trigger::Backfill, seed, repeat, engines, resume: true, instructions: false, json: false }
}

/// The plan, and how it ended to follow it.
type Followed = (Vec<Row>, Result<(), CliError>);

fn wet(args: &BackfillArgs, commits: &[Revision], jobs: &[Job]) -> Result<Followed, CliError> {
    let sandbox = netsim_lab::enter()?;
    let stop = Stop::on_signals()?;
    let runtime = runtime()?;
    let store = runtime.block_on(args.db.open())?;
    let host = machine(VERSION, args.engines.engines()).fingerprint;
    let (how, sandbox, stop) = (how(args), &sandbox, &stop);
    let lab = Lab { jobs, how, host, sandbox, runtime: &runtime, store: &*store, stop };
    let rows = plan(commits, jobs, &lab.how, |commit| lab.kept(commit));
    let mut rows = rows.map_err(|error| lab.interrupted(error))?;
    let end = lab.measure(&mut rows);
    runtime.block_on(store.close());
    Ok((rows, end))
}

/// The plan alone. It makes no database where there is none yet.
fn dry(args: &BackfillArgs, commits: &[Revision], jobs: &[Job]) -> Result<Vec<Row>, CliError> {
    let runtime = runtime()?;
    let store = match runtime.block_on(args.db.open_read_only()) {
        Err(CliError::Open(OpenError::Missing { .. })) => {
            return plan(commits, jobs, &how(args), |_| Ok(Kept::default()));
        }
        opened => opened?,
    };
    let host = machine(VERSION, args.engines.engines()).fingerprint;
    let there = |commit: &str| kept(under_test(Some(commit))?.repository.as_ref(), &host, &runtime, &*store);
    let rows = plan(commits, jobs, &how(args), there);
    runtime.block_on(store.close());
    rows
}

/// Which commits of a history are wanted.
#[derive(Debug, Clone, Copy)]
enum Choice {
    /// Every Nth, from the oldest on, and the newest.
    Every(usize),
    /// Those that merged others.
    Merges,
}

impl Choice {
    fn of(self, history: Vec<Revision>) -> Vec<Revision> {
        let last = history.len().saturating_sub(1);
        let wanted = |(place, revision): &(usize, Revision)| match self {
            Choice::Every(nth) => place % nth == 0 || *place == last,
            Choice::Merges => revision.parents.len() > 1,
        };
        history.into_iter().enumerate().filter(wanted).map(|(_, revision)| revision).collect()
    }
}

/// In which order so many commits are measured: the ends first, then whatever lies in the middle between two that were, the
/// widest gaps before others. Whoever interrupts it sees the whole history, coarsely, and not its first months in detail; the
/// price is that neighbours, whose builds have most in common, are not built one after the other.
fn order(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = [0, count.saturating_sub(1)].into_iter().take(count).collect();
    let mut gaps = VecDeque::from([(0, count.saturating_sub(1))]);
    while let Some((low, high)) = gaps.pop_front() {
        if high > low + 1 {
            let middle = low.midpoint(high);
            order.push(middle);
            gaps.extend([(low, middle), (middle, high)]);
        }
    }
    order
}

/// A subject, and the scenarios it is measured in.
struct Job {
    subject: Subject,
    scenarios: Vec<Scenario>,
}

impl Job {
    /// Every run that is wanted of a commit.
    fn keys(&self, how: &How) -> Vec<Key> {
        let of = |scenario: &Scenario| {
            let keys = (0..how.repeats(scenario)).map(|iteration| key(scenario, &self.subject, how.seed(iteration)));
            keys.collect::<Vec<_>>()
        };
        self.scenarios.iter().flat_map(of).collect()
    }
}

fn jobs(args: &BackfillArgs, newest: &str, scenarios: &[Scenario]) -> Result<Vec<Job>, CliError> {
    let programs = under_test(Some(newest))?.programs;
    let names: Vec<Option<&str>> = match args.subjects.is_empty() {
        true => vec![None],
        false => args.subjects.iter().map(|name| Some(name.as_str())).collect(),
    };
    let job = |name: Option<&str>| {
        let subject = subject(name, &[&programs])?;
        let tried = scenarios.iter().filter(|scenario| can_try(&subject, name.is_some(), scenario)).cloned().collect();
        Ok(Job { subject, scenarios: tried })
    };
    names.into_iter().map(job).collect()
}

/// A commit, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    /// Among the commits, the oldest first.
    place: usize,
    revision: Revision,
    /// Runs that were there before, and those that were not.
    before: usize,
    missing: usize,
    measured: usize,
    failed: usize,
    untrusted: usize,
    /// Why a subject of it could not be built.
    not_built: Option<String>,
    /// The largest of its runs'.
    ran: Exit,
}

/// What is there and what is missing of each commit, in the order in which that is done.
fn plan(
    commits: &[Revision],
    jobs: &[Job],
    how: &How,
    there: impl Fn(&str) -> Result<Kept, CliError>,
) -> Result<Vec<Row>, CliError> {
    let wanted: Vec<Key> = jobs.iter().flat_map(|job| job.keys(how)).collect();
    let row = |place: usize| {
        let there = there(&commits[place].commit)?;
        let before = wanted.iter().filter(|key| there.contains_key(*key)).count();
        Ok(Row {
            place,
            revision: commits[place].clone(),
            before,
            missing: wanted.len() - before,
            measured: 0,
            failed: 0,
            untrusted: 0,
            not_built: None,
            ran: Exit::Pass,
        })
    };
    order(commits.len()).into_iter().map(row).collect()
}

/// Where it is measured.
struct Lab<'a> {
    jobs: &'a [Job],
    how: How,
    /// This machine's fingerprint.
    host: String,
    sandbox: &'a Sandbox,
    runtime: &'a Runtime,
    store: &'a dyn Upkeep,
    stop: &'a Stop,
}

impl Lab<'_> {
    /// Does what is missing, in order, and says in each row what came of it.
    fn measure(&self, rows: &mut [Row]) -> Result<(), CliError> {
        let total = rows.iter().filter(|row| row.missing > 0).count();
        let (mut number, mut recorded) = (0, 0);
        for row in rows.iter_mut() {
            if row.missing > 0 {
                number += 1;
                output::note(format!("commit {number} of {total}: {}", title(&row.revision)));
            }
            for job in self.jobs {
                match self.job(job, row).map_err(|error| self.interrupted(error)) {
                    Err(CliError::Interrupted { recorded: more }) => {
                        if let Ok(there) = self.kept(&row.revision.commit) {
                            row.recount(self.jobs, &self.how, &there);
                        }
                        return Err(CliError::Interrupted { recorded: recorded + more });
                    }
                    other => other?,
                }
            }
            recorded += row.measured;
        }
        Ok(())
    }

    fn kept(&self, commit: &str) -> Result<Kept, CliError> {
        kept(under_test(Some(commit))?.repository.as_ref(), &self.host, self.runtime, self.store)
    }

    /// What an error is, if the user did not cause it.
    fn interrupted(&self, error: CliError) -> CliError {
        match error {
            CliError::Interrupted { .. } => error,
            _ if self.stop.ended_it() => CliError::Interrupted { recorded: 0 },
            _ => error,
        }
    }

    fn job(&self, job: &Job, row: &mut Row) -> Result<(), CliError> {
        let commit = &row.revision.commit;
        let there = self.kept(commit)?;
        let (old, new): (Vec<Key>, Vec<Key>) = job.keys(&self.how).into_iter().partition(|key| there.contains_key(key));
        if new.is_empty() {
            // Nothing is built for what is there.
            let records = old.iter().filter_map(|key| self.runtime.block_on(self.store.run(&there[key])).transpose());
            row.count(&job.scenarios, &records.collect::<Result<Vec<_>, _>>()?);
            return Ok(());
        }
        let under_test = under_test(Some(commit))?;
        let is_here = under_test.programs.would_build(&job.subject);
        let asked = Asked::one(job.subject.clone(), under_test);
        let measured = match is_here {
            true => measure(&self.how, &job.scenarios, &asked, self.sandbox, self.runtime, self.store, self.stop),
            false => Err(CliError::NotBuiltHere { subjects: vec![job.subject.name.clone()] }),
        };
        match measured {
            Ok(records) => {
                row.measured += new.len();
                row.missing -= new.len();
                row.count(&job.scenarios, &records);
                expectation::unmet(&job.scenarios, &records).into_iter().for_each(output::note);
            }
            Err(error) => {
                let error = self.interrupted(error);
                let why = not_built(&error).ok_or(error)?;
                output::note(format!("not built: {why}"));
                row.not_built = Some(why);
            }
        }
        Ok(())
    }
}

/// Why a commit cannot be built, if it is not this machine that cannot build.
pub(crate) fn not_built(error: &CliError) -> Option<String> {
    match error {
        CliError::Subject { source: PrepareError::Build(error), .. } => {
            error.is_the_subjects().then(|| text::chain(error))
        }
        CliError::NotBuiltHere { .. } => Some("it has nothing of what the subject is built from".to_owned()),
        _ => None,
    }
}

pub(crate) fn title(revision: &Revision) -> String {
    format!("{} {}", short(&revision.commit), table::clean(&revision.summary))
}

impl Row {
    /// Counts what is there by now.
    fn recount(&mut self, jobs: &[Job], how: &How, there: &Kept) {
        let wanted = self.before + self.measured + self.missing;
        let by_now = jobs.iter().flat_map(|job| job.keys(how)).filter(|key| there.contains_key(key)).count();
        self.measured = by_now.saturating_sub(self.before);
        self.missing = wanted.saturating_sub(by_now);
    }

    fn count(&mut self, scenarios: &[Scenario], records: &[RunRecord]) {
        let count = |wanted: &dyn Fn(Outcome) -> bool| records.iter().filter(|run| wanted(run.outcome)).count();
        self.untrusted += count(&|outcome| outcome == Outcome::Untrusted);
        self.failed += count(&|outcome| !matches!(outcome, Outcome::Ok | Outcome::Untrusted));
        self.ran = self.ran.max(expectation::exit(scenarios, records));
    }

    fn exit(&self) -> Exit {
        if self.not_built.is_some() { self.ran.max(Exit::SubjectFailed) } else { self.ran }
    }

    fn result(&self) -> String {
        let some = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
        let missing = if self.not_built.is_none() { some(self.missing, "to be measured") } else { None };
        let not_built = self.not_built.as_ref().map(|why| format!("not built: {}", table::clean(why)));
        let all = [some(self.failed, "failed"), some(self.untrusted, "untrusted"), not_built, missing];
        let all: Vec<String> = all.into_iter().flatten().collect();
        if all.is_empty() { "ok".to_owned() } else { all.join(", ") }
    }

    fn json(&self) -> Value {
        json!({
            "commit": self.revision.commit,
            "summary": self.revision.summary,
            "measured": self.measured,
            "before": self.before,
            "missing": self.missing,
            "failed": self.failed,
            "untrusted": self.untrusted,
            "not_built": self.not_built,
        })
    }
}

fn shown(rows: &[Row]) -> String {
    let row = |row: &Row| {
        let numbers = [row.measured, row.before].map(|count| count.to_string());
        let [commit, summary] = [short(&row.revision.commit), &row.revision.summary].map(table::clean);
        [commit, summary].into_iter().chain(numbers).chain([row.result()]).collect()
    };
    table::plain(&["Commit", "Message", "Measured", "Before", "Result"], rows.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command};
    use clap::Parser;
    use std::collections::BTreeSet;

    fn revision(number: usize, parents: usize) -> Revision {
        let parents = (0..parents).map(|parent| format!("{number}^{parent}")).collect();
        Revision { commit: number.to_string(), parents, summary: String::new() }
    }

    fn chosen(choice: Choice, history: &[Revision]) -> Vec<String> {
        choice.of(history.to_vec()).into_iter().map(|revision| revision.commit).collect()
    }

    #[test]
    fn commits_are_chosen_with_both_ends() {
        let history: Vec<Revision> = (0..8).map(|n| revision(n, if n % 3 == 2 { 2 } else { 1 })).collect();
        let rows = [
            (Choice::Every(1), "0 1 2 3 4 5 6 7"),
            (Choice::Every(3), "0 3 6 7"),
            (Choice::Every(7), "0 7"),
            (Choice::Every(100), "0 7"),
            (Choice::Merges, "2 5"),
        ];
        for (choice, expect) in rows {
            assert_eq!(chosen(choice, &history).join(" "), expect, "{choice:?}");
        }
        assert_eq!(chosen(Choice::Every(2), &history[..1]), ["0"]);
        assert!(chosen(Choice::Every(2), &[]).is_empty() && chosen(Choice::Merges, &history[..2]).is_empty());
    }

    #[test]
    fn ends_come_first_then_halves() {
        assert_eq!(order(9), [0, 8, 4, 2, 6, 1, 3, 5, 7]);
        assert_eq!((order(0), order(1), order(2), order(3)), (vec![], vec![0], vec![0, 1], vec![0, 2, 1]));
        for count in 0..100 {
            assert_eq!(order(count).into_iter().collect::<BTreeSet<_>>(), (0..count).collect(), "{count}");
            assert_eq!(order(count).len(), count);
        }
    }

    #[test]
    fn what_is_there_is_not_planned_again() {
        let subject = catalog::subject("reference").unwrap();
        let scenarios = catalog::select(&["lossy-1pct".to_owned(), "home-nat".to_owned()]).unwrap();
        let job = Job { subject, scenarios };
        let asked = ["longhaul", "backfill", "a..b", "lossy-1pct", "--seed", "5", "--repeat", "3"];
        let Command::Backfill(args) = Args::parse_from(asked).command else { panic!() };
        let how = how(&args);
        let keys = job.keys(&how);
        assert_eq!((keys.len(), keys[0].2, keys[2].2), (6, 5, 7));
        let commits: Vec<Revision> = (0..3).map(|n| revision(n, 1)).collect();
        let there = |commit: &str| {
            let count = commit.parse::<usize>().unwrap() * 3;
            Ok(keys[..count].iter().map(|key| (key.clone(), "id".to_owned())).collect())
        };
        let rows = plan(&commits, &[job], &how, there).unwrap();
        let got: Vec<_> = rows.iter().map(|row| (row.place, row.before, row.missing)).collect();
        assert_eq!(got, [(0, 0, 6), (2, 6, 0), (1, 3, 3)]);
        assert_eq!(rows[1].result(), "ok");
        assert_eq!(rows[2].result(), "3 to be measured");
    }
}
