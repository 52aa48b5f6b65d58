//! What the parts of a plan are called.

use crate::pipe;
use crate::region::CENTRE;
use alloc::string::String;
use core::fmt;

/// A place that links join: a named host or router, or the internet's core.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The router in the middle that joins all public places, without delay of its own.
    Internet,
    /// A region's part of the internet's core, likewise.
    Region(String),
    /// A router of the topology.
    Router(String),
    /// A host of the topology, at the interface it uses at first.
    Host(String),
    /// A host of the topology, at another interface.
    Interface {
        /// The host.
        host: String,
        /// The interface.
        name: String,
    },
    /// The servers of a router or region or, without a name, of the internet.
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

/// A directed link's name: `bob.link` up, `home.uplink` down, `phone.mobile.link` up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkName {
    /// `HOST.link`, or `HOST.INTERFACE.link` where a host has several, or `ROUTER.uplink`, or `REGION.REGION.transit`.
    pub link: String,
    /// Which of its two directions.
    pub direction: Direction,
}

impl LinkName {
    /// Whether it leads to servers, to the device of a router that a kernel is, out of a pipe or to the middle that all
    /// regions share: part of the network, but not of what a scenario describes.
    pub fn is_auxiliary(&self) -> bool {
        let endings = [SERVERS, INNER, CENTRE];
        endings.iter().any(|ending| self.link.ends_with(ending)) || pipe::leads_out(&self.link)
    }
}

/// What the names of links to servers end with. Those of hosts and routers end with `.link` and `.uplink`.
pub(super) const SERVERS: &str = ".servers";
/// The same for links to the inner device of a router that a kernel is.
pub(crate) const INNER: &str = ".inner";

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.link, self.direction.as_str())
    }
}
