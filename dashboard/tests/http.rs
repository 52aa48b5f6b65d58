//! Statuses and headers, without a browser.

#![expect(clippy::unwrap_used, reason = "a test that fails should panic where it fails")]

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, Response, header};
use http_body_util::BodyExt;
use longhaul_dashboard::{BindError, Service, bind, router, serve};
use longhaul_record::{Alert, Comparison, RunRecord};
use longhaul_sqlite::SqliteStore;
use longhaul_store::testing::sample::{self, Shape};
use longhaul_store::*;
use std::sync::Arc;
use tower::ServiceExt;

async fn sample_store() -> (Arc<SqliteStore>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path().join("longhaul.db")).await.unwrap();
    let mut run = sample::run(Shape { network: 0, subject: "reference", commit: 0, iteration: 0 });
    store.insert_run(&run).await.unwrap();
    run.id = "second".into();
    run.scenario = "nat/home[cgnat] & co".into();
    store.insert_run(&run).await.unwrap();
    run.id = "third".into();
    run.project = "other".into();
    run.started_ms -= 1;
    store.insert_run(&run).await.unwrap();
    (Arc::new(store), dir)
}

async fn get(store: Arc<dyn Store>, path: &str) -> Response<Body> {
    router(store, Service::Show).oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn every_address_has_its_status() {
    let (store, _dir) = sample_store().await;
    let rows = [
        ("/", 200),
        ("/scenario/local", 200),
        ("/scenario/nat/home%5Bcgnat%5D%20%26%20co", 200),
        ("/scenario/nat%2Fhome%5Bcgnat%5D%20%26%20co", 200),
        ("/run/second", 200),
        ("/?project=other", 200),
        ("/scenario/local?project=other", 404),
        ("/?project=nobody", 400),
        ("/?project=%FF", 400),
        ("/scenario/nowhere", 404),
        ("/scenario/", 404),
        ("/run/nothing", 404),
        ("/run/%FF", 400),
        ("/etc/passwd", 404),
        ("/assets/style.css", 200),
        ("/assets/favicon.svg", 200),
    ];
    for (path, status) in rows {
        let response = get(store.clone(), path).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
        let headers = response.headers().clone();
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer", "{path}");
        assert!(headers.contains_key(header::CACHE_CONTROL), "{path}");
    }
}

#[tokio::test]
async fn links_lead_to_names_with_slashes() {
    let (store, _dir) = sample_store().await;
    let html = text(get(store.clone(), "/").await).await;
    let link = "/scenario/nat/home%5Bcgnat%5D%20%26%20co";
    assert!(html.contains(&format!("href=\"{link}\"")), "{html}");
    let page = text(get(store, link).await).await;
    assert!(page.contains("nat/home[cgnat] &amp; co"), "{page}");
}

#[tokio::test]
async fn other_projects_are_offered_and_stay_chosen() {
    let (store, _dir) = sample_store().await;
    let html = text(get(store.clone(), "/").await).await;
    assert!(html.contains("Also in this database") && html.contains("/?project=other&amp;host="), "{html}");
    let html = text(get(store, "/?project=other").await).await;
    assert!(html.contains("/run/third?project=other&amp;host="), "{html}");
    assert!(!html.contains("/run/second"), "{html}");
}

/// A store that has gone away.
struct Gone;

fn gone<T>() -> Result<T, ReadError> {
    let place = "results/longhaul.db".into();
    Err(Trouble { place, kind: TroubleKind::Locked, source: Some("database is locked".into()) }.into())
}

#[async_trait]
impl Store for Gone {
    async fn insert_runs(&self, runs: &[RunRecord]) -> Result<Vec<Inserted>, InsertError> {
        Ok(vec![Inserted::Known; runs.len()])
    }
    async fn records(&self, _: Position, _: u32) -> Result<Page, ReadError> {
        gone()
    }
    async fn run(&self, _: &str) -> Result<Option<RunRecord>, ReadError> {
        gone()
    }
    async fn runs(&self, _: &RunFilter) -> Result<Vec<RunSummary>, ReadError> {
        gone()
    }
    async fn scopes(&self) -> Result<Vec<Scope>, ReadError> {
        gone()
    }
    async fn overview(&self, _: &OverviewQuery) -> Result<Vec<OverviewRow>, ReadError> {
        gone()
    }
    async fn series(&self, _: &SeriesQuery) -> Result<SeriesSet, ReadError> {
        gone()
    }
    async fn commit_values(&self, _: &ValuesQuery) -> Result<Vec<CommitValues>, ReadError> {
        gone()
    }
    async fn health(&self, _: &HealthQuery) -> Result<Vec<HostHealth>, ReadError> {
        gone()
    }
    async fn commits(&self, _: &CommitFilter) -> Result<Vec<Commit>, ReadError> {
        gone()
    }
    async fn insert_comparison(&self, _: &Comparison) -> Result<Inserted, InsertError> {
        Ok(Inserted::Known)
    }
    async fn comparison(&self, _: &str) -> Result<Option<Comparison>, ReadError> {
        gone()
    }
    async fn comparisons(&self, _: &ComparisonFilter) -> Result<Vec<ComparisonSummary>, ReadError> {
        gone()
    }
    async fn put_alerts(&self, _: &[Alert]) -> Result<(), InsertError> {
        Ok(())
    }
    async fn alerts(&self, _: &AlertFilter) -> Result<Vec<Alert>, ReadError> {
        gone()
    }
    async fn put_progress(&self, _: &Progress) -> Result<(), InsertError> {
        Ok(())
    }
    async fn end_progress(&self, _: &str) -> Result<(), InsertError> {
        Ok(())
    }
    async fn progress(&self, _: i64) -> Result<Vec<Progress>, ReadError> {
        gone()
    }
    async fn put_token(&self, _: &Token) -> Result<Inserted, InsertError> {
        Ok(Inserted::Known)
    }
    async fn tokens(&self) -> Result<Vec<Token>, ReadError> {
        gone()
    }
    async fn token(&self, _: &[u8; 32]) -> Result<Option<Token>, ReadError> {
        gone()
    }
    async fn touch_token(&self, _: &str, _: i64) -> Result<(), InsertError> {
        Ok(())
    }
    async fn revoke_token(&self, _: &str, _: i64) -> Result<bool, InsertError> {
        Ok(false)
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_gets_a_page() {
    for path in
        ["/", "/scenario/local", "/run/1", "/compare", "/alerts", "/health", "/commit/a", "/feed.atom", "/metrics"]
    {
        let response = get(Arc::new(Gone), path).await;
        assert_eq!(response.status().as_u16(), 503, "{path}");
        let html = text(response).await;
        assert!(html.contains("results/longhaul.db: another program keeps it locked"), "{html}");
        assert!(html.contains("database is locked"), "{html}");
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_told_to_programs() {
    let asked =
        ["scopes", "overview", "runs", "runs/1", "series?scenario=a", "commits", "commits/a/values?project=a&host=b"];
    let asked = asked.into_iter().chain(["comparisons", "comparisons/1", "alerts", "alerts/1"]);
    for path in asked {
        let response = get(Arc::new(Gone), &format!("/api/v1/{path}")).await;
        assert_eq!(response.status().as_u16(), 503, "{path}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json", "{path}");
        let body = text(response).await;
        assert!(body.starts_with("{\"error\":\"results/longhaul.db: another program keeps it locked"), "{body}");
    }
    // Who sends something cannot even be told from others.
    let request =
        Request::post("/api/v1/runs").header("authorization", "Bearer longhaul_00").body(Body::empty()).unwrap();
    let response = router(Arc::new(Gone), Service::Accept).oneshot(request).await.unwrap();
    assert_eq!(response.status().as_u16(), 503);
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let first = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = first.local_addr().unwrap();
    let error = bind(address).await.unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }), "{error:?}");
    assert!(error.to_string().starts_with(&format!("{address} is in use")), "{error}");
    // Not an address of this machine (RFC 5737, for documents).
    let error = bind(([192, 0, 2, 1], 4747).into()).await.unwrap_err();
    assert!(matches!(error, BindError::Unusable { .. }), "{error:?}");
}

#[tokio::test]
async fn serving_ends_when_told_to() {
    let (store, _dir) = sample_store().await;
    let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, store, Service::Show, async {
        let _ = stopped.await;
    }));
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}
