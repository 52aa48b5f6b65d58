//! What other programs ask for: the store's views as JSON, under `/api/v1`.
//!
//! One table of [`Operation`]s makes the routes and their [document](mod@super::openapi), so that neither can be without the
//! other.

use super::App;
use super::ingest::{self, Added, Said};
use super::openapi::{self, Parameter, Shape, body, parameters, shape};
use super::pages::Part;
use super::refused::Refused;
use crate::access::Scope as Right;
use crate::page::HEADLINES;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get, post};
use axum::{Json, Router};
use longhaul_record::{Alert, Comparison, RunRecord};
use longhaul_store::{
    AlertFilter, Commit, CommitFilter, CommitValues, ComparisonFilter, ComparisonSummary, OverviewQuery, OverviewRow,
    ReadError, RunFilter, RunSummary, Scope, SeriesQuery, SeriesSet, ValuesQuery,
};
use percent_encoding::percent_decode_str;
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Where the interface begins.
pub(super) const ROOT: &str = "/api/v1";

/// Rows of a list.
const ROWS: u32 = 1_000;
/// Commits of a series, and of an overview's row.
const COMMITS: u32 = 5_000;
const RECENT: u32 = 200;

pub(super) type Told = Result<Response, Refused>;

/// One thing that can be asked or told, with everything that the document says of it.
pub(super) struct Operation {
    pub(super) method: Method,
    /// Below [`ROOT`].
    pub(super) path: &'static str,
    pub(super) words: &'static str,
    pub(super) query: fn(&mut SchemaGenerator) -> Vec<Parameter>,
    pub(super) sent: Option<Sent>,
    pub(super) answer: Shape,
    handler: fn() -> MethodRouter<App>,
}

/// What is handed over.
pub(super) struct Sent {
    /// What a token has to allow.
    pub(super) right: Right,
    pub(super) shape: Shape,
    /// Whether it may also be a record in each line.
    pub(super) lines: bool,
}

impl Operation {
    fn get<Q: Parameters, A: JsonSchema>(
        path: &'static str,
        words: &'static str,
        handler: fn() -> MethodRouter<App>,
    ) -> Operation {
        Operation { method: Method::GET, path, words, query: parameters::<Q>, sent: None, answer: shape::<A>, handler }
    }

    fn post<A: JsonSchema>(
        path: &'static str,
        words: &'static str,
        sent: Sent,
        handler: fn() -> MethodRouter<App>,
    ) -> Operation {
        let query = parameters::<Nothing>;
        Operation { method: Method::POST, path, words, query, sent: Some(sent), answer: shape::<A>, handler }
    }
}

/// All of them.
pub(super) fn operations() -> Vec<Operation> {
    let runs = "Keeps runs: one record, an array of them, or a line for each (`application/x-ndjson`). All or none; those \
                whose ids are there already stay as they are, so a request can simply be repeated.";
    let series = "The history of a scenario: its newest commits, and what each series was on them.";
    let values = "What was measured of a commit, named by its full hash or the beginning of it.";
    vec![
        Operation::get::<Nothing, Vec<Scope>>("/scopes", "Projects and the machines they were measured on.", || {
            get(scopes)
        }),
        Operation::get::<Overview, Vec<OverviewRow>>("/overview", "The newest of every scenario and subject.", || {
            get(overview)
        }),
        Operation::get::<RunFilter, Vec<RunSummary>>("/runs", "Runs, newest start first.", || get(runs_listed)),
        Operation::post::<Added>(
            "/runs",
            runs,
            Sent { right: Right::Ingest, shape: body::<RunRecord>, lines: true },
            || post(ingest::runs),
        ),
        Operation::get::<Nothing, RunRecord>("/runs/{id}", "A whole run, as it was recorded.", || get(run)),
        Operation::get::<SeriesQuery, SeriesSet>("/series", series, || get(series_set)),
        Operation::get::<CommitFilter, Vec<Commit>>("/commits", "Measured commits, newest first.", || get(commits)),
        Operation::get::<Values, Vec<CommitValues>>("/commits/{sha}/values", values, || get(commit_values)),
        Operation::get::<ComparisonFilter, Vec<ComparisonSummary>>(
            "/comparisons",
            "Comparisons, newest start first.",
            || get(comparisons),
        ),
        Operation::post::<Added>(
            "/comparisons",
            "Keeps a comparison. One whose id is there already stays as it is.",
            Sent { right: Right::Ingest, shape: shape::<Comparison>, lines: false },
            || post(ingest::comparison),
        ),
        Operation::get::<Nothing, Comparison>("/comparisons/{id}", "A whole comparison.", || get(comparison)),
        Operation::get::<AlertFilter, Vec<Alert>>("/alerts", "Alerts, the one found last first.", || get(alerts)),
        Operation::get::<Nothing, Alert>("/alerts/{id}", "An alert with its history.", || get(alert)),
        Operation::post::<Alert>(
            "/alerts/{id}",
            "Says what an alert is, and gives it back with its history.",
            Sent { right: Right::Triage, shape: shape::<Said>, lines: false },
            || post(ingest::triage),
        ),
        Operation::get::<Nothing, serde_json::Value>("/openapi.json", "This document.", || get(document)),
    ]
}

