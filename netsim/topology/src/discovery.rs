//! What NAT behaviour discovery (RFC 5780) must find in front of a host, from the standard's terms alone.
//!
//! Routers behind each other are one NAT to whoever looks from outside: it depends on as much of a destination as the
//! most dependent of them, and filters as strictly as the strictest.

use crate::model::{Gateway, Ipv6, Topology};
use crate::oracle::{Endpoint, Family, Name, Side, level, nat};
use crate::tree::Tree;
use alloc::vec::Vec;
use netsim_fabric::{Filtering, Hairpin, Mapping, Outbound, PortAssignment};

/// What a host finds that asks a STUN server on the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discovery {
    /// No answer: a firewall lets no UDP out.
    Silence,
    /// Answers.
    Found(Found),
}

/// What the answers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// For which destinations a mapping is reused; absent where nothing is translated.
    pub mapping: Option<Mapping>,
    /// Who may answer.
    pub filtering: Filtering,
    /// Whether a socket is seen with its own port. Where ports are drawn, it may be by chance all the same.
    pub port_preserved: bool,
    /// What becomes of a packet to an external endpoint of the host's own.
    pub hairpin: Turned,
}

/// What becomes of a packet that a host sends to an external endpoint of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// It does not come back.
    Nothing,
    /// It comes back with an external source.
    FromOutside,
    /// It comes back with the sender's own source, as it does where nothing is translated.
    FromInside,
}

/// What host `host` must find through the interface it uses at first, in IPv4 if it has that; `None` if there is no such host, or nothing in front of it that
/// translates or filters.
///
/// NATs whose pool of addresses is arbitrary are taken at their worst, as by [`crate::expected`].
pub fn discovery(topology: &Topology, host: &str) -> Option<Discovery> {
    let tree = Tree::new(topology).ok()?;
    let host = topology.hosts.iter().position(|other| other.name == host)?;
    let routers: Vec<Gateway> = tree.upwards(tree.host(host)).map(|router| tree.routers[router].gateway).collect();
    if routers.iter().any(|gateway| gateway.firewall.outbound != Outbound::All) {
        return Some(Discovery::Silence);
    }
    // A host without IPv4 asks in IPv6.
    let without_v4 = routers.first().is_some_and(|gateway| gateway.ipv6 == Ipv6::Nat64);
    let family = if without_v4 { Family::V6 } else { Family::V4 };
    let levels = || routers.iter().filter_map(|gateway| level(family, gateway));
    let filtering = levels().map(|level| level.filtering).max()?;
    let mut nats = routers.iter().filter_map(|gateway| nat(family, gateway)).peekable();
    let translated = nats.peek().is_some();
    Some(Discovery::Found(Found {
        mapping: translated.then(|| levels().map(|level| level.mapping).max()).flatten(),
        filtering,
        port_preserved: nats.all(|nat| nat.ports == PortAssignment::Preserve && nat.port_block.is_none()),
        hairpin: turned(family, &routers),
    }))
}

/// Two sockets of one host: `a` is sent to by `b`, whose endpoint as seen from outside it has sent to before.
fn turned(family: Family, routers: &[Gateway]) -> Turned {
    let outermost = routers.iter().rposition(|gateway| nat(family, gateway).is_some());
    let Some((turn, outer)) = outermost.and_then(|turn| Some((turn, nat(family, &routers[turn])?))) else {
        return Turned::FromInside;
    };
    let passed = &routers[..=turn];
    let [mut a, b] = [Name::A, Name::B].map(|name| Side::new(name, family, passed, false));
    let (target, opening) = (a.source(&Endpoint::rendezvous()), b.source(&Endpoint::rendezvous()));
    a.sent.insert(opening);
    let open_to_all = || {
        let mut levels = passed.iter().filter_map(|gateway| level(family, gateway));
        levels.all(|level| level.filtering == Filtering::EndpointIndependent)
    };
    let translated_before = routers[..turn].iter().any(|gateway| nat(family, gateway).is_some());
    match outer.hairpin {
        Hairpin::ExternalSource if a.lets_in(&target, &b.source(&target)) => Turned::FromOutside,
        // Nobody has sent to the source it comes with.
        Hairpin::InternalSource if open_to_all() && translated_before => Turned::FromOutside,
        Hairpin::InternalSource if open_to_all() => Turned::FromInside,
        Hairpin::Off | Hairpin::ExternalSource | Hairpin::InternalSource => Turned::Nothing,
    }
}
