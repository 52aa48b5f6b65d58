//! The reference transfer beside what limits it: the same QUIC without verifying and writing, and curl over plain HTTP.
//!
//! All three run between the same two hosts, over links that do nothing to packets, in turn. Wall time is the fetching
//! process's whole life; processor time is that of both ends during it. Ratios of one run mean something, absolute
//! times only on the machine they were measured on.

use crate::payload::{Payload, PayloadError};
use crate::program::{PrepareError, Prepared, Programs};
use longhaul_record::Event;
use longhaul_scenarios::{Payload as PayloadSpec, Subject, Values};
use netsim_lab::{Ended, Host, How, Lab, LabError, Line, Process, ProcessError, Spec, Spread};
use netsim_topology::{Access, Host as HostModel, PlanError, Topology, plan};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One way to move a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// The reference transfer: encrypted, verified, written.
    Reference,
    /// The same QUIC settings, from memory to nowhere.
    RawQuic,
    /// curl from the project's own HTTP server, written.
    Curl,
}

impl Case {
    const ALL: [Case; 3] = [Case::Reference, Case::RawQuic, Case::Curl];

    /// The case as it is written in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Case::Reference => "reference",
            Case::RawQuic => "raw-quic",
            Case::Curl => "curl",
        }
    }
}

/// What a case took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Payload bits per second of wall time.
    pub goodput_bps: Spread,
    /// From the fetching process's start to its end, in seconds.
    pub wall_s: Spread,
    /// Processor time of both processes meanwhile, in seconds.
    pub cpu_s: Spread,
}

/// What a comparison should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// At least this multiple.
    AtLeast(f64),
    /// At most this multiple.
    AtMost(f64),
}

/// The reference transfer's median divided by a yardstick's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// Stable name, as in JSON.
    pub id: &'static str,
    /// What is divided, for people.
    pub title: &'static str,
    /// The quotient.
    pub ratio: f64,
    /// What it should be.
    pub bound: Bound,
}

impl Goal {
    /// Whether it is as it should be.
    pub fn met(&self) -> bool {
        match self.bound {
            Bound::AtLeast(least) => self.ratio >= least,
            Bound::AtMost(most) => self.ratio <= most,
        }
    }
}

/// All cases of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Yardsticks {
    /// Bytes moved, each time.
    pub bytes: u64,
    /// What each case took, or why it was skipped.
    pub cases: Vec<(Case, Result<Cost, String>)>,
}

impl Yardsticks {
    /// The comparisons that something was promised of, as far as their cases ran.
    pub fn goals(&self) -> Vec<Goal> {
        let cost = |case| self.cases.iter().find(|(other, _)| *other == case)?.1.as_ref().ok();
        let goal = |id, title, bound, against, value: fn(&Cost) -> f64| {
            let (ours, other) = (value(cost(Case::Reference)?), value(cost(against)?));
            Some(Goal { id, title, ratio: ours / other, bound })
        };
        let goals = [
            goal("goodput_to_raw", "goodput ÷ raw QUIC's", Bound::AtLeast(0.88), Case::RawQuic, |c| {
                c.goodput_bps.median
            }),
            goal("cpu_to_raw", "CPU time ÷ raw QUIC's", Bound::AtMost(1.25), Case::RawQuic, |c| c.cpu_s.median),
            goal("wall_to_curl", "wall time ÷ curl's", Bound::AtMost(1.25), Case::Curl, |c| c.wall_s.median),
        ];
        goals.into_iter().flatten().collect()
    }
}

