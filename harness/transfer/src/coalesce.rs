//! A UDP socket that joins consecutive batches of datagrams into one system call.
//!
//! With segmentation offload the kernel takes up to 64 datagrams of equal size at once and cuts them apart late; most
//! of the price of sending is per call, not per byte. quinn hands over at most 10 at a time. This socket keeps such a
//! batch for one turn of the event loop, and sends it together with what follows to the same address. Single
//! datagrams (acknowledgements, handshakes, probes) are never held back.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::sync::Notify;

/// Most datagrams in one call (`UDP_MAX_SEGMENTS` of Linux).
const MAX_SEGMENTS: usize = 64;

/// Most bytes in one call: what the length fields of UDP and IP can hold, with room for any header.
const MAX_BYTES: usize = 65_000;

/// How many turns of the event loop a batch may wait for company.
const TURNS: usize = 1;

/// The socket. [`Coalescing::wrap`] makes one.
pub struct Coalescing {
    inner: Arc<dyn AsyncUdpSocket>,
    batch: Mutex<Batch>,
    waiting: Notify,
}

/// Datagrams that leave together.
#[derive(Debug, Default)]
struct Batch {
    contents: Vec<u8>,
    /// Length of each datagram but the last.
    segment: usize,
    /// Destination and the like; all datagrams share it.
    header: Option<Header>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    destination: SocketAddr,
    ecn: Option<EcnCodepoint>,
    src_ip: Option<IpAddr>,
}

impl Batch {
    /// Adds a transmit if it can leave in the same call. An empty batch takes any.
    fn join(&mut self, transmit: &Transmit<'_>) -> bool {
        let header = Header { destination: transmit.destination, ecn: transmit.ecn, src_ip: transmit.src_ip };
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len());
        if self.contents.is_empty() {
            *self = Batch { contents: std::mem::take(&mut self.contents), segment, header: Some(header) };
        } else {
            let bytes = self.contents.len() + transmit.contents.len();
            // Only the last datagram of a call may be shorter than the others, and none may be longer.
            let fits = self.contents.len().is_multiple_of(self.segment)
                && (segment == self.segment || transmit.contents.len() < self.segment)
                && bytes <= MAX_BYTES
                && bytes.div_ceil(self.segment) <= MAX_SEGMENTS;
            if !fits || self.header != Some(header) {
                return false;
            }
        }
        self.contents.extend_from_slice(transmit.contents);
        true
    }

    fn transmit(&self) -> Option<Transmit<'_>> {
        let Header { destination, ecn, src_ip } = self.header?;
        let segment_size = (self.contents.len() > self.segment).then_some(self.segment);
        Some(Transmit { destination, ecn, contents: &self.contents, segment_size, src_ip })
    }
}

impl Coalescing {
    /// Wraps a socket. Must be called within a runtime, to which the task that sends late batches is given.
    pub fn wrap(inner: Arc<dyn AsyncUdpSocket>) -> Arc<Coalescing> {
        let batch = Mutex::new(Batch { contents: Vec::with_capacity(MAX_BYTES), ..Batch::default() });
        let socket = Arc::new(Coalescing { inner, batch, waiting: Notify::new() });
        let weak = Arc::downgrade(&socket);
        tokio::spawn(async move {
            while let Some(socket) = weak.upgrade() {
                socket.waiting.notified().await;
                for _ in 0..TURNS {
                    tokio::task::yield_now().await;
                }
                let mut poller = Arc::clone(&socket.inner).create_io_poller();
                while socket.send_batch(&mut socket.batch()).is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock) {
                    // Errors of the socket itself show when it receives.
                    let _ = std::future::poll_fn(|cx| poller.as_mut().poll_writable(cx)).await;
                }
            }
        });
        socket
    }

    fn batch(&self) -> MutexGuard<'_, Batch> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what is held back. Unless the socket would block, the batch is empty afterwards.
    fn send_batch(&self, batch: &mut Batch) -> io::Result<()> {
        let Some(transmit) = batch.transmit() else { return Ok(()) };
        let sent = self.inner.try_send(&transmit);
        if !matches!(&sent, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            batch.contents.clear();
            batch.header = None;
        }
        sent
    }
}

impl fmt::Debug for Coalescing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coalescing").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl AsyncUdpSocket for Coalescing {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let mut batch = self.batch();
        let single = transmit.segment_size.is_none();
        if batch.contents.is_empty() && (single || self.inner.max_transmit_segments() == 1) {
            return self.inner.try_send(transmit);
        }
        if !batch.join(transmit) {
            self.send_batch(&mut batch)?;
            if single {
                return self.inner.try_send(transmit);
            }
            batch.join(transmit);
        }
        self.waiting.notify_one();
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_kernel_would_cut_apart_correctly_is_joined() {
        const CONTENTS: &[u8] = &[0; 70_000];
        let to = |port: u16, segment: Option<usize>, bytes: usize| Transmit {
            destination: ([127, 0, 0, 1], port).into(),
            ecn: None,
            contents: &CONTENTS[..bytes],
            segment_size: segment,
            src_ip: None,
        };
        let rows = [
            ("the same again", to(1, Some(1000), 10_000), to(1, Some(1000), 10_000), true),
            ("a shorter last datagram", to(1, Some(1000), 10_000), to(1, Some(1000), 9_500), true),
            ("a short single datagram", to(1, Some(1000), 10_000), to(1, None, 30), true),
            ("a single datagram of the same length", to(1, Some(1000), 10_000), to(1, None, 1000), true),
            ("a longer single datagram", to(1, Some(1000), 10_000), to(1, None, 1001), false),
            ("a short datagram that is not the last", to(1, Some(1000), 9_500), to(1, Some(1000), 10_000), false),
            ("shorter datagrams", to(1, Some(1000), 10_000), to(1, Some(900), 9_000), false),
            ("another destination", to(1, Some(1000), 10_000), to(2, Some(1000), 10_000), false),
            ("too many bytes", to(1, Some(1400), 56_000), to(1, Some(1400), 14_000), false),
            ("too many datagrams", to(1, Some(100), 6_400), to(1, Some(100), 100), false),
        ];
        for (name, first, second, expect) in rows {
            let mut batch = Batch::default();
            assert!(batch.join(&first), "{name}: an empty batch takes any");
            assert_eq!(batch.join(&second), expect, "{name}");
            let bytes = first.contents.len() + if expect { second.contents.len() } else { 0 };
            let sent = batch.transmit().unwrap();
            assert_eq!((sent.contents.len(), sent.segment_size), (bytes, first.segment_size), "{name}");
        }
    }
}
