//! Numbered datagrams over one link, with real sockets.

use super::field::FieldError;
use crate::clock;
use crate::lab::{Engines, Lab};
use crate::socket::Socket;
use longhaul_record::Fidelity;
use netsim_fabric::{Ecn, LinkConfig, Time};
use netsim_topology::{Access, Change, Direction, Host, LinkName, Topology, plan};
use nix::sys::socket::{setsockopt, sockopt};
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Train {
    /// How many datagrams.
    pub(super) count: u32,
    /// Bytes of each, at least four.
    pub(super) bytes: usize,
    /// How they follow each other.
    pub(super) pace: Pace,
    /// Whether the sender can be told of congestion (RFC 3168).
    pub(super) ecn: bool,
}

/// How datagrams follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// As fast as the receiver can take them.
    Fast,
    /// All at once: there may be no more than a receiver's buffer holds.
    Burst,
    /// One so many nanoseconds after the other.
    Every(u64),
    /// So many in one super-packet (`UDP_SEGMENT`), which the link has to take apart.
    Super(u32),
}

/// A datagram that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) number: u32,
    pub(super) at: Time,
    /// A link on the way was congested.
    pub(super) marked: bool,
}

/// What became of a train.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    /// When each datagram was sent.
    pub(super) sent: Vec<Time>,
    /// What arrived, in order.
    pub(super) arrived: Vec<Arrival>,
    /// What the emulator saw of itself.
    pub(super) fidelity: Fidelity,
}

/// So many small datagrams fit into a receiver's buffer of the ordinary size.
const WINDOW: u32 = 64;
/// How long to listen after the last datagram.
const SILENCE: Duration = Duration::from_millis(500);
/// How long to wait for a link that has taken in less than it should.
const PATIENCE_NS: u64 = 3_000_000_000;
/// What has made no progress for so long has been lost.
const LOST_NS: u64 = 200_000_000;

/// Sends a train over a link of that description, in a lab of its own. With `then`, the link becomes that once it has taken
/// in everything.
pub(super) fn run(
    link: &LinkConfig,
    then: Option<&LinkConfig>,
    train: Train,
    seed: u64,
    engines: Engines,
) -> Result<Outcome, FieldError> {
    let host = |name: &str, up: LinkConfig| Host::new(name, None, Access { up, down: LinkConfig::default() });
    let topology =
        Topology { hosts: vec![host("a", link.clone()), host("b", LinkConfig::default())], ..Topology::default() };
    let plan = plan(&topology).map_err(|error| std::io::Error::other(error.to_string()))?;
    let lab = Lab::up_with(&plan, seed, engines)?;
    let (a, b) = (lab.host("a")?.udp()?, lab.host("b")?.udp()?);
    a.connect(b.local_addr()?)?;
    if train.ecn {
        setsockopt(&a, sockopt::Ipv4Tos, &i32::from(Ecn::Capable0.bits())).map_err(std::io::Error::from)?;
    }
    let b = Socket::new(b)?;
    b.set_timeout(SILENCE)?;
    // What the kernels themselves have said so far is not of the train.
    lab.restart(seed)?;
    let (heard, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let (sent, arrived) = std::thread::scope(|scope| {
        let receiver = scope.spawn(|| receive(&b, &heard, &done));
        let sent = send(&lab, &a, train, &heard).and_then(|sent| {
            if let Some(then) = then {
                change(&lab, then, sent.len() as u64)?;
            }
            Ok(sent)
        });
        done.store(true, Ordering::Release);
        (sent, receiver.join().unwrap_or_default())
    });
    let snapshot = lab.snapshot()?;
    let fidelity = lab.fidelity(&snapshot)?;
    Ok(Outcome { sent: sent?, arrived, fidelity })
}

fn receive(socket: &Socket, heard: &AtomicU64, done: &AtomicBool) -> Vec<Arrival> {
    let mut arrived = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        let finished = done.load(Ordering::Acquire);
        match socket.receive(&mut buffer) {
            Ok(received) => {
                let number = u32::from_be_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]);
                arrived.push(Arrival { number, at: received.at, marked: received.congested });
                heard.fetch_add(1, Ordering::Release);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && finished => return arrived,
            Err(_) => {}
        }
    }
}

