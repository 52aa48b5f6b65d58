//! Routers by the names people know them by, in the terms of RFC 4787 and its kin. Each says which equipment behaves so
//! and where that is written; what is our choice is called **typical**. A source marked with * was read as somebody
//! else quotes it. "Richter" is P. Richter et al., "A Multi-perspective Analysis of Carrier-Grade NAT Deployment", IMC
//! 2016, section 6, <https://arxiv.org/abs/1605.05606>. What no preset says is as [`NatConfig::default`] has it from
//! the RFCs.

use crate::model::{Gateway, Ipv6, Lan};
use core::num::{NonZeroU8, NonZeroU16};
use netsim_fabric::{Collision, Filtering, FirewallConfig, Hairpin, Mapping, NatConfig, Outbound, PortAssignment};

/// A router with a name.
#[derive(Debug, Clone, Copy)]
pub struct NatPreset {
    /// What scenarios call it.
    pub name: &'static str,
    /// One line for lists.
    pub summary: &'static str,
    gateway: fn() -> Gateway,
}

impl NatPreset {
    /// What it does to packets.
    pub fn gateway(&self) -> Gateway {
        (self.gateway)()
    }
}

/// The router called `name`.
pub fn nat_preset(name: &str) -> Option<Gateway> {
    NAT_PRESETS.iter().find(|preset| preset.name == name).map(NatPreset::gateway)
}

const fn preset(name: &'static str, summary: &'static str, gateway: fn() -> Gateway) -> NatPreset {
    NatPreset { name, summary, gateway }
}

/// All of them, the everyday ones first.
pub const NAT_PRESETS: &[NatPreset] = &[
    preset("home", "an ordinary home router: one port for all destinations, only who was sent to may answer", home),
    preset("full-cone", "one port for all destinations, anyone may send to it (RFC 3489)", full_cone),
    preset(
        "restricted-cone",
        "one port for all destinations, any port of an address sent to may answer",
        restricted_cone,
    ),
    preset("port-restricted", "one port for all destinations, only the endpoint sent to may answer", home),
    preset("symmetric", "another random port for every destination (RFC 3489)", symmetric),
    preset("linux", "Linux conntrack with masquerade: the port is kept, and shared where destinations differ", linux),
    preset("openbsd-pf", "OpenBSD's pf and its descendants: another random port for every destination", openbsd_pf),
    preset(
        "fritzbox",
        "a FRITZ!Box: a home router with hairpinning, IPv6 behind a firewall, port mappings on request",
        fritzbox,
    ),
    preset("cgnat", "a carrier's NAT as RFC 6888 wants it: several addresses, a block of ports per subscriber", cgnat),
    preset("mobile", "a mobile carrier's NAT: symmetric, several addresses, mappings die after 65 s", mobile),
    preset("corporate", "a company's firewall: only the web may be reached, by TCP", corporate),
    preset("hotel", "a captive portal nobody has logged in to: only DNS and HTTP leave", hotel),
    preset("udp-blocked", "a home router that lets no UDP through", udp_blocked),
    preset("cloud", "a cloud provider's NAT gateway: symmetric, 350 s", cloud),
    preset("azure", "Azure's NAT gateway: symmetric, random ports, reused for other destinations, 4 minutes", azure),
    preset("ipv6-only", "no IPv4: NAT64 on the way to it, IPv6 behind a firewall", ipv6_only),
    preset(
        "ipv6-firewall",
        "no NAT: public addresses in both families that only answers reach (RFC 6092)",
        ipv6_firewall,
    ),
    preset("nptv6", "a home router that exchanges IPv6 prefixes (RFC 6296)", nptv6),
    preset("nat66", "a home router that masquerades IPv6 too", nat66),
    preset("no-nat", "a router that forwards and nothing else", no_nat),
];

const SECOND: u64 = 1_000_000_000;

/// RFC 3489's "port restricted cone". One mapping for all destinations and a filter by endpoint "covers most
/// linux-based routers and basic enterprise NATs" (Tailscale's issue 3, 2020: "easy" NAT); less than 2 % of home
/// routers are symmetric (Richter*). UDP lives 120 s, as answered UDP does in Linux (`nf_conntrack-sysctl.rst`). That
/// they have no hairpinning and map ports on request is typical.
fn home() -> Gateway {
    Gateway {
        port_mapping: true,
        ..Gateway::with_nat(NatConfig {
            filtering: Filtering::AddressAndPortDependent,
            timeout_ns: 120 * SECOND,
            inbound_refresh: true,
            hairpin: Hairpin::Off,
            ..NatConfig::default()
        })
    }
}

