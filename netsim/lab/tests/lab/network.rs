//! What packets meet.

use crate::{STALL, host};
use longhaul_record::{Calibration, MtuCheck, PathCheck, Tolerance};
use longhaul_stats::Deviation;
use netsim_fabric::{
    Jitter, LinkConfig, LinkState, Loss, Mtu, NatConfig, Outage, Oversize, Probability, Proto, Queue, Rate, Reorder,
    Shift,
};
use netsim_lab::{Lab, calibrate, calibrate_access};
use netsim_topology::{
    Access, Change, Direction, Event, Gateway, Host, LinkName, Plan, Router, Topology, Transit, plan,
};
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const MS: u64 = 1_000_000;

/// Two public hosts; `link` lies in front of the first, in both directions.
pub(crate) fn pair(link: LinkConfig) -> Topology {
    let hosts = vec![host("a", None, link), host("b", None, LinkConfig::default())];
    Topology { hosts, ..Topology::default() }
}

fn home(nat: NatConfig) -> Topology {
    let wire = LinkConfig::default();
    let router = Router::new("home", Gateway::with_nat(nat), Access { up: wire.clone(), down: wire.clone() });
    Topology {
        routers: vec![router],
        hosts: vec![host("a", Some("home"), wire.clone()), host("b", None, wire)],
        ..Topology::default()
    }
}

pub(crate) fn up(topology: &Topology, seed: u64) -> (Plan, Lab) {
    let plan = plan(topology).unwrap();
    let lab = Lab::up_with(&plan, seed, crate::engines()).unwrap();
    (plan, lab)
}

pub(crate) fn loss(percent: u32) -> Loss {
    Loss::Bernoulli(Probability::from_ppb(percent * 10_000_000).unwrap())
}

fn rate(mbit: u64) -> Rate {
    Rate::Constant(NonZeroU64::new(mbit * 1_000_000).unwrap())
}

/// The smallest of 20 round trips: the time that no scheduling can undercut.
fn round_trip(lab: &Lab) -> Duration {
    let (a, b) = (lab.host("a").unwrap().udp().unwrap(), lab.host("b").unwrap().udp().unwrap());
    a.connect(b.local_addr().unwrap()).unwrap();
    let once = || {
        let sent = netsim_lab::now();
        a.send(b"ping").unwrap();
        let mut buffer = [0; 8];
        let (len, from) = b.recv_from(&mut buffer).unwrap();
        b.send_to(&buffer[..len], from).unwrap();
        a.recv(&mut buffer).unwrap();
        Duration::from_nanos(netsim_lab::now().nanos_since(sent))
    };
    (0..20).map(|_| once()).min().unwrap()
}

pub(crate) fn delays_are_what_was_asked() {
    for delay_ns in [0, 3 * MS, 30 * MS] {
        let (_, lab) = up(&pair(LinkConfig { delay_ns, ..LinkConfig::default() }), 1);
        let got = round_trip(&lab);
        let asked = Duration::from_nanos(2 * delay_ns);
        // Never early, however busy the machine is. Late by what that costs: how much is for the self check to say, here
        // it only must not be a wrong unit.
        assert!(got >= asked && got < asked + STALL, "asked {asked:?}, got {got:?}");
    }
}

/// Waits for what the emulator does in its own time.
pub(crate) fn eventually(holds: impl Fn() -> bool) {
    let until = netsim_lab::now() + 10_000 * MS;
    while !holds() {
        assert!(netsim_lab::now() < until, "not within 10 s");
        std::thread::yield_now();
    }
}

/// Which of `count` numbered datagrams from `a` reach `b`.
fn survivors(lab: &Lab, count: u32) -> Vec<u32> {
    let (a, b) = (lab.host("a").unwrap().udp().unwrap(), lab.host("b").unwrap().udp().unwrap());
    a.connect(b.local_addr().unwrap()).unwrap();
    b.set_read_timeout(Some(STALL)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..count).for_each(|n| assert_eq!(a.send(&n.to_be_bytes()).unwrap(), 4)));
        let mut buffer = [0; 4];
        std::iter::from_fn(|| b.recv(&mut buffer).ok().map(|_| u32::from_be_bytes(buffer))).collect()
    })
}

