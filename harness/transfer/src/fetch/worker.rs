//! One provider's part of a fetch: it is asked for piece after piece, and every byte is verified before it is written.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::Write;
use std::ops::Range;
use std::task::Poll;
use std::time::Duration;

use quinn::{Connection, Endpoint, ReadError, RecvStream};

use super::error::refused;
use super::plan::Piece;
use super::{FetchError, Shared, Source, ask, read_answer, unreadable};
use crate::frame::Request;
use crate::provide::{MAX_REASON_BYTES, RESET_FAILED};
use crate::quic::{self, ConnectError, Tuning};
use crate::rendezvous::{self, Place};
use crate::verified::{Accepted, Decoder, GROUP_BYTES, MAX_ITEM_BYTES};

/// Bytes received before they are looked at. Fits a processor's second-level cache, so that hashing and writing find
/// them there.
const BUFFER_BYTES: usize = 512 * 1024;

/// Pieces asked for at a time: one that arrives, and the next.
const DEPTH: usize = 2;

/// How often a provider without a piece looks for one that it should take over.
const LOOK: Duration = Duration::from_millis(50);

/// Fetches pieces from one provider until there are none left.
pub(super) async fn work<W: Write>(shared: &Shared<'_, W>, index: usize) -> Result<(), FetchError> {
    let source = &shared.sources[index];
    let window = quic::WINDOW_BYTES / u32::try_from(shared.sources.len()).unwrap_or(u32::MAX);
    if let Some(place) = &source.place {
        return work_met(shared, index, place, window).await;
    }
    let (endpoint, connection) = connect(source, shared.tuning, window).await?;
    shared.connections.borrow_mut().push((endpoint, connection.clone()));
    shared.connected(true, connection.remote_address())?;
    match fetch_pieces(shared, index, &connection).await {
        Err(error) => Err(provider_words(&connection, error).await),
        Ok(()) => Ok(()),
    }
}

/// The same from a provider that has to be met first, and is reached by changing ways.
async fn work_met<W: Write>(
    shared: &Shared<'_, W>,
    index: usize,
    place: &Place,
    window: u32,
) -> Result<(), FetchError> {
    let key = shared.sources[index].ticket.key;
    let met = rendezvous::connect(place, key, shared.tuning, window, shared.clock).await?;
    let (endpoint, connection, mut meeting) = met;
    shared.connections.borrow_mut().push((endpoint, connection.clone()));
    shared.meetings.borrow_mut().push(meeting.clone());
    let (direct, remote) = meeting.path();
    shared.connected(direct, remote)?;
    let watch = async {
        loop {
            meeting.path_changed().await;
            let (direct, remote) = meeting.path();
            if let Err(error) = shared.report.borrow_mut().events.path(direct, remote) {
                return FetchError::from(error);
            }
        }
    };
    let result = tokio::select! {
        biased;
        error = watch => Err(error),
        result = fetch_pieces(shared, index, &connection) => result,
    };
    match result {
        Err(error) => Err(provider_words(&connection, error).await),
        Ok(()) => Ok(()),
    }
}

/// Tries all addresses of a provider at once; the first connection counts. The others are closed before anything was
/// asked on them.
async fn connect(source: &Source, tuning: &Tuning, window: u32) -> Result<(Endpoint, Connection), ConnectError> {
    let connect = |address| quic::connect(address, source.ticket.key, source.identity.as_ref(), tuning, window);
    let mut attempts: Vec<_> = source.addresses.iter().map(|address| Some(Box::pin(connect(*address)))).collect();
    poll_fn(|context| {
        for index in 0..attempts.len() {
            let Some(attempt) = &mut attempts[index] else { continue };
            if let Poll::Ready(result) = attempt.as_mut().poll(context) {
                attempts[index] = None;
                if result.is_ok() || attempts.iter().all(Option::is_none) {
                    return Poll::Ready(result);
                }
            }
        }
        Poll::Pending
    })
    .await
}

