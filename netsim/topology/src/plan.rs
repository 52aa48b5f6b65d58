//! From a topology to the steps that build it.

mod error;
mod place;

pub use error::PlanError;
pub(crate) use place::INNER;
use place::SERVERS;
pub use place::{Direction, LinkName, Place, Service};

use crate::address::{AddressPlan, CORE, RouterAddresses};
use crate::model::{Access, Gateway, Host, Interface, Ipv6, Topology};
use crate::region::Core;
use crate::tree::Tree;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;
use netsim_fabric::{Filtering, Ipv6Config, LinkConfig, Prefix, RouterConfig};

/// Largest IP packet a host sends, in bytes.
pub const HOST_MTU: u32 = 1500;

/// One thing a lab has to do. Steps are in an order in which each finds what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabStep {
    /// Make a router.
    AddRouter {
        /// Which.
        place: Place,
        /// Its addresses and what it does to packets.
        config: RouterConfig,
    },
    /// Make a router of a kernel's forwarding, filter and NAT, with two network devices. Its outer one is at the far end
    /// of its uplink; its hosts hang on a router of the fabric, which hangs on the inner one.
    AddKernelRouter {
        /// Its name.
        name: String,
        /// Its addresses and what it does to packets.
        config: RouterConfig,
        /// What is reached through the inner device.
        inside: Vec<Prefix>,
        /// Largest IP packet of the devices.
        mtu: u32,
    },
    /// Make a host.
    AddHost {
        /// Its name.
        name: String,
        /// Where it asks for names.
        resolvers: Vec<IpAddr>,
    },
    /// Give a host a network device.
    AddInterface {
        /// The host.
        host: String,
        /// Where the device is in the network.
        place: Place,
        /// The link it is at the end of.
        link: String,
        /// Its name.
        name: String,
        /// Its addresses.
        addresses: Vec<IpAddr>,
        /// Largest IP packet of the device.
        mtu: u32,
        /// Whether it is up at first.
        up: bool,
        /// Its place among several, the preferred one 0; absent: it is the only one.
        rank: Option<u32>,
    },
    /// Run servers.
    AddServers {
        /// The router or region they belong to; absent: anyone on the internet.
        of: Option<String>,
        /// Their addresses, IPv4 first, at least one. The internet's have two of each family.
        addresses: Vec<IpAddr>,
        /// What they offer.
        services: Vec<Service>,
    },
    /// Make a link that another engine carries, with both its ends.
    AddPipe {
        /// Its name.
        link: String,
        /// What it does to packets on their way up.
        up: Box<LinkConfig>,
        /// What it does to packets on their way down.
        down: Box<LinkConfig>,
    },
    /// Make a directed link.
    AddLink {
        /// Its name.
        name: LinkName,
        /// Where it starts.
        from: Place,
        /// Where it ends.
        to: Place,
        /// What it does to packets.
        config: Box<LinkConfig>,
    },
    /// Tell a router where addresses are.
    AddRoute {
        /// The router.
        at: Place,
        /// The addresses; absent: all others.
        to: Option<Prefix>,
        /// The link to use.
        via: LinkName,
    },
}

/// A checked topology, ready to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Who has which address.
    pub addresses: AddressPlan,
    /// What to do.
    pub steps: Vec<LabStep>,
}

