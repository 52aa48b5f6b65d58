//! The provider: serves one payload to any number of fetchers until it is told to stop.

use std::io::Write;
use std::ops::Range;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use quinn::{
    Connection, ConnectionError, Endpoint, Incoming, ReadError as StreamError, ReadToEndError, RecvStream, SendStream,
    StoppedError, VarInt, WriteError,
};
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, watch};

use crate::clock::Clock;
use crate::events::truncate;
use crate::frame::{Answer, FrameError, MAX_REQUEST_BYTES, Request};
use crate::gate::Gate;
use crate::payload::{Payload, ReadError};
use crate::quic;
use crate::raw;
use crate::rendezvous::Door;
use crate::share::{Crowd, Member};
use crate::verified::{EncodeError, Encoder, is_whole_groups};
use longhaul_record::text;

/// Reset code of a stream that cannot go on. A unidirectional stream brings the reason as text for a person.
pub const RESET_FAILED: VarInt = VarInt::from_u32(1);

/// The longest reason in bytes.
pub const MAX_REASON_BYTES: usize = 2000;

/// How long a stopped provider goes on telling fetchers that it has stopped.
const GOODBYE: Duration = Duration::from_secs(1);

/// What is served.
#[derive(Debug)]
pub enum Service {
    /// A payload.
    Blob {
        /// The payload.
        payload: Box<Payload>,
        /// Whether each group is checked before it is sent. Off only to test fetchers.
        check: bool,
    },
    /// The yardstick: bytes from memory.
    Raw,
}