/// RFC 3489's "full cone": LANCOM's routers unless told otherwise, for UDP alone (LANCOM, "Securing UDP traffic by
/// adapting the NAT type"). Here for TCP too.
fn full_cone() -> Gateway {
    Gateway::with_nat(NatConfig { filtering: Filtering::EndpointIndependent, ..NatConfig::default() })
}

/// RFC 3489's "restricted cone", which is what RFC 4787 recommends where a stringent filter matters most (REQ-8).
fn restricted_cone() -> Gateway {
    Gateway::with_nat(NatConfig::default())
}

/// RFC 3489's "symmetric", which Tailscale calls "hard" NAT ("How NAT traversal works", 2020), with random ports.
/// Timeouts as RFC 4787 and RFC 5382 recommend, no hairpinning: typical.
fn symmetric() -> Gateway {
    Gateway::with_nat(hard())
}

fn hard() -> NatConfig {
    NatConfig {
        mapping: Mapping::AddressAndPortDependent,
        filtering: Filtering::AddressAndPortDependent,
        ports: PortAssignment::Random,
        hairpin: Hairpin::Off,
        ..NatConfig::default()
    }
}

/// Linux's `MASQUERADE`: every five-tuple has an entry of its own, which keeps the source port unless the very
/// five-tuple is taken (`nf_nat_core.c`, `get_unique_tuple`). So ports look endpoint-independent and are shared. UDP
/// and echo live 30 s, UDP 120 s once answered and 2 s old (`nf_conntrack_proto_udp.c`, `nf_conntrack_udp_packet`); TCP
/// 5 days (`nf_conntrack-sysctl.rst`). Without further rules, no hairpinning.
fn linux() -> Gateway {
    Gateway::with_nat(linux_nat())
}

fn linux_nat() -> NatConfig {
    NatConfig {
        mapping: Mapping::AddressAndPortDependent,
        filtering: Filtering::AddressAndPortDependent,
        collision: Collision::Overload,
        timeout_ns: 120 * SECOND,
        unanswered_timeout_ns: Some(30 * SECOND),
        settling_ns: Some(2 * SECOND),
        tcp_timeout_ns: 432_000 * SECOND,
        inbound_refresh: true,
        hairpin: Hairpin::Off,
        ..NatConfig::default()
    }
}

/// pf without `static-port`: a random source port per state, so a symmetric NAT. pfSense's documentation ("Using Static
/// Port with Outbound NAT") names IPsec and some games that it breaks; Tailscale sees another port per destination
/// behind it (its issue 864). `udp.first` and `udp.multiple` 60 s, `tcp.established` one day (FreeBSD's `pf.h`, from
/// OpenBSD's `pfvar.h`: `PFTM_*_VAL`); the 30 s of `udp.single`, several packets without an answer, are left out.
fn openbsd_pf() -> Gateway {
    Gateway::with_nat(NatConfig {
        timeout_ns: 60 * SECOND,
        tcp_timeout_ns: 86_400 * SECOND,
        inbound_refresh: true,
        ..hard()
    })
}

/// A common European home router. It opens ports on request (UPnP, PCP) for hosts that its owner permits
/// ("Selbstständige Portfreigaben", switched on here), and lets nothing in by IPv6 unasked, as its users report. Its
/// maker does not say what its NAT is like: port restricted, hairpinning and the five minutes for UDP that RFC 4787
/// recommends (REQ-5) are typical.
fn fritzbox() -> Gateway {
    Gateway {
        ipv6: Ipv6::Firewall,
        port_mapping: true,
        ..Gateway::with_nat(NatConfig {
            filtering: Filtering::AddressAndPortDependent,
            inbound_refresh: true,
            ..NatConfig::default()
        })
    }
}

/// RFC 6888: endpoint-independent mapping and hairpinning (REQ-1, by RFC 4787), paired pooling (REQ-2), a limit of
/// ports per subscriber (REQ-4), here by fixed blocks (RFC 7422) for 32 subscribers per address: typical, like four
/// addresses. The filter depends on the address, which REQ-7 allows where it recommends none. 100.64.0.0/10 inside (RFC
/// 6598). UDP lives 2 minutes, the least that RFC 4787 allows (REQ-5); in landline carriers' networks half of them end
/// it within 35 s (Richter*).
fn cgnat() -> Gateway {
    Gateway {
        lan: Lan::Carrier,
        ..Gateway::with_nat(NatConfig {
            addresses: FOUR,
            port_block: NonZeroU16::new(2016),
            ports: PortAssignment::Random,
            timeout_ns: 120 * SECOND,
            ..NatConfig::default()
        })
    }
}

/// Mobile carriers: symmetric in about 40 % of their networks, UDP lives 65 s in the median (Richter*). Four addresses,
/// no hairpinning: typical.
fn mobile() -> Gateway {
    Gateway { lan: Lan::Carrier, ..Gateway::with_nat(NatConfig { addresses: FOUR, timeout_ns: 65 * SECOND, ..hard() }) }
}

