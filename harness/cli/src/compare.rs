//! `longhaul compare`: two versions of a subject, in pairs of runs on the same network, until it is known which is better.
//!
//! What is run next, and when it is enough, is decided by [`Sampling`]; what it comes to, by `longhaul_stats`. Here things are
//! built, run, recorded and shown.

pub(crate) mod report;

use crate::args::{CompareArgs, EngineArgs, VersionArgs};
use crate::error::CliError;
use crate::place::Place;
use crate::progress::Bar;
use crate::run::{ATTEMPTS, At, Context, UnderTest, remove, runtime, stage, tree, trigger, under_test};
use crate::stop::Stop;
use crate::{VERSION, catalog, output, table};
use longhaul_record::{
    Arm, COMPARISON_SCHEMA, Comparison, End, Exit, METRICS, Metric, Outcome, Pairing, RanIn, RunRecord, Side, Verdict,
    metric,
};
use longhaul_runner::{Payload, PayloadError, Prepared, Programs, Repository, machine, new_id, wall_ms};
use longhaul_scenarios::{Scenario, Subject};
use longhaul_stats::{Block, Choice, Limits, Next, Ran, Sampling, Task, overall};
use longhaul_store::Upkeep;
use netsim_lab::Sandbox;
use tokio::runtime::Runtime;

/// Scenarios of which little is noise, and which take seconds.
const USUAL: [&str; 2] = ["lossy-1pct", "home-nat"];

/// `longhaul compare`.
pub(crate) fn command(args: &CompareArgs) -> Result<Exit, CliError> {
    let usual = || USUAL.map(str::to_owned).to_vec();
    let names = if args.scenarios.is_empty() { usual() } else { args.scenarios.clone() };
    let asked = Asked {
        scenarios: catalog::select(&names)?,
        subject: args.subject.clone(),
        limits: Limits { blocks: args.blocks, budget_s: args.budget },
        choice: choice(&args.metrics)?,
        independent: args.independent,
    };
    let comparison = compare(&args.base, &args.versions, &asked, &args.db)?;
    match args.json {
        true => output::json(&report::json(&comparison)?)?,
        false => output::line(report::table(&comparison, args.all))?,
    }
    Ok(exit(&comparison))
}

/// The metrics that were asked for.
fn choice(metrics: &[String]) -> Result<Choice, CliError> {
    metrics.iter().try_for_each(|id| known_metric(id).map(drop))?;
    Ok(Choice { metrics: metrics.iter().map(|id| (id.clone(), None)).collect() })
}

pub(crate) fn known_metric(id: &str) -> Result<&'static Metric, CliError> {
    let known = || METRICS.iter().map(|metric| metric.id).collect();
    metric(id).ok_or_else(|| CliError::UnknownMetric { name: id.to_owned(), known: known() })
}

/// What is to be compared, and how much may be run.
pub(crate) struct Asked {
    pub(crate) scenarios: Vec<Scenario>,
    pub(crate) subject: Option<String>,
    pub(crate) limits: Limits,
    pub(crate) choice: Choice,
    pub(crate) independent: bool,
}

/// The exit code that a comparison leads to.
pub(crate) fn exit(comparison: &Comparison) -> Exit {
    let silent = |ran: &RanIn| {
        let success = &ran.compared.success;
        ran.compared.blocks > 0 && success.base_ok + success.head_ok == 0
    };
    match (&comparison.end, comparison.verdict) {
        (End::Interrupted, _) => Exit::Interrupted,
        (End::Setup { .. }, _) => Exit::Environment,
        (_, Some(Verdict::Regressed)) => Exit::Regression,
        _ if comparison.scenarios.iter().any(silent) => Exit::SubjectFailed,
        (_, Some(Verdict::Untrusted)) => Exit::Untrusted,
        (_, Some(Verdict::Inconclusive)) => Exit::Inconclusive,
        (_, Some(Verdict::Unchanged | Verdict::Improved)) | (End::SameProgram, None) => Exit::Pass,
        (_, None) if comparison.scenarios.iter().any(|ran| ran.compared.untrusted > 0) => Exit::Untrusted,
        (_, None) => Exit::Inconclusive,
    }
}

