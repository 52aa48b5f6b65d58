//! The socket between quinn and the kernel: it sends what is for a made-up address by the way in use, gives what arrives
//! by any way the made-up source, and keeps the messages for itself.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::sync::{Notify, watch};

use super::client::{Client, Progress};
use super::message::{Message, RELAY_HEADER_BYTES};
use super::pair::Route;
use super::wire::Wire;
use crate::clock::Clock;

/// How long the task that keeps the pairs alive sleeps at most: what quinn sends may shorten its sleep, and does not wake
/// it.
const NAP: Duration = Duration::from_millis(100);

/// How often it looks for new addresses of this machine.
const LOOK: Duration = Duration::from_millis(500);

/// Datagrams kept until the next call when several peers' came at once: what one call can bring, and more.
const MAX_KEPT: usize = 4096;

/// What others wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) registered: bool,
    pub(super) progress: Progress,
    pub(super) route: Option<Route>,
}

/// The socket.
pub(crate) struct Switch {
    inner: Arc<dyn AsyncUdpSocket>,
    clock: Clock,
    state: Mutex<State>,
    wake: Notify,
    seen: watch::Sender<Seen>,
}

struct State {
    client: Client,
    wire: Wire,
    kept: VecDeque<(RecvMeta, Vec<u8>)>,
}

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switch").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Switch {
    /// Wraps a socket. Must be called within a runtime, to which the task that keeps the pairs alive is given. `local`
    /// tells the addresses of this machine.
    pub(super) fn wrap(
        inner: Arc<dyn AsyncUdpSocket>,
        client: Client,
        clock: Clock,
        local: impl Fn() -> Vec<SocketAddr> + Send + 'static,
    ) -> io::Result<Arc<Switch>> {
        let wire = Wire { six: inner.local_addr()?.is_ipv6(), nat64: false };
        let seen = watch::Sender::new(Seen { registered: false, progress: Progress::Silence, route: None });
        let state = Mutex::new(State { client, wire, kept: VecDeque::new() });
        let switch = Arc::new(Switch { inner, clock, state, wake: Notify::new(), seen });
        let weak = Arc::downgrade(&switch);
        let mut poller = Arc::clone(&switch.inner).create_io_poller();
        tokio::spawn(async move {
            // A new socket says that it would block until it has been asked once.
            let _ = std::future::poll_fn(|cx| poller.as_mut().poll_writable(cx)).await;
            drop(poller);
            let mut look = Duration::ZERO;
            while let Some(switch) = weak.upgrade() {
                let now = switch.clock.elapsed();
                if now >= look {
                    look = now + LOOK;
                    switch.set_local(now, local());
                }
                let nap = switch.poll(now).saturating_sub(now).min(NAP);
                tokio::select! {
                    () = tokio::time::sleep(nap) => {}
                    () = switch.wake.notified() => {}
                }
            }
        });
        Ok(switch)
    }

    /// Shows what others wait for.
    pub(super) fn seen(&self) -> watch::Receiver<Seen> {
        self.seen.subscribe()
    }

    /// Asks the state of the pairs.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&Client) -> T) -> T {
        question(&self.state().client)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_local(&self, now: Duration, local: Vec<SocketAddr>) {
        let mut state = self.state();
        let state = &mut *state;
        // Without any address there is nothing to conclude.
        state.wire.nat64 = !local.is_empty() && local.iter().all(SocketAddr::is_ipv6);
        state.client.set_local(now, local);
    }

    fn poll(&self, now: Duration) -> Duration {
        let mut state = self.state();
        let (out, next) = state.client.poll(now);
        self.say(&state, out);
        next
    }

    /// Sends messages and shows what has changed. What the socket does not take now is lost, as in any router.
    fn say(&self, state: &State, messages: Vec<(SocketAddr, Message)>) {
        for (to, message) in messages {
            let Some(destination) = state.wire.outward(to) else { continue };
            let contents = &message.encode();
            let _ =
                self.inner.try_send(&Transmit { destination, ecn: None, contents, segment_size: None, src_ip: None });
        }
        let progress = state.client.progress();
        let route = if let Progress::Met(made_up) = progress { state.client.route(made_up) } else { None };
        let now = Seen { registered: state.client.is_registered(), progress, route };
        self.seen.send_if_modified(|seen| std::mem::replace(seen, now) != now);
    }

    /// Sorts what arrived in one buffer. What is left there is QUIC of one peer.
    fn sort(&self, state: &mut State, now: Duration, buffer: &mut [u8], meta: &mut RecvMeta) {
        let from = state.wire.inward(meta.addr);
        let (mut left, mut owner, mut replies) = (0, None, Vec::new());
        let (arrived, stride) = (meta.len, meta.stride.max(1));
        for start in (0..arrived).step_by(stride) {
            let end = (start + stride).min(arrived);
            let datagram = &buffer[start..end];
            let (made_up, skip) = if datagram[0] & 0x40 != 0 {
                (state.client.received_directly(now, from, datagram.len()).unwrap_or(meta.addr), 0)
            } else {
                match Message::decode(datagram) {
                    Ok(Message::Relay { pair }) => {
                        let made_up = state.client.received_relayed(now, from, pair, datagram.len());
                        let Some(made_up) = made_up else { continue };
                        (made_up, RELAY_HEADER_BYTES)
                    }
                    Ok(message) => {
                        replies.extend(state.client.handle(now, from, message));
                        continue;
                    }
                    Err(_) => continue,
                }
            };
            let of = |address| RecvMeta {
                addr: address,
                len: end - start - skip,
                stride: stride - skip.min(stride - 1),
                ecn: meta.ecn,
                // Which of this machine's addresses is sent from is for the kernel to choose anew each time.
                dst_ip: if address == meta.addr { meta.dst_ip } else { None },
            };
            match owner {
                None => owner = Some(of(made_up)),
                // Only the last may be shorter than the others.
                Some(first) if first.addr == made_up && left % first.stride == 0 => {}
                Some(_) => {
                    if state.kept.len() < MAX_KEPT {
                        state.kept.push_back((of(made_up), buffer[start + skip..end].to_vec()));
                    }
                    continue;
                }
            }
            buffer.copy_within(start + skip..end, left);
            left += end - start - skip;
        }
        if let Some(first) = owner {
            *meta = first;
        }
        meta.len = left;
        if !replies.is_empty() || owner.is_none() {
            self.say(state, replies);
            self.wake.notify_one();
        }
    }

    /// A packet for the server to pass on.
    fn relay(&self, state: &State, server: SocketAddr, header: &[u8], transmit: &Transmit<'_>) -> io::Result<()> {
        let Some(destination) = state.wire.outward(server) else { return Ok(()) };
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        let mut contents = Vec::with_capacity(transmit.contents.len() + header.len() * 16);
        for datagram in transmit.contents.chunks(segment) {
            contents.extend_from_slice(header);
            contents.extend_from_slice(datagram);
        }
        let segment_size = transmit.segment_size.map(|segment| segment + header.len());
        self.inner.try_send(&Transmit { destination, ecn: None, contents: &contents, segment_size, src_ip: None })
    }
}

