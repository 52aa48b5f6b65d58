//! Network address and port translation, in the terms of RFC 4787 (UDP), RFC 5382 (TCP), RFC 5508 (ICMP) and RFC 6888
//! (carrier-grade).
//!
//! A *mapping* ties an internal endpoint to a port of one of the router's external addresses; the mapping behaviour says
//! when a second destination reuses it. A *filter* says which remote endpoints may send through it inwards. Both
//! behaviours come in three kinds that differ only in how much of the remote endpoint counts, see [`Scope`].

mod ports;
mod table;

use crate::packet::{Endpoint, Proto};
use crate::session::{Scope, Timeouts};
use crate::time::Time;
use core::num::{NonZeroU8, NonZeroU16};

pub(crate) use table::Nat;

/// Mapping behaviour (RFC 4787, section 4.1): for which destinations one internal endpoint keeps its external port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mapping {
    /// For all of them.
    EndpointIndependent,
    /// For all ports of one address.
    AddressDependent,
    /// For one address and port.
    AddressAndPortDependent,
}

/// Filtering behaviour (RFC 4787, section 5): who may send inwards through a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Filtering {
    /// Anyone.
    EndpointIndependent,
    /// Any port of an address that was sent to.
    AddressDependent,
    /// Only an address and port that was sent to.
    AddressAndPortDependent,
}

/// How the external port is chosen (RFC 4787, section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortAssignment {
    /// The internal port if it is free.
    Preserve,
    /// The next port in order.
    Sequential,
    /// A port drawn from the router's seeded stream.
    Random,
}

/// What happens when the wanted external port is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collision {
    /// The next free one is taken (RFC 4787, REQ-3).
    NextFree,
    /// The port is shared as long as the filter tells the owners apart by the remote: port overloading, which REQ-3
    /// forbids and Linux, among others, does. Otherwise a free one, which the internal endpoint keeps for further
    /// remotes where ports are to be preserved. Which one is not said: here the next, in Linux any.
    Overload,
}

/// Which of several external addresses an internal host gets (RFC 4787, section 4.1, REQ-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The same one for all its mappings.
    Paired,
    /// Any, drawn per mapping from the router's seeded stream.
    Arbitrary,
}

/// What happens to a packet from inside to an external address (RFC 4787, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hairpin {
    /// It is dropped.
    Off,
    /// It comes back inside with its external source (REQ-9a).
    ExternalSource,
    /// It comes back inside with its internal source, as some equipment does: the answer goes a shorter way and seems
    /// to come from a stranger.
    InternalSource,
}

/// How a NAT behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NatConfig {
    /// Mapping behaviour.
    pub mapping: Mapping,
    /// Filtering behaviour.
    pub filtering: Filtering,
    /// Port assignment.
    pub ports: PortAssignment,
    /// Whether an even UDP port maps to an even one and an odd to an odd one (RFC 4787, section 4.2.2).
    pub parity: bool,
    /// Ports per subscriber, by arithmetic on its address (RFC 7422); absent: all ports are for all.
    pub port_block: Option<NonZeroU16>,
    /// What happens when the wanted port is taken.
    pub collision: Collision,
    /// How many external addresses it has.
    pub addresses: NonZeroU8,
    /// Which of them a mapping gets.
    pub pooling: Pooling,
    /// How long an unused UDP or echo mapping and its filter entries live, in nanoseconds (RFC 4787, REQ-5).
    pub timeout_ns: u64,
    /// The same while nothing has come back, and for echo mappings always; absent: no difference.
    pub unanswered_timeout_ns: Option<u64>,
    /// With such a difference, a UDP mapping has the longer time-out only from the first packet on that passes so long
    /// after its making and after an answer, as Linux does; absent: from the answer on.
    pub settling_ns: Option<u64>,
    /// The same for established TCP (RFC 5382, REQ-5: at least 2 hours 4 minutes).
    pub tcp_timeout_ns: u64,
    /// A mapping ends so long after its creation, whatever its use; absent: never for that reason.
    pub lifetime_ns: Option<u64>,
    /// Whether packets from outside keep a mapping alive too (RFC 4787, REQ-6). Packets from inside always do.
    pub inbound_refresh: bool,
    /// Whether and how a packet from inside to an external address comes back inside.
    pub hairpin: Hairpin,
}

impl Default for NatConfig {
    /// What RFC 4787 recommends: endpoint-independent mapping, address-dependent filtering, preserved ports, 5 minutes,
    /// hairpinning with the external source.
    fn default() -> NatConfig {
        NatConfig {
            mapping: Mapping::EndpointIndependent,
            filtering: Filtering::AddressDependent,
            ports: PortAssignment::Preserve,
            parity: false,
            port_block: None,
            collision: Collision::NextFree,
            addresses: NonZeroU8::MIN,
            pooling: Pooling::Paired,
            timeout_ns: 300_000_000_000,
            unanswered_timeout_ns: None,
            settling_ns: None,
            tcp_timeout_ns: 7_440_000_000_000,
            lifetime_ns: None,
            inbound_refresh: false,
            hairpin: Hairpin::ExternalSource,
        }
    }
}

impl NatConfig {
    fn timeouts(&self) -> Timeouts {
        Timeouts {
            idle: self.timeout_ns,
            unanswered: self.unanswered_timeout_ns,
            settling: self.settling_ns,
            tcp: self.tcp_timeout_ns,
            lifetime: self.lifetime_ns,
        }
    }
}

impl Mapping {
    fn scope(self, remote: Endpoint) -> Scope {
        match self {
            Mapping::EndpointIndependent => Scope::Anyone,
            Mapping::AddressDependent => Scope::Address(remote.addr),
            Mapping::AddressAndPortDependent => Scope::Endpoint(remote),
        }
    }
}

impl Filtering {
    pub(crate) fn scope(self, remote: Endpoint) -> Scope {
        match self {
            Filtering::EndpointIndependent => Scope::Anyone,
            Filtering::AddressDependent => Scope::Address(remote.addr),
            Filtering::AddressAndPortDependent => Scope::Endpoint(remote),
        }
    }
}

/// A mapping as a snapshot shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MappingInfo {
    /// Transport protocol.
    pub proto: Proto,
    /// The host's endpoint.
    pub internal: Endpoint,
    /// What the outside sees of it.
    pub external: Endpoint,
    /// For which remotes it is.
    pub remotes: Scope,
    /// Whether a host asked for it (NAT-PMP, PCP, UPnP) rather than sent through it.
    pub explicit: bool,
    /// When it was made.
    pub created: Time,
    /// When it ends if nothing more happens.
    pub expires: Time,
}

/// Why a mapping is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingEnd {
    /// Its time ran out.
    Expired,
    /// The host asked for its end.
    Deleted,
    /// The router lost its table or its address.
    Flushed,
}

/// A mapping came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MappingEvent {
    /// When. The end of an expired mapping is noticed later, but carries the time at which it ended.
    pub at: Time,
    /// Transport protocol.
    pub proto: Proto,
    /// The host's endpoint.
    pub internal: Endpoint,
    /// What the outside saw of it.
    pub external: Endpoint,
    /// `None`: it was made.
    pub ended: Option<MappingEnd>,
}

/// Why a host does not get the mapping it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapError {
    /// The router does not translate the endpoint's family, or it is no router.
    NoNat,
    /// The endpoint is not behind the router, or is of a protocol without ports.
    NotInside,
    /// No port is free.
    Exhausted,
}

#[cfg(test)]
mod tests;
