//! A scenario's network as a drawing for the terminal.

use crate::scenario::Scenario;
use longhaul_record::text;
use netsim_fabric::LinkConfig;
use netsim_topology::{Access, AddressPlan, Host, Interface, Router};
use std::net::IpAddr;

impl Scenario {
    /// The network as a tree: the internet at its root, routers as branches, hosts as leaves, each with its link and its
    /// addresses. One line each.
    pub fn drawing(&self, addresses: &AddressPlan) -> String {
        let mut lines = vec!["internet".to_owned()];
        self.branch(None, "", addresses, &mut lines);
        lines.join("\n")
    }

    /// Everything that hangs on one place.
    fn branch(&self, at: Option<&str>, indent: &str, addresses: &AddressPlan, lines: &mut Vec<String>) {
        let routers: Vec<&Router> = self.topology.routers.iter().filter(|r| r.behind.as_deref() == at).collect();
        let interfaces =
            |host| -> Vec<(&Host, &Interface)> { ways(host).filter(|(_, own)| own.behind.as_deref() == at).collect() };
        let hosts: Vec<_> = self.topology.hosts.iter().flat_map(interfaces).collect();
        let mut left = routers.len() + hosts.len();
        let twig = |left: &mut usize| {
            *left -= 1;
            if *left == 0 { ("└─ ", "   ") } else { ("├─ ", "│  ") }
        };
        for (host, interface) in hosts {
            let (joint, _) = twig(&mut left);
            let name = match (host.interfaces.len(), interface.up) {
                (1, _) => host.name.clone(),
                (_, true) => format!("{} ({})", host.name, interface.name),
                (_, false) => format!("{} ({}, down at first)", host.name, interface.name),
            };
            let parts = [
                named(name, &interface.region),
                link(&interface.link),
                list(addresses.interface(&host.name, &interface.name)),
            ];
            lines.push(format!("{indent}{joint}{}", joined(parts)));
        }
        for router in routers {
            let (joint, below) = twig(&mut left);
            let outside = addresses.routers.get(&router.name).map(|own| own.outside.as_slice()).unwrap_or_default();
            let kind = if router.gateway.nat.is_some() { "NAT" } else { "router" };
            let parts =
                [named(format!("{} [{kind}]", router.name), &router.region), link(&router.uplink), list(outside)];
            lines.push(format!("{indent}{joint}{}", joined(parts)));
            self.branch(Some(&router.name), &format!("{indent}{below}"), addresses, lines);
        }
    }
}

/// A host's interfaces.
fn ways(host: &Host) -> impl Iterator<Item = (&Host, &Interface)> {
    host.interfaces.iter().map(move |interface| (host, interface))
}

/// A place and its region, if it has one.
fn named(name: String, region: &Option<String>) -> String {
    region.as_ref().map_or_else(|| name.clone(), |region| format!("{name} in {region}"))
}

fn joined(parts: [String; 3]) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("   ")
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Both directions in a few words; nothing for a perfect wire.
fn link(access: &Access) -> String {
    let (up, down) = (direction(&access.up), direction(&access.down));
    match (up.is_empty(), down.is_empty()) {
        (true, true) => String::new(),
        _ if up == down => format!("⇅ {up}"),
        _ => [("↑ ", up), ("↓ ", down)]
            .into_iter()
            .filter(|(_, words)| !words.is_empty())
            .map(|(arrow, words)| format!("{arrow}{words}"))
            .collect::<Vec<_>>()
            .join("  "),
    }
}

fn direction(link: &LinkConfig) -> String {
    let rate = link.rate.mean_bps().map(|rate| text::trimmed(text::bits_per_second(rate.get() as f64)));
    let delay = (link.delay_ns > 0).then(|| text::nanoseconds(link.delay_ns));
    let loss = (link.loss.mean_ppb() > 0)
        .then(|| format!("{} loss", text::trimmed(text::percent(f64::from(link.loss.mean_ppb()) / 1e9))));
    [rate, delay, loss].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use netsim_topology::plan;

    #[test]
    fn networks_are_drawn() {
        let text = r#"
            schema = 1
            name = "stack"
            summary = "A phone behind two NATs"
            router = [
                { name = "carrier", nat = "cgnat", uplink = { delay = "20ms", up = { rate = "5Mbit" }, down = { rate = "20Mbit", loss = "1%" } } },
                { name = "home", nat = "home", behind = "carrier" },
            ]
            host = [
                { name = "phone", interface = [
                    { name = "wifi", behind = "home", link = { delay = "2ms" } },
                    { name = "mobile", behind = "carrier", link = { delay = "9ms" }, up = false },
                ] },
                { name = "tv", behind = "home" },
                { name = "hub" },
            ]
            [payload]
            kind = "random"
            size = "1MiB"
            [roles]
            provider = ["hub"]
            fetcher = ["phone"]
        "#;
        let scenario = Scenario::parse("stack.toml", text).unwrap();
        let addresses = plan(&scenario.topology).unwrap().addresses;
        insta::assert_snapshot!(scenario.drawing(&addresses));
    }
}