fn send(lab: &Lab, socket: &UdpSocket, train: Train, heard: &AtomicU64) -> Result<Vec<Time>, FieldError> {
    let mut sent = Vec::new();
    let datagram = |number: u32| {
        let mut datagram = vec![0; train.bytes.max(4)];
        datagram[..4].copy_from_slice(&number.to_be_bytes());
        datagram
    };
    // Nobody sends anything here: waiting for it is waiting for the time.
    let (_alarm, time) = channel::<()>();
    let per_call = if let Pace::Super(segments) = train.pace { segments } else { 1 };
    if per_call > 1 {
        let bytes = i32::try_from(train.bytes).unwrap_or(i32::MAX);
        setsockopt(socket, sockopt::UdpGsoSegment, &bytes).map_err(std::io::Error::from)?;
    }
    let mut missing = Missing::default();
    let start = clock::now();
    for first in (0..train.count).step_by(per_call as usize) {
        if let Pace::Every(gap) = train.pace {
            let due = start + gap * u64::from(first);
            let wait = Duration::from_nanos(due.nanos_since(clock::now()));
            if wait > Duration::ZERO && time.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected) {
                break;
            }
        }
        let numbers = first..(first + per_call).min(train.count);
        let bytes: Vec<u8> = numbers.clone().flat_map(datagram).collect();
        sent.extend(numbers.map(|_| clock::now()));
        // A packet that is too large for a link that says so is refused here from the second one on.
        let _ = socket.send(&bytes);
        let is_window = match train.pace {
            Pace::Fast => (sent.len() as u32).is_multiple_of(WINDOW),
            Pace::Super(_) => true,
            Pace::Burst | Pace::Every(_) => false,
        };
        if is_window {
            missing = wait_until_heard(lab, sent.len() as u64, heard, missing, &time)?;
        }
    }
    Ok(sent)
}

/// Makes the link another once it has taken in what was sent.
fn change(lab: &Lab, then: &LinkConfig, sent: u64) -> Result<(), FieldError> {
    let (_alarm, time) = channel::<()>();
    let until = clock::now() + PATIENCE_NS;
    let name = LinkName { link: "a.link".into(), direction: Direction::Up };
    let index = lab.link_index(&name).unwrap_or_default();
    while lab.snapshot()?.links[index].packets < sent && clock::now() < until {
        let _ = time.recv_timeout(Duration::from_millis(1));
    }
    lab.change(&Change::Link { name, config: Box::new(then.clone()) })?;
    Ok(())
}

/// What has not come for long, and will not.
#[derive(Debug, Clone, Copy, Default)]
struct Missing {
    /// Packets that the link has never seen: the sender's kernel has lost them.
    at_link: u64,
    /// Packets that have left the link: a kernel drops what has been damaged, and not every engine counts that.
    at_receiver: u64,
}

/// Waits until the link has taken in what was sent, and the receiver has read what the link has delivered, but for what
/// is missing. Returns what is then.
fn wait_until_heard(
    lab: &Lab,
    sent: u64,
    heard: &AtomicU64,
    missing: Missing,
    time: &Receiver<()>,
) -> Result<Missing, FieldError> {
    let index = |link: &str, direction| lab.link_index(&LinkName { link: link.into(), direction }).unwrap_or_default();
    let (first, last) = (index("a.link", Direction::Up), index("b.link", Direction::Down));
    let mut progress = ((0, 0), clock::now());
    loop {
        let snapshot = lab.snapshot()?;
        let (packets, heard) = (snapshot.links[first].packets, heard.load(Ordering::Acquire));
        // The receiver's kernel drops what has been damaged.
        let whole = snapshot.links[last].delivered.saturating_sub(snapshot.links[first].corrupted);
        let now = Missing { at_link: sent.saturating_sub(packets), at_receiver: whole.saturating_sub(heard) };
        if now.at_link <= missing.at_link && now.at_receiver <= missing.at_receiver {
            return Ok(now);
        }
        if progress.0 != (packets, heard) {
            progress = ((packets, heard), clock::now());
        }
        if clock::now().nanos_since(progress.1) > LOST_NS {
            return Ok(now);
        }
        let _ = time.recv_timeout(Duration::from_millis(1));
    }
}
