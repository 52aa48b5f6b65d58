//! Runs a subject's programs inside a lab that is up.

mod confined;
mod counted;
mod listener;
mod running;

use crate::payload::Payload;
use crate::program::Prepared;
pub(crate) use confined::space_bytes;
use longhaul_record::{CrossReport, Outcome, ProcessReport, Role};
use longhaul_scenarios::{Amount, Delivers, FanIn, Milestone, Scenario, Values};
use netsim_lab::{CrossError, Lab, LabError, Snapshot};
use running::{Running, State, address_of, seconds_between};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Asked often during a run: whether the user wants to stop.
pub type Interrupt<'a> = &'a dyn Fn() -> bool;

/// Told what is happening, for progress bars.
pub trait Progress {
    /// A new step begins.
    fn step(&self, what: &str);
    /// So many payload bytes of so many are known to have arrived.
    fn bytes(&self, done: u64, of: u64);
}

/// What was seen of a transfer. All times are seconds on one clock, which starts with the first fetcher.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) processes: Vec<ProcessReport>,
    /// One for each fetcher, in the scenario's order.
    pub(crate) fetchers: Vec<FetcherSeen>,
    /// What only the providers can count, one after the other.
    pub(crate) provider_amounts: Vec<BTreeMap<Amount, f64>>,
    /// The network's counters when the last fetcher had ended.
    pub(crate) snapshot: Box<Snapshot>,
    /// What the flows beside the transfer did until then.
    pub(crate) cross: Vec<CrossReport>,
    /// What went wrong with the subject, if anything.
    pub(crate) failure: Option<Failure>,
}

/// What was seen of one fetcher.
#[derive(Debug, Clone, Default)]
pub(crate) struct FetcherSeen {
    /// Its host.
    pub(crate) host: String,
    /// When its process started.
    pub(crate) started_s: f64,
    /// When its process ended.
    pub(crate) ended_s: f64,
    /// When it reached what.
    pub(crate) milestones: BTreeMap<Milestone, f64>,
    /// What only it can count.
    pub(crate) amounts: BTreeMap<Amount, f64>,
    /// Verified payload bytes by its own word: when, bytes.
    pub(crate) progress: Vec<(f64, u64)>,
    /// What it looked up.
    pub(crate) lookups: Vec<Lookup>,
    /// The ways it took, in the order in which it said so.
    pub(crate) paths: Vec<PathSeen>,
    /// Payload bytes that it got: the payload's, which is checked, or its own word where nothing is delivered.
    pub(crate) bytes: u64,
}

/// A way that a fetcher went on by, by its own word.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PathSeen {
    /// When, in seconds.
    pub(crate) at_s: f64,
    /// `direct` or `relay`.
    pub(crate) kind: String,
    /// The address that it sends to.
    pub(crate) remote: String,
}

/// How a lookup went, by the fetcher's word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Lookup {
    /// How long it took until somebody was found; `None`: nobody was.
    pub(crate) seconds: Option<f64>,
    /// Messages it took, if they were counted.
    pub(crate) messages: Option<u64>,
}

impl PathSeen {
    /// The same on a clock that started so many seconds earlier.
    fn after(&self, seconds: f64) -> PathSeen {
        PathSeen { at_s: self.at_s + seconds, ..self.clone() }
    }
}

/// Why a transfer is not a measurement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    pub(crate) outcome: Outcome,
    pub(crate) reason: String,
}

impl Failure {
    fn subject(reason: impl Into<String>) -> Failure {
        Failure { outcome: Outcome::SubjectFailed, reason: reason.into() }
    }

    fn setup(reason: impl Into<String>) -> Failure {
        Failure { outcome: Outcome::SetupFailed, reason: reason.into() }
    }

    fn timed_out(reason: impl Into<String>) -> Failure {
        Failure { outcome: Outcome::TimedOut, reason: reason.into() }
    }

    /// Says whose failure it is.
    fn of(self, whose: &str) -> Failure {
        Failure { reason: format!("{whose}: {}", self.reason), ..self }
    }
}

