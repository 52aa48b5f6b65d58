//! What a visitor does and sees.

use super::driver::{Browser, Driver, Outcome, text};
use longhaul_dashboard::{Service, bind, serve};
use longhaul_record::{Alert, Comparison, Outcome as RunOutcome, RunRecord};
use longhaul_sqlite::SqliteStore;
use longhaul_store::testing::sample::{self, Shape};
use longhaul_store::{AlertFilter, ComparisonFilter, RunFilter, RunSummary, Store};
use longhaul_synthetic::Plan;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

pub(crate) type Future_<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;
pub(crate) type Case = for<'a> fn(&'a Driver) -> Future_<'a>;

/// Every test of this target but the screenshots.
pub(crate) const CASES: &[(&str, Case)] = &[
    ("a_visitor_clicks_from_the_overview_to_a_run", |driver| Box::pin(clicks(driver))),
    ("no_page_is_wider_than_a_phone", |driver| Box::pin(phone(driver))),
    ("words_are_readable_in_light_and_dark", |driver| Box::pin(readable(driver))),
    ("the_console_stays_silent", |driver| Box::pin(silent(driver))),
    ("hostile_texts_run_no_script", |driver| Box::pin(hostile(driver))),
    ("problems_have_pages", |driver| Box::pin(problems(driver))),
];

