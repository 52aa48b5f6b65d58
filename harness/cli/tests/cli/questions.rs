//! Commands that answer questions and measure nothing.

use super::files::scenario;
use super::ground::{DB, Ground};
use std::fs;
use std::process::{Command, Stdio};

pub(crate) fn every_help_names_the_exit_codes() {
    let ended = Ground::new().longhaul(&["--help"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    for words in ["0 pass", "2 usage", "4 untrusted", "5 subject failed", "6 environment", "130 interrupted"] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
}

pub(crate) fn scenarios_are_listed_shown_and_checked() {
    let ground = Ground::new();
    let listed = ground.longhaul(&["scenario", "list", "--json"]).json();
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    let table = ground.longhaul(&["scenario", "list"]).stdout;
    for name in ["local", "latency-20ms", "latency-200ms", "lossy-1pct", "home-nat", "dsl", "tree"] {
        assert!(names.contains(&name) && table.contains(name), "{name}");
    }
    let shown = ground.longhaul(&["scenario", "show", "dsl", "--json"]).json();
    assert_eq!((&shown["provider"], &shown["fetcher"]), (&"alice".into(), &"bob".into()));
    assert_eq!(shown["hash"].as_str().unwrap().len(), 64);
    assert!(ground.longhaul(&["scenario", "show", "dsl"]).stdout.contains(shown["hash"].as_str().unwrap()));
    let lossy = ["0.1%", "1%", "5%", "bursty"].map(|loss| format!("lossy[loss={loss}]"));
    assert!(lossy.iter().all(|name| names.contains(&name.as_str())), "{names:?}");
    assert!(table.contains("lossy × 4") && !table.contains(&lossy[0]), "{table}");
    let some = ground.longhaul(&["scenario", "list", "lossy[*0.1%]", "dsl"]).stdout;
    assert!(some.contains(&lossy[0]) && some.contains("DSL") && !some.contains(&lossy[1]), "{some}");
    let all = ground.longhaul(&["scenario", "show", "lossy", "--json"]).json();
    let shown: Vec<&str> = all.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(shown, lossy);
    let one = ground.longhaul(&["scenario", "show", &lossy[1], "--json"]).json();
    assert_eq!((&one["family"], &one["extends"][0]), (&"lossy".into(), &"lossy-1pct".into()));
    let checked = ground.longhaul(&["scenario", "check", ground.file("my.toml", &scenario("my"))]);
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""), "{checked:?}");
    assert!(checked.stdout.starts_with("my.toml: ok. "), "{checked:?}");
}

/// What a file extends, and its combinations, are in words; a file and a combination of it are names like others.
pub(crate) fn files_that_are_many_are_explained() {
    let ground = Ground::new();
    ground.file("my.toml", &scenario("my"));
    let text = "name = \"mine\"\nextend = \"my.toml\"\n[matrix]\ndelay = [\"3ms\", \"4ms\"]\n";
    let file = ground.file("mine.toml", text);
    let checked = ground.longhaul(&["scenario", "check", file]);
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""), "{checked:?}");
    for words in
        ["mine.toml: ok. Extends my.toml. A matrix of 2 scenarios:", "mine[delay=3ms]: bob fetches", "4 ms of delay"]
    {
        assert!(checked.stdout.contains(words), "{words}: {}", checked.stdout);
    }
    let one = ground.longhaul(&["lab", "show", "mine.toml[delay=4ms]"]);
    assert!(one.code == Some(0) && one.stdout.contains("4 ms"), "{one:?}");
    ground.longhaul(&["lab", "show", file]).refused(2, &["`mine.toml` is 2 scenarios", "mine[delay=3ms]"]);
    ground.longhaul(&["lab", "show", "lossy"]).refused(2, &["`lossy` is 4 scenarios", "lossy[loss=0.1%]"]);
    ground.longhaul(&["lab", "show", "lossy[loss=2%]"]).refused(2, &["`lossy[loss=2%]`"]);
    let swarm = scenario("swarm").replace("name = \"bob\"", "name = \"bob\"\ncount = 2");
    let swarm = ground.file("swarm.toml", &swarm);
    let checked = ground.longhaul(&["scenario", "check", swarm]);
    assert!(checked.code == Some(0) && checked.stdout.contains("bob-1 and bob-2 fetch"), "{checked:?}");
}

pub(crate) fn a_new_scenario_is_a_good_one() {
    let ground = Ground::new();
    let made = ground.longhaul(&["scenario", "new"]);
    assert!(made.code == Some(0) && made.stdout.starts_with("my-scenario.toml: bob fetches 16 MiB"), "{made:?}");
    let written = fs::read_to_string(ground.path("my-scenario.toml")).unwrap();
    assert_eq!(ground.longhaul(&["scenario", "check", "my-scenario.toml"]).code, Some(0), "{written}");
    ground.longhaul(&["scenario", "new", "--size", "2MiB"]).refused(6, &["cannot write my-scenario.toml"]);
    assert_eq!(fs::read_to_string(ground.path("my-scenario.toml")).unwrap(), written, "what was there stays");
    let arguments =
        ["scenario", "new", "--name", "mine", "--nat", "none", "--loss", "2%", "--link", "4g", "--out", "x.toml"];
    let made = ground.longhaul(&arguments).stdout;
    assert!(made.starts_with("x.toml: bob") && made.contains("2 % loss") && made.contains("Both are"), "{made}");
    for (flag, value, expect) in [
        ("--nat", "hmoe", &["--nat: unknown NAT preset \"hmoe\"", "did you mean \"home\"?"][..]),
        ("--name", "My Own", &["--name: \"My Own\" is not a name"]),
        ("--size", "5", &["--size: \"5\" has no unit"]),
        ("--loss", "120%", &["--loss: \"120%\" is more than everything"]),
    ] {
        ground.longhaul(&["scenario", "new", flag, value, "--out", "y.toml"]).refused(2, expect);
    }
    assert!(!ground.path("y.toml").exists());
}

