//! The model a scenario resolves to.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use netsim_fabric::{FirewallConfig, LinkConfig, NatConfig, Outbound};

/// A network.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Topology {
    /// Routers, each with what hangs behind it.
    pub routers: Vec<Router>,
    /// Hosts.
    pub hosts: Vec<Host>,
    /// The ways between the regions of the internet's core. Without any, the core is one place.
    pub transits: Vec<Transit>,
}

impl Topology {
    /// The names of all links, those of routers first, transits last.
    pub fn link_names(&self) -> Vec<String> {
        let uplinks = self.routers.iter().map(Router::link_name);
        let links = |host: &Host| -> Vec<String> { host.interfaces.iter().map(|own| host.link_name(own)).collect() };
        let transits = self.transits.iter().map(Transit::link_name);
        uplinks.chain(self.hosts.iter().flat_map(links)).chain(transits).collect()
    }

    /// The regions that routers and hosts are in, in order of their names.
    pub fn regions(&self) -> Vec<&str> {
        let hosts = self.hosts.iter().flat_map(|host| host.interfaces.iter().map(|own| &own.region));
        let regions = self.routers.iter().map(|router| &router.region).chain(hosts);
        let regions: BTreeSet<&str> = regions.flatten().map(String::as_str).collect();
        regions.into_iter().collect()
    }

    /// The way between two regions, and whether from the first to the second is up.
    pub fn transit(&self, from: &str, to: &str) -> Option<(&Transit, bool)> {
        self.transits.iter().find_map(|transit| match &transit.between {
            [a, b] if a == from && b == to => Some((transit, true)),
            [a, b] if a == to && b == from => Some((transit, false)),
            _ => None,
        })
    }

    /// The link of that name.
    pub fn access_mut(&mut self, link: &str) -> Option<&mut Access> {
        if let Some(router) = self.routers.iter().position(|router| router.link_name() == link) {
            return Some(&mut self.routers[router].uplink);
        }
        if let Some(transit) = self.transits.iter().position(|transit| transit.link_name() == link) {
            return Some(&mut self.transits[transit].link);
        }
        self.hosts.iter_mut().find_map(|host| {
            let at = host.interfaces.iter().position(|own| host.link_name(own) == link)?;
            Some(&mut host.interfaces[at].link)
        })
    }
}

/// A network without regions reads as if there were none: resolved forms of scenarios, which are hashed, are made of this.
impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut topology = f.debug_struct("Topology");
        topology.field("routers", &self.routers).field("hosts", &self.hosts);
        if !self.transits.is_empty() {
            topology.field("transits", &self.transits);
        }
        topology.finish()
    }
}

/// The way between two regions of the internet's core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transit {
    /// The regions, two different ones.
    pub between: [String; 2],
    /// What it does to packets: up is from the first region to the second.
    pub link: Access,
}

impl Transit {
    /// The name of its link: `REGION.REGION.transit`.
    pub fn link_name(&self) -> String {
        let [a, b] = &self.between;
        alloc::format!("{a}.{b}.transit")
    }
}

/// A router between its local network and the public internet, or another router's network.
#[derive(Clone, PartialEq, Eq)]
pub struct Router {
    /// Its name, unique among hosts and routers.
    pub name: String,
    /// The router it hangs on; absent: directly on the public internet.
    pub behind: Option<String>,
    /// The region of the internet's core that it hangs on, where there are any and it is behind nothing.
    pub region: Option<String>,
    /// What it does to packets.
    pub gateway: Gateway,
    /// Its link to there.
    pub uplink: Access,
}

impl Router {
    /// A router on the public internet.
    pub fn new(name: &str, gateway: Gateway, uplink: Access) -> Router {
        Router { name: name.into(), behind: None, region: None, gateway, uplink }
    }

    /// The name of its link: `ROUTER.uplink`.
    pub fn link_name(&self) -> String {
        alloc::format!("{}.uplink", self.name)
    }
}

/// Without a region it reads as if there were none, like [`Topology`].
impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut router = f.debug_struct("Router");
        router.field("name", &self.name).field("behind", &self.behind);
        if let Some(region) = &self.region {
            router.field("region", region);
        }
        router.field("gateway", &self.gateway).field("uplink", &self.uplink).finish()
    }
}

/// What a router does to packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gateway {
    /// Its NAT; a router without one leaves its hosts in the network it hangs on, with public addresses at best.
    pub nat: Option<NatConfig>,
    /// What its hosts have of IPv6.
    pub ipv6: Ipv6,
    /// What it filters. Where [`Gateway::ipv6`] says so, IPv6 is filtered beyond that.
    pub firewall: FirewallConfig,
    /// Which addresses its hosts have behind a NAT.
    pub lan: Lan,
    /// Whether hosts may ask it for port mappings (NAT-PMP, PCP, UPnP).
    pub port_mapping: bool,
}

impl Gateway {
    /// A router that forwards and nothing else, in both families.
    pub const OPEN: Gateway = Gateway {
        nat: None,
        ipv6: Ipv6::Open,
        firewall: FirewallConfig {
            outbound: Outbound::All,
            inbound_v4: None,
            inbound_v6: None,
            reject: false,
            timeout_ns: 300_000_000_000,
        },
        lan: Lan::Home,
        port_mapping: false,
    };

