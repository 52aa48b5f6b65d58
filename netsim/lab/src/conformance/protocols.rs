//! What a router must do with TCP (RFC 5382), with ICMP (RFC 5508), and behind a carrier's router (RFC 6888).

use super::rows::{Kind, Row, SECOND, Shape, every_behaviour, full_cone, linux, of, row};
use netsim_fabric::{Collision, Filtering, FirewallConfig, Hairpin, NatConfig, Outbound, PortAssignment};
use netsim_topology::{Gateway, Lan};
use std::num::NonZeroU16;

/// All of them.
pub(super) fn rows() -> Vec<Row> {
    let mut rows = tcp();
    rows.extend(tcp_timeouts());
    rows.extend(simultaneous_opens());
    rows.extend(echoes());
    rows.extend(errors());
    rows.extend(carriers());
    rows.extend(carrier_hairpins());
    rows
}

fn random(nat: NatConfig) -> NatConfig {
    NatConfig { ports: PortAssignment::Random, ..nat }
}

/// One port for all destinations, only they may answer.
fn port_restricted() -> NatConfig {
    NatConfig { filtering: Filtering::AddressAndPortDependent, ..full_cone() }
}

/// A port for each destination, as Linux does it when told to draw them.
fn symmetric() -> NatConfig {
    random(linux())
}

fn as_tcp(row: Row) -> Row {
    Row { kind: Kind::Tcp, ..row }
}

fn tcp() -> Vec<Row> {
    let row = |terms, nat, script, expected| row("TCP", terms, nat, script, expected);
    let hairpin = |hairpin| NatConfig { hairpin, ..full_cone() };
    let strict = FirewallConfig { inbound_v4: Some(Filtering::AddressAndPortDependent), ..FirewallConfig::default() };
    let firewall = Gateway { firewall: strict, ..Gateway::OPEN };
    let no_udp = FirewallConfig { outbound: Outbound::NoUdp, ..FirewallConfig::default() };
    let mut rows = every_behaviour("TCP", "a>x1 x1>a:sa x2>a y>a a>x2 a>y");
    rows.extend([
        row("Linux: a stranger's SYN gets no answer", linux(), "a>x1 x1>a:sa a>x1:ack y>a", "own a own -"),
        row("port-restricted cone: a stranger's SYN gets no answer", port_restricted(), "a>x1 x1>a:sa y>a", "own a -"),
        row("full cone: a stranger's SYN comes in", full_cone(), "a>x1 y>a a>y:sa", "own a own"),
        row("Linux: simultaneous open", linux(), "a>x1 x1>a a>x1:sa x1>a:sa", "own a own a"),
        row("full cone: simultaneous open", full_cone(), "a>x1 x1>a a>x1:sa x1>a:sa", "own a own a"),
        row("Linux, overload: two remotes", linux(), "a>x1 c>y x1>a:sa y>c:sa", "own own a c"),
        row("Linux, overload: one remote", linux(), "a>x1 c>x1 x1>a:sa x1>c:sa", "own p a c"),
        row("full cone: one source port twice", full_cone(), "a>x1 c>x1 x1>a:sa x1>c:sa", "own p a c"),
        row("full cone, hairpin off", hairpin(Hairpin::Off), "a>x1 c>>a", "own -"),
        row("Linux, hairpin off", linux(), "a>x1 c>>a", "own -"),
        row(
            "full cone, hairpin with external source (REQ-8)",
            hairpin(Hairpin::ExternalSource),
            "a>x1 c>x1 c>>a a>>c:sa",
            "own p a:outside c:outside",
        ),
        row("Linux, refused: RST passes", linux(), "a>x1 x1>a:rst", "own a"),
        row("Linux, reboot", linux(), "a>x1 x1>a:sa reboot x1>a:ack", "own a -"),
        row("full cone, reboot", full_cone(), "a>x1 x1>a:sa reboot x1>a:ack", "own a -"),
        of("TCP", "IPv4 firewall, only answers come in", firewall, "x1>a a>x1 x1>a:sa y>a", "- itself a -"),
        of("TCP", "firewall without UDP", Gateway { firewall: no_udp, ..Gateway::OPEN }, "a>x1 x1>a:sa", "itself a"),
    ]);
    rows.into_iter().map(as_tcp).collect()
}

