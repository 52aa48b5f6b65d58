//! A congestion controller that begins anew when its connection takes another path, as RFC 9000, section 9.4, asks for.
//! quinn itself does not notice: it sees one address.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics};
use quinn_proto::RttEstimator;

/// Makes controllers that begin anew whenever `changes` has another value.
pub(crate) struct Restarting {
    factory: Arc<dyn ControllerFactory + Send + Sync>,
    changes: Arc<AtomicU64>,
}

impl Restarting {
    pub(crate) fn new(factory: Arc<dyn ControllerFactory + Send + Sync>, changes: Arc<AtomicU64>) -> Restarting {
        Restarting { factory, changes }
    }
}

impl ControllerFactory for Restarting {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let inner = Arc::clone(&self.factory).build(now, current_mtu);
        let seen = self.changes.load(Ordering::Relaxed);
        Box::new(Anew { maker: self, inner, seen, since: None, mtu: current_mtu })
    }
}

struct Anew {
    maker: Arc<Restarting>,
    inner: Box<dyn Controller>,
    /// The value of `changes` that `inner` was made at.
    seen: u64,
    /// When `inner` was made, if it is not the first.
    since: Option<Instant>,
    mtu: u16,
}

impl Anew {
    fn look(&mut self, now: Instant) {
        let changes = self.maker.changes.load(Ordering::Relaxed);
        if changes != self.seen {
            (self.seen, self.since) = (changes, Some(now));
            self.inner = Arc::clone(&self.maker.factory).build(now, self.mtu);
        }
    }

    /// Whether a packet took an earlier path, and so says nothing about this one.
    fn is_old(&self, sent: Instant) -> bool {
        self.since.is_some_and(|since| sent < since)
    }
}

impl Controller for Anew {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.look(now);
        self.inner.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.look(now);
        if !self.is_old(sent) {
            self.inner.on_ack(now, sent, bytes, app_limited, rtt);
        }
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest: Option<u64>) {
        self.look(now);
        self.inner.on_end_acks(now, in_flight, app_limited, largest);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent_congestion: bool, lost_bytes: u64) {
        self.look(now);
        if !self.is_old(sent) {
            self.inner.on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
        }
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.mtu = new_mtu;
        self.inner.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.inner.window()
    }

    fn metrics(&self) -> ControllerMetrics {
        self.inner.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        let (maker, inner) = (Arc::clone(&self.maker), self.inner.clone_box());
        Box::new(Anew { maker, inner, seen: self.seen, since: self.since, mtu: self.mtu })
    }

    fn initial_window(&self) -> u64 {
        self.inner.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self.inner.into_any()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use quinn::congestion::CubicConfig;

    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "quinn's controllers want an instant, whichever")]
    fn another_path_begins_with_the_first_window_and_old_packets_do_not_count() {
        let changes = Arc::new(AtomicU64::new(0));
        let maker = Arc::new(Restarting::new(Arc::new(CubicConfig::default()), Arc::clone(&changes)));
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut controller = maker.build(start, 1200);
        let first = controller.initial_window();
        controller.on_congestion_event(at(10), at(5), false, 1200);
        assert!(controller.window() < first);
        changes.fetch_add(1, Ordering::Relaxed);
        controller.on_sent(at(20), 1200, 7);
        assert_eq!(controller.window(), first);
        controller.on_congestion_event(at(30), at(15), false, 1200);
        assert_eq!(controller.window(), first, "lost on the old path");
        controller.on_congestion_event(at(40), at(25), false, 1200);
        assert!(controller.window() < first);
    }
}
