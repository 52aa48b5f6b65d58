//! The model a scenario resolves to.

use alloc::string::String;
use alloc::vec::Vec;
use netsim_fabric::{FirewallConfig, LinkConfig, NatConfig, Outbound};

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topology {
    /// Routers, each with what hangs behind it.
    pub routers: Vec<Router>,
    /// Hosts.
    pub hosts: Vec<Host>,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its name, unique among hosts and routers.
    pub name: String,
    /// The router it hangs on; absent: directly on the public internet.
    pub behind: Option<String>,
    /// Its link to there.
    pub link: Access,
}

impl Host {
    /// A host behind a router, or directly on the public internet.
    pub fn new(name: &str, behind: Option<&str>, link: Access) -> Host {
        Host { name: name.into(), behind: behind.map(Into::into), link }
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
