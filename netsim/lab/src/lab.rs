//! A network that is up: hosts to run programs in, counters to read.

mod control;
mod engines;
mod host;
mod parts;

pub use engines::{Engines, LinkEngine, NatEngine};
pub use host::Host;

use crate::clock;
use crate::device::{DEVICE, DeviceError, Plumbing, Workshop, ethtool};
use crate::engine::{Devices, Engine, EngineError, FabricParts, Snapshot, fidelity_record};
use crate::interface::Operator;
use crate::netns::NetNs;
use crate::nftables::{self, KernelRouter, NftablesError};
use crate::servers::{Job, Servers};
use longhaul_record::{Fidelity, LinkReport};
use netsim_fabric::{Fabric, LinkId, MappingEvent, NodeId, Time};
use netsim_services::dns::Zone;
use netsim_services::stun;
use netsim_topology::{
    AddressPlan, Built, HOST_MTU, LabStep, LinkName, Place, Plan, Shards, build, with_kernel_routers, with_pipes,
};
use parts::Numbering;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A network that is up. Dropping it takes it down.
#[derive(Debug)]
pub struct Lab {
    /// Before the engine: they end first.
    _servers: Vec<Servers>,
    /// Before the engine too.
    operator: Operator,
    engine: Engine,
    hosts: BTreeMap<String, Host>,
    /// Where the internet's servers run, and what answers in each region.
    internet: BTreeMap<Option<String>, Host>,
    links: Vec<(LinkName, LinkId)>,
    routers: BTreeMap<Place, NodeId>,
    /// Routers that are kernels, by name.
    kernels: BTreeMap<String, Arc<KernelRouter>>,
    /// What carries the links.
    carrier: LinkEngine,
    addresses: AddressPlan,
}