impl AsyncUdpSocket for Switch {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let mut state = self.state();
        match state.client.send(self.clock.elapsed(), transmit.destination) {
            None => self.inner.try_send(transmit),
            Some(Route::Direct(remote)) => {
                let Some(destination) = state.wire.outward(remote) else { return Ok(()) };
                let Transmit { ecn, contents, segment_size, .. } = *transmit;
                self.inner.try_send(&Transmit { destination, ecn, contents, segment_size, src_ip: None })
            }
            Some(Route::Relay(pair)) => match state.client.home() {
                Some(server) => self.relay(&state, server, &Message::Relay { pair }.encode(), transmit),
                None => Ok(()),
            },
            // As lost as in a network without a way.
            Some(Route::None) => Ok(()),
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        let mut count = 0;
        while count < bufs.len().min(meta.len())
            && let Some((kept, datagram)) = state.kept.pop_front()
        {
            bufs[count][..datagram.len()].copy_from_slice(&datagram);
            meta[count] = kept;
            count += 1;
        }
        if count > 0 {
            return Poll::Ready(Ok(count));
        }
        let received = std::task::ready!(self.inner.poll_recv(cx, bufs, meta))?;
        let now = self.clock.elapsed();
        for (buffer, meta) in bufs.iter_mut().zip(meta.iter_mut()).take(received) {
            self.sort(&mut state, now, buffer, meta);
        }
        Poll::Ready(Ok(received))
    }

    /// An IPv6 address, as the made-up ones are.
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok((Ipv6Addr::UNSPECIFIED, self.inner.local_addr()?.port()).into())
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
