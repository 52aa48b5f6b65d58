use super::*;
use crate::chart::testing::{HOSTILE, check, picture};

fn host(name: &str, kind: NodeKind, behind: Option<usize>, down: &str, up: &str) -> Node {
    Node { kind, name: name.into(), notes: vec![], behind, down: down.into(), up: up.into(), alike: 1 }
}

fn router(name: &str, behind: Option<usize>, notes: &[&str], down: &str, up: &str) -> Node {
    let notes = notes.iter().map(ToString::to_string).collect();
    Node { notes, ..host(name, NodeKind::Router, behind, down, up) }
}

/// Two homes, one of them behind a carrier's NAT, and a relay.
fn homes() -> Topology {
    let nat = ["NAT: endpoint-independent mapping, address-and-port-dependent filtering"];
    Topology {
        nodes: vec![
            router("home-a", None, &nat, "↓ 100 Mbit/s · 5 ms · queue 512 KiB", "↑ 40 Mbit/s · 5 ms"),
            router("carrier", None, &["NAT: address-dependent mapping"], "↓ no limit · 5 ms", "↑ no limit · 5 ms"),
            router("home-b", Some(1), &nat, "↓ 50 Mbit/s · 9 ms", "↑ 10 Mbit/s · 9 ms · 1 % loss"),
            host("alice", NodeKind::Provider, Some(0), "↓ 1 ms", "↑ 1 ms"),
            host("bob", NodeKind::Fetcher, Some(2), "↓ 1 ms ± 2 ms", "↑ 1 ms · 0.1 % loss"),
            host("relay", NodeKind::Other, None, "", ""),
        ],
        core: vec!["40 ms between any two".into()],
    }
}

fn pair() -> Topology {
    Topology {
        nodes: vec![
            host("alice", NodeKind::Provider, None, "↓ 5 ms", "↑ 5 ms · 1 % loss"),
            Node {
                alike: 100, ..host("bob", NodeKind::Fetcher, None, "↓ 100 Mbit/s · 5 ms · 1 % loss", "↑ 5 ms")
            },
        ],
        core: vec![],
    }
}

#[test]
fn networks_look_like_this() {
    insta::assert_snapshot!(topology("two homes", 1072, &homes()));
    insta::assert_snapshot!(topology("two homes", 348, &homes()));
    for (name, network) in [("homes", homes()), ("pair", pair())] {
        picture(&format!("topology-{name}-wide"), &topology("a network", 1072, &network));
        picture(&format!("topology-{name}-small"), &topology("a network", 348, &network));
    }
}

/// Texts with where they begin and end, from the SVG.
fn boxes(svg: &str) -> Vec<(f64, f64, f64, String)> {
    let number = |tag: &str, name: &str| -> f64 {
        let part = tag.split(&format!(" {name}=\"")).nth(1).unwrap();
        part.split('"').next().unwrap().parse().unwrap()
    };
    let texts = svg.split("<text").skip(1);
    texts
        .map(|text| {
            let (tag, rest) = text.split_once('>').unwrap();
            let words = rest.split("</text>").next().unwrap().to_owned();
            let (x, y, width) = (number(tag, "x"), number(tag, "y"), wide(&words));
            let from = match tag {
                tag if tag.contains("\"middle\"") => x - width / 2.0,
                tag if tag.contains("\"end\"") => x - width,
                _ => x,
            };
            (from, from + width, y, words)
        })
        .collect()
}

#[test]
fn no_text_stands_on_another_or_leaves_the_picture() {
    let many = Topology {
        nodes: (0..60)
            .map(|n| host(&format!("peer-{n}"), NodeKind::Other, None, "↓ 10 Mbit/s", "↑ 1 Mbit/s"))
            .collect(),
        core: vec!["a core with rather much to say of itself and of what is between any two of its hosts".into()],
    };
    for network in [homes(), pair(), many] {
        for width in [348, 720, 1072] {
            let svg = topology("a network", width, &network);
            check(&svg);
            let texts = boxes(&svg);
            for (n, (from, to, y, words)) in texts.iter().enumerate() {
                assert!(*from >= -1.0 && *to <= f64::from(width) + 1.0, "{words} from {from} to {to} of {width}");
                for (other_from, other_to, other_y, other) in &texts[n + 1..] {
                    let apart = to <= other_from || other_to <= from || (y - other_y).abs() >= 11.0;
                    assert!(apart, "{words:?} and {other:?} at {width}: {y} and {other_y}");
                }
            }
        }
    }
}

#[test]
fn loops_and_missing_routers_are_cut() {
    let mut network = homes();
    network.nodes[1].behind = Some(2);
    network.nodes[3].behind = Some(99);
    network.nodes[5].behind = Some(5);
    for width in [348, 1072] {
        let svg = topology("a loop", width, &network);
        check(&svg);
        for name in ["home-a", "carrier", "home-b", "alice", "bob", "relay"] {
            assert!(svg.contains(&format!(">{name}</text>")), "{name} at {width}");
        }
    }
    check(&topology("nobody", 348, &Topology::default()));
}

#[test]
fn hostile_texts_stay_texts() {
    for text in HOSTILE {
        let mut network = homes();
        network.core = vec![text.into()];
        for node in &mut network.nodes {
            (node.name, node.notes) = (text.into(), vec![text.into()]);
            (node.down, node.up) = (text.into(), text.into());
        }
        for width in [348, 1072] {
            check(&topology(text, width, &network));
        }
    }
}
