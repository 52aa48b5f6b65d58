//! One end's decisions: what to say to the server and to the ends it introduces. Pure: no socket and no clock.

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::message::{Cookie, MAX_CANDIDATES, Message, PairId, Side, Token, pair_id, register_text};
use super::pair::{Pair, Route, Ways};
use crate::keys::Identity;
use crate::ticket::PeerKey;

/// How often an end says hello once everything is well. NATs forget after 30 s at the soonest.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How soon it repeats itself when nobody answers; the time doubles.
const RETRY: Duration = Duration::from_millis(250);

/// So many hellos, and another of the server's addresses is tried.
const MAX_TRIES: u32 = 3;

/// The most ends that a provider is introduced to at a time.
const MAX_PAIRS: usize = 256;

/// An end that has said nothing for so long is forgotten.
const PAIR_LIFETIME: Duration = Duration::from_secs(60);

/// The network of made-up addresses: packets to it are dropped by everybody (RFC 6666).
const MADE_UP: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0);

/// What this end is.
#[derive(Debug)]
pub(super) enum Role {
    /// Waits for others, as the owner of a key.
    Provider(Identity),
    /// Wants to meet the owner of this key, under this token.
    Fetcher(PeerKey, Token),
}

/// How far a fetcher has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The server has not answered.
    Silence,
    /// The server knows no such provider.
    Absent,
    /// Introduced to the end at this made-up address.
    Met(SocketAddr),
}

/// One end of all its pairs.
#[derive(Debug)]
pub(super) struct Client {
    role: Role,
    ways: Ways,
    contacts: Vec<Contact>,
    /// Which of the server's addresses is used.
    home: Option<usize>,
    /// Addresses of this end's own interfaces.
    local: Vec<SocketAddr>,
    pairs: BTreeMap<SocketAddr, Pair>,
    by_id: HashMap<PairId, SocketAddr>,
    by_remote: HashMap<SocketAddr, SocketAddr>,
    made_up: u32,
    nonce: u64,
    next_hello: Duration,
    last_hello: Option<Duration>,
    tries: u32,
    /// The last cookies shown to the server.
    shown: [Option<Cookie>; 2],
    /// When the server last did what it was asked for.
    settled: Option<Duration>,
    absent: bool,
    /// Bytes of QUIC received directly and by the relay.
    pub(super) received: [u64; 2],
}

/// One of the server's addresses.
#[derive(Debug)]
struct Contact {
    address: SocketAddr,
    cookie: Option<Cookie>,
    observed: Option<SocketAddr>,
}

/// Messages to be sent.
type Out = Vec<(SocketAddr, Message)>;

impl Client {
    /// An end that knows these addresses of one server. `nonce` is random.
    pub(super) fn new(role: Role, servers: &[SocketAddr], ways: Ways, nonce: u64) -> Client {
        let contact = |address: &SocketAddr| Contact { address: *address, cookie: None, observed: None };
        Client {
            role,
            ways,
            contacts: servers.iter().map(contact).collect(),
            home: None,
            local: Vec::new(),
            pairs: BTreeMap::new(),
            by_id: HashMap::new(),
            by_remote: HashMap::new(),
            made_up: 0,
            nonce,
            next_hello: Duration::ZERO,
            last_hello: None,
            tries: 0,
            shown: [None; 2],
            settled: None,
            absent: false,
            received: [0; 2],
        }
    }

    /// The addresses of this end's interfaces. If they are others than before, the server is told.
    pub(super) fn set_local(&mut self, now: Duration, local: Vec<SocketAddr>) {
        if self.local != local {
            self.local = local;
            self.hurry(now);
        }
    }

    /// Says hello as soon as that is decent.
    fn hurry(&mut self, now: Duration) {
        let earliest = self.last_hello.map_or(now, |last| last + Duration::from_secs(1));
        (self.tries, self.settled) = (0, None);
        self.next_hello = self.next_hello.min(earliest.max(now));
    }

    /// How far this fetcher has come.
    pub(super) fn progress(&self) -> Progress {
        match self.pairs.keys().next() {
            Some(address) => Progress::Met(*address),
            None if self.absent => Progress::Absent,
            None => Progress::Silence,
        }
    }

