//! A scenario explained back in words.

mod change;

use crate::cross;
use crate::scenario::{Payload, Scenario};
use change::{oddities, rate_words, timeline_words};
use longhaul_record::{NetworkChange, text};
use netsim_fabric::{Filtering, Jitter, Mapping, NatConfig, Outbound};
use netsim_topology::{Gateway, Host, Interface, PathProfile, path};

impl Scenario {
    /// What happens, as sentences a person can check: who fetches what from whom, behind what, over which path.
    ///
    /// The text ends up in records and pages; hosts are named by the scenario's author.
    pub fn words(&self) -> String {
        let mut sentences = vec![format!("{} fetches {} from {}.", self.fetcher, self.payload_words(), self.provider)];
        let [fetcher, provider] = [&self.fetcher, &self.provider].map(|host| self.place_words(host));
        if fetcher == provider {
            sentences.push(format!("Both are {fetcher}."));
        } else {
            sentences.push(format!("{} is {fetcher}; {} is {provider}.", self.fetcher, self.provider));
        }
        let there = path(&self.topology, &self.provider, &self.fetcher).unwrap_or_default();
        let back = path(&self.topology, &self.fetcher, &self.provider).unwrap_or_default();
        let (there, back) = (path_words(&there), path_words(&back));
        sentences.push(if there == back {
            format!("Each way: {there}.")
        } else {
            format!("Towards {}: {there}. Back: {back}.", self.fetcher)
        });
        sentences.extend(self.topology.hosts.iter().flat_map(other_ways));
        sentences.extend(cross::words(&self.topology, &self.cross, [&self.provider, &self.fetcher]));
        let at = |change: &NetworkChange| format!("At {}, {}.", text::nanoseconds(change.at_ns), change.what);
        sentences.extend(self.changes().iter().map(at));
        sentences.join(" ")
    }

    /// What happens to the network during the transfer.
    pub fn changes(&self) -> Vec<NetworkChange> {
        let happens = timeline_words(&self.topology, &self.timeline);
        happens.into_iter().map(|(at_ns, what)| NetworkChange { at_ns, what }).collect()
    }

    fn place_words(&self, host: &str) -> String {
        let host = self.topology.hosts.iter().find(|other| other.name == host);
        let Some(host) = host else { return String::new() };
        let several = host.interfaces.len() > 1;
        let places = host.interfaces.iter().map(|interface| {
            let place = self.interface_words(interface);
            let state = if interface.up { "" } else { " (down at first)" };
            if several { format!("by {}{state} {place}", interface.name) } else { place }
        });
        places.collect::<Vec<_>>().join(", and ")
    }

    fn interface_words(&self, interface: &Interface) -> String {
        let router =
            |name: Option<&str>| self.topology.routers.iter().find(|router| Some(router.name.as_str()) == name);
        let innermost = router(interface.behind.as_deref());
        let routers = std::iter::successors(innermost, |inner| router(inner.behind.as_deref()));
        let words: Vec<String> =
            routers.map(|router| format!("behind {}, {}", router.name, gateway_words(&router.gateway))).collect();
        if words.is_empty() { "directly on the internet".into() } else { words.join(", itself ") }
    }

    fn payload_words(&self) -> String {
        match &self.payload {
            Payload::Random { bytes } => format!("{} of random bytes", size_words(*bytes)),
            Payload::Tree { paths, limit_bytes } => {
                format!("up to {} of small files ({})", size_words(*limit_bytes), paths.join(" or "))
            }
        }
    }
}

/// The links by which a host can go on.
fn other_ways(host: &Host) -> Vec<String> {
    let others = host.interfaces.iter().filter(|own| Some(*own) != host.primary());
    let words = others.map(|Interface { name, link, .. }| {
        let [down, up] = [&link.down, &link.up].map(|way| path_words(&PathProfile { links: vec![way.clone()] }));
        let both = if down == up { format!("{down}, each way") } else { format!("{down}; back: {up}") };
        format!("The {name} of {}: {both}.", host.name)
    });
    words.collect()
}

fn gateway_words(gateway: &Gateway) -> String {
    let nat = gateway
        .nat
        .as_ref()
        .map_or_else(|| "a router without NAT".into(), |nat| format!("a NAT with {}", nat_words(nat)));
    let filter = match gateway.firewall.outbound {
        Outbound::All if gateway.firewall.inbound_v4.is_some() => " that only answers pass",
        Outbound::All => "",
        Outbound::NoUdp => " that lets no UDP pass",
        Outbound::WebOnly { quic: false } => " that lets only TCP to web servers pass",
        Outbound::WebOnly { quic: true } => " that lets only traffic to web servers pass",
        Outbound::Captive => " that lets only DNS and HTTP pass",
    };
    format!("{nat}{filter}")
}

fn nat_words(nat: &NatConfig) -> String {
    let mapping = match nat.mapping {
        Mapping::EndpointIndependent => "endpoint-independent",
        Mapping::AddressDependent => "address-dependent",
        Mapping::AddressAndPortDependent => "address-and-port-dependent",
    };
    let filtering = match nat.filtering {
        Filtering::EndpointIndependent => "endpoint-independent",
        Filtering::AddressDependent => "address-dependent",
        Filtering::AddressAndPortDependent => "address-and-port-dependent",
    };
    format!("{mapping} mapping and {filtering} filtering")
}

fn path_words(path: &PathProfile) -> String {
    let mut words = vec![match path.idle_delay_ns(0) {
        0 => "no delay".to_owned(),
        nanos => format!("{} of delay", text::nanoseconds(nanos)),
    }];
    if path.jitter_ns() > 0 {
        // Other kinds are mostly small, and rarely large.
        let even = path.links.iter().all(|link| matches!(link.jitter, Jitter::None | Jitter::Uniform { .. }));
        let (sign, most) = (if even { "±" } else { "up to" }, text::nanoseconds(path.jitter_ns()));
        words.push(format!("{sign} {most} of jitter"));
    }
    words.push(match path.loss_ppb() {
        0 => "no loss".to_owned(),
        ppb => format!("{} loss", text::trimmed(text::percent(f64::from(ppb) / 1e9))),
    });
    if let Some((link, rate)) = path.bottleneck().zip(path.rate_bps()) {
        words.push(rate_words(&link.rate));
        if let Some(bytes) = link.queue.limit.bytes() {
            let drain = text::trimmed(text::seconds(bytes as f64 * 8.0 / rate.get() as f64));
            words.push(format!("a queue of {} ({drain} when full)", size_words(bytes)));
        }
    }
    for word in path.links.iter().flat_map(oddities) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(", ")
}

fn size_words(bytes: u64) -> String {
    text::trimmed(text::bytes(bytes as f64))
}
