//! QUIC connections whose provider is known by its [key](crate::keys).
//!
//! Each provider makes an Ed25519 key when it starts and shows it as a raw public key (RFC 7250); there is no
//! certificate to parse and no authority to trust. The ticket carries the key. A fetcher accepts that key and no
//! other, and the TLS handshake proves that the provider holds its private half.
//!
//! Both the verified transfer and the raw yardstick use exactly these settings.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use quinn::congestion::{BbrConfig, ControllerFactory, CubicConfig, NewRenoConfig};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    AsyncUdpSocket, Connection, Endpoint, EndpointConfig, MtuDiscoveryConfig, Runtime, SendStream, TransportConfig,
    VarInt, WriteError,
};
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::version::TLS13;

use crate::coalesce::Coalescing;
use crate::frame::ALPN;
use crate::keys::{Identity, KeyError, PinnedKey, cryptography};
use crate::rendezvous::{MeetError, Restarting};
use crate::share::Member;
use crate::ticket::PeerKey;

/// Bytes a fetcher lets a provider send ahead. 1 Gbit/s over a round trip of 200 ms takes 25 MB; the window must not be
/// what limits a transfer, although word of an eighth of it is on the way.
pub const WINDOW_BYTES: u32 = 32 << 20;

/// Bytes the kernel may hold for a socket until this process reads them.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;

/// Bytes a sender keeps ready beyond what is in flight: 2 ms of 1 Gbit/s. It is the same thread that sends and makes
/// ready, so more would only grow cold in the processor's cache.
const AHEAD_BYTES: u64 = 256 << 10;

/// A packet is lost when so many that were sent after it have arrived. RFC 9002 recommends 3 and takes any packet that is
/// overtaken by 3 for lost; TCP as Linux does it (RACK, RFC 8985) goes by time alone once it has seen packets overtake each
/// other, which quinn cannot. On slow links this leaves the decision to time, on fast ones it comes before.
const PACKET_THRESHOLD: u32 = 32;

/// The same when it was sent so many round trips ago, and later ones have arrived: RACK's first window, a quarter of one.
const TIME_THRESHOLD: f32 = 1.25;

/// The longest datagram where a relay's header may come before it: 1500 bytes less those of IPv6 and UDP (48), and of the
/// relay (17).
const TRAVERSING_MTU_BYTES: u16 = 1435;

/// The name sent in the handshake. The key decides, so any valid name serves.
const SERVER_NAME: &str = "longhaul";

/// Settings of a connection that the command line can change.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Tuning {
    /// Congestion controller of this side's sending direction
    #[arg(long, value_enum, default_value_t = Tuning::default().congestion)]
    pub congestion: Congestion,
    /// Round-trip time assumed before one is measured, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = Tuning::default().initial_rtt_ms, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub initial_rtt_ms: u64,
    /// Give a connection up after this many milliseconds without a packet from the peer
    #[arg(long, value_name = "MS", default_value_t = Tuning::default().idle_timeout_ms,
          value_parser = clap::value_parser!(u64).range(100..=600_000))]
    pub idle_timeout_ms: u64,
    /// Give datagrams to the kernel in quinn's own batches of at most 10, to compare
    #[arg(long)]
    pub stock_socket: bool,
}

/// What the command line has when nothing is said.
impl Default for Tuning {
    fn default() -> Self {
        Tuning { congestion: Congestion::Cubic, initial_rtt_ms: 333, idle_timeout_ms: 12_000, stock_socket: false }
    }
}

/// Congestion controllers that quinn has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Congestion {
    /// CUBIC (RFC 9438), quinn's default.
    Cubic,
    /// BBR, experimental in quinn.
    Bbr,
    /// NewReno (RFC 9002).
    NewReno,
}

