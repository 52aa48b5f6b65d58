//! Links and timelines of scenario files: what every key comes to, and mistakes as rows.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use longhaul_scenarios::Scenario;
use netsim_fabric::{
    Cellular, CoDelConfig, Discipline, Jitter, Limit, LinkConfig, LinkState, Loss, Manner, Mtu, Outage, Oversize,
    Probability, Queue, Rate, RedConfig, Reorder, Samples, Schedule, Script, Shift, Step, Trace,
};
use netsim_topology::{Access, Change, Event, LINK_PRESETS, STEADY_CELL, link_preset, plan};
use std::num::NonZeroU64;

/// A scenario whose link is to be filled in.
const SCENARIO: &str = r#"
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
link = LINK
[payload]
kind = "random"
size = "1MiB"
[roles]
provider = ["alice"]
fetcher = ["bob"]
"#;

/// Files that a scenario may name in these tests.
fn read(path: &str) -> std::io::Result<String> {
    match path {
        "two.trace" => Ok("5\n10\n".into()),
        "jitter.txt" => Ok("# deviations\n-1000\n2000\n".into()),
        "words.txt" => Ok("fast\n".into()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    }
}

fn with_link(link: &str) -> Result<Access, String> {
    let scenario = Scenario::parse_with("my.toml", &SCENARIO.replace("LINK", link), &read);
    scenario.map(|scenario| scenario.topology.hosts[1].interfaces[0].link.clone()).map_err(|error| error.to_string())
}

fn good() -> String {
    SCENARIO.replace("LINK", "{ delay = \"40ms\", loss = \"1%\", rate = \"50Mbit\", queue = \"64KiB\" }")
}

fn share(ppb: u32) -> Probability {
    Probability::from_ppb(ppb).unwrap()
}

fn rate(bps: u64) -> Rate {
    Rate::Constant(NonZeroU64::new(bps).unwrap())
}

/// What no key says.
fn wire() -> LinkConfig {
    LinkConfig { coalesce_ns: 100_000, ..LinkConfig::default() }
}

/// A link with these keys, and what both of its directions should do.
fn check(keys: &str, expect: LinkConfig) {
    let got = with_link(&format!("{{ {keys} }}")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((&got.up, &got.down), (&expect, &expect), "{keys}");
}

#[test]
fn links_are_what_their_keys_say() {
    for preset in LINK_PRESETS {
        assert_eq!(with_link(&format!("{:?}", preset.name)), Ok(preset.access()), "{}", preset.name);
        assert_eq!(with_link(&format!("{{ preset = {:?} }}", preset.name)), Ok(preset.access()));
    }
    // A direction's own key comes last, a preset first.
    let got = with_link("{ preset = \"cable\", delay = \"9ms\", rate = \"5Mbit\", down = { trace = \"two.trace\" } }")
        .unwrap();
    let cable = link_preset("cable").unwrap();
    assert_eq!(got.up, LinkConfig { delay_ns: 9_000_000, rate: rate(5_000_000), ..cable.up });
    let trace = Rate::Trace(Trace::parse("5\n10").unwrap().into());
    assert_eq!(got.down, LinkConfig { delay_ns: 9_000_000, rate: trace, ..cable.down });
}

#[test]
fn chance_is_what_its_keys_say() {
    let late = || LinkConfig { delay_ns: 10_000_000, ..wire() };
    let ge = |fail, recover, good, bad| Loss::GilbertElliott {
        fail: share(fail),
        recover: share(recover),
        loss_good: share(good),
        loss_bad: share(bad),
    };
    check("jitter = \"0ms\", loss = \"0%\", rate = \"unlimited\", queue = \"unlimited\"", wire());
    check("delay = \"10ms\", jitter = \"5ms\"", LinkConfig { jitter: Jitter::Uniform { ns: 5_000_000 }, ..late() });
    check(
        "delay = \"10ms\", jitter = { distribution = \"uniform\", half_width = \"5ms\" }",
        LinkConfig { jitter: Jitter::Uniform { ns: 5_000_000 }, ..late() },
    );
    check(
        "delay = \"10ms\", jitter = { distribution = \"normal\", sigma = \"2ms\" }",
        LinkConfig { jitter: Jitter::Normal { sigma_ns: 2_000_000 }, ..late() },
    );
    check(
        "delay = \"10ms\", jitter = { distribution = \"pareto\", scale = \"2ms\", shape = 2.5 }",
        LinkConfig { jitter: Jitter::Pareto { scale_ns: 2_000_000, shape_milli: 2500 }, ..late() },
    );
    check(
        "delay = \"10ms\", jitter = { distribution = \"file\", path = \"jitter.txt\" }",
        LinkConfig { jitter: Jitter::Samples(Samples::new(vec![-1000, 2000]).unwrap()), ..late() },
    );
    check(
        "loss = { model = \"gilbert-elliott\", share = \"1%\", bursts = \"5 packets\" }",
        LinkConfig { loss: ge(2_020_202, 200_000_000, 0, 1_000_000_000), ..wire() },
    );
    check(
        "loss = { model = \"gilbert-elliott\", fail = \"1%\", recover = \"20%\", loss_bad = \"50%\" }",
        LinkConfig { loss: ge(10_000_000, 200_000_000, 0, 500_000_000), ..wire() },
    );
    check("loss = { packets = [7, 3] }", LinkConfig { loss: Loss::Scripted(Script::new(vec![3, 7])), ..wire() });
    check(
        "duplicate = \"1%\", corrupt = \"2%\", reorder = \"by-jitter\"",
        LinkConfig { duplicate: share(10_000_000), corrupt: share(20_000_000), reorder: Reorder::ByJitter, ..wire() },
    );
    check(
        "reorder = { share = \"1%\", behind = \"5ms\" }",
        LinkConfig { reorder: Reorder::Share { share: share(10_000_000), shift: Shift::Behind(5_000_000) }, ..wire() },
    );
}

#[test]
fn queues_and_rates_are_what_their_keys_say() {
    let queue = |discipline, ecn| Queue { limit: Limit::Packets(100), discipline, ecn };
    let step = |from_ns, rate_bps, extra_delay_ns| Step { from_ns, rate_bps, extra_delay_ns };
    let schedule =
        |steps: &[Step], period| Rate::Schedule(Schedule::new(steps.into(), NonZeroU64::new(period)).unwrap());
    check("queue = \"100 packets\"", LinkConfig { queue: queue(Discipline::DropTail, false), ..wire() });
    check(
        "queue = { limit = \"100 packets\", discipline = \"codel\", target = \"10ms\", ecn = true }",
        LinkConfig {
            queue: queue(Discipline::CoDel(CoDelConfig { target_ns: 10_000_000, interval_ns: 100_000_000 }), true),
            ..wire()
        },
    );
    check(
        "queue = { limit = \"100 packets\", discipline = \"red\", min = \"30kB\", max = \"90kB\", probability = \"10%\" }",
        LinkConfig {
            queue: queue(
                Discipline::Red(RedConfig {
                    min_bytes: 30_000,
                    max_bytes: 90_000,
                    max_probability: share(100_000_000),
                    weight_shift: 9,
                }),
                false,
            ),
            ..wire()
        },
    );
    check(
        "rate = [{ at = \"0s\", rate = \"10Mbit\" }, { at = \"1s\", rate = \"none\" }]",
        LinkConfig { rate: schedule(&[step(0, 10_000_000, 0), step(1_000_000_000, 0, 0)], 0), ..wire() },
    );
    check(
        "rate = { steps = [{ at = \"0s\", rate = \"10Mbit\", extra_delay = \"3ms\" }], repeat = \"2s\" }",
        LinkConfig { rate: schedule(&[step(0, 10_000_000, 3_000_000)], 2_000_000_000), ..wire() },
    );
    check("trace = \"two.trace\"", LinkConfig { rate: Rate::Trace(Trace::parse("5\n10").unwrap().into()), ..wire() });
    check(
        "trace = { generate = \"lte\", rate = \"4Mbit\", seed = 9, length = \"5s\" }",
        LinkConfig {
            rate: Rate::Trace(
                Cellular { mean_bps: 4_000_000, duration_ms: 5_000, ..STEADY_CELL }.trace(9).unwrap().into(),
            ),
            ..wire()
        },
    );
    let limit = |packets| Queue { limit: Limit::Packets(packets), ..Queue::default() };
    let netem = || LinkConfig { manner: Manner::Netem, ..wire() };
    check("like = \"netem\"", LinkConfig { queue: limit(1000), ..netem() });
    check(
        "like = \"netem\", queue = \"50 packets\", delay = \"9ms\", jitter = \"5ms\"",
        LinkConfig { queue: limit(50), delay_ns: 9_000_000, jitter: Jitter::Uniform { ns: 5_000_000 }, ..netem() },
    );
    check("mtu = 1280", LinkConfig { mtu: Some(Mtu { bytes: 1280, oversize: Oversize::TooBig }), ..wire() });
    check(
        "mtu = { bytes = 1400, oversize = \"black-hole\" }",
        LinkConfig { mtu: Some(Mtu { bytes: 1400, oversize: Oversize::BlackHole }), ..wire() },
    );
}

#[test]
fn mistakes_in_links_name_file_key_and_fix() {
    let rows = [
        "\"cabel\"",
        "5",
        "{ preset = \"6g\" }",
        "{ up = { dealy = \"1ms\" } }",
        "{ up = { preset = \"cable\" } }",
        "{ down = { jitter = { distribution = \"normal\", sigma = 5 } } }",
        "{ jitter = { distribution = \"gauss\" } }",
        "{ jitter = { sigma = \"5ms\" } }",
        "{ jitter = { distribution = \"pareto\", scale = \"5ms\", shape = 0 } }",
        "{ jitter = { distribution = \"file\", path = \"words.txt\" } }",
        "{ loss = { share = \"1%\" } }",
        "{ loss = { model = \"markov\" } }",
        "{ loss = { model = \"gilbert-elliott\", share = \"1%\" } }",
        "{ loss = { model = \"gilbert-elliott\", share = \"90%\", bursts = \"2 packets\" } }",
        "{ loss = { model = \"gilbert-elliott\", share = \"1%\", bursts = \"5\" } }",
        "{ reorder = \"sometimes\" }",
        "{ reorder = { share = \"1%\" } }",
        "{ like = \"netm\" }",
        "{ like = \"netem\", mtu = 1280 }",
        "{ like = \"netem\", reorder = \"by-jitter\" }",
        "{ like = \"netem\", queue = \"64KiB\" }",
        "{ like = \"netem\", up = { trace = \"two.trace\" } }",
        "{ queue = \"64\" }",
        "{ queue = { limit = \"64KiB\", ecn = true } }",
        "{ queue = { limit = \"64KiB\", target = \"5ms\" } }",
        "{ queue = { discipline = \"red\", min = \"90kB\", max = \"30kB\" } }",
        "{ queue = { discipline = \"red\" } }",
        "{ queue = { discipline = \"fq\" } }",
        "{ rate = \"fast\" }",
        "{ rate = [{ at = \"1s\", rate = \"10Mbit\" }] }",
        "{ rate = [{ at = \"0s\" }] }",
        "{ rate = { steps = [{ at = \"0s\", rate = \"none\" }], repeat = \"1s\" } }",
        "{ rate = \"5Mbit\", trace = \"two.trace\" }",
        "{ trace = \"missing.trace\" }",
        "{ down = { trace = \"words.txt\" } }",
        "{ trace = { generate = \"lte\", seed = 1 } }",
        "{ trace = { generate = \"lte\", rate = \"4Mbit\", seed = 1, outage = \"1s\" } }",
        "{ trace = { generate = \"lte\", rate = \"4Mbit\", seed = 1, length = \"1000s\" } }",
        "{ trace = { generate = \"lte\", rate = \"900Gbit\", seed = 1 } }",
        "{ mtu = 500 }",
        "{ mtu = \"1280B\" }",
        "{ mtu = { bytes = 1280, oversize = \"fragment\" } }",
        "{ down = { state = \"down\" } }",
    ];
    let errors: Vec<String> = rows.iter().map(|link| with_link(link).expect_err(link)).collect();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn what_happens_is_resolved_and_explained() {
    let events = r#"
[[at]]
time = "2s"
link = "home.uplink"
set = { down = { rate = "5Mbit" } }
[[at]]
time = "1s"
link = "home.uplink"
set = { state = "down-hold", down = { loss = "2%" } }
[[at]]
time = "3s"
link = "home.uplink"
set = { state = "up", jitter = "1ms" }
[[at]]
time = "4s"
reboot = "home"
[[at]]
time = "5s"
renumber = "home"
"#;
    let scenario = Scenario::parse("x", &format!("{}{events}", good())).unwrap();
    let at = |event: &Event| event.at_ns / 1_000_000_000;
    assert_eq!(scenario.timeline.iter().map(at).collect::<Vec<u64>>(), [1, 1, 2, 3, 3, 4, 5]);
    let Change::Link { name, config } = &scenario.timeline[2].change else { panic!("{:?}", scenario.timeline) };
    assert_eq!(name.to_string(), "home.uplink down");
    // What was set before stays.
    assert_eq!((config.state, config.loss.mean_ppb()), (LinkState::Down(Outage::Hold), 20_000_000));
    let Change::Renumber { outside, .. } = &scenario.timeline[6].change else { panic!("{:?}", scenario.timeline) };
    let old = plan(&scenario.topology).unwrap().addresses;
    assert!(old.hosts.values().flatten().all(|addr| !outside.contains(addr)) && outside.len() == 1, "{outside:?}");
    assert_ne!(Scenario::parse("x", &good()).unwrap().hash(), scenario.hash());
    insta::assert_snapshot!(scenario.words().replace(". ", ".\n"));
}

#[test]
fn mistakes_in_timelines_too() {
    let rows = [
        "time = \"2s\"\nlink = \"home.uplnk\"\nset = { rate = \"1Mbit\" }",
        "time = \"2s\"\nlink = \"home.uplink\"",
        "time = \"2s\"\nlink = \"home.uplink\"\nset = { rate = 5 }",
        "time = \"2s\"\nlink = \"home.uplink\"\nset = { delay = \"5ms\" }",
        "time = \"2s\"\nlink = \"home.uplink\"\nset = { jitter = \"6ms\" }",
        "time = \"2s\"\nlink = \"home.uplink\"\nset = { state = \"broken\" }",
        "time = \"60s\"\nreboot = \"home\"",
        "time = \"2s\"\nreboot = \"hoem\"",
        "time = \"2s\"\nrenumber = \"bbo\"",
        "reboot = \"home\"",
        "time = \"2s\"\nreboot = \"home\"\nrenumber = \"home\"",
        "time = \"2s\"\nexplode = true",
    ];
    let error =
        |row: &&str| Scenario::parse("my.toml", &format!("{}[[at]]\n{row}", good())).expect_err(row).to_string();
    insta::assert_snapshot!(rows.iter().map(error).collect::<Vec<String>>().join("\n"));
}

/// A phone with Wi-Fi and mobile in the place of `bob`.
fn phone() -> String {
    SCENARIO.replace(
        "name = \"bob\"\nbehind = \"home\"\nlink = LINK\n",
        r#"name = "bob"
[[host.interface]]
name = "wifi"
behind = "home"
[[host.interface]]
name = "mobile"
link = { delay = "20ms" }
"#,
    )
}

#[test]
fn hosts_switch_and_move() {
    let events = r#"
[[at]]
time = "1s"
interface = "bob.wifi"
state = "down"
[[at]]
time = "2s"
link = "bob.mobile.link"
set = { delay = "30ms" }
[[at]]
time = "3s"
renumber = "bob"
[[at]]
time = "4s"
interface = "bob.mobile"
state = "down"
[[at]]
time = "5s"
interface = "bob.wifi"
state = "up"
[[at]]
time = "6s"
renumber = "bob.wifi"
[[at]]
time = "7s"
renumber = "alice"
"#;
    let scenario = Scenario::parse("x", &format!("{}{events}", phone())).unwrap();
    let moved: Vec<(&str, &str, usize)> = scenario
        .timeline
        .iter()
        .filter_map(|event| match &event.change {
            Change::Readdress { host, interface, addresses } => {
                Some((host.as_str(), interface.as_str(), addresses.len()))
            }
            _ => None,
        })
        .collect();
    // A host's name alone means the interface that it uses then.
    assert_eq!(moved, [("bob", "mobile", 2), ("bob", "wifi", 1), ("alice", "net0", 2)]);
    insta::assert_snapshot!(scenario.words().replace(". ", ".\n"));
}

#[test]
fn mistakes_in_interfaces_name_file_key_and_fix() {
    let down = "interface = \"bob.wifi\"\nstate = \"down\"";
    let events = [
        "interface = \"bob.wlan\"\nstate = \"down\"".to_owned(),
        "interface = \"bob\"\nstate = \"down\"".to_owned(),
        "interface = \"alice\"\nstate = \"down\"".to_owned(),
        "interface = \"alice.net0\"\nstate = \"up\"".to_owned(),
        "interface = \"bob.wifi\"\nstate = \"up\"".to_owned(),
        format!("{down}\n[[at]]\ntime = \"3s\"\n{down}"),
        format!("{down}\n[[at]]\ntime = \"3s\"\nrenumber = \"bob.wifi\""),
        format!("{down}\nreboot = \"home\""),
        "interface = \"bob.wifi\"".to_owned(),
        "interface = \"bob.wifi\"\nstate = \"gone\"".to_owned(),
        "renumber = \"bob.mobil\"".to_owned(),
        "link = \"bob.link\"\nset = { delay = \"1ms\" }".to_owned(),
    ];
    let with_event = |event: &String| format!("{}[[at]]\ntime = \"2s\"\n{event}", phone());
    let hosts = [
        ("[[host.interface]]\nname = \"wifi\"", "link = \"fibre\"\n[[host.interface]]\nname = \"wifi\""),
        ("[[host.interface]]\nname = \"wifi\"", "behind = \"home\"\n[[host.interface]]\nname = \"wifi\""),
        ("name = \"mobile\"", "name = \"wifi\""),
        ("name = \"mobile\"", "name = \"my phone\""),
        ("name = \"mobile\"", "name = \"mobile\"\nmetric = 5"),
        ("link = { delay = \"20ms\" }", "link = { state = \"down\" }"),
        ("behind = \"home\"", "behind = \"hoem\""),
    ];
    let texts = events.iter().map(with_event).chain(hosts.iter().map(|(from, to)| {
        assert!(phone().contains(from), "{from}");
        phone().replacen(from, to, 1)
    }));
    let error = |text: String| Scenario::parse("my.toml", &text).expect_err(&text).to_string();
    insta::assert_snapshot!(texts.map(error).collect::<Vec<String>>().join("\n"));
}
