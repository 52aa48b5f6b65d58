//! Subject files: shipped ones are valid, mistakes as rows, placeholders and captures.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use longhaul_scenarios::{FanIn, Limits, Milestone, Ready, Sort, Source, StopSignal, Subject, Values, What, subjects};
use std::time::Duration;

#[test]
fn every_shipped_subject_is_valid_and_can_be_had() {
    let shipped: Vec<Subject> = subjects().iter().map(|(file, text)| Subject::parse(file, text).unwrap()).collect();
    let lacking: Vec<&str> =
        shipped.iter().filter(|subject| subject.obtain.is_none()).map(|subject| subject.name.as_str()).collect();
    assert_eq!(lacking, [""; 0], "these do not say how they are obtained");
    assert_eq!(shipped[0].name, "reference", "what is run by default comes first");
    // The installer knows exactly those that are not built here, the others' lines name it, and the README names all.
    let installer = include_str!("../../ci/subjects");
    let names = installer.lines().find_map(|line| line.strip_prefix("names=(")?.strip_suffix(')')).unwrap();
    let mut names: Vec<&str> = names.split(' ').collect();
    for (Subject { name, obtain, .. }, (file, _)) in shipped.iter().zip(subjects()) {
        assert_eq!(*file, format!("subjects/{name}.toml"));
        let installed = obtain.iter().any(|obtain| obtain.contains(&format!("ci/subjects {name}`")));
        assert_eq!(installed, names.contains(&name.as_str()), "{name}");
        names.retain(|known| known != name);
        assert!(include_str!("../../README.md").contains(&format!("| `{name}` |")), "{name}");
    }
    assert_eq!(names, [""; 0], "these are no subjects");
}

const GOOD: &str = r#"
schema = 1
name = "tool"
obtain = "apt-get install tool"
needs = ["helper"]
[version]
command = ["tool", "--version"]
capture = { regex = 'tool (\S+)' }
[environment]
TOOL_LOG = "{home}/log"
[files]
"conf/tool.conf" = "listen {self.address}; relay {relay.address}"
[relay]
command = ["tool", "relay"]
ready = { file = "{home}/ready" }
stop = { signal = "INT", grace = "10s" }
[provider]
prepare = ["tool", "import", "{payload.path}"]
command = ["tool", "serve", "{payload.path}"]
ready = { line = "^ticket" }
[provider.relayed]
command = ["tool", "serve", "--by", "{relay.address}"]
[provider.capture]
ticket = { regex = 'ticket (\S+)' }
import_time = { json = "/import", unit = "ms" }
[fetcher]
command = ["tool", "-w", "%{json}", "get", "--from={provider.address}", "{provider.ticket}", "{daemon.socket}", "{out}"]
providers = "all"
[fetcher.daemon]
command = ["tool", "daemon"]
ready = { port = 80 }
[fetcher.daemon.capture]
socket = { regex = "socket at (.*)" }
[fetcher.capture]
connected = { json = "/c", where = { "/kind" = "connected" }, unit = "ms" }
done = { regex = "^complete" }
messages = { json = "/messages" }
[limits]
memory = "8GiB"
processes = 100
files = 1000
space = "20GiB"
[build]
only_if = "src/tool.rs"
command = ["make"]
artifact = "out"
keep = ["cache"]
"#;

#[test]
fn every_key_comes_to_something() {
    let subject = Subject::parse("tool.toml", GOOD).unwrap();
    assert_eq!(subject.executables().collect::<Vec<_>>(), ["tool", "tool", "tool", "tool", "tool", "tool", "helper"]);
    assert_eq!(subject.fan_in, FanIn::All);
    let gib = |n: u64| Some(n << 30);
    let limits = Limits { memory_bytes: gib(8), processes: Some(100), files: Some(1000), space_bytes: gib(20) };
    assert_eq!(subject.limits, limits);
    let relay = subject.relay.as_ref().unwrap();
    assert!(matches!(&relay.ready, Ready::File(path) if path == "{home}/ready"));
    assert_eq!((relay.stop.signal, relay.stop.grace), (StopSignal::Int, Duration::from_secs(10)));
    let line = |program: &longhaul_scenarios::Program, sort, relayed| {
        program.command_for(sort, relayed).map(|line| line.join(" "))
    };
    assert_eq!(line(&subject.provider, Sort::File, false).as_deref(), Some("tool serve {payload.path}"));
    assert_eq!(line(&subject.provider, Sort::File, true).as_deref(), Some("tool serve --by {relay.address}"));
    assert_eq!(line(&subject.provider, Sort::Tree, true), None);
    assert_eq!(line(&subject.fetcher, Sort::File, true), line(&subject.fetcher, Sort::File, false));
    assert_eq!(subject.provider.texts().collect::<Vec<_>>(), ["ticket"]);
    let moments = |what: &What| match what {
        What::Moment { milestone, seconds_per_unit } => Some((*milestone, *seconds_per_unit)),
        _ => None,
    };
    let moments: Vec<_> = subject.fetcher.captures.iter().filter_map(|capture| moments(&capture.what)).collect();
    assert_eq!(moments, [(Milestone::Connected, Some(1e-3)), (Milestone::Done, None)]);
}

