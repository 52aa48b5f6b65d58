//! From a topology to the steps that build it.

use crate::address::{AddressPlan, CORE, RouterAddresses};
use crate::model::{Access, Gateway, Ipv6, Topology};
use crate::pipe;
use crate::tree::Tree;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use netsim_fabric::{Filtering, Ipv6Config, LinkConfig, Prefix, RouterConfig};

/// Largest IP packet a host sends, in bytes.
pub const HOST_MTU: u32 = 1500;

/// A place that links join: a named host or router, or the internet's core.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The router in the middle that joins all public places, without delay of its own.
    Internet,
    /// A router of the topology.
    Router(String),
    /// A host of the topology.
    Host(String),
    /// The servers of a router or, without a name, of the internet.
    Servers(Option<String>),
    /// Where a link that is carried by another engine takes packets in and gives them back.
    PipeEnd {
        /// The link.
        link: String,
        /// Whether it is the end of the host or router that has the link.
        near: bool,
    },
    /// The inner device of a router that a kernel is.
    Inner(String),
    /// The outer device of a router that a kernel is.
    Outer(String),
}

/// What servers offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// STUN with NAT behaviour discovery (RFC 8489, RFC 5780).
    Stun,
    /// The names of the network's hosts.
    Dns {
        /// Whether IPv4 addresses are made up as IPv6 ones (RFC 6147).
        dns64: bool,
    },
    /// NAT-PMP, PCP and UPnP.
    PortMapping,
}

/// Which way a directed link goes, seen from the host or router that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Away from it.
    Up,
    /// Towards it.
    Down,
}

impl Direction {
    /// The direction as it is written in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Up => "up",
            Direction::Down => "down",
        }
    }
}

/// A directed link's name: `bob.link` up, `home.uplink` down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkName {
    /// `HOST.link` or `ROUTER.uplink`.
    pub link: String,
    /// Which of its two directions.
    pub direction: Direction,
}

impl LinkName {
    /// Whether it leads to servers, to the device of a router that a kernel is, or out of a pipe: part of the network, but
    /// not of what a scenario describes.
    pub fn is_auxiliary(&self) -> bool {
        self.link.ends_with(SERVERS) || self.link.ends_with(INNER) || pipe::leads_out(&self.link)
    }
}

/// What the names of links to servers end with. Those of hosts and routers end with `.link` and `.uplink`.
const SERVERS: &str = ".servers";
/// The same for links to the inner device of a router that a kernel is.
pub(crate) const INNER: &str = ".inner";

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.link, self.direction.as_str())
    }
}

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
    /// Make a host with a network device.
    AddHost {
        /// Its name.
        name: String,
        /// Its addresses.
        addresses: Vec<IpAddr>,
        /// Largest IP packet of the device.
        mtu: u32,
        /// Where it asks for names.
        resolvers: Vec<IpAddr>,
    },
    /// Run servers.
    AddServers {
        /// The router they belong to; absent: anyone on the internet.
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

/// Why a topology cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Two places share a name.
    #[error("two hosts or routers are named `{name}`; give one of them another name")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A host hangs on a router that does not exist.
    #[error("host `{host}` is behind `{router}`, but there is no router of that name{}", suggestion(.known))]
    UnknownRouter {
        /// The host.
        host: String,
        /// What it asked for.
        router: String,
        /// The routers there are.
        known: Vec<String>,
    },
    /// A router hangs on a router that does not exist.
    #[error("router `{router}` is behind `{upstream}`, but there is no router of that name{}", suggestion(.known))]
    UnknownUpstream {
        /// The router.
        router: String,
        /// What it asked for.
        upstream: String,
        /// The routers there are.
        known: Vec<String>,
    },
    /// Routers hang on each other and not on the internet.
    #[error("routers hang on each other in a circle: {}; put one of them directly on the internet", .routers.join(" behind "))]
    Cycle {
        /// The circle.
        routers: Vec<String>,
    },
    /// A router is to pass on IPv6 that does not reach it.
    #[error(
        "router `{router}` gives its hosts IPv6, but `{upstream}` in front of it passes none on; set `ipv6 = \"none\"` there, or \"firewall\" or \"open\" at `{upstream}`"
    )]
    NoIpv6Upstream {
        /// The router.
        router: String,
        /// The one it hangs on.
        upstream: String,
    },
    /// More routers of one kind behind each other than there are address ranges.
    #[error("too many routers of its kind lie in front of `{router}`; give some of them another kind of `lan`")]
    TooDeep {
        /// The router.
        router: String,
    },
    /// A router for IPv6 only has no NAT for the way to IPv4.
    #[error("router `{router}` has `ipv6 = \"nat64\"` and no NAT to reach IPv4 with; give it one")]
    Nat64WithoutNat {
        /// The router.
        router: String,
    },
    /// Jitter would make a packet arrive before it was sent.
    #[error("`{link}`: jitter is larger than the delay it varies; raise the delay or lower the jitter")]
    JitterAboveDelay {
        /// The link's name and direction.
        link: String,
    },
    /// More hosts than the address plan holds.
    #[error("`{place}` holds at most {limit} addresses, the topology needs more; `lan = \"corporate\"` has the most")]
    TooManyHosts {
        /// Router or internet.
        place: String,
        /// Addresses there may be.
        limit: usize,
    },
}

