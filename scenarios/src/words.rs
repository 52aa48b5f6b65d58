//! A scenario explained back in words.

mod change;

use crate::cross;
use crate::expect::ExpectedPath;
use crate::payload::Payload;
use crate::roles::Roles;
use crate::scenario::Scenario;
pub(crate) use change::event_words;
use change::timeline_words;
use change::{oddities, rate_words};
use longhaul_record::{NetworkChange, text};
use netsim_fabric::{Filtering, Jitter, Mapping, NatConfig, Outbound};
use netsim_topology::{Gateway, Host, Interface, PathProfile, path, region};
use std::collections::BTreeSet;

impl Scenario {
    /// What happens, as sentences a person can check: who fetches what from whom, behind what, over which path.
    ///
    /// The text ends up in records and pages; hosts are named by the scenario's author.
    pub fn words(&self) -> String {
        let Roles { providers, fetchers, rendezvous, relay, nodes } = &self.roles;
        let (who, from) = (hosts_words(fetchers), hosts_words(providers));
        let verb = |verb: &'static str, es| format!("{verb}{}", if fetchers.len() == 1 { es } else { "" });
        let happens = match self.payload_words() {
            Some(sent) => format!("{who} {} {sent} from {from}.", verb("fetch", "es")),
            None => self.lookup_words(&format!("{who} {}", verb("look", "s")), &from),
        };
        let mut sentences = vec![happens];
        if let ([_, ..], regions) = (nodes.as_slice(), self.regions_of(nodes)) {
            let over = if regions.is_empty() { String::new() } else { format!(", in {}", and(&regions)) };
            sentences.push(format!("The network is {}{over}.", hosts_words(nodes)));
        }
        sentences.extend(self.places_words());
        sentences.extend(self.ways_words());
        for (host, role) in [(rendezvous, "finds them for each other"), (relay, "passes on what cannot go directly")] {
            sentences.extend(host.as_ref().map(|host| format!("{host} {role}; it is {}.", self.place_words(host))));
        }
        sentences.extend(self.topology.hosts.iter().flat_map(other_ways));
        sentences.extend(cross::words(&self.topology, &self.cross, &self.pairs()));
        let at = |change: &NetworkChange| format!("At {}, {}.", text::nanoseconds(change.at_ns), change.what);
        sentences.extend(self.changes().iter().map(at));
        sentences.extend(self.expect_words());
        sentences.join(" ")
    }

    /// Every provider with every fetcher.
    pub(crate) fn pairs(&self) -> Vec<[&str; 2]> {
        let Roles { providers, fetchers, .. } = &self.roles;
        let pairs = providers.iter().flat_map(|p| fetchers.iter().map(move |f| [p.as_str(), f.as_str()]));
        pairs.collect()
    }

    /// Where those are who take part: hosts at equal places together.
    fn places_words(&self) -> Vec<String> {
        let all = self.roles.fetchers.iter().chain(&self.roles.providers);
        let groups = together(all.map(|host| (host.clone(), self.place_words(host))));
        match groups.as_slice() {
            [(place, hosts)] if hosts.len() == 2 => vec![format!("Both are {place}.")],
            [(place, _)] => vec![format!("All are {place}.")],
            groups => {
                let one = |(place, hosts): &(String, Vec<String>)| {
                    format!("{} {} {place}", hosts_words(hosts), if hosts.len() == 1 { "is" } else { "are" })
                };
                vec![groups.iter().map(one).collect::<Vec<_>>().join("; ") + "."]
            }
        }
    }

    /// What lies between each provider and each fetcher: equal ways together.
    fn ways_words(&self) -> Vec<String> {
        let way = |[provider, fetcher]: [&str; 2]| {
            let there = path(&self.topology, provider, fetcher).unwrap_or_default();
            let back = path(&self.topology, fetcher, provider).unwrap_or_default();
            let (there, back) = (path_words(&there), path_words(&back));
            let both = if there == back { format!("Each way: {there}.") } else { String::new() };
            (
                fetcher.to_owned(),
                if both.is_empty() { format!("Towards FETCHER: {there}. Back: {back}.") } else { both },
            )
        };
        let groups = together(self.pairs().into_iter().map(way));
        let alone = groups.len() == 1;
        let one = |(words, fetchers): (String, Vec<String>)| {
            let mut named = fetchers;
            named.dedup();
            let to = hosts_words(&named);
            match words.strip_prefix("Each way: ") {
                Some(words) if !alone => format!("Each way to {to}: {words}"),
                _ => words.replace("FETCHER", &to),
            }
        };
        groups.into_iter().map(one).collect()
    }