async fn fetch_pieces<W: Write>(
    shared: &Shared<'_, W>,
    index: usize,
    connection: &Connection,
) -> Result<(), FetchError> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut asked = VecDeque::new();
    loop {
        while asked.len() < DEPTH {
            let claimed = shared.plan.borrow_mut().claim(index, shared.clock.elapsed());
            let Some(piece) = claimed else { break };
            let request =
                Request::Blob { hash: shared.ticket.hash, start: piece.range.start, end: shared.ask_end(&piece) };
            let stream = ask(connection, &request).await?;
            shared.messages.update(|messages| messages + 1);
            asked.push_back((piece, stream));
        }
        if let Some((piece, stream)) = asked.pop_front() {
            receive(shared, &piece, stream, &mut buffer).await?;
            shared.plan.borrow_mut().finish(piece.id);
            shared.changed.notify_waiters();
        } else if shared.plan.borrow().is_done() {
            return Ok(());
        } else {
            tokio::select! {
                () = shared.changed.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
                // Nobody else would hear of a provider that ends while it has nothing to do.
                error = connection.closed() => return Err(FetchError::Lost { bytes: shared.payload_bytes(), source: error }),
            }
        }
    }
}

/// Receives, verifies and writes a piece, or as much of it as nobody else has taken over.
async fn receive<W: Write>(
    shared: &Shared<'_, W>,
    piece: &Piece,
    mut stream: RecvStream,
    buffer: &mut [u8],
) -> Result<(), FetchError> {
    shared.plan.borrow_mut().begin(piece.id, shared.clock.elapsed());
    read_answer(&mut stream).await?;
    shared.messages.update(|messages| messages + 1);
    let mut decoder = Decoder::new(shared.ticket.hash, shared.ticket.size, &piece.range);
    // The bytes received and not yet looked at.
    let mut pending = 0..0;
    loop {
        let end = shared.plan.borrow().end(piece.id);
        let stored = store(shared, &mut decoder, buffer, &mut pending, end);
        shared.plan.borrow_mut().advance(piece.id, decoder.verified(), shared.clock.elapsed());
        stored?;
        if decoder.need().is_none() || (decoder.verified() >= end && end < piece.range.end) {
            // Dropping the stream tells the provider to stop.
            return Ok(());
        }
        shared.progress()?;
        if pending.is_empty() {
            pending = 0..0;
        } else if buffer.len() - pending.start < MAX_ITEM_BYTES {
            // What is left is less than one item: cheap to move.
            buffer.copy_within(pending.clone(), 0);
            pending = 0..pending.len();
        }
        match stream.read(&mut buffer[pending.end..]).await {
            Ok(Some(bytes)) => pending.end += bytes,
            Ok(None) => {
                return Err(FetchError::Truncated { bytes: decoder.verified(), size: shared.ticket.size });
            }
            Err(error) => return Err(unreadable(shared.payload_bytes(), error)),
        }
        shared.first_byte()?;
    }
}

/// Verifies the complete items among the `pending` bytes of `buffer` and writes what they hold before `end`. What was
/// verified before a false item is written first: it may be what names the item's place.
fn store<W: Write>(
    shared: &Shared<'_, W>,
    decoder: &mut Decoder,
    buffer: &[u8],
    pending: &mut Range<usize>,
    end: u64,
) -> Result<(), FetchError> {
    let offset = decoder.verified();
    let mut groups = Vec::with_capacity(pending.len() / GROUP_BYTES + 1);
    let mut refused = None;
    let mut store = shared.store.borrow_mut();
    while let Some(need) = decoder.need().filter(|need| *need <= pending.len()) {
        let item = &buffer[pending.start..pending.start + need];
        pending.start += need;
        match decoder.accept(item) {
            Ok(Some(Accepted::Group(group))) if group.offset < end || group.data.is_empty() => groups.push(group.data),
            Ok(Some(Accepted::Group(_))) => break,
            Ok(Some(Accepted::Pair(place, pair))) => {
                if let Some(record) = store.sink.record() {
                    record.keep(decoder.position(place), pair)?;
                }
            }
            Ok(None) => break,
            Err(source) => {
                refused = Some(source);
                break;
            }
        }
    }
    store.payload_bytes += store.sink.write_at(offset, &groups)?;
    if shared.plan.borrow().in_order && store.sink.takes_any_order() {
        shared.plan.borrow_mut().in_order = false;
        shared.changed.notify_waiters();
    }
    match refused {
        Some(source) => Err(FetchError::Verify { place: store.sink.describe(source.range()), source }),
        None => Ok(()),
    }
}