pub(crate) fn the_same_seed_loses_the_same_packets() {
    let (_, lab) = up(&pair(LinkConfig { loss: loss(20), ..LinkConfig::default() }), 7);
    let first = survivors(&lab, 300);
    assert!((200..280).contains(&first.len()), "{} of 300 at 20 % loss", first.len());
    lab.restart(7).unwrap();
    assert_eq!(survivors(&lab, 300), first);
    lab.restart(8).unwrap();
    assert_ne!(survivors(&lab, 300), first);
}

/// Bytes whose order and content can be checked.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

pub(crate) fn send_tcp(lab: &Lab, from: &str, to: &str, address: IpAddr, bytes: &[u8]) -> Vec<u8> {
    let listener: TcpListener = lab.host(to).unwrap().run(|| TcpListener::bind((address, 0))).unwrap().unwrap();
    let target = listener.local_addr().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = lab.host(from).unwrap().run(|| TcpStream::connect(target)).unwrap().unwrap();
            stream.write_all(bytes).unwrap();
        });
        let mut got = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut got).unwrap();
        got
    })
}

pub(crate) fn tcp_arrives_whole_over_every_kind_of_link() {
    let wire = LinkConfig::default();
    let bytes = pattern(4_000_000);
    for link in [
        wire.clone(),
        LinkConfig { delay_ns: MS, jitter: Jitter::Uniform { ns: MS / 2 }, ..wire.clone() },
        LinkConfig { delay_ns: MS, loss: loss(1), coalesce_ns: 100_000, ..wire.clone() },
        LinkConfig { rate: rate(200), queue: Queue::drop_tail(100_000), coalesce_ns: 100_000, ..wire },
    ] {
        let (plan, lab) = up(&pair(link.clone()), 3);
        for address in &plan.addresses.hosts["b"] {
            assert!(send_tcp(&lab, "a", "b", *address, &bytes) == bytes, "to {address} over {link:?}");
        }
        let fidelity = lab.fidelity(&lab.snapshot().unwrap()).unwrap();
        assert_eq!(fidelity.unintended_drops, [].into(), "over {link:?}");
    }
    let (plan, lab) = up(&home(NatConfig::default()), 3);
    assert!(send_tcp(&lab, "a", "b", plan.addresses.hosts["b"][0], &bytes) == bytes, "through a NAT");
}

pub(crate) fn behind_a_nat_only_answers_come_in() {
    let (plan, lab) = up(&home(NatConfig::default()), 1);
    let (inside, outside) = (lab.host("a").unwrap().udp().unwrap(), lab.host("b").unwrap().udp().unwrap());
    let external = IpAddr::V4(plan.addresses.external("home").unwrap());
    inside.set_read_timeout(Some(STALL)).unwrap();
    let port = inside.local_addr().unwrap().port();
    let mut buffer = [0; 8];
    outside.send_to(b"early", (external, port)).unwrap();
    assert!(inside.recv(&mut buffer).is_err(), "no mapping yet");
    inside.send_to(b"hello", outside.local_addr().unwrap()).unwrap();
    let (_, seen) = outside.recv_from(&mut buffer).unwrap();
    assert_eq!((seen.ip(), seen.port()), (external, port), "translated, port preserved");
    outside.send_to(b"answer", seen).unwrap();
    assert_eq!(inside.recv(&mut buffer).unwrap(), 6);
    let drops = lab.router_drops(&lab.snapshot().unwrap());
    assert_eq!(drops.get("home: nat_no_mapping"), Some(&1));
}