/// What a transfer needs.
pub(crate) struct Setting<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) scenario: &'a Scenario,
    pub(crate) prepared: &'a Prepared,
    pub(crate) payload: &'a Payload,
    /// An empty directory for what is received; each fetcher has one of its own in it.
    pub(crate) out: &'a Path,
    /// An empty directory for the homes of the subject's programs, one for each host.
    pub(crate) homes: &'a Path,
    /// An empty directory for what they see as `/tmp`, likewise.
    pub(crate) tmps: &'a Path,
    /// Where Valgrind is, if instructions are to be counted.
    pub(crate) valgrind: Option<&'a Path>,
    /// Bytes that all of these may take.
    pub(crate) space: u64,
    pub(crate) seed: u64,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) interrupted: Interrupt<'a>,
}

/// How a transfer could not even be tried.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransferError {
    #[error(transparent)]
    Lab(#[from] LabError),
    #[error(transparent)]
    Cross(#[from] CrossError),
    #[error("interrupted")]
    Interrupted,
}

/// How often time-outs and interruptions are looked for while nothing happens.
const TICK: Duration = Duration::from_millis(20);
/// How long to wait for the end of a stream of a process that has ended.
const STREAM_END: Duration = Duration::from_millis(500);

/// Everything of the subject that runs.
#[derive(Default)]
struct Cast<'a> {
    /// What was there before the fetchers: the relay, the providers, the fetchers' daemons.
    ready: Vec<Running<'a>>,
    fetchers: Vec<Running<'a>>,
}

impl Cast<'_> {
    /// Ends everything, those that need others first, each by `end`. Reports come in the order of starting.
    fn end(mut self, end: impl Fn(&mut Running) -> ProcessReport) -> Vec<ProcessReport> {
        let everything = self.ready.iter_mut().chain(&mut self.fetchers);
        let mut reports: Vec<ProcessReport> = everything.rev().map(end).collect();
        reports.reverse();
        reports
    }
}

/// Where one fetcher writes.
pub(crate) fn out_of(out: &Path, fetcher: &str) -> PathBuf {
    out.join(fetcher)
}

/// Runs the transfer. The network starts from its first moment right before the fetchers do.
pub(crate) fn transfer(setting: &Setting) -> Result<Seen, TransferError> {
    let mut cast = Cast::default();
    // Whoever is there before the fetchers may have to stay reachable through a NAT, but not what calibrated it.
    setting.lab.restart(setting.seed)?;
    let values = match setting.set_up(&mut cast)? {
        Ok(values) => values,
        Err(failure) => return setting.failed(cast, failure),
    };
    let cross = setting.lab.cross(&setting.scenario.cross)?;
    setting.lab.play_on(setting.seed, &setting.scenario.timeline)?;
    let cross = cross.start(netsim_lab::now())?;
    setting.progress.step("transferring");
    for (fetcher, values) in setting.scenario.roles.fetchers.iter().zip(&values) {
        match setting.start(&setting.prepared.subject.fetcher, Role::Fetcher, fetcher, values) {
            Ok(running) => cast.fetchers.push(running),
            Err(failure) => return setting.failed(cast, failure),
        }
    }
    let failure = setting.follow(&mut cast)?;
    let snapshot = setting.lab.snapshot()?;
    let cross = cross.stop();
    let failure = failure.or_else(|| cast.fetchers.iter().find_map(|fetcher| fetcher.listener.missing()));
    let fetchers = setting.seen_of(&cast.fetchers);
    let providers = cast.ready.iter().filter(|running| running.role() == Role::Provider);
    let provider_amounts = providers.map(|provider| provider.listener.amounts.clone()).collect();
    setting.progress.step("stopping the programs");
    let processes = match &failure {
        Some(failure) => cast.end(|running| running.end_with(failure)),
        None => cast.end(|running| running.stop()),
    };
    Ok(Seen { processes, fetchers, provider_amounts, snapshot, cross, failure })
}

impl<'a> Setting<'a> {
    /// What the fetchers said and did, on the first one's clock.
    fn seen_of(&self, fetchers: &[Running]) -> Vec<FetcherSeen> {
        let Some(start) = fetchers.first().map(|first| first.process.started()) else { return Vec::new() };
        let of = |fetcher: &Running| {
            let started_s = seconds_between(start, fetcher.process.started());
            let listener = &fetcher.listener;
            FetcherSeen {
                host: fetcher.host.name().to_owned(),
                started_s,
                ended_s: fetcher.ended.map_or(0.0, |ended| seconds_between(start, ended.at)),
                milestones: listener.milestones.iter().map(|(milestone, t)| (*milestone, started_s + t)).collect(),
                amounts: listener.amounts.clone(),
                progress: listener.progress.iter().map(|(t, bytes)| (started_s + t, *bytes)).collect(),
                lookups: listener.lookups.clone(),
                paths: listener.paths.iter().map(|path| path.after(started_s)).collect(),
                bytes: match self.prepared.subject.delivers {
                    Delivers::Payload => self.payload.bytes(),
                    Delivers::Nothing => listener.bytes(),
                },
            }
        };
        fetchers.iter().map(of).collect()
    }

