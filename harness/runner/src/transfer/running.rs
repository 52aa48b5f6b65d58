//! One process of a subject: started, waited for, listened to, ended.

use super::confined::{Places, not_started, write_below};
use super::counted;
use super::listener::{Listener, flooded};
use super::{Failure, STREAM_END, Setting, TICK, TransferError};
use longhaul_record::{ExitState, Outcome, ProcessReport, Role};
use longhaul_scenarios::{Program, Ready, Sort, Stop, StopSignal, Values};
use netsim_lab::{Confinement, Ended, Host, How, NoLine, Process, Signal, Spec, Time};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a program may take to get ready, if the scenario's time-out is not shorter: importing a large payload takes
/// a while.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Lines that are listened to before anything else is looked at.
const LINES_AT_ONCE: usize = 1024;

/// A process of the subject.
pub(super) struct Running<'a> {
    setting: &'a Setting<'a>,
    pub(super) host: &'a Host,
    pub(super) process: Process,
    pub(super) ended: Option<Ended>,
    pub(super) listener: Listener<'a>,
    /// Whether it has closed its standard output.
    silent: bool,
    role: Role,
    program: &'a Program,
    values: Values,
    home: PathBuf,
    command: Vec<String>,
}

/// What a process said and did until now.
pub(super) enum State {
    /// It goes on; whether it said something since it was last asked.
    Running(bool),
    /// It has ended with success.
    Done,
}