fn suggestion(known: &[String]) -> String {
    if known.is_empty() {
        String::from("; the topology has no routers")
    } else {
        alloc::format!("; there are: {}", known.join(", "))
    }
}

/// Checks `topology` and says how to build it.
pub fn plan(topology: &Topology) -> Result<Plan, PlanError> {
    check_names(topology)?;
    let tree = Tree::new(topology)?;
    check_links(topology)?;
    check_nat64(topology)?;
    let addresses = AddressPlan::new(topology, &tree)?;
    let mut steps = Vec::new();
    let core = RouterConfig { inside: CORE.into(), outside: CORE.into(), ..RouterConfig::default() };
    steps.push(LabStep::AddRouter { place: Place::Internet, config: core });
    for router in &topology.routers {
        let config = router_config(&router.gateway, &addresses.routers[&router.name]);
        steps.push(LabStep::AddRouter { place: Place::Router(router.name.clone()), config });
    }
    for (index, router) in topology.routers.iter().enumerate() {
        let place = Place::Router(router.name.clone());
        let own = &addresses.routers[&router.name];
        let link = alloc::format!("{}.uplink", router.name);
        let at = router.behind.clone().map_or(Place::Internet, Place::Router);
        let up = access(&mut steps, &link, place.clone(), at, &router.uplink);
        let delegated = own.delegated.into_iter();
        let v4 = own.outside.iter().filter(|addr| addr.is_ipv4()).map(|addr| Prefix::host(*addr));
        steps.push(LabStep::AddRoute { at: place, to: None, via: up });
        announce(&mut steps, &tree, tree.parent(index), &link, v4.chain(delegated));
    }
    for (index, host) in topology.hosts.iter().enumerate() {
        let own = addresses.hosts.get(&host.name).cloned().unwrap_or_default();
        let resolvers = resolvers(&tree, tree.hosts[index], &addresses, &own);
        steps.push(LabStep::AddHost { name: host.name.clone(), addresses: own.clone(), mtu: HOST_MTU, resolvers });
        let link = alloc::format!("{}.link", host.name);
        let at = host.behind.clone().map_or(Place::Internet, Place::Router);
        access(&mut steps, &link, Place::Host(host.name.clone()), at, &host.link);
        announce(&mut steps, &tree, tree.hosts[index], &link, own.into_iter().map(Prefix::host));
    }
    // Last, so that they change no number of what the scenario names.
    add_servers(&mut steps, None, addresses.internet.clone(), INTERNET_SERVICES);
    for router in &topology.routers {
        let services = services(&router.gateway);
        if !services.is_empty() {
            add_servers(&mut steps, Some(&router.name), addresses.routers[&router.name].inside.clone(), services);
        }
    }
    Ok(Plan { addresses, steps })
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
    let of = of.map(ToString::to_string);
    let at = of.clone().map_or(Place::Internet, Place::Router);
    let link = alloc::format!("{}{SERVERS}", of.as_deref().unwrap_or("internet"));
    steps.push(LabStep::AddServers { of: of.clone(), addresses: addresses.clone(), services: services.into() });
    access(steps, &link, Place::Servers(of), at.clone(), &Access::default());
    let via = LinkName { link, direction: Direction::Down };
    steps.extend(addresses.into_iter().map(|addr| LabStep::AddRoute {
        at: at.clone(),
        to: Some(Prefix::host(addr)),
        via: via.clone(),
    }));
}

