//! One run, from an order to a record.

use crate::clock::wall_ms;
use crate::git::Repository;
use crate::metrics::{self, Facts};
use crate::payload::Payload;
use crate::program::Prepared;
use crate::transfer::{Failure, Interrupt, Progress, Setting, TransferError, transfer};
use longhaul_record::{
    Calibration, Fidelity, HostDetail, LinkReport, Outcome, RunRecord, SCHEMA, Tolerance, Trigger, text,
};
use longhaul_scenarios::{Roles, Scenario};
use longhaul_stats::{judge, judge_cross};
use netsim_lab::{CalibrateError, Engines, Lab, calibrate, calibrate_access, check_nat};
use netsim_topology::{Direction, LinkName, discovery, plan};
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
    /// What asked for it.
    pub trigger: Trigger,
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

/// A scenario that this version cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{scenario}` has {providers} and {fetchers}; this version of longhaul runs one of each: take a scenario with one of each"
)]
pub struct Unsupported {
    scenario: String,
    providers: String,
    fetchers: String,
}

/// Whether this version can run a scenario.
pub fn check(scenario: &Scenario) -> Result<(), Unsupported> {
    let Roles { providers, fetchers, .. } = &scenario.roles;
    let counted = |hosts: &[String], what| format!("{} {what}{}", hosts.len(), if hosts.len() == 1 { "" } else { "s" });
    match (providers.len(), fetchers.len()) {
        (1, 1) => Ok(()),
        _ => Err(Unsupported {
            scenario: scenario.name.clone(),
            providers: counted(providers, "provider"),
            fetchers: counted(fetchers, "fetcher"),
        }),
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
    check(scenario).map_err(|error| Stop::setup(&error))?;
    let payload = order.payload.as_ref().map_err(|error| Stop::setup(error))?;
    (record.payload_bytes, record.payload_files) = (payload.bytes(), payload.file_count());
    let [out, home] = ["out", "home"].map(|name| order.scratch.join(name));
    for directory in [&out, &home] {
        fs::create_dir_all(directory).map_err(|error| Stop::setup(&error))?;
    }
    progress.step("bringing the network up");
    let plan = plan(&scenario.topology).map_err(|error| Stop::setup(&error))?;
    let lab = Lab::up_with(&plan, order.seed, order.engines).map_err(|error| Stop::setup(&error))?;
    progress.step("calibrating");
    record.calibration = calibration(&lab, order, &record.tolerance)?;
    let setting = Setting {
        lab: &lab,
        scenario,
        prepared: order.prepared,
        payload,
        out: &out,
        home: &home,
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
    let access = access_names(scenario);
    let down = |link: &String| lab.link_index(&LinkName { link: link.clone(), direction: Direction::Down });
    let down: Vec<usize> = access.iter().filter_map(down).collect();
    record.series = metrics::series(&seen.snapshot.timeline, &down, &seen.progress);
    record.processes = seen.processes;
    record.cross = seen.cross;
    if let Some(failure) = seen.failure {
        return Err(Stop::Failed(failure));
    }
    progress.step("checking every byte");
    payload.verify(&out).map_err(|reason| Stop::Failed(Failure { outcome: Outcome::SubjectFailed, reason }))?;
    let access: Vec<LinkReport> = record.links.iter().filter(|link| access.contains(&link.link)).cloned().collect();
    let host = lab.host(scenario.fetcher()).map_err(|error| Stop::setup(&error))?;
    record.samples = metrics::samples(&Facts {
        payload_bytes: payload.bytes(),
        milestones: &seen.milestones,
        total_s: seen.total_s,
        processes: &record.processes,
        access: &access,
        links: &record.links,
        access_shared: scenario
            .cross
            .iter()
            .any(|flow| [&flow.from, &flow.to].into_iter().any(|host| host == scenario.fetcher())),
        flows: lab.flows(&seen.snapshot, host),
    });
    judge_record(record);
    Ok(())
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

/// Calibration sees other losses than the transfer: otherwise it would prove only what the seed already says.
const CALIBRATION_SEED: u64 = 0x6361_6c69_6272_6174;
/// A busy machine can spoil a calibration of a few hundred milliseconds: it gets this many tries. The record holds the
/// last one, which counts.
const CALIBRATIONS: u64 = 3;

fn calibration(lab: &Lab, order: &Order, tolerance: &Tolerance) -> Result<Calibration, Stop> {
    let (topology, fetcher, provider) = (&order.scenario.topology, order.scenario.fetcher(), order.scenario.provider());
    let mut last = Calibration::default();
    for attempt in 0..CALIBRATIONS {
        let nats = [fetcher, provider].into_iter().filter_map(|host| check_nat(lab, topology, host).transpose());
        let nats = nats.collect::<Result<_, CalibrateError>>().map_err(|error| Stop::setup(&error))?;
        lab.restart(order.seed ^ CALIBRATION_SEED.rotate_left(attempt as u32)).map_err(|error| Stop::setup(&error))?;
        // Nobody can probe a provider that lies behind a NAT or firewall: then both are probed from the internet's core.
        let paths = if discovery(topology, provider).is_none() {
            calibrate(lab, topology, fetcher, provider).map(Vec::from)
        } else {
            let ways = [[fetcher, provider], [provider, fetcher]];
            let each = ways.map(|[host, peer]| calibrate_access(lab, topology, host, peer));
            each.into_iter().collect::<Result<Vec<_>, _>>().map(|paths| paths.into_iter().flatten().collect())
        };
        last = match paths {
            Ok(paths) => Calibration { paths, nats },
            Err(error @ CalibrateError::Unreachable { .. }) => {
                return Err(Stop::Failed(Failure { outcome: Outcome::Untrusted, reason: error.to_string() }));
            }
            Err(error) => return Err(Stop::setup(&error)),
        };
        if judge(&last, &Fidelity::default(), tolerance).is_empty() {
            break;
        }
    }
    Ok(last)
}

/// The fetcher's access links: one for each of its interfaces.
fn access_names(scenario: &Scenario) -> Vec<String> {
    let fetchers = scenario.topology.hosts.iter().filter(|host| host.name == scenario.fetcher());
    fetchers.flat_map(|host| host.interfaces.iter().map(|interface| host.link_name(interface))).collect()
}

fn empty_record(order: &Order) -> RunRecord {
    let started_ms = wall_ms();
    let (seconds, millis) = (started_ms.div_euclid(1000), started_ms.rem_euclid(1000));
    let stamp = Timestamp::from_unix(
        NoContext,
        u64::try_from(seconds).unwrap_or(0),
        u32::try_from(millis).unwrap_or(0) * 1_000_000,
    );
    RunRecord {
        schema: SCHEMA,
        id: Uuid::new_v7(stamp).to_string(),
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
        payload_bytes: 0,
        payload_files: 0,
        calibration: Calibration::default(),
        fidelity: Fidelity::default(),
        tolerance: Tolerance::default(),
        links: Vec::new(),
        cross: Vec::new(),
        changes: order.scenario.changes(),
        processes: Vec::new(),
        samples: Vec::new(),
        series: Vec::new(),
    }
}
