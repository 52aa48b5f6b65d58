//! What a NAT's mapping and a firewall's state have in common: when it was used, whom it lets in, when it ends.

use crate::packet::{Endpoint, Proto};
use crate::time::Time;
use alloc::collections::{BTreeMap, BTreeSet};
use core::net::IpAddr;

/// How much of a remote endpoint counts: the common ground of mapping and filtering behaviours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Nothing of it: all remotes are alike.
    Anyone,
    /// Its address.
    Address(IpAddr),
    /// Its address and port.
    Endpoint(Endpoint),
}

/// How long state lives, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// Without use: UDP and echo.
    pub(crate) idle: u64,
    /// The same while nothing has come back, and for echo.
    pub(crate) unanswered: Option<u64>,
    /// How old state is before an answer counts.
    pub(crate) settling: Option<u64>,
    /// Without use: established TCP.
    pub(crate) tcp: u64,
    /// Whatever the use.
    pub(crate) lifetime: Option<u64>,
}

/// TCP that is not established, not yet or no longer, lives this long (RFC 5382, REQ-5: at least 4 minutes).
const TCP_TRANSITORY_NS: u64 = 240_000_000_000;
/// So many remotes are remembered before the first look for expired ones.
const FIRST_PRUNE: usize = 64;

/// One internal endpoint's conversation with one or more remotes.
#[derive(Debug)]
pub(crate) struct Session {
    proto: Proto,
    created: Time,
    last_used: Time,
    /// TCP has seen its end.
    closing: bool,
    /// Something has come back.
    answered: bool,
    /// That counts for how long it lives.
    settled: bool,
    /// When each remote was last sent to: the filter's entries.
    permits: BTreeMap<Scope, Time>,
    prune_at: usize,
}

impl Session {
    pub(crate) fn new(now: Time, proto: Proto) -> Session {
        Session {
            proto,
            created: now,
            last_used: now,
            closing: false,
            answered: false,
            settled: false,
            permits: BTreeMap::new(),
            prune_at: FIRST_PRUNE,
        }
    }

    pub(crate) fn created(&self) -> Time {
        self.created
    }

    fn idle(&self, timeouts: &Timeouts) -> u64 {
        match self.proto {
            Proto::Tcp if self.closing || !self.answered => TCP_TRANSITORY_NS.min(timeouts.tcp),
            Proto::Tcp => timeouts.tcp,
            Proto::Udp if self.settled => timeouts.idle,
            _ => timeouts.unanswered.unwrap_or(timeouts.idle),
        }
    }

    /// When it ends if nothing more happens. It is dead at that very moment.
    pub(crate) fn deadline(&self, timeouts: &Timeouts) -> Time {
        let idle = self.last_used + self.idle(timeouts);
        timeouts.lifetime.map_or(idle, |lifetime| idle.min(self.created + lifetime))
    }

    /// A packet goes out; its remote may answer. Returns whether the end came nearer.
    pub(crate) fn sent(&mut self, now: Time, to: Scope, closing: bool, timeouts: &Timeouts) -> bool {
        let earlier = self.is_hastened_by(closing);
        self.last_used = now;
        self.closing = closing;
        self.settle(now, timeouts);
        if self.permits.len() >= self.prune_at {
            let idle = self.idle(timeouts);
            self.permits.retain(|_, sent| now.nanos_since(*sent) < idle);
            self.prune_at = (self.permits.len() * 2).max(FIRST_PRUNE);
        }
        self.permits.insert(to, now);
        earlier
    }

    /// Whether a remote has been sent to lately.
    pub(crate) fn admits(&self, now: Time, from: Scope, timeouts: &Timeouts) -> bool {
        self.permits.get(&from).is_some_and(|sent| now.nanos_since(*sent) < self.idle(timeouts))
    }

    /// A packet comes in. Returns whether the end came nearer.
    pub(crate) fn received(
        &mut self,
        now: Time,
        from: Scope,
        closing: bool,
        refresh: bool,
        timeouts: &Timeouts,
    ) -> bool {
        let earlier = self.is_hastened_by(closing);
        self.settle(now, timeouts);
        if refresh {
            self.last_used = now;
            if let Some(sent) = self.permits.get_mut(&from) {
                *sent = now;
            }
        }
        self.answered = true;
        self.settled |= timeouts.settling.is_none();
        self.closing |= closing;
        earlier
    }

    /// With a time to settle, the answer itself does not count, but the first packet after it and that time
    /// (`nf_conntrack_udp_packet`).
    fn settle(&mut self, now: Time, timeouts: &Timeouts) {
        let old = timeouts.settling.is_some_and(|settling| now.nanos_since(self.created) > settling);
        self.settled |= self.answered && old;
    }

    fn is_hastened_by(&self, closing: bool) -> bool {
        closing && !self.closing
    }
}

/// State in the order in which it ends. Entries may lie: a used session ends later than its entry says, and is put back
/// when its turn comes. So use costs nothing here, and finding what has ended costs no walk through the table.
#[derive(Debug)]
pub(crate) struct Expiry<K>(BTreeSet<(Time, K)>);

impl<K: Ord + Copy> Expiry<K> {
    pub(crate) fn new() -> Expiry<K> {
        Expiry(BTreeSet::new())
    }

    pub(crate) fn insert(&mut self, at: Time, key: K) {
        self.0.insert((at, key));
    }

    /// Takes out the first entry if its time has come.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<K> {
        let first = self.0.first().filter(|(at, _)| *at <= now).copied()?;
        self.0.remove(&first);
        Some(first.1)
    }
}
