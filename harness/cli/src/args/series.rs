//! Series, their changes, and alerts.

use super::DbArg;
use clap::Subcommand;
use longhaul_record::AlertState;
use std::path::PathBuf;

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
