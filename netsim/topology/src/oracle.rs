//! Whether two hosts can reach each other by UDP hole punching, from the standard's terms alone: no packets, no ports, no
//! clock. What the fabric does with packets is compared with this.
//!
//! The game: both hosts send to a rendezvous on the public internet, which tells each the other's endpoint as it saw it.
//! Then both send to every endpoint of the other they know, at the same time and again and again. Whoever receives
//! something knows one more endpoint: where that came from (RFC 8445 calls it peer-reflexive). Nobody guesses ports.
//! They reach each other when one can send to an endpoint and gets the answer from that very endpoint.
//!
//! Here an endpoint has no number. It is named by what made it: the side it belongs to, and the part of the destination
//! its mapping depends on. Two packets have the same source exactly if these names are equal.

use crate::model::{Gateway, Ipv6, Topology};
use crate::tree::Tree;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use netsim_fabric::{Collision, Filtering, Hairpin, Mapping, NatConfig, Outbound, Pooling, PortAssignment};

/// What the hosts may make use of, beside IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowed {
    /// Ask their own router for a port mapping, where it grants any.
    pub port_mapping: bool,
    /// IPv6, where both have it.
    pub ipv6: bool,
}

/// What hole punching comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The hosts reach each other.
    Direct,
    /// They need a relay.
    RelayOnly {
        /// Why, over IPv4.
        reason: Reason,
    },
}

/// Why there is no direct way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A firewall lets no UDP out.
    UdpBlocked,
    /// The router both are behind sends nothing back inside.
    Hairpin,
    /// Nothing gets through in at least one direction: endpoints change with the destination, and filters want the old.
    Filtered,
    /// Packets get through, but each time from another endpoint.
    Unsettled,
}

/// What is to be expected between hosts `a` and `b`; `None` if either does not exist or hangs nowhere.
///
/// Of several interfaces, a host uses the one it uses at first.
///
/// No other traffic is in the way: their sockets have different ports, and at no router do two endpoints want one port.
/// NATs whose pool of addresses is arbitrary are taken at their worst: every mapping may have another address. Where a
/// router hairpins with the internal source, and another NAT that both are behind lies inside it, the answer is a relay
/// without looking closer.
pub fn expected(topology: &Topology, a: &str, b: &str, allowed: Allowed) -> Option<Expected> {
    let tree = Tree::new(topology).ok()?;
    let host = |name: &str| topology.hosts.iter().position(|host| host.name == name);
    let [up_a, up_b] = [host(a)?, host(b)?]
        .map(|host| tree.upwards(tree.host(host)).map(|router| tree.routers[router].gateway).collect::<Vec<Gateway>>());
    let [names_a, names_b] = [host(a)?, host(b)?].map(|host| tree.upwards(tree.host(host)).collect::<Vec<usize>>());
    let shared = names_a.iter().rev().zip(names_b.iter().rev()).take_while(|(a, b)| a == b).count();
    let v4 = outcome(Family::V4, &up_a, &up_b, shared, allowed);
    if allowed.ipv6 && v4 != Expected::Direct && [&up_a, &up_b].iter().all(|routers| has_ipv6(routers)) {
        let v6 = outcome(Family::V6, &up_a, &up_b, shared, allowed);
        return Some(if v6 == Expected::Direct { v6 } else { v4 });
    }
    Some(v4)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

fn has_ipv6(routers: &[Gateway]) -> bool {
    routers.iter().all(|gateway| gateway.ipv6 != Ipv6::None)
}

/// The outcome in one family; `shared` of the routers, the outermost, are in front of both hosts.
fn outcome(family: Family, a: &[Gateway], b: &[Gateway], shared: usize, allowed: Allowed) -> Expected {
    if a.iter().chain(b).any(|gateway| gateway.firewall.outbound != Outbound::All) {
        return Expected::RelayOnly { reason: Reason::UdpBlocked };
    }
    // Packets turn back at the outermost NAT that both are behind, or else at the innermost router they share.
    let in_front = &a[a.len() - shared..];
    let turn = in_front.iter().rposition(|gateway| nat(family, gateway).is_some());
    let hairpin = turn.and_then(|turn| nat(family, &in_front[turn])).map(|nat| nat.hairpin);
    let inside = match (turn, hairpin) {
        (None, _) | (_, None) => 0,
        (_, Some(Hairpin::Off)) => return Expected::RelayOnly { reason: Reason::Hairpin },
        (Some(turn), Some(Hairpin::ExternalSource)) => turn + 1,
        (Some(turn), Some(Hairpin::InternalSource)) => {
            if in_front[..turn].iter().any(|gateway| level(family, gateway).is_some()) {
                return Expected::RelayOnly { reason: Reason::Hairpin };
            }
            0
        }
    };
    let maps = |routers: &[Gateway]| allowed.port_mapping && routers.first().is_some_and(|own| own.port_mapping);
    // Known to each other by endpoints of the NAT they are both behind, where packets turn back untranslated.
    let alias = match (turn, hairpin) {
        (Some(turn), Some(Hairpin::InternalSource)) => nat(family, &in_front[turn]).map(|nat| {
            let is_own = |routers: &[Gateway]| turn == 0 && routers.len() == shared && maps(routers);
            [a, b].map(|routers| nat.filtering == Filtering::EndpointIndependent || is_own(routers))
        }),
        _ => None,
    };
    let [a, b] = [(Name::A, a), (Name::B, b)]
        .map(|(name, routers)| Side::new(name, family, &routers[..routers.len() - shared + inside], maps(routers)));
    Game { a, b, alias }.play()
}

pub(crate) fn nat(family: Family, gateway: &Gateway) -> Option<NatConfig> {
    match (family, gateway.ipv6) {
        (Family::V4, _) => gateway.nat,
        (Family::V6, Ipv6::Masquerade(nat)) => Some(nat),
        (Family::V6, _) => None,
    }
}

/// A router, as far as it changes or refuses packets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Level {
    pub(crate) mapping: Mapping,
    pub(crate) filtering: Filtering,
    /// All mappings of a host have one external address.
    one_address: bool,
}