    /// Whether a provider can be asked for.
    pub(super) fn is_registered(&self) -> bool {
        self.settled.is_some()
    }

    /// Which way packets to a made-up address take; `None`: it is not one.
    pub(super) fn route(&self, made_up: SocketAddr) -> Option<Route> {
        self.pairs.get(&made_up).map(Pair::route)
    }

    /// Counts how often the way to a made-up address changed.
    pub(super) fn changes(&self, made_up: SocketAddr) -> Option<Arc<AtomicU64>> {
        self.pairs.get(&made_up).map(Pair::changes)
    }

    /// The address of the server that is used.
    pub(super) fn home(&self) -> Option<SocketAddr> {
        self.home.map(|home| self.contacts[home].address)
    }

    /// Where a QUIC packet to a made-up address is to be sent, which will be done; `None`: it is not one.
    pub(super) fn send(&mut self, now: Duration, made_up: SocketAddr) -> Option<Route> {
        self.pairs.get_mut(&made_up).map(|pair| pair.send(now))
    }

    /// The made-up address of who sends QUIC packets from `from`.
    pub(super) fn received_directly(&mut self, now: Duration, from: SocketAddr, bytes: usize) -> Option<SocketAddr> {
        let made_up = *self.by_remote.get(&from)?;
        self.pairs.get_mut(&made_up)?.received(now, Some(from));
        self.received[0] += bytes as u64;
        Some(made_up)
    }

    /// The made-up address of who sends QUIC packets by the relay.
    pub(super) fn received_relayed(
        &mut self,
        now: Duration,
        from: SocketAddr,
        pair: PairId,
        bytes: usize,
    ) -> Option<SocketAddr> {
        if !self.ways.relay || !self.contacts.iter().any(|contact| contact.address == from) {
            return None;
        }
        let made_up = *self.by_id.get(&pair)?;
        self.pairs.get_mut(&made_up)?.received(now, None);
        self.received[1] += bytes as u64;
        Some(made_up)
    }

