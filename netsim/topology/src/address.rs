//! Who gets which address.
//!
//! Public addresses come from 198.18.0.0/15 and 2001:2::/48, the ranges set aside for benchmarks (RFC 2544, RFC 5180),
//! so that they can never be confused with a real machine's. Behind a NAT every network is 192.168.1.0/24, as behind
//! most home routers: that two homes use the same addresses is part of what transfer software has to cope with. Carriers
//! have 100.64.0.0/10 and companies 10.0.0.0/8 ([`Lan`]). Every router with IPv6 has a prefix of 64 bits of its own.

use crate::model::{Ipv6, Lan, Topology};
use crate::plan::PlanError;
use crate::tree::Tree;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::RangeInclusive;
use netsim_fabric::Prefix;

/// The addresses of a topology's hosts and routers, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressPlan {
    /// Each host's addresses at the interface it uses at first: IPv4 first. It is known by them, to name servers too.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    /// The addresses of every interface of hosts that have several, by host and then interface.
    pub interfaces: BTreeMap<String, BTreeMap<String, Vec<IpAddr>>>,
    /// Each router's addresses.
    pub routers: BTreeMap<String, RouterAddresses>,
    /// Where the internet's servers are, IPv4 first, with a second address of each family after the first.
    pub internet: Vec<IpAddr>,
}

/// A router's own addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouterAddresses {
    /// Towards the hosts behind it.
    pub inside: Vec<IpAddr>,
    /// Towards the internet, IPv4 first: what its hosts hide behind if it translates.
    pub outside: Vec<IpAddr>,
    /// What its hosts' IPv6 addresses start with.
    pub prefix: Option<Prefix>,
    /// What the internet sees of that where the router exchanges prefixes, and where IPv6 for it is sent.
    pub delegated: Option<Prefix>,
}

/// Public hosts and routers: what 198.18.0.0/15 holds, less what is kept.
pub(crate) const MAX_PUBLIC: usize = 131_000;
/// Routers with IPv6: what 2001:2::/48 holds, less what is kept.
const MAX_PREFIXES: usize = 65_000;
/// The core of the internet has addresses too, or `traceroute` would not see it.
pub(crate) const CORE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(198, 19, 255, 254)), IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 0xffff, 0, 0, 0, 1))];
/// Second addresses of the servers there: a STUN server needs two of a family.
pub(crate) const CORE_ALTERNATE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(198, 19, 255, 253)), IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 0xffff, 0, 0, 0, 2))];
/// The addresses of the core, its regions included.
const KEPT: RangeInclusive<Ipv4Addr> = Ipv4Addr::new(198, 19, 255, 200)..=Ipv4Addr::new(198, 19, 255, 254);
/// Behind a NAT, places are numbered from here; the router itself is number 1.
const FIRST: u32 = 10;

impl AddressPlan {
    /// The first external IPv4 address of a router that translates.
    pub fn external(&self, router: &str) -> Option<Ipv4Addr> {
        self.routers.get(router)?.outside.iter().find_map(|addr| match addr {
            IpAddr::V4(addr) => Some(*addr),
            IpAddr::V6(_) => None,
        })
    }

    /// The addresses of a host's interface, IPv4 first; none if there is no such interface. Where a host has one, its name
    /// does not matter.
    pub fn interface(&self, host: &str, interface: &str) -> &[IpAddr] {
        let only = || self.hosts.get(host).filter(|_| !self.interfaces.contains_key(host));
        let found = self.interfaces.get(host).map_or_else(only, |of_host| of_host.get(interface));
        found.map(Vec::as_slice).unwrap_or_default()
    }

    /// Gives a host's interface other addresses of the network it is in, as a new lease does, and returns them. `None`:
    /// there is no such interface, or no address is left.
    pub fn renumber_host(&mut self, host: &str, interface: &str) -> Option<Vec<IpAddr>> {
        let old = self.interface(host, interface).to_vec();
        let new = old.iter().map(|addr| self.free_beside(*addr)).collect::<Option<Vec<IpAddr>>>()?;
        if new.is_empty() {
            return None;
        }
        if let Some(addresses) = self.interfaces.get_mut(host).and_then(|of_host| of_host.get_mut(interface)) {
            addresses.clone_from(&new);
        }
        if let Some(addresses) = self.hosts.get_mut(host).filter(|addresses| **addresses == old) {
            addresses.clone_from(&new);
        }
        Some(new)
    }

    /// All addresses that someone has.
    fn taken(&self) -> impl Iterator<Item = &IpAddr> {
        let outside = self.routers.values().flat_map(|router| &router.outside);
        self.hosts.values().chain(self.interfaces.values().flat_map(BTreeMap::values)).flatten().chain(outside)
    }

