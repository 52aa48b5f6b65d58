//! Numbered datagrams over one link, with real sockets.

use super::field::FieldError;
use crate::clock;
use crate::lab::{Engines, Lab};
use crate::socket::Socket;
use longhaul_record::Fidelity;
use netsim_fabric::{LinkConfig, Time};
use netsim_topology::{Access, Direction, Host, LinkName, Topology, plan};
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
/// How long to wait for a receiver that has less than it should.
const PATIENCE_NS: u64 = 3_000_000_000;

/// Sends a train over a link of that description, in a lab of its own.
pub(super) fn run(link: &LinkConfig, train: Train, seed: u64, engines: Engines) -> Result<Outcome, FieldError> {
    let host = |name: &str, up: LinkConfig| Host::new(name, None, Access { up, down: LinkConfig::default() });
    let topology = Topology { routers: vec![], hosts: vec![host("a", link.clone()), host("b", LinkConfig::default())] };
    let plan = plan(&topology).map_err(|error| std::io::Error::other(error.to_string()))?;
    let lab = Lab::up_with(&plan, seed, engines)?;
    let (a, b) = (lab.host("a")?.udp()?, lab.host("b")?.udp()?);
    a.connect(b.local_addr()?)?;
    let b = Socket::new(b)?;
    b.set_timeout(SILENCE)?;
    // What the kernels themselves have said so far is not of the train.
    lab.restart(seed)?;
    let (heard, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let (sent, arrived) = std::thread::scope(|scope| {
        let receiver = scope.spawn(|| receive(&b, &heard, &done));
        let sent = send(&lab, &a, train, &heard);
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
                arrived.push(Arrival { number, at: received.at });
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
    let mut missing = 0;
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
        let is_window = matches!(train.pace, Pace::Fast | Pace::Super(_)) && sent.len() as u32 % WINDOW < per_call;
        if is_window {
            missing = wait_until_heard(lab, sent.len() as u64, heard, missing, &time)?;
        }
    }
    Ok(sent)
}

/// Waits until the link has taken in what was sent, and the receiver has read what the link has delivered, but for what
/// has been missing for long. Returns how much that is now.
fn wait_until_heard(
    lab: &Lab,
    sent: u64,
    heard: &AtomicU64,
    missing: u64,
    time: &Receiver<()>,
) -> Result<u64, FieldError> {
    let index = |link: &str, direction| lab.link_index(&LinkName { link: link.into(), direction }).unwrap_or_default();
    let (first, last) = (index("a.link", Direction::Up), index("b.link", Direction::Down));
    let until = clock::now() + PATIENCE_NS;
    loop {
        let snapshot = lab.snapshot()?;
        // The receiver's kernel drops what has been damaged.
        let whole = snapshot.links[last].delivered.saturating_sub(snapshot.links[first].corrupted);
        let behind = whole.saturating_sub(heard.load(Ordering::Acquire));
        // What the emulator has not read yet is not missing.
        if behind <= missing && snapshot.links[first].packets >= sent {
            return Ok(missing);
        }
        if clock::now() >= until {
            return Ok(behind);
        }
        let _ = time.recv_timeout(Duration::from_millis(1));
    }
}
