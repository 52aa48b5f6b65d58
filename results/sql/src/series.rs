//! The history of a scenario: one query for its commits, one for the names of its series, one for every value on them.

use crate::Fault;
use crate::read::commit;
use crate::statement::{Columns, Session, Statement};
use longhaul_store::{CommitPoint, CommitValues, MetricSeries, RunValue, SeriesQuery, SeriesSet, ValuesQuery};
use std::collections::BTreeMap;

const CELLS: &str = "
    JOIN projects ON projects.id = cells.project_id
    JOIN scenarios ON scenarios.id = cells.scenario_id
    JOIN subjects ON subjects.id = cells.subject_id
    JOIN hosts ON hosts.id = cells.host_id
    WHERE true";

/// The history of a scenario, in a reading transaction.
pub async fn series<S: Session>(db: &mut S, query: &SeriesQuery) -> Result<SeriesSet, Fault> {
    let commits = db.rows(commits_sql(query)).await?;
    let mut set = SeriesSet::default();
    let mut places = BTreeMap::new();
    let mut oldest_ms = i64::MAX;
    for row in &commits {
        places.insert(row.integer("id")?, set.commits.len());
        oldest_ms = oldest_ms.min(row.integer("order_ms")?);
        set.commits.push(commit(row)?);
    }
    if set.commits.is_empty() {
        return Ok(set);
    }
    let lines = db.rows(lines_sql(query)).await?;
    let values = db.rows(values_sql::<S>(query, oldest_ms)).await?;
    set.series = group(&lines, &values, &places, query)?;
    set.sort();
    Ok(set)
}

/// Goes on with the cells that are asked for.
fn narrow_cells(sql: Statement, query: &SeriesQuery) -> Statement {
    sql.push(CELLS)
        .narrow("scenarios.name", Some(&query.scenario))
        .narrow("projects.name", query.project.as_deref())
        .narrow("hosts.fingerprint", query.host.as_deref())
        .narrow("subjects.name", query.subject.as_deref())
}

