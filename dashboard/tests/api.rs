//! What other programs ask and hand over: statuses, bodies, rights and bounds.

#![expect(clippy::unwrap_used, reason = "a test that fails should panic where it fails")]

#[path = "api/document.rs"]
mod document;
#[path = "api/reading.rs"]
mod reading;
#[path = "api/slow.rs"]
mod slow;
#[path = "api/writing.rs"]
mod writing;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use longhaul_dashboard::{Limits, Scope, Service, router_within, token_hash, token_text};
use longhaul_sqlite::SqliteStore;
use longhaul_store::testing::sample::{self, Shape};
use longhaul_store::testing::{alert, comparison};
use longhaul_store::{Store, Token};
use serde_json::Value;
use std::sync::Arc;

/// The project and the machine of sample records.
const PROJECT: &str = "longhaul";
const HOST: &str = "7f3a9c51e0d24b68";
const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

/// A server over sample records.
struct Server {
    router: Router,
    store: Arc<SqliteStore>,
    _dir: tempfile::TempDir,
}

/// An answer, its body read.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What is wrong, as it is said.
    #[track_caller]
    fn error(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.headers["content-type"], JSON);
        let body = self.json();
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        body["error"].as_str().unwrap().to_owned()
    }
}

impl Server {
    async fn new() -> Server {
        Server::within(Service::Accept, Limits::default()).await
    }

    async fn within(service: Service, limits: Limits) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path().join("longhaul.db")).await.unwrap();
        store.insert_runs(&sample::fixture()).await.unwrap();
        store.insert_comparison(&comparison::comparison(3, None)).await.unwrap();
        store.put_alerts(&[alert::alert(1), alert::alert(2)]).await.unwrap();
        let store = Arc::new(store);
        Server { router: router_within(store.clone(), service, limits), store, _dir: dir }
    }

    async fn ask(&self, request: Request<Body>) -> Answer {
        answer(&self.router, request).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(format!("/api/v1{path}")).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, token: &str, kind: &str, body: impl Into<Body>) -> Answer {
        self.ask(post(path, token, kind, body.into())).await
    }

    /// A token that allows these.
    async fn token(&self, n: u8, scopes: &[Scope], project: Option<&str>) -> String {
        let text = token_text([n; 32]);
        let token = Token {
            id: format!("token-{n}"),
            name: "anna".into(),
            scope: Scope::join(scopes),
            hash: token_hash(&text),
            project: project.map(str::to_owned),
            created_ms: 1,
            last_used_ms: None,
            revoked_ms: None,
        };
        self.store.put_token(&token).await.unwrap();
        text
    }
}

async fn answer(router: &Router, request: Request<Body>) -> Answer {
    use tower::ServiceExt;
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

fn post(path: &str, token: &str, kind: &str, body: Body) -> Request<Body> {
    let request = Request::post(format!("/api/v1{path}")).header("content-type", kind);
    let request = if token.is_empty() { request } else { request.header("authorization", format!("Bearer {token}")) };
    request.body(body).unwrap()
}

/// A record that is not there yet.
fn fresh(id: &str) -> longhaul_record::RunRecord {
    let mut run = sample::run(Shape { network: 0, subject: "reference", commit: 0, iteration: 0 });
    run.id = id.into();
    run
}
