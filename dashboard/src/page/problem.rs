//! Pages for when there is no page.

use super::Frame;
use axum::http::StatusCode;
use longhaul_store::Commit;
use maud::{Markup, html};

/// What went wrong, for a visitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// No such address.
    NoPage,
    /// No scenario of this name; these exist.
    NoScenario {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// No run, commit, comparison or alert of this id.
    Unknown {
        /// Which of these.
        what: &'static str,
        /// What was asked for.
        id: String,
    },
    /// Several commits are called so.
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Some of them.
        found: Vec<Commit>,
    },
    /// The address or its query cannot be read.
    BadRequest {
        /// What is wrong.
        detail: String,
    },
    /// The store did not answer.
    Store {
        /// What it said.
        detail: String,
    },
}

impl Problem {
    /// The HTTP status that goes with it.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Problem::NoPage | Problem::NoScenario { .. } | Problem::Unknown { .. } => StatusCode::NOT_FOUND,
            Problem::Ambiguous { .. } | Problem::BadRequest { .. } => StatusCode::BAD_REQUEST,
            Problem::Store { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// The page.
pub(crate) fn problem(frame: &Frame, problem: &Problem) -> Markup {
    let (title, body) = match problem {
        Problem::NoPage => ("There is no such page", html! { p { "The address leads nowhere." } }),
        Problem::NoScenario { name, known } => ("No run of this scenario", no_scenario(frame, name, known)),
        Problem::Unknown { what, id } => (no_such(what), unknown(what, id)),
        Problem::Ambiguous { name, found } => ("Several commits are called so", ambiguous(frame, name, found)),
        Problem::BadRequest { detail } => ("This address cannot be read", html! { p { code { (detail) } } }),
        Problem::Store { detail } => (
            "The database does not answer",
            html! {
                p { (detail) }
                p.quiet { "Nothing is lost by this page. It works again as soon as the database does: reload it then." }
            },
        ),
    };
    let content = html! {
        h1 { (title) }
        (body)
        p { a href=(frame.links.overview()) { "To the overview" } }
    };
    frame.page(title, "", &content)
}

fn no_such(what: &str) -> &'static str {
    match what {
        "run" => "No such run",
        "commit" => "No such commit",
        "comparison" => "No such comparison",
        _ => "No such alert",
    }
}

fn unknown(what: &str, id: &str) -> Markup {
    html! {
        p { "There is no " (what) " " code { (id) } " in this database." }
        p.quiet {
            "It may have been recorded into another one (" code { "--db" } "), or not at all"
            @if what == "run" { ": a run is kept only once it has ended" } "."
        }
    }
}

fn ambiguous(frame: &Frame, name: &str, found: &[Commit]) -> Markup {
    html! {
        p { "More than one commit begins with " code { (name) } ":" }
        ul {
            @for commit in found {
                @if let Some(sha) = &commit.sha {
                    li { a href=(frame.links.commit(sha)) { code { (sha) } } " " (commit.summary.as_deref().unwrap_or_default()) }
                }
            }
        }
    }
}

fn no_scenario(frame: &Frame, name: &str, known: &[String]) -> Markup {
    html! {
        p { "No run of " code { (name) } " is in this database." }
        @if known.is_empty() {
            p { "Nothing has been measured yet." }
        } @else {
            p { "These have been measured:" }
            ul {
                @for name in known {
                    li { a href=(frame.links.scenario(name)) { (name) } }
                }
            }
        }
    }
}
