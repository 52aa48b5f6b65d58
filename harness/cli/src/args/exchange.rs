//! Results to and from other programs.

use super::{DbArg, SiteArgs};
use clap::Subcommand;
use std::path::PathBuf;

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
