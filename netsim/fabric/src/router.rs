//! What a router does with a packet: deliver it to itself, filter it, translate it, and say which link is next.

use crate::fabric::{NodeId, RouterDrops};
use crate::firewall::{Firewall, FirewallConfig};
use crate::link::{Cause, LinkId};
use crate::nat::{Hairpin, Nat, NatConfig};
use crate::nptv6;
use crate::packet::{Body, Head, Packet, Proto};
use crate::prefix::Prefix;
use crate::time::Time;
use crate::wire::{self, IcmpError, Quote};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

/// What a router is set up with. The default is a plain one without addresses of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouterConfig {
    /// Its addresses towards the hosts behind it.
    pub inside: Vec<IpAddr>,
    /// Its addresses towards the internet; those of a translated family are what the NAT hides its hosts behind.
    pub outside: Vec<IpAddr>,
    /// How it translates IPv4, and IPv6 to IPv4 where [`Ipv6Config::Nat64`] is set.
    pub nat: Option<NatConfig>,
    /// What it does to IPv6.
    pub ipv6: Ipv6Config,
    /// What it filters.
    pub firewall: FirewallConfig,
}

/// What a router does to IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ipv6Config {
    /// Nothing.
    #[default]
    Routed,
    /// It exchanges 64-bit prefixes (RFC 6296).
    Nptv6 {
        /// The prefix of its hosts.
        inside: Prefix,
        /// What the outside sees in its place.
        outside: Prefix,
    },
    /// It hides its hosts behind its own address, as with IPv4.
    Masquerade(NatConfig),
    /// IPv6 as it is, and the way to IPv4 through 64:ff9b::/96 (RFC 6146).
    Nat64,
}

#[derive(Debug)]
enum V6 {
    Routed,
    Nptv6 { inside: Prefix, outside: Prefix },
    Masquerade(Box<Nat>),
    Nat64,
}

#[derive(Debug)]
pub(crate) struct Router {
    inside: Vec<IpAddr>,
    outside: Vec<IpAddr>,
    nat: Option<Nat>,
    v6: V6,
    firewall: Firewall,
    /// Nothing is translated or filtered.
    is_plain: bool,
    routes: Routes,
    /// Where packets for unknown destinations go: towards the public internet.
    default_route: Option<LinkId>,
    /// Who is there.
    upstream: Option<NodeId>,
    /// The links to the hosts behind it.
    pub(crate) lan: Vec<(LinkId, NodeId)>,
    limit: ErrorLimit,
    pub(crate) drops: RouterDrops,
}

impl Router {
    pub(crate) fn new(seed: u64, id: u32, config: RouterConfig) -> Router {
        let RouterConfig { inside, outside, nat, ipv6, firewall } = config;
        let is_plain = nat.is_none() && ipv6 == Ipv6Config::Routed && firewall == FirewallConfig::default();
        let of_family = |v6: bool| outside.iter().copied().filter(|addr| addr.is_ipv6() == v6).collect();
        Router {
            nat: nat.map(|config| Nat::new(seed, id, of_family(false), config)),
            v6: match ipv6 {
                Ipv6Config::Routed => V6::Routed,
                Ipv6Config::Nptv6 { inside, outside } => V6::Nptv6 { inside, outside },
                Ipv6Config::Masquerade(config) => V6::Masquerade(Box::new(Nat::new(seed, id, of_family(true), config))),
                Ipv6Config::Nat64 => V6::Nat64,
            },
            inside,
            outside,
            firewall: Firewall::new(firewall),
            is_plain,
            routes: Routes::default(),
            default_route: None,
            upstream: None,
            lan: Vec::new(),
            limit: ErrorLimit::default(),
            drops: BTreeMap::new(),
        }
    }

    /// The same router at the first moment; `keep`: with its mappings and firewall state.
    pub(crate) fn restart(&mut self, seed: u64, id: u32, keep: bool) {
        self.drops.clear();
        self.limit = ErrorLimit::default();
        if !keep {
            self.firewall.flush();
        }
        for nat in self.nats() {
            if keep {
                nat.reseed(seed, id);
            } else {
                *nat = nat.restarted(seed, id);
            }
        }
    }

    /// Loses all mappings and firewall state.
    pub(crate) fn reboot(&mut self, now: Time) {
        self.firewall.flush();
        for nat in self.nats() {
            nat.flush(now);
        }
    }