    /// Starts all that has to be there before a fetcher's clock starts, and waits for it. Returns what each fetcher's
    /// command line may refer to.
    fn set_up(&'a self, cast: &mut Cast<'a>) -> Result<Result<Vec<Values>, Failure>, TransferError> {
        let subject = &self.prepared.subject;
        let mut values = self.payload.values();
        values.set("run.seed", self.seed.to_string());
        if let (Some(relay), Some(host)) = (&subject.relay, self.relay_host()) {
            self.progress.step("starting the relay");
            let running = match self.start(relay, Role::Relay, host, &values) {
                Ok(running) => running,
                Err(failure) => return Ok(Err(failure)),
            };
            if let Err(failure) = self.ready(cast, vec![running])? {
                return Ok(Err(failure));
            }
            cast.ready.iter().for_each(|relay| tell(&mut values, "relay", relay));
        }
        if let Err(failure) = self.start_nodes(cast, &mut values)? {
            return Ok(Err(failure));
        }
        self.progress.step("starting the provider");
        let started = cast.ready.len();
        let starting = self.scenario.roles.providers.iter();
        let starting = starting.map(|host| self.start(&subject.provider, Role::Provider, host, &values));
        let starting = match starting.collect::<Result<Vec<_>, _>>() {
            Ok(starting) => starting,
            Err(failure) => return Ok(Err(failure)),
        };
        if let Err(failure) = self.ready(cast, starting)? {
            return Ok(Err(failure));
        }
        let providers = started..cast.ready.len();
        let mut all = Vec::new();
        for (number, host) in self.scenario.roles.fetchers.iter().enumerate() {
            let mut values = values.clone();
            let out = out_of(self.out, host);
            if let Err(error) = std::fs::create_dir_all(&out) {
                return Ok(Err(Failure::setup(format!("cannot make {}: {error}", out.display()))));
            }
            values.set("out", out.to_string_lossy());
            let mine = match subject.fan_in {
                FanIn::All => providers.clone(),
                FanIn::One => {
                    let one = started + number % providers.len().max(1);
                    one..one + 1
                }
            };
            cast.ready[mine].iter().for_each(|provider| tell(&mut values, "provider", provider));
            if let Some(daemon) = &subject.fetcher_daemon {
                let running = match self.start(daemon, Role::Fetcher, host, &values) {
                    Ok(running) => running,
                    Err(failure) => return Ok(Err(failure)),
                };
                if let Err(failure) = self.ready(cast, vec![running])? {
                    return Ok(Err(failure));
                }
                cast.ready.last().into_iter().for_each(|daemon| tell(&mut values, "daemon", daemon));
            }
            all.push(values);
        }
        Ok(Ok(all))
    }

    /// Starts the network in which things are looked up: the first node, then all that join by it.
    fn start_nodes(&'a self, cast: &mut Cast<'a>, values: &mut Values) -> Result<Result<(), Failure>, TransferError> {
        let (Some(node), [first, others @ ..]) = (&self.prepared.subject.node, self.scenario.roles.nodes.as_slice())
        else {
            return Ok(Ok(()));
        };
        values.set("bootstrap.address", address_of(self.lab.host(first)?));
        for hosts in [std::slice::from_ref(first), others] {
            let mut starting = Vec::new();
            for host in hosts {
                self.progress.step(&format!("starting {host}"));
                match self.start(node, Role::Node, host, values) {
                    Ok(running) => starting.push(running),
                    Err(failure) => {
                        cast.ready.extend(starting);
                        return Ok(Err(failure));
                    }
                }
                if (self.interrupted)() {
                    return Err(TransferError::Interrupted);
                }
            }
            self.progress.step("waiting for the nodes");
            if let Err(failure) = self.ready(cast, starting)? {
                return Ok(Err(failure));
            }
        }
        Ok(Ok(()))
    }

