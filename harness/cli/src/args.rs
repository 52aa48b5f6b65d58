//! What can be asked on the command line.

use crate::place::Place;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Parser, Subcommand};
use longhaul_dashboard::Scope;
use longhaul_record::AlertState;
use netsim_lab::{Engines, Lab, LabError, LinkEngine, NatEngine};
use netsim_topology::Plan;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Continuous performance benchmarks for transfer software, over the networks people really have.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Shown under every help text.
const EXIT_CODES: &str = "\
Exit codes: 0 pass · 1 regression · 2 usage · 3 inconclusive · 4 untrusted measurement · 5 subject failed · \
6 environment (the message names the fix) · 130 interrupted. Of several runs, the largest of 4, 5 and 6 counts.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check this machine, run the quick suite, show the results in the browser
    Quickstart(QuickstartArgs),
    /// Run scenarios and record the results
    Run(RunArgs),
    /// Compare two versions of a subject, in pairs of runs on the same network, until it is known which is better
    Compare(CompareArgs),
    /// Compare a version with itself, and show how often such comparisons see a change that is none. Ends with 4 if this one did
    Canary(CanaryArgs),
    /// Say whether a change may go in, by a policy file
    Gate(GateArgs),
    /// Measure commits of the past. What is measured already is left out, so the same command goes on where it stopped
    Backfill(BackfillArgs),
    /// Find the commit that changed a metric, by measuring few of those between a good and a bad one
    Bisect(BisectArgs),
    /// Say what this machine can do, and how to mend what it cannot
    Doctor(DoctorArgs),
    /// Show recorded results in the browser
    Serve(ServeArgs),
    /// Fill a database with a year of invented history, to try the dashboard
    DemoData(DemoArgs),
    /// List, show, check or write scenarios
    #[command(subcommand)]
    Scenario(ScenarioCommand),
    /// List, check and build subjects: the programs that can be measured
    #[command(subcommand)]
    Subject(SubjectCommand),
    /// Use a simulated network by hand
    #[command(subcommand)]
    Lab(LabCommand),
    /// Find when a series changed: in a file, or in every series of the database
    Detect(DetectArgs),
    /// What got worse on the main branch, and what became of it
    #[command(subcommand)]
    Alert(AlertCommand),
    /// Turn files of other tools into files of ours
    #[command(subcommand)]
    Import(ImportCommand),
    /// Turn results into files for others
    #[command(subcommand)]
    Export(ExportCommand),
    /// Check, copy, thin out or merge databases
    #[command(subcommand)]
    Db(DbCommand),
    /// Say who may hand results to a server, and say what alerts are
    #[command(subcommand)]
    Token(TokenCommand),
}

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

/// Where results are kept.
const DEFAULT_DB: &str = "results/longhaul.db";

/// Which database.
#[derive(Debug, clap::Args)]
pub(crate) struct DbArg {
    /// The database: a file, or postgres://USER@HOST/DATABASE (a password is better in PGPASSWORD or ~/.pgpass than here)
    #[arg(long = "db", value_name = "PLACE", default_value = DEFAULT_DB,
          value_parser = OsStringValueParser::new().map(Place::from))]
    place: Place,
}

impl std::ops::Deref for DbArg {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.place
    }
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

#[derive(Debug, clap::Args)]
pub(crate) struct QuickstartArgs {
    /// Return when the suite is done instead of serving the results
    #[arg(long)]
    pub(crate) no_serve: bool,
    /// Where to serve the results
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:4747")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) measure: MeasureArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Names, patterns with * and ?, tags or files of scenarios. The name of a matrix is all of its combinations
    #[arg(required = true, value_name = "SCENARIO|PATTERN|TAG|FILE")]
    pub(crate) scenarios: Vec<String>,
    #[command(flatten)]
    pub(crate) measure: MeasureArgs,
}

/// What `run` and `quickstart` share.
#[derive(Debug, clap::Args)]
pub(crate) struct MeasureArgs {
    /// Name or file of a subject; may be given several times. `all`: every shipped one that is installed. Without it, the
    /// reference and curl
    #[arg(long = "subject", value_name = "NAME|FILE")]
    pub(crate) subjects: Vec<String>,
    /// Seed of every random decision of the networks; repetition N runs with seed + N
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=MAX_SEED))]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) engines: EngineArgs,
    /// Measure this commit of the repository instead of what lies there: subjects that are built from it are built at the
    /// commit, in a worktree apart
    #[arg(long, value_name = "REVISION")]
    pub(crate) commit: Option<String>,
    /// How often to run each scenario, instead of what its file says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeat: Option<u32>,
    /// Leave out what the database has already, of this commit on this machine with these seeds: for a suite that was
    /// interrupted. What was untrusted or could not be set up is measured again
    #[arg(long, conflicts_with = "instructions")]
    pub(crate) resume: bool,
    /// Count the instructions of both sides, under Valgrind's Callgrind, instead of measuring times: slow, but two runs differ
    /// by about a hundredth at most
    #[arg(long)]
    pub(crate) instructions: bool,
    /// Print one run record a line on standard output
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) db: DbArg,
}