    /// Gets other outside addresses; what was translated to the old ones is lost. Returns the old ones.
    pub(crate) fn renumber(&mut self, now: Time, outside: Vec<IpAddr>) -> Vec<IpAddr> {
        for (v6, nat) in [(false, self.nat.as_mut()), (true, self.v6.nat())] {
            if let Some(nat) = nat {
                nat.renumber(now, outside.iter().copied().filter(|addr| addr.is_ipv6() == v6).collect());
            }
        }
        core::mem::replace(&mut self.outside, outside)
    }

    pub(crate) fn outside(&self) -> &[IpAddr] {
        &self.outside
    }

    pub(crate) fn nats(&mut self) -> impl Iterator<Item = &mut Nat> {
        self.nat.iter_mut().chain(self.v6.nat())
    }

    /// The NAT that translates packets from `addr`.
    pub(crate) fn nat_for(&mut self, addr: IpAddr) -> Option<&mut Nat> {
        match (&mut self.v6, addr) {
            (V6::Masquerade(nat), IpAddr::V6(_)) => Some(nat),
            (_, IpAddr::V4(_)) => self.nat.as_mut(),
            _ => None,
        }
    }

    pub(crate) fn firewall(&mut self) -> &mut Firewall {
        &mut self.firewall
    }

    pub(crate) fn add_route(&mut self, to: Prefix, link: LinkId) {
        self.routes.insert(to, link);
    }

    pub(crate) fn remove_route(&mut self, to: Prefix) -> Option<LinkId> {
        self.routes.remove(to)
    }

    /// The single addresses that lie behind a link.
    pub(crate) fn hosts_at(&self, link: LinkId) -> Vec<IpAddr> {
        self.routes.exact.iter().filter(|(_, way)| **way == link).map(|(addr, _)| *addr).collect()
    }

    pub(crate) fn set_default_route(&mut self, link: LinkId, upstream: NodeId) {
        (self.default_route, self.upstream) = (Some(link), Some(upstream));
    }

    pub(crate) fn upstream(&self) -> Option<NodeId> {
        self.upstream
    }

    pub(crate) fn default_route(&self) -> Option<LinkId> {
        self.default_route
    }

    pub(crate) fn is_inside(&self, addr: IpAddr) -> bool {
        self.routes.find(addr).is_some()
    }

    /// Whether a packet is for the router itself and not for a host whose address it stands in for.
    pub(crate) fn is_for_itself(&self, head: &Head) -> bool {
        let addr = head.dst.addr;
        if !self.inside.contains(&addr) && !self.outside.contains(&addr) || self.is_inside_exactly(addr) {
            return false;
        }
        let is_external = self.nat.iter().any(|nat| nat.is_external(addr))
            || matches!(&self.v6, V6::Masquerade(n) if n.is_external(addr));
        !is_external || is_echo_request(head)
    }

    /// A program may stand in for the router at one of its addresses.
    fn is_inside_exactly(&self, addr: IpAddr) -> bool {
        self.routes.exact.contains_key(&addr)
    }

    /// Where a packet to `dst` leaves without being looked at, as the router's own packets do.
    pub(crate) fn way_to(&self, dst: IpAddr) -> Option<LinkId> {
        self.routes.find(dst).or(self.default_route)
    }

    /// The router's own address on the side where `dst` is.
    pub(crate) fn address_towards(&self, dst: IpAddr) -> Option<IpAddr> {
        let (near, far) =
            if self.is_inside(dst) { (&self.inside, &self.outside) } else { (&self.outside, &self.inside) };
        near.iter().chain(far).find(|addr| addr.is_ipv4() == dst.is_ipv4()).copied()
    }

    /// Whether the sender of a packet dropped for this cause is to be told, and what.
    pub(crate) fn error_for(&mut self, now: Time, cause: Cause, head: &Head) -> Option<IcmpError> {
        let error = match cause {
            Cause::HopLimit => IcmpError::HopLimit,
            Cause::NoRoute => IcmpError::NoRoute,
            Cause::Firewall if self.firewall.config().reject => IcmpError::Prohibited,
            Cause::NoService if head.proto == Proto::Udp => IcmpError::Port,
            _ => return None,
        };
        self.may_send_error(now).then_some(error)
    }

