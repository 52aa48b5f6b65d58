//! `[[at]]`: what happens to the network during the transfer.

use crate::error::{FileError, nearest};
use crate::files::Files;
use crate::link::LinkChoice;
use crate::quantity::{Nanos, Ppb};
use crate::roles::Roles;
use netsim_fabric::{LinkState, Outage};
use netsim_topology::{AddressPlan, Change, Direction, Event, Host, Interface, LinkName, Topology, plan};
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// One thing that happens, and when.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AtFile {
    time: Nanos,
    link: Option<String>,
    set: Option<LinkChoice>,
    reboot: Option<String>,
    renumber: Option<String>,
    interface: Option<String>,
    state: Option<StateChoice>,
    leave: Option<LeaveFile>,
}

/// Some hosts of a role leave the network for good.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LeaveFile {
    role: LeavingRole,
    share: Ppb,
}

/// Of which role hosts can leave.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum LeavingRole {
    Node,
}

/// Whether an interface is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum StateChoice {
    Up,
    Down,
}

/// The events in order of time; what happens at one time, in the order of the file. What is set on a link is relative to
/// what it does then.
pub(crate) fn resolve(
    written: &[AtFile],
    files: &Files,
    topology: &Topology,
    roles: &Roles,
    addresses: AddressPlan,
    timeout: Duration,
) -> Result<Vec<Event>, FileError> {
    let mut order: Vec<(usize, &AtFile)> = written.iter().enumerate().collect();
    order.sort_by_key(|(_, at)| at.time.0);
    let mut network = Network { topology: topology.clone(), roles, addresses };
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
struct Network<'a> {
    topology: Topology,
    roles: &'a Roles,
    addresses: AddressPlan,
}

