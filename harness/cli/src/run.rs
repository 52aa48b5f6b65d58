//! `longhaul run`: scenarios × subjects × repetitions, each recorded as soon as it has ended.

use crate::args::{EngineArgs, MeasureArgs, RunArgs};
use crate::catalog;
use crate::error::CliError;
use crate::expectation;
use crate::output;
use crate::progress::{Bar, News};
use crate::stop::Stop;
use crate::{VERSION, table};
use longhaul_record::{Exit, HostDetail, Outcome, Pairing, RunRecord, Trigger, text};
use longhaul_runner::{Order, Payload, Prepared, Programs, Repository, Source, machine, repository, repository_at};
use longhaul_scenarios::{Scenario, Sort, Subject};
use longhaul_store::{RunFilter, RunSummary, Upkeep};
use netsim_lab::{Engines, Sandbox};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;

/// `longhaul run`.
pub(crate) fn command(args: &RunArgs) -> Result<Exit, CliError> {
    // What is asked for is read first: its mistakes are the user's, not the machine's, and leave nothing behind.
    let scenarios = catalog::select(&args.scenarios)?;
    let asked = asked(&args.measure, &scenarios)?;
    for scenario in &scenarios {
        netsim_lab::check_congestion(&scenario.cross)?;
    }
    let sandbox = netsim_lab::enter()?;
    let stop = Stop::on_signals()?;
    let runtime = runtime()?;
    let store = runtime.block_on(args.measure.db.open())?;
    let how = How::of(&args.measure);
    let records = measure(&how, &scenarios, &asked, &sandbox, &runtime, &*store, &stop)?;
    runtime.block_on(store.close());
    report(&args.measure, &scenarios, &records)
}

/// What is to be measured.
pub(crate) struct Asked {
    subjects: Vec<Wanted>,
    under_test: UnderTest,
}

impl Asked {
    /// One subject, which has to be there.
    pub(crate) fn one(subject: Subject, under_test: UnderTest) -> Asked {
        Asked { subjects: vec![Wanted { subject, needed: true }], under_test }
    }
}

/// How it is to be measured.
pub(crate) struct How {
    pub(crate) trigger: Trigger,
    /// Of the first repetition.
    pub(crate) seed: u64,
    /// How often, instead of what the scenario says.
    pub(crate) repeat: Option<u32>,
    pub(crate) engines: EngineArgs,
    /// Whether what was measured before is left out.
    pub(crate) resume: bool,
    pub(crate) instructions: bool,
    /// Whether records are printed.
    pub(crate) json: bool,
}

impl How {
    /// As the command line says.
    pub(crate) fn of(args: &MeasureArgs) -> How {
        let MeasureArgs { seed, engines, repeat, resume, instructions, json, .. } = *args;
        How { trigger: trigger(), seed, repeat, engines, resume, instructions, json }
    }

    /// How often a scenario is run.
    pub(crate) fn repeats(&self, scenario: &Scenario) -> u32 {
        self.repeat.unwrap_or(scenario.repeat)
    }

    /// The seed of a repetition.
    pub(crate) fn seed(&self, iteration: u32) -> u64 {
        self.seed + u64::from(iteration)
    }
}

/// A subject that is to be run.
struct Wanted {
    subject: Subject,
    /// Whether it was asked for by its own name: then it must be there.
    needed: bool,
}

/// The subjects that were asked for, of the commit that was asked for. Of those that go without saying, what the scenarios
/// are about.
pub(crate) fn asked(args: &MeasureArgs, scenarios: &[Scenario]) -> Result<Asked, CliError> {
    /// What every machine has, and what everybody knows. Few look anything up, so those are usual where that is asked for.
    const USUAL: [&str; 2] = ["reference", "curl"];
    let optional = |subject| Wanted { subject, needed: false };
    let mut subjects: Vec<Wanted> = Vec::new();
    if args.subjects.is_empty() {
        let usual = |subject: &Subject, sort| sort == Sort::Lookups || USUAL.contains(&subject.name.as_str());
        let wanted = |subject: &Subject| {
            let mut sorts = scenarios.iter().map(|scenario| scenario.payload.sort());
            sorts.any(|sort| usual(subject, sort) && subject.can_do(sort))
        };
        subjects.extend(catalog::subjects()?.into_iter().filter(wanted).map(optional));
    }
    for name in &args.subjects {
        match name.as_str() {
            "all" => subjects.extend(catalog::subjects()?.into_iter().map(optional)),
            name => subjects.push(Wanted { subject: catalog::subject(name)?, needed: true }),
        }
    }
    let under_test = under_test(args.commit.as_deref())?;
    if args.commit.is_some() && !subjects.iter().any(|wanted| under_test.programs.would_build(&wanted.subject)) {
        return Err(CliError::NotBuiltHere {
            subjects: subjects.into_iter().map(|wanted| wanted.subject.name).collect(),
        });
    }
    Ok(Asked { subjects, under_test })
}