/// Checks `topology` and says how to build it.
pub fn plan(topology: &Topology) -> Result<Plan, PlanError> {
    let tree = Tree::new(topology)?;
    check_links(topology)?;
    check_nat64(topology)?;
    let inner = Core::new(topology)?;
    check_names(topology, &inner)?;
    let addresses = AddressPlan::new(topology, &tree)?;
    let mut steps = Vec::new();
    let core = RouterConfig { inside: CORE.into(), outside: CORE.into(), ..RouterConfig::default() };
    steps.push(LabStep::AddRouter { place: Place::Internet, config: core });
    inner.build(&mut steps);
    for router in &topology.routers {
        let config = router_config(&router.gateway, &addresses.routers[&router.name]);
        steps.push(LabStep::AddRouter { place: Place::Router(router.name.clone()), config });
    }
    for (index, router) in topology.routers.iter().enumerate() {
        let place = Place::Router(router.name.clone());
        let own = &addresses.routers[&router.name];
        let link = router.link_name();
        let at = hangs_on(router.behind.as_deref(), router.region.as_deref());
        let up = access(&mut steps, &link, place.clone(), at, &router.uplink);
        let delegated = own.delegated.into_iter();
        let v4 = own.outside.iter().filter(|addr| addr.is_ipv4()).map(|addr| Prefix::host(*addr));
        steps.push(LabStep::AddRoute { at: place, to: None, via: up });
        let edge = Edge { tree: &tree, core: &inner, at: tree.parent(index), region: tree.router_region(index) };
        edge.announce(&mut steps, &link, v4.chain(delegated));
    }
    let mut further = Vec::new();
    for (index, host) in topology.hosts.iter().enumerate() {
        let resolvers = resolvers(&tree, host, index, &addresses);
        steps.push(LabStep::AddHost { name: host.name.clone(), resolvers });
        for (rank, interface) in host.interfaces.iter().enumerate() {
            if host.primary() == Some(interface) {
                add_interface(&mut steps, (&tree, &inner), host, (index, rank), &addresses);
            } else {
                further.push((host, (index, rank)));
            }
        }
    }
    // Last, so that they change no number of what was there without them.
    for (host, at) in further {
        add_interface(&mut steps, (&tree, &inner), host, at, &addresses);
    }
    add_servers(&mut steps, None, addresses.internet.clone(), INTERNET_SERVICES);
    inner.add_servers(&mut steps);
    for router in &topology.routers {
        let services = services(&router.gateway);
        if !services.is_empty() {
            add_servers(&mut steps, Some(&router.name), addresses.routers[&router.name].inside.clone(), services);
        }
    }
    Ok(Plan { addresses, steps })
}

/// Interface number `rank` of host number `index`, with its link.
fn add_interface(
    steps: &mut Vec<LabStep>,
    (tree, core): (&Tree, &Core),
    host: &Host,
    (index, rank): (usize, usize),
    addresses: &AddressPlan,
) {
    let interface = &host.interfaces[rank];
    let Interface { name, behind, region, link: access_link, up } = interface;
    let own = addresses.interface(&host.name, name).to_vec();
    let place = match host.primary() == Some(interface) {
        true => Place::Host(host.name.clone()),
        false => Place::Interface { host: host.name.clone(), name: name.clone() },
    };
    let link = host.link_name(interface);
    steps.push(LabStep::AddInterface {
        host: host.name.clone(),
        place: place.clone(),
        link: link.clone(),
        name: name.clone(),
        addresses: own.clone(),
        mtu: HOST_MTU,
        up: *up,
        rank: (host.interfaces.len() > 1).then_some(rank as u32),
    });
    let at = hangs_on(behind.as_deref(), region.as_deref());
    access(steps, &link, place, at, access_link);
    let edge = Edge { tree, core, at: tree.hosts[index][rank], region: tree.interface_region(index, rank) };
    edge.announce(steps, &link, own.into_iter().map(Prefix::host));
}

/// What a link's far end is.
fn hangs_on(behind: Option<&str>, region: Option<&str>) -> Place {
    let core = || region.map_or(Place::Internet, |region| Place::Region(region.to_string()));
    behind.map_or_else(core, |router| Place::Router(router.to_string()))
}

const INTERNET_SERVICES: &[Service] = &[Service::Stun, Service::Dns { dns64: false }];