/// Builds both versions, compares them, and keeps the result.
pub(crate) fn compare(base: &str, versions: &VersionArgs, asked: &Asked, db: &Place) -> Result<Comparison, CliError> {
    for scenario in &asked.scenarios {
        netsim_lab::check_congestion(&scenario.cross)?;
    }
    let base = Version::of(base, under_test(Some(base))?)?;
    let head = match (&versions.head, versions.dirty) {
        (_, true) => Version::of("what lies here", tree())?,
        (revision, false) => {
            let revision = revision.as_deref().unwrap_or("HEAD");
            Version::of(revision, under_test(Some(revision))?)?
        }
    };
    let subject = subject(asked.subject.as_deref(), &[&base.programs, &head.programs])?;
    // Outside the sandbox: a build may write where it likes.
    let [base, head] = [base.build(&subject)?, head.build(&subject)?];
    let sandbox = netsim_lab::enter()?;
    let stop = Stop::on_signals()?;
    let runtime = runtime()?;
    let store = runtime.block_on(db.open())?;
    let mut comparison = begin(versions, asked, &subject, [&base, &head]);
    let same = base.side.programs_hash == head.side.programs_hash;
    if !same || versions.even_if_same {
        let lab = Lab {
            arms: [&base, &head],
            asked,
            engines: versions.engines,
            sandbox: &sandbox,
            stop: &stop,
            runtime: &runtime,
            store: &*store,
            id: &comparison.id,
        };
        let (sampling, end) = lab.measure(versions.seed)?;
        fill(&mut comparison, asked, &sampling, end);
    }
    let kept = runtime.block_on(store.insert_comparison(&comparison));
    kept.map_err(|source| CliError::InsertComparison { id: comparison.id.clone(), source })?;
    runtime.block_on(store.close());
    Ok(comparison)
}

/// A version before it is built.
struct Version {
    revision: String,
    repository: Repository,
    programs: Programs,
}

/// One that can be run.
struct Built {
    repository: Repository,
    prepared: Prepared,
    side: Side,
}

impl Version {
    fn of(revision: &str, under_test: UnderTest) -> Result<Version, CliError> {
        let unknown = || CliError::UnknownCommit { revision: "HEAD".to_owned() };
        let repository = under_test.repository.ok_or_else(unknown)?;
        Ok(Version { revision: revision.to_owned(), repository, programs: under_test.programs })
    }

    fn build(self, subject: &Subject) -> Result<Built, CliError> {
        let commit = &self.repository.commit;
        output::note(format!("building subject `{}` at {} ({}) …", subject.name, self.revision, short(commit)));
        let failed = |source| CliError::Subject { subject: subject.name.clone(), source };
        let prepared = self.programs.prepare(subject).map_err(failed)?;
        let unread = |source| CliError::Environment { what: "cannot read the program that was built", source };
        let side = Side {
            revision: self.revision,
            commit: commit.clone(),
            detail: self.repository.detail.clone(),
            version: prepared.detail.version.clone(),
            programs_hash: prepared.programs_hash().map_err(unread)?,
        };
        Ok(Built { repository: self.repository, prepared, side })
    }
}

pub(crate) fn short(commit: &str) -> &str {
    commit.get(..8).unwrap_or(commit)
}

/// The subject that is asked for, or the one that is built from the repository in all of these versions.
pub(crate) fn subject(name: Option<&str>, versions: &[&Programs]) -> Result<Subject, CliError> {
    let is_built = |subject: &Subject| versions.iter().all(|programs| programs.would_build(subject));
    let found = match name {
        Some(name) => catalog::subject(name)?,
        None => catalog::subjects()?.into_iter().find(|subject| is_built(subject)).ok_or(CliError::NothingBuiltHere)?,
    };
    if is_built(&found) { Ok(found) } else { Err(CliError::NotBuiltHere { subjects: vec![found.name] }) }
}

/// The comparison before anything was run: where both programs are the same, all there is.
fn begin(versions: &VersionArgs, asked: &Asked, subject: &Subject, [base, head]: [&Built; 2]) -> Comparison {
    let now = wall_ms();
    Comparison {
        schema: COMPARISON_SCHEMA,
        id: new_id(now),
        project: head.repository.project.clone(),
        subject: subject.name.clone(),
        host: machine(VERSION, versions.engines.engines()),
        base: base.side.clone(),
        head: head.side.clone(),
        seed: versions.seed,
        started_ms: now,
        ended_ms: now,
        budget_s: asked.limits.budget_s,
        trigger: trigger(),
        end: End::SameProgram,
        verdict: None,
        questions: 0,
        scenarios: Vec::new(),
    }
}

fn fill(comparison: &mut Comparison, asked: &Asked, sampling: &Sampling, end: End) {
    let compared = sampling.compared();
    let questions: usize = compared.iter().filter(|one| one.blocks > 0).map(|one| one.metrics.len() + 1).sum();
    comparison.questions = u32::try_from(questions).unwrap_or(u32::MAX);
    comparison.verdict = overall(&compared);
    comparison.end = end;
    let ran = |(scenario, compared): (&Scenario, _)| RanIn {
        scenario: scenario.name.clone(),
        scenario_hash: scenario.hash(),
        compared,
    };
    comparison.scenarios = asked.scenarios.iter().zip(compared).map(ran).collect();
    comparison.ended_ms = wall_ms().max(comparison.started_ms);
}

/// Where blocks are run.
struct Lab<'a> {
    arms: [&'a Built; 2],
    asked: &'a Asked,
    engines: EngineArgs,
    sandbox: &'a Sandbox,
    stop: &'a Stop,
    runtime: &'a Runtime,
    store: &'a dyn Upkeep,
    id: &'a str,
}

/// Why a block came to nothing.
enum Broken {
    Interrupted,
    Setup { reason: String },
}