    pub(crate) fn may_send_error(&mut self, now: Time) -> bool {
        self.limit.take(now)
    }

    /// Where a packet goes next; changes its header on the way.
    pub(crate) fn route<B: Body>(
        &mut self,
        now: Time,
        from_outside: bool,
        packet: &mut Packet<B>,
    ) -> Result<LinkId, Cause> {
        let head = &mut packet.head;
        head.hop_limit = head.hop_limit.checked_sub(1).filter(|&left| left > 0).ok_or(Cause::HopLimit)?;
        if !self.is_plain {
            self.translate(now, from_outside, packet)?;
        }
        let way = self.routes.find(packet.head.dst.addr);
        // What came from outside and is not for inside would only go back.
        let default = self.default_route.filter(|_| !from_outside || self.is_plain);
        way.or(default).ok_or(Cause::NoRoute)
    }

    fn translate<B: Body>(&mut self, now: Time, from_outside: bool, packet: &mut Packet<B>) -> Result<(), Cause> {
        let mut about = match packet.head.proto {
            Proto::Other(1 | 58) => wire::quote(packet.body.bytes()),
            _ => None,
        };
        let (before, before_about) = (packet.head, about);
        if from_outside {
            self.enter(now, &mut packet.head, about.as_mut())?;
        } else if !self.is_inside(before.dst.addr) {
            self.leave(now, &mut packet.head, about.as_mut())?;
        }
        let v6 = (before.src.addr.is_ipv6(), packet.head.src.addr.is_ipv6());
        if let (Some(about), true) = (about, about != before_about) {
            let bytes = wire::rewrite_error(packet.body.bytes(), &packet.head, &about).ok_or(Cause::NatProtocol)?;
            *packet = Packet::from_bytes(bytes).ok_or(Cause::NatProtocol)?;
        } else if v6 == (true, false) {
            packet.segments.header = packet.segments.header.saturating_sub(20);
        } else if v6 == (false, true) {
            // Options do not come along.
            let options = wire::options_len(packet.body.bytes());
            packet.segments.header = packet.segments.header.saturating_sub(options) + 20;
        }
        Ok(())
    }

    fn leave(&mut self, now: Time, head: &mut Head, mut about: Option<&mut Quote>) -> Result<(), Cause> {
        self.firewall.permits(head, about.as_deref())?;
        if head.dst.addr.is_ipv4() {
            return match &mut self.nat {
                Some(nat) => nat_out(now, nat, head, about),
                None => {
                    self.firewall.track(now, head, about.as_deref());
                    Ok(())
                }
            };
        }
        match (&mut self.v6, nptv6::nat64_to_v4(head.dst.addr)) {
            (V6::Masquerade(nat), _) => nat_out(now, nat, head, about),
            (V6::Nat64, Some(v4)) => {
                head.dst.addr = v4;
                if let Some(about) = about.as_deref_mut() {
                    about.src.addr = nptv6::nat64_to_v4(about.src.addr).ok_or(Cause::NatProtocol)?;
                }
                let nat = self.nat.as_mut().ok_or(Cause::NoRoute)?;
                nat_out(now, nat, head, about)
            }
            (V6::Nptv6 { inside, outside }, _) => {
                let (inside, outside) = (*inside, *outside);
                self.firewall.track(now, head, about.as_deref());
                if outside.contains(head.dst.addr) {
                    // Hairpinning (RFC 6296, section 4.3).
                    head.dst.addr = nptv6::translate(head.dst.addr, outside, inside).ok_or(Cause::NatProtocol)?;
                }
                head.src.addr = nptv6::translate(head.src.addr, inside, outside).ok_or(Cause::NatProtocol)?;
                if let Some(about) = about {
                    about.dst.addr = nptv6::translate(about.dst.addr, inside, outside).ok_or(Cause::NatProtocol)?;
                }
                Ok(())
            }
            (V6::Routed | V6::Nat64, _) => {
                self.firewall.track(now, head, about.as_deref());
                Ok(())
            }
        }
    }

