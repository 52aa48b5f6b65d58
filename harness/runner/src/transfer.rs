//! Runs a provider and a fetcher inside a lab that is up.

use crate::payload::Payload;
use crate::program::Prepared;
use longhaul_record::{CrossReport, Event, ExitState, Outcome, ProcessReport, Role, text};
use longhaul_scenarios::{Milestone, Ready, RoleSpec, Scenario};
use netsim_lab::{
    CrossError, Ended, Host, How, Lab, LabError, Line, MAX_STDOUT_BYTES, NoLine, Process, Snapshot, Spec,
};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
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

/// What was seen of a transfer.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) processes: Vec<ProcessReport>,
    /// Milestones on the fetcher's own clock, in seconds since its start.
    pub(crate) milestones: BTreeMap<Milestone, f64>,
    /// Verified payload bytes by the fetcher's own word: seconds since its start, bytes.
    pub(crate) progress: Vec<(f64, u64)>,
    /// From the start of the fetcher process to its end, in seconds.
    pub(crate) total_s: f64,
    /// The network's counters at that end.
    pub(crate) snapshot: Box<Snapshot>,
    /// What the flows beside the transfer did until then.
    pub(crate) cross: Vec<CrossReport>,
    /// What went wrong with the subject, if anything.
    pub(crate) failure: Option<Failure>,
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
}

/// What a transfer needs.
pub(crate) struct Setting<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) scenario: &'a Scenario,
    pub(crate) prepared: &'a Prepared,
    pub(crate) payload: &'a Payload,
    /// An empty directory for what is received.
    pub(crate) out: &'a Path,
    /// A directory the subject may use as its home.
    pub(crate) home: &'a Path,
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
/// How long a provider may take to get ready, if the scenario's time-out is not shorter: importing a large payload
/// takes a while.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a provider may take to end when asked to.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// How long to wait for the end of a stream of a process that has ended.
const STREAM_END: Duration = Duration::from_millis(500);

/// A process of the subject.
struct Running<'a> {
    role: Role,
    host: &'a Host,
    command: Vec<String>,
    process: Process,
    ended: Option<Ended>,
}

/// Runs the transfer. The network starts from its first moment right before the fetcher does.
pub(crate) fn transfer(setting: &Setting) -> Result<Seen, TransferError> {
    let mut values: BTreeMap<&str, String> = setting.payload.placeholders().into();
    values.insert("out", setting.out.to_string_lossy().into_owned());
    let provider_host = setting.lab.host(setting.scenario.provider())?;
    let address = provider_host.addresses().first().map(ToString::to_string).unwrap_or_default();
    values.insert("provider.address", address);
    setting.progress.step("starting the provider");
    let mut provider = match setting.start(Role::Provider, &values) {
        Ok(provider) => provider,
        Err(failure) => return setting.not_started(failure),
    };
    match setting.wait_until_ready(&mut provider)? {
        // It may go on talking; nothing it says can change the transfer.
        Ok(ticket) => {
            provider.process.stop_listening();
            drop(ticket.map(|ticket| values.insert("provider.ticket", ticket)));
        }
        Err(failure) => {
            let processes = vec![provider.end_with(&failure)];
            return Ok(Seen { processes, ..setting.nothing_seen(failure)? });
        }
    }
    let cross = setting.lab.cross(&setting.scenario.cross)?;
    setting.lab.play(setting.seed, &setting.scenario.timeline)?;
    let cross = cross.start(netsim_lab::now())?;
    setting.progress.step("transferring");
    let mut fetcher = match setting.start(Role::Fetcher, &values) {
        Ok(fetcher) => fetcher,
        Err(failure) => {
            let processes = vec![provider.stop()];
            return Ok(Seen { processes, ..setting.nothing_seen(failure)? });
        }
    };
    let mut listener = Listener::new(&setting.prepared.subject.fetcher, setting);
    let mut failure = setting.follow(&mut fetcher, &mut provider, &mut listener)?;
    let snapshot = setting.lab.snapshot()?;
    let cross = cross.stop();
    let fetcher_report = match (&failure, fetcher.ended) {
        (Some(failure), _) => fetcher.end_with(failure),
        (None, Some(ended)) => fetcher.report(exit_of(ended)),
        (None, None) => fetcher.stop(),
    };
    failure = failure.or_else(|| listener.missing());
    let total_s = fetcher.ended.map_or(0.0, |ended| seconds_between(fetcher.process.started(), ended.at));
    setting.progress.step("stopping the provider");
    let provider_report = provider.stop();
    Ok(Seen {
        processes: vec![provider_report, fetcher_report],
        milestones: listener.milestones,
        progress: listener.progress,
        total_s,
        snapshot,
        cross,
        failure,
    })
}