/// So that JSON keeps every seed exact, repetitions included.
const MAX_SEED: u64 = (1 << 53) - 1 - 1000;

/// Which versions are compared, and on what.
#[derive(Debug, clap::Args)]
pub(crate) struct VersionArgs {
    /// The commit that is judged; without it, HEAD
    pub(crate) head: Option<String>,
    /// Judge what lies here, with all changes
    #[arg(long, conflicts_with = "head")]
    pub(crate) dirty: bool,
    /// Compare also if both programs are the same: what is found then is false, so it says how often this machine is fooled
    #[arg(long = "aa")]
    pub(crate) even_if_same: bool,
    /// Seed of the order of runs; block N runs on networks of seed + N
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=MAX_SEED / 2))]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) engines: EngineArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CompareArgs {
    /// The commit that is compared with
    pub(crate) base: String,
    #[command(flatten)]
    pub(crate) versions: VersionArgs,
    /// Names, patterns, tags or files of scenarios; may be given several times. Without it, lossy-1pct and home-nat
    #[arg(long = "scenario", value_name = "SCENARIO|PATTERN|TAG|FILE")]
    pub(crate) scenarios: Vec<String>,
    /// Name or file of the subject; without it, the one that is built from the repository here
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) subject: Option<String>,
    /// Compare this metric, and no other that is not named too; each has to be decided. Without it, all, and packets, bytes,
    /// CPU time and stalls have to be
    #[arg(long = "metric", value_name = "METRIC")]
    pub(crate) metrics: Vec<String>,
    /// How long it may take, builds not counted
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = seconds)]
    pub(crate) budget: f64,
    /// The most blocks of each scenario; a block is a run of either version
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) blocks: u32,
    /// Run as many blocks again with seeds of their own, to measure what shared ones gain
    #[arg(long)]
    pub(crate) independent: bool,
    /// Show metrics too that neither decide nor have changed
    #[arg(long, conflicts_with = "json")]
    pub(crate) all: bool,
    /// Print the comparison as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) db: DbArg,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CanaryArgs {
    /// The commit that is compared with itself
    #[arg(default_value = "HEAD", value_name = "REVISION")]
    pub(crate) commit: String,
    /// Names, patterns, tags or files of scenarios; may be given several times
    #[arg(long = "scenario", value_name = "SCENARIO|PATTERN|TAG|FILE", default_values = ["lossy-1pct", "home-nat"])]
    pub(crate) scenarios: Vec<String>,
    /// Name or file of the subject; without it, the one that is built from the repository here
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) subject: Option<String>,
    /// How long it may take, builds not counted
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = seconds)]
    pub(crate) budget: f64,
    /// The most blocks of each scenario
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) blocks: u32,
    /// Seed of the first block; without it, another one each time
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=MAX_SEED))]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) engines: EngineArgs,
    /// Compare nothing: only show how often earlier ones saw a change
    #[arg(long)]
    pub(crate) rate: bool,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) db: DbArg,
}

