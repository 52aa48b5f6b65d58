//! What a router is to do, said to `nft` and `sysctl`. Pure: what cannot be said exactly is refused here.

use super::{INNER, OUTER};
use netsim_fabric::{
    Collision, Filtering, FirewallConfig, Hairpin, Ipv6Config, Mapping, NatConfig, Outbound, Pooling, PortAssignment,
    RouterConfig,
};
use std::fmt::Write;
use std::net::IpAddr;

/// A router as the kernel is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ruleset {
    /// For `nft -f`.
    pub(crate) script: String,
    /// Files below `/proc/sys/net` and what to write there.
    pub(crate) sysctls: Vec<(&'static str, u64)>,
}

/// Something a router is to do that Linux's NAT does otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsupported {
    /// The key of the router in a scenario.
    pub(crate) key: &'static str,
    /// What Linux does, and what could be asked for in place.
    pub(crate) why: &'static str,
}

const SECOND: u64 = 1_000_000_000;
/// RFC 5382, REQ-5: TCP that is not established.
const TCP_TRANSITORY_S: u64 = 240;
/// RFC 6092, REC-35.
const FIREWALL_TCP_NS: u64 = 7_440 * SECOND;
/// Two seconds is a constant of the kernel (`nf_conntrack_udp_packet`).
const SETTLING_NS: u64 = 2 * SECOND;

/// Time-outs of a namespace's connection tracking, in seconds. There is one set for all that it tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Timeouts {
    unanswered: u64,
    answered: u64,
    tcp: u64,
}

/// Says what `router` does, or what of it cannot be said.
pub(crate) fn ruleset(router: &RouterConfig) -> Result<Ruleset, Unsupported> {
    let v6_nat = match router.ipv6 {
        Ipv6Config::Routed => None,
        Ipv6Config::Masquerade(nat) => Some(nat),
        Ipv6Config::Nptv6 { .. } => {
            return refused(
                "ipv6",
                "conntrack tracks the ports of what it translates, RFC 6296 has no state; use \"none\"",
            );
        }
        Ipv6Config::Nat64 => {
            return refused("ipv6", "nftables does not translate between IPv6 and IPv4; use \"none\" or \"firewall\"");
        }
    };
    check_firewall(&router.firewall)?;
    let mut of_all = Vec::new();
    for nat in router.nat.iter().chain(&v6_nat) {
        check_nat(nat)?;
        of_all.push(nat_timeouts(nat)?);
    }
    let (filter_v4, filter_v6) = (router.firewall.inbound_v4.is_some(), router.firewall.inbound_v6.is_some());
    if (filter_v4 && router.nat.is_none()) || (filter_v6 && v6_nat.is_none()) {
        let timeout = seconds(router.firewall.timeout_ns, "timeout")?;
        of_all.push(Timeouts { unanswered: timeout, answered: timeout, tcp: FIREWALL_TCP_NS / SECOND });
    }
    if of_all.windows(2).any(|pair| pair[0] != pair[1]) {
        return refused(
            "timeout",
            "conntrack has one set of time-outs for IPv4, IPv6 and the firewall; set them alike",
        );
    }
    let script = script(router, v6_nat.as_ref());
    Ok(Ruleset { script, sysctls: sysctls(of_all.first()) })
}

fn refused<T>(key: &'static str, why: &'static str) -> Result<T, Unsupported> {
    Err(Unsupported { key, why })
}

