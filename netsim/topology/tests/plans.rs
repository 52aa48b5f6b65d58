//! Plans as snapshots, and every reason to refuse one.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use netsim_fabric::{Fabric, Jitter, LinkConfig, Loss, NatConfig, Packet, Probability, Queue, Rate, Time};
use netsim_topology::{
    Access, Gateway, Host, Interface, Ipv6, LabStep, Lan, Place, Plan, Router, Topology, build, nat_preset, path, plan,
    with_kernel_routers,
};
use std::net::IpAddr;
use std::num::NonZeroU64;

fn dsl() -> Access {
    let rate = |mbit: u64| Rate::Constant(NonZeroU64::new(mbit * 1_000_000).unwrap());
    let base = LinkConfig { delay_ns: 10_000_000, queue: Queue::drop_tail(65_536), ..LinkConfig::default() };
    Access { up: LinkConfig { rate: rate(1), ..base.clone() }, down: LinkConfig { rate: rate(16), ..base } }
}

fn host(name: &str, behind: Option<&str>) -> Host {
    Host::new(name, behind, Access::default())
}

fn router(name: &str, nat: bool) -> Router {
    let gateway = if nat { Gateway::with_nat(NatConfig::default()) } else { Gateway::OPEN };
    Router::new(name, gateway, dsl())
}

fn topology() -> Topology {
    Topology {
        routers: vec![router("home", true), router("office", false)],
        hosts: vec![host("bob", Some("home")), host("carol", Some("office")), host("alice", None)],
        ..Topology::default()
    }
}

#[test]
fn a_plan_is_what_it_was() {
    insta::assert_debug_snapshot!(plan(&topology()).unwrap());
}

