//! Every preset is a link that can be built and that carries what its summary says.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use netsim_fabric::{Fabric, LinkConfig, Packet, Rate, Time};
use netsim_topology::{Access, Host, LINK_PRESETS, REGIONS, Topology, link_preset, path, plan, region_delay_ns};

#[test]
fn presets_are_what_they_were() {
    let rows = LINK_PRESETS.iter().map(|preset| {
        let access = preset.access();
        assert_eq!(Some(&access), link_preset(preset.name).as_ref(), "the same every time");
        let hosts = vec![Host::new("a", None, access), Host::new("b", None, Access::default())];
        let topology = Topology { routers: Vec::new(), hosts, ..Topology::default() };
        plan(&topology).unwrap();
        let way = |from, to| {
            let path = path(&topology, from, to).unwrap();
            let kbps = path.rate_bps().unwrap().get() / 1000;
            format!(
                "{kbps} kbit/s, {} us, +-{} us, {} ppb lost",
                path.idle_delay_ns(0) / 1000,
                path.jitter_ns() / 1000,
                path.loss_ppb()
            )
        };
        format!("{}: up {}; down {}", preset.name, way("a", "b"), way("b", "a"))
    });
    insta::assert_snapshot!(rows.collect::<Vec<_>>().join("\n"));
    assert_eq!(link_preset("carrier-pigeon"), None);
}

/// Bytes that come out of a link kept busy for two minutes, per second.
fn saturated_bps(config: LinkConfig) -> u64 {
    const SECONDS: u64 = 120;
    let mut fabric = Fabric::new(1);
    let (a, b) = (fabric.add_host(), fabric.add_host());
    let rate = config.rate.mean_bps().unwrap().get();
    let (link, _) = fabric.connect(a, b, config);
    // A packet of ten times the usual size keeps the test short; a fifth more than fits.
    let packet = Packet::udp("198.18.0.1:1", "198.18.0.2:2", 15_000, ()).unwrap();
    let gap = 15_000 * 8 * 1_000_000_000 / (rate * 6 / 5);
    let mut now = 0;
    while now < SECONDS * 1_000_000_000 {
        while fabric.poll(Time::from_nanos(now)).is_some() {}
        fabric.ingress(Time::from_nanos(now), a, packet.clone());
        now += gap;
    }
    fabric.link_counters(link).delivered_bytes * 8 / SECONDS
}

#[test]
fn presets_carry_their_rate() {
    for preset in LINK_PRESETS {
        let Access { up, down } = preset.access();
        for config in [up, down] {
            // Rates that never change are the fabric's own tests' business.
            if matches!(config.rate, Rate::Constant(_)) {
                continue;
            }
            let asked = config.rate.mean_bps().unwrap().get() as f64;
            let got = saturated_bps(config) as f64;
            // Outages cost what their queue cannot hold, losses a little.
            assert!((0.55..1.01).contains(&(got / asked)), "{}: {got} of {asked}", preset.name);
        }
    }
}

#[test]
fn regions_are_as_far_apart_both_ways() {
    for (n, a) in REGIONS.iter().enumerate() {
        assert_eq!(region_delay_ns(a.name, a.name), Some(0));
        for b in &REGIONS[..n] {
            let there = region_delay_ns(a.name, b.name).unwrap();
            assert_eq!(Some(there), region_delay_ns(b.name, a.name), "{} {}", a.name, b.name);
            assert!((4_000_000..200_000_000).contains(&there), "{} {}: {there}", a.name, b.name);
        }
    }
    assert_eq!(region_delay_ns("eu-west", "us-east"), Some(37_500_000));
    assert_eq!(region_delay_ns("eu-west", "atlantis"), None);
}
