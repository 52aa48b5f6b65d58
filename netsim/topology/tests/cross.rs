//! Cross traffic: who opens a flow, and when a flow of constant rate sends.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use netsim_topology::{
    Access, CATCH_UP_NS, Host, Opening, Pacer, Router, Topology, Traffic, Turn, nat_preset, opening, way,
};
use proptest::prelude::*;
use std::num::NonZeroU64;

fn router(name: &str, preset: &str, behind: Option<&str>) -> Router {
    Router { behind: behind.map(Into::into), ..Router::new(name, nat_preset(preset).unwrap(), Access::default()) }
}

fn host(name: &str, behind: Option<&str>) -> Host {
    Host::new(name, behind, Access::default())
}

const TCP: Traffic = Traffic::Tcp { congestion: None };

fn udp() -> Traffic {
    Traffic::Udp { rate_bps: NonZeroU64::new(1_000_000).unwrap(), packet_bytes: 1200 }
}

/// `a` and `a2` behind a router of one preset, `b` behind one of another, `server` on the internet.
fn network(a: &str, b: &str) -> Topology {
    Topology {
        routers: vec![router("home", a, None), router("office", b, None)],
        hosts: vec![host("a", Some("home")), host("a2", Some("home")), host("b", Some("office")), host("server", None)],
        ..Topology::default()
    }
}

#[test]
fn whoever_can_reach_the_other_opens() {
    use Opening::{Both, Receiver, Sender};
    // (the routers, the flow, who opens it as TCP, as UDP)
    let rows = [
        ("home", "home", "a", "server", [Some(Sender), Some(Sender)]),
        ("home", "home", "server", "a", [Some(Receiver), Some(Receiver)]),
        ("home", "home", "a", "a2", [Some(Sender), Some(Sender)]),
        ("home", "home", "a", "b", [None, Some(Both)]),
        ("no-nat", "home", "a", "b", [Some(Receiver), Some(Receiver)]),
        ("no-nat", "home", "b", "a", [Some(Sender), Some(Sender)]),
        ("ipv6-firewall", "ipv6-only", "server", "b", [Some(Receiver), Some(Receiver)]),
        ("udp-blocked", "home", "a", "server", [Some(Sender), None]),
        ("home", "ipv6-only", "b", "server", [Some(Sender), Some(Sender)]),
    ];
    for (home, office, from, to, expect) in rows {
        for (traffic, expect) in [TCP, udp()].iter().zip(expect) {
            let got = opening(&network(home, office), from, to, traffic).ok();
            assert_eq!(got, expect, "{home} {office}: {} {from} → {to}", traffic.as_str());
        }
    }
}

#[test]
fn what_gets_through_nowhere_says_why() {
    let rows = [
        ("symmetric", "symmetric", "a", "b", udp(), "neither host can be reached by the other, nor by hole punching"),
        ("udp-blocked", "home", "server", "a", udp(), "`home` lets no UDP to any port out"),
        ("home", "home", "a", "b", TCP, "use kind = \"udp\""),
        ("home", "home", "a", "nobody", TCP, "there is no path"),
    ];
    for (home, office, from, to, traffic, expect) in rows {
        let error = opening(&network(home, office), from, to, &traffic).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
}

#[test]
fn a_way_names_its_links() {
    let names = |from, to| -> Vec<String> {
        way(&network("home", "home"), from, to).unwrap().iter().map(|(name, _)| name.to_string()).collect()
    };
    assert_eq!(names("a", "b"), ["a.link up", "home.uplink up", "office.uplink down", "b.link down"]);
    assert_eq!(names("a", "a2"), ["a.link up", "a2.link down"]);
}

/// Packets of 125 bytes at 1 Mbit/s: one each millisecond.
fn pacer() -> Pacer {
    Pacer::new(NonZeroU64::new(1_000_000).unwrap(), 125)
}

const MS: u64 = 1_000_000;

#[test]
fn packets_keep_to_the_schedule() {
    let mut pacer = pacer();
    assert_eq!(pacer.turn(0), Turn::Send { number: 0 });
    assert_eq!(pacer.turn(0), Turn::Wait { until_ns: MS });
    assert_eq!(pacer.turn(MS - 1), Turn::Wait { until_ns: MS });
    assert_eq!(pacer.turn(MS), Turn::Send { number: 1 });
    // A little late: both are sent.
    assert_eq!(pacer.turn(3 * MS), Turn::Send { number: 2 });
    assert_eq!(pacer.turn(3 * MS), Turn::Send { number: 3 });
    assert_eq!(pacer.turn(3 * MS), Turn::Wait { until_ns: 4 * MS });
    assert_eq!((pacer.count(0), pacer.count(MS - 1), pacer.count(MS), pacer.count(1000 * MS)), (1, 1, 2, 1001));
}

#[test]
fn a_stall_is_not_made_up_for_by_a_burst() {
    let mut pacer = pacer();
    assert_eq!(pacer.turn(0), Turn::Send { number: 0 });
    let late = 100 * MS;
    let sent: Vec<u64> = std::iter::from_fn(|| match pacer.turn(late) {
        Turn::Send { number } => Some(number),
        Turn::Wait { .. } => None,
    })
    .collect();
    assert_eq!(sent, (90..=100).collect::<Vec<u64>>());
    // A slow flow sends the newest packet, and not those it missed.
    let mut slow = Pacer::new(NonZeroU64::new(1_000).unwrap(), 125);
    assert_eq!(slow.turn(0), Turn::Send { number: 0 });
    assert_eq!(slow.turn(5_500 * MS), Turn::Send { number: 5 });
    assert_eq!(slow.turn(5_500 * MS), Turn::Wait { until_ns: 6_000 * MS });
}

proptest! {
    /// However late a sender is, it sends each packet at most once, none before its time, and none that is too late but for
    /// the newest.
    #[test]
    fn no_sender_is_early_or_bursts(
        rate in 1_000_u64..10_000_000_000,
        bytes in 60_u32..1500,
        gaps in prop::collection::vec(0_u64..50_000_000, 1..60),
    ) {
        let mut pacer = Pacer::new(NonZeroU64::new(rate).unwrap(), bytes);
        let (mut elapsed, mut sent, mut last) = (0, 0_u64, None);
        for gap in gaps {
            elapsed += gap;
            let burst = pacer.count(elapsed) - elapsed.checked_sub(CATCH_UP_NS + 1).map_or(0, |t| pacer.count(t));
            // Enough to look at: the pacer does not know how long a turn takes.
            for n in 0..1000 {
                let Turn::Send { number } = pacer.turn(elapsed) else { break };
                prop_assert!(last.is_none_or(|last| number > last) && number < pacer.count(elapsed));
                prop_assert!(n < burst.max(1));
                (sent, last) = (sent + 1, Some(number));
            }
        }
        prop_assert!(sent <= pacer.count(elapsed));
    }
}
