//! The whole site over invented data: every page answers, every link leads somewhere, what cannot be answered says why.

#![expect(clippy::unwrap_used, reason = "a test that fails should panic where it fails")]

mod invented;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use invented::{ALERT, alert};
use longhaul_dashboard::{Scope, Service, export, router, token_hash, token_text};
use longhaul_record::{AlertState, Outcome};
use longhaul_sqlite::SqliteStore;
use longhaul_store::{AlertFilter, CommitFilter, ComparisonFilter, RunFilter, Store, Token};
use longhaul_synthetic::{PROJECT, Plan, comparisons, runs};
use std::collections::{BTreeSet, VecDeque};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use tower::ServiceExt;

const PLAN: Plan =
    Plan { seed: 1, until_ms: 1_793_523_600_000, commits: 24, scenarios: 7, subjects: 2, runs: 2, nat: true };

struct Site {
    router: Router,
    store: Arc<SqliteStore>,
    _dir: tempfile::TempDir,
}

impl Site {
    async fn new() -> Site {
        Site::of(&PLAN).await
    }

    async fn of(plan: &Plan) -> Site {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path().join("longhaul.db")).await.unwrap();
        let all: Vec<_> = runs(plan).collect();
        store.insert_runs(&all).await.unwrap();
        for comparison in comparisons(plan) {
            store.insert_comparison(&comparison).await.unwrap();
        }
        let store = Arc::new(store);
        store.put_alerts(&[alert(&*store, plan).await.unwrap()]).await.unwrap();
        Site { router: router(store.clone(), Service::Accept), store, _dir: dir }
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        self.answer(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn answer(&self, request: Request<Body>) -> (StatusCode, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    async fn post(&self, path: &str, form: &str) -> (StatusCode, String) {
        let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        self.answer(request.body(Body::from(form.to_owned())).unwrap()).await
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

    /// Full hashes, newest first.
    async fn commits(&self) -> Vec<String> {
        let all = self.store.commits(&CommitFilter::default()).await.unwrap();
        all.into_iter().filter_map(|commit| commit.sha).collect()
    }
}

/// What a page leads to on this server.
fn links(html: &str) -> Vec<String> {
    let ends = html.split(" href=\"").skip(1).chain(html.split(" src=\"").skip(1));
    let all = ends.filter_map(|rest| rest.split_once('"')).map(|(link, _)| link.replace("&amp;", "&"));
    all.filter(|link| link.starts_with('/')).collect()
}

fn text(html: &str) -> String {
    let mut out = String::new();
    for part in html.split('<').skip(1) {
        out.push_str(part.split_once('>').map_or("", |(_, text)| text));
        out.push(' ');
    }
    let out = out.replace('\u{a0}', " ").replace("&quot;", "\"").replace("&lt;", "<").replace("&amp;", "&");
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// From the overview on, over everything that can be clicked, as far as a few hundred pages.
#[tokio::test]
async fn every_link_leads_somewhere() {
    let site = Site::new().await;
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut next: VecDeque<String> = VecDeque::from(["/".to_string()]);
    let mut kinds: BTreeSet<String> = BTreeSet::new();
    let mut of_kind = std::collections::BTreeMap::<String, u32>::new();
    while let Some(path) = next.pop_front() {
        let kind = path.split(['/', '?']).nth(1).unwrap_or_default().to_owned();
        // A dozen of each kind stand for all.
        let count = of_kind.entry(kind.clone()).or_default();
        *count += 1;
        if *count > 12 {
            continue;
        }
        let (status, html) = site.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {}", text(&html));
        kinds.insert(kind);
        for link in links(&html) {
            if seen.insert(link.clone()) {
                next.push_back(link);
            }
        }
    }
    let expect = ["", "alert", "alerts", "assets", "commit", "compare", "comparison", "health", "run", "scenario"];
    for kind in expect {
        assert!(kinds.contains(kind), "no page leads to /{kind}: {kinds:?}");
    }
}

#[tokio::test]
async fn pages_answer_in_their_first_sentence() {
    let site = Site::new().await;
    let commits = site.commits().await;
    let all = site.store.comparisons(&ComparisonFilter::default()).await.unwrap();
    let ok = RunFilter { scenario: Some("latency/20ms".into()), outcome: Some(Outcome::Ok), ..RunFilter::default() };
    let runs = site.store.runs(&ok).await.unwrap();
    let same: Vec<_> = runs.iter().filter(|run| run.seed == runs[0].seed).collect();
    let other = runs.iter().find(|run| run.seed != runs[0].seed).unwrap();
    let itself = all.iter().find(|one| one.same_program).unwrap();
    let rows = [
        ("/".into(), "One measurement got worse: Transfer time of driftwood on lossy/1pct rose by 13.4 %."),
        ("/alerts".into(), "One measurement got worse: Transfer time of driftwood"),
        (format!("/alert/{ALERT}"), "From 1.81 s to 2.05 s, between"),
        ("/scenario/lossy/1pct".into(), "Transfer time of driftwood on lossy/1pct rose by 13.4 % since"),
        ("/health".into(), "Comparing a version with itself saw a change that is none in 0 of 3 comparisons"),
        ("/compare".into(), "Two versions, side by side."),
        (format!("/compare?base={}&head={}", commits[8], commits[0]), "series lie apart; most of all"),
        (format!("/commit/{}", commits[0]), "Of its "),
        (format!("/compare/runs?a={}&b={}", same[0].id, same[1].id), "packet by packet, both met the same losses."),
        (format!("/compare/runs?a={}&b={}", same[0].id, other.id), "each met losses of its own."),
        (format!("/comparison/{}", itself.id), "No change that matters."),
        (format!("/comparison/{}", itself.id), "Both programs are the same, byte for byte"),
    ];
    for (path, expect) in rows {
        let (status, html) = site.get(&path).await;
        let words = text(&html);
        assert_eq!(status, StatusCode::OK, "{path}: {words}");
        assert!(words.contains(expect), "{path}: {expect:?} is missing in {words}");
        assert!(words.contains("Invented data."), "{path} does not say that nothing was measured");
    }
}

/// Every file that a page leads to or loads is there, none leads back to a server, and none offers what only that can do.
#[tokio::test]
async fn the_exported_site_is_whole() {
    let site = Site::of(&Plan { scenarios: 7, subjects: 1, runs: 1, nat: false, ..PLAN }).await;
    let dir = tempfile::tempdir().unwrap();
    let exported = export(site.store.clone(), &dir.path().join("site")).await.unwrap();
    let root = dir.path().join("site");
    let mut next = VecDeque::from([root.join("index.html")]);
    let mut seen: BTreeSet<PathBuf> = next.iter().cloned().collect();
    while let Some(path) = next.pop_front() {
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if path.extension().is_none_or(|end| end != "html") {
            continue;
        }
        let html = String::from_utf8(bytes).unwrap();
        assert!(links(&html).is_empty(), "{} leads to a server: {:?}", path.display(), links(&html));
        assert!(!html.contains("<form"), "{} has a form", path.display());
        let ends = html.split(" href=\"").skip(1).chain(html.split(" src=\"").skip(1));
        for link in ends.filter_map(|rest| rest.split_once('"')).map(|(link, _)| link) {
            if link.starts_with('#') {
                continue;
            }
            let target = normal(&path.parent().unwrap().join(link));
            if seen.insert(target.clone()) {
                next.push_back(target);
            }
        }
    }
    assert_eq!(seen.len(), exported.files, "every file can be reached");
    let again = export(site.store.clone(), &root).await.unwrap_err();
    assert!(again.to_string().contains("is not an empty directory"), "{again}");
}

/// Without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

#[tokio::test]
async fn other_programs_get_what_they_read() {
    let site = Site::new().await;
    let newest =
        site.store.runs(&RunFilter { scenario: Some("lossy/1pct".into()), ..RunFilter::default() }).await.unwrap();
    let drawn = newest.iter().rfind(|run| run.iteration == 0 && run.commit == newest[0].commit).unwrap();
    let (record, curves) = (format!("/run/{}/record.json", drawn.id), format!("/run/{}/series.csv", drawn.id));
    let rows = [
        ("/badge/lossy/1pct/goodput.svg", 200, "aria-label=\"lossy/1pct goodput: 13"),
        ("/badge/lossy/1pct/goodput.svg", 200, "#b33a00"),
        ("/badge/lossy/1pct/goodput.svg?subject=curl", 200, "#00694d"),
        ("/badge/lossy/1pct/cpu_seconds.svg?peer=fetcher", 200, "lossy/1pct cpu time, fetcher: "),
        ("/badge/lossy/1pct/no.svg", 200, "not measured"),
        ("/badge/lossy/1pct/goodput", 404, "There is no such page"),
        ("/feed.atom", 200, "<title>Transfer time of driftwood on lossy/1pct rose by 13.4 %</title>"),
        ("/feed.atom", 200, "<id>urn:uuid:01a20140-adbd-7661-9bef-a0ccc7ac7767</id>"),
        ("/metrics", 200, "# TYPE longhaul_goodput_bits_per_second gauge"),
        ("/metrics", 200, "# EOF"),
        (record.as_str(), 200, "\"trigger\":\"synthetic\""),
        (curves.as_str(), 200, "series,peer,unit,from_s,value\npayload,,bit/s,0,"),
    ];
    for (path, status, expect) in rows {
        let (got, body) = site.get(path).await;
        assert_eq!(got.as_u16(), status, "{path}: {body}");
        assert!(
            body.contains(expect),
            "{path}: {expect:?} is missing in {}",
            body.chars().take(2000).collect::<String>()
        );
    }
}

#[tokio::test]
async fn addresses_hold_what_is_shown() {
    let site = Site::new().await;
    let commits = site.commits().await;
    let page = "/scenario/lossy/1pct";
    let count = |html: &str| -> usize {
        let n = html.split("data-n=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        n.parse().unwrap()
    };
    let rows = [
        (page.to_string(), 24),
        (format!("{page}?from={}", &commits[4][..8]), 5),
        (format!("{page}?from={}&to={}", &commits[9][..8], &commits[4][..8].to_uppercase()), 6),
        (format!("{page}?commits=7"), 7),
        (format!("{page}?branch=main"), 24),
        (format!("{page}?to=2026-11-01&from=2026-10-31&scale=log&metric=cpu_seconds:fetcher"), 1),
    ];
    for (path, expect) in rows {
        let (status, html) = site.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {}", text(&html));
        assert_eq!(count(&html), expect, "{path}");
    }
    let (_, html) = site.get(&format!("{page}?metric=cpu_seconds:fetcher")).await;
    let first = html.split("aria-label=\"").find(|rest| rest.contains("data-chart=\"history\"")).unwrap();
    assert!(first.starts_with("CPU time, fetcher\""), "the metric of the address leads: {}", &first[..40]);
}

#[tokio::test]
async fn what_cannot_be_answered_says_why() {
    let site = Site::new().await;
    let commits = site.commits().await;
    // Of 24 hashes two begin with the same digit.
    let shared = commits.iter().find(|sha| commits.iter().filter(|other| other[..1] == sha[..1]).count() > 1).unwrap();
    let one = &shared[..1];
    let rows = [
        ("/commit/ffffffffffff".into(), 404, "There is no commit ffffffffffff in this database."),
        ("/commit/%25".into(), 404, "There is no commit %"),
        (format!("/commit/{one}"), 400, "More than one commit begins with"),
        ("/comparison/1".into(), 404, "There is no comparison 1"),
        ("/alert/1".into(), 404, "There is no alert 1"),
        ("/compare?base=main".into(), 400, "two commits are compared: name both"),
        (format!("/compare?base={}&head=zzz", commits[0]), 404, "There is no commit zzz"),
        ("/scenario/lossy/1pct?commits=many".into(), 400, "commits"),
        ("/scenario/lossy/1pct?scale=cubic".into(), 400, "scale"),
        ("/scenario/lossy/1pct?from=2026-02-31".into(), 404, "There is no commit 2026-02-31"),
    ];
    for (path, status, expect) in rows {
        let (got, html) = site.get(&path).await;
        let words = text(&html);
        assert_eq!(got.as_u16(), status, "{path}: {words}");
        assert!(words.contains(expect), "{path}: {expect:?} is missing in {words}");
        assert!(words.contains("To the overview"), "{path} leads nowhere");
    }
}

/// Only whoever has a token for it says what an alert is, and what is said stays with who said it.
#[tokio::test]
async fn triage_needs_a_token_for_it() {
    let site = Site::of(&Plan { commits: 24, scenarios: 7, subjects: 1, runs: 1, nat: false, ..PLAN }).await;
    let page = &format!("/alert/{ALERT}");
    let (ingest, other) =
        (site.token(1, &[Scope::Ingest], None).await, site.token(2, &[Scope::Triage], Some("other")).await);
    let (good, gone) = (site.token(3, &Scope::ALL, Some(PROJECT)).await, site.token(4, &Scope::ALL, None).await);
    assert!(site.store.revoke_token("token-4", 2).await.unwrap());
    let rows = [
        ("state=invalid&note=x&token=".into(), 401, "this needs a token"),
        ("state=invalid&note=x&token=guess".into(), 401, "nobody knows this token, or it was revoked"),
        (format!("state=invalid&note=x&token={gone}"), 401, "nobody knows this token, or it was revoked"),
        (format!("state=invalid&note=x&token={ingest}"), 403, "does not allow to triage; it is for: ingest"),
        (format!("state=invalid&note=x&token={other}"), 403, "for the project other alone"),
        (format!("state=fixed&note=x&token={good}"), 400, "an alert cannot be made \"fixed\""),
        (format!("state=invalid&note=+&token={good}"), 400, "who says so, and why"),
        (format!("state=invalid&note={}&token={good}", "x".repeat(501)), 400, "who says so, and why"),
        (format!("state=invalid&token={good}"), 400, "missing field `note`"),
    ];
    for (form, status, expect) in rows {
        let (got, html) = site.post(page, &form).await;
        let words = text(&html);
        assert_eq!(got.as_u16(), status, "{form}: {words}");
        assert!(words.contains(expect), "{form}: {expect:?} is missing in {words}");
        assert!(!html.contains(&good) && !html.contains(&ingest), "a page never says a token");
    }
    let state = async || site.store.alerts(&AlertFilter::default()).await.unwrap()[0].clone();
    assert_eq!(state().await.history.len(), 1, "what was refused changed nothing");
    let (got, _) = site.post(page, &format!("state=acknowledged&note=known+to+%3Cb%3Eme&token={good}")).await;
    assert_eq!(got, StatusCode::SEE_OTHER);
    let alert = state().await;
    assert_eq!(alert.state, AlertState::Acknowledged);
    assert_eq!(alert.history[1].note, "known to <b>me (by the token anna)");
    let (_, html) = site.get(page).await;
    assert!(html.contains("known to &lt;b&gt;me") && html.contains("acknowledged"));
    assert!(
        site.store.tokens().await.unwrap().iter().any(|token| token.id == "token-3" && token.last_used_ms.is_some())
    );
    // A server that was not told to take anything has no form, and takes nothing.
    let closed = Site {
        router: router(site.store.clone(), Service::Show),
        store: site.store.clone(),
        _dir: tempfile::tempdir().unwrap(),
    };
    let (_, html) = closed.get(page).await;
    assert!(!html.contains("<form class=\"triage\""));
    let (got, _) = closed.post(page, &format!("state=invalid&note=x&token={good}")).await;
    assert_eq!(got, StatusCode::METHOD_NOT_ALLOWED);
}
