//! When series changed.

use super::ground::{DB, DEADLINE, Ground};
use longhaul_store::testing::sample::{self, Shape};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};

pub(crate) fn changes_in_a_file_are_found() {
    let ground = Ground::new();
    let lines = |count: u32| -> String {
        let value = |n: u32| f64::from(if n < 10 { 100 } else { 120 }) + f64::from(n * n % 7) / 10.0;
        (0..count).map(|n| format!("2026-11-{:02},{}\n", n + 1, value(n))).collect()
    };
    let detect = |text: &str, more: &[&str]| {
        let file = ground.file("a.csv", text);
        ground.longhaul(&[&["detect", file], more].concat())
    };
    let said = detect(&lines(20), &["--json"]);
    let found: Value = serde_json::from_str(&said.stdout).unwrap();
    let [point] = &found["change_points"].as_array().unwrap()[..] else { panic!("{found}") };
    assert_eq!((&point["index"], &point["confirmed"]), (&json!(10), &json!(true)));
    let number = |key: &str| point[key].as_f64().unwrap();
    assert!((number("shift_percent") - 20.0).abs() < 0.5 && number("p") < 0.001, "{point}");
    assert!((number("before") - 100.2).abs() < 0.2 && (number("after") - 120.2).abs() < 0.2, "{point}");
    let table = detect(&lines(20), &[]).stdout;
    assert!(table.contains("2026-11-11") && table.contains("+19.9 %") || table.contains("+20.0 %"), "{table}");
    assert!(detect(&lines(11), &[]).stdout.contains("to be measured again"));
    assert_eq!(detect(&lines(10), &[]).stdout, "No change in 10 values: too few for one, which takes 14.\n");
    assert_eq!(detect(&lines(20), &["--delta", "30"]).stdout, "No change in 20 values.\n");
    for (text, more, expected) in [
        ("1,2\n1,x\n", [].as_slice(), "a.csv: `line 2`: `x` is not a number"),
        ("", &[], "there are no values"),
        ("1,2\n", &["--delta", "x"], "use a number from 0 to 1000"),
        ("1,2\n", &["--scenario", "local"], "cannot be used with"),
    ] {
        let said = detect(text, more);
        assert!(said.code == Some(2) && said.stderr.contains(expected), "{said:?}");
    }
    assert_eq!(ground.longhaul(&["detect", "none.csv"]).code, Some(2));
}

/// The metric that got worse in these tests.
const SLOWER: &str = "transfer_time";

/// Runs of commits, of which some got slower.
fn record(ground: &Ground, commits: std::ops::Range<u32>, slower: std::ops::Range<u32>) {
    let runs = commits.map(|commit| {
        let mut run = sample::run(Shape { network: 4, subject: "reference", commit, iteration: 0 });
        let factor = if slower.contains(&commit) { 1.25 } else { 1.0 };
        run.samples.iter_mut().filter(|sample| sample.metric == SLOWER).for_each(|sample| sample.value *= factor);
        run
    });
    ground.record(&runs.collect::<Vec<_>>());
}

