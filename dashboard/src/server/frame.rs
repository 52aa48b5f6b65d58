//! What every request for a page begins with: which project and machine it is about.

use super::clock::now_ms;
use super::{App, Failure, unreadable};
use crate::html::Links;
use crate::page::{Frame, Problem};
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use longhaul_store::Scope;
use serde::Deserialize;

/// Which project and machine a visitor chose.
#[derive(Debug, Default, Deserialize)]
struct Choice {
    project: Option<String>,
    host: Option<String>,
}

/// The frame of a request: the chosen scope, or the one measured last.
impl FromRequestParts<App> for Frame {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Frame, Failure> {
        let choice: Result<Query<Choice>, QueryRejection> = Query::from_request_parts(parts, app).await;
        let Query(choice) =
            choice.map_err(|error| Failure::new(app.frame(), Problem::BadRequest { detail: error.body_text() }))?;
        let scopes = app.store.scopes().await.map_err(|error| unreadable(&error))?;
        let wanted = |scope: &&Scope| {
            choice.project.as_ref().is_none_or(|project| *project == scope.project)
                && choice.host.as_ref().is_none_or(|host| *host == scope.host)
        };
        let Some(scope) = scopes.iter().find(wanted).cloned() else {
            if scopes.is_empty() {
                return Ok(app.frame());
            }
            let detail = "no run of this project on this machine is in the database".into();
            return Err(Failure::new(Frame { scopes, ..app.frame() }, Problem::BadRequest { detail }));
        };
        let chosen = choice.project.is_some() || choice.host.is_some();
        let links = if chosen { Links::within(&scope.project, &scope.host) } else { Links::default() };
        Ok(Frame { links, scope: Some(scope), scopes, made_ms: Some(now_ms()), ..app.frame() })
    }
}

impl Frame {
    pub(super) fn project(&self) -> Option<String> {
        self.scope.as_ref().map(|scope| scope.project.clone())
    }

    pub(super) fn host(&self) -> Option<String> {
        self.scope.as_ref().map(|scope| scope.host.clone())
    }
}
