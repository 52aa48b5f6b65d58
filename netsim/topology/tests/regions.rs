//! Regions: who reaches whom how late, what the core knows, and every reason to refuse them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use netsim_fabric::{Fabric, Filtering, LinkConfig, NatConfig, Packet, Time};
use netsim_topology::{
    Access, Built, Gateway, Host, Interface, LabStep, Place, Router, Topology, Transit, access_path, build, path, plan,
    region, way,
};
use std::net::{IpAddr, SocketAddr};

const MS: u64 = 1_000_000;

fn delay(ms: u64) -> LinkConfig {
    LinkConfig { delay_ns: ms * MS, ..LinkConfig::default() }
}

fn transit(a: &str, b: &str, up_ms: u64, down_ms: u64) -> Transit {
    Transit { between: [a.into(), b.into()], link: Access { up: delay(up_ms), down: delay(down_ms) } }
}

fn placed(name: &str, nat: bool, region: &str) -> Router {
    let gateway = if nat { Gateway::with_nat(NatConfig::default()) } else { Gateway::OPEN };
    Router { region: Some(region.into()), ..Router::new(name, gateway, Access::both(delay(1))) }
}

/// A home in the west, two public hosts in the east, one behind an office in the south.
fn world() -> Topology {
    let public = |name: &str, region: &str| Host::in_region(name, region, Access::both(delay(2)));
    Topology {
        routers: vec![placed("home", true, "west"), placed("office", false, "south")],
        hosts: vec![
            Host::new("a", Some("home"), Access::default()),
            public("b", "east"),
            public("c", "east"),
            Host::new("d", Some("office"), Access::default()),
        ],
        transits: vec![
            transit("east", "west", 40, 44),
            transit("south", "east", 90, 91),
            transit("south", "west", 70, 71),
        ],
    }
}

