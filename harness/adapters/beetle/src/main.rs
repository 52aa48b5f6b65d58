//! `longhaul-beetle`: bitswap as it was in Beetle, the first iroh, as a subject of longhaul.
//!
//! The crate `iroh-bitswap` over libp2p's TCP, Noise and Yamux, and nothing else: no DHT, no UnixFS. A payload is blocks of
//! 256 KiB in memory, and a text that says which blocks make which file, itself in blocks. Standard output carries what the
//! subject's file looks for.

mod blocks;
mod swarm;

use anyhow::{Context, Result};
use blocks::{Index, Memory, Wanted};
use cid::Cid;
use clap::{Parser, Subcommand};
use futures::StreamExt;
use iroh_bitswap::Bitswap;
use std::future::pending;
use std::path::PathBuf;
use tokio::time::Instant;

/// Bitswap of Beetle's.
#[derive(Debug, Parser)]
#[command(version = "iroh-bitswap-0.2.0")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Import a file, or the files of a list, and serve them until stopped
    Provide {
        /// Where others reach it, as `/ip4/ADDR/tcp/PORT`
        address: String,
        /// The directory that the files are in
        top: PathBuf,
        /// A file of relative paths, one a line
        #[arg(long)]
        list: Option<PathBuf>,
        /// One relative path
        #[arg(long, required_unless_present = "list")]
        name: Option<String>,
    },
    /// Fetch what tickets name, from all of them
    Fetch {
        /// The directory to write to
        out: PathBuf,
        /// What the providers printed
        #[arg(required = true)]
        tickets: Vec<String>,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Provide { address, top, list, name } => {
            let names = list.map(std::fs::read_to_string).transpose()?.or(name).unwrap_or_default();
            let begun = Instant::now();
            let memory = Memory::default();
            let root = memory.import(&top, names.lines())?;
            let seconds = begun.elapsed().as_secs_f64();
            let peer = swarm::serve(memory, &address).await?;
            println!(r#"{{"ticket": "{root}@{address}/p2p/{peer}", "seconds": {seconds}}}"#);
            pending().await
        }
        Command::Fetch { out, tickets } => {
            let (mut root, mut addresses) = (None, Vec::new());
            for ticket in &tickets {
                let (cid, address) = ticket.split_once('@').context("a ticket has an `@`")?;
                root = Some(cid.parse::<Cid>()?);
                addresses.push(address.parse()?);
            }
            let bitswap = swarm::dial(addresses).await?;
            println!("connected");
            fetch(&bitswap, root.context("no ticket")?, &out).await?;
            println!("done");
            // What runs in the background has nothing left to do.
            std::process::exit(0)
        }
    }
}

/// Gets the index, then all blocks, some hundreds at a time, and writes each where it belongs.
async fn fetch(bitswap: &Bitswap<Memory>, root: Cid, out: &std::path::Path) -> Result<()> {
    const AT_A_TIME: usize = 256;
    let index = Index::read(bitswap, root).await?;
    let mut wanted = Wanted::prepare(&index, out)?;
    let cids: Vec<Cid> = wanted.cids().collect();
    let session = bitswap.client().new_session().await;
    let batches = futures::stream::iter(cids.chunks(AT_A_TIME)).map(|batch| session.get_blocks(batch)).buffered(2);
    futures::pin_mut!(batches);
    let mut first = true;
    while let Some(batch) = batches.next().await {
        let (blocks, _guard) = batch?.into_parts();
        futures::pin_mut!(blocks);
        while let Some(block) = blocks.next().await {
            if std::mem::take(&mut first) {
                println!("first byte");
            }
            wanted.write(&block)?;
        }
    }
    wanted.complete()
}
