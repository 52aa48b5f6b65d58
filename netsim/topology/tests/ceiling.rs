//! What a network can carry, against what can be counted by hand.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use netsim_fabric::{LinkConfig, LinkState, Outage, Rate};
use netsim_topology::{Access, Host, NAT_PRESETS, Router, Topology, ceiling_bps};
use std::num::NonZeroU64;

fn link(mbit: u64) -> LinkConfig {
    let rate = NonZeroU64::new(mbit * 1_000_000).map_or(Rate::Unlimited, Rate::Constant);
    LinkConfig { rate, ..LinkConfig::default() }
}

fn access(up: u64, down: u64) -> Access {
    Access { up: link(up), down: link(down) }
}

fn router(name: &str, behind: Option<&str>, uplink: Access) -> Router {
    Router { behind: behind.map(Into::into), ..Router::new(name, NAT_PRESETS[0].gateway(), uplink) }
}

fn host(name: &str, behind: Option<&str>, link: Access) -> Host {
    Host::new(name, behind, link)
}

/// Two homes of a provider's network and a server: rates in Mbit/s, 0 for none.
fn network() -> Topology {
    Topology {
        routers: vec![
            router("provider", None, access(0, 300)),
            router("home-a", Some("provider"), access(20, 200)),
            router("home-b", Some("provider"), access(20, 200)),
        ],
        hosts: vec![
            host("a1", Some("home-a"), access(1000, 150)),
            host("a2", Some("home-a"), access(1000, 150)),
            host("b1", Some("home-b"), access(1000, 150)),
            host("server", None, access(0, 0)),
            host("small", None, access(50, 50)),
        ],
        ..Topology::default()
    }
}

#[test]
fn the_narrowest_cut_counts() {
    let rows: [(&[&str], &[&str], Option<u64>); 9] = [
        // The fetcher's own link; then its router's; then the provider's.
        (&["server"], &["a1"], Some(150)),
        (&["server"], &["a1", "a2"], Some(200)),
        (&["server"], &["a1", "a2", "b1"], Some(300)),
        // What goes up goes through the home; neighbours do not meet it.
        (&["a1"], &["server"], Some(20)),
        (&["a1"], &["a2"], Some(150)),
        (&["a1", "b1"], &["server"], Some(40)),
        (&["small"], &["a1", "a2"], Some(50)),
        (&["small", "server"], &["a1", "a2", "b1"], Some(300)),
        (&["server"], &["nobody"], None),
    ];
    for (from, to, mbit) in rows {
        let got = ceiling_bps(&network(), from, to).map(NonZeroU64::get);
        assert_eq!(got, mbit.map(|mbit| mbit * 1_000_000), "{from:?} to {to:?}");
    }
}

#[test]
fn what_nothing_limits_has_no_ceiling_and_what_is_down_carries_nothing() {
    let mut topology = network();
    topology.hosts.push(host("other", None, access(0, 0)));
    assert_eq!(ceiling_bps(&topology, &["server"], &["other"]), None);
    topology.hosts[4].interfaces[0].link.up.state = LinkState::Down(Outage::Drop);
    assert_eq!(ceiling_bps(&topology, &["small"], &["a1"]), None);
    assert_eq!(ceiling_bps(&topology, &["small", "server"], &["a1"]).map(NonZeroU64::get), Some(150_000_000));
    // A host without an interface is nowhere.
    topology.hosts[0].interfaces = Vec::new();
    assert_eq!(ceiling_bps(&topology, &["server"], &["a1"]), None);
}
