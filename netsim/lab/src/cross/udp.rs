//! A UDP flow of constant rate.

use super::{Clock, addresses, drain, not_open, open_until_ns, rate_bps, reachable, stop_ns};
use crate::engine::ask_for_realtime;
use crate::lab::{Host, Lab};
use longhaul_record::{CrossKind, CrossReport};
use netsim_services::stun::{self, Change};
use netsim_topology::{Cross, Opening, Pacer, Traffic, Turn};
use nix::poll::PollFlags;
use nix::sys::socket::{setsockopt, sockopt};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;

/// Below the emulator's own, whose work the packets are; above that of programs.
const PRIORITY: i32 = 30;
/// Room for what a thread that is kept from running does not read in time.
const RECEIVE_BUFFER: usize = 16 << 20;
/// How often a flow that is not open yet is tried, in nanoseconds.
const KNOCK_NS: u64 = 100_000_000;
/// How often the receiver of an open flow shows itself: a router that reboots forgets it.
const REMIND_NS: u64 = 1_000_000_000;
/// After so many packets without a pause, the sender looks for the sign to stop.
const LOOK: u32 = 32;

/// A flow that is not open yet.
#[derive(Debug)]
pub(super) struct UdpFlow {
    sender: End,
    receiver: End,
    opening: Opening,
    /// Where hosts learn how they are seen.
    stun: Option<SocketAddr>,
    /// Bytes of a packet's payload.
    payload: usize,
}

/// A socket, and where the other side may be found.
#[derive(Debug)]
struct End {
    socket: UdpSocket,
    own: IpAddr,
    peers: Vec<SocketAddr>,
}

impl End {
    fn new(host: &Host, address: SocketAddr) -> io::Result<End> {
        let socket = host.run(|| UdpSocket::bind(address))??;
        socket.set_nonblocking(true)?;
        // Only root may.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER);
        Ok(End { socket, own: address.ip(), peers: Vec::new() })
    }

    /// One more place where the other side may be; whether it is new.
    fn learn(&mut self, peer: SocketAddr) -> bool {
        let peer = reachable(self.own, peer);
        let new = !self.peers.contains(&peer);
        if new {
            self.peers.push(peer);
        }
        new
    }

    /// What does not get through is sent again later.
    fn say(&self, words: &[u8], to: SocketAddr) {
        let _ = self.socket.send_to(words, reachable(self.own, to));
    }

    fn next(&self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        self.socket.recv_from(buffer).ok()
    }
}

/// The first eight bytes of a packet: its number, or one of these.
const KNOCK: u64 = 1 << 63;
/// The sender's knock carries which of the endpoints it knows it was sent to.
const PROBE: u64 = KNOCK | 1 << 62;

impl UdpFlow {
    /// `hosts`: sender, receiver; `ports`: of the receiver, of the sender.
    pub(super) fn open(
        lab: &Lab,
        hosts: [&Host; 2],
        ports: [u16; 2],
        opening: Opening,
        packet_bytes: u32,
    ) -> io::Result<UdpFlow> {
        let [from, to] = addresses(hosts)?;
        let (from, to) = (SocketAddr::new(from, ports[1]), SocketAddr::new(to, ports[0]));
        let [mut sender, mut receiver] = [End::new(hosts[0], from)?, End::new(hosts[1], to)?];
        match opening {
            Opening::Sender => drop(sender.learn(to)),
            Opening::Receiver => drop(receiver.learn(from)),
            Opening::Both => {}
        }
        // IP's header and UDP's.
        let headers = if from.is_ipv6() { 40 } else { 20 } + 8;
        let payload = usize::try_from(packet_bytes).unwrap_or(0).saturating_sub(headers).max(8);
        Ok(UdpFlow { sender, receiver, opening, stun: lab.stun_server(false), payload })
    }