impl<'a> Setting<'a> {
    fn start(&self, role: Role, values: &BTreeMap<&str, String>) -> Result<Running<'a>, Failure> {
        let (spec, host) = match role {
            Role::Provider => (&self.prepared.subject.provider, self.scenario.provider()),
            Role::Fetcher => (&self.prepared.subject.fetcher, self.scenario.fetcher()),
        };
        let Some(command) = spec.command_for(self.payload.is_tree()) else {
            return Err(Failure::subject(format!(
                "the {} has no `command_tree`: it cannot send many files",
                role.as_str()
            )));
        };
        let command = self.prepared.locate(RoleSpec::fill(command, values));
        let host = self.lab.host(host).map_err(|error| Failure::subject(error.to_string()))?;
        let spec = Spec {
            command: command.iter().map(Into::into).collect(),
            environment: self.prepared.environment(self.home),
            directory: Some(self.home.to_path_buf()),
        };
        let process = host.spawn(&spec).map_err(|error| Failure::subject(text::chain(&error)))?;
        Ok(Running { role, host, command, process, ended: None })
    }

    /// Waits until the provider can be fetched from. Returns its ticket if it has one.
    fn wait_until_ready(&self, provider: &mut Running) -> Result<Result<Option<String>, Failure>, TransferError> {
        let ready = self.prepared.subject.provider.ready;
        let started = provider.process.started();
        if ready != Ready::Event {
            provider.process.stop_listening();
        }
        let timeout_s = READY_TIMEOUT.min(self.scenario.timeout).as_secs_f64();
        loop {
            if (self.interrupted)() {
                return Err(TransferError::Interrupted);
            }
            if seconds_between(started, netsim_lab::now()) > timeout_s {
                let reason = format!("the provider was not ready within {timeout_s} s");
                return Ok(Err(Failure { outcome: Outcome::TimedOut, reason }));
            }
            match ready {
                Ready::Port(port) if accepts(provider.host, port) => return Ok(Ok(None)),
                Ready::Port(_) => {
                    provider.ended = provider.process.wait(TICK);
                }
                Ready::Event => match provider.next_event() {
                    Ok(Some(Event::Ready { ticket, .. })) => return Ok(Ok(ticket)),
                    Ok(Some(Event::Error { message, .. })) => return Ok(Err(provider_said(&message))),
                    // Something else was said, or nothing yet; there may be more.
                    Ok(_) => {}
                    Err(failure) => return Ok(Err(failure)),
                },
            }
            if let Some(ended) = provider.ended {
                let how = how_words(ended.how);
                return Ok(Err(Failure::subject(format!("the provider ended before it was ready: {how}"))));
            }
        }
    }

    /// Listens to the fetcher until it ends, or has to be ended. However much is said, the clock is looked at.
    fn follow(
        &self,
        fetcher: &mut Running,
        provider: &mut Running,
        listener: &mut Listener,
    ) -> Result<Option<Failure>, TransferError> {
        let started = fetcher.process.started();
        loop {
            if (self.interrupted)() {
                return Err(TransferError::Interrupted);
            }
            match fetcher.process.next_line(TICK) {
                Ok(line) => {
                    if let Err(failure) = listener.hear(line, started) {
                        return Ok(Some(failure));
                    }
                }
                Err(NoLine::More) => fetcher.ended = fetcher.process.wait(TICK),
                Err(NoLine::Yet) => fetcher.ended = fetcher.process.wait(Duration::ZERO),
            }
            if let Some(ended) = fetcher.ended {
                return Ok(fetcher.hear_out(listener).err().or_else(|| listener.unsuccessful(ended.how)));
            }
            if provider.process.flooded() {
                return Ok(Some(flooded(Role::Provider)));
            }
            provider.ended = provider.process.wait(Duration::ZERO);
            if let Some(ended) = provider.ended {
                let how = how_words(ended.how);
                return Ok(Some(Failure::subject(format!("the provider ended during the transfer: {how}"))));
            }
            if seconds_between(started, netsim_lab::now()) > self.scenario.timeout.as_secs_f64() {
                let reason = format!("not finished within {} s", self.scenario.timeout.as_secs_f64());
                return Ok(Some(Failure { outcome: Outcome::TimedOut, reason }));
            }
        }
    }

    fn nothing_seen(&self, failure: Failure) -> Result<Seen, TransferError> {
        Ok(Seen {
            processes: Vec::new(),
            milestones: BTreeMap::new(),
            progress: Vec::new(),
            total_s: 0.0,
            snapshot: self.lab.snapshot()?,
            cross: Vec::new(),
            failure: Some(failure),
        })
    }

    fn not_started(&self, failure: Failure) -> Result<Seen, TransferError> {
        self.nothing_seen(failure)
    }
}

