//! From a store to pages over HTTP.

use crate::html::Links;
use crate::page::{self, Frame, Overview, Problem, Scenario};
use crate::{assets, page::problem};
use axum::Router;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use longhaul_store::{OverviewQuery, ReadError, RunFilter, Scope, SeriesQuery, Store};
use maud::Markup;
use serde::Deserialize;
use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Medians per sparkline.
const RECENT: u32 = 40;
/// Commits per chart.
const COMMITS: u32 = 60;
/// Runs per list.
const RUNS: u32 = 40;

/// Everything a page may load comes from this server, and nothing of it is a script.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

type Shared = Arc<dyn Store>;

/// The dashboard as a service. Reads only; every answer carries the security headers.
pub fn router(store: Arc<dyn Store>) -> Router {
    Router::new()
        .route("/", get(overview))
        .route("/scenario/{*name}", get(scenario))
        .route("/run/{id}", get(run))
        .route("/assets/style.css", get(assets::style))
        .route("/assets/favicon.svg", get(assets::icon))
        .fallback(nowhere)
        .layer(middleware::from_fn(headers))
        .with_state(store)
}

/// Why the dashboard has no address to be seen at.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("{address} is in use by another program; end it or choose another address with --listen")]
    InUse {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Not allowed, or no such address on this machine.
    #[error("cannot listen on {address}; choose another address with --listen")]
    Unusable {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Takes an address to serve on. Port 0 takes any free one; the listener knows which.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address, source },
        _ => BindError::Unusable { address, source },
    })
}

/// Serves until `shutdown` is ready, then lets requests under way finish.
pub async fn serve(
    listener: TcpListener,
    store: Arc<dyn Store>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router(store)).with_graceful_shutdown(shutdown).await
}

async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Results change while they are looked at.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}

/// Which project and machine a visitor chose.
#[derive(Debug, Default, Deserialize)]
struct Choice {
    project: Option<String>,
    host: Option<String>,
}

/// A problem as an answer, with the frame it is shown in.
pub(crate) struct Failure(Frame, Problem);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Failure(frame, kind) = self;
        answer(kind.status(), &problem(&frame, &kind))
    }
}

/// Says the whole chain of causes: whoever reads this runs the server.
fn unreadable(error: &ReadError) -> Failure {
    let mut detail = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        detail = format!("{detail}: {error}");
        cause = error.source();
    }
    Failure(Frame::default(), Problem::Store { detail })
}

fn answer(status: StatusCode, page: &Markup) -> Response {
    let html = page.0.clone();
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
}

/// The frame of a request: the chosen scope, or the one measured last.
impl FromRequestParts<Shared> for Frame {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, store: &Shared) -> Result<Frame, Failure> {
        let choice: Result<Query<Choice>, QueryRejection> = Query::from_request_parts(parts, store).await;
        let Query(choice) =
            choice.map_err(|error| Failure(Frame::default(), Problem::BadRequest { detail: error.body_text() }))?;
        let scopes = store.scopes().await.map_err(|error| unreadable(&error))?;
        let wanted = |scope: &&Scope| {
            choice.project.as_ref().is_none_or(|project| *project == scope.project)
                && choice.host.as_ref().is_none_or(|host| *host == scope.host)
        };
        let Some(scope) = scopes.iter().find(wanted).cloned() else {
            if scopes.is_empty() {
                return Ok(Frame::default());
            }
            let detail = "no run of this project on this machine is in the database".into();
            return Err(Failure(Frame { scopes, ..Frame::default() }, Problem::BadRequest { detail }));
        };
        let chosen = choice.project.is_some() || choice.host.is_some();
        let links = if chosen { Links::within(&scope.project, &scope.host) } else { Links::default() };
        Ok(Frame { links, scope: Some(scope), scopes })
    }
}

impl Frame {
    fn project(&self) -> Option<String> {
        self.scope.as_ref().map(|scope| scope.project.clone())
    }

    fn host(&self) -> Option<String> {
        self.scope.as_ref().map(|scope| scope.host.clone())
    }
}

async fn overview(State(store): State<Shared>, frame: Frame) -> Result<Response, Failure> {
    let metrics = page::HEADLINES.map(String::from).into();
    let query = OverviewQuery { project: frame.project(), host: frame.host(), metrics, recent: RECENT };
    let rows = store.overview(&query).await.map_err(|error| unreadable(&error))?;
    Ok(answer(StatusCode::OK, &page::overview(&Overview { frame, rows })))
}

async fn scenario(
    State(store): State<Shared>,
    frame: Frame,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Failure> {
    let Path(name) = match name {
        Ok(name) => name,
        Err(error) => return Err(Failure(frame, Problem::BadRequest { detail: error.body_text() })),
    };
    let filter = RunFilter {
        project: frame.project(),
        host: frame.host(),
        scenario: Some(name.clone()),
        limit: RUNS,
        ..RunFilter::default()
    };
    let runs = store.runs(&filter).await.map_err(|error| unreadable(&error))?;
    let query = OverviewQuery { project: frame.project(), host: frame.host(), metrics: Vec::new(), recent: 0 };
    let rows = store.overview(&query).await.map_err(|error| unreadable(&error))?;
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
    let set = store.series(&query).await.map_err(|error| unreadable(&error))?;
    Ok(answer(StatusCode::OK, &page::scenario(&Scenario { frame, name, words, set, runs })))
}

async fn run(
    State(store): State<Shared>,
    frame: Frame,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Failure> {
    let Path(id) = match id {
        Ok(id) => id,
        Err(error) => return Err(Failure(frame, Problem::BadRequest { detail: error.body_text() })),
    };
    match store.run(&id).await.map_err(|error| unreadable(&error))? {
        Some(run) => Ok(answer(StatusCode::OK, &page::run(&frame, &run))),
        None => Err(Failure(frame, Problem::NoRun { id })),
    }
}

async fn nowhere() -> Failure {
    Failure(Frame::default(), Problem::NoPage)
}
