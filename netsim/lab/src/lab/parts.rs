//! Namespaces and devices, as a plan's steps ask for them.

use super::{Host, LabError};
use crate::device::{DEVICE, Device, DeviceSpec, Routes, Workshop};
use crate::interface::{Interface, State, routes};
use crate::netns::NetNs;
use netsim_fabric::{Fabric, LinkId, NodeId};
use netsim_topology::{Built, Direction, HOST_MTU, LabStep, LinkName, Place, Plan, Shards, build};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Which node and link numbers the steps of a plan lead to: the fabric counts in order of creation.
pub(super) struct Numbering {
    pub(super) nodes: BTreeMap<Place, NodeId>,
    pub(super) links: Vec<(LinkName, LinkId)>,
    /// The links' way down, by name.
    down: BTreeMap<String, LinkId>,
    /// Which thread carries what.
    pub(super) shards: Shards,
}

impl Numbering {
    pub(super) fn of(plan: &Plan, threads: NonZeroUsize) -> Numbering {
        let built = build(&plan.steps, Fabric::<()>::new(0));
        let shards = Shards::new(&plan.steps, &built, threads);
        let Built { nodes, links, .. } = built;
        let down = links.iter().filter(|(name, _)| name.direction == Direction::Down);
        let down = down.map(|(name, id)| (name.link.clone(), *id)).collect();
        Numbering { nodes, links, down, shards }
    }
}

/// A namespace for a host.
pub(super) fn namespace(host: &str) -> Result<NetNs, LabError> {
    NetNs::new().map_err(|source| LabError::Namespace { host: host.to_owned(), source })
}

/// A device of a host.
fn device(host: &str, namespace: &NetNs, spec: &DeviceSpec<'_>, workshop: &mut Workshop) -> Result<Device, LabError> {
    workshop.device(namespace, spec).map_err(|source| LabError::Device { host: host.to_owned(), source })
}

/// Adds an interface to its host. Returns the fabric's end of its device.
pub(super) fn interface(
    host: &mut Host,
    step: &LabStep,
    numbers: &Numbering,
    workshop: &mut Workshop,
) -> Result<Option<(NodeId, Device)>, LabError> {
    let LabStep::AddInterface { place, link, name, addresses, mtu, up, rank, .. } = step else { return Ok(None) };
    let (up, rank) = (*up, *rank);
    let spec = DeviceSpec { name, addresses, routes: routes(rank), mtu: *mtu, up };
    let device = device(host.name(), host.namespace(), &spec, workshop)?;
    host.add_device(name);
    let node = numbers.nodes[place];
    if let Some(towards) = numbers.down.get(link) {
        let first = State { up, addresses: addresses.clone() };
        let namespace = Arc::clone(host.namespace());
        let interface = Interface::new((host.name(), name), (node, *towards), namespace, rank, first);
        host.interfaces.push(Arc::new(interface));
    }
    Ok(Some((node, device)))
}

/// A namespace with one device: for servers.
pub(super) fn room(name: &str, addresses: &[IpAddr], workshop: &mut Workshop) -> Result<(NetNs, Device), LabError> {
    let namespace = namespace(name)?;
    let spec = DeviceSpec { name: DEVICE, addresses, routes: Routes::Everything, mtu: HOST_MTU, up: true };
    let device = device(name, &namespace, &spec, workshop)?;
    Ok((namespace, device))
}