    /// Where the subject's relay runs, if it has one and the scenario a place for it. A subject that has no other command
    /// lines for want of a relay cannot do without: then it is where the first provider is.
    fn relay_host(&self) -> Option<&'a String> {
        let (subject, roles) = (&self.prepared.subject, &self.scenario.roles);
        subject.relay.as_ref()?;
        let optional = subject.provider.relayed.is_some() || subject.fetcher.relayed.is_some();
        let own = if optional { None } else { roles.providers.first() };
        roles.relay.as_ref().or(roles.rendezvous.as_ref()).or(own)
    }

    /// Waits until programs that were started can be used. They join the cast in any case, so that they are ended.
    fn ready(&'a self, cast: &mut Cast<'a>, starting: Vec<Running<'a>>) -> Result<Result<(), Failure>, TransferError> {
        let from = cast.ready.len();
        cast.ready.extend(starting);
        for running in &mut cast.ready[from..] {
            if let Err(failure) = self.wait_until_ready(running)? {
                return Ok(Err(failure));
            }
            running.process.stop_listening();
        }
        Ok(Ok(()))
    }

    /// Listens to the fetchers until all have ended, or have to be ended. However much is said, the clock is looked at.
    fn follow(&self, cast: &mut Cast) -> Result<Option<Failure>, TransferError> {
        let Some(start) = cast.fetchers.first().map(|first| first.process.started()) else { return Ok(None) };
        loop {
            if (self.interrupted)() {
                return Err(TransferError::Interrupted);
            }
            match look_at_all(&mut cast.fetchers) {
                Ok(true) => return Ok(None),
                Ok(false) => {}
                Err(failure) => return Ok(Some(failure)),
            }
            let done = cast.fetchers.iter().map(|fetcher| fetcher.listener.bytes()).sum();
            self.progress.bytes(done, self.payload.bytes() * cast.fetchers.len() as u64);
            if let Some(failure) = cast.ready.iter_mut().find_map(Running::has_left) {
                return Ok(Some(failure));
            }
            let timeout_s = self.scenario.timeout.as_secs_f64();
            if seconds_between(start, netsim_lab::now()) > timeout_s {
                return Ok(Some(Failure::timed_out(late(&cast.fetchers, timeout_s))));
            }
        }
    }

    /// A transfer that did not come about.
    fn failed(&self, cast: Cast, failure: Failure) -> Result<Seen, TransferError> {
        Ok(Seen {
            processes: cast.end(|running| running.end_with(&failure)),
            fetchers: Vec::new(),
            provider_amounts: Vec::new(),
            snapshot: self.lab.snapshot()?,
            cross: Vec::new(),
            failure: Some(failure),
        })
    }
}

/// Makes known to others what a program has told, and where it is.
fn tell(values: &mut Values, owner: &str, running: &Running) {
    values.add(format!("{owner}.address"), address_of(running.host));
    for (name, text) in &running.listener.texts {
        values.add(format!("{owner}.{name}"), text);
    }
}

/// Listens to all that have not ended; waits a tick when none of them had anything to say. Whether all have ended.
fn look_at_all(fetchers: &mut [Running]) -> Result<bool, Failure> {
    let mut quiet = true;
    for fetcher in fetchers.iter_mut().filter(|fetcher| fetcher.ended.is_none()) {
        let start = fetcher.process.started();
        quiet &= matches!(fetcher.look(Duration::ZERO, start)?, State::Running(false));
    }
    if quiet && let Some(fetcher) = fetchers.iter_mut().find(|fetcher| fetcher.ended.is_none()) {
        let start = fetcher.process.started();
        fetcher.look(TICK, start)?;
    }
    Ok(fetchers.iter().all(|fetcher| fetcher.ended.is_some()))
}

/// Who has not finished.
fn late(fetchers: &[Running], timeout_s: f64) -> String {
    let late: Vec<&str> = fetchers.iter().filter(|fetcher| fetcher.ended.is_none()).map(|f| f.host.name()).collect();
    let who = if fetchers.len() == 1 { String::new() } else { format!(": {}", late.join(", ")) };
    format!("not finished within {timeout_s} s{who}")
}
