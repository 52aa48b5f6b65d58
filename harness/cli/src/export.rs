//! `longhaul export records|csv|parquet|openmetrics`: results for other programs.

use crate::args::ExportArgs;
use crate::detect::scenarios;
use crate::error::CliError;
use crate::run::runtime;
use longhaul_interop::openmetrics::{self, Value};
use longhaul_interop::rows::{Row, csv, parquet};
use longhaul_record::{Exit, RunRecord};
use longhaul_store::{RunFilter, SeriesQuery, Upkeep};
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Whole records, a line each.
pub(crate) fn records(args: &ExportArgs) -> Result<Exit, CliError> {
    let mut out = Out::new(args)?;
    each_run(args, |run| {
        longhaul_interop::records::write(&mut out.writer, run).map_err(|source| out_error(args, source))
    })?;
    out.done()
}

/// A table of numbers.
pub(crate) fn csv(args: &ExportArgs) -> Result<Exit, CliError> {
    let mut out = Out::new(args)?;
    let mut export = csv::Export::new(&mut out.writer);
    each_run(args, |run| export.add(&Row::of(run)).map_err(|source| out_error(args, source)))?;
    export.finish().map_err(|source| out_error(args, source))?;
    out.done()
}

/// The same by columns. It is nothing to look at, so it does not go to a terminal.
pub(crate) fn parquet(args: &ExportArgs) -> Result<Exit, CliError> {
    if args.out.is_none() && io::stdout().is_terminal() {
        return Err(CliError::Terminal);
    }
    let mut out = Out::new(args)?;
    let failed = |error| out_error(args, io::Error::other(error));
    let mut export = parquet::Export::new(&mut out.writer).map_err(failed)?;
    each_run(args, |run| export.add(&Row::of(run)).map_err(failed))?;
    export.finish().map_err(failed)?;
    out.done()
}

/// The newest median of every series.
pub(crate) fn openmetrics(args: &ExportArgs) -> Result<Exit, CliError> {
    let values = runtime()?.block_on(async {
        let store = args.db.open_read_only().await?;
        let values = newest(&*store, args).await?;
        store.close().await;
        Ok::<_, CliError>(values)
    })?;
    let mut out = Out::new(args)?;
    out.writer.write_all(openmetrics::document(&values).as_bytes()).map_err(|source| out_error(args, source))?;
    out.done()
}

async fn newest(store: &dyn Upkeep, args: &ExportArgs) -> Result<Vec<Value>, CliError> {
    let mut values = Vec::new();
    for scenario in scenarios(store, args.project.as_deref(), args.scenario.as_deref()).await? {
        let query = SeriesQuery {
            scenario: scenario.clone(),
            project: args.project.clone(),
            subject: args.subject.clone(),
            commits: u32::MAX,
            values: false,
            ..SeriesQuery::default()
        };
        let set = store.series(&query).await?;
        values.extend(openmetrics::newest(&scenario, &set, args.commit.as_deref()));
    }
    Ok(values)
}

/// Calls `with` for every run that is asked for, the oldest first.
fn each_run(args: &ExportArgs, mut with: impl FnMut(&RunRecord) -> Result<(), CliError>) -> Result<(), CliError> {
    let filter = RunFilter {
        project: args.project.clone(),
        scenario: args.scenario.clone(),
        subject: args.subject.clone(),
        commit: args.commit.clone(),
        limit: u32::MAX,
        ..RunFilter::default()
    };
    runtime()?.block_on(async {
        let store = args.db.open_read_only().await?;
        for summary in store.runs(&filter).await?.iter().rev() {
            if let Some(run) = store.run(&summary.id).await? {
                with(&run)?;
            }
        }
        store.close().await;
        Ok(())
    })
}

/// Where it goes. A file gets its name when it is whole.
struct Out {
    writer: BufWriter<Box<dyn Write + Send>>,
    file: Option<PathBuf>,
}

impl Out {
    fn new(args: &ExportArgs) -> Result<Out, CliError> {
        let writer: Box<dyn Write + Send> = match &args.out {
            Some(path) => Box::new(File::create(part(path)).map_err(|source| out_error(args, source))?),
            None => Box::new(io::stdout()),
        };
        Ok(Out { writer: BufWriter::new(writer), file: args.out.clone() })
    }

    fn done(mut self) -> Result<Exit, CliError> {
        let renamed = |path: &PathBuf| fs::rename(part(path), path);
        let result = self.writer.flush().and_then(|()| self.file.as_ref().map_or(Ok(()), renamed));
        result.map_err(|source| failed(self.file.as_deref(), source))?;
        Ok(Exit::Pass)
    }
}

fn part(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn out_error(args: &ExportArgs, source: io::Error) -> CliError {
    failed(args.out.as_deref(), source)
}

/// A reader that has gone away ends the program quietly.
fn failed(file: Option<&Path>, source: io::Error) -> CliError {
    match (file, source.kind()) {
        (Some(path), _) => CliError::Write { path: path.to_path_buf(), source },
        (None, io::ErrorKind::BrokenPipe) => CliError::OutputClosed,
        (None, _) => CliError::Environment { what: "cannot write to standard output", source },
    }
}
