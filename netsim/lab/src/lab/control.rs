//! What can be done to a network while it is up.

use super::{Lab, LabError, LinkEngine};
use crate::engine::{Act, Handle};
use crate::interface::{Interface, Stuck, Turn};
use netsim_fabric::{Endpoint, MapError, MappingInfo, NodeId, Proto};
use netsim_topology::{Change, Event, LinkName, Place};
use std::sync::Arc;

impl Lab {
    /// Empties links and NAT tables, sets every counter to 0 and replays from `seed`. Programs stay as they are. What
    /// events have changed is as it was at first.
    pub fn restart(&self, seed: u64) -> Result<(), LabError> {
        self.play(seed, &[])
    }

    /// The same, and lets each event happen at its time from now on.
    pub fn play(&self, seed: u64, timeline: &[Event]) -> Result<(), LabError> {
        self.begin(seed, timeline, false)
    }

    /// The same, but routers keep their mappings: programs that are there already stay reachable.
    pub fn play_on(&self, seed: u64, timeline: &[Event]) -> Result<(), LabError> {
        self.begin(seed, timeline, true)
    }

    fn begin(&self, seed: u64, timeline: &[Event], keep: bool) -> Result<(), LabError> {
        let acts: Result<Vec<(u64, Act)>, LabError> =
            timeline.iter().map(|event| Ok((event.at_ns, self.act(&event.change)?))).collect();
        let acts = acts?;
        self.restore_interfaces(seed, keep)?;
        for host in self.hosts.values() {
            host.forget_drops()?;
        }
        for (name, router) in &self.kernels {
            router.restart(keep).map_err(|source| LabError::Counters { host: name.clone(), source })?;
        }
        Ok(self.engine.handle().restart(seed, acts, keep)?)
    }

    /// Brings the hosts' interfaces back to what they were at first.
    fn restore_interfaces(&self, seed: u64, keep: bool) -> Result<(), LabError> {
        // Nothing that is still planned may happen after they are.
        self.engine.handle().restart(seed, Vec::new(), keep)?;
        // What became of changes that nobody will look at does not matter, if only they can be undone.
        drop(self.operator.report());
        for interface in self.hosts.values().flat_map(|host| &host.interfaces) {
            self.operator.errand(interface, Turn::First).run();
        }
        self.check_interfaces()
    }

    /// Waits until the kernel has done what events asked of interfaces, and says what it could not.
    pub(super) fn check_interfaces(&self) -> Result<(), LabError> {
        self.operator.report().map_or(Ok(()), |Stuck { interface, source }| {
            let (host, name) = (interface.host.clone(), interface.name.clone());
            Err(LabError::Interface { host, name, source })
        })
    }

    /// Lets something happen to the network now. It stays until the next restart.
    pub fn change(&self, change: &Change) -> Result<(), LabError> {
        let act = self.act(change)?;
        self.engine.handle().act(act)?;
        if matches!(change, Change::Interface { .. } | Change::Readdress { .. }) {
            self.check_interfaces()?;
        }
        Ok(())
    }

    fn act(&self, change: &Change) -> Result<Act, LabError> {
        Ok(match change {
            // The fabric's part of such a link is a perfect wire: a change would come on top of what netem does.
            Change::Link { name, .. } if self.carrier == LinkEngine::Netem => {
                self.link(name)?;
                return Err(LabError::PipedLink { link: name.to_string() });
            }
            Change::Link { name, config } => Act::SetLink(self.link(name)?, config.clone()),
            Change::Reboot { router } => match self.kernels.get(router) {
                Some(kernel) => Act::RebootKernel(Arc::clone(kernel)),
                None => Act::Reboot(self.router(router)?),
            },
            Change::Renumber { router, outside } => {
                let node = self.fabric_router(router, "it cannot get other addresses while it runs")?;
                Act::Renumber(node, outside.clone())
            }
            Change::Interface { host, interface, up } => {
                let interface = self.interface(host, interface)?;
                let turn = if *up { Turn::Up } else { Turn::Down };
                Act::SetInterface(interface.node, *up, self.operator.errand(interface, turn))
            }
            Change::Readdress { host, interface, addresses } => {
                let interface = self.interface(host, interface)?;
                if let Some(name) = self.kernels.keys().next() {
                    let what = "it cannot follow a host to another address while it runs";
                    return Err(LabError::KernelRouter { name: name.clone(), what });
                }
                let errand = self.operator.errand(interface, Turn::Addresses(addresses.clone()));
                Act::Readdress(interface.link, addresses.clone(), errand)
            }
        })
    }

    fn interface(&self, host: &str, name: &str) -> Result<&Arc<Interface>, LabError> {
        let host = self.host(host)?;
        let found = host.interfaces.iter().find(|interface| interface.name == name);
        found.ok_or_else(|| LabError::NoSuchInterface {
            host: host.name().to_owned(),
            name: name.to_owned(),
            known: host.devices().to_vec(),
        })
    }

    pub(crate) fn engine(&self) -> &Handle {
        self.engine.handle()
    }

    pub(crate) fn link(&self, name: &LinkName) -> Result<netsim_fabric::LinkId, LabError> {
        let found = self.links.iter().find(|(other, _)| other == name);
        found.map(|(_, id)| *id).ok_or_else(|| LabError::NoSuchLink {
            name: name.to_string(),
            known: self.links.iter().map(|(name, _)| name.to_string()).collect(),
        })
    }

    fn router(&self, name: &str) -> Result<NodeId, LabError> {
        let known = || {
            let names = self.routers.keys().filter_map(|place| match place {
                Place::Router(name) => Some(name.clone()),
                _ => None,
            });
            names.collect()
        };
        let found = self.routers.get(&Place::Router(name.to_owned())).copied();
        found.ok_or_else(|| LabError::NoSuchRouter { name: name.to_owned(), known: known() })
    }

    /// The same where it has to be the fabric's.
    fn fabric_router(&self, name: &str, what: &'static str) -> Result<NodeId, LabError> {
        if self.kernels.contains_key(name) {
            return Err(LabError::KernelRouter { name: name.to_owned(), what });
        }
        self.router(name)
    }

    /// Asks a router to map a port, as its NAT-PMP, PCP and UPnP servers do. See [`netsim_fabric::Fabric::map_port`].
    pub fn map_port(
        &self,
        router: &str,
        proto: Proto,
        internal: Endpoint,
        wanted: Option<u16>,
        lifetime_ns: u64,
    ) -> Result<Result<Endpoint, MapError>, LabError> {
        let router = self.fabric_router(router, "it maps no ports on request")?;
        let deed = move |fabric: &mut netsim_fabric::Fabric<_>, now| {
            fabric.map_port(now, router, proto, internal, wanted, lifetime_ns)
        };
        Ok(self.engine.handle().with(router, deed)?)
    }

    /// The mappings of a router that live now, oldest first.
    pub fn mappings(&self, router: &str) -> Result<Vec<MappingInfo>, LabError> {
        let router = self.fabric_router(router, "its mappings are the kernel's")?;
        Ok(self.engine.handle().with(router, move |fabric, now| fabric.mappings(now, router))?)
    }
}
