//! Every page from sample contexts: what it must say, what it must never say.

use super::*;
use longhaul_record::{
    Calibration, Dependence, Hairpinned, NatBehaviour, NatCheck, NetworkChange, Outcome, ProcessReport, Recovery, Role,
    RunRecord, Sample, Trigger,
};
use longhaul_sqlite::SqliteStore;
use longhaul_store::testing::sample::{self, Shape};
use longhaul_store::{OverviewQuery, RunFilter, SeriesQuery, Store};

const SHAPE: Shape = Shape { network: 3, subject: "reference", commit: 0, iteration: 0 };

async fn stored(runs: impl IntoIterator<Item = RunRecord>) -> (SqliteStore, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path().join("longhaul.db")).await.unwrap();
    for run in runs {
        store.insert_run(&run).await.unwrap();
    }
    (store, dir)
}

async fn overview_of(runs: impl IntoIterator<Item = RunRecord>) -> String {
    let (store, _dir) = stored(runs).await;
    let query = OverviewQuery { project: None, host: None, metrics: HEADLINES.map(String::from).into(), recent: 30 };
    let rows = store.overview(&query).await.unwrap();
    let (direct, alerts, commits, canaries) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    overview(&Overview { frame: Frame::default(), rows, direct, alerts, commits, canaries }).into_string()
}

async fn scenario_of(name: &str, runs: impl IntoIterator<Item = RunRecord>) -> String {
    let (store, _dir) = stored(runs).await;
    let filter = RunFilter { scenario: Some(name.into()), ..RunFilter::default() };
    let query = SeriesQuery { scenario: name.into(), commits: 60, ..SeriesQuery::default() };
    let page = Scenario {
        frame: Frame::default(),
        name: name.into(),
        words: "alice sends to bob.".into(),
        view: View::default(),
        alerts: Vec::new(),
        newest: None,
        set: store.series(&query).await.unwrap(),
        runs: store.runs(&filter).await.unwrap(),
    };
    scenario(&page).into_string()
}