/// Why the comparison ended early.
#[derive(Debug, thiserror::Error)]
pub enum YardstickError {
    /// The reference transfer is not there.
    #[error("the reference transfer cannot run on this machine")]
    Prepare(#[from] PrepareError),
    /// Nothing to send.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// No network.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// No network.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A program did not start.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A transfer failed.
    #[error("`{}` failed: {reason}", case.as_str())]
    Failed {
        /// Which.
        case: Case,
        /// What happened.
        reason: String,
    },
}

/// How long a provider may take to get ready, and a fetch to end.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Where the ends are.
const HOSTS: [&str; 2] = ["fetcher", "provider"];

/// Moves a random file of `bytes` bytes `rounds` times each way, in turn. `scratch` must be an empty directory, in memory
/// if the disk is not to be measured.
pub fn yardsticks(
    programs: &Programs,
    reference: &Subject,
    scratch: &Path,
    bytes: u64,
    rounds: u32,
) -> Result<Yardsticks, YardstickError> {
    let prepared = programs.prepare(reference)?;
    let payload = Payload::stage(&PayloadSpec::Random { bytes }, 1, u64::MAX, scratch)?;
    let host = |name: &str| HostModel::new(name, None, Access::default());
    let topology = Topology { routers: Vec::new(), hosts: HOSTS.map(host).into(), ..Topology::default() };
    let lab = Lab::up(&plan(&topology)?, 1)?;
    let setting = Setting { prepared, curl: programs.find("curl", None), payload, lab: &lab, scratch };
    let mut servers = Vec::new();
    for case in Case::ALL {
        servers.push((case, setting.serve(case)?, Samples::default()));
    }
    // The first round warms caches and memory up, and checks what arrives; it is not counted.
    for round in 0..=rounds {
        for (case, server, samples) in &mut servers {
            let Ok(server) = server else { continue };
            let (wall_s, cpu_s) = setting.fetch(*case, server, round == 0)?;
            if round > 0 {
                samples.add(bytes, wall_s, cpu_s);
            }
        }
    }
    let cost = |(case, server, samples): (Case, Result<Server, String>, Samples)| {
        let none = || "no rounds were asked for".to_owned();
        (case, server.and_then(|_| samples.cost().ok_or_else(none)))
    };
    Ok(Yardsticks { bytes, cases: servers.into_iter().map(cost).collect() })
}

#[derive(Debug, Default)]
struct Samples {
    goodput_bps: Vec<f64>,
    wall_s: Vec<f64>,
    cpu_s: Vec<f64>,
}

impl Samples {
    fn add(&mut self, bytes: u64, wall_s: f64, cpu_s: f64) {
        self.goodput_bps.push(bytes as f64 * 8.0 / wall_s);
        self.wall_s.push(wall_s);
        self.cpu_s.push(cpu_s);
    }

    fn cost(&self) -> Option<Cost> {
        let Samples { goodput_bps, wall_s, cpu_s } = self;
        Some(Cost { goodput_bps: Spread::of(goodput_bps)?, wall_s: Spread::of(wall_s)?, cpu_s: Spread::of(cpu_s)? })
    }
}

/// A provider that is ready.
struct Server {
    process: Process,
    /// What its fetchers need.
    ticket: String,
}

struct Setting<'a> {
    prepared: Prepared,
    curl: Option<PathBuf>,
    payload: Payload,
    lab: &'a Lab,
    scratch: &'a Path,
}

