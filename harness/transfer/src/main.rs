//! `longhaul-transfer`: the reference subject's command line.
//!
//! Standard output carries subject-protocol events and nothing else. Exit status: 0 done, 1 failed (one `error` event
//! and one line on standard error say why), 2 wrong usage.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use longhaul_record::text;
use longhaul_transfer::backup::{self, BackupTicket, Secret};
use longhaul_transfer::clock::Clock;
use longhaul_transfer::events::{EmitError, Emitter};
use longhaul_transfer::fetch::{self, FetchError, Order, Source};
use longhaul_transfer::gate::{End, Gate};
use longhaul_transfer::http::{HttpError, HttpServer};
use longhaul_transfer::keys::{Identity, KeyError};
use longhaul_transfer::payload::{ImportError, Payload, Symlinks};
use longhaul_transfer::provide::{self, Service};
use longhaul_transfer::quic::{self, EndpointError, Tuning};
use longhaul_transfer::rendezvous::{self, MeetError, Place, RendezvousError, Ways};
use longhaul_transfer::ticket::{Kind, MAX_BLOB_BYTES, PeerKey, Ticket};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

/// A verified transfer over QUIC, the reference subject of longhaul, and its yardsticks.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Import a file or directory and serve it until stopped
    Provide(ProvideArgs),
    /// Fetch what a ticket names, verified
    Fetch(FetchArgs),
    /// Show a one-time ticket for a file or directory, and serve it to the one device that has the ticket
    BackupSend(BackupSendArgs),
    /// Fetch what a one-time ticket names
    BackupReceive(BackupReceiveArgs),
    /// Introduce providers and fetchers behind NATs to each other, and relay between them, until stopped
    Rendezvous(RendezvousArgs),
    /// Serve the files below a directory over plain HTTP/1.1 until stopped
    Http(HttpArgs),
    /// Serve bytes from memory: what QUIC alone can do
    RawProvide(RawProvideArgs),
    /// Fetch bytes and drop them: what QUIC alone can do
    RawFetch(RawFetchArgs),
}

#[derive(Debug, Args)]
struct ProvideArgs {
    /// The file or directory to serve
    #[arg(long, value_name = "PATH")]
    payload: PathBuf,
    /// What to do about symbolic links in a directory
    #[arg(long, value_enum, default_value_t = Symlinks::Keep)]
    symlinks: Symlinks,
    /// Send bytes without checking them first, to test fetchers
    #[arg(long, hide = true)]
    unchecked: bool,
    #[command(flatten)]
    traverse: TraverseArgs,
    #[command(flatten)]
    serve: ServeArgs,
}

/// How providers and fetchers behind NATs meet.
#[derive(Debug, Args)]
struct TraverseArgs {
    /// Addresses of a rendezvous server, by which fetchers and this provider meet
    #[arg(long, value_name = "ADDR:PORT[,…]", value_delimiter = ',')]
    rendezvous: Vec<SocketAddr>,
    /// Do not send by way of the rendezvous server; without a direct path there is no transfer
    #[arg(long, requires = "rendezvous", conflicts_with = "no_direct")]
    no_relay: bool,
    /// Send by way of the rendezvous server only
    #[arg(long, requires = "rendezvous")]
    no_direct: bool,
}

impl TraverseArgs {
    fn place(&self) -> Option<Place> {
        let ways = Ways { direct: !self.no_direct, relay: !self.no_relay };
        (!self.rendezvous.is_empty()).then(|| Place { servers: self.rendezvous.clone(), ways })
    }
}

#[derive(Debug, Args)]
struct BackupSendArgs {
    /// The file or directory to send
    path: PathBuf,
    /// What to do about symbolic links in a directory
    #[arg(long, value_enum, default_value_t = Symlinks::Keep)]
    symlinks: Symlinks,
    /// The UDP address to listen on, and the only one in the ticket, instead of all of this machine's
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    tuning: Tuning,
}

#[derive(Debug, Args)]
struct BackupReceiveArgs {
    /// What the sending device shows
    ticket: BackupTicket,
    /// Where the received file or directory shall be
    out: PathBuf,
    /// Go on where an interrupted receipt with this option stopped, and keep what is needed to go on again
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    tuning: Tuning,
}

#[derive(Debug, Args)]
struct RendezvousArgs {
    /// The UDP address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT")]
    listen: SocketAddr,
    /// Bytes to relay for each pair in a second, at most
    #[arg(long, value_name = "BYTES", default_value_t = 12_500_000, value_parser = clap::value_parser!(u64).range(1..))]
    relay_rate: u64,
    /// Also stop when standard input ends, so as not to outlive a parent
    #[arg(long)]
    until_stdin_closes: bool,
}