/// External addresses of a carrier's NAT here.
const FOUR: NonZeroU8 = NonZeroU8::MIN.saturating_add(3);

/// "Only the web": TCP to ports 80 and 443, refused openly otherwise: typical. The reason for relays over TLS (TURN,
/// RFC 8656) and HTTPS (Tailscale's DERP, "the fallback of last resort when UDP is blocked").
fn corporate() -> Gateway {
    let firewall =
        FirewallConfig { outbound: Outbound::WebOnly { quic: false }, reject: true, ..FirewallConfig::default() };
    Gateway { lan: Lan::Corporate, firewall, ..Gateway::with_nat(hard()) }
}

/// A network with a captive portal (RFC 8952) before anyone accepts its terms, and so for ever. That DNS and HTTP may
/// leave is typical.
fn hotel() -> Gateway {
    let firewall = FirewallConfig { outbound: Outbound::Captive, ..FirewallConfig::default() };
    Gateway { firewall, ..home_without_mapping() }
}

/// Networks that drop UDP, a few per cent at most: 4.4 % of clients could not use QUIC because it or UDP was blocked or
/// the MTU was too small (A. Langley et al., "The QUIC Transport Protocol: Design and Internet-Scale Deployment",
/// SIGCOMM 2017, section 7.2*). Otherwise as `home`.
fn udp_blocked() -> Gateway {
    let firewall = FirewallConfig { outbound: Outbound::NoUdp, ..FirewallConfig::default() };
    Gateway { firewall, ..home_without_mapping() }
}

fn home_without_mapping() -> Gateway {
    Gateway { port_mapping: false, ..home() }
}

/// AWS: "If a connection that's using a NAT gateway is idle for 350 seconds or more, the connection times out" (AWS,
/// VPC user guide, "Troubleshoot NAT gateways"); another port per destination (Tailscale's and Coder's documentation:
/// "hard" NAT). That packets from outside count as use, random ports: typical.
fn cloud() -> Gateway {
    Gateway {
        lan: Lan::Corporate,
        ..Gateway::with_nat(NatConfig {
            timeout_ns: 350 * SECOND,
            tcp_timeout_ns: 350 * SECOND,
            inbound_refresh: true,
            ..hard()
        })
    }
}

/// Azure: a port at random out of 64,512 per address, "reused so long as it's going to a different destination
/// endpoint" (Microsoft, "Design virtual networks with NAT gateway", 2022); 4 minutes, for TCP unless it is set
/// otherwise (there) and for UDP always (Microsoft, "Troubleshoot Azure Virtual Network NAT connectivity", 2022).
fn azure() -> Gateway {
    Gateway {
        lan: Lan::Corporate,
        ..Gateway::with_nat(NatConfig {
            collision: Collision::Overload,
            timeout_ns: 240 * SECOND,
            tcp_timeout_ns: 240 * SECOND,
            inbound_refresh: true,
            ..hard()
        })
    }
}

/// A mobile or campus network without IPv4: stateful NAT64 (RFC 6146: endpoint-independent mapping; a filter that
/// depends on the address is one of the two it has, section 1.2.3*; UDP lives 5 minutes, section 3.5.1*) and IPv6
/// behind a firewall.
fn ipv6_only() -> Gateway {
    Gateway { ipv6: Ipv6::Nat64, ..Gateway::with_nat(NatConfig::default()) }
}

/// Simple security (RFC 6092: state lives 5 minutes, REC-14) without translation. The filter asks for the very
/// endpoint, as Linux's does and stricter than REC-17, which recommends none or one by address.
fn ipv6_firewall() -> Gateway {
    let inbound_v4 = Some(Filtering::AddressAndPortDependent);
    Gateway {
        ipv6: Ipv6::Firewall,
        firewall: FirewallConfig { inbound_v4, ..FirewallConfig::default() },
        ..Gateway::OPEN
    }
}

/// Small offices with several providers: prefixes are exchanged without state (RFC 6296), behind a filter as in front
/// of an untranslated one: typical.
fn nptv6() -> Gateway {
    let inbound_v6 = Some(Filtering::AddressAndPortDependent);
    Gateway { ipv6: Ipv6::Nptv6, firewall: FirewallConfig { inbound_v6, ..FirewallConfig::default() }, ..home() }
}

/// What `ip6tables -j MASQUERADE` does, for instance for virtual machines on a laptop; figures as in `linux`.
fn nat66() -> Gateway {
    Gateway { ipv6: Ipv6::Masquerade(linux_nat()), ..Gateway::with_nat(linux_nat()) }
}

/// A provider's router, or a host with a public address.
fn no_nat() -> Gateway {
    Gateway::OPEN
}
