//! `longhaul import …`: what other tools have written, as files and results of ours.

use crate::args::{ImportCommand, ImportedArgs, TableArgs};
use crate::error::CliError;
use crate::place::Place;
use crate::run::{runtime, under_test};
use crate::{VERSION, catalog, output};
use longhaul_interop::criterion::{self, Files};
use longhaul_interop::{
    ImportError, Measured, Origin, bencher, benchfmt, github_action, hyperfine, iperf3, metro, quic_interop, rows,
};
use longhaul_record::{CommitDetail, Direction, Exit, RunRecord};
use longhaul_runner::machine;
use longhaul_scenarios::from_patchbay;
use longhaul_store::{Inserted, Upkeep, check};
use netsim_lab::Engines;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// `longhaul import …`.
pub(crate) fn command(command: &ImportCommand) -> Result<Exit, CliError> {
    match command {
        ImportCommand::Criterion { directory, commit, db } => from_criterion(directory, commit.as_deref(), db),
        ImportCommand::Patchbay { file, name } => patchbay(file, name.as_deref()),
        ImportCommand::Hyperfine(args) => from_files(args, hyperfine::read),
        ImportCommand::Iperf3(args) => from_files(args, |file, text| Ok(vec![iperf3::read(file, text)?])),
        ImportCommand::Bencher(args) => from_files(args, bencher::read),
        ImportCommand::GithubActionBenchmark { imported, bigger_is_better } => {
            let better = if *bigger_is_better { Direction::Higher } else { Direction::Lower };
            from_files(imported, |file, text| github_action::read(file, text, better))
        }
        ImportCommand::Benchfmt(args) => from_files(args, benchfmt::read),
        ImportCommand::QuicInterop(args) => from_files(args, quic_interop::read),
        ImportCommand::Records(args) => records(args),
        ImportCommand::Csv(args) => {
            tables(args, |file, path| rows::csv::read(file, &catalog::read(path)?).map_err(Into::into))
        }
        ImportCommand::Parquet(args) => tables(args, |file, path| {
            let bytes = fs::read(path).map_err(|source| CliError::Read { path: path.to_path_buf(), source })?;
            rows::parquet::read(file, bytes.into()).map_err(Into::into)
        }),
        ImportCommand::Metro(args) => from_files(args, metro::read),
    }
}

/// Files of records may be long: each is read twice, a line at a time, so that nothing is kept of a bad one.
fn records(args: &TableArgs) -> Result<Exit, CliError> {
    for file in &args.files {
        each_record(file, |_| Ok(()))?;
    }
    let runtime = runtime()?;
    let store = runtime.block_on(args.db.open())?;
    let (mut new, mut all) = (0, 0);
    for file in &args.files {
        each_record(file, |record| {
            all += 1;
            new += usize::from(runtime.block_on(insert(&*store, &record))? == Inserted::New);
            Ok(())
        })?;
    }
    runtime.block_on(store.close());
    count(new, all, &args.db)
}

/// Calls `with` for every record of a file.
fn each_record(file: &Path, mut with: impl FnMut(RunRecord) -> Result<(), CliError>) -> Result<(), CliError> {
    let refused = |source| CliError::Read { path: file.to_path_buf(), source };
    let name = file.display().to_string();
    for (number, line) in BufReader::new(File::open(file).map_err(refused)?).lines().enumerate() {
        let line = line.map_err(refused)?;
        if !line.trim().is_empty() {
            let record = longhaul_interop::records::read(&name, number + 1, &line)?;
            fit(&name, &record)?;
            with(record)?;
        }
    }
    Ok(())
}

/// Whether a database would take a record.
fn fit(file: &str, record: &RunRecord) -> Result<(), CliError> {
    check(record).map_err(|problem| CliError::Unfit { id: record.id.clone(), file: file.to_owned(), problem })
}

/// All of the tables or nothing.
fn tables(args: &TableArgs, read: impl Fn(&str, &Path) -> Result<Vec<rows::Row>, CliError>) -> Result<Exit, CliError> {
    let mut records = Vec::new();
    for path in &args.files {
        let file = path.display().to_string();
        let runs = rows::runs(&file, read(&file, path)?)?;
        runs.iter().try_for_each(|run| fit(&file, run))?;
        records.extend(runs);
    }
    keep(&records, &args.db)
}

/// All of the files or nothing: every one is read before anything is recorded.
fn from_files(
    args: &ImportedArgs,
    read: impl Fn(&str, &str) -> Result<Vec<Measured>, ImportError>,
) -> Result<Exit, CliError> {
    let mut measured = Vec::new();
    for file in &args.files {
        let at_ms = written_ms(file)?;
        let all = read(&file.display().to_string(), &catalog::read(file)?)?;
        measured.extend(all.into_iter().map(|one| (one, at_ms)));
    }
    record(measured, args.commit.as_deref(), &args.db)
}

