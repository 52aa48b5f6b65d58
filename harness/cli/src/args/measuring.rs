//! What measures.

use super::{DbArg, EngineArgs};
use std::net::SocketAddr;
use std::path::PathBuf;

/// So that JSON keeps every seed exact, repetitions included.
const MAX_SEED: u64 = (1 << 53) - 1 - 1000;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