/// Their routes.
pub(super) fn routes() -> Router<App> {
    let empty = Router::new();
    let routes = operations().into_iter().fold(empty, |routes, one| routes.route(one.path, (one.handler)()));
    let routes = routes.fallback(nowhere).method_not_allowed_fallback(not_so);
    // The root itself, with a slash, is no address below it.
    Router::new().nest(ROOT, routes).route(&format!("{ROOT}/"), any(nowhere))
}

async fn nowhere() -> Refused {
    Refused::new(
        StatusCode::NOT_FOUND,
        format!("there is no such address; {ROOT}/openapi.json lists those that there are"),
    )
}

async fn not_so() -> Response {
    let error = format!("this address does not take this method; {ROOT}/openapi.json lists those that there are");
    let mut response = Refused::new(StatusCode::METHOD_NOT_ALLOWED, error).into_response();
    // The router knows what it does take.
    response.headers_mut().remove(header::ALLOW);
    response
}

/// What may follow the question mark of an address.
pub(super) trait Parameters: DeserializeOwned + JsonSchema + Send {
    /// Which of them have to be there, beyond those without a default.
    const NEEDED: &'static [&'static str] = &[];
    /// Which of them says how much is answered, and the most it may say.
    const MOST: Option<(&'static str, u32)> = None;

    /// What that one says.
    fn much(&self) -> u32 {
        0
    }

    /// Whether one of those needed is missing.
    fn lacks(&self) -> Option<&'static str> {
        None
    }
}

/// No parameters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

impl Parameters for Nothing {}

impl Parameters for RunFilter {
    const MOST: Option<(&'static str, u32)> = Some(("limit", ROWS));
    fn much(&self) -> u32 {
        self.limit
    }
}

impl Parameters for CommitFilter {
    const MOST: Option<(&'static str, u32)> = Some(("limit", ROWS));
    fn much(&self) -> u32 {
        self.limit
    }
}

impl Parameters for ComparisonFilter {
    const MOST: Option<(&'static str, u32)> = Some(("limit", ROWS));
    fn much(&self) -> u32 {
        self.limit
    }
}

impl Parameters for AlertFilter {
    const MOST: Option<(&'static str, u32)> = Some(("limit", ROWS));
    fn much(&self) -> u32 {
        self.limit
    }
}

impl Parameters for SeriesQuery {
    const NEEDED: &'static [&'static str] = &["scenario"];
    const MOST: Option<(&'static str, u32)> = Some(("commits", COMMITS));
    fn much(&self) -> u32 {
        self.commits
    }
    fn lacks(&self) -> Option<&'static str> {
        self.scenario.is_empty().then_some("scenario")
    }
}

/// What an overview shows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Overview {
    /// Only of this project.
    project: Option<String>,
    /// Only from the machine of this fingerprint.
    host: Option<String>,
    /// Metrics of the medians, separated by commas: each row has the first of them that it has any of.
    metrics: String,
    /// At most this many medians per row.
    recent: u32,
}

impl Default for Overview {
    fn default() -> Overview {
        Overview { project: None, host: None, metrics: HEADLINES.join(","), recent: 40 }
    }
}

impl Parameters for Overview {
    const MOST: Option<(&'static str, u32)> = Some(("recent", RECENT));
    fn much(&self) -> u32 {
        self.recent
    }
}

/// Whose values to read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Values {
    /// Name of the project.
    project: String,
    /// Fingerprint of the machine.
    host: String,
    /// Whether the tree differed from the commit.
    #[serde(default)]
    dirty: bool,
}

impl Parameters for Values {}

/// The parameters of a request; none that is unknown, malformed or beyond its maximum.
pub(super) struct Asked<Q>(pub(super) Q);

impl<Q: Parameters> FromRequestParts<App> for Asked<Q> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Asked<Q>, Refused> {
        readable(parts.uri.query().unwrap_or_default())?;
        let asked = Query::<Q>::from_request_parts(parts, app).await;
        let Query(asked) = asked.map_err(|error| Refused::bad(error.body_text()))?;
        if let Some(name) = asked.lacks() {
            return Err(Refused::bad(format!("{name}: is missing")));
        }
        match Q::MOST {
            Some((name, most)) if asked.much() > most => Err(Refused::bad(format!("{name}: may be at most {most}"))),
            _ => Ok(Asked(asked)),
        }
    }
}

/// Whether all that is asked for is text: what is no UTF-8 would become something else.
fn readable(query: &str) -> Result<(), Refused> {
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if percent_decode_str(value).decode_utf8().is_err() {
            return Err(Refused::bad(format!("{name}: is not text in UTF-8")));
        }
    }
    Ok(())
}

