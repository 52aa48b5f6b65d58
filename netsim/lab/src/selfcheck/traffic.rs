//! Traffic between two namespaces, and what arrived of it. Knows nothing of what joins them.

use super::batch::Batch;
use crate::clock;
use crate::netns::NetNs;
use netsim_fabric::Time;
use nix::sys::socket::{setsockopt, sockopt};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// One end of a wire.
#[derive(Debug, Clone, Copy)]
pub(super) struct End<'a> {
    pub(super) namespace: &'a NetNs,
    pub(super) address: IpAddr,
}

/// Traffic goes from the first to the second.
pub(super) type Ends<'a> = [End<'a>; 2];

impl End<'_> {
    pub(super) fn udp(&self) -> io::Result<UdpSocket> {
        self.namespace.run(|| UdpSocket::bind((self.address, 0)))?
    }
}

/// Bytes of one write or read of a TCP stream.
const PIECE: usize = 256 * 1024;
/// No wait is longer: a wire that carries nothing is an error, not a hang.
const PATIENCE: Duration = Duration::from_secs(5);
/// Payload of a datagram.
pub(super) const DATAGRAM: usize = 1200;
/// Datagrams in a GSO send: the most that fit 65,507 bytes.
const GSO_SEGMENTS: usize = 54;
/// Datagrams per `sendmmsg` and `recvmmsg`.
const SEND_BATCH: usize = 32;
const RECEIVE_BATCH: usize = 64;
/// Room for what arrives while the receiver is not running.
const RECEIVE_BUFFER: usize = 32 << 20;

fn join<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A TCP connection that is written to as fast as it takes bytes.
pub(super) struct Stream {
    sender: TcpStream,
    receiver: TcpStream,
}

impl Stream {
    pub(super) fn open([from, to]: &Ends) -> io::Result<Stream> {
        let listener = to.namespace.run(|| TcpListener::bind((to.address, 0)))??;
        let target: SocketAddr = listener.local_addr()?;
        let sender = from.namespace.run(|| TcpStream::connect_timeout(&target, PATIENCE))??;
        let (receiver, _) = listener.accept()?;
        sender.set_write_timeout(Some(PATIENCE))?;
        receiver.set_read_timeout(Some(PATIENCE))?;
        Ok(Stream { sender, receiver })
    }

    /// Goodput in bits per second over `duration`, after `warm_up`.
    pub(super) fn goodput(&self, warm_up: Duration, duration: Duration) -> io::Result<f64> {
        self.while_flowing(|receiver| {
            let counted_from = clock::now() + nanos(warm_up);
            read_until(receiver, counted_from)?;
            let start = clock::now();
            let bytes = read_until(receiver, start + nanos(duration))?;
            Ok(bytes as f64 * 8e9 / clock::now().nanos_since(start).max(1) as f64)
        })
    }

    /// Runs `measure` while the stream flows in the background.
    pub(super) fn in_background<T>(&self, warm_up: Duration, measure: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let stop = AtomicBool::new(false);
        self.while_flowing(|receiver| {
            read_until(receiver, clock::now() + nanos(warm_up))?;
            std::thread::scope(|scope| {
                let reading = scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        read_until(receiver, clock::now() + 20_000_000)?;
                    }
                    Ok::<(), io::Error>(())
                });
                let measured = measure();
                stop.store(true, Ordering::Relaxed);
                join(reading)?;
                measured
            })
        })
    }

    fn while_flowing<T>(&self, work: impl FnOnce(&TcpStream) -> io::Result<T>) -> io::Result<T> {
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let piece = vec![0x5a; PIECE];
                // Ends with the error that shutting the socket down causes.
                while (&self.sender).write_all(&piece).is_ok() {}
            });
            let worked = work(&self.receiver);
            let _ = self.sender.shutdown(Shutdown::Both);
            join(sending);
            worked
        })
    }
}

/// Reads and counts bytes until `until`.
fn read_until(mut receiver: &TcpStream, until: Time) -> io::Result<u64> {
    let mut piece = vec![0; PIECE];
    let mut bytes = 0;
    while clock::now() < until {
        match receiver.read(&mut piece) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(len) => bytes += len as u64,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// How datagrams are handed to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    /// Each on its own.
    Single,
    /// As many at once as the kernel allows, to be cut into datagrams by it (GSO), received likewise (GRO).
    Gso,
}

/// Datagrams received per second while as many are sent as the sender can.
pub(super) fn datagrams([from, to]: &Ends, sending: Sending, warm_up: Duration, duration: Duration) -> io::Result<f64> {
    let (sender, receiver) = (from.udp()?, to.udp()?);
    sender.connect(receiver.local_addr()?)?;
    receiver.set_read_timeout(Some(PATIENCE))?;
    // Only root may; without it, more are lost when the receiver is not running, and not counted.
    let _ = setsockopt(&receiver, sockopt::RcvBufForce, &RECEIVE_BUFFER);
    if sending == Sending::Gso {
        setsockopt(&sender, sockopt::UdpGsoSegment, &(DATAGRAM as i32))?;
        setsockopt(&receiver, sockopt::UdpGroSegment, &true)?;
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut batch = match sending {
                Sending::Single => Batch::new(SEND_BATCH, DATAGRAM),
                Sending::Gso => Batch::new(1, DATAGRAM * GSO_SEGMENTS),
            };
            // A full queue is an answer, not an end.
            while !stop.load(Ordering::Relaxed) {
                let _ = batch.send(&sender);
            }
        });
        let received = count(&receiver, sending, warm_up, duration);
        stop.store(true, Ordering::Relaxed);
        received
    })
}

fn count(receiver: &UdpSocket, sending: Sending, warm_up: Duration, duration: Duration) -> io::Result<f64> {
    let room = if sending == Sending::Gso { 65_536 } else { 2048 };
    let mut batch = Batch::new(RECEIVE_BATCH, room);
    let mut until = |until: Time| -> io::Result<u64> {
        let mut datagrams = 0;
        while clock::now() < until {
            datagrams += batch.receive(receiver)?.map(|len| len.div_ceil(DATAGRAM) as u64).sum::<u64>();
        }
        Ok(datagrams)
    };
    until(clock::now() + nanos(warm_up))?;
    let start = clock::now();
    let datagrams = until(start + nanos(duration))?;
    Ok(datagrams as f64 * 1e9 / clock::now().nanos_since(start).max(1) as f64)
}

/// Round-trip times of `count` datagrams, one after the other, in seconds.
pub(super) fn ping_pong([from, to]: &Ends, count: u32) -> io::Result<Vec<f64>> {
    let (pinger, ponger) = (from.udp()?, to.udp()?);
    pinger.connect(ponger.local_addr()?)?;
    ponger.connect(pinger.local_addr()?)?;
    pinger.set_read_timeout(Some(PATIENCE))?;
    ponger.set_read_timeout(Some(PATIENCE))?;
    std::thread::scope(|scope| {
        let reflecting = scope.spawn(|| -> io::Result<()> {
            let mut bytes = [0; 64];
            for _ in 0..count {
                let len = ponger.recv(&mut bytes)?;
                ponger.send(&bytes[..len])?;
            }
            Ok(())
        });
        let once = || {
            let sent = clock::now();
            pinger.send(&[0; 32])?;
            pinger.recv(&mut [0; 64])?;
            Ok(clock::now().nanos_since(sent) as f64 / 1e9)
        };
        let times: io::Result<Vec<f64>> = (0..count).map(|_| once()).collect();
        join(reflecting)?;
        times
    })
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