#[derive(Debug, clap::Args)]
pub(crate) struct GateArgs {
    /// The commit that is compared with
    #[arg(required_unless_present = "schema")]
    pub(crate) base: Option<String>,
    #[command(flatten)]
    pub(crate) versions: VersionArgs,
    /// What has to be satisfied; ci/policy.toml in longhaul's repository explains every key
    #[arg(long, value_name = "FILE", default_value = "ci/policy.toml")]
    pub(crate) policy: PathBuf,
    /// Name or file of the subject, instead of the policy's
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) subject: Option<String>,
    /// Write a page of Markdown, for a comment
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Print the comparison as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the JSON Schema of policy files, for editors
    #[arg(long, exclusive = true)]
    pub(crate) schema: bool,
    #[command(flatten)]
    pub(crate) db: DbArg,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BackfillArgs {
    /// What `git rev-list` takes, for example v1.0..main: what came after v1.0, until main, by first parents
    pub(crate) range: String,
    /// Names, patterns with * and ?, tags or files of scenarios
    #[arg(required = true, value_name = "SCENARIO|PATTERN|TAG|FILE")]
    pub(crate) scenarios: Vec<String>,
    /// Name or file of a subject; may be given several times. Without it, the one that is built from the repository here
    #[arg(long = "subject", value_name = "NAME|FILE")]
    pub(crate) subjects: Vec<String>,
    /// Only every Nth commit, and both ends
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) every: Option<u32>,
    /// Only commits that merged others
    #[arg(long, conflicts_with = "every")]
    pub(crate) merges: bool,
    /// How often to run each scenario, instead of what its file says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeat: Option<u32>,
    /// Seed of every random decision of the networks; repetition N runs with seed + N
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=MAX_SEED))]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) engines: EngineArgs,
    /// Only say what would be measured, in this order
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print what came of each commit as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) db: DbArg,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BisectArgs {
    /// A commit before the change
    pub(crate) good: String,
    /// A commit after it; the first one's descendant by first parents
    pub(crate) bad: String,
    /// Name or file of a scenario
    #[arg(long, value_name = "SCENARIO|FILE")]
    pub(crate) scenario: String,
    /// The metric that changed
    #[arg(long)]
    pub(crate) metric: String,
    /// Of which side or host, where each has a value: for example fetcher
    #[arg(long, value_name = "SIDE|HOST")]
    pub(crate) peer: Option<String>,
    /// Name or file of the subject; without it, the one that is built from the repository here
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) subject: Option<String>,
    /// Seed of the networks: every commit is measured under this one and those that follow
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=MAX_SEED))]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) engines: EngineArgs,
    /// How probable the answer has to be
    #[arg(long, value_name = "SHARE", default_value_t = 0.95, value_parser = certainty)]
    pub(crate) certainty: f64,
    /// The most runs, with those that were recorded before
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub(crate) runs: u32,
    /// How long it may take, builds not counted; without it, only --runs counts
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) budget: Option<f64>,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) db: DbArg,
}

/// A probability that means something.
fn certainty(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.5..1.0).contains(number));
    number.ok_or_else(|| "use a number from 0.5 to below 1, for example 0.95".to_owned())
}

/// A time with its unit, in seconds.
fn seconds(text: &str) -> Result<f64, String> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let unit = match unit {
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err("use a time with its unit, for example 90s, 10m or 1h".to_owned()),
    };
    let number = number.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    number.map(|number| number * unit).ok_or_else(|| "use a time, for example 90s, 10m or 1h".to_owned())
}

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

