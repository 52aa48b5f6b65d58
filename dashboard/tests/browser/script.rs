//! What the script adds, and that nothing needs it.

use super::driver::{Browser, Driver, Outcome, text};
use super::pages::{Case, Future_, Site, check};
use crate::invented::{ALERT, alert};
use longhaul_dashboard::{Scope, token_hash, token_text};
use longhaul_record::{AlertState, SYNTHETIC_HOST};
use longhaul_store::{AlertFilter, Progress, Store, Token};
use longhaul_synthetic::Plan;

pub(crate) const CASES: &[(&str, Case)] = &[
    ("pointing_at_a_chart_says_what_is_there", |driver| Box::pin(pointing(driver))),
    ("dragging_zooms_and_the_way_back_is_the_browsers", |driver| Box::pin(zooming(driver))),
    ("the_keyboard_reaches_everything", |driver| Box::pin(keyboard(driver))),
    ("a_chosen_theme_stays", |driver| Box::pin(theme(driver))),
    ("tables_sort_and_filter", |driver| Box::pin(tables(driver))),
    ("an_alert_is_triaged_in_the_browser", |driver| Box::pin(triage(driver))),
    ("a_running_suite_is_seen_and_new_runs_are_offered", |driver| Box::pin(news(driver))),
    ("everything_works_without_the_script", |driver| Box::pin(without(driver))),
    ("a_long_history_is_drawn_and_zoomed", |driver| Box::pin(long(driver))),
];

const PLAN: Plan =
    Plan { seed: 1, until_ms: 1_793_523_600_000, commits: 40, scenarios: 7, subjects: 2, runs: 2, nat: false };
const PAGE: &str = "/scenario/lossy/1pct";
/// Windows' codes of keys, which DevTools wants.
const TAB: u32 = 9;
const ENTER: u32 = 13;
const LEFT: u32 = 37;
const HOME: u32 = 36;

/// A site with an alert, and its first chart in sight.
async fn open(driver: &Driver) -> Outcome<(Site, Browser)> {
    let site = Site::demo(&PLAN).await?;
    let alert = alert(&*site.store, &PLAN).await.map_err(text)?;
    site.store.put_alerts(&[alert]).await.map_err(text)?;
    let browser = driver.start().await?;
    browser.resize(1200, 1600).await?;
    Ok((site, browser))
}

/// A place in the first chart: shares of its plot's width and height, in the window's coordinates.
async fn place(browser: &Browser, across: f64, down: f64) -> Outcome<(f64, f64)> {
    let found = browser
        .eval(
            "const svg = document.querySelector('svg[data-chart=history]'); svg.scrollIntoView({ block: 'center' });
             const [x0, y0, x1, y1] = svg.dataset.plot.split(' ').map(Number);
             const box = svg.getBoundingClientRect(), scale = box.width / svg.viewBox.baseVal.width;
             return [box.left + x0 * scale, box.top + y0 * scale, (x1 - x0) * scale, (y1 - y0) * scale];",
        )
        .await?;
    let at = |n: usize| found[n].as_f64().ok_or(format!("no chart: {found}"));
    Ok((at(0)? + at(2)? * across, at(1)? + at(3)? * down))
}

async fn pointing(driver: &Driver) -> Outcome {
    let (site, browser) = open(driver).await?;
    browser.goto(&site.url(PAGE)).await?;
    let (x, y) = place(&browser, 0.5, 0.9).await?;
    browser.pointer("mouseMoved", x, y).await?;
    browser.until("return !document.querySelector('.tip').hidden").await?;
    let said = browser.text(".tip").await?;
    for part in ["Goodput at ", "driftwood", "curl", "Mbit/s"] {
        check(said.contains(part), || format!("{part:?} is missing in {said}"))?;
    }
    // The same commit in every chart.
    let cursors = browser
        .eval("return [...document.querySelectorAll('svg[data-chart=history] .cursor')].map(one => one.getAttribute('visibility'))")
        .await?;
    let all = cursors.as_array().is_some_and(|all| all.len() > 10 && all.iter().all(|one| one == "visible"));
    check(all, || format!("{cursors}"))?;
    browser.pointer("mouseMoved", 2.0, 2.0).await?;
    browser.until("return document.querySelector('.tip').hidden").await?;
    // A click compares the commit with the one before it.
    browser.pointer("mouseMoved", x, y).await?;
    browser.pointer("mousePressed", x, y).await?;
    browser.pointer("mouseReleased", x, y).await?;
    browser.until("return location.pathname === '/compare' && location.search.includes('base=')").await?;
    check(browser.text("h1").await?.contains("series"), || "the comparison".into())?;
    browser.close().await
}

