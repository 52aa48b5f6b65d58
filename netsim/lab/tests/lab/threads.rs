//! A network that several threads carry is the same network.

use super::network::{loss, pair, pattern, send_tcp};
use longhaul_record::LinkReport;
use netsim_fabric::{LinkConfig, NatConfig, Probability};
use netsim_lab::{Engines, Lab};
use netsim_topology::{Access, Gateway, Router, Topology, plan};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;

fn with_threads(topology: &Topology, threads: usize) -> Lab {
    let threads = NonZeroUsize::new(threads).unwrap();
    Lab::up_with(&plan(topology).unwrap(), 7, Engines { threads, ..crate::engines() }).unwrap()
}

/// What the links saw of `count` datagrams from `a` to `b` and as many back, and which of them arrived.
fn exchange(lab: &Lab, seed: u64, count: u32) -> (Vec<LinkReport>, [Vec<u32>; 2]) {
    lab.restart(seed).unwrap();
    let [a, b] = ["a", "b"].map(|host| lab.host(host).unwrap().udp().unwrap());
    a.connect(b.local_addr().unwrap()).unwrap();
    b.connect(a.local_addr().unwrap()).unwrap();
    let arrived = [(&a, &b), (&b, &a)].map(|(from, to)| {
        to.set_read_timeout(Some(crate::STALL)).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..count).for_each(|n| assert_eq!(from.send(&n.to_be_bytes()).unwrap(), 4)));
            let mut buffer = [0; 4];
            std::iter::from_fn(|| to.recv(&mut buffer).ok().map(|_| u32::from_be_bytes(buffer))).collect()
        })
    });
    let snapshot = lab.snapshot().unwrap();
    let fidelity = lab.fidelity(&snapshot).unwrap();
    assert_eq!(fidelity.unintended_drops, BTreeMap::new());
    assert!(fidelity.released >= arrived.iter().map(Vec::len).sum::<usize>() as u64, "{}", fidelity.released);
    for host in ["a", "b"] {
        assert_eq!(lab.flows(&snapshot, lab.host(host).unwrap()), 1, "flows of {host}");
    }
    (lab.link_reports(&snapshot), arrived)
}

/// Without what depends on time.
fn decided(reports: &[LinkReport]) -> Vec<LinkReport> {
    reports.iter().map(|report| LinkReport { peak_queueing_delay_ns: 0, ..report.clone() }).collect()
}

pub(crate) fn the_same_seed_loses_the_same_packets() {
    let link = LinkConfig {
        delay_ns: 1_000_000,
        loss: loss(20),
        duplicate: Probability::from_ppb(50_000_000).unwrap(),
        ..LinkConfig::default()
    };
    let mut topology = pair(link.clone());
    topology.hosts[1].interfaces[0].link = Access::both(link);
    let [one, two] = [1, 2].map(|threads| with_threads(&topology, threads));
    let (reports, arrived) = exchange(&one, 7, 300);
    let (other_reports, other_arrived) = exchange(&two, 7, 300);
    assert!(reports.iter().all(|report| report.dropped["loss"] > 0), "{reports:?}");
    assert_eq!(decided(&other_reports), decided(&reports));
    assert_eq!(other_arrived, arrived);
    let (reports_again, again) = exchange(&two, 7, 300);
    assert_eq!((decided(&reports_again), again), (decided(&reports), arrived));
    assert_ne!(decided(&exchange(&two, 8, 300).0), decided(&reports));
}

/// Three networks at the core, and everybody talks to everybody: more threads than there are networks change nothing.
pub(crate) fn everybody_reaches_everybody() {
    let wire = LinkConfig::default();
    let router = |name: &str, gateway| Router::new(name, gateway, Access::both(wire.clone()));
    let topology = Topology {
        routers: vec![router("home", Gateway::with_nat(NatConfig::default())), router("office", Gateway::OPEN)],
        hosts: vec![
            crate::host("a", Some("home"), LinkConfig { loss: loss(1), coalesce_ns: 100_000, ..wire.clone() }),
            crate::host("b", Some("office"), wire.clone()),
            crate::host("c", None, wire.clone()),
        ],
        ..Topology::default()
    };
    let bytes = pattern(1_000_000);
    for threads in [2, 3, 9] {
        let lab = with_threads(&topology, threads);
        for (from, to) in [("a", "b"), ("a", "c"), ("b", "c"), ("c", "b")] {
            let address = lab.host(to).unwrap().addresses()[0];
            assert!(send_tcp(&lab, from, to, address, &bytes) == bytes, "{from} to {to}, {threads} threads");
        }
        let snapshot = lab.snapshot().unwrap();
        assert_eq!(lab.fidelity(&snapshot).unwrap().unintended_drops, BTreeMap::new());
        // Every byte of the timeline is a byte of the counters, whichever thread saw it.
        for (index, link) in snapshot.links.iter().enumerate() {
            let in_time: u64 = snapshot.timeline.iter().map(|interval| interval.links[index].delivered_bytes).sum();
            assert_eq!(in_time, link.delivered_bytes, "link {index}, {threads} threads");
        }
        assert!(lab.link_reports(&snapshot).iter().all(|report| report.packets > 0), "{threads} threads");
    }
}
