//! What can be asked of routers and hosts while the network runs: mappings, reboots, other addresses, interfaces.

use super::{Fabric, NodeId};
use crate::link::LinkId;
use crate::nat::{MapError, MappingEvent, MappingInfo};
use crate::packet::{Body, Endpoint, Proto};
use crate::prefix::Prefix;
use crate::time::Time;
use alloc::vec::Vec;
use core::net::IpAddr;

impl<B: Body> Fabric<B> {
    /// Makes or renews the mapping that a host behind `router` asks for by NAT-PMP (RFC 6886), PCP (RFC 6887) or UPnP:
    /// endpoint-independent and open to anyone for `lifetime_ns`. Returns the external endpoint: the one `internal` has
    /// already, else `wanted` if that is free, else another.
    ///
    /// Where IPv6 is not translated, it is an opening in the firewall, and the external endpoint is `internal`.
    pub fn map_port(
        &mut self,
        now: Time,
        router: NodeId,
        proto: Proto,
        internal: Endpoint,
        wanted: Option<u16>,
        lifetime_ns: u64,
    ) -> Result<Endpoint, MapError> {
        let router = self.router(router).ok_or(MapError::NoNat)?;
        if !router.is_inside(internal.addr) {
            return Err(MapError::NotInside);
        }
        match router.nat_for(internal.addr) {
            Some(nat) => nat.map(now, proto, internal, wanted, lifetime_ns),
            None if internal.addr.is_ipv6() => {
                router.firewall().open(proto, internal, now + lifetime_ns);
                Ok(internal)
            }
            None => Err(MapError::NoNat),
        }
    }

    /// Ends a mapping that was asked for. Returns whether there was one.
    pub fn unmap_port(&mut self, now: Time, router: NodeId, proto: Proto, internal: Endpoint) -> bool {
        let Some(router) = self.router(router) else { return false };
        match router.nat_for(internal.addr) {
            Some(nat) => nat.unmap(now, proto, internal),
            None => router.firewall().close(now, proto, internal),
        }
    }

    /// A router's addresses towards the internet; empty for a host.
    pub fn outside_addresses(&self, router: NodeId) -> Vec<IpAddr> {
        match self.nodes.get(router.index()) {
            Some(super::Node::Router(router)) => router.outside().to_vec(),
            _ => Vec::new(),
        }
    }

    /// The mappings of a router that live at `now`, oldest first.
    pub fn mappings(&mut self, now: Time, router: NodeId) -> Vec<MappingInfo> {
        self.router(router).map(|router| router.nats().flat_map(|nat| nat.mappings(now)).collect()).unwrap_or_default()
    }

    /// The mappings that came and went at a router since this was last asked: the latest few thousand, oldest first.
    pub fn take_mapping_events(&mut self, now: Time, router: NodeId) -> Vec<MappingEvent> {
        let router = self.router(router);
        router.map(|router| router.nats().flat_map(|nat| nat.take_events(now)).collect()).unwrap_or_default()
    }

    /// The router starts anew: mappings and firewall state are lost. Packets in its links are not.
    pub fn reboot_router(&mut self, now: Time, router: NodeId) {
        if let Some(router) = self.router(router) {
            router.reboot(now);
        }
    }

    /// The router gets other addresses towards the internet, as from a provider that renumbers: old mappings are lost,
    /// and its upstream routers learn the new way. [`Fabric::restart`] brings the first ones back.
    pub fn renumber(&mut self, now: Time, router: NodeId, outside: Vec<IpAddr>) {
        let old = self.change_addresses(now, router, outside);
        self.renumbered.entry(router).or_insert(old);
    }

    pub(super) fn change_addresses(&mut self, now: Time, router: NodeId, outside: Vec<IpAddr>) -> Vec<IpAddr> {
        let Some(state) = self.router(router) else { return Vec::new() };
        let old = state.renumber(now, outside.clone());
        let upstream = state.upstream();
        self.reroute(upstream, &old, &outside);
        old
    }

    /// Takes a host's interface up or down, until the next [`Fabric::restart`]. While it is down, what gets there is
    /// dropped ([`Cause::InterfaceDown`](crate::Cause::InterfaceDown)), and what is sent from there does not count as sent.
    pub fn set_interface(&mut self, host: NodeId, up: bool) {
        if let Some(super::Node::Host(host)) = self.nodes.get_mut(host.index()) {
            host.up = up;
        }
    }

    /// The host that `link` leads to from its router has these addresses from now on: the router and those above it that
    /// know it learn the way. What NATs have translated for the old ones stays until it times out, and leads nowhere.
    /// [`Fabric::restart`] brings the first ones back.
    pub fn readdress(&mut self, link: LinkId, addresses: &[IpAddr]) {
        let old = self.change_route(link, addresses);
        self.readdressed.entry(link).or_insert(old);
    }

    pub(super) fn change_route(&mut self, link: LinkId, addresses: &[IpAddr]) -> Vec<IpAddr> {
        let at = self.starts[link.index()];
        let old = self.router(at).map(|router| router.hosts_at(link)).unwrap_or_default();
        self.reroute(Some(at), &old, addresses);
        old
    }

    /// What was at `old` is at `new`: `at`, the routers above it that know about it, and those beside them that do.
    fn reroute(&mut self, at: Option<NodeId>, old: &[IpAddr], new: &[IpAddr]) {
        // A router may know the way to one family and not to the other.
        for v6 in [false, true] {
            let [old, new] = [old, new].map(|all| all.iter().filter(move |addr| addr.is_ipv6() == v6));
            let mut next: Vec<NodeId> = at.into_iter().collect();
            while let Some(node) = next.pop() {
                let Some(router) = self.router(node) else { continue };
                let links: Vec<_> = old.clone().filter_map(|addr| router.remove_route(Prefix::host(*addr))).collect();
                // Behind the first router that translates, nobody knows the address.
                let Some(&link) = links.first() else { continue };
                for addr in new.clone() {
                    router.add_route(Prefix::host(*addr), link);
                }
                next.extend(router.upstream());
                next.extend(self.leading_to(node, old.clone()));
            }
        }
    }

    /// The routers that reach any of `addresses` through router `node`.
    fn leading_to<'a>(&mut self, node: NodeId, addresses: impl Iterator<Item = &'a IpAddr> + Clone) -> Vec<NodeId> {
        let there = (0..self.ends.len()).filter(|link| self.ends[*link] == node);
        let links: Vec<LinkId> = there.map(|link| LinkId(link as u32)).collect();
        let knows = |link: &LinkId| {
            let start = self.starts[link.index()];
            let known = self.router(start).map(|router| router.hosts_at(*link)).unwrap_or_default();
            addresses.clone().any(|addr| known.contains(addr)).then_some(start)
        };
        links.iter().filter_map(knows).collect()
    }
}
