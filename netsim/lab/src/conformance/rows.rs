//! What a router must do, row by row. What is expected follows from the terms of RFC 4787 alone.

use super::protocols;
use super::script::{self, MANY, Terms};
use netsim_fabric::{
    Collision, Filtering, FirewallConfig, Hairpin, Mapping, NatConfig, Outbound, Pooling, PortAssignment,
};
use netsim_topology::{Gateway, Ipv6, nat_preset};
use std::num::{NonZeroU8, NonZeroU16};

/// One thing a router must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What it is about.
    pub about: &'static str,
    /// The terms it is configured in.
    pub terms: String,
    /// The router.
    pub(crate) gateway: Gateway,
    /// The family it is tried in.
    pub(crate) v6: bool,
    /// What is sent.
    pub(crate) kind: Kind,
    /// What is around the router.
    pub(crate) shape: Shape,
    /// What is done.
    pub script: String,
    /// What must be seen.
    pub expected: String,
}

/// What a row's packets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Datagrams.
    Udp,
    /// TCP segments.
    Tcp,
    /// Echo requests and replies.
    Echo,
}

/// What is around a row's router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The internet alone.
    Home,
    /// A second home, behind a router of the same kind.
    Homes,
    /// A second home, and a carrier's router in front of both.
    Carrier(Gateway),
}

impl Row {
    /// Whether it needs more than ordinary sockets: TCP segments one by one, or ICMP.
    pub(crate) fn is_raw(&self) -> bool {
        self.kind != Kind::Udp || script::is_raw(&self.script)
    }

    pub(crate) fn script_terms(&self) -> Terms<'_> {
        let outermost = if let Shape::Carrier(carrier) = &self.shape { carrier } else { &self.gateway };
        let nat = match (&outermost.ipv6, self.v6) {
            (Ipv6::Masquerade(nat), true) => Some(nat),
            (_, true) => None,
            (_, false) => outermost.nat.as_ref(),
        };
        Terms { kind: self.kind, nat }
    }
}

pub(super) const SECOND: u64 = 1_000_000_000;

/// Linux's terms, without the difference between answered and unanswered.
pub(super) fn linux() -> NatConfig {
    NatConfig { unanswered_timeout_ns: None, settling_ns: None, ..preset_linux() }
}

fn preset_linux() -> NatConfig {
    nat_preset("linux").and_then(|gateway| gateway.nat).unwrap_or_default()
}

/// One port for all destinations, anyone may send to it.
pub(super) fn full_cone() -> NatConfig {
    NatConfig { filtering: Filtering::EndpointIndependent, ..NatConfig::default() }
}

pub(super) fn row(about: &'static str, terms: &str, nat: NatConfig, script: &str, expected: &str) -> Row {
    of(about, terms, Gateway::with_nat(nat), script, expected)
}

pub(super) fn of(about: &'static str, terms: &str, gateway: Gateway, script: &str, expected: &str) -> Row {
    let (terms, script, expected) = (terms.into(), script.into(), expected.into());
    Row { about, terms, gateway, v6: false, kind: Kind::Udp, shape: Shape::Home, script, expected }
}

/// All rows.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = behaviours();
    rows.extend(hairpins());
    rows.extend(ports());
    rows.extend(addresses());
    rows.extend(timeouts());
    rows.extend(linux_timeouts());
    rows.extend(flushes());
    rows.extend(others());
    rows.extend(protocols::rows());
    rows
}

/// Every mapping with every filter, as UDP shows it.
fn behaviours() -> Vec<Row> {
    every_behaviour("mapping and filtering", "a>x1 x1>a x2>a y>a a>x2 a>y")
}

/// The same for a script that does that.
pub(super) fn every_behaviour(about: &'static str, script: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for (mapping, later, kind) in [
        (Mapping::EndpointIndependent, "p p", "endpoint-independent"),
        (Mapping::AddressDependent, "p q", "address-dependent"),
        (Mapping::AddressAndPortDependent, "q r", "address-and-port-dependent"),
    ] {
        for (filtering, heard, filter) in [
            (Filtering::EndpointIndependent, "a a a", "endpoint-independent"),
            (Filtering::AddressDependent, "a a -", "address-dependent"),
            (Filtering::AddressAndPortDependent, "a - -", "address-and-port-dependent"),
        ] {
            let base = NatConfig { mapping, filtering, ports: PortAssignment::Random, ..linux() };
            let terms = format!("{kind} mapping, {filter} filtering, random ports");
            rows.push(row(about, &terms, base, script, &format!("p {heard} {later}")));
        }
    }
    rows
}

