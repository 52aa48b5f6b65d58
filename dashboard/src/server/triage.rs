//! What people say of alerts, by form and by interface.

use super::App;
use super::clock::now_ms;
use crate::access::{Denied, Scope, allowed};
use crate::page::Served;
use axum::http::StatusCode;
use longhaul_record::{Alert, AlertState, text};
use longhaul_store::InsertError;

/// Letters of a note.
const MOST_LETTERS: usize = 500;

/// Why it is not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// This server only shows.
    #[error(
        "this server only shows what there is; `longhaul serve --accept` takes what people say, and so does `longhaul alert`"
    )]
    ReadOnly,
    /// Whoever says so may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Nobody can say this.
    #[error("an alert cannot be made {0:?}; say `acknowledged` or `invalid`")]
    State(String),
    /// Without a note nobody knows why, and a long one is a document.
    #[error("say in 1 to {MOST_LETTERS} letters who says so, and why")]
    Note,
    /// The store did not keep it.
    #[error("{}", text::chain(.0))]
    Store(#[from] InsertError),
}

impl Refusal {
    /// The HTTP status that goes with it.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Refusal::ReadOnly => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::Denied(denied) => status_of(denied),
            Refusal::State(_) | Refusal::Note => StatusCode::BAD_REQUEST,
            Refusal::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// The HTTP status of a missing right.
pub(super) fn status_of(denied: &Denied) -> StatusCode {
    match denied {
        Denied::Missing | Denied::Unknown => StatusCode::UNAUTHORIZED,
        Denied::Scope { .. } | Denied::Project { .. } => StatusCode::FORBIDDEN,
        Denied::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Keeps what whoever has the token says of an alert.
pub(super) async fn say(app: &App, alert: &mut Alert, token: &str, state: &str, note: &str) -> Result<(), Refusal> {
    if app.served != Served::Writable {
        return Err(Refusal::ReadOnly);
    }
    let token = allowed(&*app.store, token, Scope::Triage, Some(&alert.series.project)).await?;
    let state = match AlertState::parse(state) {
        Some(state @ (AlertState::Acknowledged | AlertState::Invalid)) => state,
        _ => return Err(Refusal::State(state.chars().take(40).collect())),
    };
    let note = note.trim();
    if note.is_empty() || note.chars().count() > MOST_LETTERS {
        return Err(Refusal::Note);
    }
    let now = now_ms();
    // Who it was is part of what happened: a note may say any name.
    alert.become_state(state, now, &format!("{note} (by the token {})", token.name));
    app.store.put_alerts(std::slice::from_ref(alert)).await?;
    app.store.touch_token(&token.id, now).await?;
    Ok(())
}