/// Why an endpoint cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The address is in use, not ours, or forbidden.
    #[error("cannot listen on UDP {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No key could be made.
    #[error("cannot make a key")]
    Key(#[from] KeyError),
    /// The cryptography library refused the settings.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The cryptography library lacks the cipher QUIC begins with.
    #[error("cannot set up QUIC's first packets")]
    InitialCipher(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
    /// The socket cannot be used.
    #[error("cannot use the UDP socket")]
    Socket(#[source] io::Error),
}

/// Why there is no connection to the provider.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// This side's endpoint.
    #[error("cannot set up this end of the connection")]
    Endpoint(#[from] EndpointError),
    /// The provider was not introduced.
    #[error("did not meet the provider")]
    Meet(#[from] MeetError),
    /// The address cannot be connected to.
    #[error("cannot connect to {remote}")]
    Start {
        /// The provider's address.
        remote: SocketAddr,
        /// What quinn said.
        #[source]
        source: quinn::ConnectError,
    },
    /// The handshake failed or nobody answered.
    #[error("no connection to {remote}")]
    Handshake {
        /// The provider's address.
        remote: SocketAddr,
        /// What quinn said.
        #[source]
        source: quinn::ConnectionError,
    },
}

/// Binds a provider's socket. A step of its own, so that a port in use is found before a long import.
pub fn bind(address: SocketAddr) -> Result<UdpSocket, EndpointError> {
    UdpSocket::bind(address).map_err(|source| EndpointError::Bind { address, source })
}

/// Listens on a bound socket with a fresh key. If `client` is given, only its owner gets a connection.
pub fn listen(
    socket: UdpSocket,
    tuning: &Tuning,
    client: Option<PeerKey>,
) -> Result<(Endpoint, PeerKey), EndpointError> {
    let identity = Identity::fresh()?;
    let server = server_config(&identity, client, tuning)?;
    Ok((endpoint(self::socket(socket, tuning)?, Some(server), true)?, identity.public()))
}

/// What a provider with this key tells fetchers in the handshake, or the one that owns `client`.
pub(crate) fn server_config(
    identity: &Identity,
    client: Option<PeerKey>,
    tuning: &Tuning,
) -> Result<quinn::ServerConfig, EndpointError> {
    let builder =
        rustls::ServerConfig::builder_with_provider(Arc::new(cryptography())).with_protocol_versions(&[&TLS13])?;
    let builder = match client {
        Some(client) => builder.with_client_cert_verifier(Arc::new(PinnedKey::new(client))),
        None => builder.with_no_client_auth(),
    };
    let mut tls = builder.with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(identity.certified())));
    tls.alpn_protocols = vec![ALPN.to_vec()];
    // Sessions are not resumed: each run of a subject is a new process.
    tls.send_tls13_tickets = 0;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    server.transport_config(Arc::new(transport(tuning, WINDOW_BYTES)));
    Ok(server)
}

/// Connects to the provider that owns `key`, as the owner of `identity` if one is given. The provider may send at most
/// `window` bytes that have not been read yet.
pub async fn connect(
    remote: SocketAddr,
    key: PeerKey,
    identity: Option<&Identity>,
    tuning: &Tuning,
    window: u32,
) -> Result<(Endpoint, Connection), ConnectError> {
    let local: SocketAddr = match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let endpoint = endpoint(socket(bind(local)?, tuning)?, None, true)?;
    let config = client_config(key, identity, tuning, window)?;
    let connection = connect_on(&endpoint, config, remote).await?;
    Ok((endpoint, connection))
}

/// Connects from an endpoint that is there.
pub(crate) async fn connect_on(
    endpoint: &Endpoint,
    config: quinn::ClientConfig,
    remote: SocketAddr,
) -> Result<Connection, ConnectError> {
    let connecting =
        endpoint.connect_with(config, remote, SERVER_NAME).map_err(|source| ConnectError::Start { remote, source })?;
    connecting.await.map_err(|source| ConnectError::Handshake { remote, source })
}

/// Writes a piece of a long stream.
///
/// quinn takes as much as the send window allows, long before it can be sent. The window must hold what is in flight
/// on the longest path, but on a short one that much would only be read from disk too early, and be gone from the
/// processor's cache when its turn comes. So the window follows the congestion window at some distance, up to what this
/// fetcher may have.
pub async fn write(
    connection: &Connection,
    stream: &mut SendStream,
    member: &Member,
    piece: Bytes,
) -> Result<(), WriteError> {
    let in_flight = connection.stats().path.cwnd;
    connection.set_send_window(in_flight.saturating_add(AHEAD_BYTES).min(member.window_bytes()));
    stream.write_chunk(piece).await?;
    // Lets the connection's task send what it may, instead of preparing more.
    tokio::task::yield_now().await;
    Ok(())
}

/// Close code of a fetcher that has everything it asked for.
pub const CLOSE_DONE: VarInt = VarInt::from_u32(0);

/// Close code of a fetcher that has failed.
pub const CLOSE_FAILED: VarInt = VarInt::from_u32(1);

/// Closes a connection and lets the packet that says so leave.
///
/// `Endpoint::wait_idle` would also wait for stray packets, three probe timeouts long, which measures nothing.
pub async fn close(connection: &Connection, code: VarInt) {
    connection.close(code, b"");
    // On a current-thread runtime the connection's task runs, and sends, before this one goes on.
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn client_config(
    key: PeerKey,
    identity: Option<&Identity>,
    tuning: &Tuning,
    window: u32,
) -> Result<quinn::ClientConfig, EndpointError> {
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(cryptography()))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedKey::new(key)));
    let mut tls = match identity {
        Some(identity) => {
            builder.with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(identity.certified())))
        }
        None => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.enable_sni = false;
    tls.resumption = rustls::client::Resumption::disabled();
    let mut client = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    let mut transport = transport(tuning, window);
    keep_alive(&mut transport, tuning);
    client.transport_config(Arc::new(transport));
    Ok(client)
}

