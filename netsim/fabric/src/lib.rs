//! A network of links, routers and NATs as one deterministic state machine.
//!
//! The idea: a packet enters at a host's port at a given time, passes links (loss, queue, rate, delay, jitter) and
//! routers (routes, NAT), and comes out at another host's port at a later time, or is dropped for a named cause. Time
//! and seed are passed in, so the same code runs behind real network devices and in tests that simulate an hour in a
//! second:
//!
//! ```
//! use netsim_fabric::{Fabric, LinkConfig, Time};
//! let mut fabric: Fabric<u32> = Fabric::new(1);
//! let (a, b) = (fabric.add_host(), fabric.add_host());
//! let core = fabric.add_router(None);
//! let link = LinkConfig { delay_ns: 5_000_000, ..LinkConfig::default() };
//! fabric.connect(a, core, link.clone());
//! let (down, _) = fabric.connect(core, b, link);
//! fabric.add_route(core, "198.18.0.2".parse().unwrap(), down);
//!
//! let packet = netsim_fabric::Packet::udp("198.18.0.1:1000", "198.18.0.2:2000", 100, 7).unwrap();
//! fabric.ingress(Time::ZERO, a, packet);
//! assert_eq!(fabric.next_wakeup(), Some(Time::from_nanos(5_000_000)));
//! assert!(fabric.poll(Time::from_nanos(9_999_999)).is_none());
//! let egress = fabric.poll(Time::from_nanos(10_000_000)).unwrap();
//! assert_eq!((egress.host, egress.packet.body), (b, 7));
//! ```
//!
//! Kernels hand over *super-packets*: one header, one large payload, to be cut into equal wire segments. The fabric
//! decides once per **wire segment** and keeps contiguous survivors together as one run, so that a lossy link loses
//! packets of 1,500 bytes, not of 64 KiB, and yet costs little.
//!
//! **Invariant:** `no_std`. No clock, no system call, no random source but the seed. Floating point only where a link is
//! configured, in software, so that it gives the same on every machine; never per packet. [`wire`] is the only module
//! that reads packet bytes, and it is asked only where a router has to speak (ICMP) or an ICMP error passes a NAT.

#![no_std]

extern crate alloc;

mod fabric;
mod firewall;
mod link;
mod nat;
mod nptv6;
mod packet;
mod prefix;
mod quantile;
mod random;
mod router;
mod session;
mod time;
pub mod wire;

pub use fabric::{Crossing, Egress, Fabric, NodeId, RouterDrops};
pub use firewall::{FirewallConfig, Outbound};
pub use link::{
    Cause, Cellular, CoDelConfig, Discipline, Jitter, Limit, LineError, LinkConfig, LinkCounters, LinkId, LinkState,
    Loss, Manner, Mtu, Outage, Oversize, Probability, Queue, Rate, RedConfig, Reorder, Samples, Schedule,
    ScheduleError, Script, Shift, Sight, Sighting, Step, Trace,
};
pub use nat::{
    Collision, Filtering, Hairpin, MapError, Mapping, MappingEnd, MappingEvent, MappingInfo, NatConfig, Pooling,
    PortAssignment,
};
pub use nptv6::{nat64_from_v4, nat64_to_v4};
pub use packet::{Body, Damage, Ecn, Endpoint, Head, Packet, Proto, Segments};
pub use prefix::Prefix;
pub use random::{Purpose, Stream};
pub use router::{Ipv6Config, RouterConfig};
pub use session::Scope;
pub use time::Time;
