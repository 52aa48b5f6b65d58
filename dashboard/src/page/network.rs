//! From a scenario's resolved form to a drawing of its network. The form is text for people and for a hash; what cannot be
//! read of it is left out, and where its hosts cannot be read there is no drawing.

mod form;
mod words;

use crate::chart::{Node, NodeKind, Topology, topology};
use crate::html::{glue, plural, svg};
use form::Value;
use longhaul_record::text;
use maud::{Markup, html};
use std::collections::BTreeMap;

/// More hosts and routers than anybody would look at: nothing is drawn.
const MOST: usize = 2000;
/// More ways between regions than this are told of together.
const WAYS: usize = 4;
/// So many of a kind that are alike are drawn one by one.
const ALIKE: usize = 3;

/// A section with the drawing of a scenario's network and the same as a table; nothing where it cannot be read.
pub(crate) fn figure(heading: &str, resolved: &str) -> Markup {
    let Some(network) = network(resolved) else { return html! {} };
    html! {
        h2 { (heading) }
        figure {
            div.on-wide { (svg(topology(heading, 1072, &network))) }
            div.on-narrow { (svg(topology(heading, 348, &network))) }
            (twin(&network))
        }
    }
}

fn twin(network: &Topology) -> Markup {
    let name = |node: &Node| match node.alike {
        0 | 1 => node.name.clone(),
        count => format!("{} and {} alike", node.name, count - 1),
    };
    let behind = |node: &Node| node.behind.and_then(|n| network.nodes.get(n)).map_or("internet", |router| &router.name);
    html! {
        details {
            summary { (size(network)) }
            div.table.narrow {
                table {
                    thead { tr { th { "Who" } th { "On" } th { "Link towards it" } th { "Link from it" } th { "What it is" } } }
                    tbody {
                        @for node in &network.nodes {
                            tr {
                                td.nowrap { (name(node)) }
                                td.nowrap { (behind(node)) }
                                td { (node.down) }
                                td { @if node.up.is_empty() { (node.down) } @else { (node.up) } }
                                td { (node.kind.word()) @for note in &node.notes { ", " (note) } }
                            }
                        }
                    }
                }
            }
            @for note in &network.core { p.small { (note) } }
        }
    }
}

fn size(network: &Topology) -> String {
    let routers = network.nodes.iter().filter(|node| node.kind == NodeKind::Router).count();
    let hosts = plural((network.nodes.len() - routers) as u64, "host");
    match routers {
        0 => format!("{hosts} as a table"),
        routers => format!("{hosts} and {} as a table", plural(routers as u64, "router")),
    }
}

/// The network of a scenario.
pub(crate) fn network(resolved: &str) -> Option<Topology> {
    let (head, rest) = resolved.split_once("\ntopology ")?;
    let roles = roles(head);
    let topology = form::parse(rest)?;
    let (routers, hosts) = (topology.list("routers"), topology.list("hosts"));
    if hosts.is_empty() || routers.len() + hosts.len() > MOST {
        return None;
    }
    let mut network = Topology { nodes: Vec::new(), core: transits(&topology) };
    let places: BTreeMap<&str, usize> =
        routers.iter().enumerate().filter_map(|(n, router)| Some((router.text("name")?, n))).collect();
    for router in routers {
        let [down, up] = words::link(router.field("uplink"));
        network.nodes.push(Node {
            kind: NodeKind::Router,
            name: router.text("name")?.to_owned(),
            notes: words::router(router),
            behind: behind(router).and_then(|name| places.get(name).copied()),
            down,
            up,
            alike: 1,
        });
    }
    for host in hosts {
        let name = host.text("name")?;
        let ways = host.list("interfaces");
        let first = ways.iter().find(|way| way.is("up", "true")).or(ways.first()).unwrap_or(host);
        let [down, up] = words::link(first.field("link"));
        let (kind, mut notes) = roles.get(name).cloned().unwrap_or_default();
        notes.extend(first.text("region").map(|region| format!("in {region}")));
        if ways.len() > 1 {
            notes.extend(first.text("name").map(|name| format!("by {name}")));
        }
        let others = ways.iter().filter(|way| !std::ptr::eq(*way, first));
        notes.extend(others.map(|way| words::other_way(way, behind(way))));
        let behind = behind(first).and_then(|name| places.get(name).copied());
        network.nodes.push(Node { kind, name: name.to_owned(), notes, behind, down, up, alike: 1 });
    }
    Some(folded(network))
}

