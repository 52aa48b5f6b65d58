//! Networks in which things are looked up: nodes all over the world, of which some leave, and programs that look up.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use longhaul_scenarios::{Payload, Scenario, Sort, Subject};
use netsim_topology::{Change, Direction};
use std::collections::BTreeSet;

const GOOD: &str = r#"
schema = 1
name = "dht"
[[host]]
name = "alice"
region = "us-east"
[[host]]
name = "bob"
region = "eu-west"
[[host]]
name = "node"
count = 20
region = ["us-east", "eu-west", "jp-east"]
[payload]
kind = "lookups"
count = 5
[roles]
provider = "alice"
fetcher = "bob"
node = "node"
[[at]]
time = "1s"
leave = { role = "node", share = "25%" }
"#;

fn good() -> Scenario {
    Scenario::parse("my.toml", GOOD).unwrap()
}

/// The links that go down, each with how many of its directions do.
fn leaving(scenario: &Scenario) -> Vec<(u64, String, usize)> {
    let mut links: Vec<(u64, String, usize)> = Vec::new();
    for event in &scenario.timeline {
        let Change::Link { name, config } = &event.change else { panic!("{event:?}") };
        assert!(config.delay_ns == 0 && format!("{:?}", config.state) == "Down(Drop)", "{event:?}");
        match links.iter_mut().find(|(at, link, _)| (*at, link) == (event.at_ns, &name.link)) {
            Some((.., directions)) => *directions += usize::from(name.direction == Direction::Down),
            None => links.push((event.at_ns, name.link.clone(), 1)),
        }
    }
    links
}

#[test]
fn a_network_is_spread_over_the_world() {
    let scenario = good();
    assert_eq!((scenario.payload.clone(), scenario.payload.sort()), (Payload::Lookups { count: 5 }, Sort::Lookups));
    assert_eq!(scenario.roles.nodes.len(), 20);
    let regions: Vec<_> = scenario.topology.hosts.iter().map(|host| host.interfaces[0].region.as_deref()).collect();
    assert_eq!(regions[2..6], [Some("us-east"), Some("eu-west"), Some("jp-east"), Some("us-east")]);
    assert!(scenario.disturbances().is_empty(), "nothing is transferred that could be disturbed");
    insta::assert_snapshot!(format!(
        "{}\n\n{}",
        scenario.words(),
        scenario.resolved().split("topology").next().unwrap().replace("node \"node-", "")
    ));
}

/// So many leave, always the same, and never the one by which all join.
#[test]
fn who_leaves_is_drawn_once_and_for_all() {
    let links = leaving(&good());
    assert!(links.len() == 5 && links.iter().all(|(at, _, ways)| (*at, *ways) == (1_000_000_000, 2)), "{links:?}");
    assert_eq!(links, leaving(&good()));
    let at = |time: &str, share: &str| {
        format!("[[at]]\ntime = \"{time}\"\nleave = {{ role = \"node\", share = \"{share}\" }}\n")
    };
    let all = GOOD.split("[[at]]").next().unwrap().to_owned() + &at("1s", "25%") + &at("2s", "70%");
    let links = leaving(&Scenario::parse("my.toml", &all).unwrap());
    let names: BTreeSet<&str> = links.iter().map(|(_, link, _)| link.as_str()).collect();
    assert!(links.len() == 19 && names.len() == 19 && !names.contains("node-1.link"), "{links:?}");
    let sizes =
        Scenario::expand("my.toml", &format!("{GOOD}[matrix]\nnodes = [8, 40]\n"), &|_| unreachable!()).unwrap();
    assert_eq!(sizes.iter().map(|one| leaving(one).len()).collect::<Vec<_>>(), [2, 10]);
}