fn check_nat(nat: &NatConfig) -> Result<(), Unsupported> {
    if nat.mapping != Mapping::AddressAndPortDependent {
        return refused("mapping", "conntrack has an entry per five-tuple; use \"address-and-port-dependent\"");
    }
    if nat.filtering != Filtering::AddressAndPortDependent {
        return refused(
            "filtering",
            "conntrack lets only the answering endpoint in; use \"address-and-port-dependent\"",
        );
    }
    if nat.ports == PortAssignment::Sequential {
        return refused("ports", "Linux keeps the port or draws one; use \"preserve\" or \"random\"");
    }
    if nat.parity {
        return refused("parity", "Linux does not look at a port's parity; use false");
    }
    if nat.port_block.is_some() {
        return refused("port_block", "Linux shares all ports between its hosts; leave it out");
    }
    if nat.collision != Collision::Overload {
        return refused("collision", "Linux shares a port where destinations differ; use \"overload\"");
    }
    if nat.pooling == Pooling::Arbitrary && nat.addresses.get() > 1 {
        return refused(
            "pooling",
            "Linux chooses an address per destination or per host, not per mapping; use \"paired\"",
        );
    }
    if nat.lifetime_ns.is_some() {
        return refused("lifetime", "a conntrack entry in use has no end; leave it out");
    }
    if !nat.inbound_refresh {
        return refused("inbound_refresh", "conntrack counts packets of both directions; use true");
    }
    if nat.hairpin != Hairpin::Off {
        return refused(
            "hairpin",
            "an entry is for one remote endpoint, so what comes from inside finds none to come back through; use \"off\"",
        );
    }
    Ok(())
}

fn check_firewall(firewall: &FirewallConfig) -> Result<(), Unsupported> {
    if firewall.outbound != Outbound::All {
        return refused("outbound", "policies on what leaves are the userspace engine's; use \"all\"");
    }
    if firewall.reject {
        return refused("reject", "that goes with policies on what leaves; use false");
    }
    let strict = |filtering: Option<Filtering>| filtering.is_none_or(|f| f == Filtering::AddressAndPortDependent);
    if !strict(firewall.inbound_v4) || !strict(firewall.inbound_v6) {
        return refused("inbound", "conntrack lets only the answering endpoint in; use \"address-and-port-dependent\"");
    }
    Ok(())
}

fn nat_timeouts(nat: &NatConfig) -> Result<Timeouts, Unsupported> {
    let answered = seconds(nat.timeout_ns, "timeout")?;
    let unanswered = seconds(nat.unanswered_timeout_ns.unwrap_or(nat.timeout_ns), "unanswered_timeout")?;
    if unanswered != answered && nat.settling_ns != Some(SETTLING_NS) {
        return refused(
            "unanswered_timeout",
            "conntrack lets an answer count only after two seconds; use the preset \"linux\", or one time-out for both",
        );
    }
    Ok(Timeouts { unanswered, answered, tcp: seconds(nat.tcp_timeout_ns, "tcp_timeout")? })
}

fn seconds(nanos: u64, key: &'static str) -> Result<u64, Unsupported> {
    if !nanos.is_multiple_of(SECOND) || nanos == 0 {
        return refused(key, "conntrack counts whole seconds; use some of them");
    }
    Ok(nanos / SECOND)
}

/// Tables for both families. Everything that is not said is dropped, silently, as the fabric's routers do.
fn script(router: &RouterConfig, v6_nat: Option<&NatConfig>) -> String {
    let families = [
        ("ipv4", "icmp", "icmp", router.nat.as_ref(), router.firewall.inbound_v4.is_some()),
        ("ipv6", "icmpv6", "ipv6-icmp", v6_nat, router.firewall.inbound_v6.is_some()),
    ];
    let mut text = String::new();
    let mut line = |line: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    };
    line("table inet netsim {");
    line("  chain forward {");
    line("    type filter hook forward priority filter; policy drop;");
    for (family, icmp, number, nat, filtered) in families {
        let of = format!("meta nfproto {family}");
        if nat.is_some() {
            // It would go out untranslated.
            line(&format!("    {of} ct state invalid drop"));
            line(&format!("    {of} meta l4proto != {{ tcp, udp, {number} }} drop"));
            line(&format!("    {of} ct state new meta l4proto {number} {icmp} type != echo-request drop"));
        }
        line(&format!("    {of} iifname \"{INNER}\" oifname \"{OUTER}\" accept"));
        let answers = if nat.is_some() || filtered { " ct state established,related" } else { "" };
        line(&format!("    {of} iifname \"{OUTER}\" oifname \"{INNER}\"{answers} accept"));
    }
    line(&format!("    iifname \"{OUTER}\" oifname \"{OUTER}\" reject with icmpx type no-route"));
    line("  }");
    line("  chain input {");
    line("    type filter hook input priority filter; policy drop;");
    line("    icmp type echo-request accept");
    line("    icmpv6 type echo-request accept");
    line("  }");
    line("  chain postrouting {");
    line("    type nat hook postrouting priority srcnat;");
    for (family, _, _, nat, _) in families {
        let Some(nat) = nat else { continue };
        let (ports, all) = source_nat(nat, family, &router.outside);
        line(&format!("    meta nfproto {family} oifname \"{OUTER}\" meta l4proto {{ tcp, udp }} {ports}"));
        line(&format!("    meta nfproto {family} oifname \"{OUTER}\" {all}"));
    }
    line("  }");
    line("}");
    text
}

