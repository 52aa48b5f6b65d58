//! One run, from an order to a record.

use crate::calibration::calibration;
use crate::clock::wall_ms;
use crate::git::Repository;
use crate::happenings;
use crate::metrics::{self, Facts, NetworkFacts};
use crate::observed::{Fetchers, access_links, ceiling, crossed};
use crate::payload::Payload;
use crate::program::Prepared;
use crate::transfer::{Failure, Interrupt, Progress, Seen, Setting, TransferError, out_of, space_bytes, transfer};
use longhaul_record::{
    Calibration, Fidelity, HostDetail, LinkReport, Outcome, Pairing, RunRecord, SCHEMA, Sample, Tolerance, Trigger,
    text,
};
use longhaul_scenarios::{Delivers, Scenario, Sort};
use longhaul_stats::{judge, judge_cross};
use netsim_lab::{CalibrateError, Engines, Lab, Space};
use netsim_topology::plan;
use std::fs;
use std::path::Path;
use uuid::{NoContext, Timestamp, Uuid};

/// What is to be run, and what the record has to say about it.
#[derive(Debug)]
pub struct Order<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// The subject, with its programs.
    pub prepared: &'a Prepared,
    /// The scenario's payload; an error of staging it becomes a failed run.
    pub payload: &'a Result<Payload, crate::PayloadError>,
    /// The repository the run belongs to.
    pub repository: Option<&'a Repository>,
    /// The machine it runs on.
    pub machine: &'a HostDetail,
    /// What the network is made of.
    pub engines: Engines,
    /// Seed of the network.
    pub seed: u64,
    /// Which repetition it is.
    pub iteration: u32,
    /// Where it stands in a comparison, if it is part of one.
    pub pairing: Option<Pairing>,
    /// What asked for it.
    pub trigger: Trigger,
    /// Where Valgrind is, if instructions are to be counted instead of times measured.
    pub valgrind: Option<&'a Path>,
    /// An empty directory for this run alone.
    pub scratch: &'a Path,
}

/// Runs the order. `None` if the user interrupted it: such a run is not recorded.
pub fn run(order: &Order, progress: &dyn Progress, interrupted: Interrupt) -> Option<RunRecord> {
    let mut record = empty_record(order);
    let result = attempt(order, &mut record, progress, interrupted);
    record.ended_ms = wall_ms().max(record.started_ms);
    match result {
        Ok(()) => Some(record),
        Err(Stop::Interrupted) => None,
        Err(Stop::Failed(failure)) => {
            record.outcome = failure.outcome;
            record.reason = Some(failure.reason);
            record.samples.clear();
            Some(record)
        }
    }
}

/// Why a run ended without numbers.
enum Stop {
    Interrupted,
    Failed(Failure),
}

impl Stop {
    fn setup(error: &dyn std::error::Error) -> Stop {
        Stop::Failed(Failure { outcome: Outcome::SetupFailed, reason: text::chain(error) })
    }
}

