//! The overview: three queries whatever the number of rows.

use crate::read::{SUMMARY, SUMMARY_JOINS, narrow, parsed, sha, summary, unsigned};
use longhaul_record::Outcome;
use longhaul_store::{OverviewQuery, OverviewRow, Recent, Tally};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use std::collections::BTreeMap;

/// The newest run of each cell that the query's scope lets through. Used as a common table by all three queries.
fn newest_runs(query: &OverviewQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(
        "WITH newest AS (
             SELECT (SELECT runs.id FROM runs WHERE runs.cell_id = cells.id
                     ORDER BY runs.started_ms DESC, runs.id DESC LIMIT 1) AS run_id
             FROM cells
             JOIN projects ON projects.id = cells.project_id
             JOIN hosts ON hosts.id = cells.host_id
             WHERE true",
    );
    narrow(&mut sql, "projects.name", query.project.as_deref());
    narrow(&mut sql, "hosts.fingerprint", query.host.as_deref());
    sql.push(") ");
    sql
}

pub(crate) async fn overview(pool: &SqlitePool, query: &OverviewQuery) -> Result<Vec<OverviewRow>, sqlx::Error> {
    // One transaction, so that the three answers are of the same moment.
    let mut tx = pool.begin().await?;
    let mut tallies = tallies(&mut tx, query).await?;
    let mut recents = recents(&mut tx, query).await?;
    let mut sql = newest_runs(query);
    sql.push("SELECT").push(SUMMARY).push(", cells.id AS cell, scenario_versions.words");
    sql.push(" FROM newest JOIN runs ON runs.id = newest.run_id").push(SUMMARY_JOINS);
    sql.push(" ORDER BY scenario, subject, project, fingerprint");
    let rows = sql.build().fetch_all(&mut *tx).await?;
    tx.commit().await?;
    let view = |row: &SqliteRow| {
        let cell: i64 = row.try_get("cell")?;
        let latest = summary(row)?;
        let (metric, recent) = recents.remove(&cell).unzip();
        Ok(OverviewRow {
            scenario: latest.scenario.clone(),
            scenario_words: row.try_get("words")?,
            subject: latest.subject.clone(),
            latest,
            tally: tallies.remove(&cell).unwrap_or_default(),
            metric,
            recent: recent.unwrap_or_default(),
        })
    };
    rows.iter().map(view).collect()
}

async fn tallies(db: &mut SqliteConnection, query: &OverviewQuery) -> Result<BTreeMap<i64, Tally>, sqlx::Error> {
    let mut sql = newest_runs(query);
    sql.push(
        "SELECT tallies.cell_id AS cell, tallies.outcome, tallies.runs
         FROM newest JOIN runs ON runs.id = newest.run_id
         JOIN tallies ON tallies.cell_id = runs.cell_id AND tallies.commit_id = runs.commit_id",
    );
    let mut tallies: BTreeMap<i64, Tally> = BTreeMap::new();
    for row in sql.build().fetch_all(db).await? {
        let outcome = parsed(&row, "outcome", Outcome::parse)?;
        tallies.entry(row.try_get("cell")?).or_default().add(outcome, unsigned(&row, "runs")?);
    }
    Ok(tallies)
}

/// The newest medians of each cell, oldest first, with their metric. The inner query finds the first one that still counts
/// by walking the clustered key backwards.
async fn recents(
    db: &mut SqliteConnection,
    query: &OverviewQuery,
) -> Result<BTreeMap<i64, (String, Vec<Recent>)>, sqlx::Error> {
    let mut sql = newest_runs(query);
    sql.push(
        "SELECT series.cell_id AS cell, series.metric, commits.sha, commits.dirty, rollups.n, rollups.median
         FROM newest JOIN runs ON runs.id = newest.run_id
         JOIN series ON series.cell_id = runs.cell_id AND series.version_id = runs.version_id
              AND series.peer = '' AND series.metric IN (",
    );
    let mut metrics = sql.separated(", ");
    for metric in &query.metrics {
        metrics.push_bind(metric.clone());
    }
    sql.push(
        ") JOIN rollups ON rollups.series_id = series.id AND rollups.order_ms >= (
              SELECT min(order_ms) FROM (SELECT order_ms FROM rollups WHERE series_id = series.id
                                         ORDER BY order_ms DESC LIMIT ",
    );
    sql.push_bind(query.recent);
    sql.push(
        ")) JOIN commits ON commits.id = rollups.commit_id
         ORDER BY cell, rollups.order_ms, commits.first_run_ms, commits.sha",
    );
    let mut all: BTreeMap<(i64, String), Vec<Recent>> = BTreeMap::new();
    for row in sql.build().fetch_all(db).await? {
        all.entry((row.try_get("cell")?, row.try_get("metric")?)).or_default().push(Recent {
            commit: sha(&row)?,
            dirty: row.try_get("dirty")?,
            n: unsigned(&row, "n")?,
            median: row.try_get("median")?,
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
