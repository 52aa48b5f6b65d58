//! The model a scenario resolves to.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use netsim_fabric::{FirewallConfig, LinkConfig, NatConfig, Outbound};

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topology {
    /// Routers, each with what hangs behind it.
    pub routers: Vec<Router>,
    /// Hosts.
    pub hosts: Vec<Host>,
}

impl Topology {
    /// The names of all links, those of routers first.
    pub fn link_names(&self) -> Vec<String> {
        let uplinks = self.routers.iter().map(Router::link_name);
        let links = |host: &Host| -> Vec<String> { host.interfaces.iter().map(|own| host.link_name(own)).collect() };
        uplinks.chain(self.hosts.iter().flat_map(links)).collect()
    }

    /// The link of that name.
    pub fn access_mut(&mut self, link: &str) -> Option<&mut Access> {
        if let Some(router) = self.routers.iter().position(|router| router.link_name() == link) {
            return Some(&mut self.routers[router].uplink);
        }
        self.hosts.iter_mut().find_map(|host| {
            let at = host.interfaces.iter().position(|own| host.link_name(own) == link)?;
            Some(&mut host.interfaces[at].link)
        })
    }
}

/// A router between its local network and the public internet, or another router's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Router {
    /// Its name, unique among hosts and routers.
    pub name: String,
    /// The router it hangs on; absent: directly on the public internet.
    pub behind: Option<String>,
    /// What it does to packets.
    pub gateway: Gateway,
    /// Its link to there.
    pub uplink: Access,
}

impl Router {
    /// A router on the public internet.
    pub fn new(name: &str, gateway: Gateway, uplink: Access) -> Router {
        Router { name: name.into(), behind: None, gateway, uplink }
    }

    /// The name of its link: `ROUTER.uplink`.
    pub fn link_name(&self) -> String {
        alloc::format!("{}.uplink", self.name)
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// What its network device is called, unique in its host.
    pub name: String,
    /// The router it hangs on; absent: directly on the public internet.
    pub behind: Option<String>,
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

impl Host {
    /// A host with one interface.
    pub fn new(name: &str, behind: Option<&str>, link: Access) -> Host {
        let interface = Interface { name: Interface::ONLY.into(), behind: behind.map(Into::into), link, up: true };
        Host { name: name.into(), interfaces: [interface].into() }
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
            [Interface { name, behind, link, up: true }] if name == Interface::ONLY => {
                host.field("behind", behind).field("link", link)
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
