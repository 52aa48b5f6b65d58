//! `longhaul-iroh`: iroh and iroh-blobs as a subject of longhaul.
//!
//! It does what an application would: a file store on disk, the defaults of both crates, one request for everything.
//! Standard output carries subject-protocol events and nothing else. Nothing here knows a server or name of the internet:
//! there is no address lookup, and the only relay is the one named on the command line. Exit status: 0 done, 1 failed (one
//! `error` event says why), 2 wrong usage.

mod fetch;
mod net;
mod provide;

use clap::{Parser, Subcommand};
use longhaul_record::Event;
use n0_error::Result;
use std::io::Write;
use std::process::ExitCode;

/// iroh-blobs over iroh.
#[derive(Debug, Parser)]
#[command(version = VERSION)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Import a file, or the files of a list, and serve them until stopped
    Provide(provide::ProvideArgs),
    /// Fetch what a ticket names
    Fetch(fetch::FetchArgs),
    /// Be a relay with QUIC address discovery, until stopped
    Relay(net::RelayArgs),
}

/// The crates that are measured, as in Cargo.toml.
const VERSION: &str = "iroh-1.4.1+blobs-0.104.0";

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Provide(args) => provide::provide(args).await,
        Command::Fetch(args) => fetch::fetch(args).await,
        Command::Relay(args) => net::relay(args).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = say(&Event::Error { t: None, message: format!("{error:#}") });
            ExitCode::FAILURE
        }
    }
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
    fn the_version_is_that_of_the_crates() {
        let (iroh, blobs) = VERSION.strip_prefix("iroh-").unwrap().split_once("+blobs-").unwrap();
        let manifest = include_str!("../Cargo.toml");
        assert!(manifest.contains(&format!("iroh = {{ version = \"={iroh}\"")));
        assert!(manifest.contains(&format!("iroh-blobs = {{ version = \"={blobs}\"")));
    }
}
