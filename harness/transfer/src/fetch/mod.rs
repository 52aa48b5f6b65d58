//! The fetcher: connects, asks, and writes only what it has verified.

mod error;
mod plan;
mod worker;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use longhaul_record::text;
use quinn::{Connection, Endpoint, ReadError, ReadExactError, RecvStream};
use tokio::sync::Notify;
use tokio::time::{Interval, MissedTickBehavior, interval};

pub use error::FetchError;

use crate::clock::Clock;
use crate::events::{EmitError, Emitter, PROGRESS_INTERVAL};
use crate::frame::{Answer, Request};
use crate::keys::Identity;
use crate::quic::{self, CLOSE_DONE, CLOSE_FAILED, Tuning};
use crate::rendezvous::{Meeting, Place};
use crate::sink::Sink;
use crate::ticket::{Kind, Ticket};
use plan::{Piece, Plan};

/// The most providers of one fetch.
pub const MAX_PROVIDERS: usize = 16;

/// The smallest and the largest piece that one of several providers is asked for, in bytes.
const PIECE_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=8 << 20;

/// A provider.
#[derive(Debug, Clone)]
pub struct Source {
    /// Where it listens: at least one address, unless it is met. The first that answers is used.
    pub addresses: Vec<SocketAddr>,
    /// Where it is met instead.
    pub place: Option<Place>,
    /// Its ticket.
    pub ticket: Ticket,
    /// The key it knows us by, if it wants to know.
    pub identity: Option<Identity>,
}

impl Source {
    /// The address it is called by.
    fn name(&self) -> SocketAddr {
        let servers = self.place.iter().flat_map(|place| &place.servers);
        self.addresses.iter().chain(servers).next().copied().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)))
    }
}

/// What is to be fetched.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Providers of one and the same payload, at most [`MAX_PROVIDERS`].
    pub sources: &'a [Source],
    /// Where it shall be.
    pub out: &'a Path,
    /// Goes on where an earlier fetch stopped, and leaves a later one what is needed to go on.
    pub resume: bool,
    /// Settings of the connections.
    pub tuning: &'a Tuning,
}

/// What the providers' parts of a fetch share. All run on one thread, and borrow nothing while they wait.
struct Shared<'a, W: Write> {
    ticket: &'a Ticket,
    sources: &'a [Source],
    tuning: &'a Tuning,
    clock: Clock,
    plan: RefCell<Plan>,
    store: RefCell<Store>,
    report: RefCell<Report<'a, W>>,
    connections: RefCell<Vec<(Endpoint, Connection)>>,
    /// Providers that were met.
    meetings: RefCell<Vec<Meeting>>,
    /// Requests sent and answers got.
    messages: Cell<u64>,
    /// There may be pieces for those who had none.
    changed: Notify,
}

struct Store {
    sink: Sink,
    /// Verified bytes of the payload, those of earlier fetches included.
    payload_bytes: u64,
}

struct Report<'a, W: Write> {
    events: &'a mut Emitter<W>,
    connected: bool,
    first_byte: bool,
}

/// Fetches a payload. Returns its size in bytes.
pub async fn fetch<W: Write>(order: Order<'_>, events: &mut Emitter<W>) -> Result<u64, FetchError> {
    let sources = order.sources;
    if sources.iter().any(|source| source.addresses.is_empty() && source.place.is_none()) {
        return Err(FetchError::Nobody);
    }
    let ticket = &sources.first().ok_or(FetchError::Nobody)?.ticket;
    let same = |other: &Ticket| (other.kind, other.size, other.hash) == (ticket.kind, ticket.size, ticket.hash);
    if !sources.iter().all(|source| same(&source.ticket)) {
        return Err(FetchError::Different);
    }
    if ticket.kind == Kind::Raw {
        return Err(FetchError::Kind { kind: ticket.kind });
    }
    let (sink, missing) = Sink::open(ticket, order.out, order.resume)?;
    let kept = sink.kept(&missing);
    if order.resume {
        events.resumed(kept)?;
    }
    let mut plan = Plan::new(missing, ticket.size, sources.len(), piece_bytes(ticket.size, sources.len()));
    plan.in_order = !sink.takes_any_order();
    let shared = Shared {
        ticket,
        sources,
        tuning: order.tuning,
        clock: events.clock(),
        plan: RefCell::new(plan),
        store: RefCell::new(Store { sink, payload_bytes: kept }),
        report: RefCell::new(Report { events, connected: false, first_byte: false }),
        connections: RefCell::default(),
        meetings: RefCell::default(),
        messages: Cell::default(),
        changed: Notify::new(),
    };
    let result = drive(&shared).await;
    let Shared { store, report, connections, meetings, messages, .. } = shared;
    let Store { sink, payload_bytes } = store.into_inner();
    let ways = ways(&meetings.into_inner(), payload_bytes - kept);
    let finish = |()| {
        sink.finish()?;
        report.into_inner().events.done(payload_bytes, ways, Some(messages.get()))?;
        Ok(payload_bytes)
    };
    let result = result.and_then(finish);
    for (_, connection) in connections.into_inner() {
        quic::close(&connection, if result.is_ok() { CLOSE_DONE } else { CLOSE_FAILED }).await;
    }
    result
}

