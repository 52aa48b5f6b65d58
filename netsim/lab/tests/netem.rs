//! The netem link engine, on kernels that have it; `ci/netem-vm` runs this program inside one.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "a test's own main")]

mod suite;

use longhaul_record::text;
use netsim_fabric::{Jitter, LinkConfig, Loss, NatConfig, Probability, Queue, Rate, Reorder};
use netsim_lab::{Attachment, Engines, Lab, LabError, LinkEngine, NatEngine};
use netsim_topology::{Access, Change, Direction, Gateway, Host, Interface, LinkName, Plan, Router, Topology, plan};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::mpsc::channel;
use std::time::Duration;
use suite::{Suite, host};

const MS: u64 = 1_000_000;

/// Kernels before 6.2 have no TUN devices with the offloads wanted; packet sockets do everywhere.
const ENGINES: Engines = Engines {
    attachment: Attachment::Packet,
    links: LinkEngine::Netem,
    nat: NatEngine::Userspace,
    threads: NonZeroUsize::MIN,
};

fn main() {
    let mut suite = Suite::enter();
    let netem = suite.needs("links by netem", || up(LinkConfig::default()).err().map(|error| text::chain(&error)));
    suite.test(what_netem_cannot_do_is_refused);
    suite.test_if(!netem, a_kernel_without_netem_is_told);
    suite.test_if(netem, delays_are_what_was_asked);
    suite.test_if(netem, losses_are_those_of_segments);
    suite.test_if(netem, bursts_are_as_long_as_asked);
    suite.test_if(netem, copies_come_out);
    suite.test_if(netem, bit_errors_are_caught);
    suite.test_if(netem, jitter_reorders);
    suite.test_if(netem, the_rate_is_kept);
    suite.test_if(netem, a_link_stays_as_it_is);
    suite.test_if(netem, tcp_arrives_whole_through_a_nat);
    suite.test_if(netem, hosts_switch_and_move);
    suite.run(1);
}

/// Two public hosts; `link` lies in front of the first, in both directions.
fn up(link: LinkConfig) -> Result<(Plan, Lab), LabError> {
    let hosts = vec![host("a", None, link), host("b", None, LinkConfig::default())];
    let plan = plan(&Topology { routers: vec![], hosts, ..Topology::default() }).unwrap();
    let lab = Lab::up_with(&plan, 1, ENGINES)?;
    Ok((plan, lab))
}

fn share(percent: u32) -> Probability {
    Probability::from_ppb(percent * 10_000_000).unwrap()
}

fn what_netem_cannot_do_is_refused() {
    let link = LinkConfig { queue: Queue::drop_tail(1000), ..LinkConfig::default() };
    let error = text::chain(&up(link).unwrap_err());
    assert!(error.contains("`a.link`") && error.contains("a queue in bytes") && error.contains("userspace"), "{error}");
}

/// The kernel says no, or says yes and means no: either way nobody measures on it.
fn a_kernel_without_netem_is_told() {
    let error = text::chain(&up(LinkConfig { delay_ns: MS, ..LinkConfig::default() }).unwrap_err());
    assert!(error.contains("netem"), "{error}");
}

/// Numbered datagrams from `a` to `b`, a little apart; which of them arrive, in order of arrival.
fn arrivals(lab: &Lab, count: u32, len: usize) -> Vec<u32> {
    let (a, b) = (lab.host("a").unwrap().udp().unwrap(), lab.host("b").unwrap().udp().unwrap());
    a.connect(b.local_addr().unwrap()).unwrap();
    b.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    roomy(&b);
    std::thread::scope(|scope| {
        scope.spawn(|| send_numbered(&a, count, len));
        let mut buffer = vec![0; len.max(4)];
        std::iter::from_fn(|| b.recv(&mut buffer).ok().map(|_| u32::from_be_bytes(buffer[..4].try_into().unwrap())))
            .collect()
    })
}

/// Room for everything that is sent: what a slow receiver's kernel drops is no loss of the link's.
fn roomy(socket: &UdpSocket) {
    nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::RcvBufForce, &(16 << 20)).unwrap();
}

fn send_numbered(from: &UdpSocket, count: u32, len: usize) {
    let mut bytes = vec![0; len.max(4)];
    let (_quiet, pause) = channel::<()>();
    for n in 0..count {
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        from.send(&bytes).unwrap();
        // Nothing is ever sent here: waiting with a time-out is the pause that lets a slow machine keep up.
        let _ = pause.recv_timeout(Duration::from_millis(1));
    }
}