#[test]
fn mistakes_name_file_key_and_fix() {
    let rows = [
        ("node = \"node\"\n[[at]]\ntime = \"1s\"\nleave = { role = \"node\", share = \"25%\" }\n", ""),
        ("kind = \"lookups\"\ncount = 5", "kind = \"random\"\nsize = \"1MiB\""),
        ("count = 5", "count = 0"),
        ("count = 5", ""),
        ("count = 5", "count = 5\nsize = \"1MiB\""),
        ("node = \"node\"", "node = \"noed\""),
        ("node = \"node\"", "node = [\"node\", \"bob\"]"),
        ("count = 20", "count = 2"),
        ("[\"us-east\", \"eu-west\", \"jp-east\"]", "[\"us-east\", \"eu-wset\"]"),
        ("[\"us-east\", \"eu-west\", \"jp-east\"]", "[]"),
        ("[\"us-east\", \"eu-west\", \"jp-east\"]", "5"),
        ("\"25%\"", "\"1%\""),
        ("\"25%\"", "\"100%\""),
        ("\"25%\"", "25"),
        ("role = \"node\"", "role = \"fetcher\""),
        ("leave =", "link = \"bob.link\"\nleave ="),
        ("leave =", "laeve ="),
    ];
    let error = |(from, to): &(&str, &str)| {
        assert!(GOOD.contains(from), "{from}");
        Scenario::parse("my.toml", &GOOD.replacen(from, to, 1)).expect_err(to).to_string()
    };
    insta::assert_snapshot!(rows.iter().map(error).collect::<Vec<_>>().join("\n"));
}

const SUBJECT: &str = r#"
schema = 1
name = "tool"
[node]
command = ["tool", "node", "{bootstrap.address}", "{self.address}"]
events = true
[provider]
command_lookups = ["tool", "announce", "{payload.list}", "{bootstrap.address}"]
events = true
[fetcher]
command_lookups = ["tool", "lookup", "{payload.list}", "{bootstrap.address}"]
events = true
"#;

#[test]
fn a_subject_says_what_it_can_do() {
    let subject = Subject::parse("tool.toml", SUBJECT).unwrap();
    let able = |subject: &Subject| [Sort::File, Sort::Tree, Sort::Lookups].map(|sort| subject.can_do(sort));
    assert_eq!(able(&subject), [false, false, true]);
    let one_side = SUBJECT.replacen("[fetcher]\ncommand_lookups", "[fetcher]\ncommand", 1);
    assert_eq!(able(&Subject::parse("tool.toml", &one_side).unwrap()), [false; 3]);
    let both = SUBJECT.replace("command_lookups", "command = [\"tool\"]\ncommand_lookups");
    assert_eq!(able(&Subject::parse("tool.toml", &both).unwrap()), [true, false, true]);
}

#[test]
fn mistakes_in_subjects_too() {
    let rows = [
        ("command_lookups = [\"tool\", \"announce\", \"{payload.list}\", \"{bootstrap.address}\"]\n", ""),
        ("command_lookups = [\"tool\", \"announce\"", "command_tree = [\"tool\""),
        ("[\"tool\", \"announce\", \"{payload.list}\", \"{bootstrap.address}\"]", "[]"),
        ("command = [\"tool\", \"node\"", "command_lookups = [\"tool\""),
        ("command = [\"tool\", \"node\", \"{bootstrap.address}\", \"{self.address}\"]\n", ""),
        ("\"{self.address}\"]\nevents = true", "\"{self.address}\"]"),
        ("\"node\", \"{bootstrap.address}\"", "\"node\", \"{provider.address}\""),
        ("[node]\ncommand = [\"tool\", \"node\", \"{bootstrap.address}\", \"{self.address}\"]\nevents = true\n", ""),
    ];
    let error = |(from, to): &(&str, &str)| {
        assert!(SUBJECT.contains(from), "{from}");
        Subject::parse("tool.toml", &SUBJECT.replacen(from, to, 1)).expect_err(to).to_string()
    };
    insta::assert_snapshot!(rows.iter().map(error).collect::<Vec<_>>().join("\n"));
}
