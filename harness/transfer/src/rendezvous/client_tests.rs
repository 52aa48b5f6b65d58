//! Two ends, the server and a network of virtual time between them.

use super::super::server::{Action, Server};
use super::*;

const TOKEN: Token = [9; 16];
const BOTH: Ways = Ways { direct: true, relay: true };

fn address(host: u8, port: u16) -> SocketAddr {
    ([198, 51, 100, host], port).into()
}

/// Whether a message from here to there is lost.
type Lose = dyn FnMut(SocketAddr, SocketAddr, &Message) -> bool;

/// A provider at host 1 and a fetcher at host 2; the server at host 9. Nothing that is lost arrives.
struct World {
    server: Server,
    ends: [Client; 2],
    places: [SocketAddr; 2],
    now: Duration,
    lose: Box<Lose>,
    hellos: usize,
}

impl World {
    fn new(ways: Ways) -> World {
        let identity = Identity::of_seed(&[1; 32]).unwrap();
        let key = identity.public();
        let servers = [address(8, 9), address(9, 9)];
        let client = |role, nonce| Client::new(role, &servers, ways, nonce);
        World {
            server: Server::new([7; 32], 1_000_000),
            ends: [client(Role::Provider(identity), 100), client(Role::Fetcher(key, TOKEN), u64::MAX)],
            places: [address(1, 1), address(2, 2)],
            now: Duration::from_secs(1000),
            // The first of the server's addresses does not work.
            lose: Box::new(|_, to, _| to == address(8, 9)),
            hellos: 0,
        }
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, message: Message) {
        self.hellos += usize::from(matches!(message, Message::Hello { .. }));
        if (self.lose)(from, to, &message) {
            return;
        }
        if to == address(9, 9) {
            if let Action::Send(replies) = self.server.handle(self.now, from, &message.encode()) {
                replies.into_iter().for_each(|(end, reply)| self.send(to, end, reply));
            }
        } else if let Some(end) = self.places.iter().position(|place| *place == to) {
            let replies = self.ends[end].handle(self.now, from, message);
            replies.into_iter().for_each(|(other, reply)| self.send(to, other, reply));
        }
    }

    /// Everybody is asked in turn, every 5 ms. Messages take no time.
    fn run(&mut self, ms: u64) {
        for _ in 0..ms / 5 {
            for end in 0..2 {
                let (out, next) = self.ends[end].poll(self.now);
                assert!(next > self.now, "it would be asked again without an end");
                out.into_iter().for_each(|(to, message)| self.send(self.places[end], to, message));
            }
            self.now += Duration::from_millis(5);
        }
    }

    fn route(&self) -> Option<Route> {
        let Progress::Met(made_up) = self.ends[1].progress() else { return None };
        self.ends[1].route(made_up)
    }
}

#[test]
fn ends_meet_and_find_each_other() {
    let mut world = World::new(BOTH);
    world.run(1000);
    assert!(world.ends[0].is_registered());
    assert_eq!(world.route(), Some(Route::Direct(address(1, 1))));
    world.hellos = 0;
    world.run(60_000);
    assert!((12..=18).contains(&world.hellos), "{} hellos: one for each address and 15 s", world.hellos);
}

#[test]
fn a_pair_without_a_direct_path_is_relayed() {
    let mut world = World::new(BOTH);
    world.lose = Box::new(|from, to, _| to == address(8, 9) || from != address(9, 9) && to != address(9, 9));
    world.run(5000);
    let relay = Route::Relay(pair_id(&TOKEN));
    assert_eq!(world.route(), Some(relay));
    let Progress::Met(made_up) = world.ends[1].progress() else { panic!("not met") };
    let now = world.now;
    let fetcher = &mut world.ends[1];
    assert_eq!(fetcher.send(now, made_up), Some(relay));
    assert_eq!(fetcher.home(), Some(address(9, 9)));
    assert_eq!(fetcher.received_relayed(now, address(9, 9), pair_id(&TOKEN), 10), Some(made_up));
    assert_eq!(fetcher.received_relayed(now, address(5, 5), pair_id(&TOKEN), 10), None, "not from the server");
    assert_eq!(fetcher.received_directly(now, address(1, 1), 10), None, "nothing was proven");
    assert_eq!(fetcher.received, [0, 10]);
}

#[test]
fn what_is_lost_is_said_again() {
    for seed in 1..5_u8 {
        let mut world = World::new(BOTH);
        let mut number: u64 = 0;
        world.lose = Box::new(move |_, to, _| {
            number += 1;
            let draw = blake3::keyed_hash(&[seed; 32], &number.to_le_bytes());
            to == address(8, 9) || draw.as_bytes()[0] < 64
        });
        world.run(30_000);
        assert_eq!(world.route(), Some(Route::Direct(address(1, 1))), "a quarter of everything is lost, seed {seed}");
    }
}

#[test]
fn an_end_that_moves_is_found_again() {
    let mut world = World::new(BOTH);
    world.run(2000);
    for end in [1, 0] {
        world.places[end] = address(4, 40 + end as u16);
        let (now, place) = (world.now, world.places[end]);
        world.ends[end].set_local(now, vec![place]);
        world.run(3000);
        assert_eq!(world.route(), Some(Route::Direct(world.places[0])));
        let (_, pair) = world.ends[0].pairs.first_key_value().unwrap();
        assert_eq!(pair.route(), Route::Direct(world.places[1]));
    }
}

#[test]
fn only_the_server_introduces() {
    let mut world = World::new(BOTH);
    world.run(1000);
    let pairs = world.ends[0].pairs.len();
    let cookie = world.ends[0].shown[0].unwrap();
    for (from, cookie) in [(address(9, 9), [0; 16]), (address(6, 6), cookie)] {
        let forged = Message::Peer { cookie, token: [1; 16], candidates: vec![address(66, 6)] };
        world.ends[0].handle(world.now, from, forged);
        let forged = Message::Cookie { nonce: 0, cookie, observed: address(66, 6) };
        assert_eq!(world.ends[0].handle(world.now, from, forged), []);
    }
    assert_eq!(world.ends[0].pairs.len(), pairs);
}

#[test]
fn a_provider_forgets_who_has_gone_and_takes_no_more_than_it_can() {
    let mut world = World::new(BOTH);
    world.run(1000);
    let cookie = world.ends[0].shown[0].unwrap();
    for n in 0..1000_u16 {
        let mut token = [0; 16];
        token[..2].copy_from_slice(&n.to_le_bytes());
        world.ends[0].handle(world.now, address(9, 9), Message::Peer { cookie, token, candidates: vec![] });
    }
    assert_eq!(world.ends[0].pairs.len(), MAX_PAIRS);
    world.run(90_000);
    assert_eq!(world.ends[0].pairs.len(), 1, "the fetcher that is there stays");
    assert!(world.ends[0].by_id.len() == 1 && world.ends[0].by_remote.len() == 1);
}

#[test]
fn a_fetcher_hears_that_nobody_is_there() {
    let mut world = World::new(BOTH);
    assert_eq!(world.ends[1].progress(), Progress::Silence);
    world.ends[0] = Client::new(Role::Provider(Identity::of_seed(&[3; 32]).unwrap()), &[address(9, 9)], BOTH, 1);
    world.run(1000);
    assert_eq!(world.ends[1].progress(), Progress::Absent);
}