fn attempt(order: &Order, record: &mut RunRecord, progress: &dyn Progress, interrupted: Interrupt) -> Result<(), Stop> {
    let scenario = order.scenario;
    let payload = order.payload.as_ref().map_err(|error| Stop::setup(error))?;
    (record.payload_bytes, record.payload_files) = (payload.bytes(), payload.file_count());
    let sides = scenario.roles.providers.len() + scenario.roles.fetchers.len();
    let bytes = space_bytes(&order.prepared.subject.limits, payload.bytes(), sides);
    fs::create_dir_all(order.scratch).map_err(|error| Stop::setup(&error))?;
    let space = Space::mount(order.scratch, bytes).map_err(|error| Stop::setup(&error))?;
    let [out, homes, tmps] = ["out", "home", "tmp"].map(|name| order.scratch.join(name));
    for directory in [&out, &homes, &tmps] {
        fs::create_dir_all(directory).map_err(|error| Stop::setup(&error))?;
    }
    progress.step("bringing the network up");
    let plan = plan(&scenario.topology).map_err(|error| Stop::setup(&error))?;
    let lab = Lab::up_with(&plan, order.seed, order.engines).map_err(|error| Stop::setup(&error))?;
    progress.step("calibrating");
    let calibrated = calibration(&lab, scenario, order.seed, &record.tolerance);
    record.calibration = calibrated.map_err(|error| match error {
        CalibrateError::Unreachable { .. } => {
            Stop::Failed(Failure { outcome: Outcome::Untrusted, reason: error.to_string() })
        }
        error => Stop::setup(&error),
    })?;
    let setting = Setting {
        lab: &lab,
        scenario,
        prepared: order.prepared,
        payload,
        out: &out,
        homes: &homes,
        tmps: &tmps,
        valgrind: order.valgrind,
        space: space.bytes(),
        seed: order.seed,
        progress,
        interrupted,
    };
    let seen = transfer(&setting).map_err(|error| match error {
        TransferError::Interrupted => Stop::Interrupted,
        TransferError::Lab(error) => Stop::setup(&error),
        TransferError::Cross(error) => Stop::setup(&error),
    })?;
    record.fidelity = lab.fidelity(&seen.snapshot).map_err(|error| Stop::setup(&error))?;
    record.links = lab.link_reports(&seen.snapshot);
    let fetchers = Fetchers::new(&lab, scenario, &seen);
    record.series = fetchers.series();
    record.paths = happenings::paths(&seen.fetchers);
    record.mappings = happenings::mappings(lab.mapping_events(&seen.snapshot), seen.snapshot.since);
    record.stalls = fetchers.stalls_each();
    record.cross = seen.cross.clone();
    record.processes = seen.processes.clone();
    if let Some(failure) = seen.failure.clone() {
        return Err(Stop::Failed(failure));
    }
    if order.valgrind.is_some() && seen.processes.iter().all(|process| process.instructions.is_none()) {
        // Without a count there is nothing to say: times under Valgrind are not times.
        let reason = "Valgrind left no count of instructions; does the subject delete files in its home?".to_owned();
        return Err(Stop::Failed(Failure { outcome: Outcome::SetupFailed, reason }));
    }
    let checked = match order.prepared.subject.delivers {
        _ if payload.sort() == Sort::Lookups => all_looked_up(&seen, payload),
        Delivers::Payload => {
            progress.step("checking every byte");
            verify(scenario, payload, &out)
        }
        Delivers::Nothing => said_enough(&seen),
    };
    checked.map_err(|reason| Stop::Failed(Failure { outcome: Outcome::SubjectFailed, reason }))?;
    record.recoveries = fetchers.recoveries(scenario);
    record.samples = samples(scenario, &seen, &fetchers, record);
    judge_record(record);
    Ok(())
}

/// Checks that every fetcher got exactly the payload.
fn verify(scenario: &Scenario, payload: &Payload, out: &Path) -> Result<(), String> {
    let fetchers = &scenario.roles.fetchers;
    fetchers.iter().try_for_each(|fetcher| {
        let checked = payload.verify(&out_of(out, fetcher));
        checked.map_err(|reason| if fetchers.len() == 1 { reason } else { format!("{fetcher}: {reason}") })
    })
}

/// Where nothing is delivered, the fetchers' word is all there is.
fn said_enough(seen: &Seen) -> Result<(), String> {
    match seen.fetchers.iter().find(|fetcher| fetcher.bytes == 0) {
        Some(silent) => Err(format!("{} did not say that it received anything", silent.host)),
        None => Ok(()),
    }
}

/// Where things are looked up, each fetcher has to say how it went for each of them.
fn all_looked_up(seen: &Seen, payload: &Payload) -> Result<(), String> {
    let asked = payload.key_count();
    match seen.fetchers.iter().find(|fetcher| fetcher.lookups.len() != asked) {
        Some(other) => Err(format!("{} told of {} lookups, and was to make {asked}", other.host, other.lookups.len())),
        None => Ok(()),
    }
}