#[test]
fn the_core_is_what_it_was() {
    let plan = plan(&world()).unwrap();
    let lines = plan.steps.iter().filter_map(|step| match step {
        LabStep::AddRouter { place: place @ (Place::Internet | Place::Region(_)), config } => {
            Some(format!("{place:?} {:?}", config.outside))
        }
        LabStep::AddLink { name, from: from @ Place::Region(_), to, config } => {
            Some(format!("{name}: {from:?} to {to:?}, {} ms", config.delay_ns / MS))
        }
        LabStep::AddRoute { at: at @ (Place::Internet | Place::Region(_)), to, via } => {
            let to = to.map_or("all others".into(), |to| format!("{}/{}", to.addr(), to.len()));
            Some(format!("{at:?}: {to} via {via}"))
        }
        LabStep::AddServers { of, addresses, services } => Some(format!("{of:?} {addresses:?} {services:?}")),
        _ => None,
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

/// When a packet between two hosts arrives, in virtual time.
fn arrival(built: &mut Built<()>, addresses: [IpAddr; 2], from: &str, to: &str) -> Option<u64> {
    let node = |name: &str| built.nodes[&Place::Host(name.into())];
    let (from, to) = (node(from), node(to));
    let [src, dst] = [(addresses[0], 5000), (addresses[1], 6000)].map(|end| SocketAddr::from(end).to_string());
    let packet = Packet::udp(&src, &dst, 100, ()).unwrap();
    built.fabric.ingress(Time::ZERO, from, packet);
    let mut arrived = None;
    while let Some(now) = built.fabric.next_wakeup() {
        while let Some(out) = built.fabric.poll(now) {
            if out.host == to {
                arrived = Some(out.scheduled.as_nanos());
            }
        }
    }
    arrived
}

#[test]
fn packets_take_what_paths_say() {
    let topology = world();
    let plan = plan(&topology).unwrap();
    for (from, to, expect_ms) in [
        ("a", "b", Some(1 + 44 + 2)),
        ("b", "c", Some(2 + 2)),
        ("a", "d", Some(1 + 71 + 1)),
        ("b", "d", Some(2 + 91 + 1)),
        ("d", "b", Some(1 + 90 + 2)),
        // The home's filter.
        ("b", "a", None),
    ] {
        let external = |name: &str| match name {
            "a" => IpAddr::V4(plan.addresses.external("home").unwrap()),
            _ => plan.addresses.hosts[name][0],
        };
        let mut built = build(&plan.steps, Fabric::new(1));
        let source = plan.addresses.hosts[from][0];
        let arrived = arrival(&mut built, [source, external(to)], from, to);
        assert_eq!(arrived, expect_ms.map(|ms| ms * MS), "{from} to {to}");
        if let Some(ms) = expect_ms {
            assert_eq!(path(&topology, from, to).unwrap().idle_delay_ns(0), ms * MS, "{from} to {to}");
        }
    }
    // Both families know the way.
    let mut built = build(&plan.steps, Fabric::new(1));
    let [b, d] = ["b", "d"].map(|name| plan.addresses.hosts[name][1]);
    assert_eq!(arrival(&mut built, [d, b], "d", "b"), Some(93 * MS));
    let names: Vec<String> = way(&topology, "a", "b").unwrap().iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names, ["a.link up", "home.uplink up", "east.west.transit down", "b.link down"]);
}

/// A router and a host that get other addresses are as far away as before.
#[test]
fn what_moves_stays_in_its_region() {
    let topology = world();
    let plan = plan(&topology).unwrap();
    let mut addresses = plan.addresses.clone();
    let mut built = build(&plan.steps, Fabric::new(1));
    let outside = addresses.renumber("home").unwrap();
    built.fabric.renumber(Time::ZERO, built.nodes[&Place::Router("home".into())], outside.clone());
    let link = built.links.iter().find(|(name, _)| name.to_string() == "b.link down").unwrap().1;
    let b = addresses.renumber_host("b", Interface::ONLY).unwrap();
    built.fabric.readdress(link, &b);
    let a = plan.addresses.hosts["a"][0];
    assert_eq!(arrival(&mut built, [a, b[0]], "a", "b"), Some(47 * MS));
    let [c, d] = ["c", "d"].map(|name| plan.addresses.hosts[name][0]);
    for (src, from, dst, to, expect) in [(c, "c", b[0], "b", 4), (d, "d", b[0], "b", 93), (d, "d", c, "c", 93)] {
        let mut again = build(&plan.steps, Fabric::new(1));
        again.fabric.renumber(Time::ZERO, again.nodes[&Place::Router("home".into())], outside.clone());
        again.fabric.readdress(link, &b);
        assert_eq!(arrival(&mut again, [src, dst], from, to), Some(expect * MS), "{from} to {to}");
    }
    // What lets strangers in shows the way back.
    let mut open = world();
    open.routers[0].gateway.nat = Some(NatConfig { filtering: Filtering::EndpointIndependent, ..NatConfig::default() });
    let plan = netsim_topology::plan(&open).unwrap();
    let mut built = build(&plan.steps, Fabric::new(1));
    built.fabric.renumber(Time::ZERO, built.nodes[&Place::Router("home".into())], outside.clone());
    assert!(arrival(&mut built, [a, c], "a", "c").is_some());
    let answer = Packet::udp(
        &SocketAddr::from((c, 6000)).to_string(),
        &SocketAddr::from((outside[0], 5000)).to_string(),
        100,
        (),
    );
    let now = Time::from_nanos(100 * MS);
    built.fabric.ingress(now, built.nodes[&Place::Host("c".into())], answer.unwrap());
    let arrived = std::iter::from_fn(|| {
        let now = built.fabric.next_wakeup()?;
        Some(built.fabric.poll(now))
    });
    let arrived: Vec<_> = arrived.flatten().map(|out| out.scheduled.nanos_since(now)).collect();
    assert_eq!(arrived, [43 * MS]);
}

#[test]
fn access_ends_where_it_is_asked_to() {
    let topology = world();
    let ways = |at| access_path(&topology, "a", at).unwrap().map(|path| path.idle_delay_ns(0) / MS);
    assert_eq!(ways(None), [1, 1]);
    assert_eq!(ways(Some("west")), [1, 1]);
    assert_eq!(ways(Some("east")), [45, 41]);
    assert_eq!((region(&topology, "a"), region(&topology, "d")), (Some("west"), Some("south")));
    assert_eq!((topology.regions(), region(&topology, "nobody")), (vec!["east", "south", "west"], None));
}

#[test]
fn links_between_regions_have_names() {
    let mut topology = world();
    assert_eq!(topology.link_names().last().unwrap(), "south.west.transit");
    topology.access_mut("east.west.transit").unwrap().up = delay(7);
    assert_eq!(path(&topology, "b", "a").unwrap().idle_delay_ns(0), (2 + 7 + 1) * MS);
}

#[test]
fn mistakes_are_named() {
    let changed = |change: fn(&mut Topology)| {
        let mut topology = world();
        change(&mut topology);
        plan(&topology).unwrap_err().to_string()
    };
    let errors = [
        changed(|world| world.hosts[1].interfaces[0].region = None),
        changed(|world| world.routers[0].region = None),
        changed(|world| world.hosts[0].interfaces[0].region = Some("west".into())),
        changed(|world| world.hosts[2].interfaces[0].region = Some("north".into())),
        changed(|world| world.transits.push(transit("west", "east", 1, 1))),
        changed(|world| world.transits.push(transit("west", "west", 1, 1))),
        changed(|world| world.hosts[1].name = "east".into()),
        changed(|world| {
            world
                .hosts
                .extend((0..51).map(|n| Host::in_region(&format!("h{n}"), &format!("r{n:02}"), Access::default())));
            let names: Vec<String> = world.regions().into_iter().map(String::from).collect();
            let all = names.iter().enumerate().flat_map(|(n, a)| names[..n].iter().map(|b| transit(b, a, 1, 1)));
            world.transits = all.collect();
        }),
    ];
    insta::assert_snapshot!(errors.join("\n"));
}