fn hairpins() -> Vec<Row> {
    let hairpin = |hairpin| NatConfig { hairpin, ..full_cone() };
    let strict = NatConfig { filtering: Filtering::AddressAndPortDependent, ..hairpin(Hairpin::ExternalSource) };
    vec![
        row("hairpin", "full cone, hairpin off", hairpin(Hairpin::Off), "a>x1 c>>a", "own -"),
        row("hairpin", "Linux, hairpin off", linux(), "a>x1 c>>a", "own -"),
        row(
            "hairpin",
            "full cone, external source (REQ-9a)",
            hairpin(Hairpin::ExternalSource),
            "a>x1 c>>a",
            "own a:outside",
        ),
        row("hairpin", "full cone, internal source", hairpin(Hairpin::InternalSource), "a>x1 c>>a", "own a:inside"),
        row("hairpin", "external source, strict filter: a stranger", strict, "a>x1 c>>a", "own -"),
    ]
}

fn ports() -> Vec<Row> {
    let cone = NatConfig { hairpin: Hairpin::Off, ..full_cone() };
    let ports = |ports| NatConfig { ports, ..cone };
    let three = "a>x1 a2>x1 c>x1";
    vec![
        row("ports", "Linux, preserve", linux(), "a>x1 a2>x1 o>y", "own own own"),
        row("ports", "full cone, preserve", cone, "a>x1 a2>x1 o>y", "own own own"),
        row("ports", "full cone, sequential", ports(PortAssignment::Sequential), three, "p p+1 p+2"),
        row("ports", "full cone, random", ports(PortAssignment::Random), three, "p q r"),
        row("ports", "Linux, random", NatConfig { ports: PortAssignment::Random, ..linux() }, three, "p q r"),
        row("ports", "parity", NatConfig { parity: true, ..cone }, "a>x1 c>x1 o>x1", "own even own"),
        row(
            "ports",
            "a block of 512 for each subscriber (RFC 7422)",
            NatConfig { port_block: NonZeroU16::new(512), ..cone },
            three,
            "A A B",
        ),
        // Seen elsewhere: the second host could not be reached.
        row("collision", "full cone: one source port twice", cone, "a>x1 c>x1 y>a y>c", "own p a c"),
        row(
            "collision",
            "Linux, next-free",
            NatConfig { collision: Collision::NextFree, ..linux() },
            "a>x1 c>y",
            "own p",
        ),
        row("collision", "Linux, overload: two remotes", linux(), "a>x1 c>y x1>a y>c x1>a", "own own a c a"),
        row("collision", "Linux, overload: one remote", linux(), "a>x1 c>x1 c>y x1>a x1>c", "own p p a c"),
    ]
}

fn addresses() -> Vec<Row> {
    let four = NonZeroU8::new(4).unwrap_or(NonZeroU8::MIN);
    let paired = NatConfig { addresses: four, ..linux() };
    let arbitrary = NatConfig { pooling: Pooling::Arbitrary, ..paired };
    let random = NatConfig { ports: PortAssignment::Random, ..paired };
    let many = "a>x1 a>x2 a>y a2>x1 a2>x2 a2>y o>x1 o>x2";
    vec![
        row("pooling", "Linux, 4 addresses, paired", paired, "a>x1 a2>x1 a>y x1>a2", "own@1 own@1 own@1 a2"),
        row("pooling", "Linux, 4 addresses, paired, random ports", random, "a>x1 a2>x1 a>y", "p@1 q@1 r@1"),
        row("pooling", "Linux, 4 addresses, arbitrary", arbitrary, many, MANY),
    ]
}

