//! Questions.

use super::{Answer, HOST, JSON, LINES, PROJECT, Server, fresh};
use axum::body::Body;
use axum::http::Request;
use longhaul_dashboard::Scope;
use longhaul_record::{Comparison, RunRecord};
use longhaul_store::{CommitFilter, RunFilter, Store};

/// How many rows a list has.
fn rows(answer: &Answer) -> usize {
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    answer.json().as_array().unwrap().len()
}

#[tokio::test]
async fn lists_have_what_the_store_has() {
    let server = Server::new().await;
    let all = server.store.runs(&RunFilter { limit: 1000, ..RunFilter::default() }).await.unwrap();
    let commits = server.store.commits(&CommitFilter::default()).await.unwrap();
    assert!(all.len() > 5 && commits.len() > 2);
    let newest = &all[0];
    let of_newest = all.iter().filter(|run| run.commit == newest.commit).count();
    let failed = all.iter().find(|run| run.outcome.as_str() != "ok").unwrap();
    let bad = all.iter().filter(|run| run.outcome == failed.outcome).count();
    let sha = newest.commit.clone().unwrap();
    let table = [
        ("/runs?limit=1000".to_owned(), all.len()),
        ("/runs?limit=2".into(), 2),
        ("/runs?limit=0".into(), 0),
        ("/runs?project=nobody".into(), 0),
        (format!("/runs?limit=1000&commit={sha}"), of_newest),
        (format!("/runs?limit=1000&outcome={}", failed.outcome.as_str()), bad),
        (
            format!("/runs?since_ms={}", newest.started_ms),
            all.iter().filter(|run| run.started_ms == newest.started_ms).count(),
        ),
        ("/commits".into(), commits.len()),
        (
            format!("/commits?prefix={}", sha.to_uppercase()),
            commits.iter().filter(|one| one.sha.as_ref() == Some(&sha)).count(),
        ),
        ("/comparisons".into(), 1),
        ("/comparisons?verdict=regressed".into(), 0),
        ("/alerts".into(), 2),
        ("/alerts?state=confirmed&limit=1".into(), 1),
        ("/alerts?state=fixed".into(), 0),
    ];
    for (path, expect) in table {
        assert_eq!(rows(&server.get(&path).await), expect, "{path}");
    }
    let first = &server.get("/runs?limit=1").await.json()[0];
    assert_eq!(
        (first["id"].as_str().unwrap(), first["host"].as_str().unwrap()),
        (newest.id.as_str(), newest.host.as_str())
    );
    assert_eq!(first["outcome"], newest.outcome.as_str());
    assert!(rows(&server.get("/scopes").await) >= 1);
    let overview =
        server.get(&format!("/overview?project={PROJECT}&host={HOST}&metrics=goodput&recent=3")).await.json();
    let row = overview.as_array().unwrap().iter().find(|row| row["metric"] == "goodput").unwrap();
    assert!(row["recent"].as_array().unwrap().len() <= 3 && row["tally"]["ok"].is_u64(), "{row}");
}

#[tokio::test]
async fn series_have_their_values_if_they_are_asked_for() {
    let server = Server::new().await;
    let name = server.store.runs(&RunFilter::default()).await.unwrap()[0].scenario.clone();
    for (values, some) in [("", true), ("&values=true", true), ("&values=false", false)] {
        let set = server.get(&format!("/series?scenario={name}{values}")).await.json();
        let point = &set["series"][0]["points"][0];
        assert_eq!(!point["values"].as_array().unwrap().is_empty(), some, "{set}");
        assert!(point["n"].as_u64().unwrap() > 0 && point["median"].is_f64());
    }
    let none = server.get("/series?scenario=nowhere").await.json();
    assert_eq!(none["series"].as_array().unwrap().len(), 0, "nothing was measured there, which is no error");
}

