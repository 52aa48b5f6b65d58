//! The same with real sockets in a lab.

use super::packets;
use super::rows::Row;
use super::script::{self, Heard, News, SOCKETS, Sending, Stage};
use crate::clock;
use crate::device::{self, DEVICE};
use crate::lab::{Engines, Lab, LabError};
use netsim_fabric::Time;
use netsim_topology::{Change, LabStep, Plan};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

/// A lab with all sockets open.
pub(crate) struct Field {
    lab: Lab,
    ears: Vec<Ear>,
    own: Vec<SocketAddr>,
    inside: Vec<IpAddr>,
    other: Vec<IpAddr>,
    /// Sendings so far: each packet carries its number.
    sent: u32,
    last_sent: Time,
    /// How long ago the last sending should be at the next one.
    pause_ms: u64,
    disturbed: bool,
}

/// Where something can be heard.
enum Ear {
    /// One of the script's sockets.
    Socket(usize, UdpSocket),
    /// A host's device, and all packets that come from it. Such a host has no addresses: its kernel keeps silent.
    Wire(&'static str, File),
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Ear::Socket(_, socket) => socket.as_fd(),
            Ear::Wire(_, wire) => wire.as_fd(),
        }
    }
}

/// What stands between a row and its verdict.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FieldError {
    /// The network.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A socket.
    #[error("a socket of the conformance suite")]
    Socket(#[from] io::Error),
}

/// How long to wait for what should come: longer than a busy machine keeps anyone waiting.
const PATIENCE_MS: u64 = 3_000;
/// How long to listen for what should not come. If it comes later, it is noticed all the same.
const SILENCE_MS: u64 = 250;
/// Rows that depend on time have at least half a second more of it than this.
const TOLERANCE_MS: u64 = 1_000;
/// The longest packet of a script, and more.
const LONGEST: usize = 2048;

impl Field {
    pub(crate) fn new(plan: &Plan, row: &Row, seed: u64, engines: Engines) -> Result<Field, FieldError> {
        let own = super::own_addresses(plan, row.v6);
        let (lab, ears) = if row.is_raw() {
            let lab = Lab::up_with(&without_addresses(plan), seed, engines)?;
            let ears = wires(&lab)?;
            (lab, ears)
        } else {
            let lab = Lab::up_with(plan, seed, engines)?;
            let ears = sockets(&lab, &own)?;
            (lab, ears)
        };
        let (inside, other) = (super::inside_addresses(plan), super::other_addresses(plan));
        let last_sent = clock::now();
        Ok(Field { lab, ears, own, inside, other, sent: 0, last_sent, pause_ms: 0, disturbed: false })
    }

    /// Whether the machine was so busy that what was seen may be the machine's fault.
    pub(crate) fn is_disturbed(&mut self) -> Result<bool, FieldError> {
        let until = clock::now() + SILENCE_MS * 1_000_000;
        self.listen(until)?;
        Ok(self.disturbed)
    }

    /// What the latest packet's hearer saw, if there is one before `until`. What belongs to an earlier one came late.
    fn listen(&mut self, until: Time) -> Result<Option<Heard>, FieldError> {
        loop {
            for ear in &mut self.ears {
                match ear.hear(&self.own) {
                    Some((number, heard)) if number == self.sent => return Ok(Some(heard)),
                    Some(_) => self.disturbed = true,
                    None => {}
                }
            }
            let left = until.nanos_since(clock::now()).div_ceil(1_000_000);
            if left == 0 {
                return Ok(None);
            }
            let mut ready: Vec<PollFd<'_>> =
                self.ears.iter().map(|ear| PollFd::new(ear.as_fd(), PollFlags::POLLIN)).collect();
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            poll(&mut ready, timeout).map_err(io::Error::from)?;
        }
    }

