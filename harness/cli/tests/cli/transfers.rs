//! Transfers that go well: everything that proves them is printed, and kept.

use super::files::scenario;
use super::ground::{DB, Ended, Ground};
use longhaul_record::{METRICS, Outcome, RunRecord, SCHEMA};
use std::collections::BTreeSet;

/// How often a command is tried on a machine that is too busy to be trusted.
const TRIES: usize = 5;

/// Runs a command that should pass. It may leave with "untrusted" where other programs take the processors.
fn pass(ground: &Ground, arguments: &[&str]) -> Ended {
    for _ in 1..TRIES {
        let ended = ground.longhaul(arguments);
        if ended.code != Some(4) {
            assert_eq!(ended.code, Some(0), "{ended:?}");
            return ended;
        }
    }
    let ended = ground.longhaul(arguments);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended
}

fn small(ground: &Ground) -> &'static str {
    ground.file("small.toml", &scenario("small").replace("\"64KiB\"", "\"1MiB\"").replace("\"1s\"", "\"20s\""))
}

pub(crate) fn a_run_is_recorded_with_its_evidence() {
    let ground = Ground::new();
    let head = ground.git(&["rev-parse", "HEAD"]);
    let subjects = ["--subject", "reference", "--subject", "curl"];
    let ended =
        pass(&ground, &[&["run", small(&ground), "--seed", "42", "--json", "--db", DB], &subjects[..]].concat());
    let printed = ended.records();
    assert_eq!(ground.records()[ground.records().len() - printed.len()..], printed, "what is printed is kept");
    let good: Vec<&RunRecord> = printed.iter().filter(|record| record.outcome == Outcome::Ok).collect();
    let names: Vec<&str> = good.iter().map(|record| record.subject.as_str()).collect();
    assert_eq!(names, ["reference", "curl"]);
    for record in good {
        assert_eq!((record.schema, record.scenario.as_str(), record.seed), (SCHEMA, "small", 42));
        assert_eq!(record.commit.as_deref(), Some(head.as_str()));
        assert_eq!(record.commit_detail.as_ref().map(|detail| detail.dirty), Some(false));
        assert_eq!((record.payload_bytes, record.payload_files), (1 << 20, 1));
        assert!(record.subject_detail.version.is_some() && record.subject_detail.binary_hash.is_some());
        check_evidence(record);
    }
}

/// Every fetcher gets everything, and all are on one clock.
pub(crate) fn several_fetch_from_several() {
    let ground = Ground::new();
    let text = scenario("swarm").replace("name = \"bob\"", "name = \"bob\"\ncount = 3");
    let text = text.replace("name = \"alice\"", "name = \"alice\"\ncount = 2");
    let swarm = ground.file("swarm.toml", &text.replace("\"1s\"", "\"55s\""));
    let subjects = ["--subject", "reference", "--subject", "curl"];
    let ended = pass(&ground, &[&["run", swarm, "--json", "--db", DB], &subjects[..]].concat());
    for record in ended.records().iter().filter(|record| record.outcome == Outcome::Ok) {
        let hosts: Vec<&str> = record.processes.iter().map(|process| process.host.as_str()).collect();
        assert_eq!(hosts, ["alice-1", "alice-2", "bob-1", "bob-2", "bob-3"]);
        let fetchers = ["bob-1", "bob-2", "bob-3"].map(|host| record.value("goodput", Some(host)).unwrap());
        assert!(fetchers.iter().all(|goodput| *goodput > 0.0), "{fetchers:?}");
        let fairness = record.value("fairness", None).unwrap();
        assert!((1.0 / 3.0..=1.0).contains(&fairness), "{fairness}");
        assert_eq!(record.calibration.paths.len(), 2, "all have the same in front of them: one pair is probed");
    }
}

/// Calibration of both directions, every metric, every curve, both processes.
fn check_evidence(record: &RunRecord) {
    let paths: Vec<(&str, &str)> = record.calibration.paths.iter().map(|p| (p.from.as_str(), p.to.as_str())).collect();
    assert_eq!(paths.len(), 2, "{paths:?}");
    for path in &record.calibration.paths {
        assert_eq!(path.delay.asked_ns, 2_000_000);
        assert!(path.delay.median_ns.abs_diff(2_000_000) <= record.tolerance.delay_ns, "{path:?}");
    }
    let measured: BTreeSet<&str> = record.samples.iter().map(|sample| sample.metric.as_str()).collect();
    // One fetcher, a line without a limit, no traffic beside it, nothing to recover from; what only a subject itself could say;
    // and what is measured in other ways.
    let elsewhere = [
        "allocated_bytes",
        "allocations",
        "bigger_is_better",
        "direct_bytes",
        "fairness",
        "goodput_share",
        "instructions",
        "iteration_time",
        "lookup_messages",
        "lookup_packets",
        "lookup_success",
        "lookup_time",
        "lookup_time_p95",
        "recovery_time",
        "relayed_bytes",
        "smaller_is_better",
        "utilisation",
    ];
    let unsaid: &[&str] =
        if record.subject == "curl" { &["import_time", "messages_per_block", "time_to_direct"] } else { &[] };
    let expect = METRICS.iter().map(|metric| metric.id).filter(|id| !elsewhere.contains(id) && !unsaid.contains(id));
    assert_eq!(measured, expect.collect());
    for role in ["provider", "fetcher"] {
        assert!(record.value("peak_rss", Some(role)).unwrap() > 1e5, "{:?}", record.samples);
    }
    // All of the payload crossed the wire after the connection was up.
    assert!(record.value("wire_overhead", None).unwrap() > 1.0, "{:?}", record.samples);
    assert!(record.value("setup_time", None).unwrap() >= 0.004, "{:?}", record.samples);
    for name in ["wire", "lost", "queue"] {
        let series = record.series.iter().find(|series| series.name == name).expect(name);
        assert!(!series.values.is_empty(), "{name}");
    }
    assert_eq!((record.processes.len(), record.links.len()), (2, 4));
    assert!(record.fidelity.released > 0);
}

