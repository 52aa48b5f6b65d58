//! The server's decisions: a datagram in, what to send out. Pure: no socket and no clock; time is passed in.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::message::{Cookie, MAX_CANDIDATES, Message, PairId, Token, pair_id, register_text, wide};
use crate::keys;
use crate::ticket::PeerKey;

/// How long a registration and an unused session last. Ends repeat themselves well before.
const LIFETIME: Duration = Duration::from_secs(60);

/// A cookie is good for this long at least, and twice as long at most.
const COOKIE_LIFETIME: Duration = Duration::from_secs(30);

/// The most providers and the most sessions. A server that is full takes no new ones until old ones have gone.
const MAX_ENTRIES: usize = 10_000;

/// Bytes that a session may have relayed at once after a pause.
const BURST_BYTES: u64 = 1 << 20;

/// What the server does about a datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing at all.
    Ignore,
    /// Send these.
    Send(Vec<(SocketAddr, Message)>),
    /// Send the datagram on as it is.
    Forward(SocketAddr),
}

/// Who is registered and who has met.
#[derive(Debug)]
pub struct Server {
    secret: [u8; 32],
    providers: HashMap<PeerKey, Provider>,
    sessions: HashMap<PairId, Session>,
    relay_bytes_per_s: u64,
    next_sweep: Duration,
}

#[derive(Debug)]
struct Provider {
    observed: SocketAddr,
    cookie: Cookie,
    candidates: Vec<SocketAddr>,
    until: Duration,
}

#[derive(Debug)]
struct Session {
    fetcher: SocketAddr,
    provider: PeerKey,
    until: Duration,
    quota: Quota,
}

/// A token bucket (RFC 2697 calls it that): what a session may have relayed.
#[derive(Debug, Clone, Copy)]
struct Quota {
    /// Bytes that may pass now.
    bytes: u64,
    /// When that was so.
    at: Duration,
}

impl Quota {
    fn take(&mut self, now: Duration, bytes_per_s: u64, bytes: u64) -> bool {
        let earned = now.saturating_sub(self.at).as_micros() * u128::from(bytes_per_s) / 1_000_000;
        // Less than a byte is kept for later.
        if earned > 0 {
            let earned = u64::try_from(earned).unwrap_or(u64::MAX);
            *self = Quota { bytes: self.bytes.saturating_add(earned).min(BURST_BYTES), at: now };
        }
        let enough = self.bytes >= bytes;
        if enough {
            self.bytes -= bytes;
        }
        enough
    }
}

impl Server {
    /// A server whose cookies follow from 32 secret random bytes. It relays so many bytes a second for each pair of ends,
    /// and drops what is more.
    pub fn new(secret: [u8; 32], relay_bytes_per_s: u64) -> Server {
        let (providers, sessions) = (HashMap::new(), HashMap::new());
        Server { secret, providers, sessions, relay_bytes_per_s, next_sweep: LIFETIME }
    }

    /// Looks at a datagram. `now` is the time since any moment.
    pub fn handle(&mut self, now: Duration, from: SocketAddr, datagram: &[u8]) -> Action {
        if now >= self.next_sweep {
            self.next_sweep = now + LIFETIME;
            self.providers.retain(|_, provider| provider.until > now);
            self.sessions.retain(|_, session| session.until > now);
        }
        match Message::decode(datagram) {
            Ok(Message::Hello { nonce }) => {
                let cookie = self.cookie(from, epoch(now));
                Action::Send(vec![(from, Message::Cookie { nonce, cookie, observed: from })])
            }
            Ok(Message::Register { cookie, key, signature, candidates }) if self.knows(cookie, from, now) => {
                self.register(now, from, (cookie, key, signature), candidates)
            }
            Ok(Message::Meet { cookie, key, token, candidates }) if self.knows(cookie, from, now) => {
                self.meet(now, from, (cookie, key, token), candidates)
            }
            Ok(Message::Relay { pair }) => self.relay(now, from, pair, datagram.len() as u64),
            // Not for a server, without the right cookie, or not a message at all.
            Ok(_) | Err(_) => Action::Ignore,
        }
    }

    fn register(
        &mut self,
        now: Duration,
        from: SocketAddr,
        (cookie, key, signature): (Cookie, PeerKey, [u8; 64]),
        candidates: Vec<SocketAddr>,
    ) -> Action {
        let full = self.providers.len() >= MAX_ENTRIES && !self.providers.contains_key(&key);
        if full || !keys::verify(key, &register_text(&cookie), &signature) {
            return Action::Ignore;
        }
        self.providers.insert(key, Provider { observed: from, cookie, candidates, until: now + LIFETIME });
        let seconds = LIFETIME.as_secs() as u16;
        Action::Send(vec![(from, Message::Registered { seconds, observed: from })])
    }

