//! One handler a page: asks the store, fills in the page's context.

use super::triage::say;
use super::{Answer, App, Failure, answer, unreadable};
use crate::page::{
    self, AlertPage, Alerts, CommitPage, Commits, Compare, Frame, Health, Overview, Problem, Scenario, View,
};
use axum::Json;
use axum::Router;
use axum::extract::rejection::{FormRejection, PathRejection, QueryRejection};
use axum::extract::{Form, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use longhaul_record::{Alert, Outcome, RunRecord};
use longhaul_store::{
    AlertFilter, Commit, CommitFilter, CommitValues, ComparisonFilter, ComparisonSummary, OverviewQuery, RunFilter,
    SeriesQuery, ValuesQuery,
};
use serde::Deserialize;

/// Medians per sparkline.
const RECENT: u32 = 40;
/// Runs per list.
const RUNS: u32 = 40;

/// Commits of one chart.
const MOST_COMMITS: u32 = 5_000;
/// Rows of the lists of commits, comparisons and alerts.
const ROWS: u32 = 200;
/// Runs of one commit.
const COMMIT_RUNS: u32 = 10_000;
/// Runs that one can be laid beside.
const BESIDE: u32 = 12;
/// Runs that the health of a machine is judged by, and how far back.
const HEALTH_RUNS: u32 = 4_000;
const HEALTH_WEEKS: i64 = 8;

pub(super) type Part = Result<Path<String>, PathRejection>;

/// The pages, by address.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(overview))
        .route("/scenario/{*name}", get(scenario))
        .route("/run/{id}", get(run))
        .route("/run/{id}/record.json", get(record))
        .route("/run/{id}/series.csv", get(series_csv))
        .route("/compare/runs", get(two_runs))
        .route("/commit/{sha}", get(commit))
        .route("/compare", get(compare))
        .route("/comparison/{id}", get(comparison))
        .route("/alerts", get(alerts))
        .route("/alert/{id}", get(alert).post(triage))
        .route("/health", get(health))
}

/// A part of the address that can be read.
pub(super) fn part(frame: &Frame, part: Part) -> Result<String, Failure> {
    match part {
        Ok(Path(part)) => Ok(part),
        Err(error) => Err(bad(frame.clone(), error.body_text())),
    }
}

async fn overview(State(app): State<App>, frame: Frame) -> Answer {
    let query = |metrics: &[&str], recent| OverviewQuery {
        project: frame.project(),
        host: frame.host(),
        metrics: metrics.iter().map(ToString::to_string).collect(),
        recent,
    };
    let rows = app.store.overview(&query(&page::HEADLINES, RECENT)).await.map_err(|error| unreadable(&error))?;
    let direct = app.store.overview(&query(&[page::DIRECT], 1)).await.map_err(|error| unreadable(&error))?;
    let alerts = alerts_here(&app, &frame).await?;
    let commits = if alerts.is_empty() { Vec::new() } else { commits_here(&app, &frame).await? };
    let canaries = canaries(&app, &frame).await?;
    Ok(answer(StatusCode::OK, &page::overview(&Overview { frame, rows, direct, alerts, commits, canaries })))
}

/// Alerts of the frame's project and machine.
pub(super) async fn alerts_here(app: &App, frame: &Frame) -> Result<Vec<Alert>, Failure> {
    let filter = AlertFilter { project: frame.project(), state: None, limit: u32::MAX };
    let mut alerts = app.store.alerts(&filter).await.map_err(|error| unreadable(&error))?;
    let host = frame.host();
    alerts.retain(|alert| Some(&alert.series.host) == host.as_ref());
    Ok(alerts)
}

/// The commits among which those of alerts are looked for.
async fn commits_here(app: &App, frame: &Frame) -> Result<Vec<Commit>, Failure> {
    let filter = CommitFilter { project: frame.project(), limit: MOST_COMMITS, ..CommitFilter::default() };
    app.store.commits(&filter).await.map_err(|error| unreadable(&error))
}

