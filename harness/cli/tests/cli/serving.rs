//! The dashboard as `longhaul serve` offers it.

use super::ground::{DB, DEADLINE, Ground};
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::net::TcpStream;

pub(crate) fn recorded_results_are_served() {
    let ground = Ground::new();
    let run = ground.record_one();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let serving = ground.start(&["serve", "--listen", "127.0.0.1:0", "--db", DB]);
        let line = serving.says();
        let address = line.strip_prefix("dashboard: http://").unwrap().split('/').next().unwrap();
        for (path, expect) in [
            ("/", [&run.scenario, &run.subject]),
            (&format!("/scenario/{}", run.scenario), [&run.scenario, &run.subject]),
            (&format!("/run/{}", run.id), [&run.scenario, &run.subject]),
        ] {
            let page = get(address, path);
            assert!(page.starts_with("HTTP/1.0 200"), "{path}: {page}");
            for name in expect {
                assert!(page.contains(name.as_str()), "{path}: {name} is missing");
            }
        }
        assert!(get(address, "/run/none").starts_with("HTTP/1.0 404"));
        serving.signal(signal);
        let ended = serving.end();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{signal}: {ended:?}");
    }
}

/// Invented data fills a database of its own, can be looked at as pages and as files, and is never put beside measurements.
pub(crate) fn invented_data_shows_the_dashboard() {
    let ground = Ground::new();
    let small = ["--commits", "8", "--scenarios", "2", "--subjects", "2", "--runs", "1"];
    let demo = |db: &str| ground.longhaul(&[&["demo-data", "--db", db], &small[..]].concat());
    demo("demo.db").says(0, "invented runs on 8 commits");
    ground.longhaul(&["db", "check", "--db", "demo.db"]).says(0, "everything is as it was written");
    ground.longhaul(&["export", "site", "site", "--db", "demo.db"]).says(0, "site: ");
    let index = std::fs::read_to_string(ground.path("site/index.html")).unwrap();
    assert!(index.contains("Invented data.") && index.contains("driftwood"), "{index}");
    ground.longhaul(&["export", "site", "site", "--db", "demo.db"]).refused(2, &["site is not an empty directory"]);
    ground.record_one();
    demo(DB).refused(2, &["holds measurements; invented data needs a database of its own"]);
    assert_eq!(ground.records().len(), 1, "what was measured is untouched");
    ground.longhaul(&["demo-data", "--commits", "1", "--db", "x.db"]).says(2, "2..=20000");
}

/// A token's text is shown once and never kept; who has it may say what an alert is, until it is revoked.
pub(crate) fn tokens_are_made_listed_and_revoked() {
    let ground = Ground::new();
    let token = |arguments: &[&str]| ground.longhaul(&[&["token"], arguments, &["--db", DB]].concat());
    let made = token(&["create", "anna", "--scope", "ingest", "--scope", "triage", "--project", "p"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let text = made.stdout.trim();
    assert!(text.starts_with("longhaul_") && text.len() == 73, "{text}");
    let listed = token(&["list", "--json"]);
    assert!(!listed.stdout.contains(&text[9..]), "the text is nowhere kept");
    let one = &listed.json()["tokens"][0];
    assert_eq!((one["name"].as_str(), one["scope"].as_str()), (Some("anna"), Some("ingest triage")));
    assert!(!String::from_utf8_lossy(&std::fs::read(ground.path(DB)).unwrap()).contains(&text[9..]));
    let id = one["id"].as_str().unwrap();
    token(&["revoke", &id[24..]]).says(0, "is revoked: nobody can use it any more");
    token(&["revoke", id]).says(0, "was revoked before");
    token(&["list"]).says(0, "ingest triage");
    token(&["revoke", "nobody"]).refused(2, &["there is no token nobody"]);
    token(&["create", "bert", "--scope", "all"]).says(2, "there are: ingest triage");
    token(&["create", "bert"]).says(2, "--scope");
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