fn timeouts() -> Vec<Row> {
    let cone = |timeout| NatConfig { timeout_ns: timeout * SECOND, ..full_cone() };
    let linux = |timeout| NatConfig { timeout_ns: timeout * SECOND, ..linux() };
    let unanswered = NatConfig { unanswered_timeout_ns: Some(2 * SECOND), ..cone(30) };
    let lifetime = NatConfig { lifetime_ns: Some(3 * SECOND), ..cone(30) };
    vec![
        row("timeout", "Linux, 5 s: lives", linux(5), "a>x1 3s x1>a", "own a"),
        // Seen elsewhere: still delivered after 8 s.
        row("timeout", "Linux, 2 s, answered: has ended", linux(2), "a>x1 x1>a 3.5s x1>a", "own a -"),
        row("timeout", "full cone, 2 s: has ended", cone(2), "a>x1 y>a 3.5s y>a", "own a -"),
        row("timeout", "full cone, 2 s unanswered, not answered", unanswered, "a>x1 3.5s x1>a", "own -"),
        row("timeout", "full cone, 2 s unanswered, answered", unanswered, "a>x1 x1>a 3.5s x1>a", "own a a"),
        row("refresh", "Linux, 5 s, from inside", linux(5), "a>x1 3.25s a>x1 3.25s x1>a", "own own a"),
        row("refresh", "Linux, 5 s, from outside too", linux(5), "a>x1 3.25s x1>a 3.25s x1>a", "own a a"),
        row("refresh", "full cone, 5 s, not from outside", cone(5), "a>x1 3.25s x1>a 3.25s x1>a", "own a -"),
        // Seen elsewhere: ended at its time-out in spite of being used.
        row("refresh", "full cone, 3 s, kept alive", cone(3), "a>x1 1.5s a>x1 1.5s a>x1 1.5s y>a", "own own own a"),
        row("lifetime", "full cone, 3 s whatever its use", lifetime, "a>x1 1.5s a>x1 3s x1>a", "own own -"),
    ]
}

/// The kernel's own: an answer counts from the first packet on that comes two seconds after the first one.
fn linux_timeouts() -> Vec<Row> {
    let young = |unanswered| NatConfig {
        timeout_ns: 30 * SECOND,
        unanswered_timeout_ns: Some(unanswered * SECOND),
        ..preset_linux()
    };
    vec![
        row("timeout", "Linux, 3 s unanswered, not answered", young(3), "a>x1 4.5s x1>a", "own -"),
        row("timeout", "Linux, 3 s unanswered, answered at once", young(3), "a>x1 x1>a 4.5s x1>a", "own a -"),
        row(
            "timeout",
            "Linux, 4 s unanswered, in use after 2 s",
            young(4),
            "a>x1 x1>a 2.5s a>x1 5.5s x1>a",
            "own a own a",
        ),
    ]
}

fn flushes() -> Vec<Row> {
    let random = NatConfig { ports: PortAssignment::Random, ..full_cone() };
    vec![
        // Seen elsewhere: the old mapping stayed.
        row("flush", "full cone, reboot", full_cone(), "a>x1 y>a reboot y>a", "own a -"),
        row("flush", "full cone, random ports, reboot", random, "a>x1 reboot a>x1 y>a", "p q a"),
        row("flush", "Linux, reboot", linux(), "a>x1 x1>a reboot x1>a a>x1 x1>a", "own a - own a"),
        row("flush", "Linux, another address", linux(), "a>x1 x1>a renumber x1>a a>x1 x1>a", "own a - own a"),
    ]
}

/// Routers without NAT, and IPv6.
fn others() -> Vec<Row> {
    let strict = FirewallConfig { inbound_v4: Some(Filtering::AddressAndPortDependent), ..FirewallConfig::default() };
    let lax = FirewallConfig { inbound_v4: Some(Filtering::EndpointIndependent), ..strict };
    let no_udp = FirewallConfig { outbound: Outbound::NoUdp, ..FirewallConfig::default() };
    let with = |firewall| Gateway { firewall, ..Gateway::OPEN };
    let v6 = |terms, gateway, script, expected| Row { v6: true, ..of("IPv6", terms, gateway, script, expected) };
    let preset = |name| nat_preset(name).unwrap_or(Gateway::OPEN);
    let knock = "x1>a a>x1 x1>a x2>a";
    vec![
        of("firewall", "IPv4, only answers come in", with(strict), knock, "- itself a -"),
        of("firewall", "IPv4, anyone once something left", with(lax), knock, "- itself a a"),
        of("firewall", "no UDP", with(no_udp), "a>x1 x1>a", "- -"),
        v6("firewall (RFC 6092)", Gateway { ipv6: Ipv6::Firewall, ..Gateway::OPEN }, knock, "- itself a -"),
        v6("masquerade, Linux", preset("nat66"), "a>x1 c>y x1>a x2>a", "own own a -"),
        v6("prefix translation (RFC 6296)", preset("nptv6"), "a>x1 x1>a y>a", "own a -"),
    ]
}
