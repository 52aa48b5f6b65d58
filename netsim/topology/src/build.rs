//! From a plan's steps to a fabric.

use crate::plan::{LabStep, LinkName, Place};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use netsim_fabric::{Body, Fabric, LinkId, NodeId};

/// A fabric and where the places and links of the plan are in it.
#[derive(Debug)]
pub struct Built<B> {
    /// Hosts, routers and the internet's core.
    pub nodes: BTreeMap<Place, NodeId>,
    /// Links in the order of creation.
    pub links: Vec<(LinkName, LinkId)>,
    /// The network.
    pub fabric: Fabric<B>,
}

/// Applies the steps that concern the fabric to an empty one. A plan's steps only name what earlier steps made; steps
/// that do not are passed over.
pub fn build<B: Body>(steps: &[LabStep], mut fabric: Fabric<B>) -> Built<B> {
    let mut nodes = BTreeMap::new();
    let mut links: Vec<(LinkName, LinkId)> = Vec::new();
    let mut by_name: BTreeMap<&LinkName, LinkId> = BTreeMap::new();
    for step in steps {
        match step {
            LabStep::AddRouter { place, config } => {
                nodes.insert(place.clone(), fabric.add_configured_router(config.clone()));
            }
            LabStep::AddHost { .. } => {}
            LabStep::AddInterface { place, up, .. } => {
                nodes.insert(place.clone(), fabric.add_interface(*up));
            }
            LabStep::AddKernelRouter { name, .. } => {
                nodes.insert(Place::Inner(name.clone()), fabric.add_host());
                nodes.insert(Place::Outer(name.clone()), fabric.add_host());
            }
            LabStep::AddServers { of, .. } => {
                nodes.insert(Place::Servers(of.clone()), fabric.add_host());
            }
            LabStep::AddPipe { link, .. } => {
                for near in [true, false] {
                    nodes.insert(Place::PipeEnd { link: link.clone(), near }, fabric.add_host());
                }
            }
            LabStep::AddLink { name, from, to, config } => {
                let (Some(from), Some(to)) = (nodes.get(from), nodes.get(to)) else { continue };
                let (id, _) = fabric.connect(*from, *to, config.as_ref().clone());
                links.push((name.clone(), id));
                by_name.insert(name, id);
            }
            LabStep::AddRoute { at, to, via } => {
                let (Some(at), Some(link)) = (nodes.get(at), by_name.get(via)) else { continue };
                match to {
                    Some(prefix) => fabric.add_prefix_route(*at, *prefix, *link),
                    None => fabric.set_default_route(*at, *link),
                }
            }
        }
    }
    Built { nodes, links, fabric }
}