/// The newest commits with any run of the scenario, failed ones included: a gap is a fact too.
fn commits_sql(query: &SeriesQuery) -> Statement {
    let sql = Statement::new(
        "SELECT commits.id, commits.order_ms, projects.name AS project, commits.sha, commits.dirty,
                commits.authored_ms, commits.branch, commits.summary, commits.first_run_ms
         FROM commits JOIN projects ON projects.id = commits.project_id
         WHERE commits.id IN (SELECT tallies.commit_id FROM cells JOIN tallies ON tallies.cell_id = cells.id",
    );
    let sql = narrow_cells(sql, query).push(")");
    let sql = sql.narrow("commits.branch", query.branch.as_deref());
    let sql = sql.limit("commits.order_ms >= ", query.from_ms).limit("commits.order_ms < ", query.until_ms);
    sql.push(" ORDER BY commits.order_ms DESC, commits.first_run_ms DESC LIMIT ").bind(query.commits)
}

/// Each series by its row: one per scenario version.
fn lines_sql(query: &SeriesQuery) -> Statement {
    let sql = Statement::new(
        "SELECT series.id, series.metric, subjects.name AS subject, series.peer, projects.name AS project,
                hosts.fingerprint, scenario_versions.hash
         FROM cells
         JOIN series ON series.cell_id = cells.id
         JOIN scenario_versions ON scenario_versions.id = series.version_id",
    );
    narrow_cells(sql, query).narrow("series.metric", query.metric.as_deref())
}

/// Every value, by the row of its series. The last tables are gone through in this order: walking the samples first and
/// looking through all rollups for each is quadratic.
fn values_sql<S: Session>(query: &SeriesQuery, oldest_ms: i64) -> Statement {
    let sql = Statement::new(
        "SELECT rollups.series_id, rollups.commit_id, rollups.n, rollups.median, rollups.min, rollups.max",
    );
    let sql = sql
        .push(if query.values { ", runs.uuid, samples.value" } else { "" })
        .push(" FROM (SELECT series.id FROM cells JOIN series ON series.cell_id = cells.id");
    let sql = narrow_cells(sql, query).narrow("series.metric", query.metric.as_deref());
    let sql = sql
        .push(") AS wanted ")
        .push(S::IN_ORDER)
        .push(" rollups ON rollups.series_id = wanted.id AND rollups.order_ms >= ")
        .bind(oldest_ms)
        .limit("rollups.order_ms < ", query.until_ms);
    if !query.values {
        return sql.push(" ORDER BY rollups.series_id, rollups.order_ms, rollups.commit_id");
    }
    sql.push(" ").push(S::SAMPLES).push(" ").push(S::IN_ORDER).push(
        " runs ON runs.id = samples.run_id
         ORDER BY rollups.series_id, rollups.order_ms, rollups.commit_id, samples.run_id",
    )
}

/// Values come ordered by series, then commit, then run.
fn group(
    lines: &[impl Columns],
    values: &[impl Columns],
    places: &BTreeMap<i64, usize>,
    query: &SeriesQuery,
) -> Result<Vec<MetricSeries>, sqlx::Error> {
    let mut names: BTreeMap<i64, ([String; 5], String)> = BTreeMap::new();
    for row in lines {
        let text = |column| row.text(column);
        let key = [text("metric")?, text("subject")?, text("peer")?, text("project")?, text("fingerprint")?];
        names.insert(row.integer("id")?, (key, text("hash")?));
    }
    let mut series: BTreeMap<&[String; 5], Vec<CommitPoint>> = BTreeMap::new();
    let here = values.iter().map(here).collect::<Result<Vec<_>, _>>()?;
    let mut from = 0;
    for run in here.chunk_by(|a, b| a == b) {
        let rows = &values[from..from + run.len()];
        from += run.len();
        let (line, commit) = run[0];
        let (Some((key, hash)), Some(&place)) = (names.get(&line), places.get(&commit)) else { continue };
        series.entry(key).or_default().push(point(rows, place, hash, query.values)?);
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
fn here(row: &impl Columns) -> Result<(i64, i64), sqlx::Error> {
    Ok((row.integer("series_id")?, row.integer("commit_id")?))
}

/// The values of one series on one commit.
fn point(rows: &[impl Columns], commit: usize, hash: &str, values: bool) -> Result<CommitPoint, sqlx::Error> {
    Ok(CommitPoint {
        commit,
        scenario_hash: hash.to_string(),
        values: if values { rows.iter().map(value).collect::<Result<_, _>>()? } else { Vec::new() },
        n: rows[0].count("n")?,
        median: rows[0].real("median")?,
        min: rows[0].real("min")?,
        max: rows[0].real("max")?,
    })
}

fn value(row: &impl Columns) -> Result<RunValue, sqlx::Error> {
    Ok(RunValue { run: row.text("uuid")?, value: row.real("value")? })
}

/// Everything measured of one commit.
pub async fn commit_values<S: Session>(db: &mut S, query: &ValuesQuery) -> Result<Vec<CommitValues>, Fault> {
    let sql = Statement::new(
        "SELECT scenarios.name AS scenario, scenario_versions.hash, subjects.name AS subject, series.metric, series.peer,
                runs.uuid, samples.value
         FROM commits
         JOIN projects ON projects.id = commits.project_id
         JOIN runs ON runs.commit_id = commits.id
         JOIN cells ON cells.id = runs.cell_id
         JOIN hosts ON hosts.id = cells.host_id
         JOIN scenarios ON scenarios.id = cells.scenario_id
         JOIN subjects ON subjects.id = cells.subject_id
         JOIN scenario_versions ON scenario_versions.id = runs.version_id
         JOIN series ON series.cell_id = runs.cell_id AND series.version_id = runs.version_id
         JOIN rollups ON rollups.series_id = series.id AND rollups.order_ms = commits.order_ms
              AND rollups.commit_id = commits.id ",
    )
    .push(S::SAMPLES)
    .push(" WHERE samples.run_id = runs.id AND commits.sha = ")
    .bind(query.commit.as_deref().unwrap_or(""))
    .push(" AND commits.dirty = ")
    .bind(query.dirty)
    .narrow("projects.name", Some(&query.project))
    .narrow("hosts.fingerprint", Some(&query.host))
    .push(" ORDER BY scenario, hash, subject, metric, peer, runs.id");
    let mut all: Vec<CommitValues> = Vec::new();
    for row in &db.rows(sql).await? {
        let found = CommitValues {
            scenario: row.text("scenario")?,
            scenario_hash: row.text("hash")?,
            subject: row.text("subject")?,
            metric: row.text("metric")?,
            peer: Some(row.text("peer")?).filter(|peer| !peer.is_empty()),
            values: Vec::new(),
        };
        let same = |last: &CommitValues| CommitValues { values: Vec::new(), ..last.clone() } == found;
        if !all.last().is_some_and(same) {
            all.push(found);
        }
        if let Some(last) = all.last_mut() {
            last.values.push(value(row)?);
        }
    }
    Ok(all)
}