impl Setting<'_> {
    /// Prepares and starts a program on a host.
    pub(super) fn start<'a>(
        &'a self,
        program: &'a Program,
        role: Role,
        host: &str,
        values: &Values,
    ) -> Result<Running<'a>, Failure> {
        let mut whose = format!("the {}", role.as_str());
        if self.count(role) > 1 {
            whose += &format!(" on {host}");
        }
        let host = self.lab.host(host).map_err(|error| Failure::subject(error.to_string()))?;
        let places = self.places(host, &whose)?;
        let mut values = values.clone();
        values.set("home", places.home.to_string_lossy());
        values.set("self.address", address_of(host));
        // A relay or a node does not know what it is there for.
        let sort = if matches!(role, Role::Relay | Role::Node) { Sort::File } else { self.payload.sort() };
        let Some(command) = program.command_for(sort, self.relay_host().is_some()) else {
            return Err(Failure::subject(format!("{whose} has no `{}`: {}", sort.key(), sort.inability())));
        };
        if let Some(lacking) = program.prepare.iter().flatten().chain(command).find_map(|word| values.lacking(word)) {
            return Err(Failure::setup(format!("{whose} needs {{{lacking}}}, which this scenario does not have")));
        }
        self.write_files(&places.home, &values).map_err(|error| Failure::setup(format!("{whose}: {error}")))?;
        let confinement = self.confinement(program, role, host, &places);
        let spec = |command: &[String]| self.spec(command, &places, &values, confinement.clone());
        if let Some(prepare) = &program.prepare {
            let command = self.prepared.locate(values.fill(prepare));
            self.run_to_end(&spec(&command), host).map_err(|failure| failure.of(&whose))?;
        }
        let command = self.prepared.locate(values.fill(command));
        let command = match self.valgrind {
            Some(valgrind) => counted::under(valgrind, &places.home, command),
            None => command,
        };
        let process = host.spawn(&spec(&command)).map_err(|error| not_started(&error))?;
        let listener = Listener::new(program, whose);
        let (setting, home) = (self, places.home);
        Ok(Running {
            setting,
            host,
            process,
            ended: None,
            listener,
            silent: false,
            role,
            program,
            values,
            home,
            command,
        })
    }

    /// How many hosts have a role.
    fn count(&self, role: Role) -> usize {
        match role {
            Role::Provider => self.scenario.roles.providers.len(),
            Role::Fetcher => self.scenario.roles.fetchers.len(),
            Role::Relay => 1,
            Role::Node => self.scenario.roles.nodes.len(),
        }
    }

    fn spec(&self, command: &[String], places: &Places, values: &Values, confinement: Confinement) -> Spec {
        Spec {
            command: command.iter().map(Into::into).collect(),
            environment: self.prepared.environment(&places.home, values),
            directory: Some(places.home.clone()),
            confinement: Some(confinement),
        }
    }

    fn write_files(&self, home: &Path, values: &Values) -> Result<(), String> {
        for (path, content) in &self.prepared.subject.files {
            write_below(home, path, &values.fill_text(content))
                .map_err(|error| format!("cannot write {}: {error}", home.join(path).display()))?;
        }
        Ok(())
    }

    /// Runs a command that has to end before something else starts.
    fn run_to_end(&self, spec: &Spec, host: &Host) -> Result<(), Failure> {
        let mut process = host.spawn(spec).map_err(|error| not_started(&error))?;
        process.stop_listening();
        let started = process.started();
        loop {
            if let Some(ended) = process.wait(TICK) {
                let said = last_words(&process.stderr_tail(STREAM_END));
                return match ended.how {
                    How::Code(0) => Ok(()),
                    _ => Err(Failure::subject(format!("its preparation {}{said}", self.how_ended(&ended)))),
                };
            }
            let late = seconds_between(started, netsim_lab::now()) > READY_TIMEOUT.as_secs_f64();
            if late || (self.interrupted)() {
                return Err(Failure::timed_out(format!(
                    "its preparation did not end within {} s",
                    READY_TIMEOUT.as_secs()
                )));
            }
        }
    }

    /// Waits until a program can be used, and has said all that others have to know.
    pub(super) fn wait_until_ready(&self, running: &mut Running) -> Result<Result<(), Failure>, TransferError> {
        let started = running.process.started();
        let timeout_s = READY_TIMEOUT.min(self.scenario.timeout).as_secs_f64();
        loop {
            if (self.interrupted)() {
                return Err(TransferError::Interrupted);
            }
            match running.look(TICK, started) {
                Err(failure) => return Ok(Err(failure.of("not ready"))),
                Ok(State::Done) => {
                    let whose = running.listener.whose();
                    return Ok(Err(Failure::subject(format!("not ready: {whose} exited with status 0"))));
                }
                Ok(State::Running(_)) => {}
            }
            let whose = running.listener.whose();
            let lacking = running.listener.lacking_text();
            if lacking.is_none() && running.is_ready() {
                return Ok(Ok(()));
            }
            if running.silent && (lacking.is_some() || running.program.ready.is_said()) {
                // Usually because it has ended, which is seen a moment later.
                running.ended = running.process.wait(STREAM_END);
                if running.ended.is_some() {
                    continue;
                }
                let reason = format!("not ready: {whose} closed its standard output before it said so");
                return Ok(Err(Failure::subject(reason)));
            }
            if seconds_between(started, netsim_lab::now()) > timeout_s {
                let what = lacking.map_or_else(|| "was not ready".to_owned(), |text| format!("did not say `{text}`"));
                return Ok(Err(Failure::timed_out(format!("{whose} {what} within {timeout_s} s"))));
            }
        }
    }
}