pub(crate) fn level(family: Family, gateway: &Gateway) -> Option<Level> {
    if let Some(nat) = nat(family, gateway) {
        // Every destination has a mapping of its own, but all of them get the one port.
        let keeps_port = nat.ports == PortAssignment::Preserve && nat.collision == Collision::Overload;
        let one_address = nat.addresses.get() == 1 || nat.pooling == Pooling::Paired || nat.port_block.is_some();
        let mapping = if keeps_port && one_address { Mapping::EndpointIndependent } else { nat.mapping };
        return Some(Level { mapping, filtering: nat.filtering, one_address });
    }
    let filtering = match (family, gateway.ipv6) {
        (Family::V4, _) => gateway.firewall.inbound_v4,
        (Family::V6, Ipv6::Firewall | Ipv6::Nat64) => {
            Some(gateway.firewall.inbound_v6.unwrap_or(Filtering::AddressAndPortDependent))
        }
        (Family::V6, _) => gateway.firewall.inbound_v6,
    };
    filtering.map(|filtering| Level { mapping: Mapping::EndpointIndependent, filtering, one_address: true })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    A,
    B,
}

/// Whose address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Address {
    Rendezvous,
    /// The outer address of a side; of one of its mappings only, where they may differ.
    Of(Name, Option<Key>),
    /// What the rendezvous saw of a side, where packets between the sides do not look like that.
    Alias(Name),
}

/// The part of the destination that a mapping depends on, or a filter looks at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Any,
    Address(Box<Address>),
    Endpoint(Box<Endpoint>),
}

/// An endpoint: an address, and the mapping behind it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Endpoint {
    address: Address,
    mapping: Key,
}

impl Endpoint {
    pub(crate) fn rendezvous() -> Endpoint {
        Endpoint { address: Address::Rendezvous, mapping: Key::Any }
    }
}

fn mapping_key(mapping: Mapping, to: &Endpoint) -> Key {
    match mapping {
        Mapping::EndpointIndependent => Key::Any,
        Mapping::AddressDependent => Key::Address(Box::new(to.address.clone())),
        Mapping::AddressAndPortDependent => Key::Endpoint(Box::new(to.clone())),
    }
}

fn filter_key(filtering: Filtering, from: &Endpoint) -> Key {
    match filtering {
        Filtering::EndpointIndependent => Key::Any,
        Filtering::AddressDependent => Key::Address(Box::new(from.address.clone())),
        Filtering::AddressAndPortDependent => Key::Endpoint(Box::new(from.clone())),
    }
}

/// A host and what is in front of it.
#[derive(Debug)]
pub(crate) struct Side {
    name: Name,
    /// Innermost first. Each mapping is as dependent as the most dependent one inside of it: a NAT that sees another
    /// source makes another mapping.
    levels: Vec<Level>,
    pub(crate) sent: BTreeSet<Endpoint>,
    known: BTreeSet<Endpoint>,
}

