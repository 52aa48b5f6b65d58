//! The paths between the two ends of a pair, as one of them sees it: which are probed, which work, which is used. Pure:
//! time is passed in.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::message::{Message, PairId, Side, Token, pair_id, seal_key};

/// The most paths that are kept for a pair: what the other end names, and some that turn up by themselves.
const MAX_PATHS: usize = 16;

/// Between the first probes to an address. It doubles after [`QUICK_PROBES`] of them.
const FIRST_INTERVAL: Duration = Duration::from_millis(20);
const QUICK_PROBES: u32 = 3;

/// Between probes at most; a path that works is probed as often. NATs forget after 30 s at the soonest (RFC 4787 asks
/// for 2 minutes, Linux takes 30 s before the first answer).
const INTERVAL: Duration = Duration::from_secs(5);

/// Probes whose answers are waited for.
const IN_FLIGHT: usize = 8;

/// A better path must be better by this much, or two of one length would take turns.
const CLEARLY_BETTER: Duration = Duration::from_millis(2);

/// What a pair may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// Direct paths.
    pub direct: bool,
    /// The server.
    pub relay: bool,
}

/// Where a pair's packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// To this address.
    Direct(SocketAddr),
    /// To the server, for this pair.
    Relay(PairId),
    /// Nowhere: the server may not be used, and nothing else works.
    None,
}

/// One end's view of a pair.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) id: PairId,
    seal: [u8; 32],
    seal_of_other: [u8; 32],
    ways: Ways,
    paths: Vec<Path>,
    in_use: Option<SocketAddr>,
    next_nonce: u64,
    /// How often another way was taken.
    changes: Arc<AtomicU64>,
    /// When anything of the other end was last heard.
    pub(super) heard: Option<Duration>,
    /// Since when what was sent to the relay is without any answer.
    unanswered_relay: Option<Duration>,
    /// A direct path was lost since this was last asked.
    lost: bool,
}

#[derive(Debug)]
struct Path {
    remote: SocketAddr,
    /// The smoothed round-trip time; absent: not known to work.
    rtt: Option<Duration>,
    in_flight: VecDeque<(u64, Duration)>,
    /// Since when what was sent is without any answer.
    unanswered: Option<Duration>,
    /// Probes sent since then, or since the address became of interest.
    probes: u32,
    last_probe: Option<Duration>,
}

impl Path {
    fn new(remote: SocketAddr) -> Path {
        Path { remote, rtt: None, in_flight: VecDeque::new(), unanswered: None, probes: 0, last_probe: None }
    }

    /// How long an answer usually takes, with a margin for a machine that is busy.
    fn patience(rtt: Duration) -> Duration {
        2 * rtt + Duration::from_millis(50)
    }

    /// So long without an answer, and it does not work any more.
    fn silence(rtt: Duration) -> Duration {
        4 * rtt + Duration::from_millis(400)
    }

    /// When the next probe is due.
    fn due(&self) -> Duration {
        let Some(last) = self.last_probe else { return Duration::ZERO };
        match (self.rtt, self.unanswered) {
            (Some(rtt), Some(since)) => (last.max(since) + Path::patience(rtt)).min(last + INTERVAL),
            (Some(_), None) => last + INTERVAL,
            (None, _) => {
                let doublings = self.probes.saturating_sub(QUICK_PROBES).min(10);
                last + (FIRST_INTERVAL * (1 << doublings)).min(INTERVAL)
            }
        }
    }

    /// Whether it has been silent for too long. Only what was asked repeatedly is: this process may have been asleep.
    fn is_silent(&self, now: Duration) -> bool {
        let (Some(rtt), Some(since)) = (self.rtt, self.unanswered) else { return false };
        self.probes >= 2 && now >= since + Path::silence(rtt)
    }

    fn probe(&mut self, now: Duration, nonce: u64) {
        if self.in_flight.len() == IN_FLIGHT {
            self.in_flight.pop_front();
        }
        self.in_flight.push_back((nonce, now));
        self.last_probe = Some(now);
        self.probes = self.probes.saturating_add(1);
        self.unanswered.get_or_insert(now);
    }

    /// From now on probed as if it were new.
    fn restart(&mut self) {
        (self.rtt, self.unanswered, self.last_probe, self.probes) = (None, None, None, 0);
    }

    fn heard(&mut self) {
        if self.rtt.is_some() {
            (self.unanswered, self.probes) = (None, 0);
        }
    }
}

impl Pair {
    pub(super) fn new(token: &Token, side: Side, ways: Ways) -> Pair {
        let other = match side {
            Side::Fetcher => Side::Provider,
            Side::Provider => Side::Fetcher,
        };
        Pair {
            id: pair_id(token),
            seal: seal_key(token, side),
            seal_of_other: seal_key(token, other),
            ways,
            paths: Vec::new(),
            in_use: None,
            next_nonce: 0,
            changes: Arc::default(),
            heard: None,
            unanswered_relay: None,
            lost: false,
        }
    }