/// The nearest servers that know names, at their addresses of the families the host has.
fn resolvers(tree: &Tree, at: Option<usize>, addresses: &AddressPlan, own: &[IpAddr]) -> Vec<IpAddr> {
    let nearest = tree.upwards(at).find(|router| !services(&tree.routers[*router].gateway).is_empty());
    let there = nearest.map_or(&CORE[..], |router| &addresses.routers[&tree.routers[router].name].inside);
    let reachable = |addr: &&IpAddr| own.iter().any(|own| own.is_ipv4() == addr.is_ipv4());
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

/// Tells the router at a link's far end, and all above it that can know, that `addresses` are at its near end.
fn announce(
    steps: &mut Vec<LabStep>,
    tree: &Tree,
    at: Option<usize>,
    link: &str,
    addresses: impl Iterator<Item = Prefix>,
) {
    for to in addresses {
        let mut link = link.to_string();
        let mut routers = tree.upwards(at);
        loop {
            let router = routers.next();
            let place = router.map_or(Place::Internet, |router| Place::Router(tree.routers[router].name.clone()));
            let via = LinkName { link, direction: Direction::Down };
            steps.push(LabStep::AddRoute { at: place, to: Some(to), via });
            let Some(router) = router else { break };
            // Where a router translates, nobody above it knows its hosts.
            let gateway = &tree.routers[router].gateway;
            let ends_here = match to.addr() {
                IpAddr::V4(_) => gateway.nat.is_some(),
                // A prefix of its own covers them; other routers' prefixes go through.
                IpAddr::V6(_) => to.len() == 128,
            };
            if ends_here {
                break;
            }
            link = alloc::format!("{}.uplink", tree.routers[router].name);
        }
    }
}

/// Both directions of an access link. Returns the name of the way up.
fn access(steps: &mut Vec<LabStep>, link: &str, owner: Place, at: Place, access: &Access) -> LinkName {
    let name = |direction| LinkName { link: link.to_string(), direction };
    let (up, down) = (name(Direction::Up), name(Direction::Down));
    let config = Box::new(access.up.clone());
    steps.push(LabStep::AddLink { name: up.clone(), from: owner.clone(), to: at.clone(), config });
    steps.push(LabStep::AddLink { name: down, from: at, to: owner, config: Box::new(access.down.clone()) });
    up
}

fn check_names(topology: &Topology) -> Result<(), PlanError> {
    let mut names = BTreeSet::new();
    let all = topology.routers.iter().map(|router| &router.name).chain(topology.hosts.iter().map(|host| &host.name));
    for name in all {
        if !names.insert(name) {
            return Err(PlanError::DuplicateName { name: name.clone() });
        }
    }
    Ok(())
}

fn check_nat64(topology: &Topology) -> Result<(), PlanError> {
    let mut routers = topology.routers.iter();
    let lacking = routers.find(|router| router.gateway.ipv6 == Ipv6::Nat64 && router.gateway.nat.is_none());
    lacking.map_or(Ok(()), |router| Err(PlanError::Nat64WithoutNat { router: router.name.clone() }))
}

fn check_links(topology: &Topology) -> Result<(), PlanError> {
    let uplinks = topology.routers.iter().map(|router| (alloc::format!("{}.uplink", router.name), &router.uplink));
    let links = topology.hosts.iter().map(|host| (alloc::format!("{}.link", host.name), &host.link));
    for (link, access) in uplinks.chain(links) {
        for (direction, config) in [(Direction::Up, &access.up), (Direction::Down, &access.down)] {
            let (earliest, _) = config.jitter.bounds_ns();
            if config.delay_ns.checked_add_signed(earliest).is_none() {
                return Err(PlanError::JitterAboveDelay { link: LinkName { link, direction }.to_string() });
            }
        }
    }
    Ok(())
}