/// Whether a TCP port of `host` accepts connections from the host itself: such a connection never meets the network.
fn accepts(host: &Host, port: u16) -> bool {
    let Some(address) = host.addresses().first() else { return false };
    let target = SocketAddr::new(*address, port);
    host.run(|| TcpStream::connect_timeout(&target, TICK)).is_ok_and(|connected| connected.is_ok())
}

fn flooded(role: Role) -> Failure {
    let limit = MAX_STDOUT_BYTES >> 20;
    Failure::subject(format!("the {} printed more than {limit} MiB to standard output", role.as_str()))
}

fn provider_said(message: &str) -> Failure {
    Failure::subject(format!("the provider failed: {message}"))
}

/// Makes sense of what a fetcher prints.
struct Listener<'a> {
    spec: &'a RoleSpec,
    progress_to: &'a dyn Progress,
    of: u64,
    milestones: BTreeMap<Milestone, f64>,
    progress: Vec<(f64, u64)>,
    /// The last error event.
    error: Option<String>,
}

impl<'a> Listener<'a> {
    fn new(spec: &'a RoleSpec, setting: &'a Setting) -> Listener<'a> {
        Listener {
            spec,
            progress_to: setting.progress,
            of: setting.payload.bytes(),
            milestones: BTreeMap::new(),
            progress: Vec::new(),
            error: None,
        }
    }

    fn hear(&mut self, line: Line, started: netsim_lab::Time) -> Result<(), Failure> {
        match line {
            Line::Flood => Err(flooded(Role::Fetcher)),
            Line::TooLong if self.spec.events => {
                Err(Failure::subject("the fetcher printed a line of more than 64 KiB"))
            }
            Line::TooLong => Ok(()),
            Line::Text { at, text } if self.spec.events => self.hear_event(&text, seconds_between(started, at)),
            Line::Text { text, .. } => {
                self.capture(&text);
                Ok(())
            }
        }
    }

    fn hear_event(&mut self, text: &str, arrived_s: f64) -> Result<(), Failure> {
        let event = Event::parse(text)
            .map_err(|error| Failure::subject(format!("the fetcher broke the subject protocol: {error}")))?;
        let t = event.t().unwrap_or(arrived_s);
        let mut reached = |milestone| {
            self.milestones.entry(milestone).or_insert(t);
        };
        match event {
            Event::Connected { .. } => reached(Milestone::Connected),
            Event::FirstByte { .. } => reached(Milestone::FirstByte),
            Event::Progress { bytes, .. } => self.progressed(t, bytes),
            Event::Done { bytes, .. } => {
                reached(Milestone::Done);
                self.progressed(t, bytes);
            }
            Event::Error { message, .. } => self.error = Some(message),
            Event::Ready { .. } | Event::Path { .. } => {}
        }
        Ok(())
    }

    fn progressed(&mut self, t: f64, bytes: u64) {
        self.progress.push((t, bytes));
        self.progress_to.bytes(bytes, self.of);
    }

    /// Looks for the milestones the subject file describes. The first line that has one counts.
    fn capture(&mut self, text: &str) {
        let Ok(document) = serde_json::from_str::<serde_json::Value>(text) else { return };
        for capture in &self.spec.captures {
            if let Some(value) = document.pointer(&capture.json).and_then(serde_json::Value::as_f64)
                && value.is_finite()
                && value >= 0.0
            {
                self.milestones.entry(capture.milestone).or_insert(value * capture.seconds_per_unit);
            }
        }
    }

    /// A fetcher that has ended, but not with success.
    fn unsuccessful(&mut self, how: How) -> Option<Failure> {
        let said = self.error.take().map_or_else(String::new, |said| format!(": {said}"));
        (how != How::Code(0)).then(|| Failure::subject(format!("the fetcher {}{said}", how_words(how))))
    }

    /// A program that promises events or captures, exits with success and did not give them, is broken.
    fn missing(&self) -> Option<Failure> {
        let names = |milestone: &Milestone| match milestone {
            Milestone::Connected => "connected",
            Milestone::FirstByte => "first_byte",
            Milestone::Done => "done",
        };
        let promised: Vec<Milestone> = if self.spec.events {
            vec![Milestone::Connected, Milestone::Done]
        } else {
            self.spec.captures.iter().map(|capture| capture.milestone).collect()
        };
        let missing = promised.iter().find(|milestone| !self.milestones.contains_key(milestone))?;
        Some(Failure::subject(format!("the fetcher exited with success but never said `{}`", names(missing))))
    }
}

