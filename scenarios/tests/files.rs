//! What users write and what they are told: shipped files as snapshots, mistakes as rows.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use longhaul_scenarios::{Scenario, suite};
use netsim_fabric::{Collision, Hairpin, NatConfig};
use netsim_topology::{Gateway, Ipv6, LINK_PRESETS, Lan, NAT_PRESETS, nat_preset};
use std::num::NonZeroU16;

fn shipped(file: &str, text: &str) -> Vec<Scenario> {
    let none = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    Scenario::expand(file, text, &none).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_shipped_scenario_explains_itself() {
    // Of many combinations one speaks for all.
    const FEW: usize = 20;
    let mut words = Vec::new();
    for (file, text) in suite() {
        let all = shipped(file, text);
        assert_eq!(*file, format!("suite/{}.toml", all[0].family()), "others extend it by its name");
        let shown = if all.len() > FEW { 1 } else { all.len() };
        words.extend(all[..shown].iter().map(|scenario| format!("{}: {}", scenario.name, scenario.words())));
        if shown < all.len() {
            words.push(format!("… {} of {}", all[all.len() - 1].name, all.len()));
        }
    }
    insta::assert_snapshot!(words.join("\n"));
}

#[test]
fn every_preset_is_in_its_suite() {
    let names = |family: &str| -> Vec<String> {
        let (file, text) = suite().iter().find(|(file, _)| *file == format!("suite/{family}.toml")).unwrap();
        shipped(file, text).into_iter().map(|scenario| scenario.name).collect()
    };
    let links: Vec<String> = LINK_PRESETS.iter().map(|preset| format!("presets[link={}]", preset.name)).collect();
    assert_eq!(names("presets"), links);
    let pair = |a: &str, b: &str| format!("nat[nat.a={a},nat.b={b}]");
    // Some are other names of others.
    let is_first = |n: usize| NAT_PRESETS[..n].iter().all(|other| other.gateway() != NAT_PRESETS[n].gateway());
    let different: Vec<&str> = (0..NAT_PRESETS.len()).filter(|n| is_first(*n)).map(|n| NAT_PRESETS[n].name).collect();
    let both = different.iter().flat_map(|a| different.iter().map(|b| pair(a, b)));
    assert_eq!(names("nat"), both.collect::<Vec<_>>());
}

/// What `quick` is, a page of results compares with the last one.
#[test]
fn the_quick_suite_is_what_it_was() {
    let all: Vec<Scenario> = suite().iter().flat_map(|(file, text)| shipped(file, text)).collect();
    let quick = all.iter().filter(|scenario| scenario.tags.iter().any(|tag| tag == "quick"));
    let names: Vec<&str> = quick.map(|scenario| scenario.name.as_str()).collect();
    assert_eq!(names, ["local", "latency-20ms", "latency-200ms", "lossy-1pct", "home-nat", "dsl", "tree"]);
}

/// All but the largest matrices, which take a while.
fn most() -> Vec<Scenario> {
    let large = ["suite/nat.toml", "suite/throughput.toml"];
    let few = suite().iter().filter(|(file, _)| !large.contains(file));
    few.flat_map(|(file, text)| shipped(file, text)).collect()
}

/// What is slow on one machine is slower on another: suites may take a third of their limit where nothing holds them up.
#[test]
fn suites_keep_their_limits() {
    let all = most();
    for (tag, minutes) in [("quick", 3.0), ("ci", 20.0), ("adverse", 20.0), ("reported", 20.0)] {
        let own = all.iter().filter(|scenario| scenario.tags.iter().any(|other| other == tag));
        let seconds: f64 = own.map(|scenario| scenario.estimate().as_secs_f64()).sum();
        assert!(seconds > 10.0 && seconds / 60.0 < minutes / 3.0, "{tag}: {seconds} s");
    }
}

#[test]
fn providers_behind_routers_cannot_be_reached() {
    let all = most();
    for (name, expect) in [
        ("home-nat", true),
        // Both are behind the same router.
        ("backup[radio=near]", true),
        ("wifi-to-mobile", true),
        ("nat-change[change=get-reboot]", true),
        ("nat-change[change=provide-reboot]", false),
        ("integration[peers=2_to_4,way=direct]", true),
        ("integration[peers=2_to_4,way=relay]", false),
        ("reported-symmetric", false),
    ] {
        let scenario = all.iter().find(|scenario| scenario.name == name).unwrap_or_else(|| panic!("{name} is gone"));
        assert_eq!(scenario.is_reachable(), expect, "{name}");
    }
}

/// A good scenario, to be broken one place at a time.
const GOOD: &str = r#"
schema = 1
name = "good"
[[router]]
name = "home"
nat = "home"
uplink = { delay = "5ms" }
[[host]]
name = "alice"
[[host]]
name = "bob"
behind = "home"
link = { delay = "40ms", loss = "1%", rate = "50Mbit", queue = "64KiB" }
[payload]
kind = "random"
size = "1MiB"
[roles]
provider = ["alice"]
fetcher = ["bob"]
"#;

#[test]
fn mistakes_name_file_key_and_fix() {
    let rows = [
        ("delay = \"40ms\"", "dealy = \"40ms\""),
        ("\"40ms\"", "\"-5ms\""),
        ("\"40ms\"", "40"),
        ("\"40ms\"", "\"40 sec\""),
        ("\"1%\"", "\"120%\""),
        ("\"1%\"", "\"0.01\""),
        ("\"50Mbit\"", "\"0Mbit\""),
        ("behind = \"home\"", "behind = \"hoem\""),
        ("nat = \"home\"", "nat = \"hmoe\""),
        ("nat = \"home\"", "nat = { mapping = \"symmetric\" }"),
        ("nat = \"home\"", "nat = 5"),
        ("nat = \"home\"", "nat = { lifetme = \"60min\" }"),
        ("nat = \"home\"", "nat = \"home\"\nfirewall = \"strict\""),
        ("nat = \"home\"", "nat = \"home\"\nbehind = \"carrier\""),
        ("nat = \"home\"", "nat = \"home\"\nbehind = \"home\""),
        ("fetcher = [\"bob\"]", "fetcher = [\"bbo\"]"),
        ("fetcher = [\"bob\"]", "fetcher = [\"alice\"]"),
        ("fetcher = [\"bob\"]", "fetcher = [\"alice\", \"bob\"]"),
        ("size = \"1MiB\"", ""),
        ("kind = \"random\"", "kind = \"video\""),
        ("name = \"good\"", "name = \"Good <script>\""),
        ("schema = 1", "schema = 2"),
        ("name = \"alice\"", "name = \"bob\""),
        ("link = {", "link = { jitter = \"41ms\","),
        ("[roles]", "[roles"),
        ("[[host]]\nname = \"alice\"", ""),
        ("[payload]", "[measure]\nrepeat = 0\n[payload]"),
    ];
    let errors: Vec<String> = rows
        .iter()
        .map(|(from, to)| {
            assert!(GOOD.contains(from), "{from}");
            Scenario::parse("my.toml", &GOOD.replacen(from, to, 1)).unwrap_err().to_string()
        })
        .collect();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn routers_are_what_their_keys_say() {
    let gateway = |keys: &str| {
        let text = GOOD.replace("nat = \"home\"", keys);
        Scenario::parse("x", &text).unwrap_or_else(|error| panic!("{keys}: {error}")).topology.routers[0].gateway
    };
    for preset in NAT_PRESETS {
        assert_eq!(gateway(&format!("nat = {:?}", preset.name)), preset.gateway());
        assert_eq!(nat_preset(preset.name), Some(preset.gateway()));
        assert!(!preset.summary.is_empty());
    }
    assert_eq!(gateway(""), Gateway::OPEN);
    let nat = NatConfig::default();
    let linux = nat_preset("linux").unwrap();
    let linux_for_10_s = NatConfig { settling_ns: Some(10_000_000_000), ..linux.nat.unwrap() };
    for (keys, expect) in [
        ("nat = {}", Gateway::with_nat(nat)),
        ("nat = { hairpin = false }", Gateway::with_nat(NatConfig { hairpin: Hairpin::Off, ..nat })),
        ("nat = { preset = \"linux\" }", linux),
        ("nat = { preset = \"linux\", settling = \"10s\" }", Gateway { nat: Some(linux_for_10_s), ..linux }),
        (
            "nat = { port_block = 512, collision = \"overload\", parity = true, hairpin = \"internal-source\" }",
            Gateway::with_nat(NatConfig {
                port_block: NonZeroU16::new(512),
                collision: Collision::Overload,
                parity: true,
                hairpin: Hairpin::InternalSource,
                ..nat
            }),
        ),
        (
            "nat = { lifetime = \"60min\", unanswered_timeout = \"30s\" }",
            Gateway::with_nat(NatConfig {
                lifetime_ns: Some(3_600_000_000_000),
                unanswered_timeout_ns: Some(30_000_000_000),
                ..nat
            }),
        ),
        (
            "nat = {}\nipv6 = \"masquerade\"\nlan = \"carrier\"\nport_mapping = true",
            Gateway { ipv6: Ipv6::Masquerade(nat), lan: Lan::Carrier, port_mapping: true, ..Gateway::with_nat(nat) },
        ),
    ] {
        assert_eq!(gateway(keys), expect, "{keys}");
    }
}

#[test]
fn the_hash_follows_what_matters() {
    let hash = |text: &str| Scenario::parse("x", text).unwrap().hash();
    let base = hash(GOOD);
    assert_eq!(base, hash(&GOOD.replace("schema = 1", "schema = 1\nsummary = \"nicer\"\ntags = [\"x\"]")));
    assert_eq!(base, hash(&GOOD.replace("\"40ms\"", "\"0.04s\"")));
    assert_ne!(base, hash(&GOOD.replace("\"40ms\"", "\"41ms\"")));
    assert_ne!(base, hash(&GOOD.replace("\"1MiB\"", "\"2MiB\"")));
    assert_ne!(base, hash(&GOOD.replace("nat = \"home\"", "nat = \"symmetric\"")));
}