fn delays_are_what_was_asked() {
    for delay_ns in [5 * MS, 50 * MS] {
        let (_, lab) = up(LinkConfig { delay_ns, ..LinkConfig::default() }).unwrap();
        let (a, b) = (lab.host("a").unwrap().udp().unwrap(), lab.host("b").unwrap().udp().unwrap());
        let once = || {
            let sent = netsim_lab::now();
            a.send_to(b"ping", b.local_addr().unwrap()).unwrap();
            let (_, from) = b.recv_from(&mut [0; 8]).unwrap();
            b.send_to(b"pong", from).unwrap();
            a.recv(&mut [0; 8]).unwrap();
            netsim_lab::now().nanos_since(sent)
        };
        let took = (0..10).map(|_| once()).min().unwrap();
        // Never early; how late, depends on the machine, which may be an emulated one.
        assert!((2 * delay_ns..2 * delay_ns + 500 * MS).contains(&took), "asked {delay_ns} twice, took {took}");
    }
}

/// Whether `seen` of `sent` fits a share, at 4.9 standard deviations: one wrong verdict in a million.
fn fits(seen: usize, sent: u32, share: f64) -> bool {
    let mean = f64::from(sent) * share;
    (seen as f64 - mean).abs() <= 4.9 * (mean * (1.0 - share)).sqrt() + 1.0
}

fn losses_are_those_of_segments() {
    let (_, lab) = up(LinkConfig { loss: Loss::Bernoulli(share(10)), ..LinkConfig::default() }).unwrap();
    let got = arrivals(&lab, 3000, 100);
    assert!(fits(3000 - got.len(), 3000, 0.1), "{} of 3000 at 10 % loss", got.len());
    // A super-packet of UDP: each of its segments meets its own fate.
    let (a, b) = (lab.host("a").unwrap().udp().unwrap(), lab.host("b").unwrap().udp().unwrap());
    nix::sys::socket::setsockopt(&a, nix::sys::socket::sockopt::UdpGsoSegment, &1000).unwrap();
    roomy(&b);
    let mut arrived = 0;
    // One after the other: the kernel drops what comes faster than a slow machine handles. What comes later than a pause
    // is counted after the next.
    for pause in [[100; 20].as_slice(), &[2000]].concat() {
        if pause < 2000 {
            a.send_to(&[7; 40_000], b.local_addr().unwrap()).unwrap();
        }
        b.set_read_timeout(Some(Duration::from_millis(pause))).unwrap();
        while let Ok(len) = b.recv(&mut [0; 2000]) {
            assert_eq!(len, 1000);
            arrived += 1;
        }
    }
    assert!(fits(800 - arrived, 800, 0.1), "{arrived} of 800 segments at 10 % loss");
}

fn bursts_are_as_long_as_asked() {
    let loss = Loss::GilbertElliott {
        fail: share(2),
        recover: share(20),
        loss_good: Probability::ZERO,
        loss_bad: Probability::ONE,
    };
    let (_, lab) = up(LinkConfig { loss, ..LinkConfig::default() }).unwrap();
    let got: BTreeSet<u32> = arrivals(&lab, 5000, 100).into_iter().collect();
    let lost: Vec<bool> = (0..5000).map(|n| !got.contains(&n)).collect();
    let losses = lost.iter().filter(|lost| **lost).count();
    let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count();
    let mean = losses as f64 / bursts as f64;
    // 1 / r = 5 packets on average; of about 90 geometric bursts the mean is within 5 standard errors.
    assert!(bursts > 40 && (mean - 5.0).abs() < 5.0 * 4.5 / (bursts as f64).sqrt(), "{bursts} bursts of {mean}");
}

fn copies_come_out() {
    let (_, lab) = up(LinkConfig { duplicate: share(10), ..LinkConfig::default() }).unwrap();
    let got = arrivals(&lab, 2000, 100);
    let unique: BTreeSet<u32> = got.iter().copied().collect();
    assert_eq!(unique.len(), 2000);
    assert!(fits(got.len() - 2000, 2000, 0.1), "{} copies of 2000 at 10 %", got.len() - 2000);
}

fn bit_errors_are_caught() {
    let (_, lab) = up(LinkConfig { corrupt: share(10), ..LinkConfig::default() }).unwrap();
    let got = arrivals(&lab, 2000, 1000);
    // Some hit the IP header, all are dropped by the receiver's kernel.
    assert!(fits(2000 - got.len(), 2000, 0.1), "{} of 2000 at 10 % corruption", got.len());
}

fn jitter_reorders() {
    let jitter = Jitter::Uniform { ns: 5 * MS };
    let link = LinkConfig { delay_ns: 10 * MS, jitter, reorder: Reorder::ByJitter, ..LinkConfig::default() };
    let (_, lab) = up(link).unwrap();
    let got = arrivals(&lab, 1000, 100);
    assert_eq!(got.len(), 1000);
    let late = got.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert!(late > 100, "{late} of 1000 came out of turn");
}