    /// The first address of a network after all that are taken.
    fn free_beside(&self, addr: IpAddr) -> Option<IpAddr> {
        match addr {
            IpAddr::V4(addr) => self.free_v4(addr, 1).map(IpAddr::V4),
            IpAddr::V6(addr) => {
                let own = Prefix::new(addr.into(), 64);
                let last = self.taken().filter(|addr| own.contains(**addr)).max()?;
                let IpAddr::V6(last) = last else { return None };
                Some(Ipv6Addr::from(u128::from(*last) + 1).into())
            }
        }
    }

    /// The address `n` places after all that are taken where `addr` is.
    fn free_v4(&self, addr: Ipv4Addr, n: u32) -> Option<Ipv4Addr> {
        let is_neighbour = |other: &Ipv4Addr| network(*other) == network(addr);
        let last = self.taken().filter_map(v4).filter(is_neighbour).max()?;
        let free = Ipv4Addr::from(u32::from(last) + n);
        let fits = is_neighbour(&free) && free.octets()[3] < 255 && !KEPT.contains(&free);
        fits.then_some(free)
    }

    /// Gives a router that translates other IPv4 addresses, as a provider that renumbers does, and returns all its addresses
    /// towards the internet. Its IPv6 prefix stays. `None`: it does not translate, or no addresses are left where it is.
    pub fn renumber(&mut self, router: &str) -> Option<Vec<IpAddr>> {
        let own = self.routers.get(router)?;
        let old: Vec<Ipv4Addr> = own.outside.iter().filter_map(v4).collect();
        // A router without a NAT has one address, inside and outside.
        let first = *old.first().filter(|first| !own.inside.contains(&IpAddr::V4(**first)))?;
        let count = u32::try_from(old.len()).ok()?;
        let new = (1..=count).map(|n| self.free_v4(first, n).map(IpAddr::V4)).collect::<Option<Vec<IpAddr>>>()?;
        let own = self.routers.get_mut(router)?;
        own.outside = new.into_iter().chain(own.outside.iter().filter(|addr| addr.is_ipv6()).copied()).collect();
        Some(own.outside.clone())
    }

    /// Numbers everything in the order of the topology: routers that translate, hosts, then other routers.
    pub(crate) fn new(topology: &Topology, tree: &Tree) -> Result<AddressPlan, PlanError> {
        let mut numbers = Numbers { tree, given: BTreeMap::new(), given_v6: BTreeMap::new() };
        let internet = [CORE[0], CORE_ALTERNATE[0], CORE[1], CORE_ALTERNATE[1]].into();
        let mut plan = AddressPlan { internet, ..AddressPlan::default() };
        let mut routers = alloc::vec![RouterAddresses::default(); tree.routers.len()];
        for (index, router) in tree.routers.iter().enumerate() {
            number_v6(index, router.gateway.ipv6, &mut routers[index]);
            let Some(nat) = router.gateway.nat else { continue };
            if router.gateway.ipv6 != Ipv6::Nat64 {
                routers[index].inside.insert(0, numbers.lan(index, 1).into());
            }
            for n in 0..nat.addresses.get() {
                let external = numbers.next(tree.parent(index))?;
                routers[index].outside.insert(n.into(), external.into());
            }
        }
        let with_v6 = tree.routers.iter().filter(|router| router.gateway.ipv6 != Ipv6::None).count();
        check("the internet", MAX_PREFIXES, with_v6)?;
        for (index, host) in topology.hosts.iter().enumerate() {
            let own = match host.primary() {
                Some(_) => numbers.host(tree.host(index), &routers)?,
                None => Vec::new(),
            };
            plan.hosts.insert(host.name.clone(), own);
        }
        for (index, router) in tree.routers.iter().enumerate() {
            if router.gateway.nat.is_none() {
                let own = IpAddr::V4(numbers.next(tree.parent(index))?);
                routers[index].inside.insert(0, own);
                routers[index].outside.insert(0, own);
            }
            plan.routers.insert(router.name.clone(), routers[index].clone());
        }
        // Last, so that they change nobody else's address.
        for (index, host) in topology.hosts.iter().enumerate().filter(|(_, host)| host.interfaces.len() > 1) {
            let mut own = BTreeMap::new();
            for (interface, at) in host.interfaces.iter().zip(&tree.hosts[index]) {
                let addresses = match host.primary() == Some(interface) {
                    true => plan.hosts[&host.name].clone(),
                    false => numbers.host(*at, &routers)?,
                };
                own.insert(interface.name.clone(), addresses);
            }
            plan.interfaces.insert(host.name.clone(), own);
        }
        Ok(plan)
    }
}

fn v4(addr: &IpAddr) -> Option<Ipv4Addr> {
    match addr {
        IpAddr::V4(addr) => Some(*addr),
        IpAddr::V6(_) => None,
    }
}