#[tokio::test]
async fn what_has_a_name_is_found_whole() {
    let server = Server::new().await;
    let here = RunFilter { project: Some(PROJECT.into()), host: Some(HOST.into()), ..RunFilter::default() };
    let run = server
        .store
        .runs(&here)
        .await
        .unwrap()
        .into_iter()
        .find(|run| run.outcome.as_str() == "ok" && run.commit.is_some())
        .unwrap();
    let whole: RunRecord = serde_json::from_slice(&server.get(&format!("/runs/{}", run.id)).await.body).unwrap();
    assert_eq!(Some(whole), server.store.run(&run.id).await.unwrap());
    let listed = server.get("/comparisons").await.json();
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    let whole: Comparison = serde_json::from_slice(&server.get(&format!("/comparisons/{id}")).await.body).unwrap();
    assert_eq!(Some(whole), server.store.comparison(&id).await.unwrap());
    let sha = run.commit.unwrap();
    let values = format!("/values?project={PROJECT}&host={HOST}");
    let values = if run.dirty { values + "&dirty=true" } else { values };
    let long = server.get(&format!("/commits/{sha}{values}")).await.json();
    assert!(!long.as_array().unwrap().is_empty());
    assert_eq!(server.get(&format!("/commits/{}{values}", sha[..12].to_uppercase())).await.json(), long);
    let alert = server.get("/alerts/01940000-0000-7000-8000-000000000001").await.json();
    assert_eq!((alert["state"].as_str(), alert["history"].as_array().unwrap().len()), (Some("confirmed"), 2));
}

#[tokio::test]
async fn what_cannot_be_answered_is_named() {
    let server = Server::new().await;
    let table = [
        ("/runs?limit=many", 400, "limit: "),
        ("/runs?limit=1001", 400, "limit: may be at most 1000"),
        ("/runs?limit=-1", 400, "limit: "),
        ("/runs?limit=99999999999", 400, "limit: "),
        ("/runs?limit=1&limit=2", 400, "limit"),
        ("/runs?outcome=good", 400, "outcome: "),
        ("/runs?outcome=", 400, "outcome: "),
        ("/runs?since_ms=today", 400, "since_ms: "),
        ("/runs?colour=red", 400, "colour"),
        ("/runs?project=%FF", 400, "project: is not text"),
        ("/runs?project=a&host=%C3%28", 400, "host: is not text"),
        ("/runs/a%00", 404, "there is no run a"),
        ("/scopes?limit=1", 400, "limit"),
        ("/overview?recent=201", 400, "recent: may be at most 200"),
        ("/series", 400, "scenario: is missing"),
        ("/series?scenario=a&values=maybe", 400, "values: "),
        ("/series?scenario=a&commits=5001", 400, "commits: may be at most 5000"),
        ("/comparisons?verdict=better", 400, "verdict: "),
        ("/alerts?state=loud", 400, "state: "),
        ("/commits/abc/values", 400, "project"),
        ("/commits/abc/values?project=a", 400, "host"),
        ("/commits/xyz/values?project=a&host=b", 404, "there is no commit xyz"),
        ("/commits/%2525/values?project=longhaul&host=b", 404, "there is no commit %25"),
        ("/runs/nothing", 404, "there is no run nothing"),
        ("/runs/%FF", 400, "UTF-8"),
        ("/runs/nothing?token=secret", 400, "token"),
        ("/comparisons/1", 404, "there is no comparison 1"),
        ("/alerts/1", 404, "there is no alert 1"),
        ("/alerts/%3Cscript%3E", 404, "there is no alert <script>"),
        ("", 404, "/api/v1/openapi.json"),
        ("/", 404, "/api/v1/openapi.json"),
        ("/nowhere", 404, "/api/v1/openapi.json"),
    ];
    for (path, status, expect) in table {
        let answer = server.get(path).await;
        assert_eq!(answer.headers["content-type"], JSON, "{path}");
        let error = answer.error(status);
        assert!(error.contains(expect), "{path}: {expect:?} is missing in {error}");
        assert!(!error.contains("secret"), "{path}: what somebody took for a place for tokens is not repeated");
    }
    let long = server.get(&format!("/runs/{}", "x".repeat(50_000))).await.error(404);
    assert!(long.len() < 2_000, "what is wrong is not told at the length of what was asked");
    let put = Request::put("/api/v1/runs").body(Body::empty()).unwrap();
    let put = server.ask(put).await;
    assert!(put.error(405).contains("openapi.json"));
    let allow = put.headers["allow"].to_str().unwrap();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
}

