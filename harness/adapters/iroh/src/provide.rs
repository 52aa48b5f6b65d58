//! The side that has the payload.

use crate::net::NetArgs;
use crate::say;
use clap::Args;
use iroh::protocol::Router;
use iroh_blobs::api::TempTag;
use iroh_blobs::api::blobs::{AddPathOptions, ImportMode};
use iroh_blobs::format::collection::Collection;
use iroh_blobs::store::fs::FsStore;
use iroh_blobs::ticket::BlobTicket;
use iroh_blobs::{BlobFormat, BlobsProtocol};
use longhaul_record::Event;
use n0_error::{Result, StdResultExt};
use n0_future::{BufferedStreamExt, StreamExt};
use std::future::pending;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use tokio::time::Instant;

/// What to provide, and where.
#[derive(Debug, Args)]
pub(crate) struct ProvideArgs {
    /// The file to provide, or the directory that the list's names are in
    path: PathBuf,
    /// A file of relative paths, one a line: these are provided, as a collection
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// The UDP address to listen on
    #[arg(long, value_name = "ADDR:PORT")]
    listen: SocketAddrV4,
    #[command(flatten)]
    net: NetArgs,
}

/// Imports and serves.
pub(crate) async fn provide(args: ProvideArgs) -> Result<()> {
    let store = FsStore::load(&args.net.store).await?;
    let begun = Instant::now();
    let tag = match &args.list {
        None => import(&store, &args.path).await?,
        Some(list) => import_all(&store, &args.path, list).await?,
    };
    store.tags().create(tag.hash_and_format()).await?;
    let import_seconds = Some(begun.elapsed().as_secs_f64());
    let endpoint = args.net.endpoint(Some(args.listen)).await?;
    let router = Router::builder(endpoint).accept(iroh_blobs::ALPN, BlobsProtocol::new(&store, None)).spawn();
    if args.net.relay.is_some() {
        // Until then its address does not name the relay.
        router.endpoint().online().await;
    }
    let ticket = BlobTicket::new(router.endpoint().addr(), tag.hash(), tag.format()).to_string();
    say(&Event::Ready { t: None, ticket: Some(ticket), import_seconds })?;
    pending().await
}

/// One file, which stays where it is.
async fn import(store: &FsStore, path: &Path) -> Result<TempTag> {
    let path = std::path::absolute(path)?;
    let options = AddPathOptions { path, format: BlobFormat::Raw, mode: ImportMode::TryReference };
    Ok(store.add_path_with_opts(options).temp_tag().await?)
}

/// Several files as a collection, as many at a time as there are processors.
async fn import_all(store: &FsStore, top: &Path, list: &Path) -> Result<TempTag> {
    let names = std::fs::read_to_string(list)?;
    let at_a_time = std::thread::available_parallelism()?.get();
    let import = |name: String| async move { Ok((import(store, &top.join(&name)).await?, name)) };
    let imported: Vec<Result<(TempTag, String)>> = n0_future::stream::iter(names.lines().map(str::to_owned))
        .map(import)
        .buffered_ordered(at_a_time)
        .collect()
        .await;
    let imported = imported.into_iter().collect::<Result<Vec<_>>>()?;
    let collection: Collection = imported.iter().map(|(tag, name)| (name.clone(), tag.hash())).collect();
    collection.store(store).await.anyerr()
}