/// Comparisons of a version with itself.
async fn canaries(app: &App, frame: &Frame) -> Result<Vec<ComparisonSummary>, Failure> {
    let filter = ComparisonFilter { project: frame.project(), limit: u32::MAX, ..ComparisonFilter::default() };
    let mut all = app.store.comparisons(&filter).await.map_err(|error| unreadable(&error))?;
    let host = frame.host();
    all.retain(|one| one.same_program && Some(&one.host) == host.as_ref());
    Ok(all)
}

async fn scenario(
    State(app): State<App>,
    frame: Frame,
    name: Part,
    view: Result<Query<View>, QueryRejection>,
) -> Answer {
    let name = part(&frame, name)?;
    let view = match view {
        Ok(Query(view)) => view,
        Err(error) => return Err(bad(frame, error.body_text())),
    };
    let query = OverviewQuery { project: frame.project(), host: frame.host(), metrics: Vec::new(), recent: 0 };
    let rows = app.store.overview(&query).await.map_err(|error| unreadable(&error))?;
    let Some(row) = rows.iter().filter(|row| row.scenario == name).max_by_key(|row| row.latest.started_ms) else {
        let mut known: Vec<String> = rows.into_iter().map(|row| row.scenario).collect();
        known.dedup();
        return Err(Failure::new(frame, Problem::NoScenario { name, known }));
    };
    let words = row.scenario_words.clone();
    let filter = RunFilter {
        project: frame.project(),
        host: frame.host(),
        scenario: Some(name.clone()),
        limit: RUNS,
        ..RunFilter::default()
    };
    let runs = app.store.runs(&filter).await.map_err(|error| unreadable(&error))?;
    let newest = match runs.iter().find(|run| run.outcome == Outcome::Ok) {
        Some(run) => app.store.run(&run.id).await.map_err(|error| unreadable(&error))?,
        None => None,
    };
    let mut alerts = alerts_here(&app, &frame).await?;
    alerts.retain(|alert| alert.series.scenario == name);
    let query = SeriesQuery {
        scenario: name.clone(),
        project: frame.project(),
        host: frame.host(),
        metric: view.only().map(str::to_owned),
        branch: Some(view.branch.trim().to_owned()).filter(|branch| !branch.is_empty()),
        from_ms: moment(&app, &frame, &view.from, false).await?,
        until_ms: moment(&app, &frame, &view.to, true).await?,
        commits: view.commits.min(MOST_COMMITS),
        values: false,
        ..SeriesQuery::default()
    };
    let set = app.store.series(&query).await.map_err(|error| unreadable(&error))?;
    Ok(answer(StatusCode::OK, &page::scenario(&Scenario { frame, name, words, view, set, alerts, runs, newest })))
}

/// When a day or a commit is, in milliseconds since 1970; with `after`, just after it.
async fn moment(app: &App, frame: &Frame, text: &str, after: bool) -> Result<Option<i64>, Failure> {
    const DAY_MS: i64 = 86_400_000;
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(day) = text.parse::<jiff::civil::Date>() {
        let start = day.to_zoned(jiff::tz::TimeZone::UTC).map_err(|error| bad(frame.clone(), error.to_string()))?;
        return Ok(Some(start.timestamp().as_millisecond() + if after { DAY_MS } else { 0 }));
    }
    let (at, ..) = commit_named(app, frame, text).await?.order();
    Ok(Some(at + i64::from(after)))
}

/// The commit that a hash, or the beginning of one, names.
async fn commit_named(app: &App, frame: &Frame, name: &str) -> Result<Commit, Failure> {
    let prefix = Some(name.to_ascii_lowercase());
    let filter = CommitFilter { project: frame.project(), prefix, limit: 20 };
    let mut found = app.store.commits(&filter).await.map_err(|error| unreadable(&error))?;
    // A tree with changes is no commit of its own.
    if found.iter().any(|commit| !commit.dirty) {
        found.retain(|commit| !commit.dirty);
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Failure::new(frame.clone(), Problem::Unknown { what: "commit", id: name.to_owned() })),
        _ => Err(Failure::new(frame.clone(), Problem::Ambiguous { name: name.to_owned(), found })),
    }
}

