//! An end on a socket: what a provider and a fetcher do to be found, and to find.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connecting, Connection, ConnectionError, Endpoint, Incoming, ServerConfig};
use tokio::sync::watch;

use super::client::{Client, Progress, Role};
use super::pair::{Route, Ways};
use super::switch::{Seen, Switch};
use crate::backup::local_addresses;
use crate::clock::Clock;
use crate::keys::{self, Identity, KeyError};
use crate::quic::{self, ConnectError, EndpointError, Tuning};
use crate::ticket::PeerKey;

/// How long the server may take to answer, or a direct path to be found where there must be one.
const MEET_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a provider may take to turn up.
const ABSENT_TIMEOUT: Duration = Duration::from_secs(2);

/// How to meet somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The addresses of one rendezvous server.
    pub servers: Vec<SocketAddr>,
    /// What may be used.
    pub ways: Ways,
}

/// Why two ends did not meet.
#[derive(Debug, thiserror::Error)]
pub enum MeetError {
    /// No answer.
    #[error(
        "the rendezvous server did not answer within {} s; is its address right, and may UDP leave this network?",
        MEET_TIMEOUT.as_secs()
    )]
    Silent,
    /// Nobody has registered under this key.
    #[error("the rendezvous server knows no provider of this ticket; has it stopped, or does it use another server?")]
    Absent,
    /// The relay is not to be used, and nothing else works.
    #[error("no direct path was found within {} s, and the relay is not to be used", MEET_TIMEOUT.as_secs())]
    NoPath,
    /// No random numbers.
    #[error("cannot make a secret")]
    Key(#[from] KeyError),
}

/// One end, with its socket.
#[derive(Debug, Clone)]
pub struct Meeting {
    switch: Arc<Switch>,
    seen: watch::Receiver<Seen>,
}

impl Meeting {
    fn open(
        socket: UdpSocket,
        role: Role,
        place: &Place,
        tuning: &Tuning,
        clock: Clock,
    ) -> Result<Meeting, EndpointError> {
        let mut nonce = [0; 8];
        keys::random(&mut nonce)?;
        let own = socket.local_addr().map_err(EndpointError::Socket)?;
        let local = move || match own.ip().to_canonical() {
            ip if ip.is_unspecified() => {
                let reachable = local_addresses().into_iter().filter(|ip| own.is_ipv6() || ip.is_ipv4());
                reachable.map(|ip| (ip, own.port()).into()).collect()
            }
            ip => vec![(ip, own.port()).into()],
        };
        let client = Client::new(role, &place.servers, place.ways, u64::from_le_bytes(nonce));
        let inner = quic::socket(socket, tuning)?;
        let switch = Switch::wrap(inner, client, clock, local).map_err(EndpointError::Socket)?;
        let seen = switch.seen();
        Ok(Meeting { switch, seen })
    }

    /// Which way the pair's packets take: whether it is direct, and to where.
    pub fn path(&self) -> (bool, SocketAddr) {
        let Progress::Met(made_up) = self.seen.borrow().progress else { return (false, nowhere()) };
        self.switch.ask(|client| match client.route(made_up) {
            Some(Route::Direct(remote)) => (true, remote),
            _ => (false, client.home().unwrap_or_else(nowhere)),
        })
    }

    /// Waits until the pair's packets take another way.
    pub async fn path_changed(&mut self) {
        let before = self.seen.borrow_and_update().route;
        // Fails only if there is no more switch, and then nothing changes.
        if self.seen.wait_for(|seen| seen.route != before).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Bytes of QUIC received directly and by the relay.
    pub fn received(&self) -> [u64; 2] {
        self.switch.ask(|client| client.received)
    }

    async fn wait(&mut self, time: Duration, until: impl FnMut(&Seen) -> bool) -> bool {
        matches!(tokio::time::timeout(time, self.seen.wait_for(until)).await, Ok(Ok(_)))
    }
}

fn nowhere() -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, 0).into()
}