    fn expect_words(&self) -> Option<String> {
        let share = |ppb| text::trimmed(text::percent(f64::from(ppb) / 1e9));
        let success = self.expect.success_ppb.map(|ppb| format!("at least {} of runs to succeed", share(ppb)));
        let path = self.expect.path.map(|path| match path {
            ExpectedPath::Direct => "a direct path".to_owned(),
            ExpectedPath::Relayed => "a path by a relay".to_owned(),
        });
        let all: Vec<String> = success.into_iter().chain(path).collect();
        (!all.is_empty()).then(|| format!("Expected: {}.", all.join(", ")))
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
        let places = together(host.interfaces.iter().map(|own| {
            let state = if own.up { "" } else { " (down at first)" };
            (own.name.clone(), format!("{state} {}", self.interface_words(own)))
        }));
        let places = places.into_iter().map(|(place, names)| {
            if several { format!("by {}{place}", and(&names)) } else { place.trim_start().to_owned() }
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
        let outermost = std::iter::successors(innermost, |inner| router(inner.behind.as_deref())).last();
        let region = outermost.map_or(&interface.region, |router| &router.region);
        let region = region.as_ref().map_or_else(String::new, |region| format!(", in {region}"));
        let place = if words.is_empty() { "directly on the internet".into() } else { words.join(", itself ") };
        place + &region
    }

    /// Where in the world hosts are.
    fn regions_of(&self, hosts: &[String]) -> Vec<String> {
        let regions: BTreeSet<&str> = hosts.iter().filter_map(|host| region(&self.topology, host)).collect();
        regions.into_iter().map(str::to_owned).collect()
    }

    fn lookup_words(&self, they_look: &str, providers: &str) -> String {
        let Payload::Lookups { count } = &self.payload else { return String::new() };
        format!("{they_look} {count} keys up that {providers} announced before.")
    }

    /// What is transferred, if anything is.
    fn payload_words(&self) -> Option<String> {
        Some(match &self.payload {
            Payload::Random { bytes } => format!("{} of random bytes", size_words(*bytes)),
            Payload::Files { count, bytes_each } => {
                format!("{count} files of {} random bytes each", size_words(*bytes_each))
            }
            Payload::Tree { paths, limit_bytes } => {
                format!("up to {} of small files ({})", size_words(*limit_bytes), paths.join(" or "))
            }
            Payload::Lookups { .. } => return None,
        })
    }
}

/// `alice`, `alice and bob`, `fetcher-1, fetcher-2 and fetcher-3`; of many, the first and the last.
fn hosts_words(hosts: &[String]) -> String {
    match hosts {
        [] => "nobody".into(),
        [first, .., last] if hosts.len() > 4 => format!("{} hosts ({first} to {last})", hosts.len()),
        few => and(few),
    }
}

/// `alice, bob and carol`.
fn and(names: &[String]) -> String {
    match names {
        [others @ .., last] if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        names => names.concat(),
    }
}

/// Those of equal words, in the order of the first of each.
fn together(all: impl Iterator<Item = (String, String)>) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (name, words) in all {
        match groups.iter_mut().find(|(other, _)| *other == words) {
            Some((_, names)) => names.push(name),
            None => groups.push((words, vec![name])),
        }
    }
    groups
}

/// The links by which a host can go on.
fn other_ways(host: &Host) -> Vec<String> {
    let others = host.interfaces.iter().filter(|own| Some(*own) != host.primary());
    let ways = together(others.map(|Interface { name, link, .. }| {
        let [down, up] = [&link.down, &link.up].map(|way| path_words(&PathProfile { links: vec![way.clone()] }));
        let both = if down == up { format!("{down}, each way") } else { format!("{down}; back: {up}") };
        (name.clone(), both)
    }));
    ways.into_iter().map(|(way, names)| format!("The {} of {}: {way}.", and(&names), host.name)).collect()
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
    let lifetime = nat.lifetime_ns.map(|ns| format!(" that forgets every mapping after {}", text::nanoseconds(ns)));
    format!("{mapping} mapping and {filtering} filtering{}", lifetime.unwrap_or_default())
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