fn bad(frame: Frame, detail: String) -> Failure {
    Failure::new(frame, Problem::BadRequest { detail })
}

/// The run that a part of an address names.
async fn run_named(app: &App, frame: &Frame, id: &str) -> Result<RunRecord, Failure> {
    let found = app.store.run(id).await.map_err(|error| unreadable(&error))?;
    found.ok_or_else(|| Failure::new(frame.clone(), Problem::Unknown { what: "run", id: id.to_owned() }))
}

async fn run(State(app): State<App>, frame: Frame, id: Part) -> Answer {
    let id = part(&frame, id)?;
    let run = run_named(&app, &frame, &id).await?;
    let filter = RunFilter {
        project: Some(run.project.clone()),
        host: Some(run.host.fingerprint.clone()),
        scenario: Some(run.scenario.clone()),
        outcome: Some(Outcome::Ok),
        seed: Some(run.seed),
        limit: BESIDE,
        ..RunFilter::default()
    };
    let mut others = app.store.runs(&filter).await.map_err(|error| unreadable(&error))?;
    others.retain(|other| other.id != run.id && other.scenario_hash == run.scenario_hash);
    Ok(answer(StatusCode::OK, &page::run(&frame, &run, &others)))
}

/// The record as it was inserted.
async fn record(State(app): State<App>, frame: Frame, id: Part) -> Answer {
    let id = part(&frame, id)?;
    let run = run_named(&app, &frame, &id).await?;
    Ok(Json(run).into_response())
}

/// What is drawn over time, a line for each interval.
async fn series_csv(State(app): State<App>, frame: Frame, id: Part) -> Answer {
    let id = part(&frame, id)?;
    let run = run_named(&app, &frame, &id).await?;
    let kind = (header::CONTENT_TYPE, "text/csv; charset=utf-8");
    let mut rows = Vec::new();
    match longhaul_interop::over_time::csv(&run, &mut rows) {
        Ok(()) => Ok((StatusCode::OK, [kind], rows).into_response()),
        Err(error) => Err(Failure::new(frame, Problem::Store { detail: error.to_string() })),
    }
}

/// Which two runs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TwoRuns {
    a: String,
    b: String,
}

async fn two_runs(State(app): State<App>, frame: Frame, runs: Result<Query<TwoRuns>, QueryRejection>) -> Answer {
    let runs = match runs {
        Ok(Query(runs)) => runs,
        Err(error) => return Err(bad(frame, error.body_text())),
    };
    let a = run_named(&app, &frame, runs.a.trim()).await?;
    let b = run_named(&app, &frame, runs.b.trim()).await?;
    Ok(answer(StatusCode::OK, &page::two_runs(&frame, &a, &b)))
}

async fn commit(State(app): State<App>, frame: Frame, sha: Part) -> Answer {
    let sha = part(&frame, sha)?;
    let commit = commit_named(&app, &frame, &sha).await?;
    let sha = commit.sha.clone().unwrap_or_default();
    let filter = RunFilter {
        project: frame.project(),
        host: frame.host(),
        commit: Some(sha.clone()),
        limit: COMMIT_RUNS,
        ..RunFilter::default()
    };
    let runs = app.store.runs(&filter).await.map_err(|error| unreadable(&error))?;
    let parents = match runs.first() {
        Some(run) => app.store.run(&run.id).await.map_err(|error| unreadable(&error))?,
        None => None,
    };
    let parents = parents.and_then(|run| run.commit_detail).map(|detail| detail.parents).unwrap_or_default();
    let filter = ComparisonFilter { project: frame.project(), head: Some(sha), limit: ROWS, ..Default::default() };
    let comparisons = app.store.comparisons(&filter).await.map_err(|error| unreadable(&error))?;
    let before = measured_before(&app, &frame, &commit, &parents).await?;
    let values = values_of(&app, &frame, &commit).await?;
    let old = match &before {
        Some(before) => values_of(&app, &frame, before).await?,
        None => Vec::new(),
    };
    let page = CommitPage { frame, commit, parents, before, runs, comparisons, values, old };
    Ok(answer(StatusCode::OK, &page::commit(&page)))
}