/// The numbers of a transfer that went well.
fn samples(scenario: &Scenario, seen: &Seen, fetchers: &Fetchers, record: &RunRecord) -> Vec<Sample> {
    let [access, providers] =
        [&scenario.roles.fetchers, &scenario.roles.providers].map(|hosts| access_links(scenario, hosts));
    let of = |names: &[String], up_alone: bool| -> Vec<LinkReport> {
        let wanted = |link: &&LinkReport| names.contains(&link.link) && (!up_alone || link.direction == "up");
        record.links.iter().filter(wanted).cloned().collect()
    };
    let (links, up) = (of(&access, false), of(&providers, true));
    let network = NetworkFacts {
        fetchers: (!crossed(scenario, &scenario.roles.fetchers)).then(|| fetchers.access(&links)),
        providers_up: (!crossed(scenario, &scenario.roles.providers)).then_some(&up),
        ceiling_bps: ceiling(scenario),
        peak_queueing_ns: record.links.iter().map(|link| link.peak_queueing_delay_ns).max().unwrap_or(0),
        median_queueing_s: metrics::median_queueing_s(&seen.snapshot.timeline),
    };
    metrics::samples(&Facts {
        fetchers: &seen.fetchers,
        provider_amounts: &seen.provider_amounts,
        processes: &record.processes,
        network: &network,
        cross: &record.cross,
        recoveries: &record.recoveries,
    })
}

/// The one verdict a runner passes on: whether the network was what it should be.
fn judge_record(record: &mut RunRecord) {
    let mut deviations = judge(&record.calibration, &record.fidelity, &record.tolerance);
    deviations.extend(judge_cross(&record.cross, &record.tolerance));
    if deviations.is_empty() {
        record.outcome = Outcome::Ok;
    } else {
        record.outcome = Outcome::Untrusted;
        let sentences: Vec<String> = deviations.iter().map(ToString::to_string).collect();
        record.reason = Some(sentences.join("; "));
    }
}

/// A new id of something that starts now, in milliseconds since 1970: a UUIDv7 in its usual text form.
pub fn new_id(started_ms: i64) -> String {
    let (seconds, millis) = (started_ms.div_euclid(1000), started_ms.rem_euclid(1000));
    let stamp = Timestamp::from_unix(
        NoContext,
        u64::try_from(seconds).unwrap_or(0),
        u32::try_from(millis).unwrap_or(0) * 1_000_000,
    );
    Uuid::new_v7(stamp).to_string()
}

fn empty_record(order: &Order) -> RunRecord {
    let started_ms = wall_ms();
    RunRecord {
        schema: SCHEMA,
        id: new_id(started_ms),
        project: order.repository.map_or_else(|| "unnamed".into(), |repository| repository.project.clone()),
        commit: order.repository.map(|repository| repository.commit.clone()),
        commit_detail: order.repository.map(|repository| repository.detail.clone()),
        scenario: order.scenario.name.clone(),
        scenario_hash: order.scenario.hash(),
        scenario_resolved: order.scenario.resolved(),
        scenario_words: order.scenario.words(),
        subject: order.prepared.subject.name.clone(),
        subject_detail: order.prepared.detail.clone(),
        host: order.machine.clone(),
        seed: order.seed,
        iteration: order.iteration,
        started_ms,
        ended_ms: started_ms,
        trigger: order.trigger,
        outcome: Outcome::SetupFailed,
        reason: None,
        pairing: order.pairing.clone(),
        payload_bytes: 0,
        payload_files: 0,
        calibration: Calibration::default(),
        fidelity: Fidelity::default(),
        tolerance: Tolerance::default(),
        links: Vec::new(),
        cross: Vec::new(),
        changes: order.scenario.changes(),
        recoveries: Vec::new(),
        paths: Vec::new(),
        mappings: Vec::new(),
        stalls: Vec::new(),
        processes: Vec::new(),
        samples: Vec::new(),
        series: Vec::new(),
    }
}
