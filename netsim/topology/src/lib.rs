//! Networks as data: who is where, what lies between them, and the steps that build it.
//!
//! A [`Topology`] names hosts and routers. Every host hangs on a router or directly on the public internet, by a link
//! whose two directions are set apart, or by several; every router hangs on the internet or another router likewise. [`plan`] checks
//! it, gives everything its addresses, and turns it into [`LabStep`]s that a lab applies one after the other; [`build`]
//! makes the fabric's part of them; [`with_kernel_routers`] leaves what routers do to a real kernel; [`Shards`] says how it can be several fabrics. [`path`] says what a packet from one host to another must meet, which is what
//! calibration compares with. [`nat_preset`] knows routers by the names of equipment, [`expected`] whether two
//! hosts can reach each other directly, [`discovery`] what a host finds in front of itself, and [`opening`] how a flow of
//! [`Cross`] traffic gets through.
//!
//! **Invariant:** pure and `no_std`: a plan can be made, shown and tested without privilege.

#![no_std]

extern crate alloc;

mod address;
mod build;
mod ceiling;
mod cross;
mod discovery;
mod kernel;
mod model;
mod oracle;
mod path;
mod pipe;
mod plan;
mod presets;
mod region;
mod shards;
mod timeline;
mod tree;

pub use address::{AddressPlan, RouterAddresses};
pub use build::{Built, build};
pub use ceiling::ceiling_bps;
pub use cross::{CATCH_UP_NS, Cross, MIN_CROSS_PACKET, NoWay, Opening, Pacer, Traffic, Turn, opening};
pub use discovery::{Discovery, Found, Turned, discovery};
pub use kernel::with_kernel_routers;
pub use model::{Access, Gateway, Host, Interface, Ipv6, Lan, Router, Topology, Transit};
pub use oracle::{Allowed, Expected, Reason, expected};
pub use path::{PathProfile, access_path, path, region, way};
pub use pipe::with_pipes;
pub use plan::{Direction, HOST_MTU, LabStep, LinkName, Place, Plan, PlanError, Service, plan};
pub use presets::link::{LINK_PRESETS, LinkPreset, MOVING_CELL, STEADY_CELL, link_preset};
pub use presets::nat::{NAT_PRESETS, NatPreset, nat_preset};
pub use presets::region::{REGIONS, RegionPreset, region_delay_ns};
pub use shards::Shards;
pub use timeline::{Change, Event};
