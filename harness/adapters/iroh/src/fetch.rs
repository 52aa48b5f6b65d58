//! The side that gets the payload.

use crate::net::NetArgs;
use crate::say;
use clap::Args;
use iroh::TransportAddr;
use iroh::endpoint::{Connection, PathEvent};
use iroh_blobs::api::blobs::{ExportMode, ExportOptions};
use iroh_blobs::api::remote::GetProgressItem;
use iroh_blobs::format::collection::Collection;
use iroh_blobs::store::fs::FsStore;
use iroh_blobs::ticket::BlobTicket;
use iroh_blobs::{Hash, HashAndFormat};
use longhaul_record::Event;
use n0_error::{Result, bail_any};
use n0_future::StreamExt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

/// What to fetch, from where.
#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// What the provider printed
    ticket: BlobTicket,
    /// An address of the provider's, beside those in the ticket
    #[arg(long, value_name = "ADDR:PORT")]
    address: Option<SocketAddr>,
    /// The file to write; of a collection, the directory
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    #[command(flatten)]
    net: NetArgs,
}

/// Bytes received, directly and by a relay.
#[derive(Debug, Default)]
struct Received {
    direct: u64,
    relayed: u64,
}

impl Received {
    fn add(&mut self, from: &TransportAddr, bytes: u64) {
        *(if from.is_relay() { &mut self.relayed } else { &mut self.direct }) += bytes;
    }

    /// How many of the payload's bytes came directly, in proportion.
    fn direct_of(&self, payload: u64) -> u64 {
        let all = u128::from(self.direct + self.relayed).max(1);
        u64::try_from(u128::from(payload) * u128::from(self.direct) / all).unwrap_or(payload)
    }
}

/// Fetches everything into a store, then moves it out of there.
pub(crate) async fn fetch(args: FetchArgs) -> Result<()> {
    let endpoint = args.net.endpoint(None).await?;
    let store = FsStore::load(&args.net.store).await?;
    let mut provider = args.ticket.addr().clone();
    provider.addrs.extend(args.address.map(TransportAddr::Ip));
    let connection = endpoint.connect(provider, iroh_blobs::ALPN).await?;
    say(&Event::Connected { t: None })?;
    let mut received = get(&store, &connection, args.ticket.hash_and_format()).await?;
    for path in connection.paths().iter() {
        received.add(path.remote_addr(), path.stats().udp_rx.bytes);
    }
    let bytes = export(&store, &args).await?;
    let direct = args.net.relay.is_some().then(|| received.direct_of(bytes));
    let relayed_bytes = direct.map(|direct| bytes - direct);
    say(&Event::Done { t: None, bytes, direct_bytes: direct, relayed_bytes, messages: None })?;
    connection.close(0u8.into(), b"done");
    endpoint.close().await;
    store.shutdown().await?;
    Ok(())
}

/// Fetches, and says what happens meanwhile. What paths received that are closed by its end is returned.
async fn get(store: &FsStore, connection: &Connection, content: HashAndFormat) -> Result<Received> {
    const EVERY: Duration = Duration::from_millis(50);
    let mut paths = connection.path_events();
    if let Some(path) = connection.paths().iter().find(|path| path.is_selected()) {
        say_path(path.remote_addr())?;
    }
    let progress = store.remote().fetch(connection.clone(), content).stream();
    tokio::pin!(progress);
    let mut received = Received::default();
    let mut said = None;
    loop {
        tokio::select! {
            Some(event) = paths.next() => match event {
                PathEvent::Selected { remote_addr, .. } => say_path(&remote_addr)?,
                PathEvent::Closed { remote_addr, last_stats, .. } => received.add(&remote_addr, last_stats.udp_rx.bytes),
                _ => {}
            },
            item = progress.next() => match item {
                // Before the first byte it says 0.
                Some(GetProgressItem::Progress(0)) => {}
                Some(GetProgressItem::Progress(bytes)) => {
                    if said.is_none() {
                        say(&Event::FirstByte { t: None })?;
                    }
                    if said.is_none_or(|at: Instant| at.elapsed() >= EVERY) {
                        said = Some(Instant::now());
                        say(&Event::Progress { t: None, bytes })?;
                    }
                }
                Some(GetProgressItem::Done(_)) => return Ok(received),
                Some(GetProgressItem::Error(error)) => return Err(error.into()),
                None => bail_any!("the transfer ended without a result"),
            },
        }
    }
}

fn say_path(remote: &TransportAddr) -> Result<()> {
    let kind = if remote.is_relay() { "relay" } else { "direct" };
    let remote = match remote {
        TransportAddr::Ip(address) => address.to_string(),
        TransportAddr::Relay(url) => url.to_string(),
        other => format!("{other:?}"),
    };
    say(&Event::Path { t: None, kind: kind.to_owned(), remote })
}

/// Moves what was fetched to where it shall be. How many bytes that is.
async fn export(store: &FsStore, args: &FetchArgs) -> Result<u64> {
    let top = std::path::absolute(&args.out)?;
    let out = |hash: Hash, target: PathBuf| async move {
        let options = ExportOptions { hash, mode: ExportMode::TryReference, target };
        n0_error::Ok(store.export_with_opts(options).finish().await?)
    };
    if !args.ticket.recursive() {
        return out(args.ticket.hash(), top).await;
    }
    let mut bytes = 0;
    for (name, hash) in Collection::load(args.ticket.hash(), &**store).await?.iter() {
        bytes += out(*hash, top.join(name)).await?;
    }
    Ok(bytes)
}