/// Why a lab could not be brought up or asked.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// No network namespace.
    #[error("cannot make the network namespace of host `{host}`; `longhaul doctor` says what is missing")]
    Namespace {
        /// The host.
        host: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Nowhere to attach hosts to.
    #[error("cannot make what the hosts are attached to; `longhaul doctor` says what is missing")]
    Attachment(#[source] DeviceError),
    /// No file that names the name servers.
    #[error("cannot write the resolv.conf of host `{host}`")]
    Resolver {
        /// The host.
        host: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// No network device.
    #[error("cannot make the network device of host `{host}`")]
    Device {
        /// The host.
        host: String,
        /// Which step failed.
        #[source]
        source: DeviceError,
    },
    /// An interface that is to change while the network runs.
    #[error("cannot change the interface `{name}` of host `{host}`")]
    Interface {
        /// The host.
        host: String,
        /// The interface.
        name: String,
        /// Which step failed.
        #[source]
        source: DeviceError,
    },
    /// The thread that changes interfaces.
    #[error("cannot start the thread that changes interfaces")]
    Operator(#[source] io::Error),
    /// An interface that is not in the topology.
    #[error("host `{host}` has no interface `{name}`; it has: {}", known.join(", "))]
    NoSuchInterface {
        /// The host.
        host: String,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A link by netem.
    #[error("cannot make the link `{link}` by netem")]
    Pipe {
        /// The link.
        link: String,
        /// Which step failed.
        #[source]
        source: DeviceError,
    },
    /// A link by netem stays as it is.
    #[error("the link `{link}` is netem's, which cannot be changed while it runs; use the userspace link engine")]
    PipedLink {
        /// The link.
        link: String,
    },
    /// A router of Linux's own parts.
    #[error(transparent)]
    Nftables(Box<NftablesError>),
    /// Something only the fabric's routers can be asked.
    #[error("router `{name}` is a kernel (NAT by nftables): {what}; use the userspace NAT engine")]
    KernelRouter {
        /// The router.
        name: String,
        /// What cannot be.
        what: &'static str,
    },
    /// The servers of the network.
    #[error("cannot start the servers of `{of}`")]
    Servers {
        /// The router, or the internet.
        of: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The data plane.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A name that is not in the topology.
    #[error("no host `{name}`; there are: {}", known.join(", "))]
    NoSuchHost {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A link that is not in the topology.
    #[error("no link `{name}`; there are: {}", known.join(", "))]
    NoSuchLink {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A router that is not in the topology.
    #[error("no router `{name}`; there are: {}", known.join(", "))]
    NoSuchRouter {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A counter of the kernel's.
    #[error("cannot read the device counters of host `{host}`")]
    Counters {
        /// The host.
        host: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
}

impl From<NftablesError> for LabError {
    fn from(error: NftablesError) -> LabError {
        LabError::Nftables(Box::new(error))
    }
}

impl Lab {
    /// Builds the network of `plan`; all its random decisions follow from `seed`.
    pub fn up(plan: &Plan, seed: u64) -> Result<Lab, LabError> {
        Lab::up_with(plan, seed, Engines::default())
    }

    /// The same, made of certain parts. Links by `netem` follow from no seed, and hosts then send every segment as a packet
    /// of its own, because netem would take a super-packet for one packet.
    pub fn up_with(plan: &Plan, seed: u64, engines: Engines) -> Result<Lab, LabError> {
        let mut plan = Cow::Borrowed(plan);
        if engines.nat == NatEngine::Nftables {
            plan = Cow::Owned(with_kernel_routers(&plan));
            nftables::check(&plan)?;
        }
        if engines.links == LinkEngine::Netem {
            plan = Cow::Owned(with_pipes(plan.into_owned()));
        }
        let lab = Lab { carrier: engines.links, ..Lab::build(&plan, seed, engines)? };
        if engines.links == LinkEngine::Netem {
            for host in lab.hosts.values().chain(lab.internet.values()) {
                let failed = |source| LabError::Device { host: host.name().to_owned(), source };
                for device in host.devices() {
                    let switched = host.run(|| ethtool::one_by_one(device));
                    let switched = switched.map_err(|source| failed(DeviceError::Namespace(source)))?;
                    switched.map_err(|source| failed(DeviceError::Segmentation(source)))?;
                }
            }
        }
        Ok(lab)
    }

    fn build(plan: &Plan, seed: u64, engines: Engines) -> Result<Lab, LabError> {
        let numbers = Numbering::of(plan, engines.threads);
        let mut workshop =
            Workshop::new(engines.attachment, plan.addresses.hosts.len()).map_err(LabError::Attachment)?;
        let mut hosts = BTreeMap::new();
        let mut kernels = BTreeMap::new();
        let mut devices = Vec::new();
        let mut rooms = Vec::new();
        let pipes = plan.steps.iter().filter(|step| matches!(step, LabStep::AddPipe { .. })).count();
        let mut plumbing = None;
        let mut internet = BTreeMap::new();
        for step in &plan.steps {
            match step {
                LabStep::AddHost { name, resolvers } => {
                    let node = numbers.nodes[&Place::Host(name.clone())];
                    let addresses = plan.addresses.hosts.get(name).map(Vec::as_slice).unwrap_or_default();
                    hosts.insert(name.clone(), Host::new(name, node, parts::namespace(name)?, addresses, resolvers)?);
                }
                LabStep::AddInterface { host, .. } => {
                    let Some(host) = hosts.get_mut(host) else { continue };
                    devices.extend(parts::interface(host, step, &numbers, &mut workshop)?);
                }
                LabStep::AddKernelRouter { name, config, inside, mtu } => {
                    let (router, ends) = KernelRouter::new(name, config, inside, *mtu, &mut workshop)?;
                    devices.push((numbers.nodes[&Place::Inner(name.clone())], ends.inner));
                    devices.push((numbers.nodes[&Place::Outer(name.clone())], ends.outer));
                    kernels.insert(name.clone(), Arc::new(router));
                }
                LabStep::AddServers { of, addresses, services } => {
                    let name = of.as_deref().unwrap_or(INTERNET);
                    let (namespace, device) = parts::room(name, addresses, &mut workshop)?;
                    let node = numbers.nodes[&Place::Servers(of.clone())];
                    devices.push((node, device));
                    if of.clone().map(Place::Region).is_none_or(|region| numbers.nodes.contains_key(&region)) {
                        let held = namespace.try_clone();
                        let held = held.map_err(|source| LabError::Namespace { host: name.to_owned(), source })?;
                        let mut host = Host::new(name, node, held, addresses, &[])?;
                        host.add_device(DEVICE);
                        internet.insert(of.clone(), host);
                    }
                    rooms.push((name, namespace, of, addresses, services));
                }
                LabStep::AddPipe { link, up, down } => {
                    let failed = |source| LabError::Pipe { link: link.clone(), source };
                    if plumbing.is_none() {
                        plumbing = Some(Plumbing::new(pipes).map_err(failed)?);
                    }
                    let Some(plumbing) = &mut plumbing else { continue };
                    let ends = plumbing.pipe(up, down, HOST_MTU).map_err(failed)?;
                    for (near, end) in [true, false].into_iter().zip(ends) {
                        devices.push((numbers.nodes[&Place::PipeEnd { link: link.clone(), near }], end));
                    }
                }
                LabStep::AddRouter { .. } | LabStep::AddLink { .. } | LabStep::AddRoute { .. } => {}
            }
        }
        let engine = start(plan.steps.clone(), seed, devices, numbers.shards)?;
        let start = |(name, namespace, of, addresses, services): (&str, NetNs, &Option<String>, &Vec<_>, &Vec<_>)| {
            let router = of.as_ref().and_then(|name| numbers.nodes.get(&Place::Router(name.clone()))).copied();
            let job = Job { addresses, services, zone: zone(&plan.addresses), router };
            let started = Servers::start(namespace, &job, engine.handle());
            started.map_err(|source| LabError::Servers { of: name.to_owned(), source })
        };
        let servers = rooms.into_iter().map(start).collect::<Result<Vec<Servers>, LabError>>()?;
        let is_router = |place: &Place| matches!(place, Place::Router(_) | Place::Internet | Place::Region(_));
        let routers = numbers.nodes.into_iter().filter(|(place, _)| is_router(place)).collect();
        let addresses = plan.addresses.clone();
        let links = numbers.links.into_iter().filter(|(name, _)| !name.is_auxiliary()).collect();
        let (carrier, operator) = (LinkEngine::Userspace, Operator::start().map_err(LabError::Operator)?);
        Ok(Lab { _servers: servers, operator, engine, hosts, internet, links, routers, kernels, carrier, addresses })
    }

    /// The host `name`.
    pub fn host(&self, name: &str) -> Result<&Host, LabError> {
        self.hosts
            .get(name)
            .ok_or_else(|| LabError::NoSuchHost { name: name.to_owned(), known: self.hosts.keys().cloned().collect() })
    }

    /// All hosts, in order of their names.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values()
    }

    /// Where the internet's servers run: in its core, or a region's part of it, so that a path from there is a host's access
    /// and, from another region, the way between the two.
    pub(crate) fn internet(&self, region: Option<&str>) -> Result<&Host, LabError> {
        let name = region.unwrap_or(INTERNET);
        let none = || LabError::NoSuchHost { name: name.into(), known: self.hosts.keys().cloned().collect() };
        self.internet.get(&region.map(str::to_owned)).ok_or_else(none)
    }

    /// The primary endpoint of the network's STUN server, which every host can reach, in IPv4 or IPv6.
    pub fn stun_server(&self, v6: bool) -> Option<SocketAddr> {
        let address = self.addresses.internet.iter().find(|addr| addr.is_ipv6() == v6)?;
        Some(SocketAddr::new(*address, stun::PORT))
    }

    /// All addresses of the network.
    pub fn addresses(&self) -> &AddressPlan {
        &self.addresses
    }

    /// The counters now.
    pub fn snapshot(&self) -> Result<Box<Snapshot>, LabError> {
        Ok(self.engine.handle().snapshot()?)
    }

    /// What the emulator saw of itself up to `snapshot`. An error if an event could not change an interface.
    pub fn fidelity(&self, snapshot: &Snapshot) -> Result<Fidelity, LabError> {
        self.check_interfaces()?;
        let drops = self.hosts.values().map(Host::device_drops).sum::<Result<u64, LabError>>()?;
        let of_kernel = |(name, router): (&String, &Arc<KernelRouter>)| {
            router.device_drops().map_err(|source| LabError::Counters { host: name.clone(), source })
        };
        let drops = drops + self.kernels.iter().map(of_kernel).sum::<Result<u64, LabError>>()?;
        Ok(fidelity_record(snapshot, drops))
    }

    /// What every link saw up to `snapshot`. Drops of the router at a link's end are counted at the router's uplink.
    pub fn link_reports(&self, snapshot: &Snapshot) -> Vec<LinkReport> {
        let report = |(name, id): &(LinkName, LinkId)| {
            let counters = snapshot.links[id.index()];
            let dropped = counters.by_cause().into_iter().filter(|(_, count)| *count > 0);
            LinkReport {
                link: name.link.clone(),
                direction: name.direction.as_str().to_owned(),
                packets: counters.packets,
                bytes: counters.bytes,
                delivered: counters.delivered,
                dropped: dropped.map(|(cause, count)| (cause.as_str().to_owned(), count)).collect(),
                peak_queueing_delay_ns: counters.peak_queueing_ns,
                impairment_trace: format!("{:016x}", counters.impairment_trace),
            }
        };
        self.links.iter().map(report).collect()
    }

    /// Packets routers dropped up to `snapshot`: `router: cause` and how many.
    pub fn router_drops(&self, snapshot: &Snapshot) -> BTreeMap<String, u64> {
        let mut drops = BTreeMap::new();
        for (place, node) in &self.routers {
            let name = if let Place::Router(name) | Place::Region(name) = place { name } else { INTERNET };
            for (cause, count) in &snapshot.routers[node.index()] {
                drops.insert(format!("{name}: {}", cause.as_str()), *count);
            }
        }
        drops
    }

    /// Different flows a host sent on up to `snapshot`, on all its interfaces.
    pub fn flows(&self, snapshot: &Snapshot, host: &Host) -> u64 {
        host.interfaces.iter().filter_map(|interface| snapshot.flows.get(interface.node.index())).sum()
    }

    /// What came and went at the routers' NATs up to `snapshot`: the router's name and the event, oldest first for each of
    /// them. Routers that are kernels tell nothing.
    pub fn mapping_events<'a>(&'a self, snapshot: &'a Snapshot) -> impl Iterator<Item = (&'a str, MappingEvent)> {
        self.routers.iter().flat_map(|(place, node)| {
            let name = if let Place::Router(name) = place { name.as_str() } else { "internet" };
            let events = snapshot.mappings.get(node.index()).into_iter().flatten();
            events.map(move |event| (name, *event))
        })
    }

    /// The link `name`'s place in [`Snapshot`]'s lists.
    pub fn link_index(&self, name: &LinkName) -> Option<usize> {
        self.links.iter().find(|(other, _)| other == name).map(|(_, id)| id.index())
    }

    /// Keeps the emulator from working for `nanos`, for tests of the fidelity record.
    pub fn stall(&self, nanos: u64) -> Result<(), LabError> {
        Ok(self.engine.handle().stall(nanos)?)
    }
}

/// Starts the threads that carry a network.
fn start(steps: Vec<LabStep>, seed: u64, devices: Devices, shards: Shards) -> Result<Engine, EngineError> {
    let (cut, now) = (shards.clone(), clock::now());
    Engine::start(move |shard| assemble(&steps, seed, &cut, shard, now), devices, shards)
}

/// The fabric of the whole network that carries one shard of it.
fn assemble(steps: &[LabStep], seed: u64, shards: &Shards, shard: usize, start: Time) -> FabricParts {
    let mut built = build(steps, Fabric::new(seed));
    shards.keep_only(shard, &mut built);
    let Built { nodes, links, mut fabric } = built;
    // Schedules and traces start now, not when the machine did.
    fabric.restart(start, seed);
    let mut nodes: Vec<NodeId> = nodes.into_values().collect();
    nodes.sort_unstable();
    FabricParts { fabric, links: links.into_iter().map(|(_, id)| id).collect(), nodes, start }
}

/// What the internet's servers are called in messages.
const INTERNET: &str = "internet";

/// The names of all hosts: `phone` is at the addresses that it uses at first, `mobile.phone` at those of that interface.
fn zone(addresses: &AddressPlan) -> Zone {
    let hosts = addresses.hosts.iter().map(|(name, addresses)| (name.to_lowercase(), addresses.clone()));
    let of_host = |(host, interfaces): (&String, &BTreeMap<String, Vec<IpAddr>>)| -> Vec<_> {
        let named = |(name, own): (&String, &Vec<IpAddr>)| (format!("{name}.{host}").to_lowercase(), own.clone());
        interfaces.iter().map(named).collect()
    };
    let interfaces = addresses.interfaces.iter().flat_map(of_host);
    Zone { hosts: hosts.chain(interfaces).collect(), dns64: false }
}