/// The range that an address was given from.
fn network(addr: Ipv4Addr) -> u32 {
    let bits = match addr.octets() {
        [198, ..] => 15,
        [192, ..] => 24,
        _ => 16,
    };
    u32::from(addr) >> (32 - bits)
}

/// The prefix of a router's hosts, and its own addresses in it.
fn number_v6(index: usize, ipv6: Ipv6, addresses: &mut RouterAddresses) {
    let number = index as u32 + 1;
    let (local, public) = (local_prefix(number), public_prefix(number));
    let prefix = match ipv6 {
        Ipv6::None => return,
        Ipv6::Firewall | Ipv6::Open | Ipv6::Nat64 => public,
        Ipv6::Nptv6 | Ipv6::Masquerade(_) => local,
    };
    *addresses = RouterAddresses {
        inside: [inside(prefix, 1)].into(),
        outside: [inside(public, 1)].into(),
        prefix: Some(prefix),
        delegated: Some(public),
    };
}

/// Counts places per network.
struct Numbers<'a> {
    tree: &'a Tree<'a>,
    given: BTreeMap<Option<usize>, u32>,
    /// Hosts with IPv6, by the router they hang on.
    given_v6: BTreeMap<Option<usize>, u32>,
}

impl Numbers<'_> {
    /// Addresses for a host's interface behind `at`, IPv4 first.
    fn host(&mut self, at: Option<usize>, routers: &[RouterAddresses]) -> Result<Vec<IpAddr>, PlanError> {
        let mut addresses = Vec::new();
        if at.is_none_or(|router| self.tree.routers[router].gateway.ipv6 != Ipv6::Nat64) {
            addresses.push(IpAddr::V4(self.next(at)?));
        }
        let prefix = at.map_or(Some(public_prefix(0)), |router| routers[router].prefix);
        if let Some(prefix) = prefix {
            let n = self.given_v6.entry(at).or_insert(if at.is_some() { FIRST - 1 } else { 0 });
            *n += 1;
            addresses.push(inside(prefix, *n));
        }
        Ok(addresses)
    }

    /// The next free IPv4 address for a place behind `router`.
    fn next(&mut self, router: Option<usize>) -> Result<Ipv4Addr, PlanError> {
        let domain = self.tree.domain(router);
        let given = self.given.entry(domain).or_insert(0);
        *given += 1;
        let count = *given;
        match domain {
            None => {
                check("the internet", MAX_PUBLIC, count as usize)?;
                Ok(Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + count))
            }
            Some(router) => {
                let model = &self.tree.routers[router];
                check(&model.name, model.gateway.lan.capacity(), count as usize)?;
                check_depth(&model.name, model.gateway.lan, self.tree.nesting(router))?;
                Ok(self.lan(router, FIRST + count - 1))
            }
        }
    }

    /// Place number `n` of a router's own network.
    fn lan(&self, router: usize, n: u32) -> Ipv4Addr {
        let nesting = self.tree.nesting(router) as u8;
        let first = match self.tree.routers[router].gateway.lan {
            Lan::Home => Ipv4Addr::new(192, 168, nesting.saturating_add(1), 0),
            Lan::Carrier => Ipv4Addr::new(100, 64 + nesting % 64, 0, 0),
            Lan::Corporate => Ipv4Addr::new(10, nesting, 0, 0),
        };
        Ipv4Addr::from(u32::from(first) + n)
    }
}

fn check(place: &str, limit: usize, count: usize) -> Result<(), PlanError> {
    if count <= limit { Ok(()) } else { Err(PlanError::TooManyHosts { place: place.to_string(), limit }) }
}

fn check_depth(router: &str, lan: Lan, nesting: usize) -> Result<(), PlanError> {
    if nesting < lan.depth() { Ok(()) } else { Err(PlanError::TooDeep { router: router.to_string() }) }
}

/// 2001:2:0:N::/64; number 0 is for hosts without a router.
fn public_prefix(number: u32) -> Prefix {
    Prefix::new(Ipv6Addr::new(0x2001, 2, 0, number as u16, 0, 0, 0, 0).into(), 64)
}

/// fd00:0:0:N::/64 (RFC 4193; a real one has random bits in between).
fn local_prefix(number: u32) -> Prefix {
    Prefix::new(Ipv6Addr::new(0xfd00, 0, 0, number as u16, 0, 0, 0, 0).into(), 64)
}

fn inside(prefix: Prefix, n: u32) -> IpAddr {
    match prefix.addr() {
        IpAddr::V6(addr) => Ipv6Addr::from(u128::from(addr) + u128::from(n)).into(),
        addr => addr,
    }
}
