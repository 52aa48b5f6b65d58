//! `longhaul demo-data`: a year of invented history, for trying the dashboard.

use crate::alert;
use crate::args::{DemoArgs, SeriesArgs};
use crate::detect::{Histories, histories};
use crate::error::CliError;
use crate::output;
use crate::run::runtime;
use longhaul_record::{Alert, Exit, RunRecord, SYNTHETIC_HOST};
use longhaul_runner::wall_ms;
use longhaul_store::Upkeep;
use longhaul_synthetic::{Plan, comparisons, runs};

/// Runs in one transaction.
const BATCH: usize = 500;
/// How often in its year somebody looked for changes.
const LOOKS: usize = 12;

/// Fills a database that holds nothing that was measured.
pub(crate) fn command(args: &DemoArgs) -> Result<Exit, CliError> {
    let plan = Plan {
        seed: args.seed,
        until_ms: args.until.unwrap_or_else(wall_ms),
        commits: args.commits,
        scenarios: args.scenarios,
        subjects: args.subjects,
        runs: args.runs,
        nat: true,
    };
    let alerts = runtime()?.block_on(async {
        let store = args.db.open().await?;
        let filled = fill(&*store, &plan, !args.without_alerts).await;
        store.close().await;
        filled
    })?;
    output::line(format!(
        "{} holds {} invented runs on {} commits, and {alerts} alerts. Look at them: longhaul serve --db {}",
        args.db,
        plan.len(),
        plan.commits,
        args.db
    ))?;
    Ok(Exit::Pass)
}

async fn fill(store: &dyn Upkeep, plan: &Plan, alerts: bool) -> Result<usize, CliError> {
    if store.scopes().await?.iter().any(|scope| scope.host != SYNTHETIC_HOST) {
        return Err(CliError::HoldsMeasurements { place: store.place() });
    }
    let mut batch: Vec<RunRecord> = Vec::with_capacity(BATCH);
    for run in runs(plan) {
        batch.push(run);
        if batch.len() == BATCH {
            store.insert_runs(&batch).await.map_err(CliError::Demo)?;
            batch.clear();
        }
    }
    store.insert_runs(&batch).await.map_err(CliError::Demo)?;
    for comparison in comparisons(plan) {
        store.insert_comparison(&comparison).await.map_err(CliError::Demo)?;
    }
    if alerts { look(store).await } else { Ok(0) }
}

/// Looks for changes as often as somebody would have in that year, each time at what was there by then.
async fn look(store: &dyn Upkeep) -> Result<usize, CliError> {
    let all = histories(store, &SeriesArgs::default()).await?;
    let mut known: Vec<Alert> = Vec::new();
    for set in &all {
        let mut own: Vec<Alert> = Vec::new();
        for look in 1..=LOOKS {
            let end = set.set.commits.len() * look / LOOKS;
            let Some(newest) = end.checked_sub(1).map(|last| &set.set.commits[last]) else { continue };
            for changed in alert::of_scenario(&until(set, end), &own, newest.first_run_ms) {
                own.retain(|alert| alert.id != changed.id);
                own.push(changed);
            }
        }
        known.append(&mut own);
    }
    store.put_alerts(&known).await.map_err(CliError::PutAlerts)?;
    Ok(known.len())
}

/// The histories up to a commit.
fn until(set: &Histories, end: usize) -> Histories {
    let mut cut = Histories { scenario: set.scenario.clone(), set: set.set.clone(), histories: set.histories.clone() };
    for history in &mut cut.histories {
        history.points.retain(|(commit, _)| *commit < end);
    }
    cut
}