pub(crate) fn a_nats_mappings_are_told_of_once() {
    let (_, lab) = up(&home(NatConfig::default()), 1);
    let (inside, outside) = (lab.host("a").unwrap().udp().unwrap(), lab.host("b").unwrap().udp().unwrap());
    let mut buffer = [0; 8];
    let mut send = |socket: &UdpSocket| {
        socket.send_to(b"hello", outside.local_addr().unwrap()).unwrap();
        outside.recv_from(&mut buffer).unwrap();
    };
    let told = || {
        let snapshot = lab.snapshot().unwrap();
        let events = lab.mapping_events(&snapshot);
        let own = events.filter(|(router, _)| *router == "home");
        own.map(|(_, event)| (event.internal.port, event.at < snapshot.since, event.ended)).collect::<Vec<_>>()
    };
    // Made before the part that counts: still told of, as earlier.
    send(&inside);
    lab.play_on(1, &[]).unwrap();
    let later = lab.host("a").unwrap().udp().unwrap();
    send(&later);
    let [first, second] = [&inside, &later].map(|socket| socket.local_addr().unwrap().port());
    assert_eq!(told(), [(first, true, None), (second, false, None)]);
    assert_eq!(told(), []);
    send(&later);
    lab.restart(1).unwrap();
    assert_eq!(told(), [], "a table that is lost has nothing to tell");
}

pub(crate) fn two_labs_run_side_by_side() {
    let labs: Vec<Lab> =
        [1, 9].map(|ms| up(&pair(LinkConfig { delay_ns: ms * MS, ..LinkConfig::default() }), 1).1).into();
    let times: Vec<Duration> = labs.iter().map(round_trip).collect();
    assert!(times[0] >= Duration::from_millis(2) && times[1] >= Duration::from_millis(18), "{times:?}");
    assert!(times.iter().all(|time| *time < STALL), "{times:?}");
}

fn asked_and_got(check: &PathCheck) -> String {
    format!("{check:?}")
}

pub(crate) fn calibration_sees_delay_loss_and_rate() {
    let queue = Queue::drop_tail(200_000);
    let link = LinkConfig { delay_ns: 20 * MS, loss: loss(5), rate: rate(20), queue, ..LinkConfig::default() };
    let topology = pair(link);
    let (_, lab) = up(&topology, 11);
    for check in calibrate(&lab, &topology, "a", "b").unwrap() {
        let text = asked_and_got(&check);
        assert_eq!(check.delay.asked_ns, 20 * MS + 60 * 8 * 50, "{text}");
        assert!(check.delay.median_ns + MS / 2 > check.delay.asked_ns, "{text}");
        assert!(check.delay.median_ns < check.delay.asked_ns + STALL.as_nanos() as u64, "{text}");
        // 5 % of 400 probes; the binomial's 99.99 % range.
        assert_eq!((check.loss.asked_ppb, check.loss.sent > 300), (50_000_000, true), "{text}");
        assert!((5..40).contains(&check.loss.lost), "{text}");
        // Loss thins the train out by as much, a stalled emulator by more; nothing makes it denser.
        let got = check.rate.as_ref().unwrap().got_bps;
        assert!((2_000_000..=20_400_000).contains(&got), "{text}");
        assert_eq!((check.reordered, check.duplicated), (0, 0), "{text}");
    }
}

