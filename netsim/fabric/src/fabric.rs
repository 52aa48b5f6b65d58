//! Hosts, routers and links put together: packets in, packets out, next wake-up.

mod control;
mod trunk;

pub use trunk::Crossing;

use crate::link::{Cause, Link, LinkConfig, LinkCounters, LinkId, Sighting, TooBig};
use crate::nat::NatConfig;
use crate::packet::{Body, Endpoint, Packet, Proto};
use crate::prefix::Prefix;
use crate::router::{Router, RouterConfig};
use crate::time::Time;
use crate::wire::{self, IcmpError};
use alloc::collections::{BTreeMap, BTreeSet, BinaryHeap};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::net::{IpAddr, Ipv4Addr};

/// Names a host or router of a fabric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// The node's position in the order of creation.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A packet that reached a host.
#[derive(Debug, PartialEq, Eq)]
pub struct Egress<B> {
    /// The host.
    pub host: NodeId,
    /// When it should have been handed over. The caller compares with its clock: the difference is lateness.
    pub scheduled: Time,
    /// The packet, with its header as the last router left it.
    pub packet: Packet<B>,
}

/// Packets dropped by routers, by cause.
pub type RouterDrops = BTreeMap<Cause, u64>;

/// A host remembers at most this many flows, so that a flood of ports cannot eat the memory.
const MAX_FLOWS: usize = 65_536;

#[derive(Debug)]
struct Host {
    /// Whether its interface is up.
    up: bool,
    /// Whether it is at the first moment.
    up_at_first: bool,
    /// Where its packets go: its access link's upward direction.
    uplink: Option<LinkId>,
    flows: BTreeSet<(Proto, Endpoint, Endpoint)>,
}

#[derive(Debug)]
enum Node {
    Host(Host),
    Router(alloc::boxed::Box<Router>),
}

impl Node {
    /// Whether it takes packets in.
    fn is_up(&self) -> bool {
        match self {
            Node::Host(host) => host.up,
            Node::Router(_) => true,
        }
    }
}

/// A network of hosts, routers and links. `B` is the caller's handle on a packet's bytes.
#[derive(Debug)]
pub struct Fabric<B> {
    seed: u64,
    nodes: Vec<Node>,
    links: Vec<Link<B>>,
    /// Where each link starts.
    starts: Vec<NodeId>,
    /// Where each link ends.
    ends: Vec<NodeId>,
    /// When to look after which link, earliest first.
    heads: BinaryHeap<Reverse<(Time, LinkId)>>,
    /// Each link's earliest entry in `heads`; its others are out of date.
    armed: Vec<Option<Time>>,
    /// Routers that got other addresses, with the first ones.
    renumbered: BTreeMap<NodeId, Vec<IpAddr>>,
    /// Links to hosts that got other addresses, with the first ones.
    readdressed: BTreeMap<LinkId, Vec<IpAddr>>,
    /// Whether another fabric carries a link, by link.
    elsewhere: Vec<bool>,
    /// What was to enter such links.
    crossings: Vec<Crossing<B>>,
}

impl<B: Body> Fabric<B> {
    /// An empty network whose every random decision follows from `seed`.
    pub fn new(seed: u64) -> Fabric<B> {
        Fabric {
            seed,
            nodes: Vec::new(),
            links: Vec::new(),
            starts: Vec::new(),
            ends: Vec::new(),
            heads: BinaryHeap::new(),
            armed: Vec::new(),
            renumbered: BTreeMap::new(),
            readdressed: BTreeMap::new(),
            elsewhere: Vec::new(),
            crossings: Vec::new(),
        }
    }

    /// Adds a host. A machine with several interfaces is several hosts to the fabric.
    pub fn add_host(&mut self) -> NodeId {
        self.add_interface(true)
    }

    /// Adds a host whose interface is up or down at first.
    pub fn add_interface(&mut self, up: bool) -> NodeId {
        self.add_node(Node::Host(Host { up, up_at_first: up, uplink: None, flows: BTreeSet::new() }))
    }

    /// Adds a router that does nothing but forward, with a NAT behind this external address if given.
    pub fn add_router(&mut self, nat: Option<(Ipv4Addr, NatConfig)>) -> NodeId {
        self.add_configured_router(RouterConfig {
            outside: nat.iter().map(|(external, _)| IpAddr::V4(*external)).collect(),
            nat: nat.map(|(_, config)| config),
            ..RouterConfig::default()
        })
    }