/// How many of the payload's bytes came directly and by a relay, in proportion to the bytes of QUIC that did; `None` if no
/// provider was met.
fn ways(meetings: &[Meeting], payload_bytes: u64) -> Option<[u64; 2]> {
    let add = |sum: [u64; 2], more: [u64; 2]| [sum[0] + more[0], sum[1] + more[1]];
    let received = meetings.iter().map(Meeting::received).reduce(add)?;
    let all = u128::from(received[0]) + u128::from(received[1]);
    let relayed = (u128::from(payload_bytes) * u128::from(received[1])).checked_div(all).unwrap_or(0);
    let relayed = u64::try_from(relayed).unwrap_or(payload_bytes);
    Some([payload_bytes - relayed, relayed])
}

/// A single provider is asked for everything at once.
fn piece_bytes(size: u64, providers: usize) -> u64 {
    match providers as u64 {
        1 => size.max(1),
        providers => (size / (8 * providers)).clamp(*PIECE_BYTES.start(), *PIECE_BYTES.end()),
    }
}

/// One provider's part, until it has ended.
type Worker<'a> = Pin<Box<dyn Future<Output = Result<(), FetchError>> + 'a>>;

/// Has all providers work until everything is there, or nobody is left.
async fn drive<W: Write>(shared: &Shared<'_, W>) -> Result<(), FetchError> {
    let mut workers: Vec<Option<Worker<'_>>> = Vec::new();
    for index in 0..shared.sources.len() {
        workers.push(Some(Box::pin(worker::work(shared, index))));
    }
    let mut reasons = Vec::new();
    let mut ticks = ticks();
    while !shared.plan.borrow().is_done() {
        // Which of them has ended, if the plan is not done first.
        let ended = poll_fn(|context| {
            for (index, slot) in workers.iter_mut().enumerate() {
                if let Some(worker) = slot
                    && let Poll::Ready(result) = worker.as_mut().poll(context)
                {
                    *slot = None;
                    return Poll::Ready(result.err().map(|error| (index, error)));
                }
            }
            if shared.plan.borrow().is_done() { Poll::Ready(None) } else { Poll::Pending }
        });
        let ended = tokio::select! {
            biased;
            ended = ended => ended,
            _ = ticks.tick() => {
                shared.progress()?;
                continue;
            }
        };
        let Some((index, error)) = ended else { continue };
        if error.is_ours() || shared.sources.len() == 1 {
            return Err(error);
        }
        let (address, reason) = (shared.sources[index].name(), text::chain(&error));
        shared.report.borrow_mut().events.dropped(address, &reason)?;
        reasons.push((address, reason));
        if workers.iter().all(Option::is_none) {
            return Err(FetchError::NobodyLeft { reasons });
        }
        shared.plan.borrow_mut().release(index);
        shared.changed.notify_waiters();
    }
    Ok(())
}

impl<W: Write> Shared<'_, W> {
    fn payload_bytes(&self) -> u64 {
        self.store.borrow().payload_bytes
    }

    /// How far to ask for a piece. The last one has no end, so that a blob of another size than the ticket's shows.
    fn ask_end(&self, piece: &Piece) -> u64 {
        if piece.range.end >= self.ticket.size { u64::MAX } else { piece.range.end }
    }

    fn connected(&self, direct: bool, remote: SocketAddr) -> Result<(), EmitError> {
        let report = &mut *self.report.borrow_mut();
        if !std::mem::replace(&mut report.connected, true) {
            report.events.connected()?;
        }
        report.events.path(direct, remote)
    }

    fn first_byte(&self) -> Result<(), EmitError> {
        let report = &mut *self.report.borrow_mut();
        if std::mem::replace(&mut report.first_byte, true) { Ok(()) } else { report.events.first_byte() }
    }

    fn progress(&self) -> Result<(), EmitError> {
        let report = &mut *self.report.borrow_mut();
        // Nothing can have come before.
        if report.connected { report.events.progress(self.payload_bytes()) } else { Ok(()) }
    }
}

