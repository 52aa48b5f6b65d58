//! `longhaul-mainline`: BitTorrent's mainline DHT as a subject of longhaul.
//!
//! All programs join by the node that is named on the command line, and know no other of the internet's. Identifiers follow
//! from addresses, as BEP 42 has it, because nodes that do not keep to that are asked last. All else is the crate's default.
//! Standard output carries subject-protocol events and nothing else. Exit status: 0 done, 1 failed (one `error` event says
//! why), 2 wrong usage.

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use futures_lite::StreamExt;
use futures_lite::future::block_on;
use longhaul_record::Event;
use mainline::async_dht::AsyncDht;
use mainline::{Dht, Id};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The mainline DHT.
#[derive(Debug, Parser)]
#[command(version = VERSION)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be a node of the network, until stopped
    Node,
    /// Announce the keys of a list, then be a node until stopped
    Announce {
        /// A file with a key on each line
        #[arg(long)]
        keys: PathBuf,
    },
    /// Look up who has each key of a list, one after the other
    Lookup {
        /// A file with a key on each line
        #[arg(long)]
        keys: PathBuf,
    },
}

/// Where this program is, and whom it knows.
#[derive(Debug, Args)]
struct Place {
    /// This host's address
    #[arg(long, global = true, default_value = "127.0.0.1")]
    address: Ipv4Addr,
    /// The address of the node by which to join; its own for that node itself
    #[arg(long, global = true, default_value = "127.0.0.1")]
    bootstrap: Ipv4Addr,
}

/// The crate that is measured, as in Cargo.toml.
const VERSION: &str = "8.0.1";
/// Where nodes listen.
const PORT: u16 = 6881;
/// How often a node looks around before it is ready, and how long it waits each time: those that joined before others know
/// them only then. By itself a node looks around every 15 minutes.
const LOOKS: usize = 3;
const BETWEEN_LOOKS: Duration = Duration::from_secs(4);

fn main() -> ExitCode {
    let Cli { command, place } = Cli::parse();
    let done = block_on(async {
        match command {
            Command::Node => node(&place).await,
            Command::Announce { keys } => announce(&place, &keys).await,
            Command::Lookup { keys } => lookup(&place, &keys).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = say(&Event::Error { t: None, message: format!("{error:#}") });
            ExitCode::FAILURE
        }
    }
}

impl Place {
    /// Joins the network; as a server, answers others too.
    async fn join(&self, server: bool) -> Result<AsyncDht> {
        let mut builder = Dht::builder();
        builder.port(PORT).public_ip(self.address);
        if server {
            builder.server_mode();
        }
        let alone = self.address == self.bootstrap;
        if alone {
            builder.no_bootstrap();
        } else {
            builder.bootstrap(&[SocketAddrV4::new(self.bootstrap, PORT)]);
        }
        let dht = builder.build().with_context(|| format!("cannot listen on port {PORT}"))?.as_async();
        ensure!(alone || dht.bootstrapped().await, "cannot join the network by {}", self.bootstrap);
        Ok(dht)
    }
}

async fn node(place: &Place) -> Result<()> {
    let dht = place.join(true).await?;
    if place.address != place.bootstrap {
        for _ in 0..LOOKS {
            std::thread::sleep(BETWEEN_LOOKS);
            dht.find_node(*dht.info().await.id()).await;
            dht.get_peers(Id::random()).count().await;
        }
    }
    ready(Duration::ZERO)
}

async fn announce(place: &Place, keys: &Path) -> Result<()> {
    let dht = place.join(true).await?;
    let begun = Instant::now();
    for key in read_keys(keys)? {
        dht.announce_peer(key, Some(PORT)).await.with_context(|| format!("cannot announce {key}"))?;
    }
    ready(begun.elapsed())
}

/// Says so, and goes on for ever.
fn ready(import: Duration) -> Result<()> {
    say(&Event::Ready { t: None, ticket: Some("none".into()), import_seconds: Some(import.as_secs_f64()) })?;
    loop {
        std::thread::park();
    }
}

async fn lookup(place: &Place, keys: &Path) -> Result<()> {
    let dht = place.join(false).await?;
    say(&Event::Connected { t: None })?;
    for key in read_keys(keys)? {
        let asked = Instant::now();
        let mut answers = dht.get_peers(key);
        let mut found = None;
        // To its end: what is still under way would be counted with the next.
        while let Some(peers) = answers.next().await {
            if !peers.is_empty() {
                found.get_or_insert_with(|| asked.elapsed());
            }
        }
        let seconds = found.unwrap_or_else(|| asked.elapsed()).as_secs_f64();
        say(&Event::Lookup { t: None, found: found.is_some(), seconds, messages: None })?;
    }
    say(&Event::Done { t: None, bytes: 0, direct_bytes: None, relayed_bytes: None, messages: None })
}

/// The keys of a list: of each, the first 20 bytes.
fn read_keys(list: &Path) -> Result<Vec<Id>> {
    let text = std::fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
    text.lines().map(id).collect()
}

fn id(key: &str) -> Result<Id> {
    let byte = |at: usize| u8::from_str_radix(key.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..40).step_by(2).map(byte).collect();
    let bytes = bytes.with_context(|| format!("{key:?} is no key of 20 bytes and more in hexadecimal"))?;
    Ok(Id::from_bytes(bytes)?)
}

/// Prints an event. It has no time stamp: its moment is when the line is read, so that starting the process counts.
fn say(event: &Event) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", event.to_line())?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_crate() {
        assert!(include_str!("../Cargo.toml").contains(&format!("mainline = \"={VERSION}\"")));
    }

    #[test]
    fn a_key_is_20_bytes() {
        let key = "000102030405060708090a0b0c0d0e0f10111213ffff";
        assert_eq!(id(key).unwrap().as_bytes().to_vec(), (0..20).collect::<Vec<u8>>());
        assert!(id("0001").is_err() && id("xy").is_err());
    }
}