#[test]
fn mistakes_name_file_key_and_fix() {
    let rows = [
        ("{payload.path}\"]\nready", "{payload.file}\"]\nready"),
        ("ready = { port = 80 }", ""),
        ("ready = { port = 80 }", "ready = { prot = 80 }"),
        ("ready = { port = 80 }", "ready = { port = 80, line = \"x\" }"),
        ("tool (\\S+)", "tool \\S+"),
        ("tool (\\S+)", "tool (\\S+"),
        ("\"/c\"", "\"c\""),
        ("\"/kind\"", "\"kind\""),
        ("\"/c\", where", "\"/c\", regex = \"x\", where"),
        ("regex = \"^complete\"", "regex = \"^complete\", where = { \"/x\" = 1 }"),
        ("unit = \"ms\" }\ndone", "unit = \"h\" }\ndone"),
        ("connected = {", "conected = {"),
        (
            "connected = { json = \"/c\", where = { \"/kind\" = \"connected\" }, unit = \"ms\" }",
            "conected = { json = \"/c\" }",
        ),
        ("[\"tool\", \"relay\"]", "[\"tool\", \"{provider.address}\"]"),
        ("messages = { json = \"/messages\" }", "messages = { json = \"/messages\", unit = \"s\" }"),
        ("import_time = { json = \"/import\", unit = \"ms\" }", "import_time = { json = \"/import\" }"),
        ("import_time = { json = \"/import\", unit = \"ms\" }", "messages = { json = \"/m\" }"),
        ("import_time = { json = \"/import\", unit = \"ms\" }", "done = { regex = \"x\" }"),
        ("ticket = {", "address = {"),
        ("{provider.ticket}", "{provider.tickte}"),
        ("[fetcher]", "[fetcher]\nready = { port = 1 }"),
        ("[provider]", "[provider]\nproviders = \"one\""),
        ("providers = \"all\"", "providers = \"some\""),
        ("providers = \"all\"", "events = true"),
        ("signal = \"INT\"", "signal = \"STOP\""),
        ("grace = \"10s\"", "grace = 10"),
        ("conf/tool.conf", "../tool.conf"),
        ("conf/tool.conf", "/etc/passwd"),
        ("name = \"tool\"", "name = \"my tool\""),
        ("[\"tool\", \"serve\", \"{payload.path}\"]", "[]"),
        ("\"8GiB\"", "\"8\""),
        ("\"8GiB\"", "\"8KiB\""),
        ("processes = 100", "processes = 0"),
        ("files = 1000", "files = -1"),
        ("space = ", "spaces = "),
        ("\"make\"", ""),
        ("\"out\"", "\"/usr/bin\""),
        ("\"cache\"", "\"../cache\""),
        ("keep = ", "keeps = "),
        ("schema = 1", "schema = 2"),
        ("schema = 1", "schema = 1\ndelivers = \"all\""),
        ("schema = 1", "schema = 1\ndelivers = \"nothing\""),
        ("messages = { json = \"/messages\" }", "bytes = { json = \"/messages\" }"),
    ];
    let errors: Vec<String> = rows
        .iter()
        .map(|(from, to)| {
            assert!(GOOD.contains(from), "{from}");
            Subject::parse("tool.toml", &GOOD.replacen(from, to, 1)).unwrap_err().to_string()
        })
        .collect();
    insta::assert_snapshot!(errors.join("\n"));
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn a_word_is_repeated_for_each_provider() {
    let mut values = Values::default();
    values.set("out", "/o");
    for (address, ticket) in [("10.0.0.1", "a"), ("10.0.0.2", "b")] {
        values.add("provider.address", address);
        values.add("provider.ticket", ticket);
    }
    let command = words(&["get", "--from={provider.ticket}@{provider.address}", "%{json}", "${out}", "{out}", "{x}"]);
    let expect = words(&["get", "--from=a@10.0.0.1", "--from=b@10.0.0.2", "%{json}", "${out}", "/o", "{x}"]);
    assert_eq!(values.fill(&command), expect);
    assert_eq!(values.fill_text("peers: {provider.address}"), "peers: 10.0.0.1,10.0.0.2");
    assert_eq!(values.lacking("{out} {relay.address} {provider.ticket}"), Some("relay.address"));
}

#[test]
fn sources_find_what_they_name() {
    let json = |pointer: &str, given: &[(&str, &str)]| Source::Json {
        pointer: pointer.into(),
        given: given.iter().map(|(at, value)| ((*at).to_owned(), serde_json::json!(value))).collect(),
    };
    let regex = |text: &str| Source::Regex(regex::Regex::new(text).unwrap());
    let line = r#"{"kind": "got", "n": 3, "who": "bob", "no": null}"#;
    let rows = [
        (json("/n", &[]), line, Some("3")),
        (json("/who", &[("/kind", "got")]), line, Some("bob")),
        (json("/who", &[("/kind", "sent")]), line, None),
        (json("/no", &[]), line, None),
        (json("/nothing", &[]), line, None),
        (json("/n", &[]), "3", None),
        (regex("ticket: (.*)$"), "my ticket: blobx", Some("blobx")),
        (regex("blob[a-z]+"), "my ticket: blobx", Some("blobx")),
        (regex("blob[a-z]+"), "nothing", None),
    ];
    for (source, line, expect) in rows {
        assert_eq!(source.find(line).as_deref(), expect, "{source:?} in {line}");
    }
}

/// What a user copies first has to work.
#[test]
fn the_readmes_subject_is_valid() {
    let readme = include_str!("../../README.md");
    let section = readme.split_once("## A subject\n").unwrap().1;
    let example = section.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    let subject = Subject::parse("README.md", example).unwrap();
    assert!(subject.relay.is_some() && subject.fetcher.captures.len() == 4, "{subject:?}");
}