/// What a router's own servers offer its hosts.
fn services(gateway: &Gateway) -> &'static [Service] {
    match (gateway.port_mapping, gateway.ipv6 == Ipv6::Nat64) {
        (true, true) => &[Service::Dns { dns64: true }, Service::PortMapping],
        (true, false) => &[Service::Dns { dns64: false }, Service::PortMapping],
        (false, true) => &[Service::Dns { dns64: true }],
        (false, false) => &[],
    }
}

/// Servers hang on their router by a perfect link and stand in for it at its addresses.
fn add_servers(steps: &mut Vec<LabStep>, of: Option<&str>, addresses: Vec<IpAddr>, services: &[Service]) {
    let at = of.map_or(Place::Internet, |router| Place::Router(router.to_string()));
    let via = servers(steps, at.clone(), of, addresses.clone(), services);
    steps.extend(addresses.into_iter().map(|addr| LabStep::AddRoute {
        at: at.clone(),
        to: Some(Prefix::host(addr)),
        via: via.clone(),
    }));
}

/// Servers at `at`, and the link to them.
pub(crate) fn servers(
    steps: &mut Vec<LabStep>,
    at: Place,
    of: Option<&str>,
    addresses: Vec<IpAddr>,
    services: &[Service],
) -> LinkName {
    let link = alloc::format!("{}{SERVERS}", of.unwrap_or("internet"));
    let of = of.map(ToString::to_string);
    steps.push(LabStep::AddServers { of: of.clone(), addresses, services: services.into() });
    access(steps, &link, Place::Servers(of), at, &Access::default());
    down(link)
}

/// The nearest servers that know names, at their addresses of the families the host has. A host with several interfaces
/// asks servers that it reaches by each of them: none that is a router's own.
fn resolvers(tree: &Tree, host: &Host, index: usize, addresses: &AddressPlan) -> Vec<IpAddr> {
    let own = || host.interfaces.iter().flat_map(|interface| addresses.interface(&host.name, &interface.name));
    let own_router = |router: &usize| !services(&tree.routers[*router].gateway).is_empty();
    let nearest = tree.upwards(tree.host(index)).find(own_router).filter(|_| host.interfaces.len() == 1);
    let there = nearest.map_or(&CORE[..], |router| &addresses.routers[&tree.routers[router].name].inside);
    let reachable = |addr: &&IpAddr| own().any(|own| own.is_ipv4() == addr.is_ipv4());
    there.iter().filter(reachable).copied().collect()
}

fn router_config(gateway: &Gateway, own: &RouterAddresses) -> RouterConfig {
    let mut firewall = gateway.firewall;
    if matches!(gateway.ipv6, Ipv6::Firewall | Ipv6::Nat64) && firewall.inbound_v6.is_none() {
        firewall.inbound_v6 = Some(Filtering::AddressAndPortDependent);
    }
    let ipv6 = match (gateway.ipv6, own.prefix, own.delegated) {
        (Ipv6::Nptv6, Some(inside), Some(outside)) => Ipv6Config::Nptv6 { inside, outside },
        (Ipv6::Masquerade(nat), ..) => Ipv6Config::Masquerade(nat),
        (Ipv6::Nat64, ..) => Ipv6Config::Nat64,
        _ => Ipv6Config::Routed,
    };
    let (inside, outside) = (own.inside.clone(), own.outside.clone());
    RouterConfig { inside, outside, nat: gateway.nat, ipv6, firewall }
}

/// The far end of a link.
struct Edge<'a> {
    tree: &'a Tree<'a>,
    core: &'a Core<'a>,
    /// The router there; absent: the internet's core.
    at: Option<usize>,
    /// The region of the outermost router, or there.
    region: Option<&'a str>,
}