    /// Counts how often another way was taken: whoever adapts to a path begins anew then.
    pub(super) fn changes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.changes)
    }

    /// Addresses that the other end may be reached at. Those not known to work are tried at once, and those that do are
    /// asked whether they still do: ends that have moved are introduced again.
    pub(super) fn introduce(&mut self, candidates: &[SocketAddr]) {
        if !self.ways.direct {
            return;
        }
        self.paths.iter_mut().filter(|path| path.rtt.is_some()).for_each(|path| path.last_probe = None);
        for candidate in candidates {
            match self.paths.iter_mut().find(|path| path.remote == *candidate) {
                Some(path) if path.rtt.is_none() => path.restart(),
                Some(_) => {}
                None => self.add(*candidate),
            }
        }
    }

    fn add(&mut self, remote: SocketAddr) {
        if self.paths.len() == MAX_PATHS {
            // The oldest that does not work.
            let Some(index) = self.paths.iter().position(|path| path.rtt.is_none()) else { return };
            self.paths.remove(index);
        }
        self.paths.push(Path::new(remote));
    }

    /// A probe or an answer came. Returns what to send back, and whether it is from the other end at all.
    pub(super) fn hear(&mut self, now: Duration, from: SocketAddr, message: &Message) -> (Option<Message>, bool) {
        if !self.ways.direct || !message.is_sealed(&self.seal_of_other) {
            return (None, false);
        }
        self.heard = Some(now);
        if !self.paths.iter().any(|path| path.remote == from) {
            self.add(from);
        }
        let Some(path) = self.paths.iter_mut().find(|path| path.remote == from) else { return (None, true) };
        let reply = match message {
            Message::Probe { nonce, .. } => {
                // What gets here has opened the way back: now is the time to use it.
                if path.rtt.is_none() && path.probes > QUICK_PROBES {
                    path.restart();
                }
                path.heard();
                Some(Message::answer(self.id, *nonce, &self.seal))
            }
            Message::Answer { nonce, .. } => {
                if let Some(index) = path.in_flight.iter().position(|(sent, _)| sent == nonce)
                    && let Some((_, sent)) = path.in_flight.remove(index)
                {
                    let sample = now.saturating_sub(sent);
                    path.rtt = Some(path.rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8));
                    path.heard();
                }
                None
            }
            _ => None,
        };
        self.choose();
        (reply, true)
    }

    /// A QUIC packet came from this address, or by the relay.
    pub(super) fn received(&mut self, now: Duration, from: Option<SocketAddr>) {
        self.heard = Some(now);
        match from {
            None => self.unanswered_relay = None,
            Some(from) => {
                self.paths.iter_mut().filter(|path| path.remote == from).for_each(Path::heard);
            }
        }
    }

    /// Where a QUIC packet is to be sent, which will be done.
    pub(super) fn send(&mut self, now: Duration) -> Route {
        let route = self.route();
        match route {
            Route::Direct(remote) => {
                if let Some(path) = self.paths.iter_mut().find(|path| path.remote == remote) {
                    path.unanswered.get_or_insert(now);
                }
            }
            Route::Relay(_) => {
                self.unanswered_relay.get_or_insert(now);
            }
            Route::None => {}
        }
        route
    }

    /// Where packets go now.
    pub(super) fn route(&self) -> Route {
        match self.in_use {
            Some(remote) => Route::Direct(remote),
            None if self.ways.relay => Route::Relay(self.id),
            None => Route::None,
        }
    }

    /// What to send now, and when to ask again.
    pub(super) fn poll(&mut self, now: Duration) -> (Vec<(SocketAddr, Message)>, Option<Duration>) {
        let mut out = Vec::new();
        for path in &mut self.paths {
            if path.is_silent(now) {
                path.restart();
                self.lost |= self.in_use == Some(path.remote);
            }
            if path.due() <= now {
                self.next_nonce += 1;
                path.probe(now, self.next_nonce);
                out.push((path.remote, Message::probe(self.id, self.next_nonce, &self.seal)));
            }
        }
        self.choose();
        (out, self.paths.iter().map(Path::due).min())
    }

    /// Whether a direct path was lost since this was last asked, or nothing comes from the relay that is sent to.
    pub(super) fn take_trouble(&mut self, now: Duration) -> bool {
        let deaf = self.unanswered_relay.is_some_and(|since| now >= since + Duration::from_secs(1));
        if deaf {
            self.unanswered_relay = Some(now);
        }
        std::mem::take(&mut self.lost) || deaf
    }

    fn choose(&mut self) {
        let rtt = |remote| self.paths.iter().find(|path| path.remote == remote)?.rtt;
        let best = self.paths.iter().filter_map(|path| Some((path.rtt?, path.remote))).min();
        let chosen = match (best, self.in_use) {
            (Some((best, _)), Some(now)) if rtt(now).is_some_and(|rtt| rtt <= best + CLEARLY_BETTER) => Some(now),
            (Some((_, remote)), _) => Some(remote),
            (None, _) if self.ways.relay => None,
            // There is nothing better than what worked last.
            (None, now) => now,
        };
        if chosen != self.in_use {
            self.in_use = chosen;
            self.unanswered_relay = None;
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
#[path = "pair_tests.rs"]
mod tests;