impl Side {
    /// `mapped`: the host's own router has mapped a port for it.
    pub(crate) fn new(name: Name, family: Family, routers: &[Gateway], mapped: bool) -> Side {
        let mut levels = Vec::new();
        let mut mapping = Mapping::EndpointIndependent;
        for (n, gateway) in routers.iter().enumerate() {
            let Some(mut level) = level(family, gateway) else { continue };
            if n == 0 && mapped && (family == Family::V6 || gateway.nat.is_some() && gateway.ipv6 != Ipv6::Nat64) {
                (level.mapping, level.filtering) = (Mapping::EndpointIndependent, Filtering::EndpointIndependent);
            }
            mapping = mapping.max(level.mapping);
            levels.push(Level { mapping, ..level });
        }
        let sent = BTreeSet::from([Endpoint::rendezvous()]);
        Side { name, levels, sent, known: BTreeSet::new() }
    }

    /// The key of what is outermost.
    fn key(&self, to: &Endpoint) -> Key {
        self.levels.last().map_or(Key::Any, |level| mapping_key(level.mapping, to))
    }

    /// What packets to `to` come from.
    pub(crate) fn source(&self, to: &Endpoint) -> Endpoint {
        let mapping = self.key(to);
        let one_address = self.levels.last().is_none_or(|level| level.one_address);
        let address = Address::Of(self.name, (!one_address).then(|| mapping.clone()));
        Endpoint { address, mapping }
    }

    /// Whether a packet from `from` to this side's endpoint `to` gets to the host.
    pub(crate) fn lets_in(&self, to: &Endpoint, from: &Endpoint) -> bool {
        // The endpoint exists because something was sent from it.
        let Some(maker) = self.sent.iter().find(|sent| self.source(sent) == *to) else { return false };
        self.levels.iter().all(|level| {
            let own = mapping_key(level.mapping, maker);
            let mut through = self.sent.iter().filter(|sent| mapping_key(level.mapping, sent) == own);
            through.any(|sent| filter_key(level.filtering, sent) == filter_key(level.filtering, from))
        })
    }
}

/// So many rounds: after the third, nothing new is of use.
const ROUNDS: usize = 4;

struct Game {
    a: Side,
    b: Side,
    /// Set where packets turn back with their internal source: whether the NAT there lets strangers in to `a`, to `b`.
    alias: Option<[bool; 2]>,
}

impl Game {
    fn play(mut self) -> Expected {
        let seen = |side: &Side, alias: Option<[bool; 2]>| match alias {
            Some(_) => Endpoint { address: Address::Alias(side.name), mapping: Key::Any },
            None => side.source(&Endpoint::rendezvous()),
        };
        let (seen_a, seen_b) = (seen(&self.a, self.alias), seen(&self.b, self.alias));
        self.a.known.insert(seen_b);
        self.b.known.insert(seen_a);
        for _ in 0..ROUNDS {
            for side in [&mut self.a, &mut self.b] {
                side.sent.extend(side.known.iter().cloned());
            }
            let to_b: Vec<Endpoint> = self.arrivals(&self.a, &self.b);
            let to_a: Vec<Endpoint> = self.arrivals(&self.b, &self.a);
            self.b.known.extend(to_b);
            self.a.known.extend(to_a);
        }
        let (a, b) = (&self.a, &self.b);
        let settled = a.sent.iter().any(|to| {
            let from = a.source(to);
            self.arrives(a, b, to) && b.source(&from) == *to && self.arrives(b, a, &from)
        });
        let both_ways = !self.arrivals(a, b).is_empty() && !self.arrivals(b, a).is_empty();
        match (settled, both_ways) {
            (true, _) => Expected::Direct,
            (false, true) => Expected::RelayOnly { reason: Reason::Unsettled },
            (false, false) => Expected::RelayOnly { reason: Reason::Filtered },
        }
    }

    /// Where packets that get through from `from` to `to` come from.
    fn arrivals(&self, from: &Side, to: &Side) -> Vec<Endpoint> {
        from.sent.iter().filter(|sent| self.arrives(from, to, sent)).map(|sent| from.source(sent)).collect()
    }

    fn arrives(&self, from: &Side, to: &Side, at: &Endpoint) -> bool {
        let source = from.source(at);
        match &at.address {
            Address::Alias(name) if *name == to.name => {
                self.alias.is_some_and(|open| open[to.name as usize])
                    && to.lets_in(&to.source(&Endpoint::rendezvous()), &source)
            }
            _ => to.lets_in(at, &source),
        }
    }
}
