//! `[[at]]`: what happens to the network during the transfer.

use crate::error::{FileError, nearest};
use crate::files::Files;
use crate::link::LinkChoice;
use crate::quantity::Nanos;
use netsim_topology::{Access, AddressPlan, Change, Direction, Event, LinkName, Topology, plan};
use serde::Deserialize;
use std::time::Duration;

/// One thing that happens, and when.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AtFile {
    time: Nanos,
    link: Option<String>,
    set: Option<LinkChoice>,
    reboot: Option<String>,
    renumber: Option<String>,
}

/// The events in order of time; what happens at one time, in the order of the file. What is set on a link is relative to
/// what it does then.
pub(crate) fn resolve(
    written: &[AtFile],
    files: &Files,
    topology: &Topology,
    addresses: AddressPlan,
    timeout: Duration,
) -> Result<Vec<Event>, FileError> {
    let mut order: Vec<(usize, &AtFile)> = written.iter().enumerate().collect();
    order.sort_by_key(|(_, at)| at.time.0);
    let mut network = Network { topology: topology.clone(), addresses };
    let mut events = Vec::new();
    for (n, at) in order {
        let key = format!("at[{n}]");
        if u128::from(at.time.0) >= timeout.as_nanos() {
            let message = format!("the transfer's time-out of {} s comes first", timeout.as_secs_f64());
            return Err(files.error(format!("{key}.time"), message));
        }
        let changes = network.changes(at, files, &key)?;
        events.extend(changes.into_iter().map(|change| Event { at_ns: at.time.0, change }));
    }
    Ok(events)
}

/// The network as it is at some moment.
struct Network {
    topology: Topology,
    addresses: AddressPlan,
}

impl Network {
    fn changes(&mut self, at: &AtFile, files: &Files, key: &str) -> Result<Vec<Change>, FileError> {
        match at {
            AtFile { link: Some(link), set: Some(set), reboot: None, renumber: None, .. } => {
                self.set(link, set, files, key)
            }
            AtFile { link: None, set: None, reboot: Some(router), renumber: None, .. } => {
                self.router(router, files, &format!("{key}.reboot"))?;
                Ok(vec![Change::Reboot { router: router.clone() }])
            }
            AtFile { link: None, set: None, reboot: None, renumber: Some(router), .. } => {
                let key = format!("{key}.renumber");
                self.router(router, files, &key)?;
                let outside = self.addresses.renumber(router).ok_or_else(|| {
                    files.error(key, format!("`{router}` has no NAT, or no free address is left where it is"))
                })?;
                Ok(vec![Change::Renumber { router: router.clone(), outside }])
            }
            _ => Err(files.error(
                key,
                "say one thing that happens: `link` and `set`, or `reboot = \"ROUTER\"`, or `renumber = \"ROUTER\"`",
            )),
        }
    }

    /// The directions of a link that change.
    fn set(&mut self, link: &str, set: &LinkChoice, files: &Files, key: &str) -> Result<Vec<Change>, FileError> {
        let names = link_names(&self.topology);
        let Some(access) = access_mut(&mut self.topology, link) else {
            return Err(unknown(files, format!("{key}.link"), "link", link, &names));
        };
        let before = access.clone();
        let key = format!("{key}.set");
        *access = set.changed(files, &key, &before)?;
        let after = access.clone();
        if after == before {
            return Err(files.error(key, format!("`{link}` does that already")));
        }
        plan(&self.topology).map_err(|error| files.error(key, error.to_string()))?;
        let directions = [(Direction::Up, before.up, after.up), (Direction::Down, before.down, after.down)];
        let changed = directions.into_iter().filter(|(_, before, after)| before != after);
        let change = |(direction, _, config)| Change::Link {
            name: LinkName { link: link.to_owned(), direction },
            config: Box::new(config),
        };
        Ok(changed.map(change).collect())
    }

    fn router(&self, name: &str, files: &Files, key: &str) -> Result<(), FileError> {
        let names: Vec<String> = self.topology.routers.iter().map(|router| router.name.clone()).collect();
        if names.iter().any(|other| other == name) { Ok(()) } else { Err(unknown(files, key, "router", name, &names)) }
    }
}

pub(crate) fn unknown(files: &Files, key: impl Into<String>, kind: &str, name: &str, known: &[String]) -> FileError {
    let meant = nearest(name, known.iter().map(String::as_str));
    let hint = meant.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    let there = if known.is_empty() { "there is none".into() } else { format!("there are: {}", known.join(", ")) };
    files.error(key, format!("no {kind} is named `{name}`; {there}{hint}"))
}

fn link_names(topology: &Topology) -> Vec<String> {
    let uplinks = topology.routers.iter().map(|router| format!("{}.uplink", router.name));
    uplinks.chain(topology.hosts.iter().map(|host| format!("{}.link", host.name))).collect()
}

/// The link that plans call `name`.
pub(crate) fn access_mut<'a>(topology: &'a mut Topology, name: &str) -> Option<&'a mut Access> {
    if let Some(router) = name.strip_suffix(".uplink") {
        return topology.routers.iter_mut().find(|other| other.name == router).map(|router| &mut router.uplink);
    }
    let host = name.strip_suffix(".link")?;
    topology.hosts.iter_mut().find(|other| other.name == host).map(|host| &mut host.link)
}
