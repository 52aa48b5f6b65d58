//! What can go wrong with a fetch.

use std::net::SocketAddr;

use quinn::{ConnectionError, ReadError, TransportErrorCode};

use crate::events::EmitError;
use crate::keys::ALERT_ACCESS_DENIED;
use crate::quic::ConnectError;
use crate::sink::WriteError;
use crate::ticket::Kind;
use crate::verified::VerifyError;

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A raw ticket for a fetch, or the other way round.
    #[error("this is a ticket of kind `{kind}`, which another command fetches")]
    Kind {
        /// The ticket's kind.
        kind: Kind,
    },
    /// Tickets of several payloads.
    #[error("the tickets name different payloads; all providers of one fetch must have the same")]
    Different,
    /// No provider at all.
    #[error("no provider to fetch from")]
    Nobody,
    /// All providers have failed.
    #[error("no provider is left: {}", list(reasons))]
    NobodyLeft {
        /// What each of them failed with.
        reasons: Vec<(SocketAddr, String)>,
    },
    /// No connection.
    #[error("cannot reach the provider")]
    Connect(#[from] ConnectError),
    /// The request cannot be sent.
    #[error("cannot ask the provider")]
    Ask(#[source] ConnectionError),
    /// The connection ended early.
    #[error("the connection was lost after {bytes} verified bytes")]
    Lost {
        /// Verified payload bytes.
        bytes: u64,
        /// What quinn said.
        #[source]
        source: ConnectionError,
    },
    /// The stream ended early, but not by itself.
    #[error("the stream broke off after {bytes} verified bytes")]
    Broken {
        /// Verified payload bytes.
        bytes: u64,
        /// What quinn said.
        #[source]
        source: ReadError,
    },
    /// The provider gave up and said why.
    #[error("the provider gave up: {reason}")]
    GaveUp {
        /// The provider's words.
        reason: String,
    },
    /// The provider has something else.
    #[error("the provider does not have what the ticket names")]
    Unknown,
    /// The ticket was for one use.
    #[error("the ticket has been used already; ask for a new one")]
    Used,
    /// The ticket's secret is not the sender's.
    #[error("the sender does not know the ticket's secret: the ticket is damaged, or of an earlier sending")]
    Secret,
    /// The provider did not understand, or we did not.
    #[error("the provider does not speak this protocol: answer {answer:?}")]
    Protocol {
        /// The provider's first byte.
        answer: Option<u8>,
    },
    /// The stream ended early.
    #[error("the provider ended the stream after {bytes} verified bytes of {size}")]
    Truncated {
        /// Verified bytes of the blob.
        bytes: u64,
        /// Bytes the blob should have.
        size: u64,
    },
    /// Bytes that are not the payload's.
    #[error("refused to write what the provider sent for {place}")]
    Verify {
        /// File and byte range.
        place: String,
        /// What did not match.
        #[source]
        source: VerifyError,
    },
    /// The output.
    #[error("cannot store what was fetched")]
    Write(#[from] WriteError),
    /// Standard output.
    #[error("cannot report")]
    Emit(#[from] EmitError),
}

impl FetchError {
    /// Whether the cause is at this end, so that no other provider could help.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self, FetchError::Write(_) | FetchError::Emit(_))
    }
}

/// A TLS handshake is over for a client before the provider has looked at the client's key. If that is not the right one,
/// the connection ends a moment later, whatever was being done on it.
pub(super) fn refused(error: &ConnectionError) -> Option<FetchError> {
    let ConnectionError::ConnectionClosed(close) = error else { return None };
    (close.error_code == TransportErrorCode::crypto(ALERT_ACCESS_DENIED)).then_some(FetchError::Secret)
}

fn list(reasons: &[(SocketAddr, String)]) -> String {
    reasons.iter().map(|(provider, reason)| format!("{provider}: {reason}")).collect::<Vec<_>>().join("; ")
}