async fn zooming(driver: &Driver) -> Outcome {
    let (site, browser) = open(driver).await?;
    browser.goto(&site.url(PAGE)).await?;
    let ((x, y), (end, _)) = (place(&browser, 0.25, 0.9).await?, place(&browser, 0.5, 0.9).await?);
    browser.pointer("mouseMoved", x, y).await?;
    browser.pointer("mousePressed", x, y).await?;
    browser.pointer("mouseMoved", end, y).await?;
    browser.pointer("mouseReleased", end, y).await?;
    browser.until("return location.search.includes('from=')").await?;
    let shown = "return Number(document.querySelector('svg[data-chart=history]').dataset.n)";
    browser.until(&format!("{shown} >= 10")).await?;
    let zoomed = browser.eval(shown).await?.as_u64();
    check(zoomed.is_some_and(|n| (10..=12).contains(&n)), || format!("a quarter of 40 commits is {zoomed:?}"))?;
    browser.client.back().await.map_err(text)?;
    browser.until(&format!("{shown} === 40")).await?;
    browser.client.forward().await.map_err(text)?;
    browser.until(&format!("{shown} < 20")).await?;
    browser.close().await
}

/// From the address bar to a comparison without a mouse.
async fn keyboard(driver: &Driver) -> Outcome {
    let (site, browser) = open(driver).await?;
    browser.goto(&site.url(PAGE)).await?;
    browser.key("Tab", TAB).await?;
    browser.until("return document.activeElement.matches('.skip')").await?;
    // Everything that can be reached is seen to be.
    for seen in 0..60 {
        browser.key("Tab", TAB).await?;
        let now = browser
            .eval(
                "const one = document.activeElement, style = getComputedStyle(one);
                 return [one.matches('svg[data-chart=history]'), style.outlineStyle !== 'none' || style.boxShadow !== 'none']",
            )
            .await?;
        check(now[1] == true, || format!("the focus cannot be seen after {seen} steps"))?;
        if now[0] == true {
            break;
        }
    }
    browser.until("return document.activeElement.matches('svg[data-chart=history]')").await?;
    browser.key("ArrowLeft", LEFT).await?;
    browser.key("ArrowLeft", LEFT).await?;
    let newest = browser.text(".tip").await?;
    browser.key("Home", HOME).await?;
    browser.key("ArrowRight", 39).await?;
    let second = browser.text(".tip").await?;
    check(newest != second && second.contains("Goodput at "), || format!("{newest} and {second}"))?;
    browser.key("Enter", ENTER).await?;
    browser.until("return location.pathname === '/compare'").await?;
    browser.close().await
}

async fn theme(driver: &Driver) -> Outcome {
    let (site, browser) = open(driver).await?;
    browser.scheme("light").await?;
    browser.goto(&site.url("/")).await?;
    let paper = "return getComputedStyle(document.body).backgroundColor";
    let light = browser.eval(paper).await?;
    browser.click("button.theme").await?;
    let dark = browser.eval(paper).await?;
    check(light != dark, || format!("{light} stays {dark}"))?;
    browser.goto(&site.url("/alerts")).await?;
    check(browser.eval(paper).await? == dark, || "it stays on the next page".into())?;
    browser.click("button.theme").await?;
    check(browser.eval(paper).await? == light, || "and goes back".into())?;
    browser.close().await
}

async fn tables(driver: &Driver) -> Outcome {
    let (site, browser) = open(driver).await?;
    let commits = site.store.commits(&longhaul_store::CommitFilter::default()).await.map_err(text)?;
    let sha = |n: usize| commits[n].sha.clone().unwrap_or_default();
    browser.goto(&site.url(&format!("/compare?base={}&head={}", sha(30), sha(0)))).await?;
    let shown =
        "return [...document.querySelectorAll('details table[data-sortable] tbody tr')].filter(row => !row.hidden)
                 .map(row => Number(row.cells[6].dataset.value))";
    browser.eval("document.querySelectorAll('details').forEach(one => one.open = true)").await?;
    browser.click("details table[data-sortable] th:nth-child(7) button").await?;
    let sorted = browser.eval(shown).await?;
    let values: Vec<f64> = sorted.as_array().into_iter().flatten().filter_map(|one| one.as_f64()).collect();
    check(values.len() > 20 && values.is_sorted(), || format!("{values:?}"))?;
    browser.click("details table[data-sortable] th:nth-child(7) button").await?;
    let first = browser.eval(shown).await?[0].as_f64();
    check(first == values.last().copied(), || format!("turned round: {first:?}"))?;
    browser.eval("const field = document.querySelector('details .filter'); field.value = 'dsl curl'; field.dispatchEvent(new Event('input'))").await?;
    let rows = browser.eval("return [...document.querySelectorAll('details table[data-sortable] tbody tr')].filter(row => !row.hidden).length").await?;
    check(rows == 0, || format!("no network of this site is a DSL line: {rows}"))?;
    browser.close().await
}