#[derive(Debug, Subcommand)]
pub(crate) enum ScenarioCommand {
    /// List the shipped scenarios
    List {
        /// Only these: names, patterns with * and ?, or tags; then every combination of a matrix has its line
        #[arg(value_name = "NAME|PATTERN|TAG")]
        names: Vec<String>,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Explain a scenario in words and show its resolved form
    Show {
        /// Name or file
        scenario: String,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Check files without running them
    Check {
        /// Scenario files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Ask a few questions and write a scenario file; what is given here is not asked
    New(NewArgs),
    /// Print the JSON Schema of scenario files, for editors
    Schema,
}

#[derive(Debug, clap::Args)]
pub(crate) struct NewArgs {
    /// Its name
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// How the fetcher is connected: a link preset, for example cable
    #[arg(long, value_name = "PRESET")]
    pub(crate) link: Option<String>,
    /// The router in front of the fetcher: a NAT preset, for example home, or none
    #[arg(long, value_name = "PRESET")]
    pub(crate) nat: Option<String>,
    /// The router in front of the provider
    #[arg(long, value_name = "PRESET")]
    pub(crate) provider_nat: Option<String>,
    /// What is lost besides, for example 1%, or none
    #[arg(long, value_name = "SHARE")]
    pub(crate) loss: Option<String>,
    /// How much is sent, for example 16MiB
    #[arg(long)]
    pub(crate) size: Option<String>,
    /// How many fetchers; without it, one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) fetchers: Option<u32>,
    /// The file; without it, the name with .toml in this directory. It must not be there yet
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DetectArgs {
    /// A CSV file with `time,value` or `index,value` in each line, the oldest first; a first line may name the columns.
    /// Without it, all series of the database
    #[arg(value_name = "FILE.csv", conflicts_with_all = ["scenario", "subject", "metric", "branch", "evaluate"])]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) series: SeriesArgs,
    /// The smallest change that matters, in percent; without it each metric's own, and 3 for a file
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(crate) delta: Option<f64>,
    /// Print how often the detector is right about made-up series, beside other detectors
    #[arg(long)]
    pub(crate) evaluate: bool,
    /// With --evaluate: seed of the series
    #[arg(long, default_value_t = 1, requires = "evaluate")]
    pub(crate) seed: u64,
    /// With --evaluate: print the table that is in docs/statistics.md
    #[arg(long, requires = "evaluate", conflicts_with = "json")]
    pub(crate) markdown: bool,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) db: DbArg,
}

/// Which series of a database.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct SeriesArgs {
    /// Only of this scenario
    #[arg(long)]
    pub(crate) scenario: Option<String>,
    /// Only of this subject
    #[arg(long)]
    pub(crate) subject: Option<String>,
    /// Only this metric
    #[arg(long)]
    pub(crate) metric: Option<String>,
    /// Commits of this branch; without it, of main, of master, and of none
    #[arg(long)]
    pub(crate) branch: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlertCommand {
    /// Look for changes in every series of the database: what got worse becomes an alert, and what is as good again closes it.
    /// What is known already changes nothing
    Update {
        #[command(flatten)]
        series: SeriesArgs,
        /// Send what is new there as JSON: a chat's incoming webhook, or a program of yours. It may hold a secret, so the
        /// environment is a better place for it
        #[arg(long, value_name = "URL", env = "LONGHAUL_WEBHOOK", hide_env_values = true)]
        webhook: Option<String>,
        /// Print as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        db: DbArg,
    },
    /// List alerts, the newest first
    List {
        /// Only in this state: new, confirmed, acknowledged, fixed or invalid; without it, all that are open
        #[arg(long, value_parser = alert_state)]
        state: Option<AlertState>,
        /// Closed ones, too
        #[arg(long, conflicts_with = "state")]
        all: bool,
        /// Print as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        db: DbArg,
    },
    /// Say that somebody knows
    Acknowledge(TriageArgs),
    /// Say that it is none
    Dismiss(TriageArgs),
}

/// What is said of an alert.
#[derive(Debug, clap::Args)]
pub(crate) struct TriageArgs {
    /// The alert's id, or enough of its beginning or end
    pub(crate) id: String,
    /// Who says so, and why
    #[arg(long, default_value = "")]
    pub(crate) note: String,
    #[command(flatten)]
    pub(crate) db: DbArg,
}

fn alert_state(text: &str) -> Result<AlertState, String> {
    let known = || AlertState::ALL.map(AlertState::as_str).join(", ");
    AlertState::parse(text).ok_or_else(|| format!("use one of {}", known()))
}

/// A size of change.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').trim().parse().ok().filter(|number| (0.0..=1000.0).contains(number));
    number.ok_or_else(|| "use a number from 0 to 1000".to_owned())
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// Benchmarks that Criterion ran, as results of a commit. What was imported before is not imported twice
    Criterion {
        /// Where Criterion keeps its results
        #[arg(default_value = "target/criterion", value_name = "DIRECTORY")]
        directory: PathBuf,
        /// The commit they belong to, instead of what lies here
        #[arg(long, value_name = "REVISION")]
        commit: Option<String>,
        #[command(flatten)]
        db: DbArg,
    },
    /// Commands that hyperfine timed (`--export-json`, versions 1 and 2)
    Hyperfine(ImportedArgs),
    /// A test of iperf3 (`--json`)
    Iperf3(ImportedArgs),
    /// Bencher Metric Format, as Bencher's own adapters print it
    Bencher(ImportedArgs),
    /// What github-action-benchmark takes: an array of names, units and values
    GithubActionBenchmark {
        #[command(flatten)]
        imported: ImportedArgs,
        /// The larger the better (`customBiggerIsBetter`), instead of the smaller
        #[arg(long)]
        bigger_is_better: bool,
    },
    /// What `go test -bench` prints
    Benchfmt(ImportedArgs),
    /// Results of the QUIC interop runner
    QuicInterop(ImportedArgs),
    /// Records that `longhaul export records` wrote, whole
    Records(TableArgs),
    /// A table that `longhaul export csv` wrote, or one with its columns: the numbers, without the proof of the runs
    Csv(TableArgs),
    /// The same as Parquet
    Parquet(TableArgs),
    /// Numbers of iroh's earlier platform: `{"metrics":[{commitish,bucket,name,tag,value,timestamp}]}`, each with its commit
    Metro(ImportedArgs),
    /// A network of patchbay, as a scenario on standard output
    Patchbay {
        /// The topology file, or a simulation with its network in it
        file: PathBuf,
        /// The scenario's name, instead of the file's
        #[arg(long)]
        name: Option<String>,
    },
}

/// Files of ours.
#[derive(Debug, clap::Args)]
pub(crate) struct TableArgs {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) db: DbArg,
}

/// Files of another tool.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportedArgs {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The commit they belong to, instead of what lies here
    #[arg(long, value_name = "REVISION")]
    pub(crate) commit: Option<String>,
    #[command(flatten)]
    pub(crate) db: DbArg,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExportCommand {
    /// What every subject achieved in every scenario, as a page of Markdown
    Comparison(ComparisonArgs),
    /// Which share of a population's pairs of users every subject connects, and connects directly, by what is in front of them
    Score(ScoreArgs),
    /// Every run as a line of JSON, with all of its evidence
    Records(ExportArgs),
    /// Every number as a line of CSV
    Csv(ExportArgs),
    /// Every number as a row of Parquet
    Parquet(ExportArgs),
    /// The newest median of every series, for Prometheus
    Openmetrics(ExportArgs),
    /// The dashboard as files that any file server can show
    Site(SiteArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct SiteArgs {
    /// A new directory, or an empty one
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) db: DbArg,
}

/// Which results, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// Only of this project
    #[arg(long)]
    pub(crate) project: Option<String>,
    /// Only of this scenario
    #[arg(long)]
    pub(crate) scenario: Option<String>,
    /// Only of this subject
    #[arg(long)]
    pub(crate) subject: Option<String>,
    /// Only of this commit (full hash)
    #[arg(long, value_name = "HASH")]
    pub(crate) commit: Option<String>,
    /// The file; without it, standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) db: DbArg,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ScoreArgs {
    /// Who is behind what, as in scenarios/weights/placeholder.toml; without it, that one, whose shares are made up
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,
    /// The runs of this commit (full hash) instead of each subject's newest
    #[arg(long, value_name = "HASH")]
    pub(crate) commit: Option<String>,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) db: DbArg,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ComparisonArgs {
    /// The runs of this commit (full hash) instead of the one measured last
    #[arg(long, value_name = "HASH")]
    pub(crate) commit: Option<String>,
    #[command(flatten)]
    pub(crate) db: DbArg,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SubjectCommand {
    /// List subjects and whether they can run on this machine
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a subject once over a tiny network, and explain what works and what does not
    Check {
        /// Name or file of a subject
        subject: String,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Build a subject from the repository here, as it lies there or at a commit. What was built at a commit is kept
    Build {
        /// Name or file of a subject
        subject: String,
        /// Build this commit, in a worktree apart
        #[arg(long, value_name = "REVISION")]
        commit: Option<String>,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of subject files, for editors
    Schema,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LabCommand {
    /// Show a scenario's hosts, routers and links
    Show {
        /// Name or file of a scenario
        scenario: String,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Bring a scenario's network up and keep it up until Ctrl-C, for `exec` and `shell` in other terminals
    Up {
        /// Name or file of a scenario
        scenario: String,
        /// What `exec` and `shell` are to call it, instead of the scenario's name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        network: NetworkArgs,
    },
    /// Run a program on a simulated host, with this terminal
    Exec {
        /// A network that is up, or the name or file of a scenario whose network is brought up for this program alone
        #[arg(value_name = "NAME|SCENARIO")]
        scenario: String,
        /// The host
        host: String,
        #[command(flatten)]
        network: NetworkArgs,
        /// Program and arguments, after `--`
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Open a shell on a simulated host
    Shell {
        /// A network that is up, or the name or file of a scenario whose network is brought up for this shell alone
        #[arg(value_name = "NAME|SCENARIO")]
        scenario: String,
        /// The host
        host: String,
        #[command(flatten)]
        network: NetworkArgs,
    },
    /// Measure what networks cost as they grow, from 2 hosts to 1,000
    Scale {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a program on a simulated host and keep what passes the links, as a pcapng file for Wireshark
    Capture {
        /// Name or file of a scenario
        scenario: String,
        /// The host
        host: String,
        /// The file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// A link, both directions of it, for example bob.link or home.uplink; may be given several times. Without it, all
        #[arg(long = "link", value_name = "LINK")]
        links: Vec<String>,
        #[command(flatten)]
        network: NetworkArgs,
        /// Program and arguments, after `--`
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Try everything routers and links must do, on every engine, with real packets; takes about a minute
    Conformance {
        /// Only this engine; without it, all that this machine has
        #[arg(long, value_enum, value_name = "ENGINE")]
        engine: Option<Tested>,
        /// Print one line of JSON, for --add
        #[arg(long, conflicts_with = "markdown")]
        json: bool,
        /// Print the table that is in docs/netsim-conformance.md
        #[arg(long)]
        markdown: bool,
        /// With --markdown: more columns, from what --json printed elsewhere; other lines of the file do not matter
        #[arg(long, value_name = "FILE", requires = "markdown")]
        add: Vec<PathBuf>,
    },
    /// Measure the network of a scenario, or what this machine makes of the simulated links themselves
    Calibrate {
        /// Name or file of a scenario: every host's way to the internet, the transfer's path, and each NAT, beside what
        /// was asked; ends with 4 where that is outside tolerance
        #[arg(value_name = "SCENARIO", required_unless_present = "of_self", conflicts_with = "of_self")]
        scenario: Option<String>,
        #[command(flatten)]
        network: NetworkArgs,
        /// Measure the links beside a plain pair of network devices, and the reference transfer beside raw QUIC and curl
        #[arg(long = "self")]
        of_self: bool,
        /// How often to measure everything with --self; 5 rounds take about a minute and a half
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
        rounds: u32,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

/// A network that is brought up by hand.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct NetworkArgs {
    /// Seed of the network, where it is brought up
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) engines: EngineArgs,
}

impl NetworkArgs {
    /// Brings it up.
    pub(crate) fn up(self, plan: &Plan) -> Result<Lab, LabError> {
        Lab::up_with(plan, self.seed, self.engines.engines())
    }
}

/// What networks are made of.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct EngineArgs {
    /// What delays and loses packets
    #[arg(long, value_enum, value_name = "ENGINE", default_value_t = Links::Userspace)]
    link_engine: Links,
    /// What translates and filters in routers
    #[arg(long, value_enum, value_name = "ENGINE", default_value_t = Nat::Userspace)]
    nat_engine: Nat,
    /// The most threads that may carry packets, from 1 to 64; without it, what suits the machine. Networks that meet only in
    /// the internet's core can have a thread each
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<NonZeroUsize>,
}

/// A number of threads that a machine can have.
fn threads(text: &str) -> Result<NonZeroUsize, String> {
    const MOST: usize = 64;
    let number = text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= MOST);
    number.ok_or_else(|| format!("use a number from 1 to {MOST}"))
}

impl EngineArgs {
    /// With the best attachment that this machine has for them.
    pub(crate) fn engines(self) -> Engines {
        let links = match self.link_engine {
            Links::Userspace => LinkEngine::Userspace,
            Links::Netem => LinkEngine::Netem,
        };
        let best = Engines::default();
        let threads = self.threads.unwrap_or(best.threads);
        Engines { links, nat: self.nat_engine.engine(), threads, ..best }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Links {
    /// The simulator's own: everything, decided by the seed
    Userspace,
    /// The kernel's netem: no seed decides, and what it does otherwise is refused
    Netem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Nat {
    /// The simulator's own: everything, decided by the seed
    Userspace,
    /// Linux's connection tracking: what it does otherwise is refused
    Nftables,
}

/// An engine of the conformance suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Tested {
    /// The simulator's own routers and links
    Userspace,
    /// Routers of Linux's connection tracking
    Nftables,
    /// Links of the kernel's netem
    Netem,
}

impl Nat {
    pub(crate) fn engine(self) -> NatEngine {
        match self {
            Nat::Userspace => NatEngine::Userspace,
            Nat::Nftables => NatEngine::Nftables,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use longhaul_record::Exit;

    #[test]
    fn arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn times_have_units() {
        for (text, expect) in [("90s", Some(90.0)), ("10m", Some(600.0)), ("1.5min", Some(90.0)), ("2h", Some(7200.0))]
        {
            assert_eq!(seconds(text).ok(), expect, "{text}");
        }
        for text in ["", "10", "0s", "-1s", "m", "10 years", "infs", "NaNs"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_help_names_every_exit_code() {
        for (exit, meaning) in Exit::ALL {
            let words = meaning.split([':', ';']).next().unwrap();
            assert!(EXIT_CODES.contains(&format!("{} {words}", exit.code())), "{words}");
        }
    }
}
