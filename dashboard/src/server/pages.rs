//! One handler a page: asks the store, fills in the page's context.

use super::{App, Failure, answer, unreadable};
use crate::page::{self, AlertPage, Alerts, Compare, Frame, Health, Overview, Problem, Scenario};
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use longhaul_store::{AlertFilter, CommitFilter, ComparisonFilter, OverviewQuery, RunFilter, SeriesQuery};

/// Medians per sparkline.
const RECENT: u32 = 40;
/// Commits per chart.
const COMMITS: u32 = 60;
/// Runs per list.
const RUNS: u32 = 40;

/// Rows of the lists of commits, comparisons and alerts.
const ROWS: u32 = 200;
/// Commits among which those of alerts are looked for.
const ALERT_COMMITS: u32 = 5_000;
/// Runs that the health of a machine is judged by, and how far back.
const HEALTH_RUNS: u32 = 20_000;
const HEALTH_WEEKS: i64 = 8;

type Answer = Result<Response, Failure>;
type Part = Result<Path<String>, PathRejection>;

/// The pages, by address.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(overview))
        .route("/scenario/{*name}", get(scenario))
        .route("/run/{id}", get(run))
        .route("/compare", get(compare))
        .route("/comparison/{id}", get(comparison))
        .route("/alerts", get(alerts))
        .route("/alert/{id}", get(alert))
        .route("/health", get(health))
}

/// A part of the address that can be read.
fn part(frame: &Frame, part: Part) -> Result<String, Failure> {
    match part {
        Ok(Path(part)) => Ok(part),
        Err(error) => Err(Failure(frame.clone(), Problem::BadRequest { detail: error.body_text() })),
    }
}

async fn overview(State(app): State<App>, frame: Frame) -> Answer {
    let metrics = page::HEADLINES.map(String::from).into();
    let query = OverviewQuery { project: frame.project(), host: frame.host(), metrics, recent: RECENT };
    let rows = app.store.overview(&query).await.map_err(|error| unreadable(&error))?;
    Ok(answer(StatusCode::OK, &page::overview(&Overview { frame, rows })))
}

async fn scenario(State(app): State<App>, frame: Frame, name: Part) -> Answer {
    let name = part(&frame, name)?;
    let filter = RunFilter {
        project: frame.project(),
        host: frame.host(),
        scenario: Some(name.clone()),
        limit: RUNS,
        ..RunFilter::default()
    };
    let runs = app.store.runs(&filter).await.map_err(|error| unreadable(&error))?;
    let query = OverviewQuery { project: frame.project(), host: frame.host(), metrics: Vec::new(), recent: 0 };
    let rows = app.store.overview(&query).await.map_err(|error| unreadable(&error))?;
    let Some(row) = rows.iter().filter(|row| row.scenario == name).max_by_key(|row| row.latest.started_ms) else {
        let mut known: Vec<String> = rows.into_iter().map(|row| row.scenario).collect();
        known.dedup();
        return Err(Failure(frame, Problem::NoScenario { name, known }));
    };
    let words = row.scenario_words.clone();
    let query = SeriesQuery {
        scenario: name.clone(),
        project: frame.project(),
        host: frame.host(),
        commits: COMMITS,
        ..SeriesQuery::default()
    };
    let set = app.store.series(&query).await.map_err(|error| unreadable(&error))?;
    Ok(answer(StatusCode::OK, &page::scenario(&Scenario { frame, name, words, set, runs })))
}

async fn run(State(app): State<App>, frame: Frame, id: Part) -> Answer {
    let id = part(&frame, id)?;
    match app.store.run(&id).await.map_err(|error| unreadable(&error))? {
        Some(run) => Ok(answer(StatusCode::OK, &page::run(&frame, &run))),
        None => Err(Failure(frame, Problem::Unknown { what: "run", id })),
    }
}

async fn compare(State(app): State<App>, frame: Frame) -> Answer {
    let filter = ComparisonFilter { project: frame.project(), limit: ROWS, ..ComparisonFilter::default() };
    let comparisons = app.store.comparisons(&filter).await.map_err(|error| unreadable(&error))?;
    let filter = CommitFilter { project: frame.project(), limit: ROWS, ..CommitFilter::default() };
    let commits = app.store.commits(&filter).await.map_err(|error| unreadable(&error))?;
    Ok(answer(StatusCode::OK, &page::compare(&Compare { frame, comparisons, commits })))
}

async fn comparison(State(app): State<App>, frame: Frame, id: Part) -> Answer {
    let id = part(&frame, id)?;
    match app.store.comparison(&id).await.map_err(|error| unreadable(&error))? {
        Some(found) => Ok(answer(StatusCode::OK, &page::comparison(&frame, &found))),
        None => Err(Failure(frame, Problem::Unknown { what: "comparison", id })),
    }
}

async fn alerts(State(app): State<App>, frame: Frame) -> Answer {
    let filter = AlertFilter { project: frame.project(), state: None, limit: ROWS };
    let alerts = app.store.alerts(&filter).await.map_err(|error| unreadable(&error))?;
    let filter = CommitFilter { project: frame.project(), limit: ALERT_COMMITS, ..CommitFilter::default() };
    let commits = app.store.commits(&filter).await.map_err(|error| unreadable(&error))?;
    Ok(answer(StatusCode::OK, &page::alerts(&Alerts { frame, alerts, commits })))
}

async fn alert(State(app): State<App>, frame: Frame, id: Part) -> Answer {
    let id = part(&frame, id)?;
    let page = alert_page(&app, frame, id).await?;
    Ok(answer(StatusCode::OK, &page::alert(&page)))
}

async fn alert_page(app: &App, frame: Frame, id: String) -> Result<AlertPage, Failure> {
    let filter = AlertFilter { limit: u32::MAX, ..AlertFilter::default() };
    let all = app.store.alerts(&filter).await.map_err(|error| unreadable(&error))?;
    let Some(alert) = all.into_iter().find(|alert| alert.id == id) else {
        return Err(Failure(frame, Problem::Unknown { what: "alert", id }));
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
    let more = runs.len() as u32 == HEALTH_RUNS;
    // As of the newest run, not of today: a project that rests is not ill.
    let since_ms = runs.first().map_or(0, |run| run.started_ms - HEALTH_WEEKS * 7 * 86_400_000);
    runs.retain(|run| run.started_ms >= since_ms);
    let filter = ComparisonFilter { project: frame.project(), limit: u32::MAX, ..ComparisonFilter::default() };
    let mut canaries = app.store.comparisons(&filter).await.map_err(|error| unreadable(&error))?;
    canaries.retain(|one| one.same_program);
    Ok(answer(StatusCode::OK, &page::health(&Health { frame, runs, more, canaries, since_ms })))
}