/// Copies, packets out of order and bursts are counted where they are asked for, and none of them twice.
pub(crate) fn calibration_counts_what_it_asked_for() {
    let link = LinkConfig {
        delay_ns: 5 * MS,
        duplicate: Probability::from_ppb(50_000_000).unwrap(),
        reorder: Reorder::Share { share: Probability::from_ppb(50_000_000).unwrap(), shift: Shift::Behind(5 * MS) },
        loss: Loss::GilbertElliott {
            fail: Probability::from_ppb(10_000_000).unwrap(),
            recover: Probability::from_ppb(200_000_000).unwrap(),
            loss_good: Probability::ZERO,
            loss_bad: Probability::ONE,
        },
        ..LinkConfig::default()
    };
    let topology = pair(link);
    let (_, lab) = up(&topology, 5);
    let paths = calibrate(&lab, &topology, "a", "b").unwrap();
    for check in &paths {
        let text = format!("{check:?}");
        assert!(check.reordered > 0 && check.reorder_asked, "{text}");
        assert!(check.duplicated > 0 && check.duplicate_ppb == 50_000_000, "{text}");
        assert!((1..check.loss.lost).contains(&check.loss.bursts) && check.loss.clumping_permille == 7_523, "{text}");
        // Lost ones and copies do not make up for each other.
        assert!(check.loss.sent > check.loss.lost && check.loss.lost < check.loss.sent / 2, "{text}");
        assert!(check.delay.quantiles.windows(2).all(|pair| pair[0].ns <= pair[1].ns), "{text}");
    }
    // Both ways from the core: the pair has no routers, so it is the host's own link.
    let [there, back] = calibrate_access(&lab, &topology, "a", "a").unwrap();
    assert_eq!((there.from.as_str(), there.to.as_str(), back.to.as_str()), ("a", "internet", "a"));
    assert_eq!((there.delay.asked_ns, back.delay.asked_ns), (5 * MS, 5 * MS));
}

/// From a home in one region to a home in another: nothing but the core's part of each can be probed.
pub(crate) fn regions_are_as_far_away_as_was_asked() {
    let link = |ms| LinkConfig { delay_ns: ms * MS, ..LinkConfig::default() };
    let home = |name: &str, region: &str| Router {
        region: Some(region.into()),
        ..Router::new(name, Gateway::with_nat(NatConfig::default()), Access::both(link(1)))
    };
    let between = ["east".to_owned(), "west".to_owned()];
    let topology = Topology {
        routers: vec![home("here", "west"), home("there", "east")],
        hosts: vec![
            host("a", Some("here"), link(0)),
            host("b", Some("there"), link(0)),
            Host::in_region("c", "east", Access::default()),
        ],
        transits: vec![Transit { between, link: Access { up: link(40), down: link(60) } }],
    };
    let (_, lab) = up(&topology, 3);
    let paths = [
        calibrate(&lab, &topology, "a", "c").unwrap(),
        calibrate_access(&lab, &topology, "a", "b").unwrap(),
        calibrate_access(&lab, &topology, "b", "a").unwrap(),
        calibrate_access(&lab, &topology, "a", "a").unwrap(),
    ];
    for ([there, back], asked) in paths.iter().zip([[61, 41], [61, 41], [41, 61], [1, 1]]) {
        for (check, asked) in [there, back].into_iter().zip(asked) {
            assert_eq!((check.delay.asked_ns, check.loss.lost), (asked * MS, 0), "{}", asked_and_got(check));
            let least = check.delay.quantiles.iter().map(|quantile| quantile.ns).min().unwrap();
            // What arrives is taken to have arrived a little earlier than the program woke up.
            assert!((asked * MS - MS / 2..asked * MS + 20 * MS).contains(&least), "{}", asked_and_got(check));
        }
    }
}

pub(crate) fn calibration_sees_a_wrong_network() {
    // So much is asked that no stall of the machine can make up for what is missing.
    let asked = pair(LinkConfig { delay_ns: 2_000 * MS, ..LinkConfig::default() });
    let (_, lab) = up(&pair(LinkConfig { delay_ns: MS / 10, loss: loss(10), ..LinkConfig::default() }), 1);
    let [there, _] = calibrate(&lab, &asked, "a", "b").unwrap();
    assert!(there.delay.asked_ns == 2_000 * MS && there.delay.median_ns < 1_000 * MS, "{}", asked_and_got(&there));
    assert!(there.loss.asked_ppb == 0 && there.loss.lost > 0, "{}", asked_and_got(&there));
}