pub(crate) fn repetitions_have_seeds_of_their_own() {
    let ground = Ground::new();
    let ended = pass(&ground, &["run", small(&ground), "--subject", "curl", "--repeat", "2", "--json", "--db", DB]);
    let good = ended.records().into_iter().filter(|record| record.outcome == Outcome::Ok);
    let seeds: Vec<(u32, u64)> = good.map(|record| (record.iteration, record.seed)).collect();
    assert_eq!(seeds, [(0, 1), (1, 2)]);
    // The table for people, from a third run.
    let ended = pass(&ground, &["run", small(&ground), "--subject", "curl", "--db", DB]);
    let row = ended.stdout.lines().last().unwrap().trim_end();
    assert!(row.contains("small") && row.contains("curl") && row.contains("bit/s") && row.ends_with("ok"), "{ended:?}");
    let kept = ground.records();
    assert!(kept.len() >= 3 && kept.iter().all(|record| record.scenario == "small"), "{}", kept.len());
}

/// No byte passes for as long as the timeline says, so no transfer that it meets can be faster.
pub(crate) fn a_dead_line_makes_a_transfer_wait() {
    let ground = Ground::new();
    let text = scenario("dead").replace("\"64KiB\"", "\"1MiB\"").replace("\"1s\"", "\"20s\"");
    let link = "link = { delay = \"2ms\" }";
    assert!(text.contains(link), "{text}");
    // 1 MiB takes 0.8 s, and the line is dead after 0.2 s.
    let text = text.replace(link, "link = { delay = \"2ms\", rate = \"10Mbit\" }");
    let events = "[[at]]\ntime = \"200ms\"\nlink = \"bob.link\"\nset = { state = \"down-hold\" }\n\
                  [[at]]\ntime = \"1500ms\"\nlink = \"bob.link\"\nset = { state = \"up\" }\n";
    let file = ground.file("dead.toml", &format!("{text}\n{events}"));
    let ended = pass(&ground, &["run", file, "--subject", "curl", "--json", "--db", DB]);
    let records = ended.records();
    let good = records.iter().rfind(|record| record.outcome == Outcome::Ok).unwrap();
    assert!(good.value("total_time", None).unwrap() > 1.5, "{:?}", good.samples);
    let [recovery] = good.recoveries.as_slice() else { panic!("{:?}", good.recoveries) };
    assert_eq!((recovery.from_ns, recovery.until_ns), (200_000_000, 1_500_000_000));
    assert_eq!(recovery.what, "bob.link is down for 1.3 s");
    // On a busy machine the first byte may come after the line has died: then there is a note instead.
    assert_eq!(recovery.seconds.is_none(), recovery.note.is_some(), "{recovery:?}");
    assert_eq!(good.value("recovery_time", None), recovery.seconds);
    assert_eq!(good.value("recovery_time", Some("at 200 ms")), recovery.seconds);
}

/// Home routers let hole punching through, two symmetric ones do not.
pub(crate) fn a_direct_path_is_found_where_there_is_one() {
    let ground = Ground::new();
    for (nat, direct) in [("home", true), ("symmetric", false)] {
        let cell = format!("nat[nat.a={nat},nat.b={nat}]");
        let ended = pass(&ground, &["run", &cell, "--subject", "reference", "--repeat", "1", "--json", "--db", DB]);
        let records = ended.records();
        let good = records.iter().rfind(|record| record.outcome == Outcome::Ok).unwrap();
        let bytes = ["direct_bytes", "relayed_bytes"].map(|metric| good.value(metric, None).unwrap());
        assert_eq!(bytes.iter().sum::<f64>(), 1_048_576.0, "{cell}: {bytes:?}");
        assert_eq!(good.value("time_to_direct", None).is_some(), direct, "{cell}");
        assert_eq!(bytes[0] > 0.0, direct, "{cell}: {bytes:?}");
        assert_eq!(good.processes.len(), 3, "relay, provider and fetcher");
    }
}