impl Network<'_> {
    fn changes(&mut self, at: &AtFile, files: &Files, key: &str) -> Result<Vec<Change>, FileError> {
        let AtFile { link, set, reboot, renumber, interface, state, leave, .. } = at;
        if let (Some(leave), None, None, None, None, None, None) =
            (leave, link, set, reboot, renumber, interface, state)
        {
            return self.leave(leave, at.time.0, files, &format!("{key}.leave"));
        }
        match (link, set, reboot, renumber, interface, state) {
            _ if leave.is_some() => Err(files.error(key, "`leave` is all that happens in its table; remove the rest")),
            (Some(link), Some(set), None, None, None, None) => self.set(link, set, files, key),
            (None, None, Some(router), None, None, None) => {
                self.router(router, files, &format!("{key}.reboot"))?;
                Ok(vec![Change::Reboot { router: router.clone() }])
            }
            (None, None, None, Some(name), None, None) => {
                Ok(vec![self.renumber(name, files, &format!("{key}.renumber"))?])
            }
            (None, None, None, None, Some(name), Some(state)) => {
                Ok(vec![self.switch(name, *state == StateChoice::Up, files, &format!("{key}.interface"))?])
            }
            _ => Err(files.error(
                key,
                "say one thing that happens: `link` and `set`, or `interface = \"HOST.INTERFACE\"` and `state`, or \
                 `reboot = \"ROUTER\"`, or `renumber` with the name of a router or host, or `leave`",
            )),
        }
    }

    /// A router gets other addresses from its provider, or a host from its network.
    fn renumber(&mut self, name: &str, files: &Files, key: &str) -> Result<Change, FileError> {
        if self.topology.routers.iter().any(|router| router.name == name) {
            let outside = self.addresses.renumber(name).ok_or_else(|| {
                files.error(key, format!("`{name}` has no NAT, or no free address is left where it is"))
            })?;
            return Ok(Change::Renumber { router: name.to_owned(), outside });
        }
        let named = |(host, interface): &(&Host, &Interface)| full_name(host, interface) == name;
        let in_use = |host: &&Host| host.name == name;
        let Some((host, interface)) = self.interfaces().find(named).or_else(|| {
            let host = self.topology.hosts.iter().find(in_use)?;
            Some((host, host.primary()?))
        }) else {
            let routers = self.topology.routers.iter().map(|router| router.name.clone());
            let hosts = self.topology.hosts.iter().map(|host| host.name.clone());
            let interfaces = self.interfaces().map(|(host, interface)| full_name(host, interface));
            let known: Vec<String> = routers.chain(hosts).chain(interfaces).collect();
            return Err(unknown(files, key, "router, host or interface", name, &known));
        };
        if !interface.up {
            let message = format!("`{}` is down then; renumber it while it is up", full_name(host, interface));
            return Err(files.error(key, message));
        }
        let (host, interface) = (host.name.clone(), interface.name.clone());
        let addresses = self.addresses.renumber_host(&host, &interface);
        let addresses =
            addresses.ok_or_else(|| files.error(key, format!("no free address is left where `{name}` is")))?;
        Ok(Change::Readdress { host, interface, addresses })
    }

    /// An interface goes up or down.
    fn switch(&mut self, name: &str, up: bool, files: &Files, key: &str) -> Result<Change, FileError> {
        let lone = |host: &&Host| {
            let asked = name == host.name || name.strip_prefix(&host.name).is_some_and(|rest| rest.starts_with('.'));
            host.interfaces.len() == 1 && asked
        };
        if let Some(Host { name, .. }) = self.topology.hosts.iter().find(lone) {
            let message = format!(
                "`{name}` has one interface and nothing to switch to; give it [[host.interface]] tables, or write link = \
                 \"{name}.link\" and set = {{ state = \"down\" }}"
            );
            return Err(files.error(key, message));
        }
        let known: Vec<String> = self.interfaces().map(|(host, interface)| full_name(host, interface)).collect();
        let hosts = self.topology.hosts.iter_mut().filter(|host| host.interfaces.len() > 1);
        let found = hosts.into_iter().find_map(|host| {
            let own = host.interfaces.iter().position(|own| full_name(host, own) == name)?;
            Some((host.name.clone(), &mut host.interfaces[own]))
        });
        let Some((host, interface)) = found else { return Err(unknown(files, key, "interface", name, &known)) };
        if interface.up == up {
            let (is, want) = if up { ("up", "down") } else { ("down", "up") };
            return Err(files.error(
                key,
                format!("`{name}` is {is} already at that time; leave this out, or take it {want} before"),
            ));
        }
        interface.up = up;
        Ok(Change::Interface { host, interface: interface.name.clone(), up })
    }

    /// The interfaces of hosts that have several.
    fn interfaces(&self) -> impl Iterator<Item = (&Host, &Interface)> {
        let several = self.topology.hosts.iter().filter(|host| host.interfaces.len() > 1);
        several.flat_map(|host| host.interfaces.iter().map(move |interface| (host, interface)))
    }

    /// The directions of a link that change.
    fn set(&mut self, link: &str, set: &LinkChoice, files: &Files, key: &str) -> Result<Vec<Change>, FileError> {
        let names = self.topology.link_names();
        let Some(access) = self.topology.access_mut(link) else {
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

    /// Hosts of a role leave, without a word: their links go down for good. Which ones follows from their names and the
    /// moment alone. The first stays, because others join by it.
    fn leave(&mut self, leave: &LeaveFile, at_ns: u64, files: &Files, key: &str) -> Result<Vec<Change>, FileError> {
        let LeavingRole::Node = leave.role;
        let nodes = &self.roles.nodes;
        let leaving = (nodes.len() as u64 * u64::from(leave.share.0) + 500_000_000) / 1_000_000_000;
        let mut can_leave: Vec<(blake3::Hash, Vec<String>)> = Vec::new();
        for host in self.topology.hosts.iter().filter(|host| nodes.iter().skip(1).any(|node| *node == host.name)) {
            if host.interfaces.iter().any(|own| own.link.up.state == LinkState::Up) {
                let drawn = blake3::hash(format!("leave {at_ns} {}", host.name).as_bytes());
                can_leave.push((drawn, host.interfaces.iter().map(|own| host.link_name(own)).collect()));
            }
        }
        if leaving == 0 || leaving > can_leave.len() as u64 {
            let message = format!(
                "{leaving} of {} nodes would leave, of {} that can: the first stays, because others join by it; write \
                 another share",
                nodes.len(),
                can_leave.len()
            );
            return Err(files.error(format!("{key}.share"), message));
        }
        can_leave.sort_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
        can_leave.truncate(leaving as usize);
        let links = can_leave.into_iter().flat_map(|(_, links)| links).collect();
        Ok(self.cut(links))
    }

    /// Links go down, in both directions, and drop what they have.
    fn cut(&mut self, mut links: Vec<String>) -> Vec<Change> {
        links.sort_by_key(|link| (link.len(), link.clone()));
        let mut changes = Vec::new();
        for link in links {
            let Some(access) = self.topology.access_mut(&link) else { continue };
            for (direction, config) in [(Direction::Up, &mut access.up), (Direction::Down, &mut access.down)] {
                config.state = LinkState::Down(Outage::Drop);
                let name = LinkName { link: link.clone(), direction };
                changes.push(Change::Link { name, config: Box::new(config.clone()) });
            }
        }
        changes
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

fn full_name(host: &Host, interface: &Interface) -> String {
    format!("{}.{}", host.name, interface.name)
}
