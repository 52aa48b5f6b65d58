//! `[[cross]]`: what users write about other traffic, and what they are told.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use longhaul_scenarios::Scenario;
use netsim_topology::{Cross, Opening, Traffic};
use std::num::NonZeroU64;

/// A neighbour shares bob's router; dave is behind another one; server is on the internet.
const NETWORK: &str = r#"
schema = 1
name = "good"
router = [
    { name = "home", nat = "home", uplink = { delay = "5ms", up = { mtu = 1400 } } },
    { name = "office", nat = "symmetric" },
    { name = "hotel", nat = "udp-blocked" },
]
host = [
    { name = "alice" }, { name = "server" }, { name = "bob", behind = "home" },
    { name = "neighbour", behind = "home" }, { name = "dave", behind = "office" }, { name = "guest", behind = "hotel" },
]
[payload]
kind = "random"
size = "1MiB"
[roles]
provider = ["alice"]
fetcher = ["bob"]
"#;

fn with(flows: &str) -> Result<Scenario, String> {
    Scenario::parse("my.toml", &format!("{NETWORK}{flows}")).map_err(|error| error.to_string())
}

const GOOD: &str = r#"
[[cross]]
kind = "tcp"
from = "neighbour"
to = "server"
start = "2s"
stop = "8s"
congestion = "cubic"
[[cross]]
kind = "udp"
from = "server"
to = "neighbour"
rate = "20Mbit"
[[cross]]
kind = "udp"
from = "bob"
to = "alice"
rate = "100kbit"
packet = "200B"
start = "1s"
[[cross]]
kind = "tcp"
from = "bob"
to = "neighbour"
stop = "3s"
"#;

#[test]
fn flows_are_resolved_and_explained() {
    let scenario = with(GOOD).unwrap();
    let rate = |bits| NonZeroU64::new(bits).unwrap();
    let expect = [
        Cross {
            from: "neighbour".into(),
            to: "server".into(),
            start_ns: 2_000_000_000,
            stop_ns: Some(8_000_000_000),
            traffic: Traffic::Tcp { congestion: Some("cubic".into()) },
            opening: Opening::Sender,
        },
        Cross {
            from: "server".into(),
            to: "neighbour".into(),
            start_ns: 0,
            stop_ns: None,
            traffic: Traffic::Udp { rate_bps: rate(20_000_000), packet_bytes: 1200 },
            opening: Opening::Receiver,
        },
    ];
    assert_eq!(scenario.cross[..2], expect);
    insta::assert_snapshot!(scenario.words().replace(". ", ".\n"));
}

#[test]
fn the_hash_follows_the_flows() {
    let hash = |flows: &str| with(flows).unwrap().hash();
    assert_ne!(hash(""), hash(GOOD));
    assert_ne!(hash(&GOOD.replace("20Mbit", "21Mbit")), hash(GOOD));
}

#[test]
fn mistakes_in_flows_name_file_key_and_fix() {
    let rows = [
        ("tcp", "nieghbour", "server", ""),
        ("tcp", "bob", "moon", ""),
        ("tcp", "bob", "bob", ""),
        ("icmp", "bob", "server", ""),
        ("udp", "bob", "server", ""),
        ("udp", "bob", "server", "rate = \"20\""),
        ("udp", "bob", "server", "rate = \"20Mbit\"\ncongestion = \"bbr\""),
        ("tcp", "bob", "server", "rate = \"20Mbit\""),
        ("tcp", "bob", "server", "packet = \"200B\""),
        ("tcp", "bob", "server", "congestion = \"Cubic!\""),
        ("tcp", "bob", "server", "start = \"5s\"\nstop = \"5s\""),
        ("tcp", "bob", "server", "start = \"60s\""),
        ("tcp", "bob", "server", "sotp = \"5s\""),
        ("udp", "bob", "server", "rate = \"20Mbit\"\npacket = \"1401B\""),
        ("udp", "server", "bob", "rate = \"20Mbit\"\npacket = \"1501B\""),
        ("udp", "bob", "server", "rate = \"20Mbit\"\npacket = \"40B\""),
        ("tcp", "bob", "dave", ""),
        ("udp", "guest", "server", "rate = \"20Mbit\""),
        ("udp", "bob", "dave", "rate = \"20Mbit\""),
    ];
    let errors: Vec<String> = rows
        .iter()
        .map(|(kind, from, to, more)| {
            let flow = format!("[[cross]]\nkind = \"{kind}\"\nfrom = \"{from}\"\nto = \"{to}\"\n{more}\n");
            with(&flow).expect_err(&flow)
        })
        .collect();
    insta::assert_snapshot!(errors.join("\n"));
    let smaller = "[[at]]\ntime = \"1s\"\nlink = \"server.link\"\nset = { mtu = 1300 }\n";
    let flow = "[[cross]]\nkind = \"udp\"\nfrom = \"bob\"\nto = \"server\"\nrate = \"1Mbit\"\npacket = \"1350B\"\n";
    with(flow).unwrap();
    let error = with(&format!("{flow}{smaller}")).unwrap_err();
    assert!(error.contains("the MTU of server.link down, 1300 bytes"), "{error}");
}