/// Names that others chose are data in JSON, whatever they look like, and no browser takes them for a page.
#[tokio::test]
async fn hostile_names_come_back_as_they_went_in() {
    let server = Server::new().await;
    let token = server.token(1, &[Scope::Ingest], None).await;
    for (n, name) in
        ["<script>alert(1)</script>", "\"};//", "a\u{0}b\u{202e}\u{2028}", "../../x", "%00", "'; DROP TABLE run; --"]
            .iter()
            .enumerate()
    {
        let mut run = fresh(&format!("hostile-{n}"));
        run.scenario = (*name).into();
        run.commit_detail.as_mut().unwrap().summary = (*name).into();
        let kept = server.post("/runs", &token, JSON, serde_json::to_vec(&run).unwrap()).await;
        assert_eq!(kept.json()["new"], 1, "{}", kept.text());
        let answer = server.get(&format!("/runs/{}", run.id)).await;
        assert_eq!(serde_json::from_slice::<RunRecord>(&answer.body).unwrap(), run);
        assert_eq!(answer.headers["content-type"], JSON);
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    }
    let listed = server.get("/runs?scenario=%3Cscript%3Ealert(1)%3C/script%3E").await.json();
    assert_eq!(listed[0]["scenario"], "<script>alert(1)</script>");
}

#[tokio::test]
async fn heads_and_compressed_answers() {
    let server = Server::new().await;
    for path in ["/", "/api/v1/runs", "/assets/style.css", "/metrics"] {
        let whole = server.ask(Request::get(path).body(Body::empty()).unwrap()).await;
        assert!(!whole.headers.contains_key("content-encoding"), "{path}: nobody asked for it");
        let head = server.ask(Request::head(path).header("accept-encoding", "gzip").body(Body::empty()).unwrap()).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{path}");
        assert_eq!(head.headers["content-type"], whole.headers["content-type"], "{path}");
        let small = server.ask(Request::get(path).header("accept-encoding", "gzip").body(Body::empty()).unwrap()).await;
        assert_eq!(small.headers["content-encoding"], "gzip", "{path}");
        assert!(small.headers["vary"].to_str().unwrap().contains("accept-encoding"), "{path}");
        assert!(small.body.starts_with(&[0x1f, 0x8b]) && small.body.len() < whole.body.len() / 2, "{path}");
    }
}

/// Property: whatever record there can be comes back as it went in, in each of the forms in which it may be sent.
#[test]
fn records_come_back_as_they_went_in() {
    use longhaul_synthetic::{Plan, runs};
    use proptest::prelude::*;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (server, token) = runtime.block_on(async {
        let server = Server::within(longhaul_dashboard::Service::Accept, many()).await;
        let token = server.token(1, &[Scope::Ingest], None).await;
        (server, token)
    });
    let kinds = (any::<u64>(), 0..400usize, any::<String>(), 0..3u8, any::<u128>());
    proptest!(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() }, |((seed, nth, words, form, id) in kinds)| {
        let plan = Plan { seed, commits: 12, scenarios: 4, subjects: 2, runs: 1, nat: true, ..Plan::default() };
        let mut all: Vec<RunRecord> = runs(&plan).collect();
        let mut run = all.swap_remove(nth % all.len());
        run.id = format!("{id:032x}");
        run.scenario_words = words.clone();
        run.reason = run.reason.map(|reason| reason + &words);
        let text = serde_json::to_string(&run).unwrap();
        let (kind, body) = match form {
            0 => (JSON, text),
            1 => (JSON, format!(" [{text}]\n")),
            _ => (LINES, format!("\n{text}\r\n\n")),
        };
        let (first, again, got) = runtime.block_on(async {
            let first = server.post("/runs", &token, kind, body.clone()).await.json();
            let again = server.post("/runs", &token, kind, body).await.json();
            (first, again, server.get(&format!("/runs/{}", run.id)).await)
        });
        prop_assert_eq!(first, serde_json::json!({ "new": 1, "known": 0 }));
        prop_assert_eq!(again, serde_json::json!({ "new": 0, "known": 1 }));
        prop_assert_eq!(serde_json::from_slice::<RunRecord>(&got.body).unwrap(), run);
    });
}

fn many() -> longhaul_dashboard::Limits {
    longhaul_dashboard::Limits { burst: 100_000, ..Default::default() }
}