async fn triage(driver: &Driver) -> Outcome {
    let (site, browser) = open(driver).await?;
    let secret = token_text([7; 32]);
    let token = Token {
        id: "t".into(),
        name: "anna".into(),
        scope: Scope::join(&[Scope::Triage]),
        hash: token_hash(&secret),
        project: None,
        created_ms: 1,
        last_used_ms: None,
        revoked_ms: None,
    };
    site.store.put_token(&token).await.map_err(text)?;
    browser.goto(&site.url(&format!("/alert/{ALERT}"))).await?;
    let fill = |token: &str| {
        format!(
            "const form = document.querySelector('form.triage'); form.note.value = 'mended by the next release';
             form.token.value = '{token}'; form.requestSubmit()"
        )
    };
    browser.eval(&fill("guess")).await?;
    browser.until("return !!document.querySelector('[role=alert]')").await?;
    check(browser.text("[role=alert]").await?.contains("nobody knows this token"), || "the reason".into())?;
    browser.eval(&fill(&secret)).await?;
    browser.until("return !document.querySelector('[role=alert]') && document.body.innerText.includes('mended by the next release')").await?;
    let kept = site.store.alerts(&AlertFilter::default()).await.map_err(text)?;
    check(kept[0].state == AlertState::Acknowledged, || format!("{:?}", kept[0].state))?;
    let said: Vec<String> = browser.console().await?.into_iter().filter(|line| !line.contains("401")).collect();
    check(said.is_empty(), || format!("{said:?}"))?;
    browser.close().await
}

/// A page that is open hears of a suite that begins, of how far it is, of its runs, and of its end.
async fn news(driver: &Driver) -> Outcome {
    let (site, browser) = open(driver).await?;
    browser.goto(&site.url("/")).await?;
    let now = browser.eval("return Date.now()").await?.as_i64().ok_or("the browser knows the time")?;
    let said = |done: u64| Progress {
        id: "suite".into(),
        host: SYNTHETIC_HOST.into(),
        what: "7 scenarios <b>".into(),
        now: "lossy/1pct".into(),
        done,
        total: 9,
        updated_ms: now,
    };
    site.store.put_progress(&said(2)).await.map_err(text)?;
    browser
        .until("return document.querySelector('.news')?.innerText.includes('Running 7 scenarios <b>: 2 of 9')")
        .await?;
    site.store.put_progress(&said(3)).await.map_err(text)?;
    browser.until("return document.querySelector('.news progress')?.value === 3").await?;
    let mut run = longhaul_synthetic::runs(&PLAN).next().ok_or("there is a run")?;
    run.id = "new".into();
    run.started_ms = now + 1000;
    run.ended_ms = now + 2000;
    site.store.insert_run(&run).await.map_err(text)?;
    browser.until("return document.querySelector('.news')?.innerText.includes('1 new run since')").await?;
    site.store.end_progress("suite").await.map_err(text)?;
    browser.until("return !document.querySelector('.news progress')").await?;
    browser.click(".news a").await?;
    browser
        .until("return document.readyState === 'complete' && !document.querySelector('.news:not([hidden])')")
        .await?;
    browser.close().await
}