    fn meet(
        &mut self,
        now: Duration,
        from: SocketAddr,
        (cookie, key, token): (Cookie, PeerKey, Token),
        candidates: Vec<SocketAddr>,
    ) -> Action {
        let Some(provider) = self.providers.get(&key).filter(|provider| provider.until > now) else {
            return Action::Send(vec![(from, Message::Absent { token })]);
        };
        let pair = pair_id(&token);
        let known = self.sessions.get(&pair);
        // Somebody else's token is not to be had by asking.
        if known.is_some_and(|session| session.provider != key)
            || (known.is_none() && self.sessions.len() >= MAX_ENTRIES)
        {
            return Action::Ignore;
        }
        let quota = known.map_or(Quota { bytes: BURST_BYTES, at: now }, |session| session.quota);
        self.sessions.insert(pair, Session { fetcher: from, provider: key, until: now + LIFETIME, quota });
        let of_provider = all(provider.observed, &provider.candidates);
        let of_fetcher = all(from, &candidates);
        Action::Send(vec![
            (from, Message::Peer { cookie, token, candidates: of_provider }),
            (provider.observed, Message::Peer { cookie: provider.cookie, token, candidates: of_fetcher }),
        ])
    }

    fn relay(&mut self, now: Duration, from: SocketAddr, pair: PairId, bytes: u64) -> Action {
        let Some(session) = self.sessions.get_mut(&pair).filter(|session| session.until > now) else {
            return Action::Ignore;
        };
        let Some(provider) = self.providers.get(&session.provider) else { return Action::Ignore };
        let to = if from == session.fetcher {
            provider.observed
        } else if from == provider.observed {
            session.fetcher
        } else {
            return Action::Ignore;
        };
        session.until = now + LIFETIME;
        if session.quota.take(now, self.relay_bytes_per_s, bytes) { Action::Forward(to) } else { Action::Ignore }
    }

    fn knows(&self, cookie: Cookie, from: SocketAddr, now: Duration) -> bool {
        let epoch = epoch(now);
        [epoch, epoch.wrapping_sub(1)].into_iter().any(|epoch| {
            // In constant time, as comparing hashes is in this crate.
            wide(cookie) == wide(self.cookie(from, epoch))
        })
    }

    fn cookie(&self, to: SocketAddr, epoch: u64) -> Cookie {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(to.to_string().as_bytes()).update(&[0]).update(&epoch.to_le_bytes());
        let mut cookie = [0; 16];
        hasher.finalize_xof().fill(&mut cookie);
        cookie
    }
}

fn epoch(now: Duration) -> u64 {
    now.as_secs() / COOKIE_LIFETIME.as_secs()
}