    fn put(&mut self, sending: &Sending) -> Result<(), FieldError> {
        let (number, host) = (self.sent, SOCKETS[sending.from].1);
        for ear in &mut self.ears {
            match ear {
                Ear::Socket(of, socket) if *of == sending.from => {
                    // An ICMP error of the sending before may be reported now in place of sending.
                    let (datagram, to) = (number.to_be_bytes(), sending.letter.dst);
                    if socket.send_to(&datagram, to).is_err() {
                        socket.send_to(&datagram, to)?;
                    }
                }
                Ear::Wire(of, wire) if *of == host => {
                    if let Some(bytes) = sending.bytes(self.own[sending.from], number) {
                        wire.write_all(&bytes)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The same network, but hosts' kernels do not know their addresses, and so answer nothing.
fn without_addresses(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for step in &mut plan.steps {
        if let LabStep::AddInterface { addresses, .. } = step {
            addresses.clear();
        }
    }
    plan
}

fn wires(lab: &Lab) -> Result<Vec<Ear>, FieldError> {
    let mut ears: Vec<Ear> = Vec::new();
    for (_, name, _) in SOCKETS {
        let is_known = ears.iter().any(|ear| matches!(ear, Ear::Wire(host, _) if *host == name));
        if let (false, Ok(host)) = (is_known, lab.host(name)) {
            ears.push(Ear::Wire(name, host.run(|| device::wire(DEVICE))??.into()));
        }
    }
    Ok(ears)
}

fn sockets(lab: &Lab, own: &[SocketAddr]) -> Result<Vec<Ear>, FieldError> {
    let mut ears = Vec::new();
    for (n, (_, name, _)) in SOCKETS.iter().enumerate() {
        let Ok(host) = lab.host(name) else { continue };
        let socket = host.run(|| UdpSocket::bind(own[n]))??;
        socket.set_nonblocking(true)?;
        ears.push(Ear::Socket(n, socket));
    }
    Ok(ears)
}

impl Ear {
    /// What is to be heard now, and the number it was sent with.
    fn hear(&mut self, own: &[SocketAddr]) -> Option<(u32, Heard)> {
        let mut buffer = [0; LONGEST];
        match self {
            Ear::Socket(by, socket) => loop {
                // Errors are what ICMP had to say: no datagram.
                let (len, from) = socket.recv_from(&mut buffer).ok()?;
                if let Ok(number) = buffer[..len].try_into() {
                    return Some((u32::from_be_bytes(number), Heard { by: *by, from, news: News::Packet }));
                }
            },
            Ear::Wire(host, wire) => loop {
                let len = wire.read(&mut buffer).ok()?;
                let Some(read) = packets::read(&buffer[..len]) else { continue };
                if let Some(heard) = script::heard(&read, host, own) {
                    return Some((read.number, heard));
                }
            },
        }
    }
}

impl Stage for Field {
    type Error = FieldError;

    fn own(&self, socket: usize) -> SocketAddr {
        self.own[socket]
    }

    fn is_router(&self, addr: IpAddr) -> bool {
        self.inside.contains(&addr)
    }

    fn send(&mut self, sending: &Sending, expected: bool) -> Result<Option<Heard>, FieldError> {
        let pause = clock::now().nanos_since(self.last_sent) / 1_000_000;
        self.disturbed |= self.pause_ms > 0 && pause > self.pause_ms + TOLERANCE_MS;
        (self.sent, self.pause_ms) = (self.sent + 1, 0);
        self.last_sent = clock::now();
        self.put(sending)?;
        let patience = if expected { PATIENCE_MS } else { SILENCE_MS };
        self.listen(self.last_sent + patience * 1_000_000)
    }

    fn wait_ms(&mut self, millis: u64) -> Result<(), FieldError> {
        self.pause_ms = millis;
        // Whatever comes now came late, a second copy included.
        let late = self.listen(self.last_sent + millis * 1_000_000)?;
        self.disturbed |= late.is_some();
        Ok(())
    }

    fn reboot(&mut self) -> Result<(), FieldError> {
        self.lab.change(&Change::Reboot { router: super::ROUTER.to_owned() })?;
        // The engine does one thing after the other, so that has happened now.
        self.lab.snapshot()?;
        Ok(())
    }

    fn renumber(&mut self) -> Result<(), FieldError> {
        let outside = self.other.clone();
        self.lab.change(&Change::Renumber { router: super::ROUTER.to_owned(), outside })?;
        self.lab.snapshot()?;
        Ok(())
    }
}
