//! Databases, and who may hand results to a server.

use super::DbArg;
use crate::place::Place;
use clap::Subcommand;
use clap::builder::{OsStringValueParser, TypedValueParser};
use longhaul_dashboard::Scope;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token, and print it
    Create {
        /// Whose it is, or what for
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        name: String,
        /// What it allows: ingest, triage. May be given twice
        #[arg(long, required = true, value_parser = token_scope)]
        scope: Vec<Scope>,
        /// Only for this project
        #[arg(long)]
        project: Option<String>,
        #[command(flatten)]
        db: DbArg,
    },
    /// List tokens: never their text, of which only a hash is kept
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        db: DbArg,
    },
    /// End a token for good
    Revoke {
        /// Its id, or the end of it
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        id: String,
        #[command(flatten)]
        db: DbArg,
    },
}

fn token_scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| format!("there is no such scope; there are: {}", Scope::join(&Scope::ALL)))
}

#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Compare everything in a database with what it follows from: files, references, hashes, numbers, tallies. Ends with 6
    /// where something is not as it was written
    Check(CheckArgs),
    /// Write a complete and compact copy into a new file, also while others read and write
    Backup(BackupArgs),
    /// Drop curves over time of old runs, and never a sample. A run keeps them if --older-than or --keep says so
    Prune(PruneArgs),
    /// Copy the runs of other databases into this one. What is there already is not copied twice
    Merge(MergeArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) db: DbArg,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BackupArgs {
    /// The copy; it must not be there yet
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) db: DbArg,
}

#[derive(Debug, clap::Args)]
#[group(id = "rule", required = true, multiple = true, args = ["older_than", "keep"])]
pub(crate) struct PruneArgs {
    /// Only runs that started more than this many days ago
    #[arg(long, value_name = "DAYS")]
    pub(crate) older_than: Option<u32>,
    /// Not the newest N runs of each scenario with each subject
    #[arg(long, value_name = "N")]
    pub(crate) keep: Option<u32>,
    /// Only say what would be dropped
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) db: DbArg,
}

#[derive(Debug, clap::Args)]
pub(crate) struct MergeArgs {
    /// Files, or addresses as of --db
    #[arg(required = true, value_name = "PLACE", value_parser = OsStringValueParser::new().map(Place::from))]
    pub(crate) sources: Vec<Place>,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) db: DbArg,
}