/// Where an end is seen, then its own addresses, each once.
fn all(observed: SocketAddr, own: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut all = vec![observed];
    for address in own {
        if !all.contains(address) && all.len() < MAX_CANDIDATES {
            all.push(*address);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Identity;

    fn at(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    struct Setting {
        server: Server,
        identity: Identity,
        now: Duration,
    }

    impl Setting {
        fn new() -> Setting {
            Setting {
                server: Server::new([7; 32], 1_000_000),
                identity: Identity::of_seed(&[1; 32]).unwrap(),
                now: seconds(1000),
            }
        }

        fn send(&mut self, from: SocketAddr, message: &Message) -> Action {
            self.server.handle(self.now, from, &message.encode())
        }

        fn cookie(&mut self, from: SocketAddr) -> Cookie {
            let Action::Send(replies) = self.send(from, &Message::Hello { nonce: 5 }) else { panic!("no reply") };
            let [(to, Message::Cookie { nonce: 5, cookie, observed })] = replies.as_slice() else {
                panic!("{replies:?}")
            };
            assert_eq!((*to, *observed), (from, from));
            *cookie
        }

        fn register(&mut self, from: SocketAddr, candidates: Vec<SocketAddr>) -> Action {
            let cookie = self.cookie(from);
            let signature = self.identity.sign(&register_text(&cookie));
            let key = self.identity.public();
            self.send(from, &Message::Register { cookie, key, signature, candidates })
        }

        fn meet(&mut self, from: SocketAddr, token: Token) -> Action {
            let (cookie, key) = (self.cookie(from), self.identity.public());
            self.send(from, &Message::Meet { cookie, key, token, candidates: vec![at(77), from] })
        }
    }

    const TOKEN: Token = [3; 16];

    #[test]
    fn ends_are_introduced_and_relayed() {
        let mut s = Setting::new();
        let registered = Message::Registered { seconds: 60, observed: at(1) };
        assert_eq!(s.register(at(1), vec![at(11)]), Action::Send(vec![(at(1), registered)]));
        let [cookie, own] = [at(1), at(2)].map(|end| s.cookie(end));
        let expect = vec![
            (at(2), Message::Peer { cookie: own, token: TOKEN, candidates: vec![at(1), at(11)] }),
            (at(1), Message::Peer { cookie, token: TOKEN, candidates: vec![at(2), at(77)] }),
        ];
        assert_eq!(s.meet(at(2), TOKEN), Action::Send(expect));
        let relay = Message::Relay { pair: pair_id(&TOKEN) };
        assert_eq!(s.send(at(2), &relay), Action::Forward(at(1)));
        assert_eq!(s.send(at(1), &relay), Action::Forward(at(2)));
        assert_eq!(s.send(at(3), &relay), Action::Ignore);
        assert_eq!(s.send(at(2), &Message::Relay { pair: [4; 16] }), Action::Ignore);

        // Each end may turn up somewhere else.
        s.register(at(10), vec![]);
        s.meet(at(20), TOKEN);
        assert_eq!(s.send(at(20), &relay), Action::Forward(at(10)));
        assert_eq!(s.send(at(10), &relay), Action::Forward(at(20)));
        assert_eq!(s.send(at(2), &relay), Action::Ignore);
    }

    #[test]
    fn nobody_gets_anything_for_an_address_that_is_not_his() {
        let mut s = Setting::new();
        let hello = Message::Hello { nonce: 5 }.encode();
        let Action::Send(replies) = s.server.handle(s.now, at(1), &hello) else { panic!("no reply") };
        assert!(replies.iter().all(|(to, reply)| *to == at(1) && reply.encode().len() < hello.len()));
        // Longest with IPv6.
        let six: SocketAddr = ([0xffff; 8], 65_535).into();
        let cookie = s.cookie(six);
        assert!(Message::Cookie { nonce: 5, cookie, observed: six }.encode().len() < hello.len());

        let key = s.identity.public();
        let signature = s.identity.sign(&register_text(&cookie));
        let register = Message::Register { cookie, key, signature, candidates: vec![] };
        assert_eq!(s.send(at(1), &register), Action::Ignore, "another's cookie");
        let meet = Message::Meet { cookie, key, token: TOKEN, candidates: vec![] };
        assert_eq!(s.send(at(1), &meet), Action::Ignore, "another's cookie");
        s.now += seconds(61);
        assert_eq!(s.send(six, &register), Action::Ignore, "an old cookie");
        for datagram in [b"".as_slice(), b"GET / HTTP/1.1", &[0xc0; 1200]] {
            assert_eq!(s.server.handle(s.now, at(1), datagram), Action::Ignore);
        }
    }

    #[test]
    fn a_providers_place_takes_its_key() {
        let mut s = Setting::new();
        s.register(at(1), vec![]);
        let cookie = s.cookie(at(6));
        let key = s.identity.public();
        let thief = Identity::of_seed(&[2; 32]).unwrap();
        for signature in [thief.sign(&register_text(&cookie)), s.identity.sign(&register_text(&[0; 16])), [0; 64]] {
            let register = Message::Register { cookie, key, signature, candidates: vec![] };
            assert_eq!(s.send(at(6), &register), Action::Ignore);
        }
        s.meet(at(2), TOKEN);
        assert_eq!(s.send(at(2), &Message::Relay { pair: pair_id(&TOKEN) }), Action::Forward(at(1)));
    }

    #[test]
    fn what_is_not_renewed_is_forgotten() {
        let mut s = Setting::new();
        assert_eq!(s.meet(at(2), TOKEN), Action::Send(vec![(at(2), Message::Absent { token: TOKEN })]));
        s.register(at(1), vec![]);
        s.meet(at(2), TOKEN);
        let relay = Message::Relay { pair: pair_id(&TOKEN) };
        for _ in 0..5 {
            s.now += seconds(50);
            assert_eq!(s.send(at(2), &relay), Action::Forward(at(1)), "used sessions last");
            s.register(at(1), vec![]);
        }
        s.now += seconds(61);
        assert_eq!(s.send(at(2), &relay), Action::Ignore);
        assert_eq!(s.meet(at(2), TOKEN), Action::Send(vec![(at(2), Message::Absent { token: TOKEN })]));
        assert!(s.server.providers.is_empty() && s.server.sessions.is_empty());
    }

    #[test]
    fn nobody_is_relayed_more_than_his_share() {
        let mut s = Setting::new();
        s.register(at(1), vec![]);
        s.meet(at(2), TOKEN);
        let packet = [Message::Relay { pair: pair_id(&TOKEN) }.encode(), vec![0; 983]].concat();
        let burst = |s: &mut Setting| {
            let mut sent = 0;
            while sent < 5000 && s.server.handle(s.now, at(2), &packet) == Action::Forward(at(1)) {
                sent += 1;
            }
            sent
        };
        assert_eq!(burst(&mut s), BURST_BYTES / 1000);
        s.now += Duration::from_millis(100);
        s.meet(at(2), TOKEN);
        assert_eq!(burst(&mut s), 100, "meeting again is no way around it");
        s.now += Duration::from_secs(50);
        assert_eq!(burst(&mut s), BURST_BYTES / 1000, "what was not used is not saved up");
    }

    #[test]
    fn another_providers_token_is_not_to_be_had() {
        let mut s = Setting::new();
        s.register(at(1), vec![]);
        s.meet(at(2), TOKEN);
        s.identity = Identity::of_seed(&[2; 32]).unwrap();
        s.register(at(6), vec![]);
        assert_eq!(s.meet(at(7), TOKEN), Action::Ignore);
        assert_eq!(s.send(at(2), &Message::Relay { pair: pair_id(&TOKEN) }), Action::Forward(at(1)));
    }
}