fn the_rate_is_kept() {
    let rate = Rate::Constant(NonZeroU64::new(2_000_000).unwrap());
    let (_, lab) = up(LinkConfig { rate, ..LinkConfig::default() }).unwrap();
    let started = netsim_lab::now();
    assert_eq!(arrivals(&lab, 100, 1000).len(), 100);
    // 100 packets of 1028 bytes at 2 Mbit/s take 411 ms; nothing makes them faster. The last wait is 2 s.
    let took = netsim_lab::now().nanos_since(started) - 2_000 * MS;
    assert!(took >= 400 * MS, "{took} ns");
}

fn a_link_stays_as_it_is() {
    let (_, lab) = up(LinkConfig { delay_ns: MS, ..LinkConfig::default() }).unwrap();
    let name = LinkName { link: "a.link".into(), direction: Direction::Up };
    let change = Change::Link { name, config: Box::new(LinkConfig { delay_ns: 2 * MS, ..LinkConfig::default() }) };
    let error = lab.change(&change).unwrap_err().to_string();
    assert!(error.contains("`a.link up`") && error.contains("userspace"), "{error}");
}

fn tcp_arrives_whole_through_a_nat() {
    let link = LinkConfig { delay_ns: 2 * MS, loss: Loss::Bernoulli(share(1)), ..LinkConfig::default() };
    let uplink = Access { up: link.clone(), down: link };
    let router = Router::new("home", Gateway::with_nat(NatConfig::default()), uplink);
    let wire = LinkConfig::default;
    let hosts = vec![host("a", Some("home"), wire()), host("b", None, wire())];
    let plan = plan(&Topology { routers: vec![router], hosts, ..Topology::default() }).unwrap();
    let lab = Lab::up_with(&plan, 1, ENGINES).unwrap();
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let address = plan.addresses.hosts["b"][0];
    let listener: TcpListener = lab.host("b").unwrap().run(|| TcpListener::bind((address, 0))).unwrap().unwrap();
    let target = listener.local_addr().unwrap();
    let got = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = lab.host("a").unwrap().run(|| TcpStream::connect(target)).unwrap().unwrap();
            stream.write_all(&bytes).unwrap();
        });
        let (mut stream, from) = listener.accept().unwrap();
        assert_eq!(Some(from.ip()), plan.addresses.external("home").map(Into::into));
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        got
    });
    assert!(got == bytes, "{} bytes", got.len());
}

/// The links stay as they are; what hangs on them changes.
fn hosts_switch_and_move() {
    let interface = |name: &str| Interface {
        name: name.into(),
        behind: None,
        region: None,
        link: Access::both(LinkConfig { delay_ns: MS, ..LinkConfig::default() }),
        up: true,
    };
    let phone = Host { name: "phone".into(), interfaces: vec![interface("wifi"), interface("mobile")] };
    let hosts = vec![phone, host("b", None, LinkConfig::default())];
    let topology = Topology { hosts, ..Topology::default() };
    let plan = plan(&topology).unwrap();
    let lab = Lab::up_with(&plan, 1, ENGINES).unwrap();
    let b = lab.host("b").unwrap().udp().unwrap();
    b.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let phone = lab.host("phone").unwrap().run(|| UdpSocket::bind("0.0.0.0:0")).unwrap().unwrap();
    let source = || {
        phone.send_to(b"hello", b.local_addr().unwrap()).unwrap();
        b.recv_from(&mut [0; 8]).unwrap().1.ip()
    };
    let own = |name: &str| plan.addresses.interface("phone", name)[0];
    assert_eq!(source(), own("wifi"));
    lab.change(&Change::Interface { host: "phone".into(), interface: "wifi".into(), up: false }).unwrap();
    assert_eq!(source(), own("mobile"));
    let addresses = plan.addresses.clone().renumber_host("phone", "mobile").unwrap();
    let (host, interface) = ("phone".into(), "mobile".into());
    lab.change(&Change::Readdress { host, interface, addresses: addresses.clone() }).unwrap();
    assert_eq!(source(), addresses[0]);
    let port = phone.local_addr().unwrap().port();
    for (at, what) in [(own("mobile"), b"unwanted"), (addresses[0], b"expected")] {
        b.send_to(what, (at, port)).unwrap();
    }
    phone.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut buffer = [0; 8];
    phone.recv(&mut buffer).unwrap();
    assert_eq!(&buffer, b"expected");
    lab.restart(1).unwrap();
    assert_eq!(source(), own("wifi"));
}