#[test]
fn mistakes_are_named() {
    let mut duplicate = topology();
    duplicate.hosts.push(host("home", None));
    let mut lost = topology();
    lost.hosts.push(host("dave", Some("hoem")));
    let mut jumpy = topology();
    jumpy.hosts[2].interfaces[0].link.down.jitter = Jitter::Uniform { ns: 1 };
    let mut crowded = topology();
    crowded.hosts.extend((0..245).map(|n| host(&format!("h{n}"), Some("home"))));
    let errors: Vec<String> =
        [duplicate, lost, jumpy, crowded].iter().map(|topology| plan(topology).unwrap_err().to_string()).collect();
    insta::assert_snapshot!(errors.join("\n"), @r#"
    two hosts, routers or regions are named `home`; give one of them another name
    host `dave` is behind `hoem`, but there is no router of that name; there are: home, office
    `alice.link down`: jitter is larger than the delay it varies; raise the delay or lower the jitter
    `home` holds at most 245 addresses, the topology needs more; `lan = "corporate"` has the most
    "#);
}

#[test]
fn paths_add_up() {
    let mut topology = topology();
    let loss = Loss::Bernoulli(Probability::from_ppb(10_000_000).unwrap());
    topology.hosts[0].interfaces[0].link.up.loss = loss.clone();
    topology.routers[0].uplink.up.loss = loss;
    let up = path(&topology, "bob", "alice").unwrap();
    assert_eq!(up.links.len(), 3);
    assert_eq!(up.idle_delay_ns(1250), 10_000_000 + 10_000_000, "propagation and 10 ms of serialisation at 1 Mbit/s");
    assert_eq!(up.loss_ppb(), 19_900_000);
    assert_eq!(up.rate_bps().unwrap().get(), 1_000_000);
    assert_eq!(path(&topology, "alice", "bob").unwrap().rate_bps().unwrap().get(), 16_000_000);
    assert_eq!(path(&topology, "bob", "carol").unwrap().links.len(), 4);
    assert_eq!(path(&topology, "bob", "nobody"), None);
}

fn behind(upstream: &str, router: Router) -> Router {
    Router { behind: Some(upstream.into()), ..router }
}

/// A home behind another home behind a carrier, an open router behind the first home, a company.
fn nested() -> Topology {
    let carrier = Gateway { lan: Lan::Carrier, ..Gateway::with_nat(NatConfig::default()) };
    let company = Gateway { lan: Lan::Corporate, ..Gateway::with_nat(NatConfig::default()) };
    let bridge = Gateway { ipv6: Ipv6::None, ..Gateway::OPEN };
    Topology {
        // Inner routers may come first.
        routers: vec![
            behind("outer", router("inner", true)),
            behind("outer", Router::new("bridge", bridge, dsl())),
            behind("carrier", router("outer", true)),
            Router::new("carrier", carrier, dsl()),
            Router::new("company", company, dsl()),
        ],
        hosts: vec![
            host("a", Some("inner")),
            host("b", Some("bridge")),
            host("c", Some("carrier")),
            host("d", Some("company")),
            host("e", None),
        ],
        ..Topology::default()
    }
}

#[test]
fn nested_networks_do_not_collide() {
    let plan = plan(&nested()).unwrap();
    for (host, expect) in
        [("a", "192.168.2.10"), ("b", "192.168.1.11"), ("c", "100.64.0.11"), ("d", "10.0.0.10"), ("e", "198.18.0.3")]
    {
        assert_eq!(plan.addresses.hosts[host][0].to_string(), expect, "{host}");
    }
    for (router, external, inside) in [
        ("inner", "192.168.1.10", "192.168.2.1"),
        ("bridge", "192.168.1.12", "192.168.1.12"),
        ("outer", "100.64.0.10", "192.168.1.1"),
        ("carrier", "198.18.0.1", "100.64.0.1"),
    ] {
        assert_eq!(plan.addresses.external(router).unwrap().to_string(), external, "{router}");
        assert_eq!(plan.addresses.routers[router].inside[0].to_string(), inside, "{router}");
    }
}

#[test]
fn nested_hosts_reach_each_other() {
    let plan = plan(&nested()).unwrap();
    // (from, to, arrives): outwards always, to a neighbour's network where it is known.
    for (from, to, arrives) in
        [("a", "e", true), ("b", "e", true), ("a", "b", true), ("a", "c", true), ("c", "a", false), ("e", "d", false)]
    {
        let mut built = build(&plan.steps, Fabric::<u32>::new(1));
        let address = |host: &str| format!("{}:9", plan.addresses.hosts[host][0]);
        let packet = Packet::udp(&address(from), &address(to), 100, 0).unwrap();
        let node = |host: &str| built.nodes[&Place::Host(host.into())];
        let (from_node, to_node) = (node(from), node(to));
        built.fabric.ingress(Time::ZERO, from_node, packet);
        let got = built.fabric.poll(Time::from_nanos(u64::MAX)).map(|egress| egress.host);
        assert_eq!(got, arrives.then_some(to_node), "{from} to {to}");
    }
}

#[test]
fn paths_meet_at_the_lowest_common_router() {
    for (from, to, links) in [("a", "b", 4), ("a", "c", 4), ("a", "e", 5), ("a", "d", 6), ("d", "a", 6), ("e", "c", 3)]
    {
        assert_eq!(path(&nested(), from, to).unwrap().links.len(), links, "{from} to {to}");
    }
}

#[test]
fn mistakes_between_routers_are_named() {
    let mut circle = nested();
    circle.routers[3].behind = Some("inner".into());
    let mut lost = nested();
    lost.routers[0].behind = Some("otuer".into());
    let mut dry = nested();
    dry.routers[1].gateway.ipv6 = Ipv6::Firewall;
    let mut mute = nested();
    mute.routers[4].gateway = Gateway { ipv6: Ipv6::Nat64, ..Gateway::OPEN };
    let errors: Vec<String> =
        [circle, lost, dry, mute].iter().map(|topology| plan(topology).unwrap_err().to_string()).collect();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn a_thousand_hosts_are_planned() {
    // 250 routers of 4 hosts each, 50 of them behind the others; and a network of 10,000.
    let name = |n: usize| format!("r{n}");
    let routers: Vec<Router> = (0..250)
        .map(|n| if n < 200 { router(&name(n), true) } else { behind(&name(n - 200), router(&name(n), true)) })
        .collect();
    let hosts = (0..1000).map(|n| host(&format!("h{n}"), Some(&name(n / 4)))).collect();
    let planned = plan(&Topology { routers, hosts, ..Topology::default() }).unwrap();
    assert_eq!(planned.addresses.hosts.len(), 1000);
    // Two for every place, and two to the internet's servers.
    assert_eq!(build(&planned.steps, Fabric::<u32>::new(1)).links.len(), 2 * 1251);

    let company = Gateway { lan: Lan::Corporate, ..Gateway::with_nat(NatConfig::default()) };
    let hosts = (0..10_000).map(|n| host(&format!("h{n}"), Some("company"))).collect();
    let planned =
        plan(&Topology { routers: vec![Router::new("company", company, dsl())], hosts, ..Topology::default() })
            .unwrap();
    assert_eq!(planned.addresses.hosts["h9999"][0].to_string(), "10.0.39.25");
}

/// Links keep their numbers, and a router that does nothing stays the fabric's.
#[test]
fn kernels_take_the_place_of_routers_that_do_something() {
    let plan = plan(&topology()).unwrap();
    let kernels = with_kernel_routers(&plan);
    let links = |plan: &Plan| -> Vec<_> { build(&plan.steps, Fabric::<()>::new(1)).links };
    let (before, after) = (links(&plan), links(&kernels));
    assert_eq!(after[..before.len()], before);
    let new: Vec<String> = after[before.len()..].iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(new, ["home.inner up", "home.inner down"]);
    let described: Vec<String> = kernels
        .steps
        .iter()
        .filter_map(|step| match step {
            LabStep::AddKernelRouter { name, inside, .. } => Some(format!("{name} reaches {inside:?}")),
            LabStep::AddLink { name, from, to, .. } if name.link.starts_with("home") => {
                Some(format!("{name}: {from:?} to {to:?}"))
            }
            LabStep::AddRoute { at, to, via } if via.link.starts_with("home") => {
                Some(format!("{at:?}: {to:?} via {via}"))
            }
            _ => None,
        })
        .collect();
    insta::assert_debug_snapshot!(described);
}

#[test]
fn a_renumbered_router_gets_addresses_that_nobody_has() {
    let nat = |name: &str, behind: Option<&str>| {
        let gateway = nat_preset(name).unwrap();
        Router { behind: behind.map(Into::into), ..Router::new(name, gateway, Access::default()) }
    };
    let routers = vec![nat("cgnat", None), nat("fritzbox", None), nat("home", Some("cgnat")), nat("no-nat", None)];
    let hosts = vec![host("a", Some("home")), host("b", Some("cgnat")), host("c", None)];
    let first = plan(&Topology { routers, hosts, ..Topology::default() }).unwrap().addresses;
    let mut addresses = first.clone();
    for router in ["cgnat", "home", "fritzbox", "cgnat"] {
        let before = addresses.clone();
        let outside = addresses.renumber(router).unwrap();
        assert_eq!(outside, addresses.routers[router].outside);
        assert_eq!(outside.len(), before.routers[router].outside.len());
        let taken = before.hosts.values().chain(before.routers.values().map(|router| &router.outside)).flatten();
        let taken: Vec<&std::net::IpAddr> = taken.filter(|addr| addr.is_ipv4()).collect();
        assert!(outside.iter().all(|addr| !taken.contains(&addr)), "{router}: {outside:?} of {taken:?}");
        let is_v6 = |addr: &&std::net::IpAddr| addr.is_ipv6();
        let old = first.routers[router].outside.iter().filter(is_v6);
        assert!(outside.iter().filter(is_v6).eq(old), "the prefix stays");
    }
    assert_eq!((addresses.renumber("no-nat"), addresses.renumber("nobody")), (None, None));
}

/// A phone at home and at a carrier, with something before and after it.
fn phone(mobile_first: bool) -> Host {
    let interface = |name: &str, behind: &str, up| Interface {
        name: name.into(),
        behind: Some(behind.into()),
        region: None,
        link: Access::default(),
        up,
    };
    Host {
        name: "phone".into(),
        interfaces: vec![interface("wifi", "home", !mobile_first), interface("mobile", "office", true)],
    }
}

#[test]
fn a_host_with_two_interfaces_has_two_of_everything() {
    let mut topology = topology();
    topology.hosts.insert(1, phone(false));
    let plan = plan(&topology).unwrap();
    let interface = |name| plan.addresses.interface("phone", name).to_vec();
    assert_eq!(plan.addresses.hosts["phone"], interface("wifi"), "it is known by the one it uses at first");
    assert_eq!(interface("wifi")[0].to_string(), "192.168.1.11");
    assert_eq!((interface("mobile").len(), plan.addresses.interface("phone", "wlan").len()), (2, 0));
    assert_eq!(plan.addresses.interface("bob", "net0"), plan.addresses.hosts["bob"]);
    let described = plan.steps.iter().filter_map(|step| match step {
        LabStep::AddHost { name, resolvers } if name == "phone" => Some(format!("{name} asks {resolvers:?}")),
        LabStep::AddInterface { host, place, name, addresses, rank, up, link, .. } if host == "phone" => {
            Some(format!("{name} at {place:?}, {link}: {addresses:?} rank {rank:?} up {up}"))
        }
        LabStep::AddLink { name, from, to, .. } if name.link.starts_with("phone") => {
            Some(format!("{name}: {from:?} to {to:?}"))
        }
        LabStep::AddRoute { at, to, via } if via.link.starts_with("phone") => {
            Some(format!("{at:?}: {} via {via}", to.unwrap().addr()))
        }
        _ => None,
    });
    insta::assert_debug_snapshot!(described.collect::<Vec<_>>());
    topology.hosts[1] = phone(true);
    let other = netsim_topology::plan(&topology).unwrap().addresses;
    assert_eq!(other.hosts["phone"], other.interface("phone", "mobile"), "the preferred one is down");
    assert_eq!(path(&topology, "phone", "carol").unwrap().links.len(), 2, "neighbours then");
    assert_eq!(topology.link_names()[3..5], ["phone.wifi.link", "phone.mobile.link"]);
    assert!(topology.access_mut("phone.mobile.link").is_some() && topology.access_mut("phone.link").is_none());
}

/// Otherwise nothing could be compared with what was measured before.
#[test]
fn a_further_interface_changes_nobody_elses_numbers() {
    let mut topology = topology();
    let mut alone = phone(false);
    alone.interfaces.truncate(1);
    topology.hosts.insert(1, alone);
    let one = plan(&topology).unwrap();
    topology.hosts[1] = phone(false);
    let two = plan(&topology).unwrap();
    for (host, addresses) in &one.addresses.hosts {
        assert_eq!(two.addresses.hosts[host], *addresses, "{host}");
    }
    assert_eq!(one.addresses.routers, two.addresses.routers);
    let links = |plan: &Plan| -> Vec<String> {
        let links = build(&plan.steps, Fabric::<()>::new(1)).links;
        links.into_iter().map(|(name, _)| name.to_string()).filter(|name| !name.contains("servers")).collect()
    };
    let rename = |name: String| name.replace("phone.link", "phone.wifi.link");
    let before: Vec<String> = links(&one).into_iter().map(rename).collect();
    assert_eq!(links(&two)[..before.len()], before);
}

#[test]
fn a_renumbered_host_gets_addresses_that_nobody_has() {
    let mut topology = topology();
    topology.hosts.push(phone(false));
    let first = plan(&topology).unwrap().addresses;
    let mut addresses = first;
    for (host, interface) in
        [("bob", "net0"), ("phone", "wifi"), ("phone", "mobile"), ("alice", "net0"), ("bob", "net0")]
    {
        let before = addresses.clone();
        let new = addresses.renumber_host(host, interface).unwrap();
        assert_eq!(new, addresses.interface(host, interface));
        let old = before.interface(host, interface);
        assert_eq!(new.len(), old.len());
        let taken: Vec<&IpAddr> = before.hosts.values().chain(before.interfaces["phone"].values()).flatten().collect();
        for (new, old) in new.iter().zip(old) {
            assert!(!taken.contains(&new), "{new} of {taken:?}");
            let net = |addr: &IpAddr| addr.to_string().rsplit_once(['.', ':']).unwrap().0.to_owned();
            assert_eq!((new.is_ipv4(), net(new)), (old.is_ipv4(), net(old)));
        }
    }
    assert_eq!(addresses.hosts["phone"], addresses.interface("phone", "wifi"), "it is known by the new one");
    assert_eq!((addresses.renumber_host("phone", "lan"), addresses.renumber_host("home", "net0")), (None, None));
}

#[test]
fn mistakes_in_interfaces_are_named() {
    let named = |name: &str| {
        let mut host = phone(false);
        host.interfaces[1].name = name.into();
        host
    };
    let mut nothing_up = phone(true);
    nothing_up.interfaces[1].up = false;
    let mut lost = phone(false);
    lost.interfaces[1].behind = Some("carrier".into());
    let twin = host("phone.wifi", None);
    let rows = [
        vec![named("wifi")],
        vec![named("mobile data")],
        vec![named("a-name-too-long!")],
        vec![named("lo")],
        vec![nothing_up],
        vec![lost],
        vec![phone(false), twin],
    ];
    let error = |hosts: &Vec<Host>| {
        let mut topology = topology();
        topology.hosts.extend(hosts.clone());
        plan(&topology).unwrap_err().to_string()
    };
    insta::assert_snapshot!(rows.iter().map(error).collect::<Vec<_>>().join("\n"));
}

/// Scenarios are hashed by how they read: a host with one interface reads as hosts did before there were several.
#[test]
fn a_host_with_one_interface_reads_as_one() {
    let text = format!("{:?}", host("a", Some("home")));
    assert!(text.starts_with("Host { name: \"a\", behind: Some(\"home\"), link: Access { up: LinkConfig {"), "{text}");
    let mut named = host("a", None);
    named.interfaces[0].name = "wifi".into();
    for text in [format!("{named:?}"), format!("{:?}", phone(false))] {
        assert!(text.contains("interfaces: [Interface { name: \"wifi\""), "{text}");
    }
}
