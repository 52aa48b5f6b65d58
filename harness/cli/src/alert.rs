//! `longhaul alert`: what got worse on the main branch, and what became of it.

use crate::args::{AlertCommand, SeriesArgs, TriageArgs};
use crate::detect::{Histories, histories};
use crate::error::CliError;
use crate::place::Place;
use crate::run::runtime;
use crate::{output, table, webhook};
use longhaul_record::{Alert, AlertKind, AlertState, Exit, SeriesName, Standing, metric, text};
use longhaul_runner::{new_id, wall_ms};
use longhaul_stats::{Detection, History, reconcile};
use longhaul_store::{AlertFilter, Upkeep};
use serde_json::{Value, json};

/// `longhaul alert update|list|acknowledge|dismiss`.
pub(crate) fn command(command: &AlertCommand) -> Result<Exit, CliError> {
    runtime()?.block_on(async {
        match command {
            AlertCommand::Update { series, webhook, json, db } => update(series, webhook.as_deref(), *json, db).await,
            AlertCommand::List { state, all, json, db } => list(*state, *all, *json, db).await,
            AlertCommand::Acknowledge(args) => triage(args, AlertState::Acknowledged).await,
            AlertCommand::Dismiss(args) => triage(args, AlertState::Invalid).await,
        }
    })?;
    Ok(Exit::Pass)
}

/// Keeps what is new, and says so.
async fn update(args: &SeriesArgs, webhook: Option<&str>, as_json: bool, db: &Place) -> Result<(), CliError> {
    let store = db.open().await?;
    let known = store.alerts(&AlertFilter { limit: u32::MAX, ..AlertFilter::default() }).await?;
    let all = histories(&*store, args).await?;
    let now = wall_ms();
    let changed: Vec<Alert> = all.iter().flat_map(|set| of_scenario(set, &known, now)).collect();
    keep(&*store, &changed).await?;
    store.close().await;
    // More commits make numbers more exact, which is no news.
    let is_known = |alert: &&Alert| known.iter().any(|known| known.id == alert.id && known.state == alert.state);
    let news: Vec<Alert> = changed.iter().filter(|alert| !is_known(alert)).cloned().collect();
    if let Some(url) = webhook.filter(|_| !news.is_empty()) {
        webhook::send(url, &news)?;
    }
    if as_json {
        output::json(&json!({ "alerts": as_values(&news)? }))
    } else if news.is_empty() {
        let series: usize = all.iter().map(|set| set.histories.len()).sum();
        output::line(format!("Nothing new in {series} series."))
    } else {
        output::line(shown(&news))
    }
}

/// What changed among the alerts of a scenario. Of a metric that is not known nobody can say what is worse, and what another
/// metric says in other words would only be said twice.
pub(crate) fn of_scenario(set: &Histories, known: &[Alert], now: i64) -> Vec<Alert> {
    let of_history = |history: &longhaul_store::History| {
        let series = &set.set.series[history.series];
        let asked = metric(&series.metric).filter(|metric| !matches!(metric.standing, Standing::Restated(_)));
        let Some(metric) = asked else { return Vec::new() };
        let name = SeriesName {
            project: series.project.clone(),
            host: series.host.clone(),
            scenario: set.scenario.clone(),
            scenario_hash: history.scenario_hash.clone(),
            subject: series.subject.clone(),
            metric: series.metric.clone(),
            peer: series.peer.clone(),
        };
        let sha = |commit: usize| set.set.commits[commit].sha.as_deref().unwrap_or_default();
        let points: Vec<(&str, f64)> = history.points.iter().map(|(commit, median)| (sha(*commit), *median)).collect();
        let own: Vec<Alert> = known.iter().filter(|alert| alert.series == name).cloned().collect();
        let how = Detection { delta: metric.delta(), ..Detection::default() };
        let history = History { series: &name, better: metric.direction, points: &points };
        reconcile(&history, &own, &how, now, |_| new_id(now))
    };
    set.histories.iter().flat_map(of_history).collect()
}

async fn list(state: Option<AlertState>, all: bool, as_json: bool, db: &Place) -> Result<(), CliError> {
    let store = db.open_read_only().await?;
    let mut alerts = store.alerts(&AlertFilter { state, limit: u32::MAX, ..AlertFilter::default() }).await?;
    store.close().await;
    alerts.retain(|alert| all || state.is_some() || alert.state.is_open());
    match (as_json, alerts.is_empty()) {
        (true, _) => output::json(&json!({ "alerts": as_values(&alerts)? })),
        (false, true) => output::line("No alerts."),
        (false, false) => output::line(shown(&alerts)),
    }
}

/// Keeps what a person says.
async fn triage(args: &TriageArgs, state: AlertState) -> Result<(), CliError> {
    let store = args.db.open().await?;
    let mut alerts = store.alerts(&AlertFilter { limit: u32::MAX, ..AlertFilter::default() }).await?;
    alerts.retain(|alert| alert.id.starts_with(&args.id) || alert.id.ends_with(&args.id));
    let result = match &mut alerts[..] {
        [alert] => {
            alert.become_state(state, wall_ms(), &args.note);
            keep(&*store, &alerts).await
        }
        found => Err(CliError::UnknownAlert { id: args.id.clone(), count: found.len() }),
    };
    store.close().await;
    result?;
    output::line(shown(&alerts))
}

async fn keep(store: &dyn Upkeep, alerts: &[Alert]) -> Result<(), CliError> {
    store.put_alerts(alerts).await.map_err(CliError::PutAlerts)
}

pub(crate) fn as_values(alerts: &[Alert]) -> Result<Vec<Value>, CliError> {
    let encoded = alerts.iter().map(serde_json::to_value).collect::<Result<_, _>>();
    encoded.map_err(|error| CliError::Environment { what: "cannot write an alert as JSON", source: error.into() })
}

fn shown(alerts: &[Alert]) -> String {
    let header =
        ["Id", "State", "Scenario", "Subject", "Metric", "Last before", "First after", "Before", "After", "Shift"];
    table::plain(&header, alerts.iter().map(row))
}

/// The end of an id says most: its beginning is the time.
fn row(alert: &Alert) -> Vec<String> {
    const SHORT: usize = 8;
    let short = |sha: &str| sha.chars().take(10).collect::<String>();
    let value =
        |value| metric(&alert.series.metric).map_or_else(|| text::digits(value), |metric| metric.unit.text(value));
    let name = match &alert.series.peer {
        Some(peer) => format!("{}, {peer}", alert.series.metric),
        None => alert.series.metric.clone(),
    };
    let state = match alert.kind {
        AlertKind::Step => alert.state.as_str().to_owned(),
        AlertKind::Drift => format!("{}, drift", alert.state.as_str()),
    };
    let cells = [
        alert.id.get(alert.id.len().saturating_sub(SHORT)..).unwrap_or(&alert.id).to_owned(),
        state,
        alert.series.scenario.clone(),
        alert.series.subject.clone(),
        name,
        short(&alert.range.last_before),
        short(&alert.range.first_after),
        value(alert.before),
        value(alert.after),
        alert.shift.map_or_else(|| "\u{2013}".to_owned(), |shift| format!("{:+.1} %", shift * 100.0)),
    ];
    cells.iter().map(|cell| table::clean(cell)).collect()
}