/// The part of the address that names something.
pub(super) struct Named(pub(super) String);

impl FromRequestParts<App> for Named {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Named, Refused> {
        let part: Part = Path::from_request_parts(parts, app).await;
        part.map(|Path(name)| Named(name)).map_err(|error| Refused::bad(error.body_text()))
    }
}

fn told<T: Serialize>(found: Result<T, ReadError>) -> Told {
    Ok(Json(found?).into_response())
}

fn found<T: Serialize>(what: &str, name: &str, found: Result<Option<T>, ReadError>) -> Told {
    let found = found?.ok_or_else(|| Refused::unknown(what, name))?;
    Ok(Json(found).into_response())
}

async fn scopes(State(app): State<App>, _: Asked<Nothing>) -> Told {
    told(app.store.scopes().await)
}

async fn overview(State(app): State<App>, Asked(asked): Asked<Overview>) -> Told {
    let metrics = asked.metrics.split(',').map(str::trim).filter(|metric| !metric.is_empty());
    let metrics = metrics.map(str::to_owned).collect();
    let query = OverviewQuery { project: asked.project, host: asked.host, metrics, recent: asked.recent };
    told(app.store.overview(&query).await)
}

async fn runs_listed(State(app): State<App>, Asked(filter): Asked<RunFilter>) -> Told {
    told(app.store.runs(&filter).await)
}

async fn run(State(app): State<App>, Named(id): Named, _: Asked<Nothing>) -> Told {
    found("run", &id, app.store.run(&id).await)
}

async fn series_set(State(app): State<App>, Asked(query): Asked<SeriesQuery>) -> Told {
    told(app.store.series(&query).await)
}

async fn commits(State(app): State<App>, Asked(mut filter): Asked<CommitFilter>) -> Told {
    filter.prefix = filter.prefix.map(|prefix| prefix.to_ascii_lowercase());
    told(app.store.commits(&filter).await)
}

async fn commit_values(State(app): State<App>, Named(name): Named, Asked(asked): Asked<Values>) -> Told {
    let Values { project, host, dirty } = asked;
    let filter = CommitFilter { project: Some(project.clone()), prefix: Some(name.to_ascii_lowercase()), limit: 20 };
    let mut hashes: Vec<String> = app.store.commits(&filter).await?.into_iter().filter_map(|one| one.sha).collect();
    hashes.sort();
    // With changes and without are two entries of one hash.
    hashes.dedup();
    match hashes.as_slice() {
        [] => Err(Refused::unknown("commit", &name)),
        [sha] => {
            let query = ValuesQuery { project, host, commit: Some(sha.clone()), dirty };
            told(app.store.commit_values(&query).await)
        }
        several => Err(Refused::bad(format!("more than one commit begins with {name}: {}", several.join(", ")))),
    }
}

async fn comparisons(State(app): State<App>, Asked(filter): Asked<ComparisonFilter>) -> Told {
    told(app.store.comparisons(&filter).await)
}

async fn comparison(State(app): State<App>, Named(id): Named, _: Asked<Nothing>) -> Told {
    found("comparison", &id, app.store.comparison(&id).await)
}

async fn alerts(State(app): State<App>, Asked(filter): Asked<AlertFilter>) -> Told {
    told(app.store.alerts(&filter).await)
}

async fn alert(State(app): State<App>, Named(id): Named, _: Asked<Nothing>) -> Told {
    Ok(Json(alert_named(&app, &id).await?).into_response())
}

/// The alert of this id.
pub(super) async fn alert_named(app: &App, id: &str) -> Result<Alert, Refused> {
    let filter = AlertFilter { limit: u32::MAX, ..AlertFilter::default() };
    let all = app.store.alerts(&filter).await?;
    all.into_iter().find(|alert| alert.id == id).ok_or_else(|| Refused::unknown("alert", id))
}

async fn document(_: Asked<Nothing>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::document()).into_response()
}