/// A socket for both families, or for IPv4 where there is no other.
pub fn bind_anywhere() -> Result<UdpSocket, EndpointError> {
    let wildcards: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
    quic::bind((wildcards[0], 0).into()).or_else(|_| quic::bind((wildcards[1], 0).into()))
}

/// How a provider that can be met takes connections.
#[derive(Debug, Clone)]
pub struct Door {
    meeting: Meeting,
    config: ServerConfig,
    tuning: Tuning,
}

impl Door {
    /// Accepts a connection. Its congestion control begins anew with each way that its packets take.
    pub fn accept(&self, incoming: Incoming) -> Result<Connecting, ConnectionError> {
        let mut config = self.config.clone();
        let changes = self.meeting.switch.ask(|client| client.changes(incoming.remote_address()));
        config.transport_config(Arc::new(quic::traversing(&self.tuning, quic::WINDOW_BYTES, changes)));
        incoming.accept_with(Arc::new(config))
    }
}

/// Listens on a bound socket as the owner of `identity`, and registers at a server, which is waited for.
pub async fn listen(
    socket: UdpSocket,
    identity: &Identity,
    place: &Place,
    tuning: &Tuning,
    clock: Clock,
) -> Result<Result<(Endpoint, Door), MeetError>, EndpointError> {
    let mut meeting = Meeting::open(socket, Role::Provider(identity.clone()), place, tuning, clock)?;
    let mut config = quic::server_config(identity, None, tuning)?;
    // A peer has one address for life here, whatever way its packets take.
    config.migration(false);
    let endpoint = quic::endpoint(Arc::clone(&meeting.switch) as _, Some(config.clone()), false)?;
    if !meeting.wait(MEET_TIMEOUT, |seen| seen.registered).await {
        return Ok(Err(MeetError::Silent));
    }
    Ok(Ok((endpoint, Door { meeting, config, tuning: *tuning })))
}

/// Meets the provider that owns `key` and connects to it, by the relay at first if that may be used.
pub async fn connect(
    place: &Place,
    key: PeerKey,
    tuning: &Tuning,
    window: u32,
    clock: Clock,
) -> Result<(Endpoint, Connection, Meeting), ConnectError> {
    let mut token = [0; 16];
    keys::random(&mut token).map_err(MeetError::Key)?;
    let role = Role::Fetcher(key, token);
    let mut meeting = Meeting::open(bind_anywhere()?, role, place, tuning, clock)?;
    // quinn polls its socket only while it has an endpoint.
    let endpoint = quic::endpoint(Arc::clone(&meeting.switch) as _, None, false)?;
    let made_up = met(&mut meeting).await?;
    if !place.ways.relay && !meeting.wait(MEET_TIMEOUT, |seen| matches!(seen.route, Some(Route::Direct(_)))).await {
        return Err(MeetError::NoPath.into());
    }
    let changes = meeting.switch.ask(|client| client.changes(made_up));
    let mut config = quic::client_config(key, None, tuning, window)?;
    let mut transport = quic::traversing(tuning, window, changes);
    quic::keep_alive(&mut transport, tuning);
    config.transport_config(Arc::new(transport));
    let connection = quic::connect_on(&endpoint, config, made_up).await?;
    Ok((endpoint, connection, meeting))
}

/// Waits until the provider is introduced. Returns its made-up address.
async fn met(meeting: &mut Meeting) -> Result<SocketAddr, MeetError> {
    let is_met = |seen: &Seen| matches!(seen.progress, Progress::Met(_));
    if !meeting.wait(MEET_TIMEOUT, |seen| seen.progress != Progress::Silence).await {
        return Err(MeetError::Silent);
    }
    meeting.wait(ABSENT_TIMEOUT, is_met).await;
    match meeting.seen.borrow().progress {
        Progress::Met(made_up) => Ok(made_up),
        Progress::Absent | Progress::Silence => Err(MeetError::Absent),
    }
}