pub(crate) fn schemas_are_printed() {
    for kind in ["scenario", "subject"] {
        let printed = Ground::new().longhaul(&[kind, "schema"]).stdout;
        let schema: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(schema["title"], format!("A longhaul {kind}"));
    }
    let printed = Ground::new().longhaul(&["gate", "--schema"]).stdout;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap()["title"], "A longhaul policy");
}

pub(crate) fn subjects_are_listed() {
    let listed = Ground::new().longhaul(&["subject", "list", "--json"]).json();
    let entries = listed.as_array().unwrap();
    let names: Vec<&str> = entries.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names[..2], ["reference", "curl"], "those that are run unless others are named come first");
    for entry in entries {
        let keys: Vec<&str> = entry.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["name", "ready", "reason", "version"]);
        // One that cannot run says why, one that can says which it is.
        let ready = entry["ready"].as_bool().unwrap();
        assert_eq!((ready, !ready), (entry["version"].is_string(), entry["reason"].is_string()), "{entry}");
    }
}

pub(crate) fn networks_are_shown() {
    let ground = Ground::new();
    let shown = ground.longhaul(&["lab", "show", "dsl", "--json"]).json();
    let names = |key: &str| -> Vec<&str> {
        shown[key].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect()
    };
    assert_eq!(names("hosts"), ["alice", "bob"]);
    assert_eq!(names("routers"), ["modem"]);
    // Each link has two directions.
    for link in ["alice.link", "bob.link", "modem.uplink"] {
        assert_eq!(names("links").iter().filter(|name| **name == link).count(), 2, "{link}");
    }
    for host in shown["hosts"].as_array().unwrap() {
        let addresses = host["addresses"].as_array().unwrap();
        assert!(!addresses.is_empty(), "{host}");
        for address in addresses {
            address.as_str().unwrap().parse::<std::net::IpAddr>().unwrap();
        }
    }
    let text = ground.longhaul(&["lab", "show", "dsl"]).stdout;
    assert!(text.contains("behind modem") && text.contains("modem.uplink"), "{text}");
}

pub(crate) fn the_machine_is_described() {
    let ground = Ground::new();
    let ended = ground.longhaul(&["doctor", "--json"]);
    let findings = ended.json();
    let states: Vec<&str> = findings.as_array().unwrap().iter().map(|f| f["state"].as_str().unwrap()).collect();
    assert!(!states.is_empty() && states.iter().all(|state| ["ok", "weak", "missing"].contains(state)), "{states:?}");
    assert_eq!(ended.code, Some(if states.contains(&"missing") { 6 } else { 0 }));
    assert_eq!(ground.longhaul(&["doctor"]).stdout.lines().count(), states.len());
}

/// What a shell makes of `longhaul … | head -0`, and of the same with standard error in the pipe.
pub(crate) fn a_closed_pipe_is_no_accident() {
    let ground = Ground::new();
    ground.record_one();
    let rows: [(&[&str], i32); 8] = [
        (&["export", "records", "--db", DB], 0),
        (&["export", "csv", "--db", DB], 0),
        (&["export", "openmetrics", "--db", DB], 0),
        (&["scenario", "list"], 0),
        (&["scenario", "show", "dsl", "--json"], 0),
        (&["subject", "list"], 0),
        (&["--help"], 0),
        (&["run", "locla"], 2),
    ];
    for (arguments, code) in rows {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
        command.args(arguments).current_dir(ground.path(".")).stdin(Stdio::null());
        let status = command.stdout(writer.try_clone().unwrap()).stderr(writer).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}: {status}");
    }
}

pub(crate) fn programs_run_inside_a_network() {
    let ground = Ground::new();
    let exec = |command: &[&str]| ground.longhaul(&[&["lab", "exec", "dsl", "bob", "--"], command].concat());
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 128 + 15)] {
        assert_eq!(exec(&["sh", "-c", script]).code, Some(code), "{script}");
    }
    let address = ground.longhaul(&["lab", "show", "dsl", "--json"]).json()["hosts"][1]["addresses"][0].clone();
    let ended = exec(&["sh", "-c", "cat /proc/net/fib_trie; echo loud >&2"]);
    assert!(ended.stdout.contains(address.as_str().unwrap()), "{address} is not in {}", ended.stdout);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), "loud\n"));
    exec(&["no-such-program"]).refused(6, &["`no-such-program`", "host `bob`"]);
    // The user's own files are there, and what the program writes stays.
    assert_eq!(exec(&["sh", "-c", "echo here > written"]).code, Some(0));
    assert_eq!(fs::read_to_string(ground.path("written")).unwrap(), "here\n");
}
