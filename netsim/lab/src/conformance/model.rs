//! The reference: the fabric alone, in virtual time.

use super::rows::Row;
use super::script::{Heard, SOCKETS, Stage};
use netsim_fabric::{Fabric, NodeId, Packet, Time};
use netsim_topology::{Built, Place, Plan, build};
use std::convert::Infallible;
use std::net::SocketAddr;

/// A network in which nothing takes time but waiting.
pub(crate) struct Model {
    fabric: Fabric<()>,
    nodes: Vec<NodeId>,
    own: Vec<SocketAddr>,
    router: NodeId,
    other: Vec<std::net::IpAddr>,
    now: Time,
}

/// A moment, so that no two things happen in one.
const MOMENT_NS: u64 = 1_000_000;

impl Model {
    /// The network of a row; `None` if the plan is of something else.
    pub(crate) fn new(plan: &Plan, row: &Row, seed: u64) -> Option<Model> {
        let Built { fabric, nodes, .. } = build(&plan.steps, Fabric::new(seed));
        let of = |host: &str| nodes.get(&Place::Host(host.to_owned())).copied();
        let router = *nodes.get(&Place::Router(super::ROUTER.to_owned()))?;
        let hosts: Option<Vec<NodeId>> = SOCKETS.iter().map(|(_, host, _)| of(host)).collect();
        let own = super::own_addresses(plan, row.v6)?;
        Some(Model { fabric, nodes: hosts?, own, router, other: super::other_addresses(plan), now: Time::ZERO })
    }
}

impl Stage for Model {
    type Error = Infallible;

    fn own(&self, socket: usize) -> SocketAddr {
        self.own[socket]
    }

    fn send(&mut self, from: usize, to: SocketAddr, _: bool) -> Result<Option<Heard>, Infallible> {
        self.now = self.now + MOMENT_NS;
        let (src, dst) = (self.own[from].to_string(), to.to_string());
        let Ok(packet) = Packet::udp(&src, &dst, 100, ()) else { return Ok(None) };
        self.fabric.ingress(self.now, self.nodes[from], packet);
        let Some(egress) = self.fabric.poll(self.now) else { return Ok(None) };
        let head = egress.packet.head;
        let at = SocketAddr::new(head.dst.addr, head.dst.port);
        let by = (0..SOCKETS.len()).find(|&n| self.nodes[n] == egress.host && self.own[n] == at);
        Ok(by.map(|by| (by, SocketAddr::new(head.src.addr, head.src.port))))
    }

    fn wait_ms(&mut self, millis: u64) -> Result<(), Infallible> {
        self.now = self.now + millis * 1_000_000;
        Ok(())
    }

    fn reboot(&mut self) -> Result<(), Infallible> {
        self.fabric.reboot_router(self.now, self.router);
        Ok(())
    }

    fn renumber(&mut self) -> Result<(), Infallible> {
        self.fabric.renumber(self.now, self.router, self.other.clone());
        Ok(())
    }
}
