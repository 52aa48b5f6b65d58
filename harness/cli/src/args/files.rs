//! Scenarios and subjects.

use clap::Subcommand;
use std::path::PathBuf;

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