/// A runtime for the store and the dashboard.
pub(crate) fn runtime() -> Result<Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| CliError::Environment { what: "cannot start threads", source })
}

/// What is measured: a repository, if there is one, and where programs are looked for.
pub(crate) struct UnderTest {
    pub(crate) repository: Option<Repository>,
    pub(crate) programs: Programs,
}

/// What lies in this directory; or, of its repository, the commit that `revision` names.
pub(crate) fn under_test(revision: Option<&str>) -> Result<UnderTest, CliError> {
    let Some(revision) = revision else { return Ok(tree()) };
    let unknown = || CliError::UnknownCommit { revision: revision.to_owned() };
    let repository = repository_at(&here(), revision).ok_or_else(unknown)?;
    let programs = Programs::of_this_process(Some(Source::commit(&repository)));
    Ok(UnderTest { repository: Some(repository), programs })
}

pub(crate) fn tree() -> UnderTest {
    let repository = repository(&here());
    let source = repository.as_ref().map(|repository| Source::Tree(repository.top.clone()));
    UnderTest { repository, programs: Programs::of_this_process(source) }
}

/// The directory this program was started in.
pub(crate) fn here() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."))
}

/// Where programs are looked for; those of a commit if one is named.
pub(crate) fn programs_at(revision: Option<&str>) -> Result<Programs, CliError> {
    Ok(under_test(revision)?.programs)
}

/// Where programs are looked for.
pub(crate) fn programs() -> Programs {
    tree().programs
}

/// Prints the table, unless records were asked for, and what was not as expected. Returns the command's exit code.
pub(crate) fn report(args: &MeasureArgs, scenarios: &[Scenario], records: &[RunRecord]) -> Result<Exit, CliError> {
    if !args.json {
        output::line(table::results(records))?;
    }
    expectation::unmet(scenarios, records).into_iter().for_each(output::note);
    Ok(expectation::exit(scenarios, records))
}

/// An untrusted run is tried again at once, up to this often: the machine may have been busy for a moment. Every
/// attempt is recorded; the last one is the command's result.
pub(crate) const ATTEMPTS: u32 = 3;

/// Runs everything. Each record is stored, and printed if asked for, before the next run starts.
pub(crate) fn measure(
    how: &How,
    scenarios: &[Scenario],
    asked: &Asked,
    sandbox: &Sandbox,
    runtime: &Runtime,
    store: &dyn Upkeep,
    stop: &Stop,
) -> Result<Vec<RunRecord>, CliError> {
    let valgrind = if how.instructions { Some(valgrind(&asked.under_test.programs)?) } else { None };
    let valgrind = valgrind.as_deref();
    let prepared = prepare(asked)?;
    let repository = asked.under_test.repository.as_ref();
    let engines = how.engines.engines();
    let (json, trigger, machine) = (how.json, how.trigger, machine(VERSION, engines));
    let context = Context { json, trigger, repository, machine, engines, valgrind, sandbox, stop };
    let repeats = |scenario| how.repeats(scenario);
    let wanted = |scenario: &Scenario| prepared.iter().filter(|subject| subject.can_try(scenario)).count();
    let total = scenarios.iter().map(|scenario| repeats(scenario) as usize * wanted(scenario)).sum();
    let host = &context.machine.fingerprint;
    let kept = if how.resume { kept(repository, host, runtime, store)? } else { Kept::default() };
    let mut records = Vec::new();
    let mut recorded = 0;
    let mut news = News::new(store, runtime, host, &scenarios_in_words(scenarios), total);
    for scenario in scenarios {
        let (tried, skipped): (Vec<&Ready>, Vec<&Ready>) =
            prepared.iter().partition(|subject| subject.can_try(scenario));
        for Ready { prepared, .. } in skipped {
            let (name, sort) = (&prepared.subject.name, scenario.payload.sort());
            let reason = match prepared.subject.can_do(sort) {
                true => "it has no relay, and the providers cannot be reached",
                false => sort.inability(),
            };
            output::note(format!("skipped: `{name}` in `{}`: {reason}", scenario.name));
        }
        if tried.is_empty() {
            continue;
        }
        let staging = sandbox.scratch().join("staged");
        let payload = stage(scenario, sandbox, &staging)?;
        for iteration in 0..repeats(scenario) {
            for Ready { prepared: subject, .. } in &tried {
                let seed = how.seed(iteration);
                if let Some(id) = kept.get(&key(scenario, &subject.subject, seed)) {
                    records.extend(runtime.block_on(store.run(id))?);
                    continue;
                }
                let number = records.len() + 1;
                news.tell(format!("{} \u{b7} {}", scenario.name, subject.subject.name), records.len());
                let bar = || Bar::new(number, total, &scenario.name, &subject.subject.name);
                let at = || At { seed, iteration, pairing: None };
                let run = |bar: &Bar| context.run(scenario, subject, &payload, at(), bar);
                let record = context.attempts(run, bar, Bar::finish, &mut recorded, runtime, store)?;
                records.push(record.ok_or(CliError::Interrupted { recorded })?);
            }
        }
        remove(&staging)?;
    }
    Ok(records)
}