/// From the overview to a zoomed chart, a comparison and a run, with scripts forbidden.
async fn without(driver: &Driver) -> Outcome {
    let (site, browser) = open(driver).await?;
    browser.scripts(false).await?;
    browser.goto(&site.url("/")).await?;
    check(browser.eval("return !document.querySelector('button.theme')").await? == true, || "no script ran".into())?;
    browser.click("a[href='/scenario/lossy/1pct']").await?;
    browser
        .client
        .find(fantoccini::Locator::Css("input[name=from]"))
        .await
        .map_err(text)?
        .send_keys("2026-09-01")
        .await
        .map_err(text)?;
    browser.click("form.view button").await?;
    check(browser.text("main").await?.contains("lossy/1pct"), || "the zoomed page".into())?;
    let shown = browser.client.find(fantoccini::Locator::Css("svg[data-chart=history]")).await.map_err(text)?;
    let n = shown.attr("data-n").await.map_err(text)?;
    check(n.as_deref().and_then(|n| n.parse::<u32>().ok()).is_some_and(|n| n < 20), || {
        format!("{n:?} commits since September")
    })?;
    browser.click("table.runs a[href^='/run/']").await?;
    check(browser.text("h1").await?.contains("fetched 32 MiB"), || "the run".into())?;
    browser.goto(&site.url("/compare")).await?;
    browser.click("td a[href^='/compare?base=']").await?;
    check(browser.text("h1").await?.contains("series"), || "two commits".into())?;
    browser.close().await
}

/// As many commits as a project makes in years: the page stays small, the newest ones are one drag away.
async fn long(driver: &Driver) -> Outcome {
    let plan = Plan { commits: 1500, scenarios: 1, subjects: 3, runs: 1, ..PLAN };
    let site = Site::demo(&plan).await?;
    let browser = driver.start().await?;
    browser.resize(1200, 1600).await?;
    browser.goto(&site.url("/scenario/throughput/1-to-1?commits=5000")).await?;
    let size = browser.eval("return [document.documentElement.outerHTML.length, Number(document.querySelector('svg[data-chart=history]').dataset.n)]").await?;
    check(size[1] == 1500, || format!("{size}"))?;
    check(size[0].as_u64() < Some(400_000), || format!("the page has {} bytes", size[0]))?;
    let ((x, y), (end, _)) = (place(&browser, 0.9, 0.9).await?, place(&browser, 0.99, 0.9).await?);
    browser.pointer("mouseMoved", x, y).await?;
    browser.pointer("mousePressed", x, y).await?;
    browser.pointer("mouseMoved", end, y).await?;
    browser.pointer("mouseReleased", end, y).await?;
    browser.until("return location.search.includes('from=') && Number(document.querySelector('svg[data-chart=history]').dataset.n) < 200").await?;
    browser.close().await
}

/// By axe-core, which `LONGHAUL_AXE` names: nothing serious or critical on any page, in light and in dark.
pub(crate) fn accessible(driver: &Driver) -> Future_<'_> {
    Box::pin(axe(driver))
}

async fn axe(driver: &Driver) -> Outcome {
    let path = std::env::var("LONGHAUL_AXE").map_err(|_| "LONGHAUL_AXE names axe.min.js")?;
    let axe = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let (site, browser) = open(driver).await?;
    let runs = site.store.runs(&longhaul_store::RunFilter::default()).await.map_err(text)?;
    let (first, commit) = (&runs[0], runs[0].commit.clone().unwrap_or_default());
    let same: Vec<_> =
        runs.iter().filter(|run| run.scenario == first.scenario && run.subject == first.subject).collect();
    let all = site.store.comparisons(&longhaul_store::ComparisonFilter::default()).await.map_err(text)?;
    let pages = [
        "/".into(),
        PAGE.into(),
        format!("/run/{}", first.id),
        format!("/compare/runs?a={}&b={}", same[0].id, same[same.len() - 1].id),
        format!("/commit/{commit}"),
        "/compare".into(),
        format!("/comparison/{}", all[0].id),
        "/alerts".into(),
        format!("/alert/{ALERT}"),
        "/health".into(),
        "/nowhere".into(),
    ];
    let mut found = Vec::new();
    for scheme in ["light", "dark"] {
        browser.scheme(scheme).await?;
        for page in &pages {
            browser.goto(&site.url(page)).await?;
            browser.eval("document.querySelectorAll('details').forEach(one => one.open = true)").await?;
            browser.eval(&axe).await?;
            browser.eval("window.found = null; axe.run().then(all => { window.found = all.violations.filter(one => ['serious', 'critical'].includes(one.impact)).map(one => one.id + ': ' + one.nodes.slice(0, 3).map(node => node.html.slice(0, 160)).join(' | ')) })").await?;
            browser.until("return window.found !== null").await?;
            let said = browser.eval("return window.found").await?;
            for one in said.as_array().into_iter().flatten() {
                found.push(format!("{page} in {scheme}: {one}"));
            }
        }
    }
    check(found.is_empty(), || found.join("\n"))?;
    browser.close().await
}