/// The first of a commit's parents that was measured; without one, the newest measured commit of the branch that is older.
async fn measured_before(
    app: &App,
    frame: &Frame,
    commit: &Commit,
    parents: &[String],
) -> Result<Option<Commit>, Failure> {
    for parent in parents {
        let filter = CommitFilter { project: frame.project(), prefix: Some(parent.clone()), limit: 2 };
        let found = app.store.commits(&filter).await.map_err(|error| unreadable(&error))?;
        if let Some(found) = found.into_iter().find(|found| !found.dirty) {
            return Ok(Some(found));
        }
    }
    let filter = CommitFilter { project: frame.project(), limit: MOST_COMMITS, ..CommitFilter::default() };
    let all = app.store.commits(&filter).await.map_err(|error| unreadable(&error))?;
    let older = |other: &Commit| other.order() < commit.order() && other.branch == commit.branch && !other.dirty;
    Ok(all.into_iter().find(older))
}

async fn values_of(app: &App, frame: &Frame, commit: &Commit) -> Result<Vec<CommitValues>, Failure> {
    let (Some(project), Some(host)) = (frame.project(), frame.host()) else { return Ok(Vec::new()) };
    let query = ValuesQuery { project, host, commit: commit.sha.clone(), dirty: commit.dirty };
    app.store.commit_values(&query).await.map_err(|error| unreadable(&error))
}

/// Which two commits.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pair {
    base: String,
    head: String,
}

async fn compare(State(app): State<App>, frame: Frame, pair: Result<Query<Pair>, QueryRejection>) -> Answer {
    let pair = match pair {
        Ok(Query(pair)) => pair,
        Err(error) => return Err(bad(frame, error.body_text())),
    };
    match (pair.base.trim(), pair.head.trim()) {
        ("", "") => compare_index(&app, frame).await,
        ("", _) | (_, "") => Err(bad(frame, "two commits are compared: name both, as base and head".into())),
        (base, head) => compare_commits(&app, frame, base, head).await,
    }
}

async fn compare_commits(app: &App, frame: Frame, base: &str, head: &str) -> Answer {
    let base = commit_named(app, &frame, base).await?;
    let head = commit_named(app, &frame, head).await?;
    let filter = ComparisonFilter {
        project: frame.project(),
        base: base.sha.clone(),
        head: head.sha.clone(),
        limit: ROWS,
        ..ComparisonFilter::default()
    };
    let comparisons = app.store.comparisons(&filter).await.map_err(|error| unreadable(&error))?;
    let old = values_of(app, &frame, &base).await?;
    let new = values_of(app, &frame, &head).await?;
    Ok(answer(StatusCode::OK, &page::commits(&Commits { frame, base, head, comparisons, old, new })))
}

async fn compare_index(app: &App, frame: Frame) -> Answer {
    let filter = ComparisonFilter { project: frame.project(), limit: ROWS, ..ComparisonFilter::default() };
    let comparisons = app.store.comparisons(&filter).await.map_err(|error| unreadable(&error))?;
    let filter = CommitFilter { project: frame.project(), limit: ROWS, ..CommitFilter::default() };
    let commits = app.store.commits(&filter).await.map_err(|error| unreadable(&error))?;
    Ok(answer(StatusCode::OK, &page::compare(&Compare { frame, comparisons, commits })))
}

