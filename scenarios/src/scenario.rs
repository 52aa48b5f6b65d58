//! Scenario files.

use crate::cross::{self, CrossFile};
use crate::error::{FileError, nearest, parse};
use crate::files::{self, Files, Read};
use crate::gateway::{self, FirewallChoice, Ipv6Choice, LanChoice, NatChoice};
use crate::host::HostFile;
use crate::link::LinkChoice;
use crate::quantity::{Bytes, Nanos};
use crate::timeline::{self, AtFile};
use netsim_topology::{Cross, Event, Router, Topology, plan};
use serde::Deserialize;
use std::time::Duration;

/// A scenario in its resolved form.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Its name, as in results.
    pub name: String,
    /// One line for lists.
    pub summary: String,
    /// What it can be asked for by, beside its name.
    pub tags: Vec<String>,
    /// Hosts, routers, links.
    pub topology: Topology,
    /// What happens to the network during the transfer, in order of time. Time 0 is the fetcher's start.
    pub timeline: Vec<Event>,
    /// Flows beside the transfer, on the same clock.
    pub cross: Vec<Cross>,
    /// What is sent.
    pub payload: Payload,
    /// The host that has it.
    pub provider: String,
    /// The host that gets it.
    pub fetcher: String,
    /// Temporary.
    pub roles: Roles,
    /// How often it is run when not said otherwise.
    pub repeat: u32,
    /// How long one transfer may take.
    pub timeout: Duration,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// One file of random bytes, the same in every run.
    Random {
        /// Its size.
        bytes: u64,
    },
    /// A directory of this machine: the first of these that exists.
    Tree {
        /// Absolute paths, in order of preference.
        paths: Vec<String>,
        /// Files are taken in order of their names up to this many bytes.
        limit_bytes: u64,
    },
}