/// Found, confirmed, talked about and mended; the same twice changes nothing.
pub(crate) fn alerts_have_a_life() {
    let ground = Ground::new();
    let alert = |more: &[&str]| ground.longhaul(&[&["alert"], more, &["--db", DB]].concat());
    assert_eq!(alert(&["list"]).code, Some(6), "there is no database");
    let update = |from: u32, to: u32| {
        record(&ground, from..to, 20..40);
        let said: Value = serde_json::from_str(&alert(&["update", "--json"]).stdout).unwrap();
        assert_eq!(alert(&["update"]).stdout.lines().count(), 1, "nothing new");
        let alerts = said["alerts"].as_array().unwrap().clone();
        alerts
            .iter()
            .map(|alert| (alert["id"].as_str().unwrap().to_owned(), alert["state"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(update(0, 20), []);
    let [(id, state)] = &update(20, 21)[..] else { panic!("one alert") };
    assert_eq!(state, "new");
    assert_eq!(update(21, 26), [(id.clone(), json!("confirmed"))]);
    assert_eq!(update(26, 30), []);
    let said = alert(&["acknowledge", &id[24..], "--note", "me: \u{1b}[2J known"]);
    assert!(said.code == Some(0) && said.stdout.contains("acknowledged") && said.stdout.contains(" +2"), "{said:?}");
    assert_eq!(update(30, 44), [(id.clone(), json!("fixed"))]);
    assert_eq!(alert(&["list"]).stdout, "No alerts.\n");
    let all: Value = serde_json::from_str(&alert(&["list", "--all", "--json"]).stdout).unwrap();
    let [known] = &all["alerts"].as_array().unwrap()[..] else { panic!("{all}") };
    let range = |from: &Value| from["first_after"].clone();
    assert_eq!((range(&known["range"]), range(&known["fixed"])), (json!(sample::sha(20)), json!(sample::sha(40))));
    let states: Vec<&Value> = known["history"].as_array().unwrap().iter().map(|event| &event["state"]).collect();
    assert_eq!(states, ["new", "confirmed", "acknowledged", "fixed"]);
    for (arguments, expected) in
        [(["dismiss", "nobody"], "`nobody` is no alert"), (["list", "--state=odd"], "use one of new, confirmed")]
    {
        let said = alert(&arguments);
        assert!(said.code == Some(2) && said.stderr.contains(expected), "{said:?}");
    }
}

/// What is new is sent once, whole and in words; where nobody takes it, that is said, without the address, and nothing is lost.
pub(crate) fn what_is_new_goes_to_a_webhook() {
    let ground = Ground::new();
    record(&ground, 0..26, 20..40);
    let (address, heard) = hook("HTTP/1.1 500 Internal Server Error");
    let update = |url: &str| ground.longhaul(&["alert", "update", "--webhook", url, "--db", DB]);
    let refused = update(&format!("http://{address}/secret-path"));
    refused.says(6, "the webhook does not take what is new: it answers 500");
    assert!(!format!("{refused:?}").contains("secret-path"), "{refused:?}");
    heard.recv_timeout(DEADLINE).unwrap();
    ground.longhaul(&["alert", "list", "--db", DB]).says(0, "confirmed");
    // Mended since: that is news.
    record(&ground, 26..44, 20..30);
    let (address, heard) = hook("HTTP/1.1 200 OK");
    update(&format!("http://{address}/")).says(0, "fixed");
    let said: Value = serde_json::from_str(&heard.recv_timeout(DEADLINE).unwrap()).unwrap();
    let text = said["text"].as_str().unwrap();
    assert!(text.starts_with("Transfer time of reference on home-nat rose by ") && text.ends_with("(fixed)"), "{text}");
    assert_eq!(said["alerts"][0]["state"], "fixed");
    // Nothing new is sent nowhere: nobody listens there.
    update("http://127.0.0.1:1/").says(0, "Nothing new");
}

/// Answers one request, and says what it was sent.
fn hook(status: &'static str) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, heard) = channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        write!(stream, "{status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        sender.send(String::from_utf8(body).unwrap()).unwrap();
    });
    (address, heard)
}

pub(crate) fn changes_in_the_database_are_found() {
    let ground = Ground::new();
    assert_eq!(ground.longhaul(&["detect", "--db", DB]).code, Some(6), "there is none");
    record(&ground, 0..30, 15..30);
    let detect = |more: &[&str]| ground.longhaul(&[&["detect", "--db", DB], more].concat()).stdout;
    let found: Value = serde_json::from_str(&detect(&["--json"])).unwrap();
    let [point] = &found["change_points"].as_array().unwrap()[..] else { panic!("{found}") };
    let range = [sample::sha(14), sample::sha(15)];
    assert_eq!([&point["last_before"], &point["first_after"]], range.each_ref().map(|sha| json!(sha)).each_ref());
    assert_eq!((&point["metric"], &point["scenario"]), (&json!(SLOWER), &json!("home-nat")));
    let table = detect(&[]);
    assert!(table.contains(&range[1][..10]) && table.contains("worse"), "{table}");
    assert_eq!(detect(&["--metric", "goodput"]), "No change in 1 series.\n");
    assert!(detect(&["--branch", "topic"]).starts_with("No series has commits of topic"));
    assert!(detect(&["--scenario", "nowhere"]).starts_with("No series has commits of main or master"));
}