    /// Opens the flow and sends until its stop, or the sign to.
    pub(super) fn run(mut self, flow: &Cross, clock: &Clock, report: &mut CrossReport) -> Result<(), String> {
        // Without it, a busy machine makes the sender late, and the record says so.
        ask_for_realtime(PRIORITY);
        let target = match self.opening {
            Opening::Sender => self.sender.peers.first().copied(),
            Opening::Receiver | Opening::Both => self.knock(open_until_ns(flow), clock),
        };
        let Some(target) = target else { return not_open(flow, clock) };
        let Traffic::Udp { rate_bps: rate, packet_bytes } = flow.traffic else { return Ok(()) };
        let started_ns = clock.elapsed_ns();
        report.started_ns = Some(started_ns);
        let mut stream = Stream {
            packet: vec![0; self.payload],
            pacer: Pacer::new(rate, packet_bytes),
            target,
            started_ns,
            sent: 0,
            numbers: 0,
            arrived: Arrived::default(),
            flow: self,
        };
        let result = stream.run(stop_ns(flow), clock);
        let stopped_ns = clock.elapsed_ns().min(stop_ns(flow));
        report.stopped_ns = Some(stopped_ns);
        stream.drain(clock);
        let Stream { pacer, sent, arrived, flow, .. } = stream;
        // Due before the stop, not at it.
        let due = stopped_ns.checked_sub(started_ns + 1).map_or(0, |elapsed| pacer.count(elapsed));
        report.kind = CrossKind::Udp { rate_bps: rate.get(), packet_bytes, due_packets: due, sent_packets: sent };
        report.sent_bytes = sent * flow.payload as u64;
        report.received_bytes = arrived.count * flow.payload as u64;
        report.lost_packets = sent.saturating_sub(arrived.count);
        report.goodput_bps = rate_bps(report.received_bytes, started_ns, arrived.last_ns);
        result.map_err(|error| format!("cannot send: {error}"))
    }

    /// Both sides send to wherever the other may be, until a packet of the sender's has reached the receiver. Returns where
    /// that was sent to; nothing if that takes too long, or the sign to stop comes.
    fn knock(&mut self, until_ns: u64, clock: &Clock) -> Option<SocketAddr> {
        let mut buffer = [0; 1500];
        let mut next_ns = clock.elapsed_ns();
        while clock.elapsed_ns() < until_ns {
            if clock.elapsed_ns() >= next_ns {
                self.knock_once();
                next_ns = clock.elapsed_ns() + KNOCK_NS;
            }
            let ends = [&self.sender, &self.receiver].map(|end| (end.socket.as_fd(), PollFlags::POLLIN));
            if clock.wait(ends, next_ns.min(until_ns)).stopped {
                return None;
            }
            let mut learned = false;
            while let Some((len, from)) = self.sender.next(&mut buffer) {
                match (stun::read_answer(&buffer[..len]), number(&buffer[..len])) {
                    (Some(answer), _) => learned |= self.receiver.learn(answer.mapped),
                    (None, Some(KNOCK)) => learned |= self.sender.learn(from),
                    (None, _) => {}
                }
            }
            while let Some((len, from)) = self.receiver.next(&mut buffer) {
                match (stun::read_answer(&buffer[..len]), number(&buffer[..len])) {
                    (Some(answer), _) => learned |= self.sender.learn(answer.mapped),
                    (None, Some(probe)) if probe & PROBE == PROBE => {
                        let sent_to = usize::try_from(probe & !PROBE).ok().and_then(|n| self.sender.peers.get(n));
                        if let Some(target) = sent_to {
                            return Some(*target);
                        }
                        learned |= self.receiver.learn(from);
                    }
                    (None, _) => {}
                }
            }
            if learned {
                next_ns = clock.elapsed_ns();
            }
        }
        None
    }

    fn knock_once(&self) {
        if let (Opening::Both, Some(server)) = (self.opening, self.stun) {
            let question = stun::request(1, Change::default());
            for end in [&self.sender, &self.receiver] {
                end.say(&question, server);
            }
        }
        self.remind();
        for (n, peer) in self.sender.peers.iter().enumerate() {
            self.sender.say(&(PROBE | n as u64).to_be_bytes(), *peer);
        }
    }

