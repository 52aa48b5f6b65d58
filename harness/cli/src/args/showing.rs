//! What shows: this machine, and results in the browser.

use super::DbArg;
use crate::place::Place;
use clap::builder::{OsStringValueParser, TypedValueParser};
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// Print the findings as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// Where to serve
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:4747")]
    pub(crate) listen: SocketAddr,
    /// Also take results and triage, from whoever has a token: see `longhaul token`
    #[arg(long)]
    pub(crate) accept: bool,
    #[command(flatten)]
    pub(crate) db: DbArg,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Commits, spread over a year
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u32).range(2..=20_000))]
    pub(crate) commits: u32,
    /// Networks
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) scenarios: u32,
    /// Programs
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(crate) subjects: u32,
    /// Runs of each program on each network and commit
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) runs: u32,
    /// What everything follows from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Do not look for changes: with thousands of commits that takes longer than all the rest
    #[arg(long)]
    pub(crate) without_alerts: bool,
    /// When the newest commit was written, in milliseconds since 1970; without it, now
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(i64).range(40_000_000_000..=4_000_000_000_000))]
    pub(crate) until: Option<i64>,
    /// The database: one that holds nothing that was measured
    #[arg(long = "db", value_name = "PLACE", value_parser = OsStringValueParser::new().map(Place::from))]
    pub(crate) db: Place,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SiteArgs {
    /// A new directory, or an empty one
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) db: DbArg,
}