/// The router that something is behind.
fn behind(of: &Value) -> Option<&str> {
    of.field("behind").and_then(Value::inner).and_then(Value::as_text)
}

/// What hosts are for: lines such as `provider "alice"` before the topology.
fn roles(head: &str) -> BTreeMap<String, (NodeKind, Vec<String>)> {
    let mut roles: BTreeMap<String, (NodeKind, Vec<String>)> = BTreeMap::new();
    for line in head.lines() {
        let Some((role, name)) = line.split_once(' ') else { continue };
        let Some(Value::Text(name)) = form::parse(name) else { continue };
        let (kind, note) = match role {
            "provider" => (NodeKind::Provider, ""),
            "fetcher" => (NodeKind::Fetcher, ""),
            "relay" | "rendezvous" | "node" => (NodeKind::Other, role),
            _ => continue,
        };
        let entry = roles.entry(name).or_default();
        if kind != NodeKind::Other {
            entry.0 = kind;
        }
        if !note.is_empty() {
            entry.1.push(note.to_owned());
        }
    }
    // A helper's parts are one line: "relay, rendezvous".
    for (_, notes) in roles.values_mut().filter(|(_, notes)| notes.len() > 1) {
        *notes = vec![notes.join(", ")];
    }
    roles
}

/// The ways between regions.
fn transits(topology: &Value) -> Vec<String> {
    let way = |transit: &Value| {
        let between: Vec<&str> = transit.list("between").iter().filter_map(Value::as_text).collect();
        let [a, b] = between[..] else { return None };
        let [there, back] = words::link(transit.field("link"));
        let what = [there, back].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(", ");
        Some(format!("{a} – {b}: {}", what.replace("⇅ ", "")))
    };
    let all = topology.list("transits");
    if all.len() <= WAYS {
        return all.iter().filter_map(way).collect();
    }
    let delay =
        |transit: &Value| transit.field("link").and_then(|link| link.field("down")).map(|down| down.count("delay_ns"));
    let delays = || all.iter().filter_map(delay);
    let [least, most] = [delays().fold(f64::INFINITY, f64::min), delays().fold(0.0, f64::max)];
    let [least, most] = [least, most].map(|ns| text::trimmed(text::seconds(ns / 1e9)));
    vec![glue(&format!("{} ways between regions, {least} to {most}", all.len()))]
}

/// Trees that differ in nothing but names become one, where there are more than a few.
fn folded(network: Topology) -> Topology {
    let count = network.nodes.len();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (n, node) in network.nodes.iter().enumerate() {
        // Routers come first, and a router may only be behind an earlier one here: no loops.
        if let Some(behind) = node.behind.filter(|behind| *behind != n) {
            children[behind].push(n);
        }
    }
    let mut keep = vec![true; count];
    let mut alike = vec![1; count];
    let mut groups: BTreeMap<(Option<usize>, String), Vec<usize>> = BTreeMap::new();
    for n in 0..count {
        let shape = shape(&network.nodes, &children, n, 0);
        groups.entry((network.nodes[n].behind, shape)).or_default().push(n);
    }
    for group in groups.values().filter(|group| group.len() > ALIKE) {
        alike[group[0]] = group.len();
        group[1..].iter().for_each(|n| drop_tree(&children, *n, &mut keep, 0));
    }
    let mut places = vec![None; count];
    let mut nodes = Vec::new();
    for (n, node) in network.nodes.into_iter().enumerate().filter(|(n, _)| keep[*n]) {
        places[n] = Some(nodes.len());
        nodes.push(Node { alike: alike[n], ..node });
    }
    for node in &mut nodes {
        node.behind = node.behind.and_then(|behind| places[behind]);
    }
    Topology { nodes, ..network }
}

/// The deepest that routers are followed.
const DEEPEST: usize = 16;

fn shape(nodes: &[Node], children: &[Vec<usize>], n: usize, depth: usize) -> String {
    let node = &nodes[n];
    let mut out = format!("{:?}{:?}{}{}(", node.kind, node.notes, node.down, node.up);
    if depth < DEEPEST {
        children[n].iter().for_each(|child| out += &shape(nodes, children, *child, depth + 1));
    }
    out + ")"
}

fn drop_tree(children: &[Vec<usize>], n: usize, keep: &mut [bool], depth: usize) {
    keep[n] = false;
    if depth < DEEPEST {
        children[n].iter().for_each(|child| drop_tree(children, *child, keep, depth + 1));
    }
}

#[cfg(test)]
mod tests;