#[derive(Debug, Args)]
struct RawProvideArgs {
    /// How many bytes a fetcher gets
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=MAX_BLOB_BYTES))]
    bytes: u64,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// The UDP address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT")]
    listen: SocketAddr,
    /// Also stop when standard input ends, so as not to outlive a parent
    #[arg(long)]
    until_stdin_closes: bool,
    #[command(flatten)]
    tuning: Tuning,
}

#[derive(Debug, Args)]
struct HttpArgs {
    /// The directory whose files are served
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// The TCP address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT")]
    listen: SocketAddr,
    /// Also stop when standard input ends, so as not to outlive a parent
    #[arg(long)]
    until_stdin_closes: bool,
}

#[derive(Debug, Args)]
struct FetchArgs {
    /// Where the fetched file or directory shall be; it must not exist, or be an empty directory for a tree
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// A provider's address; without a port, its ticket's. Several providers of one payload can be named
    #[arg(long, value_name = "ADDR[:PORT]", required_unless_present = "rendezvous", conflicts_with = "rendezvous")]
    from: Vec<Remote>,
    #[command(flatten)]
    traverse: TraverseArgs,
    /// The ticket from the provider's `ready` event; one for each provider, in the same order
    #[arg(long, required = true)]
    ticket: Vec<Ticket>,
    /// Go on where an interrupted fetch with this option stopped, and keep what is needed to go on again
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    tuning: Tuning,
}

#[derive(Debug, Args)]
struct RawFetchArgs {
    /// The provider's address; without a port, the ticket's
    #[arg(long, value_name = "ADDR[:PORT]")]
    from: Remote,
    /// The ticket from the provider's `ready` event
    #[arg(long)]
    ticket: Ticket,
    #[command(flatten)]
    tuning: Tuning,
}

/// An address whose port the ticket may supply.
#[derive(Debug, Clone, Copy)]
enum Remote {
    Address(IpAddr),
    Socket(SocketAddr),
}

impl FromStr for Remote {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Remote, Self::Err> {
        text.parse().map(Remote::Address).or_else(|_| text.parse().map(Remote::Socket))
    }
}

impl Remote {
    fn resolve(self, ticket: &Ticket) -> SocketAddr {
        match self {
            Remote::Address(address) => (address, ticket.port).into(),
            Remote::Socket(address) => address,
        }
    }
}

