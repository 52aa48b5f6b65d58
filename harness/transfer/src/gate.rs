//! Lets one fetcher in, once.
//!
//! Who may come at all is for the handshake to say ([`quic::listen`] with a client's key). Of those,
//! the first connection that asks for the payload owns the gate; it may ask again, for parts. With its end the gate's use
//! is over. Connections that never ask do not count: a receiver tries several addresses at once and keeps one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use quinn::ConnectionError;
use tokio::sync::watch;

use crate::quic;

/// So many handshakes may fail before a provider gives up: honest ones never do, except by a mistyped ticket.
pub const MAX_WRONG: u32 = 10;

/// How the gate's use ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The fetcher has everything.
    Served,
    /// The fetcher went away before it had everything.
    Broken(ConnectionError),
    /// Too many tried without knowing the secret.
    Besieged,
}

/// The gate.
#[derive(Debug)]
pub struct Gate {
    state: Mutex<State>,
    end: watch::Sender<Option<End>>,
}

#[derive(Debug, Default)]
struct State {
    /// The connection that came first.
    owner: Option<usize>,
    wrong: u32,
}

impl Default for Gate {
    fn default() -> Self {
        Gate { state: Mutex::default(), end: watch::Sender::new(None) }
    }
}

impl Gate {
    /// Whether this connection may have the payload. The first that asks may, and nobody after it.
    pub fn admit(&self, connection: usize) -> bool {
        *self.state().owner.get_or_insert(connection) == connection
    }

    /// A handshake failed.
    pub fn refused(&self, error: &ConnectionError) {
        // Others are only noise of the network: somebody gave up, or an address did not work.
        if !matches!(error, ConnectionError::TransportError(_)) {
            return;
        }
        let mut state = self.state();
        state.wrong += 1;
        if state.wrong >= MAX_WRONG && state.owner.is_none() {
            self.over(End::Besieged);
        }
    }

    /// A connection has ended.
    pub fn left(&self, connection: usize, how: ConnectionError) {
        if self.state().owner != Some(connection) {
            return;
        }
        match how {
            ConnectionError::ApplicationClosed(close) if close.error_code == quic::CLOSE_DONE => self.over(End::Served),
            how => self.over(End::Broken(how)),
        }
    }

    /// Waits for the end.
    pub async fn ended(&self) -> End {
        let mut end = self.end.subscribe();
        let end = end.wait_for(Option::is_some).await;
        // The sender lives as long as this gate, so there is a value.
        end.ok().and_then(|end| end.clone()).unwrap_or(End::Besieged)
    }

    fn over(&self, end: End) {
        self.end.send_if_modified(|over| {
            let first = over.is_none();
            over.get_or_insert(end);
            first
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(code: quinn::VarInt) -> ConnectionError {
        ConnectionError::ApplicationClosed(quinn::ApplicationClose { error_code: code, reason: Default::default() })
    }

    fn wrong() -> ConnectionError {
        ConnectionError::TransportError(quinn::TransportErrorCode::crypto(49).into())
    }

    fn end(gate: &Gate) -> Option<End> {
        gate.end.borrow().clone()
    }

    #[test]
    fn the_first_that_asks_is_the_only_one() {
        let gate = Gate::default();
        gate.left(1, closed(quic::CLOSE_DONE));
        assert!(gate.admit(7) && gate.admit(7) && !gate.admit(8));
        gate.left(8, closed(quic::CLOSE_DONE));
        assert_eq!(end(&gate), None);
        gate.left(7, closed(quic::CLOSE_DONE));
        assert_eq!(end(&gate), Some(End::Served));
        assert!(!gate.admit(8));
    }

    #[test]
    fn a_fetcher_that_fails_ends_it_too() {
        for how in [closed(quic::CLOSE_FAILED), ConnectionError::TimedOut] {
            let gate = Gate::default();
            assert!(gate.admit(7));
            gate.left(7, how.clone());
            assert_eq!(end(&gate), Some(End::Broken(how)));
        }
    }

    #[test]
    fn wrong_tries_do_not_use_it_up_within_limits() {
        let gate = Gate::default();
        for _ in 1..MAX_WRONG {
            gate.refused(&wrong());
            gate.refused(&ConnectionError::TimedOut);
        }
        assert_eq!(end(&gate), None);
        gate.refused(&wrong());
        assert_eq!(end(&gate), Some(End::Besieged));

        let gate = Gate::default();
        assert!(gate.admit(1));
        (0..2 * MAX_WRONG).for_each(|_| gate.refused(&wrong()));
        assert_eq!(end(&gate), None, "whoever was let in is not thrown out by others");
    }
}
