//! The overview: a handful of queries for every few hundred rows.

use crate::Fault;
use crate::directory;
use crate::insert::{ROWS, Rollup};
use crate::read::{SUMMARY, SUMMARY_JOINS, summary};
use crate::sheet::Sheet;
use crate::sheets::{At, Cut, by_commit, by_version};
use crate::statement::{Columns, Session, Statement, Value, filled_up};
use longhaul_record::Outcome;
use longhaul_store::{OverviewQuery, OverviewRow, Recent, Tally};
use std::collections::BTreeMap;

/// The newest run of each cell: where it belongs.
#[derive(Debug, Clone, Copy)]
struct Newest {
    cell: i64,
    version: i64,
    commit: i64,
    order_ms: i64,
}

/// Every scenario × subject, in a reading transaction: the answers are of the same moment.
pub async fn overview<S: Session>(db: &mut S, query: &OverviewQuery) -> Result<Vec<OverviewRow>, Fault> {
    // Materialized: the planner takes the subquery for cheap, and would ask it again for each row of other tables.
    let sql = Statement::new(
        "WITH newest AS MATERIALIZED (
             SELECT (SELECT runs.id FROM runs WHERE runs.cell_id = cells.id
                     ORDER BY runs.started_ms DESC, runs.id DESC LIMIT 1) AS run_id
             FROM cells
             JOIN projects ON projects.id = cells.project_id
             JOIN hosts ON hosts.id = cells.host_id
             WHERE true",
    );
    let sql = sql.narrow("projects.name", query.project.as_deref()).narrow("hosts.fingerprint", query.host.as_deref());
    let sql = sql.push(") SELECT").push(SUMMARY).push(
        ", scenario_versions.words, runs.cell_id, runs.version_id, runs.commit_id, commits.order_ms
         FROM newest JOIN runs ON runs.id = newest.run_id",
    );
    let rows = db.rows(sql.push(SUMMARY_JOINS).push(" ORDER BY scenario, subject, project, fingerprint")).await?;
    let newest = rows.iter().map(newest).collect::<Result<Vec<Newest>, _>>()?;
    let mut tallies = tallies(db, &newest).await?;
    let mut recents = recents(db, query, &newest).await?;
    let view = |(row, newest): (&S::Row, &Newest)| {
        let latest = summary(row)?;
        let (metric, recent) = recents.remove(&newest.cell).unzip();
        Ok(OverviewRow {
            scenario: latest.scenario.clone(),
            scenario_words: row.text("words")?,
            subject: latest.subject.clone(),
            latest,
            tally: tallies.remove(&newest.cell).unwrap_or_default(),
            metric,
            recent: recent.unwrap_or_default(),
        })
    };
    rows.iter().zip(&newest).map(view).collect()
}

fn newest(row: &impl Columns) -> Result<Newest, sqlx::Error> {
    Ok(Newest {
        cell: row.integer("cell_id")?,
        version: row.integer("version_id")?,
        commit: row.integer("commit_id")?,
        order_ms: row.integer("order_ms")?,
    })
}

/// How the runs of each newest run's commit ended.
async fn tallies<S: Session>(db: &mut S, newest: &[Newest]) -> Result<BTreeMap<i64, Tally>, sqlx::Error> {
    let keys: Vec<[Value; 3]> =
        newest.iter().map(|newest| [newest.cell.into(), newest.order_ms.into(), newest.commit.into()]).collect();
    let mut tallies: BTreeMap<i64, Tally> = BTreeMap::new();
    for piece in keys.chunks(ROWS) {
        let sql =
            Statement::new("WITH wanted (cell_id, order_ms, commit_id) AS (VALUES ").rows(&filled_up(piece)).push(
                ") SELECT tallies.cell_id, tallies.outcome, tallies.runs FROM wanted
             JOIN tallies ON tallies.cell_id = wanted.cell_id AND tallies.order_ms = wanted.order_ms
                  AND tallies.commit_id = wanted.commit_id",
            );
        for row in db.rows(sql).await? {
            let outcome = row.word("outcome", Outcome::parse)?;
            tallies.entry(row.integer("cell_id")?).or_default().add(outcome, row.count("runs")?);
        }
    }
    Ok(tallies)
}

