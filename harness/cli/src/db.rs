//! `longhaul db …`: what is done to a whole database.

use crate::args::{BackupArgs, CheckArgs, DbCommand, MergeArgs, PruneArgs};
use crate::error::CliError;
use crate::output;
use crate::place::Place;
use crate::run::runtime;
use longhaul_record::{Alert, Exit, text};
use longhaul_store::{AlertFilter, ComparisonFilter, Inserted, Position, Retention, RunFilter, Upkeep};
use serde_json::json;

/// Records that are in memory at once while databases are merged.
const PAGE: u32 = 64;

const DAY_MS: i64 = 86_400_000;

/// `longhaul db check|backup|prune|merge`.
pub(crate) fn command(command: &DbCommand) -> Result<Exit, CliError> {
    let runtime = runtime()?;
    runtime.block_on(async {
        match command {
            DbCommand::Check(args) => check(args).await,
            DbCommand::Backup(args) => backup(args).await,
            DbCommand::Prune(args) => prune(args).await,
            DbCommand::Merge(args) => merge(args).await,
        }
    })
}

/// Compares everything that is stored with what it follows from.
async fn check(args: &CheckArgs) -> Result<Exit, CliError> {
    let store = args.db.open_read_only().await?;
    let findings = store.check().await?;
    store.close().await;
    if args.json {
        let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
        output::json(&json!({ "version": 1, "findings": said }))?;
    } else {
        for finding in &findings {
            output::line(finding.to_string())?;
        }
    }
    if !findings.is_empty() {
        return Err(CliError::Unsound { place: args.db.to_string(), findings: findings.len() });
    }
    if !args.json {
        output::line(format!("{}: everything is as it was written", *args.db))?;
    }
    Ok(Exit::Pass)
}

async fn backup(args: &BackupArgs) -> Result<Exit, CliError> {
    let store = args.db.open_read_only().await?;
    store.backup(&args.file).await?;
    store.close().await;
    // A copy that cannot be read is none.
    let copy = Place::File(args.file.clone()).open_read_only().await?;
    let newest = copy.runs(&RunFilter { limit: 1, ..RunFilter::default() }).await?;
    copy.close().await;
    let newest = newest.first().map_or("without runs".to_owned(), |run| format!("up to run {}", run.id));
    output::line(format!("{}: a copy of {}, {newest}", args.file.display(), *args.db))?;
    Ok(Exit::Pass)
}

async fn prune(args: &PruneArgs) -> Result<Exit, CliError> {
    let before = |days: u32| longhaul_runner::wall_ms().saturating_sub(i64::from(days).saturating_mul(DAY_MS));
    let newer_than_ms = args.older_than.map(before);
    let rule = Retention { newer_than_ms, newest: args.keep, dry_run: args.dry_run };
    let store = args.db.open().await?;
    let freed = store.prune(&rule).await?;
    store.close().await;
    if args.json {
        let (runs, artifacts, bytes) = (freed.runs, freed.artifacts, freed.bytes);
        let dry_run = args.dry_run;
        output::json(
            &json!({ "version": 1, "dry_run": dry_run, "runs": runs, "artifacts": artifacts, "bytes": bytes }),
        )?;
        return Ok(Exit::Pass);
    }
    let [verb, freeing] = if args.dry_run { ["would drop", "would free"] } else { ["dropped", "freed"] };
    output::line(format!(
        "{verb} the series over time of {} runs, {freeing} {} in {} artifacts; every sample is kept",
        freed.runs,
        text::bytes(freed.bytes as f64),
        freed.artifacts
    ))?;
    if freed.bytes > 0 && !args.dry_run && matches!(*args.db, Place::File(_)) {
        output::note(
            "the file keeps its size and uses the space again; `longhaul db backup FILE` writes a compact copy",
        );
    }
    Ok(Exit::Pass)
}

/// Every source is opened before the first run is written.
async fn merge(args: &MergeArgs) -> Result<Exit, CliError> {
    let mut sources = Vec::new();
    for place in &args.sources {
        sources.push(place.open_read_only().await?);
    }
    let store = args.db.open().await?;
    let mut merged = Vec::new();
    for source in sources {
        let (new, known) = merge_one(&*source, &*store).await?;
        source.close().await;
        if args.json {
            merged.push(json!({ "source": source.place(), "new": new, "known": known }));
        } else {
            output::line(format!("{}: {new} new, {known} known, in {}", source.place(), *args.db))?;
        }
    }
    store.close().await;
    if args.json {
        output::json(&json!({ "version": 1, "merged": merged }))?;
    }
    Ok(Exit::Pass)
}

/// How many runs were new, and how many were there.
async fn merge_one(source: &dyn Upkeep, store: &dyn Upkeep) -> Result<(usize, usize), CliError> {
    let (mut new, mut known) = (0, 0);
    let mut after = Some(Position::default());
    while let Some(position) = after {
        let page = source.records(position, PAGE).await?;
        let inserted = store.insert_runs(&page.runs).await;
        let inserted =
            inserted.map_err(|source_error| CliError::Merge { from: source.place(), source: source_error })?;
        let fresh = inserted.iter().filter(|inserted| **inserted == Inserted::New).count();
        new += fresh;
        known += inserted.len() - fresh;
        after = page.next;
    }
    merge_judgements(source, store).await?;
    Ok((new, known))
}

/// Comparisons that are not there, and alerts of which more is known than there.
async fn merge_judgements(source: &dyn Upkeep, store: &dyn Upkeep) -> Result<(), CliError> {
    let failed = |source_error| CliError::Merge { from: source.place(), source: source_error };
    let all = ComparisonFilter { limit: u32::MAX, ..ComparisonFilter::default() };
    for summary in source.comparisons(&all).await? {
        if let Some(comparison) = source.comparison(&summary.id).await? {
            store.insert_comparison(&comparison).await.map_err(failed)?;
        }
    }
    let all = AlertFilter { limit: u32::MAX, ..AlertFilter::default() };
    let there = store.alerts(&all).await?;
    let mut alerts = source.alerts(&all).await?;
    let known = |alert: &Alert| there.iter().find(|known| known.id == alert.id).map_or(0, |known| known.history.len());
    alerts.retain(|alert| alert.history.len() > known(alert));
    store.put_alerts(&alerts).await.map_err(failed)
}