/// Everything that decides a result is in the resolved form; this is its version.
const SCHEMA: u32 = 1;
/// Payloads are held in memory while they are sent and checked.
const MAX_PAYLOAD_BYTES: u64 = 16 << 30;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScenarioFile {
    schema: u32,
    name: String,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    router: Vec<RouterFile>,
    #[serde(default)]
    host: Vec<HostFile>,
    payload: PayloadFile,
    roles: RolesFile,
    #[serde(default)]
    at: Vec<AtFile>,
    #[serde(default)]
    cross: Vec<CrossFile>,
    #[serde(default)]
    measure: MeasureFile,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouterFile {
    name: String,
    behind: Option<String>,
    nat: Option<NatChoice>,
    ipv6: Option<Ipv6Choice>,
    firewall: Option<FirewallChoice>,
    lan: Option<LanChoice>,
    port_mapping: Option<bool>,
    #[serde(default)]
    uplink: LinkChoice,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PayloadFile {
    kind: PayloadKind,
    size: Option<Bytes>,
    paths: Option<Vec<String>>,
    limit: Option<Bytes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PayloadKind {
    Random,
    Tree,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RolesFile {
    provider: Vec<String>,
    fetcher: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct MeasureFile {
    repeat: Option<u32>,
    timeout: Option<Nanos>,
}

impl Scenario {
    /// Reads a scenario file that names no other files. `file` is its name for error messages.
    pub fn parse(file: &str, text: &str) -> Result<Scenario, FileError> {
        Scenario::parse_with(file, text, &files::none)
    }

    /// Reads a scenario file. `read` reads files that it names, traces for example.
    pub fn parse_with(file: &str, text: &str, read: Read) -> Result<Scenario, FileError> {
        let written: ScenarioFile = parse(file, text)?;
        let files = Files { name: file, read };
        if written.schema != SCHEMA {
            let message =
                format!("schema {} is not known to this version of longhaul; it reads {SCHEMA}", written.schema);
            return Err(FileError::new(file, "schema", message));
        }
        check_name(file, &written.name)?;
        let topology = written.topology(&files)?;
        let plan = plan(&topology);
        let plan = plan.map_err(|error| FileError { file: file.into(), key: None, message: error.to_string() })?;
        let [provider, fetcher] = [("provider", &written.roles.provider), ("fetcher", &written.roles.fetcher)]
            .map(|(role, hosts)| one_host(file, role, hosts, &topology));
        let (provider, fetcher) = (provider?, fetcher?);
        if provider == fetcher {
            return Err(FileError::new(file, "roles", "provider and fetcher are the same host; name two"));
        }
        let (repeat, timeout) = written.measure.resolve(&files)?;
        let timeline = timeline::resolve(&written.at, &files, &topology, plan.addresses, timeout)?;
        let cross = cross::resolve(&written.cross, &files, &topology, &timeline, timeout)?;
        Ok(Scenario {
            payload: written.payload.resolve(file)?,
            name: written.name,
            summary: written.summary,
            tags: written.tags,
            topology,
            timeline,
            cross,
            roles: Roles {
                providers: vec![provider.clone()],
                fetchers: vec![fetcher.clone()],
                rendezvous: None,
                relay: None,
            },
            provider,
            fetcher,
            repeat,
            timeout,
        })
    }

    /// The resolved form as text: all that can change a result, nothing that cannot (summary, tags, repeat).
    pub fn resolved(&self) -> String {
        let Scenario { name, topology, timeline, cross, payload, provider, fetcher, timeout, .. } = self;
        // The derived debug form spells out every field of every link and NAT; adding a field changes the text, and so
        // it must: results before and after are not the same series.
        let mut text = format!(
            "schema {SCHEMA}\nname {name:?}\nprovider {provider:?}\nfetcher {fetcher:?}\ntimeout {} ns\n\
             payload {payload:#?}\ntopology {topology:#?}\n",
            timeout.as_nanos()
        );
        if !timeline.is_empty() {
            text += &format!("timeline {timeline:#?}\n");
        }
        if !cross.is_empty() {
            text += &format!("cross {cross:#?}\n");
        }
        text
    }

    /// BLAKE3 hash of the resolved form, in hexadecimal.
    pub fn hash(&self) -> String {
        blake3::hash(self.resolved().as_bytes()).to_hex().to_string()
    }
}

/// Names appear in URLs, tables and file names.
fn check_name(file: &str, name: &str) -> Result<(), FileError> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '/' | '.');
    if name.is_empty() || name.len() > 80 || !name.chars().all(good) {
        let message = format!("{name:?} is not a name; use 1 to 80 of a-z, 0-9, `-`, `.` and `/`");
        return Err(FileError::new(file, "name", message));
    }
    Ok(())
}

fn one_host(file: &str, role: &str, hosts: &[String], topology: &Topology) -> Result<String, FileError> {
    let key = format!("roles.{role}");
    let [host] = hosts else {
        let message = format!("this version of longhaul runs exactly one {role}, the file names {}", hosts.len());
        return Err(FileError::new(file, key, message));
    };
    if topology.hosts.iter().any(|other| other.name == *host) {
        return Ok(host.clone());
    }
    let known: Vec<&str> = topology.hosts.iter().map(|host| host.name.as_str()).collect();
    let hint =
        nearest(host, known.iter().copied()).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    Err(FileError::new(file, key, format!("no host is named `{host}`; there are: {}{hint}", known.join(", "))))
}

impl ScenarioFile {
    fn topology(&self, files: &Files) -> Result<Topology, FileError> {
        let router = |(n, router): (usize, &RouterFile)| {
            Ok(Router {
                name: router.name.clone(),
                behind: router.behind.clone(),
                gateway: gateway::resolve(router.nat, router.ipv6, router.firewall, router.lan, router.port_mapping),
                uplink: router.uplink.at_first(files, &format!("router[{n}].uplink"))?,
            })
        };
        let host = |(n, host): (usize, &HostFile)| host.resolve(files, &format!("host[{n}]"));
        Ok(Topology {
            routers: self.router.iter().enumerate().map(router).collect::<Result<_, FileError>>()?,
            hosts: self.host.iter().enumerate().map(host).collect::<Result<_, FileError>>()?,
        })
    }
}

impl MeasureFile {
    fn resolve(&self, files: &Files) -> Result<(u32, Duration), FileError> {
        let repeat = self.repeat.unwrap_or(1);
        if !(1..=1000).contains(&repeat) {
            return Err(files.error("measure.repeat", "write a number from 1 to 1000"));
        }
        let timeout = Duration::from_nanos(self.timeout.map_or(60_000_000_000, |nanos| nanos.0));
        if timeout.is_zero() {
            return Err(files.error("measure.timeout", "no transfer takes no time; write for example \"60s\""));
        }
        Ok((repeat, timeout))
    }
}

impl PayloadFile {
    fn resolve(self, file: &str) -> Result<Payload, FileError> {
        let error = |key: &str, message: &str| Err(FileError::new(file, format!("payload.{key}"), message));
        let payload = match (self.kind, self.size, self.paths, self.limit) {
            (PayloadKind::Random, Some(size), None, None) => Payload::Random { bytes: size.0 },
            (PayloadKind::Random, None, ..) => return error("size", "missing; write for example \"64MiB\""),
            (PayloadKind::Random, ..) => return error("kind", "a random payload has `size` and nothing else"),
            (PayloadKind::Tree, None, Some(paths), limit) => {
                if paths.is_empty() || paths.iter().any(|path| !path.starts_with('/')) {
                    return error("paths", "write at least one absolute path, for example [\"/usr/include\"]");
                }
                Payload::Tree { paths, limit_bytes: limit.map_or(MAX_PAYLOAD_BYTES, |limit| limit.0) }
            }
            (PayloadKind::Tree, Some(_), ..) => return error("size", "a tree has `limit`, not `size`"),
            (PayloadKind::Tree, _, None, _) => return error("paths", "missing; write for example [\"/usr/include\"]"),
        };
        let bytes = match payload {
            Payload::Random { bytes } => bytes,
            Payload::Tree { limit_bytes, .. } => limit_bytes,
        };
        if bytes > MAX_PAYLOAD_BYTES {
            return error("size", "payloads are held in memory; write at most \"16GiB\"");
        }
        Ok(payload)
    }
}

/// Temporary.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs)]
pub struct Roles {
    pub providers: Vec<String>,
    pub fetchers: Vec<String>,
    pub rendezvous: Option<String>,
    pub relay: Option<String>,
}
