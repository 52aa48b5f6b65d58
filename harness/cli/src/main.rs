//! `longhaul`: the command line.
//!
//! `args` says what can be asked, one module per command does it, and this file maps every ending to its documented
//! exit code. Commands that bring a network up move into namespaces of their own, before any thread exists.

mod alert;
mod args;
mod backfill;
mod bisect;
mod calibrate;
mod canary;
mod catalog;
mod compare;
mod comparison;
mod conformance;
mod db;
mod demo;
mod detect;
mod doctor;
mod error;
mod expectation;
mod export;
mod gate;
mod import;
mod lab;
mod listing;
mod new;
mod output;
mod place;
mod progress;
mod quickstart;
mod run;
mod scale;
mod score;
mod selfcheck;
mod serve;
mod stop;
mod subject;
mod table;
mod token;
mod webhook;

use args::{Args, Command, ExportCommand};
use clap::Parser;
use error::CliError;
use longhaul_record::{Exit, text};
use std::process::ExitCode;

/// Version of this program, as in records.
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn main() -> ExitCode {
    netsim_lab::run_if_init();
    let args = Args::parse();
    let exit = match dispatch(args) {
        Ok(code) => return code,
        // The reader of our output has enough, as in `longhaul … | head`.
        Err(CliError::OutputClosed) => Exit::Pass,
        Err(error) => {
            output::note(format!("longhaul: {}", text::chain(&error)));
            error.exit()
        }
    };
    ExitCode::from(exit.code())
}

fn dispatch(args: Args) -> Result<ExitCode, CliError> {
    let done = |exit: Exit| ExitCode::from(exit.code());
    match args.command {
        Command::Quickstart(args) => quickstart::quickstart(&args).map(done),
        Command::Run(args) => run::command(&args).map(done),
        Command::Compare(args) => compare::command(&args).map(done),
        Command::Canary(args) => canary::command(&args).map(done),
        Command::Gate(args) => gate::command(&args).map(done),
        Command::Backfill(args) => backfill::command(&args).map(done),
        Command::Bisect(args) => bisect::command(&args).map(done),
        Command::Doctor(args) => doctor::command(&args).map(done),
        Command::Serve(args) => serve::command(&args).map(done),
        Command::DemoData(args) => demo::command(&args).map(done),
        Command::Scenario(command) => listing::scenario(&command).map(done),
        Command::Subject(command) => subject::command(&command).map(done),
        Command::Detect(args) => detect::command(&args).map(done),
        Command::Alert(command) => alert::command(&command).map(done),
        Command::Import(command) => import::command(&command).map(done),
        Command::Export(ExportCommand::Comparison(args)) => comparison::command(&args).map(done),
        Command::Export(ExportCommand::Score(args)) => score::command(&args).map(done),
        Command::Export(ExportCommand::Records(args)) => export::records(&args).map(done),
        Command::Export(ExportCommand::Csv(args)) => export::csv(&args).map(done),
        Command::Export(ExportCommand::Parquet(args)) => export::parquet(&args).map(done),
        Command::Export(ExportCommand::Openmetrics(args)) => export::openmetrics(&args).map(done),
        Command::Export(ExportCommand::Site(args)) => serve::site(&args).map(done),
        Command::Db(command) => db::command(&command).map(done),
        Command::Token(command) => token::command(&command).map(done),
        Command::Lab(command) => lab::command(&command),
    }
}
