//! Scenario files.

use crate::cross::{self, CrossFile};
use crate::error::{self, FileError, parse};
use crate::expect::{Expect, ExpectFile};
use crate::extend::{Extended, extended};
use crate::files::{self, Files, Read};
use crate::gateway::{self, FirewallChoice, Ipv6Choice, LanChoice, NatChoice};
use crate::host::HostFile;
use crate::link::LinkChoice;
use crate::matrix::{Combination, combinations};
use crate::payload::{Payload, PayloadFile, Sort};
use crate::quantity::Nanos;
use crate::region::{Atlas, RegionFile};
use crate::roles::{Groups, Roles, RolesFile};
use crate::timeline::{self, AtFile};
use netsim_topology::{Cross, Event, Opening, Router, Topology, Traffic, ceiling_bps, opening, plan};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
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
    /// Which hosts do what.
    pub roles: Roles,
    /// How often it is run when not said otherwise.
    pub repeat: u32,
    /// How long one transfer may take.
    pub timeout: Duration,
    /// What runs are expected to come to.
    pub expect: Expect,
    /// The scenarios it extends, the nearest first.
    pub bases: Vec<String>,
}

/// What a file is called and asked for by, without the rest of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Head {
    /// Its name, without a combination's values.
    pub name: String,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<String>,
}

impl Head {
    /// Reads the head of a scenario file, which is little work. `file` is its name for error messages.
    pub fn parse(file: &str, text: &str) -> Result<Head, FileError> {
        parse(file, text)
    }
}