/// Both ways to be too large, and a network that is not what was asked. Programs that come after learn nothing of it.
pub(crate) fn calibration_finds_the_largest_packet() {
    let link = |bytes, oversize| LinkConfig {
        mtu: Some(Mtu { bytes, oversize }),
        loss: loss(10),
        rate: rate(20),
        queue: Queue::drop_tail(200_000),
        ..LinkConfig::default()
    };
    for oversize in [Oversize::TooBig, Oversize::BlackHole] {
        let topology = pair(link(1280, oversize));
        let (_, lab) = up(&topology, 3);
        let paths = calibrate(&lab, &topology, "a", "b").unwrap();
        assert_eq!(paths.each_ref().map(|path| path.mtu), [Some(MtuCheck { asked: 1280, got: 1280 }); 2]);
        // The train's packets are smaller than usual here.
        assert!(paths.iter().all(|path| path.rate.as_ref().is_some_and(|rate| rate.got_bps > 0)), "{paths:?}");
        for asked in [1000, 1500] {
            let wrong = calibrate(&lab, &pair(link(asked, oversize)), "a", "b").unwrap();
            assert_eq!(wrong.map(|path| path.mtu), [Some(MtuCheck { asked, got: 1280 }); 2]);
        }
        let socket = lab.host("a").unwrap().udp().unwrap();
        let to = lab.host("b").unwrap().udp().unwrap().local_addr().unwrap();
        socket.connect(to).unwrap();
        assert_eq!(getsockopt(&socket, sockopt::IpMtu).unwrap(), 1500);
    }
}

pub(crate) fn a_stalled_emulator_is_noticed() {
    let (_, lab) = up(&pair(LinkConfig::default()), 1);
    round_trip(&lab);
    lab.stall(1000 * MS).unwrap();
    let fidelity = lab.fidelity(&lab.snapshot().unwrap()).unwrap();
    assert!(fidelity.longest_gap_ns >= 1000 * MS, "{fidelity:?}");
    assert!(fidelity.gaps >= 1);
    // By which a run is untrusted.
    let deviations = longhaul_stats::judge(&Calibration::default(), &fidelity, &Tolerance::default());
    assert!(deviations.iter().any(|deviation| matches!(deviation, Deviation::Gap { .. })), "{deviations:?}");
}

/// More than one thread can carry, however fast the machine is: there are more senders.
pub(crate) fn an_overloaded_emulator_says_so() {
    const SENDERS: usize = 4;
    let names: Vec<String> = (0..SENDERS).map(|n| format!("sender-{n}")).collect();
    let mut hosts = vec![host("sink", None, LinkConfig::default())];
    hosts.extend(names.iter().map(|name| host(name, None, LinkConfig::default())));
    let (_, lab) = up(&Topology { routers: vec![], hosts, ..Topology::default() }, 1);
    let sink = lab.host("sink").unwrap().udp().unwrap();
    let to = sink.local_addr().unwrap();
    let enough = AtomicBool::new(false);
    let said = std::thread::scope(|scope| {
        for name in &names {
            let socket = lab.host(name).unwrap().udp().unwrap();
            // The device's queue is full most of the time.
            scope.spawn({
                let enough = &enough;
                move || {
                    while !enough.load(Ordering::Relaxed) {
                        let _ = socket.send_to(&[7; 64], to);
                    }
                }
            });
        }
        let until = netsim_lab::now() + 20_000 * MS;
        let said = loop {
            let fidelity = lab.fidelity(&lab.snapshot().unwrap()).unwrap();
            let deviations = longhaul_stats::judge(&Calibration::default(), &fidelity, &Tolerance::default());
            let bottleneck = deviations.iter().any(|deviation| matches!(deviation, Deviation::Bottleneck { .. }));
            if bottleneck || netsim_lab::now() > until {
                break (bottleneck, fidelity);
            }
        };
        enough.store(true, Ordering::Relaxed);
        said
    });
    assert!(said.0, "{:?}", said.1);
}