/// Fetches a raw ticket's bytes and drops them.
pub async fn fetch_raw<W: Write>(
    from: SocketAddr,
    ticket: &Ticket,
    tuning: &Tuning,
    events: &mut Emitter<W>,
) -> Result<u64, FetchError> {
    if ticket.kind != Kind::Raw {
        return Err(FetchError::Kind { kind: ticket.kind });
    }
    let (_endpoint, connection) = quic::connect(from, ticket.key, None, tuning, quic::WINDOW_BYTES).await?;
    events.connected()?;
    events.path(true, connection.remote_address())?;
    let result = match receive_raw(&connection, ticket.size, events).await {
        Ok(bytes) => events.done(bytes, None, Some(2)).map(|()| bytes).map_err(FetchError::from),
        Err(error) => Err(worker::provider_words(&connection, error).await),
    };
    quic::close(&connection, if result.is_ok() { CLOSE_DONE } else { CLOSE_FAILED }).await;
    result
}

async fn receive_raw<W: Write>(connection: &Connection, size: u64, events: &mut Emitter<W>) -> Result<u64, FetchError> {
    let mut stream = ask(connection, &Request::Raw { bytes: size }).await?;
    read_answer(&mut stream).await?;
    discard(&mut stream, size, events).await
}

/// Sends a request. The answer comes on the stream.
async fn ask(connection: &Connection, request: &Request) -> Result<RecvStream, FetchError> {
    let (mut send, recv) = connection.open_bi().await.map_err(FetchError::Ask)?;
    if let Err(quinn::WriteError::ConnectionLost(error)) = send.write_all(&request.encode()).await {
        return Err(FetchError::Ask(error));
    }
    // Fails only if the provider wants to hear no more; its answer says why.
    let _ = send.finish();
    Ok(recv)
}

async fn read_answer(recv: &mut RecvStream) -> Result<(), FetchError> {
    let mut byte = [0];
    match recv.read_exact(&mut byte).await {
        Ok(()) => {}
        Err(ReadExactError::FinishedEarly(_)) => return Err(FetchError::Protocol { answer: None }),
        Err(ReadExactError::ReadError(error)) => return Err(unreadable(0, error)),
    }
    match Answer::from_byte(byte[0]) {
        Some(Answer::Serving) => Ok(()),
        Some(Answer::Unknown) => Err(FetchError::Unknown),
        Some(Answer::Used) => Err(FetchError::Used),
        Some(Answer::Malformed) | None => Err(FetchError::Protocol { answer: Some(byte[0]) }),
    }
}

/// Receives raw bytes without even copying them.
async fn discard<W: Write>(stream: &mut RecvStream, size: u64, events: &mut Emitter<W>) -> Result<u64, FetchError> {
    let mut bytes = 0;
    let mut chunks: [Bytes; 64] = std::array::from_fn(|_| Bytes::new());
    let mut ticks = ticks();
    let mut begun = false;
    while bytes < size {
        events.progress(bytes)?;
        let read = tokio::select! {
            biased;
            read = stream.read_chunks(&mut chunks) => read,
            _ = ticks.tick() => continue,
        };
        match read.map_err(|error| unreadable(bytes, error))? {
            Some(count) => bytes += chunks[..count].iter().map(|chunk| chunk.len() as u64).sum::<u64>(),
            None => return Err(FetchError::Truncated { bytes, size }),
        }
        if !begun {
            begun = true;
            events.first_byte()?;
        }
    }
    Ok(bytes)
}

/// Makes progress appear even while nothing arrives.
fn ticks() -> Interval {
    let mut ticks = interval(PROGRESS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn unreadable(bytes: u64, error: ReadError) -> FetchError {
    match error {
        ReadError::ConnectionLost(source) => FetchError::Lost { bytes, source },
        source => FetchError::Broken { bytes, source },
    }
}