/// A dashboard on a port of its own, gone when dropped.
pub(crate) struct Site {
    address: SocketAddr,
    pub(crate) store: Arc<SqliteStore>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
    _dir: Option<tempfile::TempDir>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Site {
    async fn of_store(store: SqliteStore, dir: Option<tempfile::TempDir>) -> Outcome<Site> {
        let store = Arc::new(store);
        let listener = bind(([127, 0, 0, 1], 0).into()).await.map_err(text)?;
        let address = listener.local_addr().map_err(text)?;
        let server = tokio::spawn(serve(listener, store.clone(), Service::Accept, std::future::pending()));
        Ok(Site { address, store, server, _dir: dir })
    }

    /// Invented history, with everything that the pages can show.
    pub(crate) async fn demo(plan: &Plan) -> Outcome<Site> {
        let site = Site::of([]).await?;
        let all: Vec<_> = longhaul_synthetic::runs(plan).collect();
        for some in all.chunks(500) {
            site.store.insert_runs(some).await.map_err(text)?;
        }
        for comparison in longhaul_synthetic::comparisons(plan) {
            site.store.insert_comparison(&comparison).await.map_err(text)?;
        }
        Ok(site)
    }

    async fn of(runs: impl IntoIterator<Item = RunRecord>) -> Outcome<Site> {
        let dir = tempfile::tempdir().map_err(text)?;
        let store = SqliteStore::open(dir.path().join("longhaul.db")).await.map_err(text)?;
        for run in runs {
            store.insert_run(&run).await.map_err(text)?;
        }
        Site::of_store(store, Some(dir)).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn newest(&self, filter: RunFilter) -> Outcome<RunSummary> {
        let runs = self.store.runs(&RunFilter { limit: 1, ..filter }).await.map_err(text)?;
        runs.into_iter().next().ok_or("there is such a run".into())
    }

    /// One of each kind, by a short name.
    async fn pages(&self) -> Outcome<Vec<(&'static str, String)>> {
        let ok = self.newest(RunFilter { outcome: Some(RunOutcome::Ok), ..RunFilter::default() }).await?;
        let mut pages = vec![
            ("overview", "/".to_string()),
            ("scenario", format!("/scenario/{}", self.telling_scenario().await?)),
            ("run", format!("/run/{}", self.telling_run().await.unwrap_or(ok.clone()).id)),
            ("compare", "/compare".into()),
            ("alerts", "/alerts".into()),
            ("health", "/health".into()),
            ("missing", "/scenario/nowhere".into()),
        ];
        for (name, outcome) in [("failed", RunOutcome::SubjectFailed), ("untrusted", RunOutcome::Untrusted)] {
            let filter = RunFilter { outcome: Some(outcome), ..RunFilter::default() };
            if let Ok(run) = self.newest(filter).await {
                pages.push((name, format!("/run/{}", run.id)));
            }
        }
        if let Some(commit) = ok.commit.as_ref().filter(|_| !ok.dirty) {
            pages.push(("commit", format!("/commit/{commit}")));
        }
        let run = self.telling_run().await.unwrap_or(ok.clone());
        let same =
            RunFilter { scenario: Some(run.scenario.clone()), outcome: Some(RunOutcome::Ok), ..RunFilter::default() };
        let same = self.store.runs(&same).await.map_err(text)?;
        let beside =
            |other: &&RunSummary| other.commit != run.commit && other.subject == run.subject && other.seed == run.seed;
        if let Some(other) = same.iter().find(beside) {
            pages.push(("two-runs", format!("/compare/runs?a={}&b={}", other.id, run.id)));
        }
        let alerts = self.store.alerts(&AlertFilter::default()).await.map_err(text)?;
        let open = alerts.iter().filter(|alert| alert.state.is_open());
        if let Some(worst) = open.max_by(|a, b| a.size().total_cmp(&b.size())) {
            pages.push(("alert", format!("/alert/{}", worst.id)));
            let (base, head) = (&worst.range.last_before, &worst.range.first_after);
            pages.push(("commits", format!("/compare?base={base}&head={head}")));
            let filter = ComparisonFilter { head: Some(head.clone()), ..ComparisonFilter::default() };
            let paired = self.store.comparisons(&filter).await.map_err(text)?;
            pages.extend(paired.first().map(|one| ("comparison", format!("/comparison/{}", one.id))));
        }
        Ok(pages)
    }

    /// The scenario with most to see, where it is there; otherwise the newest run's.
    async fn telling_scenario(&self) -> Outcome<String> {
        for name in ["lossy/1pct", "dsl"] {
            let filter = RunFilter { scenario: Some(name.into()), ..RunFilter::default() };
            if let Ok(run) = self.newest(filter).await {
                return Ok(run.scenario);
            }
        }
        Ok(self.newest(RunFilter::default()).await?.scenario)
    }

    /// A run with a queue, where there is one.
    async fn telling_run(&self) -> Outcome<RunSummary> {
        let filter =
            RunFilter { scenario: Some("dsl".into()), subject: Some("reference".into()), ..RunFilter::default() };
        if let Ok(run) = self.newest(RunFilter { outcome: Some(RunOutcome::Ok), ..filter }).await {
            return Ok(run);
        }
        // Of invented data only the first run of a commit has curves.
        let filter = RunFilter {
            scenario: Some("home/behind-router".into()),
            subject: Some("driftwood".into()),
            ..RunFilter::default()
        };
        let runs = self.store.runs(&filter).await.map_err(text)?;
        let drawn = |run: &&RunSummary| run.iteration == 0 && run.outcome == RunOutcome::Ok;
        runs.iter().find(drawn).cloned().ok_or("there is such a run".into())
    }
}

pub(crate) fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// The shortest way from the question to the evidence, by mouse alone.
async fn clicks(driver: &Driver) -> Outcome {
    let site = Site::of(sample::history()).await?;
    let browser = driver.start().await?;
    browser.goto(&site.url("/")).await?;
    let headline = browser.text("h1").await?;
    check(headline.contains("measurement"), || headline.clone())?;
    browser.click("a[href='/scenario/lossy-1pct']").await?;
    let headline = browser.text("h1").await?;
    check(headline.starts_with("On lossy-1pct: reference "), || headline.clone())?;
    let charts = browser.eval("return document.querySelectorAll('svg.chart').length").await?;
    check(charts.as_u64() >= Some(14), || format!("{charts} charts"))?;
    browser.click("table.runs a[href^='/run/']").await?;
    let headline = browser.text("h1").await?;
    check(headline.contains(" fetched 32 MiB from alice in "), || headline.clone())?;
    let lanes = browser.eval("return document.querySelectorAll('svg.timeline path[stroke-linejoin]').length").await?;
    check(lanes.as_u64() >= Some(2), || format!("{lanes} lines"))?;
    browser.click("header .brand").await?;
    check(browser.text("h1").await?.contains("measurement"), || "the way back".into())?;
    browser.close().await
}

async fn phone(driver: &Driver) -> Outcome {
    let site = Site::of(sample::history()).await?;
    let browser = driver.start().await?;
    for width in [390, 320] {
        browser.resize(width, 844).await?;
        for (name, path) in site.pages().await? {
            browser.goto(&site.url(&path)).await?;
            open_everything(&browser).await?;
            let wide = browser.eval("return document.documentElement.scrollWidth").await?;
            check(wide.as_u64() <= Some(u64::from(width)), || format!("{name} is {wide} wide, of {width}"))?;
        }
    }
    browser.close().await
}

async fn open_everything(browser: &Browser) -> Outcome {
    browser.eval("document.querySelectorAll('details').forEach(one => one.open = true)").await.map(drop)
}

/// WCAG 2.2, 1.4.3: every text has a contrast of at least 4.5 to the page, in both schemes.
async fn readable(driver: &Driver) -> Outcome {
    const WORST: &str = r"
        const luminance = color => {
            const parts = color.match(/[\d.]+/g).slice(0, 3).map(part => part / 255);
            const [r, g, b] = parts.map(part => part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4);
            return .2126 * r + .7152 * g + .0722 * b;
        };
        const page = luminance(getComputedStyle(document.body).backgroundColor);
        let worst = [21, 'nothing'];
        for (const one of document.querySelectorAll('body *')) {
            const own = [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim());
            if (!own || !one.getClientRects().length) continue;
            const style = getComputedStyle(one);
            const text = luminance(one.closest('svg') ? style.fill : style.color);
            const contrast = (Math.max(page, text) + .05) / (Math.min(page, text) + .05);
            if (contrast < worst[0]) worst = [contrast, one.outerHTML.slice(0, 120)];
        }
        return [page, ...worst];";
    let site = Site::of(sample::history()).await?;
    let browser = driver.start().await?;
    for scheme in ["light", "dark"] {
        browser.scheme(scheme).await?;
        for (name, path) in site.pages().await? {
            browser.goto(&site.url(&path)).await?;
            let seen = browser.eval(WORST).await?;
            let (page, worst) = (seen[0].as_f64().unwrap_or(0.5), seen[1].as_f64().unwrap_or(0.0));
            check((page < 0.2) == (scheme == "dark"), || format!("{name} in {scheme}: a page of luminance {page}"))?;
            check(worst >= 4.5, || format!("{name} in {scheme}: contrast {worst} of {}", seen[2]))?;
        }
    }
    browser.close().await
}

/// No error, no refused resource, no broken policy, and no script but the one file.
async fn silent(driver: &Driver) -> Outcome {
    let site = Site::of(sample::history()).await?;
    let browser = driver.start().await?;
    for (name, path) in site.pages().await? {
        browser.goto(&site.url(&path)).await?;
        let said = browser.console().await?;
        // A page that answers 404 is one line in the console by itself.
        let said: Vec<&String> = said.iter().filter(|line| !(name == "missing" && line.contains("404"))).collect();
        check(said.is_empty(), || format!("{name}: {said:?}"))?;
        let found =
            browser.eval("return document.querySelectorAll('script:not([src]), style, [onclick]').length").await?;
        check(found.as_u64() == Some(0), || format!("{name}: {found} scripts or styles in the page"))?;
        let styled = browser.eval("return getComputedStyle(document.querySelector('main')).maxWidth").await?;
        check(styled == "1120px", || format!("{name}: the stylesheet did not apply: {styled}"))?;
    }
    browser.close().await
}

async fn hostile(driver: &Driver) -> Outcome {
    let attack = "\"'><script>window.pwned=1</script><img src=x onerror=\"window.pwned=2\"><svg onload=window.pwned=3>";
    let shape = |iteration| Shape { network: 3, subject: "reference", commit: 0, iteration };
    let mut runs = vec![sample::run(shape(0)), sample::failed(shape(1), RunOutcome::SubjectFailed, attack, attack)];
    runs.iter_mut().for_each(|run| spoil(run, attack));
    if let Some(sample) = runs[0].samples.first_mut() {
        sample.metric = format!("goodput{attack}");
    }
    let ids: Vec<String> = runs.iter().map(|run| run.id.clone()).collect();
    let (alert, comparison) = hostile_judgements(attack, &runs[0].host.fingerprint);
    let site = Site::of(runs).await?;
    site.store.put_alerts(std::slice::from_ref(&alert)).await.map_err(text)?;
    site.store.insert_comparison(&comparison).await.map_err(text)?;
    let browser = driver.start().await?;
    browser.goto(&site.url("/")).await?;
    harmless(&browser, "overview").await?;
    browser.click("tr.group a").await?;
    check(browser.text("h1").await?.contains("<script>"), || "the scenario's page opened".into())?;
    harmless(&browser, "scenario").await?;
    let pages = [
        "/compare".into(),
        "/alerts".into(),
        "/health".into(),
        format!("/alert/{}", alert.id),
        format!("/comparison/{}", comparison.id),
        format!("/compare/runs?a={}&b={}", ids[0], ids[1]),
    ];
    for page in pages {
        browser.goto(&site.url(&page)).await?;
        open_everything(&browser).await?;
        harmless(&browser, &page).await?;
        check(browser.text("main").await?.contains("window.pwned=1"), || format!("{page} shows the text as text"))?;
    }
    for id in ids {
        browser.goto(&site.url(&format!("/run/{id}"))).await?;
        open_everything(&browser).await?;
        harmless(&browser, "run").await?;
        check(browser.text("main").await?.contains("window.pwned=1"), || "the text is shown as text".into())?;
    }
    browser.close().await
}

/// Makes every text of a run an attack.
fn spoil(run: &mut RunRecord, attack: &str) {
    run.scenario = format!("[x]/{attack}");
    run.scenario_words = attack.into();
    run.scenario_resolved = attack.into();
    run.subject = attack.into();
    run.project = attack.into();
    run.host.cpu = attack.into();
    run.host.kernel = attack.into();
    run.commit = Some(attack.into());
    if let Some(detail) = &mut run.commit_detail {
        detail.summary = attack.into();
        detail.branch = Some(attack.into());
    }
    for process in &mut run.processes {
        process.host = attack.into();
        process.command.push(attack.into());
        process.stderr_tail = attack.into();
    }
    for link in &mut run.links {
        link.link = attack.into();
        link.direction = attack.into();
        link.dropped.insert(attack.into(), 1);
    }
    for path in &mut run.calibration.paths {
        path.from = attack.into();
    }
    run.fidelity.unintended_drops.insert(attack.into(), 1);
    for series in &mut run.series {
        series.unit = attack.into();
    }
}

/// An alert and a comparison all of whose texts are an attack.
fn hostile_judgements(attack: &str, host: &str) -> (Alert, Comparison) {
    let (mut alert, mut comparison) =
        (longhaul_store::testing::alert::alert(1), longhaul_store::testing::comparison::comparison(1, None));
    for text in
        [&mut alert.series.project, &mut alert.series.scenario, &mut alert.series.subject, &mut alert.series.metric]
    {
        *text = attack.into();
    }
    (alert.series.host, alert.series.peer) = (host.to_owned(), Some(attack.into()));
    (alert.range.first_after, alert.range.last_before) = (attack.into(), attack.into());
    alert.become_state(alert.state, 1, attack);
    (comparison.project, comparison.subject) = (attack.into(), attack.into());
    (comparison.base.commit, comparison.base.detail.summary) = (attack.into(), attack.into());
    comparison.scenarios[0].scenario = attack.into();
    comparison.scenarios[0].compared.missing = vec![attack.into()];
    (alert, comparison)
}

async fn harmless(browser: &Browser, page: &str) -> Outcome {
    let ran = browser.eval("return [window.pwned ?? null, document.querySelectorAll('script:not([src^=\"/assets/script.js?\"]), img').length]").await?;
    check(ran[0].is_null() && ran[1] == 0, || format!("{page}: {ran}"))?;
    let said = browser.console().await?;
    check(said.is_empty(), || format!("{page}: {said:?}"))
}

async fn problems(driver: &Driver) -> Outcome {
    let site = Site::of(sample::history().into_iter().take(4)).await?;
    let browser = driver.start().await?;
    let rows = [
        ("/scenario/nowhere", "No run of this scenario"),
        ("/run/0", "No such run"),
        ("/nothing", "There is no such page"),
        ("/run/%FF", "This address cannot be read"),
        ("/?project=nobody", "This address cannot be read"),
    ];
    for (path, expect) in rows {
        browser.goto(&site.url(path)).await?;
        let headline = browser.text("h1").await?;
        check(headline == expect, || format!("{path}: {headline}"))?;
        browser.click("main p a[href^='/']").await?;
        check(browser.text("h1").await?.contains("measurement"), || format!("{path} leads to the overview"))?;
    }
    browser.close().await
}

/// Writes `overview-light.png` and so on.
pub(crate) fn screenshots(driver: &Driver) -> Future_<'_> {
    Box::pin(shoot(driver))
}

async fn shoot(driver: &Driver) -> Outcome {
    let dir = PathBuf::from(std::env::var_os("LONGHAUL_SCREENSHOTS").ok_or("LONGHAUL_SCREENSHOTS names a directory")?);
    std::fs::create_dir_all(&dir).map_err(text)?;
    let browser = driver.start().await?;
    if let Some(path) = std::env::var_os("LONGHAUL_SCREENSHOT_DB") {
        let store = SqliteStore::open_read_only(Path::new(&path)).await.map_err(text)?;
        shoot_site(&browser, &Site::of_store(store, None).await?, &dir.join("")).await?;
    } else {
        shoot_site(&browser, &Site::of(sample::history()).await?, &dir.join("")).await?;
        // What a new user sees: one commit, one run of each.
        let first =
            sample::history().into_iter().filter(|run| run.commit == Some(sample::sha(0)) && run.iteration == 0);
        shoot_site(&browser, &Site::of(first).await?, &dir.join("first-")).await?;
    }
    browser.close().await
}

async fn shoot_site(browser: &Browser, site: &Site, prefix: &Path) -> Outcome {
    for (kind, scheme, width) in [("light", "light", 1200), ("dark", "dark", 1200), ("phone", "light", 390)] {
        browser.scheme(scheme).await?;
        for (name, path) in site.pages().await? {
            browser.resize(width, 844).await?;
            browser.goto(&site.url(&path)).await?;
            let height = browser.eval("return document.documentElement.scrollHeight").await?;
            let height = height.as_u64().and_then(|height| u32::try_from(height).ok()).unwrap_or(844);
            browser.resize(width, height.clamp(400, 2_200)).await?;
            let png = browser.client.screenshot().await.map_err(text)?;
            std::fs::write(format!("{}{name}-{kind}.png", prefix.display()), png).map_err(text)?;
        }
    }
    Ok(())
}