/// RFC 5382, REQ-5. That established connections outlive others by hours is seen in virtual time alone: the fabric's own
/// tests do.
fn tcp_timeouts() -> Vec<Row> {
    let with = |nat, tcp| NatConfig { timeout_ns: 2 * SECOND, tcp_timeout_ns: tcp * SECOND, ..nat };
    let open = "a>x1 x1>a:sa a>x1:ack";
    let mut rows = Vec::new();
    for (name, nat) in [("Linux", linux()), ("full cone", NatConfig { inbound_refresh: true, ..full_cone() })] {
        let mut add = |what: &str, tcp, script: String, expected| {
            rows.push(as_tcp(row("TCP time-out", &format!("{name}, {what}"), with(nat, tcp), &script, expected)));
        };
        add("2 s for UDP: lives", 7440, format!("{open} 3.5s x1>a:ack"), "own a own a");
        add("2 s: a connection has ended", 2, format!("{open} 3.5s x1>a:ack"), "own a own -");
        add("2 s: an attempt has ended", 2, "a>x1 3.5s x1>a:sa".into(), "own -");
        add("5 s: an attempt lives", 5, "a>x1 3s x1>a:sa".into(), "own a");
        add("5 s, refreshed from inside", 5, format!("{open} 3.25s a>x1:ack 3.25s x1>a:ack"), "own a own own a");
        add("5 s, refreshed from outside", 5, format!("{open} 3.25s x1>a:ack 3.25s x1>a:ack"), "own a own a a");
    }
    rows
}

/// Two homes: each sends to where a rendezvous has seen the other.
fn simultaneous_opens() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, nat, met) in [
        ("Linux", linux(), "own own - a:outside b:outside a:outside"),
        ("port-restricted cones", random(port_restricted()), "p q - a:outside b:outside a:outside"),
        ("full cones", random(full_cone()), "p q b:outside a:outside b:outside a:outside"),
        ("symmetric", symmetric(), "p q - - - -"),
    ] {
        let homes = |about, script| Row { shape: Shape::Homes, ..row(about, name, nat, script, met) };
        rows.push(homes("hole punching", "a>x1 b>x1 a>>b b>>a a>>b b>>a"));
        rows.push(as_tcp(homes("TCP simultaneous open", "a>x1 b>x1 a>>b b>>a a>>b:sa b>>a:sa")));
    }
    rows
}

fn echoes() -> Vec<Row> {
    let short = NatConfig { timeout_ns: 2 * SECOND, ..linux() };
    let rows = [
        ("Linux", linux(), "a>x1 x1>a y>a", "own a -"),
        ("full cone", full_cone(), "a>x1 x1>a y>a", "own a a"),
        ("Linux, random", random(linux()), "a>x1 a2>x1 x1>a x1>a2", "p q a a2"),
        ("full cone, random", random(full_cone()), "a>x1 a>y c>y x1>a y>c", "p p q a c"),
        ("Linux: one identifier twice", linux(), "a>x1 c>x1 x1>a x1>c", "own p a c"),
        ("full cone: one identifier twice", full_cone(), "a>x1 c>x1 x1>a x1>c", "own p a c"),
        ("Linux, 2 s: has ended", short, "a>x1 x1>a 3.5s x1>a", "own a -"),
        ("Linux, reboot", linux(), "a>x1 x1>a reboot x1>a", "own a -"),
    ];
    let row = |(terms, nat, script, expected)| Row { kind: Kind::Echo, ..row("echo", terms, nat, script, expected) };
    rows.map(row).into()
}

/// RFC 5508, REQ-3 to REQ-6: errors about what a mapping sent come in, translated within; no others do; none keeps a mapping
/// alive.
fn errors() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, nat, seen) in [("Linux", random(linux()), "p"), ("port-restricted cone", random(port_restricted()), "p")]
    {
        let nat = NatConfig { timeout_ns: 5 * SECOND, ..nat };
        let mut add = |kind, what: &str, script, rest: &str| {
            let row = row("ICMP error", &format!("{name}, {what}"), nat, script, &format!("{seen} {rest}"));
            rows.push(Row { kind, ..row });
        };
        add(Kind::Udp, "about a datagram", "a>x1 x1!a", "a:error");
        add(Kind::Tcp, "about a SYN", "a>x1 x1!a", "a:error");
        add(Kind::Echo, "about an echo request", "a>x1 x1!a", "a:error");
        add(Kind::Udp, "from a router on the way", "a>x1 y!a", "a:error");
        add(Kind::Udp, "about a datagram that no mapping has sent", "a>x1 reboot x1!a", "-");
        add(Kind::Tcp, "about a SYN that no mapping has sent", "a>x1 reboot x1!a", "-");
        add(Kind::Udp, "5 s: an error keeps nothing alive", "a>x1 3.25s x1!a 3.25s x1>a", "a:error -");
        add(Kind::Udp, "the router's own: a datagram's hop limit ran out", "a>x1 a^x1", "a:expired");
        add(Kind::Tcp, "the router's own: a SYN's hop limit ran out", "a>x1 a^x1", "a:expired");
        add(Kind::Echo, "the router's own: an echo request's hop limit ran out", "a>x1 a^x1", "a:expired");
    }
    rows
}

