//! Two ends and a network of virtual time between them.

use super::*;

const TOKEN: Token = [9; 16];
const BOTH: Ways = Ways { direct: true, relay: true };

fn at(port: u16) -> SocketAddr {
    ([192, 0, 2, 1], port).into()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Ends 0 and 1, at ports 1000 and 1001. What one sends to the other arrives after the delay, or not at all.
struct Net {
    ends: [Pair; 2],
    now: Duration,
    delay: Duration,
    broken: bool,
    flying: Vec<(Duration, usize, SocketAddr, Message)>,
    probes: usize,
}

impl Net {
    fn new(ways: Ways) -> Net {
        let ends = [Side::Fetcher, Side::Provider].map(|side| Pair::new(&TOKEN, side, ways));
        Net { ends, now: ms(1000), delay: ms(20), broken: false, flying: Vec::new(), probes: 0 }
    }

    fn introduce(&mut self) {
        self.ends[0].introduce(&[at(1001), at(7)]);
        self.ends[1].introduce(&[at(1000), at(8)]);
    }

    fn send(&mut self, from: usize, to: SocketAddr, message: Message) {
        self.probes += usize::from(matches!(message, Message::Probe { .. }));
        let other = 1 - from;
        if !self.broken && to == at(1000 + other as u16) {
            self.flying.push((self.now + self.delay, other, at(1000 + from as u16), message));
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now += ms(1);
            let now = self.now;
            let (arrived, flying) = std::mem::take(&mut self.flying).into_iter().partition(|(due, ..)| *due <= now);
            self.flying = flying;
            for (_, end, from, message) in arrived {
                if let (Some(reply), _) = self.ends[end].hear(now, from, &message) {
                    self.send(end, from, reply);
                }
            }
            for end in 0..2 {
                for (to, message) in self.ends[end].poll(now).0 {
                    self.send(end, to, message);
                }
            }
        }
    }

    fn send_quic(&mut self) {
        for end in &mut self.ends {
            assert_ne!(end.send(self.now), Route::None);
        }
    }

    fn routes(&self) -> [Route; 2] {
        [0, 1].map(|end| self.ends[end].route())
    }
}

const DIRECT: fn() -> [Route; 2] = || [Route::Direct(at(1001)), Route::Direct(at(1000))];

#[test]
fn a_path_is_used_after_one_round_trip() {
    let mut net = Net::new(BOTH);
    let relay = Route::Relay(pair_id(&TOKEN));
    assert_eq!(net.routes(), [relay, relay]);
    net.introduce();
    net.run(ms(40));
    assert_eq!(net.routes(), [relay, relay], "nothing can have come back");
    net.run(ms(2));
    assert_eq!(net.routes(), DIRECT());
    assert_eq!(net.ends[0].changes().load(Ordering::Relaxed), 1);
}

#[test]
fn a_path_that_falls_silent_is_left_and_taken_again() {
    let mut net = Net::new(BOTH);
    net.introduce();
    net.run(ms(60_000));
    net.broken = true;
    net.send_quic();
    net.run(ms(470));
    assert_eq!(net.routes(), DIRECT(), "4 round trips and 400 ms have not passed");
    net.run(ms(200));
    let relay = Route::Relay(pair_id(&TOKEN));
    assert_eq!(net.routes(), [relay, relay]);
    assert!(net.ends[0].take_trouble(net.now) && !net.ends[0].take_trouble(net.now));
    net.run(ms(20_000));
    net.broken = false;
    net.run(ms(5_100));
    assert_eq!(net.routes(), DIRECT(), "probed each 5 s at least");
}

#[test]
fn silence_is_seen_even_if_nobody_has_anything_to_say() {
    let mut net = Net::new(BOTH);
    net.introduce();
    net.run(ms(3_000));
    net.broken = true;
    net.run(ms(5_600));
    assert!(net.routes().iter().all(|route| matches!(route, Route::Relay(_))), "{:?}", net.routes());
}

#[test]
fn a_process_that_slept_asks_before_it_judges() {
    let mut net = Net::new(BOTH);
    net.introduce();
    net.run(ms(3_000));
    net.send_quic();
    net.now += ms(4_000);
    net.run(ms(100));
    assert_eq!(net.routes(), DIRECT());
}

#[test]
fn idle_pairs_probe_rarely() {
    let mut net = Net::new(BOTH);
    net.introduce();
    net.run(ms(10_000));
    net.probes = 0;
    net.run(ms(60_000));
    // Two addresses at each end, one of which does not work.
    assert!((40..=52).contains(&net.probes), "{} probes", net.probes);
}

#[test]
fn without_a_relay_the_last_path_is_kept() {
    let mut net = Net::new(Ways { direct: true, relay: false });
    assert_eq!(net.routes(), [Route::None; 2]);
    net.introduce();
    net.run(ms(100));
    net.broken = true;
    net.run(ms(60_000));
    assert_eq!(net.routes(), DIRECT());
    let mut net = Net::new(Ways { direct: false, relay: true });
    net.introduce();
    net.run(ms(10_000));
    assert_eq!(net.probes, 0);
}

#[test]
fn an_address_that_was_not_named_is_found() {
    let mut net = Net::new(BOTH);
    net.ends[0].introduce(&[at(1001)]);
    net.run(ms(100));
    assert_eq!(net.routes(), DIRECT());
}

/// Strangers know the addresses, and may know the pair's name from relayed packets.
#[test]
fn strangers_cannot_lead_a_path_astray() {
    let mut net = Net::new(BOTH);
    net.introduce();
    net.run(ms(100));
    let (id, now) = (pair_id(&TOKEN), net.now);
    let own = net.ends[0].seal;
    let (probes, _) = net.ends[0].poll(now + ms(5_000));
    let (_, first) = probes.first().unwrap();
    let Message::Probe { nonce, .. } = first else { panic!("{first:?}") };
    let forged = [
        Message::probe(id, 1, &[0; 32]),
        Message::answer(id, *nonce, &[0; 32]),
        // Its own, thrown back.
        first.clone(),
        Message::answer(id, *nonce, &own),
    ];
    for message in forged {
        assert_eq!(net.ends[0].hear(now, at(666), &message), (None, false), "{message:?}");
    }
    // What the other end really said, from elsewhere: answered, but not a path without answers to probes of its own.
    let replayed = Message::answer(id, *nonce, &net.ends[1].seal);
    net.ends[0].hear(now, at(666), &replayed);
    assert_eq!(net.routes(), DIRECT());
    assert!(net.ends[0].paths.iter().all(|path| path.remote != at(666) || path.rtt.is_none()));
}

#[test]
fn paths_are_bounded_and_good_ones_stay() {
    let mut net = Net::new(BOTH);
    net.introduce();
    net.run(ms(100));
    let probe = Message::probe(pair_id(&TOKEN), 5, &net.ends[1].seal);
    for port in 2000..2100 {
        net.ends[0].hear(net.now, at(port), &probe);
    }
    assert_eq!((net.ends[0].paths.len(), net.routes()), (MAX_PATHS, DIRECT()));
}
