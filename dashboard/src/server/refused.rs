//! What programs are told when they do not get what they asked for.

use super::triage::{Refusal, status_of};
use crate::access::Denied;
use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use longhaul_record::text;
use longhaul_store::{InsertError, ReadError, TroubleKind};
use schemars::JsonSchema;
use serde::Serialize;

/// Letters of an error: it may quote what was sent.
const MOST_LETTERS: usize = 600;

/// Why there is no answer.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Error {
    /// What is wrong, where, and what helps.
    error: String,
}

/// An error with its status.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    error: String,
    retry_s: Option<u64>,
}

impl Refused {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Refused {
        let error: String = error.into();
        let end = error.char_indices().nth(MOST_LETTERS).map(|(at, _)| at);
        let error = end.map_or_else(|| error.clone(), |end| format!("{}…", &error[..end]));
        Refused { status, error, retry_s: None }
    }

    pub(super) fn bad(error: impl Into<String>) -> Refused {
        Refused::new(StatusCode::BAD_REQUEST, error)
    }

    pub(super) fn unknown(what: &str, name: &str) -> Refused {
        Refused::new(StatusCode::NOT_FOUND, format!("there is no {what} {name} in this database"))
    }

    /// Whoever comes again after so many seconds may get it.
    pub(super) fn again_in(self, seconds: u64) -> Refused {
        Refused { retry_s: Some(seconds), ..self }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut headers = HeaderMap::new();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // Of all addresses that take something, reading is what is left (RFC 9110, section 15.5.6).
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(header::ALLOW, HeaderValue::from_static("GET,HEAD"));
            }
            // The rest of the body is not waited for.
            StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        if let Some(seconds) = self.retry_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        (self.status, headers, Json(Error { error: self.error })).into_response()
    }
}

/// Says the whole chain of causes: whoever reads this runs the server.
impl From<ReadError> for Refused {
    fn from(error: ReadError) -> Refused {
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, text::chain(&error))
    }
}

impl From<InsertError> for Refused {
    fn from(error: InsertError) -> Refused {
        match &error {
            InsertError::Store(trouble) => {
                let refused = Refused::new(StatusCode::SERVICE_UNAVAILABLE, text::chain(&error));
                // Somebody else's turn ends by itself.
                if trouble.kind == TroubleKind::Locked { refused.again_in(1) } else { refused }
            }
            _ => Refused::bad(text::chain(&error)),
        }
    }
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Refused {
        Refused::new(status_of(&denied), text::chain(&denied))
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        Refused::new(refusal.status(), refusal.to_string())
    }
}