/// What a suite is called where it goes on.
fn scenarios_in_words(scenarios: &[Scenario]) -> String {
    match scenarios {
        [one] => one.name.clone(),
        all => format!("{} scenarios", all.len()),
    }
}

/// What tells the runs of a commit on a machine from each other: the scenario's hash, the subject and the seed.
pub(crate) type Key = (String, String, u64);

pub(crate) fn key(scenario: &Scenario, subject: &Subject, seed: u64) -> Key {
    (scenario.hash(), subject.name.clone(), seed)
}

/// Ids of runs that need not be repeated.
pub(crate) type Kept = HashMap<Key, String>;

/// What was measured of this commit on this machine, and says something about the subject.
pub(crate) fn kept(
    repository: Option<&Repository>,
    host: &str,
    runtime: &Runtime,
    store: &dyn Upkeep,
) -> Result<Kept, CliError> {
    let repository = repository.filter(|repository| !repository.detail.dirty).ok_or(CliError::NoCommit)?;
    let filter = RunFilter {
        project: Some(repository.project.clone()),
        host: Some(host.to_owned()),
        commit: Some(repository.commit.clone()),
        limit: u32::MAX,
        ..RunFilter::default()
    };
    let says_something = |run: &RunSummary| !matches!(run.outcome, Outcome::Untrusted | Outcome::SetupFailed);
    let runs = runtime.block_on(store.runs(&filter))?.into_iter().filter(|run| !run.dirty && says_something(run));
    Ok(runs.map(|run| ((run.scenario_hash, run.subject, run.seed), run.id)).collect())
}

pub(crate) fn valgrind(programs: &Programs) -> Result<PathBuf, CliError> {
    programs.tool("valgrind").ok_or(CliError::NoValgrind)
}

/// Runs a subject once, and keeps nothing. `None` if the user interrupted it.
pub(crate) fn once(
    scenario: &Scenario,
    prepared: &Prepared,
    sandbox: &Sandbox,
    stop: &Stop,
) -> Result<Option<RunRecord>, CliError> {
    let engines = Engines::default();
    let machine = machine(VERSION, engines);
    let (trigger, repository, valgrind) = (trigger(), None, None);
    let context = Context { json: false, trigger, repository, machine, engines, valgrind, sandbox, stop };
    let staging = sandbox.scratch().join("staged");
    let payload = stage(scenario, sandbox, &staging)?;
    let bar = Bar::new(1, 1, &scenario.name, &prepared.subject.name);
    let at = At { seed: 1, iteration: 0, pairing: None };
    let record = context.run(scenario, prepared, &payload, at, &bar);
    bar.abandon();
    remove(&staging)?;
    Ok(record)
}

/// The inner error is the run's.
pub(crate) fn stage(
    scenario: &Scenario,
    sandbox: &Sandbox,
    staging: &Path,
) -> Result<Result<Payload, longhaul_runner::PayloadError>, CliError> {
    let room = sandbox.room().map_err(|source| CliError::Environment { what: "cannot read /proc/meminfo", source })?;
    Ok(Payload::stage(&scenario.payload, scenario.roles.fetchers.len(), room, staging))
}

fn to_json(record: &RunRecord) -> Result<serde_json::Value, CliError> {
    serde_json::to_value(record)
        .map_err(|error| CliError::Environment { what: "cannot write a record as JSON", source: error.into() })
}

/// A subject that can be run here.
struct Ready {
    prepared: Prepared,
    /// Whether it was asked for by its own name.
    needed: bool,
}

impl Ready {
    /// Whether it may be measured in the scenario: without a command line for the payload, or without a relay where providers
    /// are behind NATs, it could but fail. Who asks for it by name sees that.
    fn can_try(&self, scenario: &Scenario) -> bool {
        can_try(&self.prepared.subject, self.needed, scenario)
    }
}

pub(crate) fn can_try(subject: &Subject, needed: bool, scenario: &Scenario) -> bool {
    let able = subject.can_do(scenario.payload.sort());
    needed || able && (subject.relay.is_some() || scenario.is_reachable())
}