/// The statement for what has ports, and for what has none. Ports below 1024 are left to services, as RFC 4787, section
/// 4.2.1, wants it and the fabric does.
fn source_nat(nat: &NatConfig, family: &str, outside: &[IpAddr]) -> (String, String) {
    const PORTS: &str = "1024-65535";
    let own: Vec<&IpAddr> = outside.iter().filter(|addr| addr.is_ipv4() == (family == "ipv4")).collect();
    let random = nat.ports == PortAssignment::Random;
    let flag = if random { " fully-random" } else { "" };
    match own[..] {
        [first, .., last] => {
            let (of, range) = match family {
                "ipv4" => ("ip", format!("{first}-{last}")),
                _ => ("ip6", format!("[{first}]-[{last}]")),
            };
            let flags = if random { "fully-random,persistent" } else { "persistent" };
            (format!("snat {of} to {range}:{PORTS} {flags}"), format!("snat {of} to {first}-{last} persistent"))
        }
        _ => (format!("masquerade to :{PORTS}{flag}"), format!("masquerade{flag}")),
    }
}

fn sysctls(timeouts: Option<&Timeouts>) -> Vec<(&'static str, u64)> {
    let mut all = vec![
        ("ipv4/ip_forward", 1),
        ("ipv6/conf/all/forwarding", 1),
        // Its two sides share addresses with nobody, and it tells no one of shorter ways.
        ("ipv4/conf/all/rp_filter", 0),
        ("ipv4/conf/default/rp_filter", 0),
        ("ipv4/conf/all/send_redirects", 0),
        ("ipv4/conf/default/send_redirects", 0),
        // The fabric's limit is on all errors together, which is the kernel's second one.
        ("ipv4/icmp_ratelimit", 0),
        ("ipv6/icmp/ratelimit", 0),
        // A router passes damaged packets and ones outside of windows on.
        ("netfilter/nf_conntrack_checksum", 0),
        ("netfilter/nf_conntrack_tcp_be_liberal", 1),
    ];
    let Some(timeouts) = timeouts else { return all };
    let transitory = TCP_TRANSITORY_S.min(timeouts.tcp);
    all.extend([
        ("netfilter/nf_conntrack_udp_timeout", timeouts.unanswered),
        ("netfilter/nf_conntrack_udp_timeout_stream", timeouts.answered),
        ("netfilter/nf_conntrack_icmp_timeout", timeouts.unanswered),
        ("netfilter/nf_conntrack_icmpv6_timeout", timeouts.unanswered),
        ("netfilter/nf_conntrack_tcp_timeout_established", timeouts.tcp),
        ("netfilter/nf_conntrack_tcp_timeout_max_retrans", timeouts.tcp),
        ("netfilter/nf_conntrack_tcp_timeout_unacknowledged", timeouts.tcp),
        ("netfilter/nf_conntrack_tcp_timeout_syn_sent", transitory),
        ("netfilter/nf_conntrack_tcp_timeout_syn_recv", transitory),
        ("netfilter/nf_conntrack_tcp_timeout_fin_wait", transitory),
        ("netfilter/nf_conntrack_tcp_timeout_close_wait", transitory),
        ("netfilter/nf_conntrack_tcp_timeout_last_ack", transitory),
        ("netfilter/nf_conntrack_tcp_timeout_time_wait", transitory),
        ("netfilter/nf_conntrack_tcp_timeout_close", transitory),
    ]);
    all
}

#[cfg(test)]
mod tests;
