//! `longhaul import …`: what other tools have written, as files and results of ours.

use crate::args::ImportCommand;
use crate::error::CliError;
use crate::place::Place;
use crate::run::{runtime, under_test};
use crate::{VERSION, catalog, output};
use longhaul_interop::criterion::{self, Files};
use longhaul_interop::{Measured, Origin};
use longhaul_record::{Exit, RunRecord};
use longhaul_runner::machine;
use longhaul_scenarios::from_patchbay;
use longhaul_store::Inserted;
use netsim_lab::Engines;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// `longhaul import criterion|patchbay`.
pub(crate) fn command(command: &ImportCommand) -> Result<Exit, CliError> {
    match command {
        ImportCommand::Criterion { directory, commit, db } => from_criterion(directory, commit.as_deref(), db),
        ImportCommand::Patchbay { file, name } => patchbay(file, name.as_deref()),
    }
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
    let repository = under_test(commit)?.repository;
    let host = machine(VERSION, Engines::default());
    let records = measured.into_iter().map(|(measured, at_ms)| {
        measured.record(Origin {
            project: repository.as_ref().map_or_else(|| "unnamed".into(), |repository| repository.project.clone()),
            commit: repository.as_ref().map(|repository| repository.commit.clone()),
            commit_detail: repository.as_ref().map(|repository| repository.detail.clone()),
            host: host.clone(),
            at_ms,
        })
    });
    keep(&records.collect::<Vec<_>>(), db)
}

/// Records what is not there yet.
fn keep(records: &[RunRecord], db: &Place) -> Result<Exit, CliError> {
    let runtime = runtime()?;
    let new = runtime.block_on(async {
        let store = db.open().await?;
        let mut new = 0;
        for record in records {
            let (id, scenario) = (record.id.clone(), record.scenario.clone());
            let inserted = store.insert_run(record).await;
            let inserted = inserted.map_err(|source| CliError::Insert { id, scenario, source })?;
            new += usize::from(inserted == Inserted::New);
        }
        store.close().await;
        Ok::<_, CliError>(new)
    })?;
    output::line(format!("{new} new of {} results, in {}", records.len(), db))?;
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
    let written = fs::metadata(&estimates).and_then(|meta| meta.modified());
    let written = written.map_err(|source| CliError::Read { path: estimates.clone(), source })?;
    let at_ms = written.duration_since(UNIX_EPOCH).map_or(0, |time| i64::try_from(time.as_millis()).unwrap_or(0));
    let (benchmark, estimates) = (catalog::read(&benchmark)?, catalog::read(&estimates)?);
    let directory = directory.display().to_string();
    let files = Files { directory: &directory, benchmark: &benchmark, estimates: &estimates };
    Ok((criterion::read(files)?, at_ms))
}
