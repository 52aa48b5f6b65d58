//! Files that are others with some keys changed, files that are many, and places all over the world.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use longhaul_scenarios::{FileError, Scenario};
use netsim_topology::path;
use proptest::prelude::*;

const BASE: &str = r#"
schema = 1
name = "base"
summary = "The base"
tags = ["quick"]
[[router]]
name = "home"
nat = "home"
uplink = { preset = "cable", down = { rate = "100Mbit" } }
[[host]]
name = "alice"
[[host]]
name = "bob"
behind = "home"
link = "wifi-good"
[payload]
kind = "random"
size = "1MiB"
[roles]
provider = "alice"
fetcher = "bob"
[[at]]
time = "1s"
reboot = "home"
[matrix]
size = ["1MiB", "2MiB"]
"#;

/// Files beside the one that is read.
fn read(path: &str) -> std::io::Result<String> {
    let own = |name: &str, extend: &str, rest: &str| format!("name = {name:?}\nextend = {extend:?}\n{rest}");
    match path {
        "base.toml" => Ok(BASE.into()),
        "middle.toml" => Ok(own("middle", "base.toml", "[measure]\ntimeout = \"90s\"\n")),
        "round.toml" => Ok(own("round", "about.toml", "")),
        "about.toml" => Ok(own("about", "round.toml", "")),
        "broken.toml" => Ok("name = ".into()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    }
}

fn expand(text: &str) -> Result<Vec<Scenario>, FileError> {
    Scenario::expand("my.toml", text, &read)
}

fn one(text: &str) -> Scenario {
    let mut all = expand(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn extending(base: &str, rest: &str) -> String {
    format!("name = \"mine\"\nextend = {base:?}\n{rest}")
}

#[test]
fn an_extended_scenario_is_the_other_with_changes() {
    let base = one(BASE.split("[matrix]").next().unwrap());
    let same = one(&extending("base.toml", ""));
    assert_eq!((same.name.as_str(), same.summary.as_str(), same.tags.len()), ("mine", "", 0));
    assert_eq!(same.resolved().replace("\"mine\"", "\"base\""), base.resolved());
    let changed = one(&extending(
        "middle.toml",
        r#"
        tags = ["mine"]
        at = []
        [[router]]
        name = "home"
        nat = { timeout = "30s" }
        uplink = { loss = "1%", rate = "50Mbit" }
        [[router]]
        name = "office"
        [[host]]
        name = "bob"
        link = { delay = "9ms" }
        [[host]]
        name = "carol"
        behind = "office"
        [payload]
        size = "5MiB"
        [roles]
        fetcher = ["carol"]
        "#,
    ));
    assert_eq!(changed.bases, ["middle.toml", "base.toml"]);
    insta::assert_snapshot!(changed.resolved());
}

#[test]
fn keys_that_exclude_each_other_take_each_others_place() {
    let host = |rest: &str| {
        let mut scenario = one(&extending("base.toml", &format!("at = []\n[[host]]\nname = \"bob\"\n{rest}")));
        scenario.topology.hosts.remove(1)
    };
    let several = host("[[host.interface]]\nname = \"wifi\"\n[[host.interface]]\nname = \"lte\"");
    assert!(several.interfaces.len() == 2 && several.interfaces[0].behind.is_none(), "{several:?}");
    let traced = host("link = { preset = \"4g\", rate = \"5Mbit\" }");
    assert_eq!(traced.interfaces[0].link.down.rate.mean_bps().unwrap().get(), 5_000_000);
    let text = extending("base.toml", "[payload]\nkind = \"tree\"\npaths = [\"/usr/include\"]");
    assert!(one(&text).words().contains("small files"));
}

/// The value of a matrix, and where its scenarios' names and a part of their resolved forms are.
#[test]
fn a_matrix_is_one_scenario_for_each_combination() {
    let with = |matrix: &str| extending("base.toml", &format!("at = []\n[matrix]\n{matrix}"));
    let rows = [
        "size = [\"1MiB\", \"2MiB\"]\nloss = [\"0.1%\", { name = \"bursty\", set = { loss = { model = \"gilbert-elliott\", \
         share = \"1%\", bursts = \"5 packets\" } } }]",
        "nat.home = [\"home\", \"symmetric\"]\nuplink = [\"dsl\", \"fibre\"]",
        "uplink.down.rate = [\"1Mbit\", \"2Mbit\"]",
        "router.home.uplink.rate = [\"1Mbit\", \"2Mbit\"]",
        "shape = [{ name = \"slow\", set = { rate = \"1Mbit\", timeout = \"300s\" } }, { name = \"fast\", set = { link = \
         \"fibre\", host.alice.link = \"fibre\" } }]",
        "timeout = [\"1min\", \"2min\"]\nroles.provider = [\"alice\"]",
        // A preset would undo the delay, if it came after it.
        "link = [\"dsl\", \"4g\"]\ndelay = [\"50ms\"]",
    ];
    let lines = rows.iter().map(|row| {
        let all = expand(&with(row)).unwrap_or_else(|error| panic!("{row}: {error}"));
        let lines = all.iter().map(|scenario| {
            assert_eq!(scenario.family(), "mine");
            format!("{}: {}", scenario.name, scenario.words())
        });
        lines.collect::<Vec<_>>().join("\n")
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n\n"));
    let names = |text: &str| -> Vec<String> { expand(text).unwrap().into_iter().map(|one| one.name).collect() };
    assert_eq!(names(BASE), ["base[size=1MiB]", "base[size=2MiB]"], "the file's own matrix");
    assert_eq!(names(&with("")), ["mine"], "nothing to combine");
    let moved = names(&with("size = [\"1MiB\", \"2MiB\"]\nloss = [\"1%\"]"));
    assert_eq!(moved, names(&with("loss = [\"1%\"]\nsize = [\"1MiB\", \"2MiB\"]")), "the order of lines");
}

#[test]
fn a_group_is_as_many_as_it_counts() {
    let text = |providers: u32, homes: u32| {
        format!(
            r#"
            schema = 1
            name = "swarm"
            [[router]]
            name = "home"
            count = {homes}
            nat = "home"
            [[host]]
            name = "provider"
            count = {providers}
            link = "fibre"
            [[host]]
            name = "fetcher"
            count = 3
            behind = "home"
            link = "wifi-good"
            [[host]]
            name = "hub"
            [payload]
            kind = "random"
            size = "1MiB"
            [roles]
            provider = "provider"
            fetcher = ["fetcher"]
            rendezvous = "hub"
            relay = "hub"
            [expect]
            success = ">= 95%"
            path = "direct"
            "#
        )
    };
    let swarm = one(&text(2, 3));
    assert_eq!(swarm.roles.providers, ["provider-1", "provider-2"]);
    assert_eq!(swarm.roles.fetchers, ["fetcher-1", "fetcher-2", "fetcher-3"]);
    let behind: Vec<&str> =
        swarm.topology.hosts[2..5].iter().filter_map(|h| h.interfaces[0].behind.as_deref()).collect();
    assert_eq!(behind, ["home-1", "home-2", "home-3"]);
    assert_eq!(swarm.expect.success_ppb, Some(950_000_000));
    insta::assert_snapshot!(format!("{}\n\n{}", swarm.words(), swarm.resolved().split("topology").next().unwrap()));
    let error = expand(&text(2, 2)).unwrap_err().to_string();
    assert!(error.contains("`host[1].behind`: there are 2 of `home` and 3 to be behind them"), "{error}");
    let many = expand(&(text(1, 3) + "[matrix]\nproviders = [1, 2]")).unwrap();
    assert_eq!(many.iter().map(|one| one.roles.providers.len()).collect::<Vec<_>>(), [1, 2]);
    assert_ne!(many[0].hash(), many[1].hash());
}

const WORLD: &str = r#"
schema = 1
name = "world"
[[region]]
name = "moon"
delay = { eu-west = "1.3s", jp-east = "1.2s", us-east = "1.5s" }
[[region]]
name = "jp-east"
delay = { moon = "1.4s" }
[[router]]
name = "home"
nat = "home"
region = "eu-west"
uplink = { delay = "10ms" }
[[host]]
name = "alice"
region = "us-east"
[[host]]
name = "bob"
behind = "home"
[[host]]
name = "luna"
region = "moon"
[[host]]
name = "yuki"
region = "jp-east"
[payload]
kind = "random"
size = "1MiB"
[roles]
provider = "alice"
fetcher = "bob"
"#;

#[test]
fn regions_are_as_far_apart_as_the_tables_say() {
    let world = one(WORLD);
    let delay = |from: &str, to: &str| path(&world.topology, from, to).unwrap().idle_delay_ns(0) / 100_000;
    for (from, to, expect) in [
        ("alice", "bob", 375 + 100),
        ("bob", "luna", 13_000 + 100),
        ("luna", "bob", 13_000 + 100),
        ("luna", "yuki", 12_000),
        ("yuki", "luna", 14_000),
        ("yuki", "alice", 835),
    ] {
        assert_eq!(delay(from, to), expect, "{from} to {to}, in tenths of a millisecond");
    }
    insta::assert_snapshot!(world.words());
    assert!(
        world.resolved().contains("transits")
            && !one(&BASE.replace("[matrix]\nsize = [\"1MiB\", \"2MiB\"]", "")).resolved().contains("transit")
    );
}

/// What is wrong with files that say more than one thing at once.
#[test]
fn mistakes_name_file_key_and_fix() {
    let with = |matrix: &str| extending("base.toml", &format!("[matrix]\n{matrix}"));
    let world = |from: &str, to: &str| {
        assert!(WORLD.contains(from), "{from}");
        WORLD.replacen(from, to, 1)
    };
    let rows = [
        extending("dls", ""),
        extending("latency[delay=20ms]", ""),
        extending("no.toml", ""),
        extending("../base.toml", ""),
        extending("my.toml", ""),
        extending("round.toml", ""),
        extending("broken.toml", ""),
        extending("base.toml", "extned = 5"),
        extending("base.toml", "[[host]]\nname = \"bob\"\nlink = { dealy = \"5ms\" }"),
        extending("base.toml", "[[host]]\nname = \"carol\"\nbehind = \"hoem\""),
        extending("base.toml", "[payload]\nsize = \"5 parsec\""),
        "extend = 5\nname = \"mine\"".into(),
        with("sise = [\"1MiB\"]"),
        with("size = \"1MiB\""),
        with("size = []"),
        with("size = [\"1MiB\", \"1MiB\"]"),
        with("size = [\"1MiB\", \"1024KiB\"]"),
        with("size = [1.5]"),
        with("size = [\"../../etc/passwd\"]"),
        with("size = [\"1 MiB\"]"),
        with("size = [{ name = \"x\" }]"),
        with("size = [{ name = \"x\", set = { sise = \"1MiB\" } }]"),
        with("size = [\"1KiB\", \"1MiX\"]"),
        with("\"a b\" = [1]"),
        with("router.hoem.nat = [\"home\"]"),
        with("router = [\"home\"]"),
        with("host.bob = [1]"),
        with("region = [\"eu-west\"]"),
        with("repeat = [1, 2]"),
        with("size = [\"1MiB\"]\npayload.size = [\"2MiB\"]"),
        with("rate = [\"1Mbit\"]\nlink.down.rate = [\"2Mbit\"]"),
        with("link = [\"4g\"]\nhost.bob.link = [\"5g\"]"),
        with("loss = [\"1%\"]\nshape = [{ name = \"x\", set = { loss = \"2%\" } }]"),
        with(&format!("size = [{}]\nloss = [{}]", list("B"), list("ppm"))),
        with("fetchers = [3]\nproviders = [1]")
            .replace("[matrix]", "[roles]\nfetcher = [\"bob\", \"carol\"]\n[matrix]"),
        world("region = \"us-east\"", "region = \"us-esat\""),
        world("us-east = \"1.5s\"", "us-south = \"1.5s\""),
        world("region = \"us-east\"", ""),
        world("behind = \"home\"", "behind = \"home\"\nregion = \"eu-west\""),
        world("name = \"moon\"", "name = \"The Moon\""),
        world("name = \"moon\"", "name = \"jp-east\""),
        world("eu-west = \"1.3s\"", "moon = \"1.3s\""),
        world("eu-west = \"1.3s\"", "eu-wset = \"1.3s\""),
        world("delay = { moon = \"1.4s\" }", "dealy = { moon = \"1.4s\" }"),
        world("name = \"bob\"", "name = \"bob\"\ncount = 0"),
        world("provider = \"alice\"", "provider = []"),
        world("provider = \"alice\"", "provider = [\"alice\", \"alice\"]"),
        world("provider = \"alice\"", "provider = \"alice\"\nrelay = \"hub\""),
        world("provider = \"alice\"", "provider = \"alice\"\nrendevous = \"luna\""),
        world("[payload]", "[expect]\nsuccess = \"< 95%\"\n[payload]"),
        world("[payload]", "[expect]\npath = \"straight\"\n[payload]"),
    ];
    let errors = rows.iter().map(|text| match expand(text) {
        Err(error) => error.to_string(),
        Ok(all) => panic!("{text}: {} scenarios", all.len()),
    });
    insta::assert_snapshot!(errors.collect::<Vec<_>>().join("\n"));
}

fn list(unit: &str) -> String {
    (1..=40).map(|n| format!("\"{n}{unit}\"")).collect::<Vec<_>>().join(", ")
}

/// A few keys with values that are good, and some that are not.
fn lines() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "[1-9]{1,2}".prop_map(|n| format!("[[host]]\nname = \"bob\"\nlink = {{ delay = \"{n}ms\" }}\n")),
        "[a-c]".prop_map(|name| format!("[[host]]\nname = \"{name}\"\n")),
        "[a-c]".prop_map(|name| format!("[[router]]\nname = \"{name}\"\nnat = \"home\"\n")),
        "[1-9]".prop_map(|n| format!("[[router]]\nname = \"home\"\nuplink = {{ down = {{ rate = \"{n}Mbit\" }} }}\n")),
        Just("[[host]]\nname = \"bob\"\nbehind = \"a\"\n".to_owned()),
    ];
    proptest::collection::vec(line, 0..6).prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// The same files come to the same scenarios, whatever they say, and a file that changes nothing changes nothing.
    #[test]
    fn extending_is_deterministic(own in lines()) {
        let text = extending("base.toml", &own);
        let (one, other) = (expand(&text), expand(&text));
        prop_assert_eq!(&one, &other);
        if let Ok(all) = one {
            let hashes: Vec<String> = all.iter().map(Scenario::hash).collect();
            prop_assert_eq!(&hashes, &other.unwrap().iter().map(Scenario::hash).collect::<Vec<_>>());
            let through = |path: &str| if path == "own.toml" { Ok(text.clone()) } else { read(path) };
            let again = Scenario::expand("your.toml", &extending("own.toml", ""), &through).unwrap();
            prop_assert_eq!(hashes, again.iter().map(Scenario::hash).collect::<Vec<_>>());
        }
    }
}