/// Why one fetcher was not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The handshake failed.
    #[error("no connection")]
    Handshake(#[source] ConnectionError),
    /// The request did not arrive.
    #[error("the request did not arrive")]
    Receive(#[from] ReadToEndError),
    /// The request cannot be understood.
    #[error("the request cannot be understood")]
    Request(#[from] FrameError),
    /// The request is for a part that is not made of whole groups.
    #[error("the request is for the bytes {start}..{end}, which are not whole groups of the blob")]
    Part {
        /// Where the part begins.
        start: u64,
        /// Where it ends.
        end: u64,
    },
    /// The fetcher went away.
    #[error("the fetcher went away")]
    Send(#[from] WriteError),
    /// The fetcher went away before it had confirmed everything.
    #[error("the fetcher went away")]
    Gone(#[source] StoppedError),
    /// What is served once has been served.
    #[error("refused: the ticket has been used already")]
    Used,
    /// This provider was told to stop.
    #[error("the provider was stopped")]
    Stopped,
    /// The files are not what they were.
    #[error("the payload changed on disk since import: {place}")]
    Changed {
        /// The file and offset.
        place: String,
    },
    /// The hash tree cannot be read any more.
    #[error("cannot read the payload's hash tree")]
    Nodes(#[source] std::io::Error),
    /// The files cannot be read any more.
    #[error("the payload changed on disk since import")]
    Unreadable(#[source] ReadError),
}

impl ServeError {
    /// Whether the fetcher only has enough: it has everything, perhaps from another provider.
    fn is_no_fault(&self) -> bool {
        let lost = match self {
            ServeError::Send(WriteError::Stopped(_)) => return true,
            ServeError::Send(WriteError::ConnectionLost(lost))
            | ServeError::Gone(StoppedError::ConnectionLost(lost))
            | ServeError::Receive(ReadToEndError::Read(StreamError::ConnectionLost(lost))) => lost,
            _ => return false,
        };
        matches!(lost, ConnectionError::ApplicationClosed(close) if close.error_code == quic::CLOSE_DONE)
    }
}

/// What a fetcher hears from a provider that is told to stop.
const STOPPED: &[u8] = b"the provider was stopped";

/// Serves until `stop` completes, then says goodbye to everybody. A gate, if there is one, lets one fetcher in; a
/// door, if there is one, belongs to the endpoint.
pub async fn serve(
    endpoint: Endpoint,
    service: Service,
    gate: Option<Arc<Gate>>,
    door: Option<Door>,
    clock: Clock,
    stop: impl Future<Output = ()>,
) {
    let log = Log { clock, next: std::sync::Mutex::new((Duration::ZERO, 0)) };
    let (stopping, stopped) = watch::channel(());
    let (busy, mut idle) = mpsc::channel(1);
    let crowd = Crowd::default();
    let shared = Shared { service: Arc::new(service), log: Arc::new(log), crowd, gate, door, stopped, _busy: busy };
    let accept = async {
        while let Some(incoming) = endpoint.accept().await {
            tokio::spawn(connection(incoming, shared.clone()));
        }
    };
    tokio::select! {
        () = accept => {}
        () = stop => {}
    }
    // Fetchers are told on their streams, which is certain to arrive; the packet that closes a connection is not.
    drop((stopping, shared));
    let _ = tokio::time::timeout(GOODBYE, async {
        endpoint.set_server_config(None);
        idle.recv().await
    })
    .await;
    endpoint.close(VarInt::from_u32(0), STOPPED);
    let _ = tokio::time::timeout(GOODBYE, endpoint.wait_idle()).await;
}

/// What every task of a provider has.
#[derive(Clone)]
struct Shared {
    service: Arc<Service>,
    log: Arc<Log>,
    crowd: Crowd,
    gate: Option<Arc<Gate>>,
    door: Option<Door>,
    /// Closes when the provider stops.
    stopped: watch::Receiver<()>,
    /// Dropped with the last task.
    _busy: mpsc::Sender<()>,
}

/// A request's right to send, until everything it sends is written.
type Turn = OwnedMutexGuard<()>;

async fn connection(incoming: Incoming, shared: Shared) {
    let remote = incoming.remote_address();
    let accepted = match &shared.door {
        Some(door) => door.accept(incoming),
        None => incoming.accept(),
    };
    let accepted = async { accepted?.await };
    let connection = match accepted.await {
        Ok(connection) => connection,
        Err(error) => {
            shared.gate.iter().for_each(|gate| gate.refused(&error));
            return shared.log.failure(remote, &ServeError::Handshake(error));
        }
    };
    let mut stopped = shared.stopped.clone();
    let mut asked = false;
    // One request after the other, in their order: what is asked for in advance must not slow down what is needed first.
    let turns = Arc::new(Mutex::new(()));
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept_bi() => accepted,
            _ = stopped.changed() => {
                // Who has asked for something is told on that stream; who has not yet, only the close can tell.
                if !asked {
                    connection.close(VarInt::from_u32(0), STOPPED);
                }
                return;
            }
        };
        let (send, recv) = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                shared.gate.iter().for_each(|gate| gate.left(connection.stable_id(), error.clone()));
                return;
            }
        };
        asked = true;
        let (shared, connection, turns) = (shared.clone(), connection.clone(), Arc::clone(&turns));
        tokio::spawn(async move {
            let turn = turns.lock_owned().await;
            if let Err(error) = request(&shared, &connection, turn, send, recv).await
                && !error.is_no_fault()
            {
                shared.log.failure(remote, &error);
            }
        });
    }
}

async fn request(
    shared: &Shared,
    connection: &Connection,
    turn: Turn,
    mut send: SendStream,
    mut recv: RecvStream,
) -> Result<(), ServeError> {
    let request = match Request::decode(&recv.read_to_end(MAX_REQUEST_BYTES).await?) {
        Ok(request) => request,
        Err(error) => {
            answer(&mut send, Answer::Malformed).await?;
            return Err(error.into());
        }
    };
    let mut stopped = shared.stopped.clone();
    let result = tokio::select! {
        result = respond(shared, request, connection, turn, &mut send) => result,
        _ = stopped.changed() => Err(ServeError::Stopped),
    };
    if let Err(error) = &result
        && !matches!(error, ServeError::Used)
        && !error.is_no_fault()
    {
        explain(connection, &mut send, error).await;
    }
    result
}

async fn respond(
    shared: &Shared,
    request: Request,
    connection: &Connection,
    turn: Turn,
    send: &mut SendStream,
) -> Result<(), ServeError> {
    if shared.gate.as_ref().is_some_and(|gate| !gate.admit(connection.stable_id())) {
        answer(send, Answer::Used).await?;
        let _ = send.finish();
        let _ = send.stopped().await;
        return Err(ServeError::Used);
    }
    let member = shared.crowd.enter();
    match (&*shared.service, request) {
        (Service::Raw, Request::Raw { bytes }) => {
            answer(send, Answer::Serving).await?;
            raw::send(connection, send, &member, bytes).await?;
        }
        (Service::Blob { payload, check }, Request::Blob { hash, start, end }) if hash == payload.outboard().hash() => {
            if !is_whole_groups(&(start..end), payload.outboard().size()) {
                answer(send, Answer::Malformed).await?;
                return Err(ServeError::Part { start, end });
            }
            answer(send, Answer::Serving).await?;
            blob(payload, *check, &(start..end), connection, send, &member).await?;
        }
        _ => answer(send, Answer::Unknown).await?,
    }
    // Fails only if the stream is closed already, and then the fetcher knows more than we do.
    let _ = send.finish();
    drop(turn);
    // Until the fetcher has everything, the request is not over and can still be broken off.
    send.stopped().await.map(drop).map_err(ServeError::Gone)
}

/// Ends a stream early and says why. Both arrive for certain, which a close of the connection would not.
async fn explain(connection: &Connection, send: &mut SendStream, error: &ServeError) {
    let reason = text::chain(error);
    // Whatever fails here, the connection is gone and nobody is left to hear it.
    let _ = send.reset(RESET_FAILED);
    if let Ok(mut words) = connection.open_uni().await {
        let _ = words.write_all(truncate(&reason, MAX_REASON_BYTES).as_bytes()).await;
        let _ = words.finish();
        let _ = words.stopped().await;
    }
}

async fn answer(send: &mut SendStream, answer: Answer) -> Result<(), WriteError> {
    send.write_all(&[answer.to_byte()]).await
}

async fn blob(
    payload: &Payload,
    check: bool,
    range: &Range<u64>,
    connection: &Connection,
    send: &mut SendStream,
    member: &Member,
) -> Result<(), ServeError> {
    let outboard = payload.outboard();
    let mut encoder = if check { Encoder::new(outboard, range) } else { Encoder::unchecked(outboard, range) };
    let mut reader = payload.reader();
    while !encoder.is_done() {
        let mut piece = member.piece();
        let filled = encoder.fill(&mut reader, piece.as_mut()).map_err(|error| match error {
            EncodeError::Read { source, .. } => ServeError::Unreadable(source),
            EncodeError::Nodes(source) => ServeError::Nodes(source),
            EncodeError::Changed { offset, bytes } => {
                ServeError::Changed { place: payload.layout().describe(offset..offset + bytes as u64) }
            }
        })?;
        quic::write(connection, send, member, Bytes::from_owner(piece).slice(..filled)).await?;
    }
    Ok(())
}

/// Failures on standard error, at a bounded rate: whoever can reach the port can cause them.
#[derive(Debug)]
struct Log {
    clock: Clock,
    /// When the next line may be written, and how many were left out since the last.
    next: std::sync::Mutex<(Duration, u64)>,
}

impl Log {
    const INTERVAL: Duration = Duration::from_millis(50);

    fn failure(&self, remote: std::net::SocketAddr, error: &ServeError) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.elapsed();
        if now < next.0 {
            next.1 += 1;
            return;
        }
        let silent = match next.1 {
            0 => String::new(),
            count => format!(" ({count} more like this not shown)"),
        };
        *next = (now + Self::INTERVAL, 0);
        // Nobody may be reading; serving goes on.
        let _ = writeln!(std::io::stderr(), "{remote}: {}{silent}", text::chain(error));
    }
}