/// Builds and finds the subjects. One that was asked for by name must be there; of all others, those that are.
fn prepare(asked: &Asked) -> Result<Vec<Ready>, CliError> {
    let programs = &asked.under_test.programs;
    let mut prepared = Vec::new();
    for Wanted { subject, needed } in &asked.subjects {
        if programs.would_build(subject) {
            output::note(format!("building what subject `{}` needs …", subject.name));
        }
        match programs.prepare(subject) {
            Ok(ready) => prepared.push(Ready { prepared: ready, needed: *needed }),
            Err(source) if *needed => return Err(CliError::Subject { subject: subject.name.clone(), source }),
            Err(error) => output::note(format!("skipped: subject `{}`: {}", subject.name, text::chain(&error))),
        }
    }
    if prepared.is_empty() { Err(CliError::NoSubject) } else { Ok(prepared) }
}

/// What all runs of a command share.
pub(crate) struct Context<'a> {
    /// Whether records are printed.
    pub(crate) json: bool,
    pub(crate) trigger: Trigger,
    pub(crate) repository: Option<&'a Repository>,
    pub(crate) machine: HostDetail,
    pub(crate) engines: Engines,
    pub(crate) valgrind: Option<&'a Path>,
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) stop: &'a Stop,
}

/// What is a single run's own.
pub(crate) struct At {
    pub(crate) seed: u64,
    pub(crate) iteration: u32,
    pub(crate) pairing: Option<Pairing>,
}

impl Context<'_> {
    /// Stores the record, and prints it if asked for, each whether or not the other works.
    pub(crate) fn keep(&self, record: &RunRecord, runtime: &Runtime, store: &dyn Upkeep) -> Result<(), CliError> {
        let inserted = runtime.block_on(store.insert_run(record));
        let printed = if self.json { to_json(record).and_then(|json| output::json(&json)) } else { Ok(()) };
        let inserted = inserted.map(drop).map_err(|source| CliError::Insert {
            id: record.id.clone(),
            scenario: record.scenario.clone(),
            source,
        });
        inserted.and(printed)
    }

    /// Runs a subject; if the network could not be trusted, again. Everything is recorded, and counted. `None` if the user
    /// interrupted it.
    pub(crate) fn attempts(
        &self,
        run: impl Fn(&Bar) -> Option<RunRecord>,
        bar: impl Fn() -> Bar,
        finish: impl Fn(Bar, &RunRecord),
        recorded: &mut usize,
        runtime: &Runtime,
        store: &dyn Upkeep,
    ) -> Result<Option<RunRecord>, CliError> {
        let mut attempt = 1;
        loop {
            let bar = bar();
            let Some(record) = run(&bar) else {
                bar.abandon();
                return Ok(None);
            };
            finish(bar, &record);
            self.keep(&record, runtime, store)?;
            *recorded += 1;
            if record.outcome != Outcome::Untrusted || attempt == ATTEMPTS {
                return Ok(Some(record));
            }
            attempt += 1;
            let reason = table::reason(&record);
            output::note(format!("untrusted ({reason}): attempt {attempt} of {ATTEMPTS}"));
        }
    }

    /// `None` if the user interrupted it.
    pub(crate) fn run(
        &self,
        scenario: &Scenario,
        prepared: &Prepared,
        payload: &Result<Payload, longhaul_runner::PayloadError>,
        At { seed, iteration, pairing }: At,
        bar: &Bar,
    ) -> Option<RunRecord> {
        let scratch = self.sandbox.scratch().join("run");
        let order = Order {
            scenario,
            prepared,
            payload,
            repository: self.repository,
            machine: &self.machine,
            engines: self.engines,
            seed,
            iteration,
            pairing,
            trigger: self.trigger,
            valgrind: self.valgrind,
            scratch: &scratch,
        };
        let record = longhaul_runner::run(&order, bar, &|| self.stop.wanted());
        // A daemon that the subject left would take processor time from the next run, and write where that one does.
        self.sandbox.end_all_others();
        // What was received is not needed any more; if it stays, the next run fails loudly at a directory in use.
        let _ = fs::remove_dir_all(&scratch);
        record
    }
}

/// What asks for the runs of this program.
pub(crate) fn trigger() -> Trigger {
    if std::env::var_os("CI").is_some() { Trigger::Ci } else { Trigger::Local }
}

pub(crate) fn remove(directory: &Path) -> Result<(), CliError> {
    match fs::remove_dir_all(directory) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(CliError::Environment { what: "cannot clear the scratch directory", source })
        }
        _ => Ok(()),
    }
}
