//! The reference: the fabric alone, in virtual time.

use super::packets;
use super::rows::Row;
use super::script::{self, Heard, SOCKETS, Sending, Stage};
use netsim_fabric::{Fabric, NodeId, Packet, Time};
use netsim_topology::{Built, Place, Plan, build};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

/// A network in which nothing takes time but waiting.
pub(crate) struct Model {
    fabric: Fabric<Vec<u8>>,
    /// Hosts that there are, by socket.
    nodes: Vec<Option<NodeId>>,
    own: Vec<SocketAddr>,
    inside: Vec<IpAddr>,
    router: NodeId,
    other: Vec<IpAddr>,
    /// Whether ICMP errors count as heard: ordinary sockets keep them to themselves.
    hears_errors: bool,
    sent: u32,
    now: Time,
}

/// A moment, so that no two things happen in one.
const MOMENT_NS: u64 = 1_000_000;

impl Model {
    /// The network of a row; `None` if the plan is of something else.
    pub(crate) fn new(plan: &Plan, row: &Row, seed: u64) -> Option<Model> {
        let Built { fabric, nodes, .. } = build(&plan.steps, Fabric::new(seed));
        let of = |host: &str| nodes.get(&Place::Host(host.to_owned())).copied();
        Some(Model {
            fabric,
            nodes: SOCKETS.iter().map(|(_, host, _)| of(host)).collect(),
            own: super::own_addresses(plan, row.v6),
            inside: super::inside_addresses(plan),
            router: *nodes.get(&Place::Router(super::ROUTER.to_owned()))?,
            other: super::other_addresses(plan),
            hears_errors: row.is_raw(),
            sent: 0,
            now: Time::ZERO,
        })
    }

    fn listen(&mut self) -> Option<Heard> {
        while let Some(egress) = self.fabric.poll(self.now) {
            let node = self.nodes.iter().position(|node| *node == Some(egress.host));
            let read = egress.packet.to_bytes().and_then(|bytes| packets::read(&bytes));
            let (Some(node), Some(read)) = (node, read) else { continue };
            if read.about.is_none() || self.hears_errors {
                return script::heard(&read, SOCKETS[node].1, &self.own);
            }
        }
        None
    }
}

impl Stage for Model {
    type Error = Infallible;

    fn own(&self, socket: usize) -> SocketAddr {
        self.own[socket]
    }

    fn is_router(&self, addr: IpAddr) -> bool {
        self.inside.contains(&addr)
    }

    fn send(&mut self, sending: &Sending, _: bool) -> Result<Option<Heard>, Infallible> {
        self.now = self.now + MOMENT_NS;
        self.sent += 1;
        let packet = sending.bytes(self.own[sending.from], self.sent).and_then(Packet::from_bytes);
        let (Some(packet), Some(node)) = (packet, self.nodes[sending.from]) else { return Ok(None) };
        self.fabric.ingress(self.now, node, packet);
        Ok(self.listen())
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