/// Replaces the mere fact that the provider broke a stream off by its explanation.
pub(super) async fn provider_words(connection: &Connection, error: FetchError) -> FetchError {
    if let Some(refused) = connection.close_reason().as_ref().and_then(refused) {
        return refused;
    }
    match &error {
        FetchError::Broken { source: ReadError::Reset(code), .. } if *code == RESET_FAILED => {}
        _ => return error,
    }
    // Ends at the latest with the connection.
    let Ok(mut words) = connection.accept_uni().await else { return error };
    let Ok(reason) = words.read_to_end(MAX_REASON_BYTES).await else { return error };
    let reason = String::from_utf8_lossy(&reason);
    FetchError::GaveUp { reason: reason.chars().filter(|c| !c.is_control()).collect() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::fs;

    use tokio::sync::Notify;

    use super::super::plan::Plan;
    use super::super::{Report, Store};
    use super::*;
    use crate::clock::Clock;
    use crate::events::Emitter;
    use crate::payload::{Payload, Symlinks};
    use crate::sink::Sink;
    use crate::ticket::{Kind, PeerKey, Ticket};
    use crate::verified::Encoder;

    /// However the network cuts the stream up: all at once is what a fetcher sees that had to wait for the processor.
    #[test]
    fn a_false_byte_is_placed_in_its_file_even_when_it_arrives_with_the_manifest() {
        let directory = tempfile::tempdir().unwrap();
        let (root, out) = (directory.path().join("tree"), directory.path().join("out"));
        fs::create_dir(&root).unwrap();
        let content = [7; 100_000];
        fs::write(root.join("a"), content).unwrap();
        fs::write(root.join("b"), content).unwrap();
        let payload = Payload::import(&root, Symlinks::Keep, |_, _| {}).unwrap();
        fs::write(root.join("b"), [&content[..50_000], &[8], &content[50_001..]].concat()).unwrap();

        let outboard = payload.outboard();
        let mut encoder = Encoder::unchecked(outboard, &(0..u64::MAX));
        let mut encoding = vec![0; 1 << 20];
        let mut filled = 0..0;
        while !encoder.is_done() {
            filled.end += encoder.fill(&mut payload.reader(), &mut encoding[filled.end..]).unwrap();
        }
        let ticket =
            Ticket { kind: Kind::Tree, size: outboard.size(), hash: outboard.hash(), key: PeerKey([0; 32]), port: 1 };
        let (sink, missing) = Sink::open(&ticket, &out, false).unwrap();
        let mut plan = Plan::new(missing, ticket.size, 1, ticket.size);
        plan.in_order = true;
        let piece = plan.claim(0, Duration::ZERO).unwrap();
        let mut events = Emitter::new(Clock::start(), Vec::new());
        let shared = Shared {
            ticket: &ticket,
            sources: &[Source { addresses: Vec::new(), place: None, ticket, identity: None }],
            tuning: &Tuning::default(),
            clock: events.clock(),
            plan: RefCell::new(plan),
            store: RefCell::new(Store { sink, payload_bytes: 0 }),
            report: RefCell::new(Report { events: &mut events, connected: false, first_byte: false }),
            connections: RefCell::default(),
            meetings: RefCell::default(),
            messages: Cell::default(),
            changed: Notify::new(),
        };
        let mut decoder = Decoder::new(ticket.hash, ticket.size, &piece.range);
        let error = store(&shared, &mut decoder, &encoding, &mut filled, piece.range.end).unwrap_err();
        assert!(matches!(&error, FetchError::Verify { place, .. } if place.starts_with("b bytes ")), "{error:?}");
        assert!(!shared.plan.borrow().in_order);
        assert_eq!(fs::read(out.join("a")).unwrap(), content);
    }
}
