//! What other programs hand over: runs, comparisons and words about alerts, from whoever has a token for it.
//!
//! A request is kept whole or not at all. Whoever sends it is known before its body is read.

use super::App;
use super::api::{Asked, Named, Nothing, Told, alert_named};
use super::clock::now_ms;
use super::refused::Refused;
use super::triage::say;
use crate::access::{Denied, Scope, allowed};
use crate::page::Served;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use longhaul_record::{Comparison, RunRecord, text};
use longhaul_store::{Inserted, Token, check, check_comparison};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Deserializer;
use tokio::sync::SemaphorePermit;

/// Bytes of what is said of an alert.
const MOST_SAID: usize = 64 << 10;

/// What became of what was handed over.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct Added {
    /// How many were not there before.
    new: usize,
    /// How many were: of these nothing was changed.
    known: usize,
}

impl Added {
    fn of(inserted: &[Inserted]) -> Added {
        let new = inserted.iter().filter(|one| **one == Inserted::New).count();
        Added { new, known: inserted.len() - new }
    }
}

/// What is said of an alert.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    /// What it is: `acknowledged` or `invalid`.
    state: String,
    /// Who says so, and why.
    note: String,
}

/// How records are written in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One, or an array.
    Json,
    /// One in each line.
    Lines,
}

impl Form {
    fn of(headers: &HeaderMap) -> Result<Form, Refused> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Ok(Form::Json),
            "application/x-ndjson" => Ok(Form::Lines),
            _ => Err(Refused::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the content type must say application/json, or application/x-ndjson for a record in each line",
            )),
        }
    }

    fn only_json(headers: &HeaderMap) -> Result<(), Refused> {
        match Form::of(headers) {
            Ok(Form::Json) => Ok(()),
            _ => Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type must say application/json")),
        }
    }
}

/// Keeps runs.
pub(super) async fn runs(State(app): State<App>, _: Asked<Nothing>, request: Request) -> Told {
    let (token, _slot) = enter(&app, request.headers(), Scope::Ingest).await?;
    let form = Form::of(request.headers())?;
    let limits = app.gate.limits;
    let body = app.gate.received(request, limits.body_bytes).await?;
    let runs = aside(move || checked(form, &body, limits.records, token.project.as_deref()).map(|runs| (runs, token)));
    let (runs, token) = runs.await?;
    let inserted = app.store.insert_runs(&runs).await?;
    app.store.touch_token(&token.id, now_ms()).await?;
    Ok(Json(Added::of(&inserted)).into_response())
}

/// Keeps a comparison.
pub(super) async fn comparison(State(app): State<App>, _: Asked<Nothing>, request: Request) -> Told {
    let (token, _slot) = enter(&app, request.headers(), Scope::Ingest).await?;
    Form::only_json(request.headers())?;
    let body = app.gate.received(request, app.gate.limits.body_bytes).await?;
    let comparison: Comparison = aside(move || one(&body, "")).await?;
    check_comparison(&comparison).map_err(|problem| wrong("", &comparison.id, &problem))?;
    only_of(token.project.as_deref(), &comparison.project)?;
    let inserted = app.store.insert_comparison(&comparison).await?;
    app.store.touch_token(&token.id, now_ms()).await?;
    Ok(Json(Added::of(&[inserted])).into_response())
}

/// Keeps what is said of an alert.
pub(super) async fn triage(State(app): State<App>, Named(id): Named, _: Asked<Nothing>, request: Request) -> Told {
    let text = bearer(request.headers()).to_owned();
    let (_, _slot) = enter(&app, request.headers(), Scope::Triage).await?;
    Form::only_json(request.headers())?;
    let body = app.gate.received(request, MOST_SAID).await?;
    let Said { state, note } = one(&body, "")?;
    let mut alert = alert_named(&app, &id).await?;
    say(&app, &mut alert, &text, &state, &note).await?;
    Ok(Json(alert).into_response())
}

