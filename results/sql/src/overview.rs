//! The overview: five queries whatever the number of rows.

use crate::Fault;
use crate::directory::{self, Entry};
use crate::insert::Rollup;
use crate::read::{SUMMARY, SUMMARY_JOINS, summary};
use crate::sheets::{At, Cut, by_commit, by_version};
use crate::statement::{Columns, Session, Statement};
use longhaul_record::Outcome;
use longhaul_store::{OverviewQuery, OverviewRow, Recent, Tally};
use std::collections::BTreeMap;

/// The newest run of each cell that the query's scope lets through. Used as a common table by the queries.
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

/// Every scenario × subject, in a reading transaction: the answers are of the same moment.
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
         JOIN commits ON commits.id = runs.commit_id
         JOIN tallies ON tallies.cell_id = runs.cell_id AND tallies.order_ms = commits.order_ms
              AND tallies.commit_id = runs.commit_id",
    );
    let mut tallies: BTreeMap<i64, Tally> = BTreeMap::new();
    for row in db.rows(sql).await? {
        let outcome = row.word("outcome", Outcome::parse)?;
        tallies.entry(row.integer("cell")?).or_default().add(outcome, row.count("runs")?);
    }
    Ok(tallies)
}

/// The newest medians of each cell, oldest first, with their metric: the first of those asked for that it has any of.
async fn recents<S: Session>(
    db: &mut S,
    query: &OverviewQuery,
) -> Result<BTreeMap<i64, (String, Vec<Recent>)>, sqlx::Error> {
    if query.metrics.is_empty() || query.recent == 0 {
        return Ok(BTreeMap::new());
    }
    let metrics = metrics(db, query).await?;
    let cut = Cut::around(metrics.values().map(|(_, place)| *place));
    let sql = cut.select(newest_runs(query).push("SELECT "), false).push(
        " FROM newest JOIN runs ON runs.id = newest.run_id
          JOIN sheets ON sheets.cell_id = runs.cell_id AND sheets.version_id = runs.version_id
               AND sheets.last_ms >= coalesce((SELECT order_ms FROM (
                   SELECT DISTINCT tallies.order_ms, tallies.commit_id FROM tallies
                   WHERE tallies.cell_id = runs.cell_id AND tallies.version_id = runs.version_id AND tallies.outcome = ",
    );
    let sql = sql.bind(Outcome::Ok.as_str()).push(" ORDER BY tallies.order_ms DESC) AS walked LIMIT 1 OFFSET ");
    let sql = sql.bind(query.recent - 1).push("), sheets.last_ms) ORDER BY sheets.id");
    let sheets = by_version(&db.rows(sql).await?, false)?;
    let measured = sheets.values().flatten().flat_map(|sheet| &sheet.commits).copied().collect();
    let commits = directory::commits(db, &measured).await?;
    let mut order: Vec<(&i64, &Entry)> = commits.iter().collect();
    order.sort_by(|(_, a), (_, b)| a.order().cmp(&b.order()));
    let places = order.iter().enumerate().map(|(place, (row, _))| (**row, place)).collect();
    let mut recents = BTreeMap::new();
    for ((cell, _), sheets) in sheets {
        let Some((metric, place)) = metrics.get(&cell) else { continue };
        let runs = by_commit(&sheets, &places);
        let recent = |runs: &[At]| {
            let value = |(_, sheet, run): &At| sheets[*sheet].value(*run, cut.column(*place));
            let values: Vec<f64> = runs.iter().filter_map(value).collect();
            let (commit, ..) = runs.first().filter(|_| !values.is_empty())?;
            let commit = &order[*commit].1.commit;
            let Rollup { n, median, .. } = Rollup::of(&values);
            Some(Recent { commit: commit.sha.clone(), dirty: commit.dirty, n, median })
        };
        let mut list: Vec<Recent> = runs.chunk_by(|a, b| a.0 == b.0).filter_map(recent).collect();
        // A sheet can begin with commits of before.
        list.drain(..list.len().saturating_sub(query.recent as usize));
        recents.insert(cell, (metric.clone(), list));
    }
    Ok(recents)
}

/// Which metric each cell has, and its place.
async fn metrics<S: Session>(db: &mut S, query: &OverviewQuery) -> Result<BTreeMap<i64, (String, usize)>, sqlx::Error> {
    let sql = newest_runs(query).push(
        "SELECT series.cell_id AS cell, series.metric, series.place
         FROM newest JOIN runs ON runs.id = newest.run_id
         JOIN series ON series.cell_id = runs.cell_id AND series.version_id = runs.version_id
              AND series.peer = '' AND series.metric IN (",
    );
    let rank = |metric: &String| query.metrics.iter().position(|wanted| wanted == metric);
    let mut metrics: BTreeMap<i64, (String, usize)> = BTreeMap::new();
    for row in db.rows(sql.list(query.metrics.iter().map(String::as_str)).push(")")).await? {
        let (cell, metric) = (row.integer("cell")?, row.text("metric")?);
        match metrics.get(&cell) {
            Some((other, _)) if rank(other) <= rank(&metric) => {}
            _ => drop(metrics.insert(cell, (metric, row.place("place")?))),
        }
    }
    Ok(metrics)
}