/// Prints the imported file; notes go to standard error.
fn patchbay(file: &Path, name: Option<&str>) -> Result<Exit, CliError> {
    let text = catalog::read(file)?;
    let stem = || file.file_stem().map_or_else(|| "imported".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let imported = from_patchbay(&file.to_string_lossy(), &text, &name.map_or_else(stem, str::to_owned))?;
    for note in &imported.notes {
        output::note(note);
    }
    output::line(imported.text.trim_end())?;
    Ok(Exit::Pass)
}

/// All of a directory or nothing: every file is read before anything is recorded.
fn from_criterion(directory: &Path, commit: Option<&str>, db: &Place) -> Result<Exit, CliError> {
    let found = results_below(directory)?;
    if found.is_empty() {
        return Err(CliError::NothingToImport { directory: directory.to_path_buf() });
    }
    let measured = found.iter().map(|directory| benchmark(directory)).collect::<Result<Vec<_>, _>>()?;
    record(measured, commit, db)
}

/// Records what was measured, each with the time its file was written.
fn record(measured: Vec<(Measured, i64)>, commit: Option<&str>, db: &Place) -> Result<Exit, CliError> {
    let repository = under_test(commit)?.repository;
    let host = machine(VERSION, Engines::default());
    let project = repository.as_ref().map_or_else(|| "unnamed".into(), |repository| repository.project.clone());
    let mut others: HashMap<String, (String, CommitDetail)> = HashMap::new();
    let records = measured.into_iter().map(|(measured, at_ms)| {
        let own = repository.as_ref().map(|repository| (repository.commit.clone(), repository.detail.clone()));
        let own = match &measured.commit {
            None => own,
            Some(named) => Some(others.entry(named.clone()).or_insert_with(|| other(named, measured.at_ms)).clone()),
        };
        let (commit, commit_detail) = own.unzip();
        measured.record(Origin { project: project.clone(), commit, commit_detail, host: host.clone(), at_ms })
    });
    keep(&records.collect::<Vec<_>>(), db)
}

/// The commit that a tool named. Where the repository here does not know it, its place in time is when it was measured.
fn other(named: &str, at_ms: Option<i64>) -> (String, CommitDetail) {
    match under_test(Some(named)).ok().and_then(|known| known.repository) {
        Some(repository) => (repository.commit, repository.detail),
        None => {
            let (authored_ms, summary) = (at_ms.unwrap_or(0), String::new());
            (named.to_owned(), CommitDetail { parents: Vec::new(), authored_ms, branch: None, summary, dirty: false })
        }
    }
}

/// Records what is not there yet.
fn keep(records: &[RunRecord], db: &Place) -> Result<Exit, CliError> {
    let new = runtime()?.block_on(async {
        let store = db.open().await?;
        let mut new = 0;
        for record in records {
            new += usize::from(insert(&*store, record).await? == Inserted::New);
        }
        store.close().await;
        Ok::<_, CliError>(new)
    })?;
    count(new, records.len(), db)
}

async fn insert(store: &dyn Upkeep, record: &RunRecord) -> Result<Inserted, CliError> {
    let inserted = store.insert_run(record).await;
    inserted.map_err(|source| CliError::Insert { id: record.id.clone(), scenario: record.scenario.clone(), source })
}

fn count(new: usize, all: usize, db: &Place) -> Result<Exit, CliError> {
    output::line(format!("{new} new of {all} results, in {db}"))?;
    Ok(Exit::Pass)
}

/// The directories of every benchmark's newest result, in order of their names.
fn results_below(directory: &Path) -> Result<Vec<PathBuf>, CliError> {
    let read = |source| CliError::Read { path: directory.to_path_buf(), source };
    let mut found = Vec::new();
    let mut entries = fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(read)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries.iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        let path = entry.path();
        if entry.file_name() == "new" && path.join("benchmark.json").exists() {
            found.push(path);
        } else {
            found.extend(results_below(&path)?);
        }
    }
    Ok(found)
}

/// One benchmark's result, and when it was written.
fn benchmark(directory: &Path) -> Result<(Measured, i64), CliError> {
    let [benchmark, estimates] = ["benchmark.json", "estimates.json"].map(|name| directory.join(name));
    let at_ms = written_ms(&estimates)?;
    let (benchmark, estimates) = (catalog::read(&benchmark)?, catalog::read(&estimates)?);
    let directory = directory.display().to_string();
    let files = Files { directory: &directory, benchmark: &benchmark, estimates: &estimates };
    Ok((criterion::read(files)?, at_ms))
}

/// When a file was written.
fn written_ms(file: &Path) -> Result<i64, CliError> {
    let written = fs::metadata(file).and_then(|meta| meta.modified());
    let written = written.map_err(|source| CliError::Read { path: file.to_path_buf(), source })?;
    Ok(written.duration_since(UNIX_EPOCH).map_or(0, |time| i64::try_from(time.as_millis()).unwrap_or(0)))
}