    fn remind(&self) {
        for peer in &self.receiver.peers {
            self.receiver.say(&KNOCK.to_be_bytes(), *peer);
        }
    }
}

fn number(packet: &[u8]) -> Option<u64> {
    packet.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// Which packets have arrived.
#[derive(Debug, Default)]
struct Arrived {
    /// A bit each.
    seen: Vec<u64>,
    count: u64,
    last_ns: u64,
}

impl Arrived {
    /// A copy of a packet does not count.
    fn note(&mut self, number: u64, now_ns: u64) {
        let Ok(word) = usize::try_from(number / 64) else { return };
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let bit = 1 << (number % 64);
        if self.seen[word] & bit == 0 {
            self.seen[word] |= bit;
            self.count += 1;
            self.last_ns = now_ns;
        }
    }
}

/// An open flow.
struct Stream {
    flow: UdpFlow,
    packet: Vec<u8>,
    pacer: Pacer,
    target: SocketAddr,
    started_ns: u64,
    sent: u64,
    /// No packet has this number yet.
    numbers: u64,
    arrived: Arrived,
}

impl Stream {
    fn run(&mut self, stop_ns: u64, clock: &Clock) -> io::Result<()> {
        // Who is reached without having shown itself need not do so later.
        let reminds = self.flow.opening != Opening::Sender;
        let mut remind_ns = if reminds { self.started_ns + REMIND_NS } else { u64::MAX };
        let mut without_pause = 0;
        loop {
            let now_ns = clock.elapsed_ns();
            if now_ns >= stop_ns {
                return Ok(());
            }
            let until_ns = match self.pacer.turn(now_ns.saturating_sub(self.started_ns)) {
                Turn::Send { number } => {
                    self.send(number)?;
                    without_pause += 1;
                    if without_pause < LOOK {
                        continue;
                    }
                    now_ns
                }
                Turn::Wait { until_ns } => self.started_ns.saturating_add(until_ns),
            };
            without_pause = 0;
            if now_ns >= remind_ns {
                self.flow.remind();
                remind_ns = now_ns + REMIND_NS;
            }
            let ends = [&self.flow.receiver, &self.flow.sender].map(|end| (end.socket.as_fd(), PollFlags::POLLIN));
            let woken = clock.wait(ends, until_ns.min(stop_ns).min(remind_ns));
            if woken.stopped {
                return Ok(());
            }
            if woken.ready[0] {
                self.receive(clock);
            }
            if woken.ready[1] {
                self.follow();
            }
        }
    }

    fn send(&mut self, number: u64) -> io::Result<()> {
        self.packet[..8].copy_from_slice(&number.to_be_bytes());
        self.numbers = number + 1;
        match self.flow.sender.socket.send_to(&self.packet, self.target) {
            Ok(_) => self.sent += 1,
            // The device does not take more: a packet that was due and not sent.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Takes what has arrived, but not so much at once that the next packet would be late.
    fn receive(&mut self, clock: &Clock) {
        let mut buffer = [0; 8];
        for _ in 0..2 * LOOK {
            let Some((len, _)) = self.flow.receiver.next(&mut buffer) else { return };
            // Anything else is a late answer to a question from before.
            if let Some(number) = number(&buffer[..len]).filter(|number| *number < self.numbers) {
                self.arrived.note(number, clock.elapsed_ns());
            }
        }
    }

    /// A receiver that shows itself somewhere else is followed there.
    fn follow(&mut self) {
        let mut buffer = [0; 1500];
        while let Some((len, from)) = self.flow.sender.next(&mut buffer) {
            if self.flow.opening == Opening::Receiver && number(&buffer[..len]) == Some(KNOCK) {
                self.target = from;
            }
        }
    }

    /// Waits for what is still under way.
    fn drain(&mut self, clock: &Clock) {
        let Ok(socket) = self.flow.receiver.socket.try_clone() else { return };
        self.receive(clock);
        if self.arrived.count < self.sent {
            drain(clock, socket.as_fd(), || {
                self.receive(clock);
                self.arrived.count < self.sent
            });
        }
    }
}