    /// A router with this NAT and no IPv6.
    pub const fn with_nat(nat: NatConfig) -> Gateway {
        Gateway { nat: Some(nat), ipv6: Ipv6::None, ..Gateway::OPEN }
    }
}

/// What hosts behind a router have of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv6 {
    /// Nothing.
    None,
    /// Addresses of a prefix of the router's own that only answers reach (RFC 6092).
    Firewall,
    /// The same without a filter.
    Open,
    /// Unique local addresses (RFC 4193), whose prefix the router exchanges for a public one (RFC 6296).
    Nptv6,
    /// Unique local addresses behind one public address, like IPv4 behind a NAT.
    Masquerade(NatConfig),
    /// As [`Ipv6::Firewall`] and no IPv4: that is reached through 64:ff9b::/96 and the router's NAT (RFC 6146).
    Nat64,
}

/// Which addresses the hosts behind a NAT have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lan {
    /// 192.168.1.0/24; behind another such router 192.168.2.0/24, and so on.
    Home,
    /// 100.64.0.0/10, the range of carriers (RFC 6598).
    Carrier,
    /// 10.0.0.0/8.
    Corporate,
}

/// A machine that programs run on.
#[derive(Clone, PartialEq, Eq)]
pub struct Host {
    /// Its name, unique among hosts and routers.
    pub name: String,
    /// How it is connected, in order of preference: what the host does not send from a certain address leaves by the
    /// first of them that is up. Mostly one; without any, the host reaches nobody.
    pub interfaces: Vec<Interface>,
}

/// A host's way into a network.
#[derive(Clone, PartialEq, Eq)]
pub struct Interface {
    /// What its network device is called, unique in its host.
    pub name: String,
    /// The router it hangs on; absent: directly on the public internet.
    pub behind: Option<String>,
    /// The region of the internet's core that it hangs on, where there are any and it is behind nothing.
    pub region: Option<String>,
    /// Its link to there.
    pub link: Access,
    /// Whether it is up at first.
    pub up: bool,
}

impl Interface {
    /// What the device of a host with one interface is called.
    pub const ONLY: &str = "net0";
    /// The longest name that Linux gives a device, in bytes (`IFNAMSIZ`, less its terminating zero).
    pub const MAX_NAME: usize = 15;

    /// Whether Linux can have a device of that name, and links can be named after it.
    pub(crate) fn has_good_name(&self) -> bool {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        (1..=Interface::MAX_NAME).contains(&self.name.len()) && self.name.chars().all(good) && self.name != "lo"
    }
}

/// Without a region it reads as if there were none, like [`Topology`].
impl fmt::Debug for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut interface = f.debug_struct("Interface");
        interface.field("name", &self.name).field("behind", &self.behind);
        if let Some(region) = &self.region {
            interface.field("region", region);
        }
        interface.field("link", &self.link).field("up", &self.up).finish()
    }
}

impl Host {
    /// A host with one interface.
    pub fn new(name: &str, behind: Option<&str>, link: Access) -> Host {
        let (only, behind) = (Interface::ONLY.into(), behind.map(Into::into));
        let interface = Interface { name: only, behind, region: None, link, up: true };
        Host { name: name.into(), interfaces: [interface].into() }
    }

    /// A host on the internet in one of its regions.
    pub fn in_region(name: &str, region: &str, link: Access) -> Host {
        let mut host = Host::new(name, None, link);
        host.interfaces.iter_mut().for_each(|own| own.region = Some(region.into()));
        host
    }

    /// The interface that is used at first: the first that is up then, or of all. The host is known by its addresses, and
    /// its way is the one that calibration measures.
    pub fn primary(&self) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.up).or(self.interfaces.first())
    }

    /// The name of an interface's link: `HOST.link`, or `HOST.INTERFACE.link` where there are several.
    pub fn link_name(&self, interface: &Interface) -> String {
        match self.interfaces.len() {
            1 => alloc::format!("{}.link", self.name),
            _ => alloc::format!("{}.{}.link", self.name, interface.name),
        }
    }
}

/// A host with one interface reads as if it were that: resolved forms of scenarios, which are hashed, are made of this.
impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut host = f.debug_struct("Host");
        host.field("name", &self.name);
        match self.interfaces.as_slice() {
            [Interface { name, behind, region, link, up: true }] if name == Interface::ONLY => {
                host.field("behind", behind);
                if let Some(region) = region {
                    host.field("region", region);
                }
                host.field("link", link)
            }
            interfaces => host.field("interfaces", &interfaces),
        };
        host.finish()
    }
}

/// An access link, seen from the one who has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// Away from the host, towards the internet.
    pub up: LinkConfig,
    /// Towards the host.
    pub down: LinkConfig,
}

impl Access {
    /// The same in both directions.
    pub fn both(link: LinkConfig) -> Access {
        Access { up: link.clone(), down: link }
    }
}