/// Tags taken out, entities put back, white space folded.
fn words(html: &str) -> String {
    let body = html.split_once("<main").map_or(html, |(_, main)| main);
    let mut out = String::new();
    for part in body.split('<').skip(1) {
        out.push(' ');
        out.push_str(part.split_once('>').map_or("", |(_, text)| text));
    }
    let out = out.replace('\u{a0}', " ").replace("&quot;", "\"").replace("&#39;", "'");
    let out = out.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn says(html: &str, expect: &[&str]) {
    let text = words(html);
    for part in expect {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }
}

#[tokio::test]
async fn the_overview_answers_first() {
    let html = overview_of(sample::history()).await;
    says(
        &html,
        &[
            "1 of 14 measurements had a failed run, 1 had a run that cannot be trusted; the other 12 completed on \
             networks that were what they claimed to be.",
            "The newest commit measured is 1fe68f0 “provider: open files lazily”",
            "Against curl, reference is faster on 3 networks, slower on 2 and within 3 % on 1.",
            "2/2 failed",
            "1/2 untrusted",
            "93.1 Mbit/s at 81af154",
            "curl on home-nat failed : fetcher exited with status 7 after 0.2 s",
            "Behind the newest ones stand 24 probed directions, the one-way delay off by 26.2 µs at worst.",
        ],
    );
}

#[tokio::test]
async fn values_of_older_commits_are_marked() {
    let old = sample::run(SHAPE);
    let new = sample::run(Shape { subject: "curl", commit: 1, ..SHAPE });
    let html = overview_of([old.clone(), new]).await;
    let mark = format!("at {}", &old.commit.unwrap()[..7]);
    says(&html, &[&mark]);
    assert_eq!(words(&html).matches(&mark).count(), 1);
    assert!(!words(&html).contains("Against curl, "), "different commits are not compared");
}

/// What was measured without a network proves nothing about any.
#[tokio::test]
async fn benchmarks_stand_apart() {
    let benchmark = RunRecord {
        scenario: "sums/all".into(),
        subject: "criterion".into(),
        trigger: Trigger::Import,
        calibration: Calibration::default(),
        processes: Vec::new(),
        samples: vec![Sample { metric: "iteration_time".into(), peer: None, value: 0.0125 }],
        ..sample::run(Shape { iteration: 1, ..SHAPE })
    };
    let alone = overview_of([benchmark.clone()]).await;
    says(&alone, &["No network has been measured yet; there are benchmarks", "Benchmarks", "sums/all", "12.5 ms"]);
    assert!(!words(&alone).contains("Networks") && !words(&alone).contains("trusted"), "{}", words(&alone));
    says(
        &overview_of([benchmark.clone(), sample::run(SHAPE)]).await,
        &["The newest measurement completed on a network"],
    );
    let page = run(&Frame::default(), &benchmark, &[]).into_string();
    says(&page, &["criterion measured sums/all.", "Time per iteration", "12.5 ms"]);
    for not in ["Was the network", "Repeat it", "the fetcher"] {
        assert!(!words(&page).contains(not), "{not}");
    }
}

#[tokio::test]
async fn headlines_fit_what_happened() {
    let failed = |iteration| {
        let shape = Shape { iteration, ..SHAPE };
        sample::failed(shape, Outcome::SubjectFailed, "exited with status 1", "")
    };
    let untrusted = sample::failed(Shape { subject: "curl", ..SHAPE }, Outcome::Untrusted, "too late", "");
    let curl = sample::run(Shape { subject: "curl", ..SHAPE });
    let rows = [
        (vec![], "Nothing has been measured yet. Measure something first: longhaul quickstart"),
        (vec![sample::run(SHAPE)], "The newest measurement completed on a network that was what it claimed to be."),
        (vec![sample::run(SHAPE), curl.clone()], "All 2 newest measurements completed on networks"),
        (vec![failed(0)], "1 of 1 measurement had a failed run."),
        (vec![failed(0), curl], "1 of 2 measurements had a failed run; the other one is sound."),
        (vec![failed(0), untrusted], "1 of 2 measurements had a failed run and 1 had a run that cannot be trusted."),
    ];
    for (runs, expect) in rows {
        says(&overview_of(runs).await, &[expect]);
    }
}

/// What each of many hosts got has no charts of its own, and no place in the headline.
#[tokio::test]
async fn a_scenario_of_several_fetchers_speaks_of_all() {
    let mut run = sample::run(SHAPE);
    let each = ["bob", "carol"].map(|host| Sample { metric: "goodput".into(), peer: Some(host.into()), value: 25e6 });
    run.samples.extend(each);
    let (name, html) = (run.scenario.clone(), scenario_of(&run.scenario.clone(), [run]).await);
    let text = words(&html);
    assert_eq!(text.matches(&format!("On {name}: reference ")).count(), 1, "{text}");
    assert!(!text.contains("25.0 Mbit/s") && !text.contains("Goodput, bob"), "{text}");
}

#[tokio::test]
async fn a_scenario_shows_every_metric_across_commits() {
    let history: Vec<RunRecord> = sample::history().into_iter().filter(|run| run.scenario == "dsl").collect();
    let html = scenario_of("dsl", history).await;
    says(
        &html,
        &[
            "On dsl: curl 46.2 Mbit/s and reference 45.7 Mbit/s.",
            "12 commits measured with curl and reference",
            "scenario changed",
            "axis from 42 Mbit/s",
            "CPU time, fetcher as a table",
            "timed out still running after 60 s",
            "longhaul run dsl",
        ],
    );
    // Fourteen metrics and sides; the leading one is drawn for wide and for narrow screens.
    assert_eq!(html.matches("<svg").count(), 15);
}

#[tokio::test]
async fn a_scenario_without_a_usable_run_shows_no_number() {
    let failed = sample::failed(SHAPE, Outcome::TimedOut, "still running after 60 s", "");
    let html = scenario_of("lossy-1pct", [failed]).await;
    says(&html, &["On lossy-1pct, the newest run of reference: timed out.", "still running after 60 s"]);
    assert!(!words(&html).contains("bit/s"), "{}", words(&html));
}

/// A line that changed on the way has no one rate to compare with.
#[test]
fn a_network_that_changed_shows_when() {
    let what = "bob loses wifi and goes on by mobile".to_owned();
    let changes = vec![NetworkChange { at_ns: 1_500_000_000, what }];
    let recovery = |from_ns, what: &str, seconds, note: Option<&str>| {
        let until_ns = from_ns + 1_000_000_000;
        Recovery { from_ns, until_ns, what: what.into(), seconds, note: note.map(str::to_owned) }
    };
    let recoveries = vec![
        recovery(1_500_000_000, "bob loses wifi", Some(0.65), None),
        recovery(3_000_000_000, "bob.link is down for 1 s", None, Some("the transfer had ended by then")),
        recovery(4_000_000_000, "home starts anew", Some(0.0), None),
    ];
    let record = RunRecord { changes, recoveries, ..sample::run(Shape { network: 4, ..SHAPE }) };
    let html = run(&Frame::default(), &record, &[]).into_string();
    says(
        &html,
        &[
            "1 at 1.5 s: bob loses wifi and goes on by mobile.",
            "From 1.5 s on, bob loses wifi: payload flowed again 650 ms after it was over.",
            "From 3 s on, bob.link is down for 1 s: no recovery: the transfer had ended by then.",
            "From 4 s on, home starts anew: payload never ceased to flow, or flowed before it was over.",
        ],
    );
    assert!(!words(&html).contains("of the line’s rate"), "{}", words(&html));
    assert_eq!(html.matches("stroke-dasharray").count(), 2, "a mark in both charts");
}

#[test]
fn a_run_tells_its_story() {
    let record = sample::run(Shape { network: 4, ..SHAPE });
    let html = run(&Frame::default(), &record, &[]).into_string();
    says(
        &html,
        &[
            "bob fetched 64 MiB from alice in ",
            "% of the line’s rate.",
            "verified byte for byte",
            "peak 39.0 ms",
            "alice → bob 12 ms 12.0 ms 12.0 ms none none of 4,000 100 Mbit/s 99.9 Mbit/s",
            "at the 99th percentile",
            "It lost nothing of its own.",
            "Payload bits of all fetchers divided by the transfer time.",
            "bob.link ↓ 49,710 66.4 MiB 49,710 0 42 ms",
            "longhaul run home-nat --subject reference --seed ",
        ],
    );
    assert_eq!(html.matches("class=\"chart timeline\"").count(), 2);
}

#[test]
fn a_run_of_several_speaks_of_all() {
    let mut record = sample::run(Shape { network: 4, ..SHAPE });
    let more = record.processes.iter().filter(|process| process.role == Role::Fetcher).cloned();
    let more: Vec<ProcessReport> = more.map(|process| ProcessReport { host: "carol".into(), ..process }).collect();
    record.processes.extend(more);
    let each = ["bob", "carol"].map(|host| Sample { metric: "goodput".into(), peer: Some(host.into()), value: 25e6 });
    record.samples.extend(each);
    let html = run(&Frame::default(), &record, &[]).into_string();
    says(&html, &["2 hosts fetched 64 MiB each from alice in ", " in all.", "Goodput bob 25.0 Mbit/s Goodput carol"]);
    assert!(!words(&html).contains("of the line’s rate"), "{}", words(&html));
}

#[test]
fn a_failed_run_gives_its_reason_and_no_number() {
    let record = sample::failed(SHAPE, Outcome::SubjectFailed, "fetcher exited with status 1", "it broke\n");
    let html = run(&Frame::default(), &record, &[]).into_string();
    says(
        &html,
        &["reference on lossy-1pct failed.", "failed fetcher exited with status 1", "exited, status 1", "it broke"],
    );
    assert!(!html.contains("Every number"));
    assert!(html.contains("<details open>"), "the last words are in sight");
}

#[test]
fn an_untrusted_run_keeps_its_numbers_out_of_sight() {
    let record = sample::failed(SHAPE, Outcome::Untrusted, "alice → bob: asked for 10 ms, measured 31 ms", "");
    let html = run(&Frame::default(), &record, &[]).into_string();
    says(&html, &["This run of reference on lossy-1pct cannot be trusted.", "Not to be used"]);
    assert!(!html.contains("Every number"));
}

#[test]
fn routers_show_what_was_asked_and_what_was_got() {
    let asked = NatBehaviour {
        mapping: Some(Dependence::EndpointIndependent),
        filtering: Dependence::AddressDependent,
        port_preserved: true,
        hairpin: Hairpinned::FromOutside,
    };
    let mut record = sample::failed(SHAPE, Outcome::Untrusted, "", "");
    record.calibration.nats = vec![NatCheck { host: "carol".into(), asked: Some(asked), got: None }];
    let html = run(&Frame::default(), &record, &[]).into_string();
    says(
        &html,
        &["carol", "endpoint-independent", "address-dependent", "preserved", "from outside", "no UDP gets through"],
    );
}

#[test]
fn other_traffic_has_a_table() {
    let mut record = sample::run(Shape { network: 5, ..SHAPE });
    record.cross[0].failure = Some("could not be opened within 3.0 s".into());
    let html = run(&Frame::default(), &record, &[]).into_string();
    says(
        &html,
        &[
            "Other traffic meanwhile",
            "TCP carol → alice could not be opened within 3.0 s as fast as it may cubic 250 ms",
            "UDP alice → carol 4 Mbit/s, packets of 1200 bytes 1 not sent in time 250 ms",
        ],
    );
    let html = run(&Frame::default(), &sample::run(SHAPE), &[]).into_string();
    assert!(!html.contains("Other traffic"));
}

#[test]
fn a_run_with_nothing_in_it_still_has_a_page() {
    let mut record = sample::failed(SHAPE, Outcome::SetupFailed, "no such file", "");
    record.calibration.paths.clear();
    record.fidelity = Default::default();
    record.links.clear();
    record.processes.clear();
    record.series.clear();
    record.commit = None;
    record.commit_detail = None;
    let html = run(&Frame::default(), &record, &[]).into_string();
    says(&html, &["could not be set up.", "no such file", "not measured", "It was not probed", "released no packet"]);
}

#[test]
fn problems_say_what_to_do() {
    let frame = Frame::default();
    let rows = [
        (Problem::NoPage, 404, "The address leads nowhere."),
        (
            Problem::NoScenario { name: "dls".into(), known: vec!["dsl".into()] },
            404,
            "No run of dls is in this database. These have been measured: dsl",
        ),
        (Problem::NoScenario { name: "x".into(), known: vec![] }, 404, "Nothing has been measured yet."),
        (Problem::Unknown { what: "run", id: "1".into() }, 404, "There is no run 1 in this database."),
        (Problem::BadRequest { detail: "what?".into() }, 400, "what?"),
        (Problem::Store { detail: "it is locked".into() }, 503, "it is locked"),
    ];
    for (kind, status, expect) in rows {
        assert_eq!(kind.status().as_u16(), status);
        says(&problem(&frame, &kind).into_string(), &[expect, "To the overview"]);
    }
}

/// Everything that can be a text is one; no page has another script than ours, an inline style or an event handler to begin with.
#[tokio::test]
async fn hostile_texts_stay_texts() {
    let attack = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>";
    let mut record = sample::run(SHAPE);
    let encoded = serde_json::to_string(&record).unwrap();
    // Every name and every sentence of the record, wherever it is.
    for text in ["lossy-1pct", "reference", "longhaul", "bob", "alice", "AMD EPYC 7B13", "userspace", "bob.link"] {
        let replaced = encoded.replace(&format!("\"{text}\""), &serde_json::to_string(attack).unwrap());
        record = serde_json::from_str(&replaced).unwrap();
        record.scenario_words = attack.into();
        record.reason = Some(attack.into());
        record.commit_detail.as_mut().unwrap().summary = attack.into();
        record.processes[1].stderr_tail = attack.into();
        record.changes = vec![NetworkChange { at_ns: 1_000_000_000, what: attack.into() }];
        let note = Some(attack.into());
        record.recoveries = vec![Recovery { from_ns: 1, until_ns: 1, what: attack.into(), seconds: None, note }];
        let pages = [
            run(&Frame::default(), &record, &[]).into_string(),
            overview_of([record.clone()]).await,
            scenario_of(&record.scenario, [record.clone()]).await,
        ];
        for html in pages {
            assert!(html.contains("&lt;script&gt;alert(1)"), "the text is shown");
            assert_eq!(html.matches("<script").count(), 1, "no script but our own");
            for never in ["<img", " style=", " onerror=\"", " onload"] {
                assert!(!html.contains(never), "{never} in {html}");
            }
        }
    }
}