/// What is sent in the scenario that is on.
struct Staged {
    scenario: usize,
    payload: Result<Payload, PayloadError>,
}

impl Lab<'_> {
    /// Runs blocks until there are enough.
    fn measure(&self, seed: u64) -> Result<(Sampling, End), CliError> {
        let Asked { scenarios, limits, choice, independent, .. } = self.asked;
        let mut sampling = Sampling::new(scenarios.len(), *limits, choice.clone(), seed, *independent);
        let start = netsim_lab::now();
        let elapsed = || netsim_lab::now().nanos_since(start) as f64 / 1e9;
        let mut staged = None;
        let end = loop {
            let began = elapsed();
            let task = match sampling.next(began) {
                Next::End(end) => break end,
                Next::Run(task) => task,
            };
            self.stage(task.scenario, &mut staged)?;
            let Some(staged) = &staged else { continue };
            match self.block(task, staged, &sampling)? {
                Ok(block) => sampling.ran(task, block, elapsed() - began, elapsed()),
                Err(Broken::Interrupted) => break End::Interrupted,
                Err(Broken::Setup { reason }) => break End::Setup { reason },
            }
        };
        remove(&self.sandbox.scratch().join("staged"))?;
        Ok((sampling, end))
    }

    /// Lets a scenario's payload lie there, and no other's.
    fn stage(&self, scenario: usize, staged: &mut Option<Staged>) -> Result<(), CliError> {
        if staged.as_ref().is_some_and(|staged| staged.scenario == scenario) {
            return Ok(());
        }
        let directory = self.sandbox.scratch().join("staged");
        *staged = None;
        remove(&directory)?;
        let payload = stage(&self.asked.scenarios[scenario], self.sandbox, &directory)?;
        *staged = Some(Staged { scenario, payload });
        Ok(())
    }

    /// Runs both versions, in the order that the task says.
    fn block(&self, task: Task, staged: &Staged, sampling: &Sampling) -> Result<Result<Block, Broken>, CliError> {
        let order = match task.first {
            Arm::Base => [Arm::Base, Arm::Head],
            Arm::Head => [Arm::Head, Arm::Base],
        };
        let mut ran = [None, None];
        for arm in order {
            let record = match self.arm(arm, task, staged, sampling)? {
                Some(record) => record,
                None => return Ok(Err(Broken::Interrupted)),
            };
            if record.outcome == Outcome::SetupFailed {
                return Ok(Err(Broken::Setup { reason: table::reason(&record) }));
            }
            ran[arm as usize] = Some(Ran::of(&record));
        }
        let [Some(base), Some(head)] = ran else { return Ok(Err(Broken::Interrupted)) };
        Ok(Ok(Block { base, head }))
    }

    /// Runs one version; again, if the network could not be trusted. Everything is recorded.
    fn arm(&self, arm: Arm, task: Task, staged: &Staged, sampling: &Sampling) -> Result<Option<RunRecord>, CliError> {
        let built = self.arms[arm as usize];
        let engines = self.engines.engines();
        let context = Context {
            json: false,
            trigger: trigger(),
            repository: Some(&built.repository),
            machine: machine(VERSION, engines),
            engines,
            valgrind: None,
            sandbox: self.sandbox,
            stop: self.stop,
        };
        let scenario = &self.asked.scenarios[task.scenario];
        let independent = task.is_independent();
        let mut attempt = 1;
        loop {
            let side = if arm == Arm::Base { "base" } else { "head" };
            let number = sampling.blocks(task.scenario) + 1;
            let bar = Bar::new(number, sampling.most(task.scenario) as usize, &scenario.name, side);
            let pairing = Pairing { comparison: self.id.to_owned(), block: task.block, arm, independent };
            let at = At { seed: task.seeds[arm as usize], iteration: task.block, pairing: Some(pairing) };
            let Some(record) = context.run(scenario, &built.prepared, &staged.payload, at, &bar) else {
                bar.abandon();
                return Ok(None);
            };
            bar.finish(&record);
            context.keep(&record, self.runtime, self.store)?;
            if record.outcome != Outcome::Ok {
                let (outcome, reason) = (record.outcome.as_str(), table::reason(&record));
                output::note(format!("{outcome}, attempt {attempt}: {reason}"));
            }
            if record.outcome != Outcome::Untrusted || attempt == ATTEMPTS {
                return Ok(Some(record));
            }
            attempt += 1;
        }
    }
}

/// Why it ended, in words.
pub(crate) fn ended(end: &End) -> String {
    match end {
        End::Decided => "everything that decides is decided".to_owned(),
        End::Blocks => "as many blocks as were allowed".to_owned(),
        End::Budget => "another block would have exceeded the budget".to_owned(),
        End::SameProgram => "both programs are the same".to_owned(),
        End::Hopeless => "more blocks would not have helped".to_owned(),
        End::Interrupted => "interrupted".to_owned(),
        End::Setup { reason } => format!("a run could not be set up: {reason}"),
    }
}
