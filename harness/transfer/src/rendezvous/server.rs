//! The server's decisions: a datagram in, what to send out. Pure: no socket and no clock; time is passed in.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::message::{Cookie, MAX_CANDIDATES, Message, Token, register_text};
use crate::keys;
use crate::ticket::PeerKey;

/// How long a registration and an unused session last. Ends repeat themselves well before.
const LIFETIME: Duration = Duration::from_secs(60);

/// A cookie is good for this long at least, and twice as long at most.
const COOKIE_LIFETIME: Duration = Duration::from_secs(30);

/// The most providers and the most sessions. A server that is full takes no new ones until old ones have gone.
const MAX_ENTRIES: usize = 10_000;

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
    sessions: HashMap<Token, Session>,
    next_sweep: Duration,
}

#[derive(Debug)]
struct Provider {
    observed: SocketAddr,
    candidates: Vec<SocketAddr>,
    until: Duration,
}

#[derive(Debug)]
struct Session {
    fetcher: SocketAddr,
    provider: PeerKey,
    until: Duration,
}

impl Server {
    /// A server whose cookies follow from 32 secret random bytes.
    pub fn new(secret: [u8; 32]) -> Server {
        Server { secret, providers: HashMap::new(), sessions: HashMap::new(), next_sweep: LIFETIME }
    }

    /// Looks at a datagram. `now` is the time since any moment.
    pub fn handle(&mut self, now: Duration, from: SocketAddr, datagram: &[u8]) -> Action {
        if now >= self.next_sweep {
            self.next_sweep = now + LIFETIME;
            self.providers.retain(|_, provider| provider.until > now);
            self.sessions.retain(|_, session| session.until > now);
        }
        match Message::decode(datagram) {
            Ok(Message::Hello) => {
                let cookie = self.cookie(from, epoch(now));
                Action::Send(vec![(from, Message::Cookie { cookie, observed: from })])
            }
            Ok(Message::Register { cookie, key, signature, candidates }) if self.knows(cookie, from, now) => {
                self.register(now, from, (cookie, key, signature), candidates)
            }
            Ok(Message::Meet { cookie, key, token, candidates }) if self.knows(cookie, from, now) => {
                self.meet(now, from, key, token, candidates)
            }
            Ok(Message::Relay { token }) => self.relay(now, from, token),
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
        self.providers.insert(key, Provider { observed: from, candidates, until: now + LIFETIME });
        let seconds = LIFETIME.as_secs() as u16;
        Action::Send(vec![(from, Message::Registered { seconds, observed: from })])
    }

    fn meet(
        &mut self,
        now: Duration,
        from: SocketAddr,
        key: PeerKey,
        token: Token,
        candidates: Vec<SocketAddr>,
    ) -> Action {
        let Some(provider) = self.providers.get(&key).filter(|provider| provider.until > now) else {
            return Action::Send(vec![(from, Message::Absent { token })]);
        };
        let known = self.sessions.get(&token);
        // Somebody else's token is not to be had by asking.
        if known.is_some_and(|session| session.provider != key)
            || (known.is_none() && self.sessions.len() >= MAX_ENTRIES)
        {
            return Action::Ignore;
        }
        self.sessions.insert(token, Session { fetcher: from, provider: key, until: now + LIFETIME });
        let of_provider = all(provider.observed, &provider.candidates);
        Action::Send(vec![
            (from, Message::Peer { token, candidates: of_provider }),
            (provider.observed, Message::Peer { token, candidates: all(from, &candidates) }),
        ])
    }

    fn relay(&mut self, now: Duration, from: SocketAddr, token: Token) -> Action {
        let Some(session) = self.sessions.get_mut(&token).filter(|session| session.until > now) else {
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
        Action::Forward(to)
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

fn wide(cookie: Cookie) -> blake3::Hash {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&cookie);
    bytes.into()
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
            Setting { server: Server::new([7; 32]), identity: Identity::of_seed(&[1; 32]).unwrap(), now: seconds(1000) }
        }

        fn send(&mut self, from: SocketAddr, message: &Message) -> Action {
            self.server.handle(self.now, from, &message.encode())
        }

        fn cookie(&mut self, from: SocketAddr) -> Cookie {
            let Action::Send(replies) = self.send(from, &Message::Hello) else { panic!("no reply") };
            let [(to, Message::Cookie { cookie, observed })] = replies.as_slice() else { panic!("{replies:?}") };
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
        let expect = vec![
            (at(2), Message::Peer { token: TOKEN, candidates: vec![at(1), at(11)] }),
            (at(1), Message::Peer { token: TOKEN, candidates: vec![at(2), at(77)] }),
        ];
        assert_eq!(s.meet(at(2), TOKEN), Action::Send(expect));
        let relay = Message::Relay { token: TOKEN };
        assert_eq!(s.send(at(2), &relay), Action::Forward(at(1)));
        assert_eq!(s.send(at(1), &relay), Action::Forward(at(2)));
        assert_eq!(s.send(at(3), &relay), Action::Ignore);
        assert_eq!(s.send(at(2), &Message::Relay { token: [4; 16] }), Action::Ignore);

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
        let hello = Message::Hello.encode();
        let Action::Send(replies) = s.server.handle(s.now, at(1), &hello) else { panic!("no reply") };
        assert!(replies.iter().all(|(to, reply)| *to == at(1) && reply.encode().len() < hello.len()));
        // Longest with IPv6.
        let six: SocketAddr = ([0xffff; 8], 65_535).into();
        let cookie = s.cookie(six);
        assert!(Message::Cookie { cookie, observed: six }.encode().len() < hello.len());

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
        assert_eq!(s.send(at(2), &Message::Relay { token: TOKEN }), Action::Forward(at(1)));
    }

    #[test]
    fn what_is_not_renewed_is_forgotten() {
        let mut s = Setting::new();
        assert_eq!(s.meet(at(2), TOKEN), Action::Send(vec![(at(2), Message::Absent { token: TOKEN })]));
        s.register(at(1), vec![]);
        s.meet(at(2), TOKEN);
        let relay = Message::Relay { token: TOKEN };
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
    fn another_providers_token_is_not_to_be_had() {
        let mut s = Setting::new();
        s.register(at(1), vec![]);
        s.meet(at(2), TOKEN);
        s.identity = Identity::of_seed(&[2; 32]).unwrap();
        s.register(at(6), vec![]);
        assert_eq!(s.meet(at(7), TOKEN), Action::Ignore);
        assert_eq!(s.send(at(2), &Message::Relay { token: TOKEN }), Action::Forward(at(1)));
    }
}