impl FetchArgs {
    fn sources(&self) -> Result<Vec<Source>, CommandError> {
        if let Some(place) = self.traverse.place() {
            let source = |ticket: &Ticket| Source {
                addresses: Vec::new(),
                place: Some(place.clone()),
                ticket: *ticket,
                identity: None,
            };
            return Ok(self.ticket.iter().take(fetch::MAX_PROVIDERS).map(source).collect());
        }
        let (addresses, tickets) = (self.from.len(), self.ticket.len());
        if addresses != tickets || addresses > fetch::MAX_PROVIDERS {
            return Err(CommandError::Sources { addresses, tickets });
        }
        let source = |(from, ticket): (&Remote, &Ticket)| Source {
            addresses: vec![from.resolve(ticket)],
            place: None,
            ticket: *ticket,
            identity: None,
        };
        Ok(self.from.iter().zip(&self.ticket).map(source).collect())
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("cannot import the payload")]
    Import(#[from] ImportError),
    #[error("cannot serve")]
    Listen(#[from] EndpointError),
    #[error("cannot serve")]
    Rendezvous(#[from] RendezvousError),
    #[error("cannot serve")]
    Http(#[from] HttpError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("cannot report")]
    Emit(#[from] EmitError),
    #[error("cannot start: {step}")]
    Start {
        step: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "{addresses} addresses and {tickets} tickets; each --from needs a --ticket, and there may be up to {}",
        fetch::MAX_PROVIDERS
    )]
    Sources { addresses: usize, tickets: usize },
    #[error("cannot be met")]
    Meet(#[from] MeetError),
    #[error("cannot make a secret")]
    Key(#[from] KeyError),
    #[error("this machine has no address that another device could reach; name one with --listen")]
    NoAddress,
    #[error("the receiver went away before it had everything; its ticket is used up, send again with a new one")]
    Broken(#[source] quinn::ConnectionError),
    #[error(
        "{} connections without the right secret; the ticket is void, send again with a new one",
        longhaul_transfer::gate::MAX_WRONG
    )]
    Besieged,
    #[error("interrupted")]
    Interrupted,
}

fn main() -> ExitCode {
    let clock = Clock::start();
    let cli = Cli::parse();
    let mut events = Emitter::stdout(clock);
    match run(cli.command, &mut events) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let message = text::chain(&error);
            // Whoever closed our outputs does not want to know.
            let _ = events.error(&message);
            let _ = writeln!(std::io::stderr(), "longhaul-transfer: {message}");
            ExitCode::FAILURE
        }
    }
}

type Events = Emitter<std::io::Stdout>;

fn run(command: Command, events: &mut Events) -> Result<(), CommandError> {
    // One thread at each end: handing packets from thread to thread costs more than it gains, and varies more.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| CommandError::Start { step: "the runtime", source })?;
    let _entered = runtime.enter();
    match command {
        Command::Provide(args) => {
            let socket = quic::bind(args.serve.listen)?;
            let (payload, import) = import(&args.payload, args.symlinks, events)?;
            let (kind, size, hash) = (payload.kind(), payload.outboard().size(), payload.outboard().hash());
            let service = Service::Blob { payload: Box::new(payload), check: !args.unchecked };
            let ticket = |key, port| Ticket { kind, size, hash, key, port };
            let place = args.traverse.place();
            runtime.block_on(serve(&args.serve, (socket, place), service, ticket, Some(import), events))
        }
        Command::RawProvide(args) => {
            let socket = quic::bind(args.serve.listen)?;
            let hash = blake3::Hash::from_bytes([0; 32]);
            let ticket = |key, port| Ticket { kind: Kind::Raw, size: args.bytes, hash, key, port };
            runtime.block_on(serve(&args.serve, (socket, None), Service::Raw, ticket, None, events))
        }
        Command::BackupSend(args) => backup_send(&runtime, args, events),
        Command::BackupReceive(BackupReceiveArgs { ticket, out, resume, tuning }) => {
            let identity = Some(ticket.secret.receiver()?);
            let source = Source { addresses: ticket.sockets(), place: None, ticket: ticket.ticket, identity };
            let order = Order { sources: &[source], out: &out, resume, tuning: &tuning };
            runtime.block_on(or_interrupted(fetch::fetch(order, events)))
        }
        Command::Rendezvous(args) => runtime.block_on(async {
            let stop = stop_signal(args.until_stdin_closes)?;
            let (socket, clock) = (quic::bind(args.listen)?, events.clock());
            let ready = |address: SocketAddr| events.ready(Some(addresses_of(address)), None);
            Ok(rendezvous::serve(socket, clock, args.relay_rate, ready, stop).await??)
        }),
        Command::Http(args) => runtime.block_on(async {
            let stop = stop_signal(args.until_stdin_closes)?;
            let server = HttpServer::bind(&args.root, args.listen).await?;
            events.ready(server.url(), None)?;
            server.serve(stop).await;
            Ok(())
        }),
        Command::Fetch(args) => {
            let sources = args.sources()?;
            let FetchArgs { out, resume, tuning, .. } = args;
            let order = Order { sources: &sources, out: &out, resume, tuning: &tuning };
            runtime.block_on(or_interrupted(fetch::fetch(order, events)))
        }
        Command::RawFetch(RawFetchArgs { from, ticket, tuning }) => {
            let remote = from.resolve(&ticket);
            runtime.block_on(or_interrupted(fetch::fetch_raw(remote, &ticket, &tuning, events)))
        }
    }
}

fn backup_send(runtime: &Runtime, args: BackupSendArgs, events: &mut Events) -> Result<(), CommandError> {
    let everywhere = || {
        let wildcards = [(Ipv6Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::UNSPECIFIED, 0).into()];
        quic::bind(wildcards[0]).or_else(|_| quic::bind(wildcards[1]))
    };
    let socket = args.listen.map_or_else(everywhere, quic::bind)?;
    let addresses = match args.listen {
        Some(listen) if !listen.ip().is_unspecified() => vec![listen.ip()],
        _ => backup::local_addresses(),
    };
    if addresses.is_empty() {
        return Err(CommandError::NoAddress);
    }
    let (payload, import) = import(&args.path, args.symlinks, events)?;
    let (kind, size, hash) = (payload.kind(), payload.outboard().size(), payload.outboard().hash());
    let secret = Secret::fresh()?;
    let receiver = secret.receiver()?.public();
    runtime.block_on(async {
        let stop = stop_signal(false)?;
        let (endpoint, key) = quic::listen(socket, &args.tuning, Some(receiver))?;
        let port = endpoint.local_addr().map_err(EndpointError::Socket)?.port();
        let ticket = BackupTicket { ticket: Ticket { kind, size, hash, key, port }, secret, addresses };
        // Standard output is for events; a user without a terminal still has the ticket there.
        let _ = writeln!(std::io::stderr(), "{}", backup::instructions(&ticket));
        events.ready(Some(ticket.to_string()), Some(import))?;
        let gate = Arc::new(Gate::default());
        let mut end = None;
        let over = async {
            tokio::select! {
                how = gate.ended() => end = Some(how),
                () = stop => {}
            }
        };
        let service = Service::Blob { payload: Box::new(payload), check: true };
        provide::serve(endpoint, service, Some(Arc::clone(&gate)), None, events.clock(), over).await;
        match end {
            Some(End::Served) => Ok(events.done(size, None, None)?),
            Some(End::Broken(source)) => Err(CommandError::Broken(source)),
            Some(End::Besieged) => Err(CommandError::Besieged),
            None => Err(CommandError::Interrupted),
        }
    })
}

/// Imports a payload and reports it as it goes. Returns also how long it took.
fn import(path: &Path, symlinks: Symlinks, events: &mut Events) -> Result<(Payload, Duration), CommandError> {
    let begun = events.clock().elapsed();
    let mut reported = Ok(());
    let payload = Payload::import(path, symlinks, |bytes, of| {
        if reported.is_ok() {
            reported = events.importing(bytes, of);
        }
    })?;
    reported?;
    let time = events.clock().elapsed() - begun;
    events.imported(payload.outboard().size(), time)?;
    Ok((payload, time))
}

async fn serve(
    args: &ServeArgs,
    (socket, place): (std::net::UdpSocket, Option<Place>),
    service: Service,
    ticket: impl FnOnce(PeerKey, u16) -> Ticket,
    import: Option<Duration>,
    events: &mut Events,
) -> Result<(), CommandError> {
    let stop = stop_signal(args.until_stdin_closes)?;
    let clock = events.clock();
    let (endpoint, key, door) = match place {
        Some(place) => {
            let identity = Identity::fresh()?;
            let (endpoint, door) = rendezvous::listen(socket, &identity, &place, &args.tuning, clock).await??;
            (endpoint, identity.public(), Some(door))
        }
        None => {
            let (endpoint, key) = quic::listen(socket, &args.tuning, None)?;
            (endpoint, key, None)
        }
    };
    let port = endpoint.local_addr().map_err(EndpointError::Socket)?.port();
    events.ready(Some(ticket(key, port).to_string()), import)?;
    provide::serve(endpoint, service, None, door, clock, stop).await;
    Ok(())
}

/// What `--rendezvous` takes: all addresses of this machine, where it listens on all of them.
fn addresses_of(listening: SocketAddr) -> String {
    let of_machine = if listening.ip().is_unspecified() { backup::local_addresses() } else { Vec::new() };
    let reachable = of_machine.into_iter().filter(|ip| listening.is_ipv6() || ip.is_ipv4());
    let all: Vec<String> = reachable.map(|ip| SocketAddr::from((ip, listening.port())).to_string()).collect();
    if all.is_empty() { listening.to_string() } else { all.join(",") }
}

/// Drops the fetch on a signal, which removes what it has not finished.
async fn or_interrupted(fetch: impl Future<Output = Result<u64, FetchError>>) -> Result<(), CommandError> {
    let stop = stop_signal(false)?;
    tokio::select! {
        biased;
        result = fetch => result.map(drop).map_err(CommandError::Fetch),
        () = stop => Err(CommandError::Interrupted),
    }
}

/// Completes on SIGTERM, SIGINT and, if wanted, at the end of standard input.
fn stop_signal(until_stdin_closes: bool) -> Result<impl Future<Output = ()>, CommandError> {
    let error = |source| CommandError::Start { step: "the signal handlers", source };
    let mut terminate = signal(SignalKind::terminate()).map_err(error)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(error)?;
    let stdin = until_stdin_closes.then(|| {
        let (sender, closed) = tokio::sync::oneshot::channel::<()>();
        // A thread of its own: a pending read cannot be cancelled and must not keep the runtime from ending.
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            drop(sender);
        });
        closed
    });
    let stdin_closes = async {
        match stdin {
            Some(closed) => drop(closed.await),
            None => std::future::pending().await,
        }
    };
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = stdin_closes => {}
        }
    })
}
