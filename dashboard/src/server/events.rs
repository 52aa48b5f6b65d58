//! What happens while a page is open, as server-sent events: how far a suite is, and how many runs are newer than the page.

use super::App;
use super::clock::now_ms;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream::unfold;
use longhaul_store::{Progress, ReadError, RunFilter};
use serde::Deserialize;
use serde_json::json;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Pages that may listen at the same time; more are told to do without.
pub(super) const LISTENERS: usize = 100;
/// How often the store is asked.
const EVERY: Duration = Duration::from_secs(2);
/// A command that has said nothing for so long was killed.
const SILENT_MS: i64 = 15 * 60 * 1000;
/// Runs that are counted one by one.
const MOST_RUNS: u32 = 1000;

/// This, by its address.
pub(super) fn routes() -> Router<App> {
    Router::new().route("/events", get(events))
}

/// Which machine's runs, and since when they are news.
#[derive(Debug, Deserialize)]
struct Since {
    host: Option<String>,
    since: i64,
}

/// One page that listens.
struct Listener {
    app: App,
    since: Since,
    /// What it was told last: the same is no news.
    told: Option<(Option<Progress>, usize)>,
    _permit: OwnedSemaphorePermit,
}

async fn events(State(app): State<App>, Query(since): Query<Since>) -> Response {
    let Ok(permit) = app.listeners.clone().try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let listener = Listener { app, since, told: None, _permit: permit };
    let stream = unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok::<Event, Infallible>(event), listener))
    });
    Sse::new(stream).keep_alive(KeepAlive::default()).into_response()
}

impl Listener {
    /// The next event; `None` once the server ends, so that its end need not wait for a page that stays open.
    async fn next(&mut self) -> Option<Event> {
        let mut closing = self.app.closing.subscribe();
        loop {
            if self.told.is_some() {
                tokio::select! {
                    () = tokio::time::sleep(EVERY) => {}
                    _ = closing.wait_for(|closing| *closing) => return None,
                }
            }
            // A store that is locked for a moment is no news.
            let Ok(now) = self.now().await else { continue };
            if self.told.as_ref() == Some(&now) {
                continue;
            }
            let event = event(&now, self.told.as_ref());
            self.told = Some(now);
            return Some(event);
        }
    }

    async fn now(&self) -> Result<(Option<Progress>, usize), ReadError> {
        let running = self.app.store.progress(now_ms() - SILENT_MS).await?;
        let here = |one: &Progress| self.since.host.as_ref().is_none_or(|host| *host == one.host);
        let filter = RunFilter {
            host: self.since.host.clone(),
            since_ms: Some(self.since.since),
            limit: MOST_RUNS,
            ..RunFilter::default()
        };
        let runs = self.app.store.runs(&filter).await?.len();
        Ok((running.into_iter().find(here), runs))
    }
}

/// What is new: a suite that goes on, then runs, then that all is quiet.
fn event(now: &(Option<Progress>, usize), told: Option<&(Option<Progress>, usize)>) -> Event {
    let (running, runs) = now;
    let (name, data) = match running {
        Some(one) => (
            "progress",
            json!({ "what": one.what, "done": one.done, "total": one.total, "now": one.now, "runs": runs }),
        ),
        None if *runs > 0 || told.is_some_and(|(running, _)| running.is_some()) => ("runs", json!({ "count": runs })),
        None => ("idle", json!({})),
    };
    Event::default().event(name).data(data.to_string())
}