/// Who hands something over, if they may, and their place among the others.
async fn enter<'a>(app: &'a App, headers: &HeaderMap, scope: Scope) -> Result<(Token, SemaphorePermit<'a>), Refused> {
    if app.served != Served::Writable {
        let error = "this server only shows what there is; `longhaul serve --accept` takes what is handed over";
        return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, error));
    }
    let slot = app.gate.enter()?;
    let token = allowed(&*app.store, bearer(headers), scope, None).await?;
    app.gate.count(&token.id, now_ms())?;
    Ok((token, slot))
}

/// A token's text (RFC 6750, section 2.1); empty without one.
fn bearer(headers: &HeaderMap) -> &str {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => "",
    }
}

/// Reads megabytes where nobody else waits for it.
async fn aside<T: Send + 'static>(read: impl FnOnce() -> Result<T, Refused> + Send + 'static) -> Result<T, Refused> {
    let unread = |_| Refused::new(StatusCode::SERVICE_UNAVAILABLE, "the server ends; send it again later");
    tokio::task::spawn_blocking(read).await.map_err(unread)?
}

/// The records of a body, if all of them can be kept.
fn checked(form: Form, body: &[u8], most: usize, only: Option<&str>) -> Result<Vec<RunRecord>, Refused> {
    let array = body.trim_ascii_start().first() == Some(&b'[');
    let placed: Vec<(String, RunRecord)> = match form {
        Form::Lines => {
            let lines = body.split(|byte| *byte == b'\n').zip(1..);
            let filled: Vec<_> = lines.filter(|(line, _)| !line.trim_ascii().is_empty()).collect();
            at_most(filled.len(), most)?;
            let read = |(line, n): (&[u8], usize)| {
                let place = format!("line {n}: ");
                one(line, &place).map(|run| (place, run))
            };
            filled.into_iter().map(read).collect::<Result<_, Refused>>()?
        }
        Form::Json if array => {
            let runs: Vec<RunRecord> = one(body, "")?;
            runs.into_iter().enumerate().map(|(n, run)| (format!("[{n}]: "), run)).collect()
        }
        Form::Json => vec![(String::new(), one(body, "")?)],
    };
    at_most(placed.len(), most)?;
    for (place, run) in &placed {
        check(run).map_err(|problem| wrong(place, &run.id, &problem))?;
        only_of(only, &run.project)?;
    }
    Ok(placed.into_iter().map(|(_, run)| run).collect())
}

fn at_most(records: usize, most: usize) -> Result<(), Refused> {
    if records <= most {
        return Ok(());
    }
    let error = format!("{records} records are more than the {most} that a request may have; send them in parts");
    Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, error))
}

fn wrong(place: &str, id: &str, problem: &longhaul_store::Problem) -> Refused {
    Refused::bad(format!("{place}{id}: not a valid record: {}", text::chain(problem)))
}

fn only_of(own: Option<&str>, project: &str) -> Result<(), Refused> {
    match own {
        Some(own) if own != project => Err(Denied::Project { project: own.to_owned() }.into()),
        _ => Ok(()),
    }
}

/// One value that is all of `body`. What is wrong is named with its field, and where it stands.
fn one<T: DeserializeOwned>(body: &[u8], place: &str) -> Result<T, Refused> {
    let mut reader = Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        // What ends in the middle of a field's name has a question mark for it.
        let path = path.trim_end_matches(['?', '.']);
        let field = if path.is_empty() { String::new() } else { format!("{path}: ") };
        malformed(place, &field, error.inner())
    })?;
    reader.end().map_err(|error| malformed(place, "", &error))?;
    Ok(read)
}

fn malformed(place: &str, field: &str, error: &serde_json::Error) -> Refused {
    let text = error.to_string();
    // A line of a body is the first one of what was read.
    let what = if place.is_empty() {
        text.as_str()
    } else {
        text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what)
    };
    Refused::bad(format!("{place}{field}{what}"))
}