/// The newest medians of each cell, oldest first, with their metric: the first of those asked for that it has any of.
async fn recents<S: Session>(
    db: &mut S,
    query: &OverviewQuery,
    newest: &[Newest],
) -> Result<BTreeMap<i64, (String, Vec<Recent>)>, sqlx::Error> {
    if query.metrics.is_empty() || query.recent == 0 {
        return Ok(BTreeMap::new());
    }
    let keys: Vec<[Value; 2]> = newest.iter().map(|newest| [newest.cell.into(), newest.version.into()]).collect();
    let metrics = metrics(db, query, &keys).await?;
    let cut = Cut::around(metrics.values().map(|(_, place)| *place));
    let sheets = newest_sheets(db, query.recent, cut, &keys).await?;
    let measured = sheets.values().flatten().flat_map(|sheet| &sheet.commits).copied().collect();
    let mut commits = directory::commits(db, measured).await?;
    commits.sort_by(|(_, a), (_, b)| a.order().cmp(&b.order()));
    let places = commits.iter().enumerate().map(|(place, (row, _))| (*row, place)).collect();
    let mut recents = BTreeMap::new();
    for ((cell, _), sheets) in sheets {
        let Some((metric, place)) = metrics.get(&cell) else { continue };
        let runs = by_commit(&sheets, &places);
        let recent = |runs: &[At]| {
            let value = |(_, sheet, run): &At| sheets[*sheet].value(*run, cut.column(*place));
            let values: Vec<f64> = runs.iter().filter_map(value).collect();
            let (commit, ..) = runs.first().filter(|_| !values.is_empty())?;
            let commit = &commits[*commit].1.commit;
            let Rollup { n, median, .. } = Rollup::of(&values);
            Some(Recent { commit: commit.sha.clone(), dirty: commit.dirty, n, median })
        };
        // A sheet can begin with commits of before.
        let newest = runs.chunk_by(|a, b| a.0 == b.0).rev().filter_map(recent).take(query.recent as usize);
        let mut list: Vec<Recent> = newest.collect();
        list.reverse();
        recents.insert(cell, (metric.clone(), list));
    }
    Ok(recents)
}

/// Which metric each cell has, and its place.
async fn metrics<S: Session>(
    db: &mut S,
    query: &OverviewQuery,
    keys: &[[Value; 2]],
) -> Result<BTreeMap<i64, (String, usize)>, sqlx::Error> {
    let rank = |metric: &String| query.metrics.iter().position(|wanted| wanted == metric);
    let mut metrics: BTreeMap<i64, (String, usize)> = BTreeMap::new();
    for piece in keys.chunks(ROWS) {
        let sql = Statement::new("WITH wanted (cell_id, version_id) AS (VALUES ").rows(&filled_up(piece)).push(
            ") SELECT series.cell_id, series.metric, series.place FROM wanted
             JOIN series ON series.cell_id = wanted.cell_id AND series.version_id = wanted.version_id
                  AND series.peer = '' AND series.metric IN (",
        );
        for row in db.rows(sql.list(query.metrics.iter().map(String::as_str)).push(")")).await? {
            let (cell, metric) = (row.integer("cell_id")?, row.text("metric")?);
            match metrics.get(&cell) {
                Some((other, _)) if rank(other) <= rank(&metric) => {}
                _ => drop(metrics.insert(cell, (metric, row.place("place")?))),
            }
        }
    }
    Ok(metrics)
}

/// The sheets of the newest commits that went well, as many as are asked for: the walk back from the newest says how far.
async fn newest_sheets<S: Session>(
    db: &mut S,
    recent: u32,
    cut: Cut,
    keys: &[[Value; 2]],
) -> Result<BTreeMap<(i64, i64), Vec<Sheet>>, sqlx::Error> {
    let mut sheets = BTreeMap::new();
    for piece in keys.chunks(ROWS) {
        let sql = Statement::new("WITH wanted (cell_id, version_id) AS (VALUES ").rows(&filled_up(piece)).push(
            "), walked AS MATERIALIZED (
                 SELECT wanted.cell_id, wanted.version_id, coalesce((SELECT order_ms FROM (
                     SELECT DISTINCT tallies.order_ms, tallies.commit_id FROM tallies
                     WHERE tallies.cell_id = wanted.cell_id AND tallies.version_id = wanted.version_id
                           AND tallies.outcome = ",
        );
        let sql = sql
            .bind(Outcome::Ok.as_str())
            .push(" ORDER BY tallies.order_ms DESC, tallies.commit_id DESC) AS back LIMIT 1 OFFSET ");
        // Where there are not as many, the walk begins before all times.
        let sql = sql.bind(recent - 1).push("), ").bind(i64::MIN).push(") AS oldest_ms FROM wanted) SELECT ");
        let sql = cut.select(sql, false).push(
            " FROM walked JOIN sheets ON sheets.cell_id = walked.cell_id AND sheets.version_id = walked.version_id
              WHERE sheets.last_ms >= walked.oldest_ms ORDER BY sheets.id",
        );
        sheets.append(&mut by_version(&db.rows(sql).await?, false)?);
    }
    Ok(sheets)
}
