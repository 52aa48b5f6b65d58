//! The fetcher: connects, asks, and writes only what it has verified.

use std::io::Write;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use quinn::{Connection, ConnectionError, ReadError, ReadExactError, RecvStream};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::events::{EmitError, Emitter, PROGRESS_INTERVAL};
use crate::frame::{Answer, Request};
use crate::provide::{MAX_REASON_BYTES, RESET_FAILED};
use crate::quic::{self, CLOSE_DONE, CLOSE_FAILED, ConnectError, Tuning};
use crate::sink::{Sink, WriteError};
use crate::ticket::{Kind, Ticket};
use crate::verified::{Decoder, GROUP_BYTES, MAX_ITEM_BYTES, VerifyError};

/// Bytes received before they are looked at. Fits a processor's second-level cache, so that hashing and writing find
/// them there.
const BUFFER_BYTES: usize = 512 * 1024;

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A raw ticket for a fetch, or the other way round.
    #[error("this is a ticket of kind `{kind}`, which another command fetches")]
    Kind {
        /// The ticket's kind.
        kind: Kind,
    },
    /// No connection.
    #[error("cannot reach the provider")]
    Connect(#[from] ConnectError),
    /// The request cannot be sent.
    #[error("cannot ask the provider")]
    Ask(#[source] ConnectionError),
    /// The connection ended early.
    #[error("the connection was lost after {bytes} verified bytes")]
    Lost {
        /// Verified payload bytes.
        bytes: u64,
        /// What quinn said.
        #[source]
        source: ConnectionError,
    },
    /// The stream ended early, but not by itself.
    #[error("the stream broke off after {bytes} verified bytes")]
    Broken {
        /// Verified payload bytes.
        bytes: u64,
        /// What quinn said.
        #[source]
        source: ReadError,
    },
    /// The provider gave up and said why.
    #[error("the provider gave up: {reason}")]
    GaveUp {
        /// The provider's words.
        reason: String,
    },
    /// The provider has something else.
    #[error("the provider does not have what the ticket names")]
    Unknown,
    /// The provider did not understand, or we did not.
    #[error("the provider does not speak this protocol: answer {answer:?}")]
    Protocol {
        /// The provider's first byte.
        answer: Option<u8>,
    },
    /// The stream ended early.
    #[error("the provider ended the stream after {bytes} verified bytes of {size}")]
    Truncated {
        /// Verified bytes of the blob.
        bytes: u64,
        /// Bytes the blob should have.
        size: u64,
    },
    /// Bytes that are not the payload's.
    #[error("refused to write what the provider sent for {place}")]
    Verify {
        /// File and byte range.
        place: String,
        /// What did not match.
        #[source]
        source: VerifyError,
    },
    /// The output.
    #[error("cannot store what was fetched")]
    Write(#[from] WriteError),
    /// Standard output.
    #[error("cannot report")]
    Emit(#[from] EmitError),
}

/// Fetches the payload a ticket names from `from` into `out`. Returns the payload's size in bytes.
pub async fn fetch<W: Write>(
    from: SocketAddr,
    ticket: &Ticket,
    out: &Path,
    tuning: &Tuning,
    events: &mut Emitter<W>,
) -> Result<u64, FetchError> {
    let sink = match ticket.kind {
        Kind::File => Sink::file(out)?,
        Kind::Tree => Sink::tree(out, ticket.size)?,
        Kind::Raw => return Err(FetchError::Kind { kind: ticket.kind }),
    };
    let exchange = async |connection: &Connection, events: &mut Emitter<W>| {
        let stream = ask(connection, &Request::Blob { hash: ticket.hash }).await?;
        receive(stream, ticket, sink, events).await
    };
    connected(from, ticket, tuning, events, exchange).await
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
    let exchange = async |connection: &Connection, events: &mut Emitter<W>| {
        let mut stream = ask(connection, &Request::Raw { bytes: ticket.size }).await?;
        discard(&mut stream, ticket.size, events).await
    };
    connected(from, ticket, tuning, events, exchange).await
}

/// Connects to a ticket's provider, has `exchange` fetch a number of bytes, and closes so that the provider knows how
/// it went.
async fn connected<W: Write>(
    from: SocketAddr,
    ticket: &Ticket,
    tuning: &Tuning,
    events: &mut Emitter<W>,
    exchange: impl AsyncFnOnce(&Connection, &mut Emitter<W>) -> Result<u64, FetchError>,
) -> Result<u64, FetchError> {
    let (_endpoint, connection) = quic::connect(from, ticket.key, tuning).await?;
    events.connected()?;
    events.path(connection.remote_address())?;
    let result = match exchange(&connection, events).await {
        Ok(bytes) => events.done(bytes).map(|()| bytes).map_err(FetchError::from),
        Err(error) => Err(provider_words(&connection, error).await),
    };
    quic::close(&connection, if result.is_ok() { CLOSE_DONE } else { CLOSE_FAILED }).await;
    result
}

/// Sends the request and reads the answer.
async fn ask(connection: &Connection, request: &Request) -> Result<RecvStream, FetchError> {
    let (mut send, mut recv) = connection.open_bi().await.map_err(FetchError::Ask)?;
    if let Err(quinn::WriteError::ConnectionLost(error)) = send.write_all(&request.encode()).await {
        return Err(FetchError::Ask(error));
    }
    // Fails only if the provider wants to hear no more; its answer says why.
    let _ = send.finish();
    let mut byte = [0];
    match recv.read_exact(&mut byte).await {
        Ok(()) => {}
        Err(ReadExactError::FinishedEarly(_)) => return Err(FetchError::Protocol { answer: None }),
        Err(ReadExactError::ReadError(error)) => return Err(unreadable(0, error)),
    }
    match Answer::from_byte(byte[0]) {
        Some(Answer::Serving) => Ok(recv),
        Some(Answer::Unknown) => Err(FetchError::Unknown),
        Some(Answer::Malformed) | None => Err(FetchError::Protocol { answer: Some(byte[0]) }),
    }
}

/// Receives, verifies and writes a blob.
async fn receive<W: Write>(
    mut stream: RecvStream,
    ticket: &Ticket,
    mut sink: Sink,
    events: &mut Emitter<W>,
) -> Result<u64, FetchError> {
    let mut decoder = Decoder::new(ticket.hash, ticket.size);
    let mut buffer = vec![0; BUFFER_BYTES];
    // The bytes received and not yet looked at.
    let mut pending = 0..0;
    let mut payload_bytes = 0;
    let mut ticks = ticks();
    let mut begun = false;
    loop {
        payload_bytes += store(&mut decoder, &mut sink, &buffer, &mut pending)?;
        if decoder.need().is_none() {
            sink.finish()?;
            return Ok(payload_bytes);
        }
        events.progress(payload_bytes)?;
        if pending.is_empty() {
            pending = 0..0;
        } else if buffer.len() - pending.start < MAX_ITEM_BYTES {
            // What is left is less than one item: cheap to move.
            buffer.copy_within(pending.clone(), 0);
            pending = 0..pending.len();
        }
        let read = tokio::select! {
            biased;
            read = stream.read(&mut buffer[pending.end..]) => read,
            _ = ticks.tick() => continue,
        };
        match read.map_err(|error| unreadable(payload_bytes, error))? {
            Some(bytes) => pending.end += bytes,
            None => return Err(FetchError::Truncated { bytes: decoder.verified(), size: ticket.size }),
        }
        if !begun {
            begun = true;
            events.first_byte()?;
        }
    }
}

/// Verifies the complete items among the `pending` bytes of `buffer` and writes what they hold. Returns how many payload
/// bytes that were. What was verified before a false item is written first: it may be what names the item's place.
fn store(decoder: &mut Decoder, sink: &mut Sink, buffer: &[u8], pending: &mut Range<usize>) -> Result<u64, FetchError> {
    let offset = decoder.verified();
    let mut groups = Vec::with_capacity(pending.len() / GROUP_BYTES + 1);
    let mut refused = None;
    while let Some(need) = decoder.need().filter(|need| *need <= pending.len()) {
        let item = &buffer[pending.start..pending.start + need];
        pending.start += need;
        match decoder.accept(item) {
            Ok(group) => groups.extend(group.map(|group| group.data)),
            Err(source) => {
                refused = Some(source);
                break;
            }
        }
    }
    let written = sink.write_at(offset, &groups)?;
    match refused {
        Some(source) => Err(FetchError::Verify { place: sink.describe(source.range()), source }),
        None => Ok(written),
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

/// Replaces the mere fact that the provider broke a stream off by its explanation.
async fn provider_words(connection: &Connection, error: FetchError) -> FetchError {
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
    use std::fs;

    use super::*;
    use crate::payload::{Payload, Symlinks};
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

        let mut encoder = Encoder::unchecked(payload.outboard());
        let mut encoding = vec![0; 1 << 20];
        let mut filled = 0..0;
        while !encoder.is_done() {
            filled.end += encoder.fill(&mut payload.reader(), &mut encoding[filled.end..]).unwrap();
        }
        let outboard = payload.outboard();
        let mut decoder = Decoder::new(outboard.hash(), outboard.size());
        let mut sink = Sink::tree(&out, outboard.size()).unwrap();
        let error = store(&mut decoder, &mut sink, &encoding, &mut filled).unwrap_err();
        assert!(matches!(&error, FetchError::Verify { place, .. } if place.starts_with("b bytes ")), "{error:?}");
        assert_eq!(fs::read(out.join("a")).unwrap(), content);
    }
}