impl Running<'_> {
    /// The provider's next event, if one came within a tick.
    fn next_event(&mut self) -> Result<Option<Event>, Failure> {
        match self.process.next_line(TICK) {
            Ok(Line::Text { text, .. }) => match Event::parse(&text) {
                Ok(event) => Ok(Some(event)),
                Err(error) => Err(Failure::subject(format!("the provider broke the subject protocol: {error}"))),
            },
            Ok(Line::TooLong) => Err(Failure::subject("the provider printed a line of more than 64 KiB")),
            Ok(Line::Flood) => Err(flooded(Role::Provider)),
            Err(NoLine::Yet) => {
                self.ended = self.process.wait(Duration::ZERO);
                Ok(None)
            }
            // Usually because it has ended, which is seen a moment later.
            Err(NoLine::More) => {
                self.ended = self.process.wait(STREAM_END);
                let silent = || Failure::subject("the provider closed its standard output before it was ready");
                self.ended.map(|_| None).ok_or_else(silent)
            }
        }
    }

    /// Reads the lines that a fetcher has left at its end. A child of it may hold the stream open, and talk on.
    fn hear_out(&self, listener: &mut Listener) -> Result<(), Failure> {
        let started = self.process.started();
        let ended = self.ended.map_or(started, |ended| ended.at);
        while seconds_between(ended, netsim_lab::now()) < STREAM_END.as_secs_f64() {
            match self.process.next_line(TICK) {
                Ok(line) => listener.hear(line, started)?,
                Err(NoLine::Yet) => {}
                Err(NoLine::More) => break,
            }
        }
        Ok(())
    }

    /// Asks the process to end, and reports it as ended by plan unless it had ended before.
    fn stop(&mut self) -> ProcessReport {
        let exit = match self.ended.or_else(|| self.process.wait(Duration::ZERO)) {
            Some(ended) => {
                self.ended = Some(ended);
                exit_of(ended)
            }
            None => {
                self.ended = self.process.stop(STOP_GRACE);
                ExitState::Stopped
            }
        };
        self.report(exit)
    }

    /// Kills the process because of `failure`, unless it has ended by itself.
    fn end_with(&mut self, failure: &Failure) -> ProcessReport {
        let exit = match self.ended {
            Some(ended) => exit_of(ended),
            None => {
                self.ended = self.process.kill();
                match failure.outcome {
                    Outcome::TimedOut => ExitState::TimedOut,
                    _ => ExitState::Killed,
                }
            }
        };
        self.report(exit)
    }

    fn report(&self, exit: ExitState) -> ProcessReport {
        let used = |value: fn(&Ended) -> f64| self.ended.as_ref().map_or(0.0, value);
        ProcessReport {
            role: self.role,
            host: self.host.name().to_owned(),
            command: self.command.clone(),
            exit,
            cpu_user_s: used(|ended| ended.cpu_user_s),
            cpu_system_s: used(|ended| ended.cpu_system_s),
            peak_rss_bytes: self.ended.map_or(0, |ended| ended.peak_rss_bytes),
            stderr_tail: self.process.stderr_tail(STREAM_END),
        }
    }
}

fn exit_of(ended: Ended) -> ExitState {
    match ended.how {
        How::Code(code) => ExitState::Code(code),
        How::Signal(signal) => ExitState::Signal(signal),
    }
}

fn how_words(how: How) -> String {
    match how {
        How::Code(code) => format!("exited with status {code}"),
        How::Signal(signal) => format!("was ended by signal {signal}"),
    }
}

fn seconds_between(from: netsim_lab::Time, to: netsim_lab::Time) -> f64 {
    to.nanos_since(from) as f64 / 1e9
}
