//! What is handed over.

use super::{Answer, JSON, LINES, PROJECT, Server, fresh, post};
use axum::body::Body;
use longhaul_dashboard::{Limits, Scope, Service, router};
use longhaul_record::{AlertState, Verdict};
use longhaul_store::testing::comparison::comparison;
use longhaul_store::{AlertFilter, RunFilter, Store};
use serde_json::{Value, json};

const ALERT: &str = "/alerts/01940000-0000-7000-8000-000000000001";

fn bytes(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

/// How many runs there are.
async fn runs(server: &Server) -> usize {
    server.store.runs(&RunFilter { limit: u32::MAX, ..RunFilter::default() }).await.unwrap().len()
}

#[track_caller]
fn added(answer: &Answer, new: u64, known: u64) {
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    assert_eq!(answer.json(), json!({ "new": new, "known": known }));
}

#[tokio::test]
async fn what_is_sent_again_changes_nothing() {
    let server = Server::new().await;
    let token = server.token(1, &[Scope::Ingest], Some(PROJECT)).await;
    let before = runs(&server).await;
    added(&server.post("/runs", &token, JSON, bytes(&fresh("a"))).await, 1, 0);
    added(&server.post("/runs", &token, JSON, bytes(&fresh("a"))).await, 0, 1);
    let mut other = fresh("a");
    other.seed += 1;
    added(&server.post("/runs", &token, JSON, bytes(&[other, fresh("b")])).await, 1, 1);
    assert_eq!(server.store.run("a").await.unwrap(), Some(fresh("a")), "the first one stays");
    let lines = ["a", "b", "c"].map(|id| serde_json::to_string(&fresh(id)).unwrap()).join("\n");
    added(&server.post("/runs", &token, "Application/X-NDJSON; charset=utf-8", lines).await, 1, 2);
    added(&server.post("/runs", &token, JSON, "[]").await, 0, 0);
    added(&server.post("/runs", &token, LINES, "").await, 0, 0);
    assert_eq!(runs(&server).await, before + 3);
    let one = comparison(5, Some(Verdict::Unchanged));
    added(&server.post("/comparisons", &token, JSON, bytes(&one)).await, 1, 0);
    added(&server.post("/comparisons", &token, JSON, bytes(&one)).await, 0, 1);
    assert_eq!(server.store.comparison(&one.id).await.unwrap(), Some(one));
    let used = server.store.tokens().await.unwrap().remove(0);
    assert!(used.last_used_ms.is_some());
}

/// A record without one of its fields, or with another value for it.
fn with(id: &str, pointer: &str, value: Value) -> String {
    let mut run = serde_json::to_value(fresh(id)).unwrap();
    *run.pointer_mut(pointer).unwrap() = value;
    run.to_string()
}

#[tokio::test]
async fn what_is_wrong_is_named_and_nothing_is_kept() {
    let server = Server::new().await;
    let token = server.token(1, &[Scope::Ingest], None).await;
    let before = runs(&server).await;
    let good = serde_json::to_string(&fresh("good")).unwrap();
    let deep = "[".repeat(100_000);
    let wordy = with("x", "/outcome", json!("y".repeat(100_000)));
    let table = [
        (JSON, String::new(), "EOF"),
        (JSON, "{}".into(), "missing field `schema`"),
        (JSON, "{\"schema\":1".into(), "at line 1 column 11"),
        (JSON, "null".into(), "invalid type: null"),
        (JSON, format!("{good}{good}"), "trailing characters"),
        (JSON, deep, "[0]: invalid type"),
        (JSON, wordy, "outcome: unknown variant `yyyy"),
        (
            JSON,
            format!("[{good},{}]", with("x", "/samples/0/value", json!("fast"))),
            "[1].samples[0].value: invalid type: string",
        ),
        (JSON, format!("[{good},{}]", with("x", "/seed", json!(1u64 << 53))), "[1]: x: not a valid record: its seed"),
        (JSON, format!("[{good},{}]", with("", "/id", json!(""))), "`id` is empty"),
        (JSON, with("x", "/schema", json!(99)), "x: not a valid record: its schema is 99"),
        (JSON, with("x", "/trigger", json!("synthetic")), "what is invented"),
        (JSON, with("x", "/host/cores", json!(-1)), "host.cores: invalid value"),
        (
            LINES,
            format!("{good}\n\n{}\n", with("x", "/host/cores", json!("four"))),
            "line 3: host.cores: invalid type: string",
        ),
        (LINES, format!("{good}\n{}", with("x", "/ended_ms", json!(0))), "line 2: x: not a valid record: it ends"),
        (LINES, format!("{good}\n{{"), "line 2: EOF"),
        (LINES, format!("[{good}]"), "line 1: "),
    ];
    for (kind, body, expect) in table {
        let start: String = body.chars().take(60).collect();
        let error = server.post("/runs", &token, kind, body).await.error(400);
        assert!(error.contains(expect), "{start}: {expect:?} is missing in {error}");
        assert!(error.chars().count() <= 601, "{start}: as long as what was sent");
    }
    for (body, expect) in [
        ("[]".to_owned(), "invalid"),
        (json!({ "schema": 1 }).to_string(), "missing field"),
        (with_comparison("/seed", json!(1u64 << 53)), "its seed"),
        (with_comparison("/head/commit", json!("")), "`head.commit` is empty"),
        (with_comparison("/head/detail", json!([])), "head.detail"),
    ] {
        let error = server.post("/comparisons", &token, JSON, body).await.error(400);
        assert!(error.contains(expect), "{expect:?} is missing in {error}");
    }
    assert_eq!(runs(&server).await, before, "of what was refused nothing is kept");
    assert_eq!(server.get("/comparisons").await.json().as_array().unwrap().len(), 1);
}

fn with_comparison(pointer: &str, value: Value) -> String {
    let mut one = serde_json::to_value(comparison(5, None)).unwrap();
    *one.pointer_mut(pointer).unwrap() = value;
    one.to_string()
}

#[tokio::test]
async fn only_whoever_has_a_token_for_it_hands_over() {
    let server = Server::new().await;
    let (ingest, triage) =
        (server.token(1, &[Scope::Ingest], None).await, server.token(2, &[Scope::Triage], None).await);
    let other = server.token(3, &[Scope::Ingest, Scope::Triage], Some("other")).await;
    let gone = server.token(4, &Scope::ALL, None).await;
    assert!(server.store.revoke_token("token-4", 2).await.unwrap());
    let before = runs(&server).await;
    let said = json!({ "state": "invalid", "note": "x" });
    let bodies = [("/runs", bytes(&fresh("a"))), ("/comparisons", bytes(&comparison(5, None))), (ALERT, bytes(&said))];
    for (path, body) in bodies {
        let wrong = if path == ALERT { &ingest } else { &triage };
        let table = [
            ("", 401, "this needs a token"),
            ("guess", 401, "nobody knows this token"),
            (gone.as_str(), 401, "nobody knows this token"),
            (wrong.as_str(), 403, "does not allow to"),
            (other.as_str(), 403, "for the project other alone"),
        ];
        for (token, status, expect) in table {
            let answer = server.post(path, token, JSON, body.clone()).await;
            let error = answer.error(status);
            assert!(error.contains(expect), "{path}: {expect:?} is missing in {error}");
            let challenge = answer.headers.get("www-authenticate").map(|value| value.to_str().unwrap());
            assert_eq!(challenge, (status == 401).then_some("Bearer"), "{path}");
            assert!(token.is_empty() || !error.contains(token), "a token is never repeated");
        }
        // By another scheme nobody says who he is.
        let mut basic = post(path, "", JSON, Body::from(body.clone()));
        basic.headers_mut().insert("authorization", format!("Basic {ingest}").parse().unwrap());
        assert!(server.ask(basic).await.error(401).contains("this needs a token"));
    }
    // One record of somebody else's, and none is kept.
    let own = server.token(5, &[Scope::Ingest], Some(PROJECT)).await;
    let mut foreign = fresh("b");
    foreign.project = "other".into();
    let error = server.post("/runs", &own, JSON, bytes(&[fresh("a"), foreign])).await.error(403);
    assert!(error.contains("for the project longhaul alone"), "{error}");
    assert_eq!(runs(&server).await, before);
    // Whoever may not is not listened to: what he sends is not even read.
    let huge = server.post("/runs", &triage, "text/plain", vec![b'x'; 40 << 20]).await;
    huge.error(403);
}

#[tokio::test]
async fn alerts_are_triaged() {
    let server = Server::new().await;
    let token = server.token(1, &[Scope::Triage], Some(PROJECT)).await;
    let table = [
        (JSON, json!({ "state": "fixed", "note": "x" }), 400, "an alert cannot be made \"fixed\""),
        (JSON, json!({ "state": "invalid", "note": " " }), 400, "who says so, and why"),
        (JSON, json!({ "state": "invalid" }), 400, "missing field `note`"),
        (JSON, json!({ "state": "invalid", "note": "x", "token": "y" }), 400, "unknown field `token`"),
        (JSON, json!({ "state": 1, "note": "x" }), 400, "state: invalid type"),
        (LINES, json!({ "state": "invalid", "note": "x" }), 415, "application/json"),
    ];
    for (kind, body, status, expect) in table {
        let error = server.post(ALERT, &token, kind, body.to_string()).await.error(status);
        assert!(error.contains(expect), "{expect:?} is missing in {error}");
    }
    let said = json!({ "state": "acknowledged", "note": "known to <b>me" }).to_string();
    server.post("/alerts/1", &token, JSON, said.clone()).await.error(404);
    let long = json!({ "state": "invalid", "note": "x".repeat(70_000) }).to_string();
    server.post(ALERT, &token, JSON, long).await.error(413);
    let all = server.store.alerts(&AlertFilter::default()).await.unwrap();
    assert!(all.iter().all(|alert| alert.state == AlertState::Confirmed), "what was refused changed nothing");
    let answer = server.post(ALERT, &token, JSON, said).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    assert_eq!(answer.json()["state"], "acknowledged");
    assert_eq!(answer.json()["history"][2]["note"], "known to <b>me (by the token anna)");
    assert_eq!(server.get(ALERT).await.json(), answer.json());
}

#[tokio::test]
async fn bodies_have_a_kind_and_an_end() {
    let limits = Limits { body_bytes: 100_000, records: 3, ..Limits::default() };
    let server = Server::within(Service::Accept, limits).await;
    let token = server.token(1, &[Scope::Ingest], None).await;
    let before = runs(&server).await;
    for kind in ["text/plain", "", "application/jsonx", "multipart/form-data; boundary=application/json"] {
        let error = server.post("/runs", &token, kind, bytes(&fresh("a"))).await.error(415);
        assert!(error.contains("application/x-ndjson"), "{kind}: {error}");
    }
    let large = server.post("/runs", &token, JSON, vec![b' '; 100_001]).await;
    assert!(large.error(413).contains("more than 100000 bytes"));
    let mut told = post("/runs", &token, JSON, Body::empty());
    told.headers_mut().insert("content-length", "100001".parse().unwrap());
    server.ask(told).await.error(413);
    let four = ["a", "b", "c", "d"].map(|id| serde_json::to_string(&fresh(id)).unwrap());
    let limits = Limits { records: 3, ..Limits::default() };
    let wide = longhaul_dashboard::router_within(server.store.clone(), Service::Accept, limits);
    for (kind, body) in [(JSON, format!("[{}]", four.join(","))), (LINES, four.join("\n"))] {
        let error = super::answer(&wide, post("/runs", &token, kind, Body::from(body))).await.error(413);
        assert!(error.contains("4 records are more than the 3"), "{error}");
    }
    assert_eq!(runs(&server).await, before);
    let form = axum::http::Request::post("/alert/01940000-0000-7000-8000-000000000001");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    server.ask(form.body(Body::from(vec![b'a'; 70_000])).unwrap()).await.error(413);
}

#[tokio::test]
async fn a_token_that_asks_too_often_waits() {
    let limits = Limits { burst: 2, refill: std::time::Duration::from_secs(3_600), ..Limits::default() };
    let server = Server::within(Service::Accept, limits).await;
    let (hasty, calm) = (server.token(1, &[Scope::Ingest], None).await, server.token(2, &[Scope::Ingest], None).await);
    for id in ["a", "b"] {
        added(&server.post("/runs", &hasty, JSON, bytes(&fresh(id))).await, 1, 0);
    }
    let answer = server.post("/runs", &hasty, JSON, bytes(&fresh("c"))).await;
    assert!(answer.error(429).contains("too many requests"));
    let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3_000..=3_601).contains(&wait), "{wait}");
    added(&server.post("/runs", &calm, JSON, bytes(&fresh("c"))).await, 1, 0);
    assert_eq!(server.get("/runs").await.status.as_u16(), 200, "reading needs no token and costs none");
}

#[tokio::test]
async fn a_server_that_only_shows_takes_nothing() {
    let server = Server::new().await;
    let token = server.token(1, &Scope::ALL, None).await;
    let closed = router(server.store.clone(), Service::Show);
    for path in ["/runs", "/comparisons", ALERT] {
        let answer = super::answer(&closed, post(path, &token, JSON, Body::from(bytes(&fresh("a"))))).await;
        assert!(answer.error(405).contains("`longhaul serve --accept`"), "{path}");
        assert_eq!(answer.headers["allow"], "GET,HEAD", "{path}");
    }
}
