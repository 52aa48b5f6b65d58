//! `[roles]` and `count`: which hosts do what, by name or by the name of a group.

use crate::error::FileError;
use crate::files::Files;
use crate::schema::any_of;
use crate::timeline::unknown;
use netsim_topology::Topology;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// Which hosts do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    /// The hosts that have the payload; at least one.
    pub providers: Vec<String>,
    /// The hosts that get it; at least one.
    pub fetchers: Vec<String>,
    /// The host by which the others find each other.
    pub rendezvous: Option<String>,
    /// The host that passes on what cannot go directly.
    pub relay: Option<String>,
    /// The hosts of the network in which things are looked up; the others join it by the first.
    pub nodes: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RolesFile {
    provider: Names,
    fetcher: Names,
    rendezvous: Option<String>,
    relay: Option<String>,
    node: Option<Names>,
}

/// One name, or several.
#[derive(Debug)]
pub(crate) struct Names(pub(crate) Vec<String>);

any_of!(Names, "Names", "A name, or several", [String, Vec<String>]);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Names, D::Error> {
        struct NamesVisitor;
        impl<'de> Visitor<'de> for NamesVisitor {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or a list of them")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Names, E> {
                Ok(Names(vec![name.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = seq.next_element()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_any(NamesVisitor)
    }
}

/// As many as one table can stand for.
const MAX_COUNT: u32 = 1000;

/// The places that a table with `count` stands for, by its name.
#[derive(Debug, Default)]
pub(crate) struct Groups(BTreeMap<String, Vec<String>>);

impl Groups {
    /// The names of what a table stands for: `fetcher-1`, `fetcher-2` … with a `count`, else its own.
    pub(crate) fn members(
        &mut self,
        name: &str,
        count: Option<u32>,
        files: &Files,
        key: &str,
    ) -> Result<Vec<String>, FileError> {
        let Some(count) = count else { return Ok(vec![name.to_owned()]) };
        if !(1..=MAX_COUNT).contains(&count) {
            return Err(files.error(format!("{key}.count"), format!("write a number from 1 to {MAX_COUNT}")));
        }
        let members: Vec<String> = (1..=count).map(|n| format!("{name}-{n}")).collect();
        if self.0.insert(name.to_owned(), members.clone()).is_some() {
            let message = format!("two tables with `count` are named `{name}`; give one of them another name");
            return Err(files.error(format!("{key}.name"), message));
        }
        Ok(members)
    }

    /// What number `n` of `of` is behind: the router of that name or, of a group as large, its router number `n`.
    pub(crate) fn behind(
        &self,
        behind: Option<&String>,
        (n, of): (usize, usize),
        files: &Files,
        key: &str,
    ) -> Result<Option<String>, FileError> {
        let Some(name) = behind else { return Ok(None) };
        match self.0.get(name) {
            None => Ok(Some(name.clone())),
            Some(routers) if routers.len() == of => Ok(Some(routers[n].clone())),
            Some(routers) => {
                let message = format!(
                    "there are {} of `{name}` and {of} to be behind them; give both the same `count`, or name one, for \
                     example \"{name}-1\"",
                    routers.len()
                );
                Err(files.error(format!("{key}.behind"), message))
            }
        }
    }
}

impl RolesFile {
    pub(crate) fn resolve(&self, files: &Files, topology: &Topology, groups: &Groups) -> Result<Roles, FileError> {
        let names: Vec<String> = topology.hosts.iter().map(|host| host.name.clone()).collect();
        let known = |name: &String, key: &str| {
            if names.contains(name) { Ok(name.clone()) } else { Err(unknown(files, key, "host", name, &names)) }
        };
        let hosts = |role: &str, Names(written): &Names| {
            let key = format!("roles.{role}");
            let members = written.iter().flat_map(|name| groups.0.get(name).cloned().unwrap_or(vec![name.clone()]));
            let hosts = members.map(|name| known(&name, &key)).collect::<Result<Vec<String>, FileError>>()?;
            if hosts.is_empty() {
                return Err(files.error(key, "names no host; write for example [\"alice\"]"));
            }
            if let Some((_, name)) = hosts.iter().enumerate().find(|(n, name)| hosts[..*n].contains(name)) {
                return Err(files.error(key, format!("names `{name}` twice; once is enough")));
            }
            Ok(hosts)
        };
        let single = |role: &str, host: &Option<String>| {
            host.as_ref().map(|name| known(name, &format!("roles.{role}"))).transpose()
        };
        let roles = Roles {
            providers: hosts("provider", &self.provider)?,
            fetchers: hosts("fetcher", &self.fetcher)?,
            rendezvous: single("rendezvous", &self.rendezvous)?,
            relay: single("relay", &self.relay)?,
            nodes: self.node.as_ref().map_or(Ok(Vec::new()), |names| hosts("node", names))?,
        };
        let mut known = BTreeMap::new();
        for (role, hosts) in [("provider", &roles.providers), ("fetcher", &roles.fetchers), ("node", &roles.nodes)] {
            for name in hosts {
                if let Some(other) = known.insert(name, role) {
                    let message = format!("`{name}` is {other} and {role}; name another host for one of them");
                    return Err(files.error("roles", message));
                }
            }
        }
        Ok(roles)
    }
}

impl Roles {
    /// As the resolved form has it: a line for every host.
    pub(crate) fn resolved(&self) -> String {
        let line = |role: &str, host: &String| format!("{role} {host:?}\n");
        let providers = self.providers.iter().map(|host| line("provider", host));
        let fetchers = self.fetchers.iter().map(|host| line("fetcher", host));
        let others = [("rendezvous", &self.rendezvous), ("relay", &self.relay)];
        let others = others.into_iter().filter_map(|(role, host)| host.as_ref().map(|host| line(role, host)));
        let nodes = self.nodes.iter().map(|host| line("node", host));
        providers.chain(fetchers).chain(others).chain(nodes).collect()
    }
}
