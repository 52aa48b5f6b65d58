//! The same with real sockets in a lab.

use super::rows::Row;
use super::script::{Heard, SOCKETS, Stage};
use crate::clock;
use crate::lab::{Engines, Lab, LabError};
use netsim_fabric::Time;
use netsim_topology::{Change, Plan};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;

/// A lab with all sockets open.
pub(crate) struct Field {
    lab: Lab,
    sockets: Vec<UdpSocket>,
    own: Vec<SocketAddr>,
    other: Vec<IpAddr>,
    /// Sendings so far: each datagram carries its number.
    sent: u32,
    last_sent: Time,
    /// How long ago the last sending should be at the next one.
    pause_ms: u64,
    disturbed: bool,
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

impl Field {
    pub(crate) fn new(plan: &Plan, row: &Row, seed: u64, engines: Engines) -> Result<Field, FieldError> {
        let lab = Lab::up_with(plan, seed, engines)?;
        let own = super::own_addresses(plan, row.v6).unwrap_or_default();
        let sockets: Result<Vec<UdpSocket>, FieldError> = SOCKETS
            .iter()
            .zip(&own)
            .map(|((_, host, _), own)| {
                let socket = lab.host(host)?.run(|| UdpSocket::bind(own))??;
                socket.set_nonblocking(true)?;
                Ok(socket)
            })
            .collect();
        let other = super::other_addresses(plan);
        let last_sent = clock::now();
        Ok(Field { lab, sockets: sockets?, own, other, sent: 0, last_sent, pause_ms: 0, disturbed: false })
    }

    /// Whether the machine was so busy that what was seen may be the machine's fault.
    pub(crate) fn is_disturbed(&mut self) -> Result<bool, FieldError> {
        let until = clock::now() + SILENCE_MS * 1_000_000;
        self.listen(until)?;
        Ok(self.disturbed)
    }

    /// What the latest datagram's hearer saw, if there is one before `until`. What belongs to an earlier one came late.
    fn listen(&mut self, until: Time) -> Result<Option<Heard>, FieldError> {
        loop {
            let mut buffer = [0; 16];
            for (n, socket) in self.sockets.iter().enumerate() {
                // Errors are what ICMP had to say: no datagram.
                let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
                if buffer[..len] == self.sent.to_be_bytes() {
                    return Ok(Some((n, from)));
                }
                self.disturbed = true;
            }
            let left = until.nanos_since(clock::now()).div_ceil(1_000_000);
            if left == 0 {
                return Ok(None);
            }
            let mut ready: Vec<PollFd<'_>> =
                self.sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            poll(&mut ready, timeout).map_err(io::Error::from)?;
        }
    }
}

impl Stage for Field {
    type Error = FieldError;

    fn own(&self, socket: usize) -> SocketAddr {
        self.own[socket]
    }

    fn send(&mut self, from: usize, to: SocketAddr, expected: bool) -> Result<Option<Heard>, FieldError> {
        let pause = clock::now().nanos_since(self.last_sent) / 1_000_000;
        self.disturbed |= self.pause_ms > 0 && pause > self.pause_ms + TOLERANCE_MS;
        (self.sent, self.pause_ms) = (self.sent + 1, 0);
        self.last_sent = clock::now();
        // An ICMP error of the sending before may be reported now in place of sending.
        let datagram = self.sent.to_be_bytes();
        if self.sockets[from].send_to(&datagram, to).is_err() {
            self.sockets[from].send_to(&datagram, to)?;
        }
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