    /// Adds a router.
    pub fn add_configured_router(&mut self, config: RouterConfig) -> NodeId {
        let router = Router::new(self.seed, self.nodes.len() as u32, config);
        self.add_node(Node::Router(router.into()))
    }

    fn add_node(&mut self, node: Node) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(node);
        id
    }

    /// Adds a directed link. It becomes the way out of a host at its near end. Returns the link and its far end.
    pub fn connect(&mut self, from: NodeId, to: NodeId, config: LinkConfig) -> (LinkId, NodeId) {
        let id = LinkId(self.links.len() as u32);
        self.links.push(Link::new(self.seed, id, config, Time::ZERO));
        self.starts.push(from);
        self.ends.push(to);
        self.armed.push(None);
        self.elsewhere.push(false);
        let to_host = matches!(self.nodes.get(to.index()), Some(Node::Host(_)));
        match self.nodes.get_mut(from.index()) {
            Some(Node::Host(host)) => host.uplink = Some(id),
            Some(Node::Router(router)) if to_host => router.lan.push((id, to)),
            _ => {}
        }
        (id, to)
    }

    /// Tells `router` to send packets for `destination` into `link`. What a router has a route to is inside.
    pub fn add_route(&mut self, router: NodeId, destination: IpAddr, link: LinkId) {
        self.add_prefix_route(router, Prefix::host(destination), link);
    }

    /// Tells `router` to send packets for all of `destination` into `link`, unless a longer prefix says otherwise.
    pub fn add_prefix_route(&mut self, router: NodeId, destination: Prefix, link: LinkId) {
        if let Some(router) = self.router(router) {
            router.add_route(destination, link);
        }
    }

    /// Tells `router` to send packets for all other destinations into `link`. What comes from there is from outside.
    pub fn set_default_route(&mut self, router: NodeId, link: LinkId) {
        let upstream = self.ends[link.index()];
        if let Some(router) = self.router(router) {
            router.set_default_route(link, upstream);
        }
    }

    fn router(&mut self, node: NodeId) -> Option<&mut Router> {
        match self.nodes.get_mut(node.index()) {
            Some(Node::Router(router)) => Some(router),
            _ => None,
        }
    }

    /// Changes what a link does, from `now` on. What waits meets the new rate, delay and state; what is being sent, or is
    /// under way, arrives as it would have.
    pub fn set_link(&mut self, now: Time, id: LinkId, config: LinkConfig) {
        self.links[id.index()].set_config(now, config);
        // What it was armed for may have been dropped.
        self.armed[id.index()] = None;
        self.arm(id);
    }

    /// Starts or stops a tap on a link; see [`Fabric::take_sightings`].
    pub fn tap(&mut self, id: LinkId, on: bool) {
        self.links[id.index()].tap(on);
    }

    /// What was seen at a tapped link since this was last asked, in order of time. Whoever taps a link must ask often:
    /// everything is kept until then.
    pub fn take_sightings(&mut self, id: LinkId) -> Vec<Sighting<B>> {
        self.links[id.index()].take_sightings()
    }

    /// What a link is to do now.
    pub fn link_config(&self, id: LinkId) -> &LinkConfig {
        self.links[id.index()].config()
    }

    /// Back to the first moment with another seed: links empty, counters at 0, NAT tables empty. The network stays, and
    /// so do changes to its links. Schedules and traces start at `now`; in a new fabric they start at [`Time::ZERO`].
    pub fn restart(&mut self, now: Time, seed: u64) {
        self.begin(now, seed, false);
    }

    /// The same, but NATs and firewalls keep what they know, so that who was reachable stays so.
    pub fn restart_keeping_state(&mut self, now: Time, seed: u64) {
        self.begin(now, seed, true);
    }

    fn begin(&mut self, now: Time, seed: u64, keep: bool) {
        self.seed = seed;
        self.heads.clear();
        self.armed.fill(None);
        self.crossings.clear();
        for (router, outside) in core::mem::take(&mut self.renumbered) {
            self.change_addresses(now, router, outside);
        }
        for (link, addresses) in core::mem::take(&mut self.readdressed) {
            self.change_route(link, &addresses);
        }
        for (index, link) in self.links.iter_mut().enumerate() {
            *link = Link::new(seed, LinkId(index as u32), link.config().clone(), now);
        }
        for (index, node) in self.nodes.iter_mut().enumerate() {
            match node {
                Node::Host(host) => {
                    host.flows.clear();
                    host.up = host.up_at_first;
                }
                Node::Router(router) => router.restart(seed, index as u32, keep),
            }
        }
    }

    /// Takes a packet from `host` at `now`. A packet of a host without a link or whose interface is down, or of a router,
    /// goes nowhere.
    ///
    /// To groups only UDP goes (mDNS, SSDP). The rest is the kernel's talk about groups and routers (IGMP, MLD, router
    /// solicitations): at its own times, which must not shift the numbers of the subject's packets.
    pub fn ingress(&mut self, now: Time, host: NodeId, packet: Packet<B>) {
        if is_group(packet.head.dst.addr) && packet.head.proto != Proto::Udp {
            return;
        }
        let Some(Node::Host(state)) = self.nodes.get_mut(host.index()).filter(|node| node.is_up()) else { return };
        if state.flows.len() < MAX_FLOWS {
            state.flows.insert((packet.head.proto, packet.head.src, packet.head.dst));
        }
        if let Some(uplink) = state.uplink {
            self.offer(now, uplink, packet);
        }
    }

    /// The next packet that reaches a host at or before `now`, in order of time.
    pub fn poll(&mut self, now: Time) -> Option<Egress<B>> {
        while let Some(&Reverse((at, id))) = self.heads.peek() {
            if at > now {
                return None;
            }
            self.heads.pop();
            if self.armed[id.index()] != Some(at) {
                continue;
            }
            self.armed[id.index()] = None;
            // No further than `at`: what other links deliver until `now` may still enter this one in between.
            let (start, end) = (self.starts[id.index()], self.ends[id.index()]);
            let popped = self.links[id.index()].pop(at, self.nodes[end.index()].is_up());
            self.arm(id);
            let Some((scheduled, packet)) = popped else { continue };
            match &self.nodes[end.index()] {
                Node::Host(host) if !host.up => {}
                Node::Host(_) => return Some(Egress { host: end, scheduled, packet }),
                // The router acts at the scheduled time, not at `now`: lateness does not add up over hops.
                Node::Router(_) => self.arrive(scheduled, start, end, packet),
            }
        }
        None
    }

    /// When [`Fabric::poll`] is to be called next, if ever. It may turn out that nothing has arrived by then.
    pub fn next_wakeup(&self) -> Option<Time> {
        self.heads.peek().map(|Reverse((at, _))| *at)
    }

    /// Puts a packet into a link. If some of it is too large for the link, its sender is told where that is wanted.
    fn offer(&mut self, now: Time, id: LinkId, packet: Packet<B>) {
        if self.elsewhere[id.index()] {
            return self.crossings.push(Crossing { link: id, at: now, packet });
        }
        let link = &mut self.links[id.index()];
        let copy = link.config().mtu.map(|_| packet.clone());
        let too_big = link.offer(now, packet);
        // Where order is kept, what entered behind others does not change when the first of them leaves.
        if self.armed[id.index()].is_none() || !link.keeps_order() {
            self.arm(id);
        }
        if let (Some(TooBig { mtu }), Some(packet)) = (too_big, copy) {
            self.too_big(now, id, &packet, mtu);
        }
    }

    /// Makes sure the link is looked after when its next packet arrives.
    fn arm(&mut self, id: LinkId) {
        let armed = &mut self.armed[id.index()];
        if let Some(at) = self.links[id.index()].next_release()
            && armed.is_none_or(|before| at < before)
        {
            *armed = Some(at);
            self.heads.push(Reverse((at, id)));
        }
    }

    /// A packet from node `from` is at router `at`.
    fn arrive(&mut self, now: Time, from: NodeId, at: NodeId, packet: Packet<B>) {
        let Node::Router(router) = &mut self.nodes[at.index()] else { return };
        if is_group(packet.head.dst.addr) {
            return self.flood(now, from, at, &packet);
        }
        if router.is_for_itself(&packet.head) {
            return self.answer(now, at, &packet);
        }
        let from_outside = router.upstream() == Some(from);
        self.forward(now, at, from_outside, packet);
    }

    fn forward(&mut self, now: Time, at: NodeId, from_outside: bool, mut packet: Packet<B>) {
        let Node::Router(router) = &mut self.nodes[at.index()] else { return };
        let (head, segments) = (packet.head, packet.segments);
        match router.route(now, from_outside, &mut packet) {
            Ok(link) => self.offer(now, link, packet),
            Err(cause) => {
                (packet.head, packet.segments) = (head, segments);
                self.refuse(now, at, cause, &packet);
            }
        }
    }

    /// Drops a packet at a router and tells its sender where that is due.
    fn refuse(&mut self, now: Time, at: NodeId, cause: Cause, packet: &Packet<B>) {
        let Node::Router(router) = &mut self.nodes[at.index()] else { return };
        *router.drops.entry(cause).or_insert(0) += u64::from(packet.segments.count);
        if packet.body.bytes().is_empty() {
            return;
        }
        let error = router.error_for(now, cause, &packet.head);
        if let Some(message) = error.and_then(|error| self.error_message(at, error, packet)) {
            self.originate(now, at, message);
        }
    }

    fn error_message(&self, at: NodeId, error: IcmpError, packet: &Packet<B>) -> Option<Packet<B>> {
        let Node::Router(router) = &self.nodes[at.index()] else { return None };
        let from = router.address_towards(packet.head.src.addr)?;
        Packet::from_bytes(wire::icmp_error(error, from, &packet.to_bytes()?)?)
    }

    /// Sends a router's own packet.
    fn originate(&mut self, now: Time, at: NodeId, packet: Packet<B>) {
        let Node::Router(router) = &self.nodes[at.index()] else { return };
        if let Some(link) = router.way_to(packet.head.dst.addr) {
            self.offer(now, link, packet);
        }
    }

    /// A packet for a router itself: it answers pings and has no other service.
    fn answer(&mut self, now: Time, at: NodeId, packet: &Packet<B>) {
        match packet.to_bytes().and_then(|bytes| Packet::from_bytes(wire::echo_reply(&bytes)?)) {
            Some(reply) => self.originate(now, at, reply),
            None => self.refuse(now, at, Cause::NoService, packet),
        }
    }

    /// A packet for all: from a host to the other hosts behind the same router, no further. A router without an upstream
    /// is the internet's core, where nobody hears it.
    fn flood(&mut self, now: Time, from: NodeId, at: NodeId, packet: &Packet<B>) {
        let Node::Router(router) = &self.nodes[at.index()] else { return };
        let upstream = router.upstream();
        let from_lan = matches!(self.nodes[from.index()], Node::Host(_)) && upstream != Some(from);
        if upstream.is_none() || !from_lan {
            return self.refuse(now, at, Cause::Multicast, packet);
        }
        let is_other = |host: NodeId| host != from && upstream != Some(host);
        let others: Vec<LinkId> =
            router.lan.iter().filter(|(_, host)| is_other(*host)).map(|(link, _)| *link).collect();
        for link in others {
            self.offer(now, link, packet.clone());
        }
    }

    /// A link does not take in a packet because it is longer than `mtu` bytes: the router there tells the sender (RFC
    /// 1191, RFC 8201). At a host's own link that is the router at its end.
    fn too_big(&mut self, now: Time, link: LinkId, packet: &Packet<B>, mtu: u32) {
        let (start, end) = (self.starts[link.index()], self.ends[link.index()]);
        let at = if matches!(self.nodes[start.index()], Node::Router(_)) { start } else { end };
        let Node::Router(router) = &mut self.nodes[at.index()] else { return };
        if packet.body.bytes().is_empty() || !router.may_send_error(now) {
            return;
        }
        let from_outside = router.default_route() == Some(link);
        let Some(message) = self.error_message(at, IcmpError::TooBig { mtu }, packet) else { return };
        if at == end {
            self.originate(now, at, message);
        } else {
            // The packet is translated already, so the error must take the way back through the NAT.
            self.forward(now, at, from_outside, message);
        }
    }

    /// What a link saw since the start.
    pub fn link_counters(&self, link: LinkId) -> LinkCounters {
        self.links[link.index()].counters()
    }

    /// The longest wait for a link's serialiser since this was last asked, in nanoseconds.
    pub fn take_peak_queueing_ns(&mut self, link: LinkId) -> u64 {
        self.links[link.index()].take_peak_queueing_ns()
    }

    /// Packets a router dropped since the start; empty for a host.
    pub fn router_drops(&self, router: NodeId) -> RouterDrops {
        match &self.nodes[router.index()] {
            Node::Router(router) => router.drops.clone(),
            Node::Host(_) => BTreeMap::new(),
        }
    }

    /// How many different flows (protocol, source, destination) a host sent on since the start; 0 for a router.
    pub fn flows(&self, host: NodeId) -> usize {
        match &self.nodes[host.index()] {
            Node::Host(host) => host.flows.len(),
            Node::Router(_) => 0,
        }
    }
}

/// Multicast, or the broadcast that no router passes on.
fn is_group(addr: IpAddr) -> bool {
    addr.is_multicast() || addr == IpAddr::V4(Ipv4Addr::BROADCAST)
}