    fn enter(&mut self, now: Time, head: &mut Head, mut about: Option<&mut Quote>) -> Result<(), Cause> {
        self.firewall.permits_inbound(head)?;
        let nat = match (&mut self.v6, head.dst.addr) {
            (_, IpAddr::V4(_)) => self.nat.as_mut(),
            (V6::Masquerade(nat), _) => Some(&mut **nat),
            (V6::Nptv6 { inside, outside }, _) => {
                let (inside, outside) = (*inside, *outside);
                head.dst.addr = nptv6::translate(head.dst.addr, outside, inside).ok_or(Cause::NoRoute)?;
                if let Some(about) = about.as_deref_mut() {
                    about.src.addr = nptv6::translate(about.src.addr, outside, inside).ok_or(Cause::NatProtocol)?;
                }
                None
            }
            (V6::Routed | V6::Nat64, _) => None,
        };
        match nat {
            Some(nat) if nat.is_external(head.dst.addr) => nat_in(now, nat, head, about),
            // Of a NAT, only the external addresses can be reached.
            Some(_) => Err(Cause::NoRoute),
            None => self.firewall.admit(now, head, about.as_deref()),
        }
    }
}

impl V6 {
    fn nat(&mut self) -> Option<&mut Nat> {
        if let V6::Masquerade(nat) = self { Some(nat) } else { None }
    }
}

/// Out through a NAT, or out and in again.
fn nat_out(now: Time, nat: &mut Nat, head: &mut Head, mut about: Option<&mut Quote>) -> Result<(), Cause> {
    if !nat.is_external(head.dst.addr) {
        return nat.outbound(now, head, about);
    }
    match nat.config().hairpin {
        Hairpin::Off => return Err(Cause::NatHairpin),
        Hairpin::ExternalSource => nat.outbound(now, head, about.as_deref_mut())?,
        Hairpin::InternalSource => {}
    }
    nat_in(now, nat, head, about)
}

fn nat_in(now: Time, nat: &mut Nat, head: &mut Head, mut about: Option<&mut Quote>) -> Result<(), Cause> {
    nat.inbound(now, head, about.as_deref_mut())?;
    // A host without IPv4 was found behind an IPv4 address: NAT64.
    if head.dst.addr.is_ipv6() {
        head.src.addr = nptv6::nat64_from_v4(head.src.addr);
        if let Some(about) = about {
            about.dst.addr = nptv6::nat64_from_v4(about.dst.addr);
        }
    }
    Ok(())
}

fn is_echo_request(head: &Head) -> bool {
    head.proto == Proto::Echo && head.dst.port == 0
}

/// Which link leads where.
#[derive(Debug, Default)]
struct Routes {
    exact: BTreeMap<IpAddr, LinkId>,
    /// Shorter prefixes by their length, then by address. There are few lengths.
    prefixes: BTreeMap<u8, BTreeMap<Prefix, LinkId>>,
}

impl Routes {
    fn insert(&mut self, to: Prefix, link: LinkId) {
        if to == Prefix::host(to.addr()) {
            self.exact.insert(to.addr(), link);
        } else {
            self.prefixes.entry(to.len()).or_default().insert(to, link);
        }
    }

    fn remove(&mut self, to: Prefix) -> Option<LinkId> {
        if to == Prefix::host(to.addr()) {
            self.exact.remove(&to.addr())
        } else {
            self.prefixes.get_mut(&to.len())?.remove(&to)
        }
    }

    /// The link of the longest prefix that contains `addr`.
    fn find(&self, addr: IpAddr) -> Option<LinkId> {
        let exact = self.exact.get(&addr);
        let shorter = || self.prefixes.iter().rev().find_map(|(len, table)| table.get(&Prefix::new(addr, *len)));
        exact.or_else(shorter).copied()
    }
}

/// The token bucket for ICMP errors (RFC 1812, section 4.3.2.8; RFC 4443, section 2.4f), with Linux's numbers:
/// `icmp_msgs_per_sec` 1000 and `icmp_msgs_burst` 50.
#[derive(Debug, Default)]
struct ErrorLimit {
    /// When the bucket would be full again.
    full_at: Time,
}

impl ErrorLimit {
    const INTERVAL_NS: u64 = 1_000_000;
    const BURST: u64 = 50;

    fn take(&mut self, now: Time) -> bool {
        let full_at = self.full_at.max(now) + Self::INTERVAL_NS;
        let granted = full_at.nanos_since(now) <= Self::BURST * Self::INTERVAL_NS;
        if granted {
            self.full_at = full_at;
        }
        granted
    }
}