async fn comparison(State(app): State<App>, frame: Frame, id: Part) -> Answer {
    let id = part(&frame, id)?;
    let Some(found) = app.store.comparison(&id).await.map_err(|error| unreadable(&error))? else {
        return Err(Failure::new(frame, Problem::Unknown { what: "comparison", id }));
    };
    let query = |commit: &str, dirty| ValuesQuery {
        project: found.project.clone(),
        host: found.host.fingerprint.clone(),
        commit: Some(commit.to_owned()),
        dirty,
    };
    let old = query(&found.base.commit, found.base.detail.dirty);
    let old = app.store.commit_values(&old).await.map_err(|error| unreadable(&error))?;
    let new = query(&found.head.commit, found.head.detail.dirty);
    let new = app.store.commit_values(&new).await.map_err(|error| unreadable(&error))?;
    Ok(answer(StatusCode::OK, &page::comparison(&frame, &found, [&old, &new])))
}

async fn alerts(State(app): State<App>, frame: Frame) -> Answer {
    let alerts = alerts_here(&app, &frame).await?;
    let commits = commits_here(&app, &frame).await?;
    Ok(answer(StatusCode::OK, &page::alerts(&Alerts { frame, alerts, commits })))
}

async fn alert(State(app): State<App>, frame: Frame, id: Part) -> Answer {
    let id = part(&frame, id)?;
    let page = alert_page(&app, frame, id).await?;
    Ok(answer(StatusCode::OK, &page::alert(&page)))
}

/// What somebody says of an alert.
#[derive(Debug, Deserialize)]
struct Triage {
    state: String,
    note: String,
    token: String,
}

/// Keeps it, and shows the alert again; without a right to, with the reason.
async fn triage(State(app): State<App>, frame: Frame, id: Part, form: Result<Form<Triage>, FormRejection>) -> Answer {
    let id = part(&frame, id)?;
    let mut page = alert_page(&app, frame, id).await?;
    let form = match form {
        Ok(Form(form)) => form,
        Err(error) => return Err(bad(page.frame, error.body_text())),
    };
    match say(&app, &mut page.alert, &form.token, &form.state, &form.note).await {
        Ok(()) => Ok(Redirect::to(&page.frame.links.alert(&page.alert.id)).into_response()),
        Err(refusal) => {
            page.refused = Some(refusal.to_string());
            Ok(answer(refusal.status(), &page::alert(&page)))
        }
    }
}

async fn alert_page(app: &App, frame: Frame, id: String) -> Result<AlertPage, Failure> {
    let filter = AlertFilter { limit: u32::MAX, ..AlertFilter::default() };
    let all = app.store.alerts(&filter).await.map_err(|error| unreadable(&error))?;
    let Some(alert) = all.into_iter().find(|alert| alert.id == id) else {
        return Err(Failure::new(frame, Problem::Unknown { what: "alert", id }));
    };
    let series = alert.series.clone();
    let query = SeriesQuery {
        scenario: series.scenario,
        project: Some(series.project),
        host: Some(series.host),
        subject: Some(series.subject),
        metric: Some(series.metric),
        commits: ROWS,
        values: false,
        ..SeriesQuery::default()
    };
    let mut set = app.store.series(&query).await.map_err(|error| unreadable(&error))?;
    set.series.retain(|other| other.peer == series.peer);
    Ok(AlertPage { frame, alert, set, refused: None })
}

async fn health(State(app): State<App>, frame: Frame) -> Answer {
    let filter = RunFilter { project: frame.project(), host: frame.host(), limit: HEALTH_RUNS, ..RunFilter::default() };
    let mut runs = app.store.runs(&filter).await.map_err(|error| unreadable(&error))?;
    // As of the newest run, not of today: a project that rests is not ill.
    let mut since_ms = runs.first().map_or(0, |run| run.started_ms - HEALTH_WEEKS * 7 * 86_400_000);
    runs.retain(|run| run.started_ms >= since_ms);
    let more = runs.len() as u32 == HEALTH_RUNS;
    if let Some(oldest) = runs.last().filter(|_| more) {
        since_ms = oldest.started_ms;
    }
    let canaries = canaries(&app, &frame).await?;
    Ok(answer(StatusCode::OK, &page::health(&Health { frame, runs, more, canaries, since_ms })))
}