/// Everything that decides a result is in the resolved form; this is its version.
const SCHEMA: u32 = 1;
/// The longest name of a combination, in bytes.
const MAX_EXPANDED: usize = 200;
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScenarioFile {
    /// The version of this format: 1.
    schema: u32,
    /// What it is called: a-z, 0-9, `-`, `.` and `/`.
    name: String,
    /// The scenario it is, but for what this file says: a shipped one, or a file beside this one.
    extend: Option<String>,
    /// One line for lists.
    #[serde(default)]
    summary: String,
    /// What it can be asked for by, beside its name.
    #[serde(default)]
    tags: Vec<String>,
    /// Regions of the file's own, or other delays of shipped ones.
    #[serde(default)]
    region: Vec<RegionFile>,
    /// Routers, each with what hangs behind it.
    #[serde(default)]
    router: Vec<RouterFile>,
    /// The machines that programs run on.
    #[serde(default)]
    host: Vec<HostFile>,
    /// What is sent.
    payload: PayloadFile,
    /// Which hosts do what.
    roles: RolesFile,
    /// What happens to the network during the transfer.
    #[serde(default)]
    at: Vec<AtFile>,
    /// Flows beside the transfer.
    #[serde(default)]
    cross: Vec<CrossFile>,
    /// How often, and for how long at most.
    #[serde(default)]
    measure: MeasureFile,
    /// What makes a test of it.
    #[serde(default)]
    expect: ExpectFile,
    /// Lists of values; each combination is a scenario.
    #[schemars(with = "Option<BTreeMap<String, Value>>")]
    matrix: Option<toml::Table>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RouterFile {
    name: String,
    count: Option<u32>,
    behind: Option<String>,
    region: Option<String>,
    nat: Option<NatChoice>,
    ipv6: Option<Ipv6Choice>,
    firewall: Option<FirewallChoice>,
    lan: Option<LanChoice>,
    port_mapping: Option<bool>,
    #[serde(default)]
    uplink: LinkChoice,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MeasureFile {
    repeat: Option<u32>,
    timeout: Option<Nanos>,
}

impl Scenario {
    /// Reads a scenario file that is one scenario and names no other files. `file` is its name for error messages.
    pub fn parse(file: &str, text: &str) -> Result<Scenario, FileError> {
        Scenario::parse_with(file, text, &files::none)
    }

    /// Reads a scenario file that is one scenario. `read` reads files that it names, traces for example.
    pub fn parse_with(file: &str, text: &str, read: Read) -> Result<Scenario, FileError> {
        let mut all = Scenario::expand(file, text, read)?;
        match (all.pop(), all.len()) {
            (Some(one), 0) => Ok(one),
            (_, others) => {
                let message = format!("makes {} scenarios of this file; one is wanted here", others + 1);
                Err(FileError::new(file, "matrix", message))
            }
        }
    }

    /// Reads a scenario file: one scenario, or one for each combination of its matrix, in a fixed order.
    pub fn expand(file: &str, text: &str, read: Read) -> Result<Vec<Scenario>, FileError> {
        // As it stands first, because only that knows lines. What a file that extends another leaves out may be there.
        match parse::<ScenarioFile>(file, text) {
            Ok(written) if written.extend.is_none() && written.matrix.is_none() => {
                return Ok(vec![written.resolve(&Files { name: file, read }, Vec::new(), "")?]);
            }
            Err(error) if !(extends(text) && error.message.contains("missing field")) => return Err(error),
            _ => {}
        }
        let Extended { mut table, bases } = extended(file, text, read)?;
        let matrix = match table.remove("matrix") {
            None => toml::Table::new(),
            Some(toml::Value::Table(matrix)) => matrix,
            Some(_) => {
                return Err(FileError::new(file, "matrix", "is a table of lists, for example size = [\"1MiB\"]"));
            }
        };
        let of = match bases.first() {
            Some(base) => format!("{file} (extends {base})"),
            None => file.to_owned(),
        };
        let files = Files { name: &of, read };
        let mut scenarios = Vec::new();
        for Combination { suffix, table: combined } in combinations(&matrix, &table, &files)? {
            let name = if suffix.is_empty() { of.clone() } else { format!("{of} {suffix}") };
            let files = Files { name: &name, read };
            let written: ScenarioFile = error::read(&name, combined)?;
            let scenario = written.resolve(&files, bases.clone(), &suffix)?;
            if let Some(same) = scenarios.iter().find(|other: &&Scenario| other.is_same_as(&scenario)) {
                let message = format!("makes the same of `{}` as of `{}`; remove one value", same.name, scenario.name);
                return Err(FileError::new(&of, "matrix", message));
            }
            scenarios.push(scenario);
        }
        Ok(scenarios)
    }

    /// Whether it comes to the same, but for its name.
    fn is_same_as(&self, other: &Scenario) -> bool {
        let parts = |s: &Scenario| (s.payload.clone(), s.roles.clone(), s.timeout);
        parts(self) == parts(other)
            && self.topology == other.topology
            && (&self.timeline, &self.cross) == (&other.timeline, &other.cross)
    }

    /// The name of the file's scenarios without a combination's values.
    pub fn family(&self) -> &str {
        self.name.split('[').next().unwrap_or_default()
    }

    /// The first provider.
    pub fn provider(&self) -> &str {
        self.roles.providers.first().map(String::as_str).unwrap_or_default()
    }

    /// The first fetcher.
    pub fn fetcher(&self) -> &str {
        self.roles.fetchers.first().map(String::as_str).unwrap_or_default()
    }

    /// Whether every fetcher can reach every provider by itself, by TCP at least.
    pub fn is_reachable(&self) -> bool {
        let tcp = Traffic::Tcp { congestion: None };
        let open = |from: &str, to: &str| opening(&self.topology, from, to, &tcp) == Ok(Opening::Sender);
        self.pairs().into_iter().all(|[provider, fetcher]| open(fetcher, provider))
    }

    /// About how long one run with one subject takes if nothing holds it up: what comes before and after a transfer, the
    /// transfer at the links' full rate, or at 1 Gbit/s, and what cuts it off. Loss and delay make it longer.
    pub fn estimate(&self) -> Duration {
        /// Bringing up, calibrating, checking.
        const AROUND_S: f64 = 3.0;
        const FASTEST_BPS: f64 = 1e9;
        /// Starting a program, and a lookup over the world.
        const NODE_S: f64 = 0.1;
        const LOOKUP_S: f64 = 0.5;
        let [from, to]: [Vec<&str>; 2] =
            [&self.roles.providers, &self.roles.fetchers].map(|hosts| hosts.iter().map(String::as_str).collect());
        let rate = ceiling_bps(&self.topology, &from, &to).map_or(FASTEST_BPS, |bps| bps.get() as f64);
        let bits = self.payload.bytes_at_most() as f64 * 8.0 * to.len() as f64;
        let cut: u64 = self.disturbances().iter().map(|cut| cut.until_ns - cut.from_ns).sum();
        let lookups = if let Payload::Lookups { count } = self.payload { count as f64 * LOOKUP_S } else { 0.0 };
        let around_s = AROUND_S + self.roles.nodes.len() as f64 * NODE_S + lookups;
        let transfer = Duration::from_secs_f64(around_s + bits / rate.min(FASTEST_BPS)) + Duration::from_nanos(cut);
        transfer.min(self.timeout + Duration::from_secs(10))
    }

    /// The resolved form as text: all that can change a result, nothing that cannot (summary, tags, repeat).
    pub fn resolved(&self) -> String {
        let Scenario { name, topology, timeline, cross, payload, roles, timeout, .. } = self;
        // The derived debug form spells out every field of every link and NAT; adding a field changes the text, and so
        // it must: results before and after are not the same series.
        let mut text = format!(
            "schema {SCHEMA}\nname {name:?}\n{}timeout {} ns\npayload {payload:#?}\ntopology {topology:#?}\n",
            roles.resolved(),
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

/// Whether a file says that it extends another.
fn extends(text: &str) -> bool {
    text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("extend"))
}

impl ScenarioFile {
    fn resolve(self, files: &Files, bases: Vec<String>, suffix: &str) -> Result<Scenario, FileError> {
        if self.schema != SCHEMA {
            let message = format!("schema {} is not known to this version of longhaul; it reads {SCHEMA}", self.schema);
            return Err(files.error("schema", message));
        }
        check_name(files.name, &self.name)?;
        let name = self.name.clone() + suffix;
        if name.len() > MAX_EXPANDED {
            let message = format!("{name} is longer than {MAX_EXPANDED} bytes; shorten names of values");
            return Err(files.error("matrix", message));
        }
        let mut groups = Groups::default();
        let topology = self.topology(files, &mut groups)?;
        let plan = plan(&topology);
        let plan =
            plan.map_err(|error| FileError { file: files.name.into(), key: None, message: error.to_string() })?;
        let roles = self.roles.resolve(files, &topology, &groups)?;
        let (repeat, timeout) = self.measure.resolve(files)?;
        let timeline = timeline::resolve(&self.at, files, &topology, &roles, plan.addresses, timeout)?;
        let cross = cross::resolve(&self.cross, files, &topology, &timeline, timeout)?;
        let payload = self.payload.resolve(files.name)?;
        match (payload.sort() == Sort::Lookups, roles.nodes.is_empty()) {
            (true, true) => {
                let message = "lookups are made in a network of nodes; write node = [\"node\"], and a [[host]] of that \
                               name with a `count`";
                return Err(files.error("roles.node", message));
            }
            (false, false) => {
                return Err(files.error(
                    "roles.node",
                    "nodes are there for lookups alone; remove it, or write kind = \
                                                      \"lookups\" in [payload]",
                ));
            }
            _ => {}
        }
        Ok(Scenario {
            payload,
            expect: self.expect.resolve(),
            name,
            summary: self.summary,
            tags: self.tags,
            topology,
            timeline,
            cross,
            roles,
            repeat,
            timeout,
            bases,
        })
    }

    fn topology(&self, files: &Files, groups: &mut Groups) -> Result<Topology, FileError> {
        let atlas = Atlas::new(files, &self.region)?;
        let mut topology = Topology::default();
        for (n, router) in self.router.iter().enumerate() {
            topology.routers.extend(router.resolve(files, &format!("router[{n}]"), groups, &atlas)?);
        }
        for (n, host) in self.host.iter().enumerate() {
            topology.hosts.extend(host.resolve(files, &format!("host[{n}]"), groups, &atlas)?);
        }
        topology.transits = atlas.transits(&topology)?;
        Ok(topology)
    }
}

impl RouterFile {
    /// The routers it stands for.
    fn resolve(&self, files: &Files, key: &str, groups: &mut Groups, atlas: &Atlas) -> Result<Vec<Router>, FileError> {
        let names = groups.members(&self.name, self.count, files, key)?;
        let of = names.len();
        if let Some(region) = &self.region {
            atlas.check(region, &format!("{key}.region"))?;
        }
        let uplink = self.uplink.at_first(files, &format!("{key}.uplink"))?;
        let router = |(n, name): (usize, String)| {
            Ok(Router {
                name,
                behind: groups.behind(self.behind.as_ref(), (n, of), files, key)?,
                region: self.region.clone(),
                gateway: gateway::resolve(self.nat, self.ipv6, self.firewall, self.lan, self.port_mapping),
                uplink: uplink.clone(),
            })
        };
        names.into_iter().enumerate().map(router).collect()
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
