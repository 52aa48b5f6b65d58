//! What cannot be planned.

use crate::model::Interface;
use alloc::string::String;
use alloc::vec::Vec;

/// Why a topology cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Two places share a name.
    #[error("two hosts, routers or regions are named `{name}`; give one of them another name")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A name that no device can have.
    #[error(
        "host `{host}`: {name:?} is no name for an interface; use 1 to {} of a-z, A-Z, 0-9, `-` and `_`, and not `lo`",
        Interface::MAX_NAME
    )]
    InterfaceName {
        /// The host.
        host: String,
        /// The name.
        name: String,
    },
    /// Two interfaces of a host share a name.
    #[error("host `{host}` has two interfaces named `{name}`; give one of them another name")]
    DuplicateInterface {
        /// The host.
        host: String,
        /// The name.
        name: String,
    },
    /// A host of which nothing could be measured.
    #[error("host `{host}` has no interface that is up at first; set `up = true` at one of them")]
    NothingUp {
        /// The host.
        host: String,
    },
    /// Two links share a name.
    #[error("two links are named `{link}`; give the host or the interface another name")]
    DuplicateLink {
        /// The name.
        link: String,
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
    /// A region for something that is not on the internet itself.
    #[error("`{place}` is behind a router and has that one's region; remove `region` from it")]
    RegionBehindRouter {
        /// The host or router.
        place: String,
    },
    /// A place on the internet that is nowhere in a world of regions.
    #[error("`{place}` is in no region, but others are; write where it is, or leave regions out everywhere")]
    NoRegion {
        /// The host or router.
        place: String,
    },
    /// Regions that nothing is known between.
    #[error("nothing says how far `{}` is from `{}`; give them a transit", .between[0], .between[1])]
    NoTransit {
        /// The two.
        between: [String; 2],
    },
    /// Two ways between the same regions, or one from a region to itself.
    #[error("the way between `{}` and `{}` must be there once, between two regions", .between[0], .between[1])]
    BadTransit {
        /// The two.
        between: [String; 2],
    },
    /// More regions than there are addresses kept for.
    #[error("{count} regions are too many; there can be {limit}")]
    TooManyRegions {
        /// How many.
        count: usize,
        /// How many there may be.
        limit: usize,
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
