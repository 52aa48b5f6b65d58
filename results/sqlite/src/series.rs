//! The history of a scenario: one query for its commits, one for the names of its series, one for every value on them.

use crate::read::{commit, narrow};
use longhaul_store::{CommitPoint, MetricSeries, RunValue, SeriesQuery, SeriesSet};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Row, Sqlite};
use std::collections::BTreeMap;

const CELLS: &str = "
    JOIN projects ON projects.id = cells.project_id
    JOIN scenarios ON scenarios.id = cells.scenario_id
    JOIN subjects ON subjects.id = cells.subject_id
    JOIN hosts ON hosts.id = cells.host_id
    WHERE true";

pub(crate) async fn series(pool: &SqlitePool, query: &SeriesQuery) -> Result<SeriesSet, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let commits = commits_sql(query).build().fetch_all(&mut *tx).await?;
    let lines = lines_sql(query).build().fetch_all(&mut *tx).await?;
    let values = match commits.iter().map(|row| row.try_get::<i64, _>("order_ms")).min_by_key(order) {
        Some(oldest) => values_sql(query, oldest?).build().fetch_all(&mut *tx).await?,
        None => Vec::new(),
    };
    tx.commit().await?;
    let mut set = SeriesSet::default();
    let mut places = BTreeMap::new();
    for row in &commits {
        places.insert(row.try_get::<i64, _>("id")?, set.commits.len());
        set.commits.push(commit(row)?);
    }
    set.series = group(&lines, &values, &places)?;
    set.sort();
    Ok(set)
}

/// Errors first, so that they are not lost.
fn order(order_ms: &Result<i64, sqlx::Error>) -> i64 {
    order_ms.as_ref().copied().unwrap_or(i64::MIN)
}

fn narrow_cells(sql: &mut QueryBuilder<Sqlite>, query: &SeriesQuery) {
    narrow(sql, "scenarios.name", Some(&query.scenario));
    narrow(sql, "projects.name", query.project.as_deref());
    narrow(sql, "hosts.fingerprint", query.host.as_deref());
    narrow(sql, "subjects.name", query.subject.as_deref());
}

/// The newest commits with any run of the scenario, failed ones included: a gap is a fact too.
fn commits_sql(query: &SeriesQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(
        "SELECT DISTINCT commits.id, commits.order_ms, projects.name AS project, commits.sha, commits.dirty,
                commits.authored_ms, commits.branch, commits.summary, commits.first_run_ms
         FROM cells JOIN tallies ON tallies.cell_id = cells.id JOIN commits ON commits.id = tallies.commit_id",
    );
    sql.push(CELLS);
    narrow_cells(&mut sql, query);
    sql.push(" ORDER BY commits.order_ms DESC, commits.first_run_ms DESC LIMIT ").push_bind(query.commits);
    sql
}

/// Each series by its row: one per scenario version.
fn lines_sql(query: &SeriesQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(
        "SELECT series.id, series.metric, subjects.name AS subject, series.peer, projects.name AS project,
                hosts.fingerprint, scenario_versions.hash
         FROM cells
         JOIN series ON series.cell_id = cells.id
         JOIN scenario_versions ON scenario_versions.id = series.version_id",
    );
    sql.push(CELLS);
    narrow_cells(&mut sql, query);
    narrow(&mut sql, "series.metric", query.metric.as_deref());
    sql
}

/// Every value, by the row of its series. CROSS JOIN keeps SQLite from turning the last two around: walking the samples
/// first and looking through all rollups for each is quadratic.
fn values_sql(query: &SeriesQuery, oldest_ms: i64) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(
        "SELECT rollups.series_id, rollups.commit_id, rollups.median, rollups.min, rollups.max, runs.uuid, samples.value
         FROM (SELECT series.id FROM cells JOIN series ON series.cell_id = cells.id",
    );
    sql.push(CELLS);
    narrow_cells(&mut sql, query);
    narrow(&mut sql, "series.metric", query.metric.as_deref());
    sql.push(
        ") AS wanted
         CROSS JOIN rollups ON rollups.series_id = wanted.id AND rollups.order_ms >= ",
    );
    sql.push_bind(oldest_ms);
    sql.push(
        " CROSS JOIN samples ON samples.series_id = rollups.series_id AND samples.commit_id = rollups.commit_id
         CROSS JOIN runs ON runs.id = samples.run_id
         ORDER BY rollups.series_id, rollups.order_ms, rollups.commit_id, samples.run_id",
    );
    sql
}

/// Values come ordered by series, then commit, then run.
fn group(
    lines: &[SqliteRow],
    values: &[SqliteRow],
    places: &BTreeMap<i64, usize>,
) -> Result<Vec<MetricSeries>, sqlx::Error> {
    let mut names: BTreeMap<i64, ([String; 5], String)> = BTreeMap::new();
    for row in lines {
        let text = |column| row.try_get::<String, _>(column);
        let key = [text("metric")?, text("subject")?, text("peer")?, text("project")?, text("fingerprint")?];
        names.insert(row.try_get("id")?, (key, text("hash")?));
    }
    let mut series: BTreeMap<&[String; 5], Vec<CommitPoint>> = BTreeMap::new();
    let same_point = |a: &SqliteRow, b: &SqliteRow| here(a).is_ok_and(|a| here(b).is_ok_and(|b| a == b));
    for rows in values.chunk_by(same_point) {
        let (line, commit) = here(&rows[0])?;
        let (Some((key, hash)), Some(&place)) = (names.get(&line), places.get(&commit)) else { continue };
        series.entry(key).or_default().push(point(rows, place, hash)?);
    }
    let line = |([metric, subject, peer, project, host], points): (&[String; 5], Vec<CommitPoint>)| MetricSeries {
        project: project.clone(),
        host: host.clone(),
        subject: subject.clone(),
        metric: metric.clone(),
        peer: Some(peer.clone()).filter(|peer| !peer.is_empty()),
        points,
    };
    Ok(series.into_iter().map(line).collect())
}

/// Series and commit of a value.
fn here(row: &SqliteRow) -> Result<(i64, i64), sqlx::Error> {
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// The values of one series on one commit.
fn point(rows: &[SqliteRow], commit: usize, hash: &str) -> Result<CommitPoint, sqlx::Error> {
    let value = |row: &SqliteRow| Ok(RunValue { run: row.try_get(5)?, value: row.try_get(6)? });
    Ok(CommitPoint {
        commit,
        scenario_hash: hash.to_string(),
        values: rows.iter().map(value).collect::<Result<_, sqlx::Error>>()?,
        median: rows[0].try_get(2)?,
        min: rows[0].try_get(3)?,
        max: rows[0].try_get(4)?,
    })
}