impl Setting<'_> {
    fn value(&self, placeholder: &str) -> String {
        self.payload.values().fill_text(&format!("{{{placeholder}}}"))
    }

    /// Starts the case's provider. The inner error says why the case cannot run on this machine.
    fn serve(&self, case: Case) -> Result<Result<Server, String>, YardstickError> {
        if let (Case::Curl, None) = (case, &self.curl) {
            return Ok(Err("`curl` is not installed".to_owned()));
        }
        let host = self.lab.host(HOSTS[1])?;
        let bytes = self.payload.bytes().to_string();
        let (mode, option, value) = match case {
            Case::Reference => ("provide", "--payload", self.value("payload.path")),
            Case::RawQuic => ("raw-provide", "--bytes", bytes),
            Case::Curl => ("http", "--root", self.value("payload.dir")),
        };
        let listen = format!("{}:0", address(host));
        let process = self.start(host, &["longhaul-transfer", mode, option, &value, "--listen", &listen])?;
        let failed = |reason: String| YardstickError::Failed { case, reason };
        loop {
            let Ok(Line::Text { text, .. }) = process.next_line(TIMEOUT) else {
                return Err(failed(format!("the provider is not ready: {}", process.stderr_tail(Duration::ZERO))));
            };
            match Event::parse(&text) {
                Ok(Event::Ready { ticket: Some(ticket), .. }) => return Ok(Ok(Server { process, ticket })),
                Ok(Event::Importing { .. } | Event::Imported { .. }) => {}
                _ => return Err(failed(format!("the provider said {text:?}"))),
            }
        }
    }

    /// One fetch: its wall time, and both ends' processor time, in seconds.
    fn fetch(&self, case: Case, server: &Server, check: bool) -> Result<(f64, f64), YardstickError> {
        let failed = |reason: String| YardstickError::Failed { case, reason };
        let out = self.scratch.join("out");
        fs::create_dir_all(&out).map_err(|error| failed(error.to_string()))?;
        let file = out.join(self.value("payload.name")).to_string_lossy().into_owned();
        let provider = address(self.lab.host(HOSTS[1])?).to_string();
        let from = ["--from", &provider, "--ticket", &server.ticket];
        let url = format!("{}{}", server.ticket, self.value("payload.name"));
        let curl = self.curl.as_ref().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        let command = match case {
            Case::Reference => [&["longhaul-transfer", "fetch"], &from[..], &["--out", &file]].concat(),
            Case::RawQuic => [&["longhaul-transfer", "raw-fetch"], &from[..]].concat(),
            Case::Curl => vec![curl.as_str(), "-sS", "--fail", "-o", &file, &url],
        };
        let before = server.process.cpu_s();
        let fetcher = self.start(self.lab.host(HOSTS[0])?, &command)?;
        let Some(ended) = fetcher.wait(TIMEOUT) else { return Err(failed("not finished in time".to_owned())) };
        let after = server.process.cpu_s();
        if ended.how != How::Code(0) {
            return Err(failed(fetcher.stderr_tail(Duration::from_millis(500))));
        }
        if check && case != Case::RawQuic {
            self.payload.verify(&out).map_err(failed)?;
        }
        fs::remove_dir_all(&out).map_err(|error| failed(error.to_string()))?;
        let (Some(before), Some(after)) = (before, after) else { return Err(failed("the provider ended".to_owned())) };
        let Ended { cpu_user_s, cpu_system_s, at, .. } = ended;
        let wall_s = at.nanos_since(fetcher.started()) as f64 / 1e9;
        Ok((wall_s, after - before + cpu_user_s + cpu_system_s))
    }

    fn start(&self, host: &Host, command: &[&str]) -> Result<Process, ProcessError> {
        let command = self.prepared.locate(command.iter().map(|&word| word.to_owned()).collect());
        host.spawn(&Spec {
            command: command.into_iter().map(Into::into).collect(),
            environment: self.prepared.environment(self.scratch, &Values::default()),
            directory: Some(self.scratch.to_path_buf()),
        })
    }
}

fn address(host: &Host) -> IpAddr {
    host.addresses()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_compare_medians_of_what_ran() {
        let spread = |median| Spread { median, min: median, max: median, rounds: 1 };
        let cost = |wall_s: f64, cpu_s| {
            Ok(Cost { goodput_bps: spread(1.0 / wall_s), wall_s: spread(wall_s), cpu_s: spread(cpu_s) })
        };
        let of = |curl: Result<Cost, String>| Yardsticks {
            bytes: 1,
            cases: vec![(Case::Reference, cost(1.0, 2.5)), (Case::RawQuic, cost(0.9, 1.25)), (Case::Curl, curl)],
        };
        let verdicts = |yardsticks: Yardsticks| -> Vec<(&str, bool)> {
            yardsticks.goals().iter().map(|goal| (goal.id, goal.met())).collect()
        };
        let raw = [("goodput_to_raw", true), ("cpu_to_raw", false)];
        assert_eq!(verdicts(of(Err("not installed".into()))), raw);
        assert_eq!(verdicts(of(cost(0.8, 1.0))), [raw[0], raw[1], ("wall_to_curl", true)]);
        assert_eq!(verdicts(of(cost(0.79, 1.0)))[2], ("wall_to_curl", false));
    }
}