/// Sent before the link goes down, while it is down, and after: what arrives, and when.
pub(crate) fn links_change_at_their_time() {
    let link = LinkConfig { delay_ns: MS, ..LinkConfig::default() };
    let (_, lab) = up(&pair(link.clone()), 1);
    let name = LinkName { link: "a.link".into(), direction: Direction::Up };
    let change = |at_ns, config| Event { at_ns, change: Change::Link { name: name.clone(), config: Box::new(config) } };
    let held = LinkConfig { state: LinkState::Down(Outage::Hold), ..link.clone() };
    let until = 400 * MS;
    let (a, b) = (lab.host("a").unwrap().udp().unwrap(), lab.host("b").unwrap().udp().unwrap());
    a.connect(b.local_addr().unwrap()).unwrap();
    lab.play(1, &[change(0, held), change(until, link)]).unwrap();
    let since = lab.snapshot().unwrap().since;
    a.send(b"held").unwrap();
    b.recv(&mut [0; 8]).unwrap();
    let took = netsim_lab::now().nanos_since(since);
    assert!(took >= until + MS, "held for {took} ns");
    let counters = lab.snapshot().unwrap().links[0];
    assert_eq!((counters.packets, counters.delivered), (1, 1));
    // What an event has changed is forgotten with the next start.
    let lost = LinkConfig { state: LinkState::Down(Outage::Drop), ..LinkConfig::default() };
    lab.change(&change(0, lost).change).unwrap();
    a.send(b"lost").unwrap();
    // What the emulator has not read yet would meet the link as it is after the start.
    eventually(|| lab.snapshot().unwrap().links[0].down == 1);
    lab.restart(1).unwrap();
    a.send(b"late").unwrap();
    let mut buffer = [0; 8];
    b.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..4], b"late");
}

pub(crate) fn ports_are_mapped_until_a_reboot() {
    let (plan, lab) = up(&home(NatConfig::default()), 1);
    let (inside, outside) = (lab.host("a").unwrap().udp().unwrap(), lab.host("b").unwrap().udp().unwrap());
    let internal = inside.local_addr().unwrap().into();
    let mapped = lab.map_port("home", Proto::Udp, internal, Some(7777), 60_000 * MS).unwrap().unwrap();
    assert_eq!((mapped.addr, mapped.port), (IpAddr::V4(plan.addresses.external("home").unwrap()), 7777));
    assert_eq!(lab.mappings("home").unwrap().len(), 1);
    let mut buffer = [0; 8];
    outside.send_to(b"hello", (mapped.addr, mapped.port)).unwrap();
    assert_eq!(inside.recv(&mut buffer).unwrap(), 5);
    lab.change(&Change::Reboot { router: "home".into() }).unwrap();
    assert_eq!(lab.mappings("home").unwrap(), []);
    let error = lab.mappings("work").unwrap_err();
    assert_eq!(error.to_string(), "no router `work`; there are: home");
}

/// A UDP super-packet of 40 segments over a lossy link must lose single segments.
pub(crate) fn losses_hit_segments_not_super_packets() {
    let (_, lab) = up(&pair(LinkConfig { loss: loss(20), ..LinkConfig::default() }), 6);
    let (a, b): (UdpSocket, UdpSocket) = (lab.host("a").unwrap().udp().unwrap(), lab.host("b").unwrap().udp().unwrap());
    setsockopt(&a, sockopt::UdpGsoSegment, &1000).unwrap();
    b.set_read_timeout(Some(STALL)).unwrap();
    let bytes = pattern(40_000);
    a.send_to(&bytes, b.local_addr().unwrap()).unwrap();
    let mut buffer = [0; 2000];
    let got: Vec<usize> = std::iter::from_fn(|| b.recv(&mut buffer).ok()).collect();
    assert!(got.iter().all(|len| *len == 1000), "{got:?}");
    assert!((20..40).contains(&got.len()), "{} of 40 segments at 20 % loss", got.len());
    let counters = lab.snapshot().unwrap().links[0];
    assert_eq!((counters.packets, counters.lost), (40, 40 - got.len() as u64));
}