impl Edge<'_> {
    /// Tells what is at the far end, and all above it that can know, that `addresses` are at the near end.
    fn announce(&self, steps: &mut Vec<LabStep>, link: &str, addresses: impl Iterator<Item = Prefix>) {
        for to in addresses {
            let mut link = link.to_string();
            let mut routers = self.tree.upwards(self.at);
            loop {
                let Some(router) = routers.next() else {
                    self.core.announce(steps, self.region, link, to);
                    break;
                };
                let place = Place::Router(self.tree.routers[router].name.clone());
                steps.push(LabStep::AddRoute { at: place, to: Some(to), via: down(link) });
                // Where a router translates, nobody above it knows its hosts.
                let gateway = &self.tree.routers[router].gateway;
                let ends_here = match to.addr() {
                    IpAddr::V4(_) => gateway.nat.is_some(),
                    // A prefix of its own covers them; other routers' prefixes go through.
                    IpAddr::V6(_) => to.len() == 128,
                };
                if ends_here {
                    break;
                }
                link = self.tree.routers[router].link_name();
            }
        }
    }
}

pub(crate) fn down(link: String) -> LinkName {
    LinkName { link, direction: Direction::Down }
}

/// Both directions of an access link. Returns the name of the way up.
pub(crate) fn access(steps: &mut Vec<LabStep>, link: &str, owner: Place, at: Place, access: &Access) -> LinkName {
    let name = |direction| LinkName { link: link.to_string(), direction };
    let (up, down) = (name(Direction::Up), name(Direction::Down));
    let config = Box::new(access.up.clone());
    steps.push(LabStep::AddLink { name: up.clone(), from: owner.clone(), to: at.clone(), config });
    steps.push(LabStep::AddLink { name: down, from: at, to: owner, config: Box::new(access.down.clone()) });
    up
}

fn check_names(topology: &Topology, core: &Core) -> Result<(), PlanError> {
    let mut names = BTreeSet::new();
    let all = topology.routers.iter().map(|router| &router.name).chain(topology.hosts.iter().map(|host| &host.name));
    for name in all.cloned().chain(core.names()) {
        if let Some(name) = names.replace(name) {
            return Err(PlanError::DuplicateName { name });
        }
    }
    topology.hosts.iter().try_for_each(check_interfaces)?;
    let mut links = BTreeSet::new();
    for link in topology.link_names() {
        if let Some(link) = links.replace(link) {
            return Err(PlanError::DuplicateLink { link });
        }
    }
    Ok(())
}

fn check_interfaces(host: &Host) -> Result<(), PlanError> {
    let mut names = BTreeSet::new();
    for interface in &host.interfaces {
        let (host, name) = (host.name.clone(), interface.name.clone());
        if !interface.has_good_name() {
            return Err(PlanError::InterfaceName { host, name });
        }
        if !names.insert(&interface.name) {
            return Err(PlanError::DuplicateInterface { host, name });
        }
    }
    match host.interfaces.iter().any(|interface| interface.up) {
        true => Ok(()),
        false => Err(PlanError::NothingUp { host: host.name.clone() }),
    }
}

fn check_nat64(topology: &Topology) -> Result<(), PlanError> {
    let mut routers = topology.routers.iter();
    let lacking = routers.find(|router| router.gateway.ipv6 == Ipv6::Nat64 && router.gateway.nat.is_none());
    lacking.map_or(Ok(()), |router| Err(PlanError::Nat64WithoutNat { router: router.name.clone() }))
}

fn check_links(topology: &Topology) -> Result<(), PlanError> {
    let uplinks = topology.routers.iter().map(|router| (router.link_name(), &router.uplink));
    let links = topology
        .hosts
        .iter()
        .flat_map(|host| host.interfaces.iter().map(|interface| (host.link_name(interface), &interface.link)));
    let transits = topology.transits.iter().map(|transit| (transit.link_name(), &transit.link));
    for (link, access) in uplinks.chain(links).chain(transits) {
        for (direction, config) in [(Direction::Up, &access.up), (Direction::Down, &access.down)] {
            let (earliest, _) = config.jitter.bounds_ns();
            if config.delay_ns.checked_add_signed(earliest).is_none() {
                return Err(PlanError::JitterAboveDelay { link: LinkName { link, direction }.to_string() });
            }
        }
    }
    Ok(())
}