impl Running<'_> {
    /// Listens to what it has said, waiting at most `timeout` for the first word, and looks whether it has ended. Times
    /// count from `start`.
    pub(super) fn look(&mut self, timeout: Duration, start: Time) -> Result<State, Failure> {
        let mut said = false;
        for n in 0..LINES_AT_ONCE {
            match self.process.next_line(if n == 0 { timeout } else { Duration::ZERO }) {
                Ok(line) => {
                    said = true;
                    self.listener.hear(line, start)?;
                }
                Err(NoLine::Yet) => break,
                Err(NoLine::More) => {
                    self.silent = true;
                    break;
                }
            }
        }
        if self.process.flooded() {
            return Err(flooded(self.listener.whose()));
        }
        // What closes its standard output is about to end, or has nothing more to say.
        let patience = if self.silent && !said { timeout } else { Duration::ZERO };
        self.ended = self.ended.or_else(|| self.process.wait(patience));
        let Some(ended) = self.ended else { return Ok(State::Running(said)) };
        self.hear_out(start)?;
        match ended.how {
            How::Code(0) => Ok(State::Done),
            _ => {
                let said = self.listener.error().map_or_else(String::new, |said| format!(": {said}"));
                let how = self.setting.how_ended(&ended);
                Err(Failure::subject(format!("{} {how}{said}", self.listener.whose())))
            }
        }
    }

    fn is_ready(&self) -> bool {
        match &self.program.ready {
            Ready::Event | Ready::Line(_) => self.listener.ready(),
            Ready::Port(port) => accepts(self.host, *port),
            Ready::File(path) => Path::new(&self.values.fill_text(path)).exists(),
        }
    }

    /// Reads the lines that it has left at its end. A child of it may hold the stream open, and talk on.
    fn hear_out(&mut self, start: Time) -> Result<(), Failure> {
        let ended = self.ended.map_or(start, |ended| ended.at);
        while seconds_between(ended, netsim_lab::now()) < STREAM_END.as_secs_f64() {
            match self.process.next_line(TICK) {
                Ok(line) => self.listener.hear(line, start)?,
                Err(NoLine::Yet) => {}
                Err(NoLine::More) => break,
            }
        }
        Ok(())
    }

    /// What it is for.
    pub(super) fn role(&self) -> Role {
        self.role
    }

    /// A program that is needed and has ended, or prints without end.
    pub(super) fn has_left(&mut self) -> Option<Failure> {
        let whose = self.listener.whose();
        if self.process.flooded() {
            return Some(flooded(whose));
        }
        self.ended = self.ended.or_else(|| self.process.wait(Duration::ZERO));
        let ended = self.ended?;
        Some(Failure::subject(format!("{whose} ended during the transfer: {}", self.setting.how_ended(&ended))))
    }

    /// Asks the process to end, and reports it as ended by plan unless it had ended before.
    pub(super) fn stop(&mut self) -> ProcessReport {
        let exit = match self.ended.or_else(|| self.process.wait(Duration::ZERO)) {
            Some(ended) => {
                self.ended = Some(ended);
                exit_of(ended)
            }
            None => {
                let Stop { signal, grace } = self.program.stop;
                self.ended = self.process.stop(signal_of(signal), grace);
                ExitState::Stopped
            }
        };
        self.report(exit)
    }

    /// Kills the process because of `failure`, unless it has ended by itself.
    pub(super) fn end_with(&mut self, failure: &Failure) -> ProcessReport {
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
            context_switches: self.ended.map_or(0, |ended| ended.context_switches),
            instructions: self.setting.valgrind.and_then(|_| counted::collected(&self.home)),
            stderr_tail: self.process.stderr_tail(STREAM_END),
        }
    }
}

/// The first address of a host, as text.
pub(super) fn address_of(host: &Host) -> String {
    host.addresses().first().map(ToString::to_string).unwrap_or_default()
}

/// Whether a TCP port of `host` accepts connections from the host itself: such a connection never meets the network.
fn accepts(host: &Host, port: u16) -> bool {
    let Some(address) = host.addresses().first() else { return false };
    let target = SocketAddr::new(*address, port);
    host.run(|| TcpStream::connect_timeout(&target, TICK)).is_ok_and(|connected| connected.is_ok())
}

fn signal_of(signal: StopSignal) -> Signal {
    match signal {
        StopSignal::Term => Signal::SIGTERM,
        StopSignal::Int => Signal::SIGINT,
        StopSignal::Quit => Signal::SIGQUIT,
        StopSignal::Kill => Signal::SIGKILL,
    }
}

fn exit_of(ended: Ended) -> ExitState {
    match ended.how {
        How::Code(code) => ExitState::Code(code),
        How::Signal(signal) => ExitState::Signal(signal),
    }
}

/// The last line of what was written to standard error, for a reason.
fn last_words(stderr: &str) -> String {
    let last = stderr.lines().rev().map(str::trim).find(|line| !line.is_empty());
    last.map_or_else(String::new, |line| format!(": {line}"))
}

pub(super) fn seconds_between(from: Time, to: Time) -> f64 {
    to.nanos_since(from) as f64 / 1e9
}