/// The fetcher asks for signs of life, so that only a dead peer runs into the idle timeout and not a slow disk.
pub(crate) fn keep_alive(transport: &mut TransportConfig, tuning: &Tuning) {
    transport.keep_alive_interval(Some(Duration::from_millis(tuning.idle_timeout_ms / 3)));
}

/// Settings of a connection whose packets may take [another way](crate::rendezvous) at any time, which `changes` counts.
pub(crate) fn traversing(tuning: &Tuning, window: u32, changes: Option<Arc<AtomicU64>>) -> TransportConfig {
    let mut transport = transport(tuning, window);
    if let Some(changes) = changes {
        transport.congestion_controller_factory(Arc::new(Restarting::new(controllers(tuning), changes)));
    }
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(TRAVERSING_MTU_BYTES);
    transport.mtu_discovery_config(Some(discovery));
    transport
}

fn controllers(tuning: &Tuning) -> Arc<dyn ControllerFactory + Send + Sync> {
    match tuning.congestion {
        Congestion::Cubic => Arc::new(CubicConfig::default()),
        Congestion::Bbr => Arc::new(BbrConfig::default()),
        Congestion::NewReno => Arc::new(NewRenoConfig::default()),
    }
}

fn transport(tuning: &Tuning, window: u32) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let idle_ms = u32::try_from(tuning.idle_timeout_ms).unwrap_or(u32::MAX);
    transport
        .congestion_controller_factory(controllers(tuning))
        .packet_threshold(PACKET_THRESHOLD)
        .time_threshold(TIME_THRESHOLD)
        .initial_rtt(Duration::from_millis(tuning.initial_rtt_ms))
        .max_idle_timeout(Some(VarInt::from_u32(idle_ms).into()))
        .stream_receive_window(VarInt::from_u32(window))
        .receive_window(VarInt::from_u32(window))
        .send_window(WINDOW_BYTES.into())
        .max_concurrent_bidi_streams(VarInt::from_u32(16))
        .max_concurrent_uni_streams(VarInt::from_u32(16))
        .datagram_receive_buffer_size(None);
    transport
}

/// A bound socket as quinn wants it.
pub(crate) fn socket(socket: UdpSocket, tuning: &Tuning) -> Result<Arc<dyn AsyncUdpSocket>, EndpointError> {
    enlarge_receive_buffer(&socket).map_err(EndpointError::Socket)?;
    let socket = quinn::TokioRuntime.wrap_udp_socket(socket).map_err(EndpointError::Socket)?;
    Ok(if tuning.stock_socket { socket } else { Coalescing::wrap(socket) })
}

/// `alone`: nothing but QUIC uses the socket. Otherwise packets must be told apart by their second bit (RFC 9287).
pub(crate) fn endpoint(
    socket: Arc<dyn AsyncUdpSocket>,
    server: Option<quinn::ServerConfig>,
    alone: bool,
) -> Result<Endpoint, EndpointError> {
    let mut config = EndpointConfig::default();
    config.grease_quic_bit(alone);
    let runtime = Arc::new(quinn::TokioRuntime);
    Endpoint::new_with_abstract_socket(config, server, socket, runtime).map_err(EndpointError::Socket)
}

/// Asks for room for what arrives while a batch is hashed and written. The system grants what `net.core.rmem_max`
/// allows, and packets that find no room look like congestion.
fn enlarge_receive_buffer(socket: &UdpSocket) -> io::Result<()> {
    let state = quinn::udp::UdpSocketState::new(socket.into())?;
    state.set_recv_buffer_size(socket.into(), RECEIVE_BUFFER_BYTES)
}
