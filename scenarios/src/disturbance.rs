//! What a timeline does to cut a transfer's way off, and when each is over.

use crate::payload::Sort;
use crate::scenario::Scenario;
use crate::words::event_words;
use longhaul_record::text;
use netsim_fabric::LinkState;
use netsim_topology::{Change, Direction, Event, Topology};

/// What cuts off whoever uses what it happens to: a link is down, an interface is lost or another preferred to it, mappings
/// are forgotten, an address changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disturbance {
    /// When it begins, in nanoseconds after the start of the transfer. No two begin at one time.
    pub from_ns: u64,
    /// When it is over: then too, if it takes no time or is for good.
    pub until_ns: u64,
    /// What happens, for example `bob.link is down for 2 s`.
    pub what: String,
}

impl Scenario {
    /// The disturbances, in order of time. Those that begin together are one, which is over when all of it is. Where
    /// nothing is transferred there are none.
    pub fn disturbances(&self) -> Vec<Disturbance> {
        if self.payload.sort() == Sort::Lookups {
            return Vec::new();
        }
        let mut network = self.topology.clone();
        let mut all: Vec<Disturbance> = Vec::new();
        for (n, event) in self.timeline.iter().enumerate() {
            let before = network.clone();
            apply(&mut network, &event.change);
            let rest = &self.timeline[n + 1..];
            let Some((until_ns, what)) = disturbance(event, &before, &network, rest) else { continue };
            match all.last_mut().filter(|last| last.from_ns == event.at_ns) {
                Some(last) => {
                    last.until_ns = last.until_ns.max(until_ns);
                    last.what += &format!(", {what}");
                }
                None => all.push(Disturbance { from_ns: event.at_ns, until_ns, what }),
            }
        }
        all
    }
}

/// Until when an event disturbs, and how; `None` if it does not.
fn disturbance(event: &Event, before: &Topology, after: &Topology, rest: &[Event]) -> Option<(u64, String)> {
    let at_ns = event.at_ns;
    let told = || {
        let (who, what) = event_words(&mut before.clone(), event);
        format!("{who} {what}")
    };
    match &event.change {
        Change::Link { name, .. } => {
            let cut = |network: &Topology| is_cut(network, &name.link);
            (!cut(before) && cut(after)).then(|| {
                let until = when(after, rest, |network| !cut(network));
                (until.unwrap_or(at_ns), format!("{} is down {}", name.link, duration(at_ns, until)))
            })
        }
        Change::Interface { host, .. } => {
            let used = |network: &Topology| in_use(network, host).map(str::to_owned);
            match (used(before), used(after)) {
                // It was cut off before, which that disturbance counts.
                (None, _) => None,
                (Some(before), Some(after)) => (before != after).then(|| (at_ns, told())),
                (Some(_), None) => {
                    let until = when(after, rest, |network| in_use(network, host).is_some());
                    Some((until.unwrap_or(at_ns), format!("{host} is cut off {}", duration(at_ns, until))))
                }
            }
        }
        Change::Readdress { host, interface, .. } => {
            (in_use(before, host) == Some(interface.as_str())).then(|| (at_ns, told()))
        }
        Change::Reboot { .. } | Change::Renumber { .. } => Some((at_ns, told())),
    }
}

fn duration(from_ns: u64, until_ns: Option<u64>) -> String {
    until_ns.map_or_else(|| "for good".into(), |until| format!("for {}", text::nanoseconds(until - from_ns)))
}

/// When something is first true of the network, as events change it.
fn when(network: &Topology, events: &[Event], is: impl Fn(&Topology) -> bool) -> Option<u64> {
    let mut network = network.clone();
    let mut events = events.iter();
    events
        .find(|event| {
            apply(&mut network, &event.change);
            is(&network)
        })
        .map(|event| event.at_ns)
}

/// Whether a link carries nothing in one direction at least.
fn is_cut(network: &Topology, link: &str) -> bool {
    let mut network = network.clone();
    let states = network.access_mut(link).map(|access| [access.up.state, access.down.state]);
    states.is_some_and(|states| states.into_iter().any(|state| state != LinkState::Up))
}

/// The interface by which a host sends.
fn in_use<'a>(network: &'a Topology, host: &str) -> Option<&'a str> {
    let host = network.hosts.iter().find(|other| other.name == host)?;
    host.interfaces.iter().find(|own| own.up).map(|own| own.name.as_str())
}

/// What decides whether links and interfaces are there. Addresses are not followed.
fn apply(network: &mut Topology, change: &Change) {
    match change {
        Change::Link { name, config } => {
            if let Some(access) = network.access_mut(&name.link) {
                let way = match name.direction {
                    Direction::Up => &mut access.up,
                    Direction::Down => &mut access.down,
                };
                *way = config.as_ref().clone();
            }
        }
        Change::Interface { host, interface, up } => {
            let hosts = network.hosts.iter_mut().filter(|other| other.name == *host);
            let own = hosts.flat_map(|host| &mut host.interfaces).filter(|own| own.name == *interface);
            own.for_each(|own| own.up = *up);
        }
        Change::Reboot { .. } | Change::Renumber { .. } | Change::Readdress { .. } => {}
    }
}
