//! What can be asked on the command line. Each group of commands has a room.

mod database;
mod exchange;
mod files;
mod measuring;
mod network;
mod series;
mod showing;

use crate::place::Place;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Parser, Subcommand};
pub(crate) use database::*;
pub(crate) use exchange::*;
pub(crate) use files::*;
pub(crate) use measuring::*;
pub(crate) use network::*;
pub(crate) use series::*;
pub(crate) use showing::*;

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
    fn the_help_names_every_exit_code() {
        for (exit, meaning) in Exit::ALL {
            let words = meaning.split([':', ';']).next().unwrap();
            assert!(EXIT_CODES.contains(&format!("{} {words}", exit.code())), "{words}");
        }
    }
}
