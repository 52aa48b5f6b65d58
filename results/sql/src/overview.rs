//! The overview: three queries whatever the number of rows.

use crate::Fault;
use crate::read::{SUMMARY, SUMMARY_JOINS, summary};
use crate::statement::{Columns, Session, Statement};
use longhaul_record::Outcome;
use longhaul_store::{OverviewQuery, OverviewRow, Recent, Tally};
use std::collections::BTreeMap;

/// The newest run of each cell that the query's scope lets through. Used as a common table by all three queries.
fn newest_runs(query: &OverviewQuery) -> Statement {
    Statement::new(
        "WITH newest AS (
             SELECT (SELECT runs.id FROM runs WHERE runs.cell_id = cells.id
                     ORDER BY runs.started_ms DESC, runs.id DESC LIMIT 1) AS run_id
             FROM cells
             JOIN projects ON projects.id = cells.project_id
             JOIN hosts ON hosts.id = cells.host_id
             WHERE true",
    )
    .narrow("projects.name", query.project.as_deref())
    .narrow("hosts.fingerprint", query.host.as_deref())
    .push(") ")
}

/// Every scenario × subject, in a reading transaction: the three answers are of the same moment.
pub async fn overview<S: Session>(db: &mut S, query: &OverviewQuery) -> Result<Vec<OverviewRow>, Fault> {
    let mut tallies = tallies(db, query).await?;
    let mut recents = recents(db, query).await?;
    let sql = newest_runs(query).push("SELECT").push(SUMMARY).push(", cells.id AS cell, scenario_versions.words");
    let sql = sql.push(" FROM newest JOIN runs ON runs.id = newest.run_id").push(SUMMARY_JOINS);
    let rows = db.rows(sql.push(" ORDER BY scenario, subject, project, fingerprint")).await?;
    let view = |row: &S::Row| {
        let cell = row.integer("cell")?;
        let latest = summary(row)?;
        let (metric, recent) = recents.remove(&cell).unzip();
        Ok(OverviewRow {
            scenario: latest.scenario.clone(),
            scenario_words: row.text("words")?,
            subject: latest.subject.clone(),
            latest,
            tally: tallies.remove(&cell).unwrap_or_default(),
            metric,
            recent: recent.unwrap_or_default(),
        })
    };
    rows.iter().map(view).collect()
}

async fn tallies<S: Session>(db: &mut S, query: &OverviewQuery) -> Result<BTreeMap<i64, Tally>, sqlx::Error> {
    let sql = newest_runs(query).push(
        "SELECT tallies.cell_id AS cell, tallies.outcome, tallies.runs
         FROM newest JOIN runs ON runs.id = newest.run_id
         JOIN tallies ON tallies.cell_id = runs.cell_id AND tallies.commit_id = runs.commit_id",
    );
    let mut tallies: BTreeMap<i64, Tally> = BTreeMap::new();
    for row in db.rows(sql).await? {
        let outcome = row.word("outcome", Outcome::parse)?;
        tallies.entry(row.integer("cell")?).or_default().add(outcome, row.count("runs")?);
    }
    Ok(tallies)
}

/// The newest medians of each cell, oldest first, with their metric. The inner query finds the first one that still counts
/// by walking the clustered key backwards.
async fn recents<S: Session>(
    db: &mut S,
    query: &OverviewQuery,
) -> Result<BTreeMap<i64, (String, Vec<Recent>)>, sqlx::Error> {
    if query.metrics.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sql = newest_runs(query).push(
        "SELECT series.cell_id AS cell, series.metric, commits.sha, commits.dirty, rollups.n, rollups.median
         FROM newest JOIN runs ON runs.id = newest.run_id
         JOIN series ON series.cell_id = runs.cell_id AND series.version_id = runs.version_id
              AND series.peer = '' AND series.metric IN (",
    );
    let sql = sql.list(query.metrics.iter().map(String::as_str)).push(
        ") JOIN rollups ON rollups.series_id = series.id AND rollups.order_ms >= (
              SELECT min(order_ms) FROM (SELECT order_ms FROM rollups WHERE series_id = series.id
                                         ORDER BY order_ms DESC LIMIT ",
    );
    let sql = sql.bind(query.recent).push(
        ") AS counted) JOIN commits ON commits.id = rollups.commit_id
         ORDER BY cell, rollups.order_ms, commits.first_run_ms, commits.sha",
    );
    let mut all: BTreeMap<(i64, String), Vec<Recent>> = BTreeMap::new();
    for row in db.rows(sql).await? {
        all.entry((row.integer("cell")?, row.text("metric")?)).or_default().push(Recent {
            commit: row.sha()?,
            dirty: row.flag("dirty")?,
            n: row.count("n")?,
            median: row.real("median")?,
        });
    }
    // Commits of the same moment can make it a few too many.
    let rank = |metric: &String| query.metrics.iter().position(|wanted| wanted == metric);
    let mut recents: BTreeMap<i64, (String, Vec<Recent>)> = BTreeMap::new();
    for ((cell, metric), mut list) in all {
        list.drain(..list.len().saturating_sub(query.recent as usize));
        match recents.get(&cell) {
            Some((other, _)) if rank(other) <= rank(&metric) => {}
            _ => drop(recents.insert(cell, (metric, list))),
        }
    }
    Ok(recents)
}