    /// Takes a message.
    pub(super) fn handle(&mut self, now: Duration, from: SocketAddr, message: Message) -> Out {
        let contact = self.contacts.iter().position(|contact| contact.address == from);
        match (message, contact) {
            (message @ (Message::Probe { pair, .. } | Message::Answer { pair, .. }), _) => {
                let Some(made_up) = self.by_id.get(&pair) else { return Vec::new() };
                let Some(pair) = self.pairs.get_mut(made_up) else { return Vec::new() };
                let (reply, authentic) = pair.hear(now, from, &message);
                if authentic {
                    self.by_remote.insert(from, *made_up);
                }
                reply.map(|reply| (from, reply)).into_iter().collect()
            }
            (Message::Cookie { nonce, cookie, observed }, Some(index)) if nonce == self.nonce => {
                self.cookie(index, cookie, observed)
            }
            (Message::Registered { .. }, Some(_)) if matches!(self.role, Role::Provider(_)) => {
                self.settle(now);
                Vec::new()
            }
            (Message::Absent { token }, Some(_)) => {
                self.absent |= matches!(&self.role, Role::Fetcher(_, own) if *own == token);
                Vec::new()
            }
            (Message::Peer { cookie, token, candidates }, Some(_)) if self.shown.contains(&Some(cookie)) => {
                self.introduced(now, &token, &candidates);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn settle(&mut self, now: Duration) {
        (self.settled, self.tries) = (Some(now), 0);
        self.next_hello = now + KEEPALIVE;
    }

    fn cookie(&mut self, index: usize, cookie: Cookie, observed: SocketAddr) -> Out {
        let contact = &mut self.contacts[index];
        let news = contact.observed != Some(observed);
        (contact.cookie, contact.observed) = (Some(cookie), Some(observed));
        let home = *self.home.get_or_insert(index);
        let Contact { address, cookie: Some(cookie), .. } = self.contacts[home] else { return Vec::new() };
        if index != home && !news {
            return Vec::new();
        }
        if self.shown[0] != Some(cookie) {
            self.shown = [Some(cookie), self.shown[0]];
        }
        let candidates = self.candidates(home);
        let message = match &self.role {
            Role::Provider(identity) => {
                let signature = identity.sign(&register_text(&cookie));
                Message::Register { cookie, key: identity.public(), signature, candidates }
            }
            Role::Fetcher(key, token) => Message::Meet { cookie, key: *key, token: *token, candidates },
        };
        vec![(address, message)]
    }

    /// All but where home sees this end, which it knows itself.
    fn candidates(&self, home: usize) -> Vec<SocketAddr> {
        let others = self.contacts.iter().filter_map(|contact| contact.observed);
        let mut candidates: Vec<SocketAddr> = Vec::new();
        for address in others.chain(self.local.iter().copied()) {
            if self.contacts[home].observed != Some(address) && !candidates.contains(&address) {
                candidates.push(address);
            }
        }
        candidates.truncate(MAX_CANDIDATES - 1);
        candidates
    }

    fn introduced(&mut self, now: Duration, token: &Token, candidates: &[SocketAddr]) {
        let id = pair_id(token);
        let side = match &self.role {
            Role::Provider(_) => Side::Provider,
            Role::Fetcher(_, own) if own == token => Side::Fetcher,
            Role::Fetcher(..) => return,
        };
        if side == Side::Fetcher {
            self.settled = Some(now);
        }
        let made_up = match self.by_id.get(&id) {
            Some(made_up) => *made_up,
            None if self.pairs.len() >= MAX_PAIRS => return,
            None => {
                self.made_up += 1;
                let made_up = (Ipv6Addr::from(u128::from(MADE_UP) + u128::from(self.made_up)), 1).into();
                let mut pair = Pair::new(token, side, self.ways);
                // A provider forgets who is never heard of.
                pair.heard = (side == Side::Provider).then_some(now);
                self.pairs.insert(made_up, pair);
                self.by_id.insert(id, made_up);
                made_up
            }
        };
        if let Some(pair) = self.pairs.get_mut(&made_up) {
            pair.introduce(candidates);
        }
    }

    /// What to send now, and when to ask again at the latest.
    pub(super) fn poll(&mut self, now: Duration) -> (Out, Duration) {
        let (mut out, mut next, mut trouble) = (Vec::new(), None, false);
        for pair in self.pairs.values_mut() {
            let (probes, due) = pair.poll(now);
            out.extend(probes);
            next = next.into_iter().chain(due).min();
            trouble |= pair.take_trouble(now);
        }
        // A fetcher that meets again is told of to the provider, not the other way round.
        if trouble && matches!(self.role, Role::Fetcher(..)) {
            self.hurry(now);
        }
        if now >= self.next_hello {
            self.hello(now, &mut out);
        }
        (out, next.into_iter().chain([self.next_hello]).min().unwrap_or(self.next_hello))
    }

    fn hello(&mut self, now: Duration, out: &mut Out) {
        self.forget(now);
        let heard = || self.pairs.values().any(|pair| pair.heard.is_some());
        if let (Role::Fetcher(..), Some(settled)) = (&self.role, self.settled)
            && heard()
            && now < settled + KEEPALIVE
        {
            self.tries = 0;
            self.next_hello = settled + KEEPALIVE;
            return;
        }
        if self.tries >= MAX_TRIES {
            self.home = None;
        }
        self.next_hello = now + RETRY * (1 << self.tries.min(4));
        self.tries += 1;
        self.last_hello = Some(now);
        self.nonce = self.nonce.wrapping_add(1);
        let hello = |contact: &Contact| (contact.address, Message::Hello { nonce: self.nonce });
        out.extend(self.contacts.iter().map(hello));
    }

    fn forget(&mut self, now: Duration) {
        if matches!(self.role, Role::Fetcher(..)) {
            return;
        }
        self.pairs.retain(|_, pair| pair.heard.is_some_and(|heard| now < heard + PAIR_LIFETIME));
        self.by_id.retain(|_, made_up| self.pairs.contains_key(made_up));
        self.by_remote.retain(|_, made_up| self.pairs.contains_key(made_up));
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