/// A home's router, and behind that a carrier's.
fn carriers() -> Vec<Row> {
    let cone = full_cone();
    let block = NatConfig { port_block: NonZeroU16::new(512), ..cone };
    let short = |nat| NatConfig { timeout_ns: 2 * SECOND, ..nat };
    let three = "a>x1 a>x2 a>y";
    let knock = "a>x1 x1>a x2>a y>a";
    let rows = [
        ("full cone behind full cone with random ports", cone, random(cone), three, "p p p"),
        ("full cone behind symmetric", cone, symmetric(), three, "p q r"),
        ("symmetric behind full cone", symmetric(), cone, three, "p q r"),
        ("Linux behind Linux", linux(), linux(), three, "own own own"),
        ("Linux behind Linux with random ports", linux(), random(linux()), three, "p q r"),
        ("two homes use one port, full cones", cone, cone, "a>x1 b>x1 x1>a x1>b", "own p a b"),
        ("two homes use one port, Linux", linux(), linux(), "a>x1 b>x1 x1>a x1>b", "own p a b"),
        ("a block of 512 for each home (RFC 7422)", cone, block, "a>x1 a2>x1 b>x1", "A A B"),
        ("filtering: both open", cone, cone, knock, "own a a a"),
        ("filtering: the home's is strict", port_restricted(), cone, knock, "own a - -"),
        ("filtering: the carrier's is strict", cone, port_restricted(), knock, "own a - -"),
        ("filtering: Linux behind Linux", linux(), linux(), knock, "own a - -"),
        ("time-out: the carrier's is shorter, full cones", cone, short(cone), "a>x1 x1>a 3.5s x1>a", "own a -"),
        ("time-out: the carrier's is shorter, Linux", linux(), short(linux()), "a>x1 x1>a 3.5s x1>a", "own a -"),
        ("time-out: the home's is shorter, Linux", short(linux()), linux(), "a>x1 x1>a 3.5s x1>a", "own a -"),
        ("the home's router reboots, Linux", linux(), linux(), "a>x1 x1>a reboot x1>a a>x1 x1>a", "own a - own a"),
        ("an error passes both, Linux", linux(), random(linux()), "a>x1 x1!a", "p a:error"),
    ];
    rows.map(|(terms, home, carrier, script, expected)| behind("carrier", terms, home, carrier, script, expected))
        .into()
}

fn behind(about: &'static str, terms: &str, home: NatConfig, carrier: NatConfig, script: &str, expected: &str) -> Row {
    let carrier = Gateway { lan: Lan::Carrier, ..Gateway::with_nat(carrier) };
    Row { shape: Shape::Carrier(carrier), ..row(about, terms, home, script, expected) }
}

/// Two homes of one carrier reach each other at the carrier's router, or not (RFC 6888, REQ-1 by RFC 4787, REQ-9).
fn carrier_hairpins() -> Vec<Row> {
    let off = |nat| NatConfig { hairpin: Hairpin::Off, ..nat };
    let cone = full_cone();
    let meet = "a>x1 b>x1 a>>b b>>a";
    let opens = "a>x1 b>x1 a>>b b>>a a>>b:sa b>>a:sa";
    let strict = NatConfig { collision: Collision::NextFree, ..port_restricted() };
    let row =
        |terms, home, carrier, script, expected| behind("carrier's hairpin", terms, home, carrier, script, expected);
    vec![
        row("full cones, on", cone, cone, meet, "own p b:outside a:outside"),
        row("full cones, off", cone, off(cone), meet, "own p - -"),
        row("Linux behind Linux, off", linux(), linux(), meet, "own p - -"),
        row("strict homes behind a full cone: both must send", strict, cone, meet, "own p - a:outside"),
        as_tcp(row("full cones, TCP", cone, cone, opens, "own p b:outside a:outside b:outside a:outside")),
    ]
}
