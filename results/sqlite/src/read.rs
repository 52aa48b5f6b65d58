//! Single runs, lists of runs, scopes and commits.

use crate::trouble::trouble;
use crate::{SqliteStore, artifact};
use longhaul_record::{Outcome, RunRecord, Series, Trigger};
use longhaul_store::{Commit, CommitFilter, Evidence, ReadError, RunFilter, RunSummary, Scope};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Row, Sqlite};
use std::error::Error;

/// The columns of a [`RunSummary`], with the tables they come from. Continues with WHERE.
pub(crate) const SUMMARY: &str = "
    runs.uuid, projects.name AS project, commits.sha, commits.dirty, commits.summary AS commit_summary,
    scenarios.name AS scenario, scenario_versions.hash, subjects.name AS subject, hosts.fingerprint,
    runs.seed, runs.iteration, runs.started_ms, runs.ended_ms, runs.run_trigger, runs.outcome, runs.reason,
    runs.paths, runs.delay_error_ns, runs.lateness_p99_ns, runs.unintended_drops";

/// The joins behind [`SUMMARY`], starting from `runs`.
pub(crate) const SUMMARY_JOINS: &str = "
    JOIN cells ON cells.id = runs.cell_id
    JOIN projects ON projects.id = cells.project_id
    JOIN scenarios ON scenarios.id = cells.scenario_id
    JOIN subjects ON subjects.id = cells.subject_id
    JOIN hosts ON hosts.id = cells.host_id
    JOIN scenario_versions ON scenario_versions.id = runs.version_id
    JOIN commits ON commits.id = runs.commit_id";

pub(crate) fn summary(row: &SqliteRow) -> Result<RunSummary, sqlx::Error> {
    Ok(RunSummary {
        id: row.try_get("uuid")?,
        project: row.try_get("project")?,
        commit: sha(row)?,
        dirty: row.try_get("dirty")?,
        commit_summary: row.try_get("commit_summary")?,
        scenario: row.try_get("scenario")?,
        scenario_hash: row.try_get("hash")?,
        subject: row.try_get("subject")?,
        host: row.try_get("fingerprint")?,
        seed: unsigned(row, "seed")?,
        iteration: row.try_get("iteration")?,
        started_ms: row.try_get("started_ms")?,
        ended_ms: row.try_get("ended_ms")?,
        trigger: parsed(row, "run_trigger", Trigger::parse)?,
        outcome: parsed(row, "outcome", Outcome::parse)?,
        reason: row.try_get("reason")?,
        evidence: Evidence {
            paths: row.try_get("paths")?,
            delay_error_ns: unsigned(row, "delay_error_ns")?,
            lateness_p99_ns: unsigned(row, "lateness_p99_ns")?,
            unintended_drops: unsigned(row, "unintended_drops")?,
        },
    })
}

/// A row with the columns of `commits` and the project's name.
pub(crate) fn commit(row: &SqliteRow) -> Result<Commit, sqlx::Error> {
    Ok(Commit {
        project: row.try_get("project")?,
        sha: sha(row)?,
        dirty: row.try_get("dirty")?,
        authored_ms: row.try_get("authored_ms")?,
        branch: row.try_get("branch")?,
        summary: row.try_get("summary")?,
        first_run_ms: row.try_get("first_run_ms")?,
    })
}

/// The empty hash stands for "no commit".
pub(crate) fn sha(row: &SqliteRow) -> Result<Option<String>, sqlx::Error> {
    Ok(Some(row.try_get::<String, _>("sha")?).filter(|sha| !sha.is_empty()))
}

pub(crate) fn unsigned(row: &SqliteRow, column: &str) -> Result<u64, sqlx::Error> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|source| damaged(column, source))
}

/// A column that holds one of our own words.
pub(crate) fn parsed<T>(row: &SqliteRow, column: &str, parse: fn(&str) -> Option<T>) -> Result<T, sqlx::Error> {
    let text: String = row.try_get(column)?;
    parse(&text).ok_or_else(|| damaged(column, format!("the unknown word {text:?}")))
}

fn damaged(column: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_string(), source: source.into() }
}

pub(crate) async fn run(store: &SqliteStore, id: &str) -> Result<Option<RunRecord>, ReadError> {
    let row = sqlx::query(
        "SELECT record.hash AS record_hash, record.bytes AS record_bytes, record.zstd AS record_zstd,
                resolved.hash AS resolved_hash, resolved.bytes AS resolved_bytes, resolved.zstd AS resolved_zstd,
                series.hash AS series_hash, series.bytes AS series_bytes, series.zstd AS series_zstd
         FROM runs
         JOIN artifacts AS record ON record.id = runs.record_id
         JOIN artifacts AS resolved ON resolved.id = runs.resolved_id
         LEFT JOIN artifacts AS series ON series.id = runs.series_id
         WHERE runs.uuid = ?",
    )
    .bind(id)
    .fetch_optional(store.pool())
    .await
    .map_err(|error| ReadError::Store(trouble(store.path(), error)))?;
    row.map(|row| assemble(&row).map_err(|source| ReadError::Damaged { id: id.to_string(), source })).transpose()
}

fn assemble(row: &SqliteRow) -> Result<RunRecord, Box<dyn Error + Send + Sync>> {
    let part = |name: &str| -> Result<Option<Vec<u8>>, Box<dyn Error + Send + Sync>> {
        let hash: Option<Vec<u8>> = row.try_get(format!("{name}_hash").as_str())?;
        let Some(hash) = hash else { return Ok(None) };
        let bytes: i64 = row.try_get(format!("{name}_bytes").as_str())?;
        let zstd: Vec<u8> = row.try_get(format!("{name}_zstd").as_str())?;
        Ok(Some(artifact::open(&hash, bytes, &zstd)?))
    };
    let mut run: RunRecord = serde_json::from_slice(&part("record")?.ok_or("its record is not there")?)?;
    if let Some(series) = part("series")? {
        run.series = serde_json::from_slice::<Vec<Series>>(&series)?;
    }
    run.scenario_resolved = String::from_utf8(part("resolved")?.unwrap_or_default())?;
    Ok(run)
}

pub(crate) async fn runs(pool: &SqlitePool, filter: &RunFilter) -> Result<Vec<RunSummary>, sqlx::Error> {
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT");
    sql.push(SUMMARY).push(" FROM runs").push(SUMMARY_JOINS).push(" WHERE true");
    for (column, value) in [
        ("projects.name", &filter.project),
        ("hosts.fingerprint", &filter.host),
        ("scenarios.name", &filter.scenario),
        ("subjects.name", &filter.subject),
        ("commits.sha", &filter.commit),
    ] {
        narrow(&mut sql, column, value.as_deref());
    }
    narrow(&mut sql, "runs.outcome", filter.outcome.map(Outcome::as_str));
    sql.push(" ORDER BY runs.started_ms DESC, runs.id DESC LIMIT ").push_bind(filter.limit);
    sql.build().fetch_all(pool).await?.iter().map(summary).collect()
}

/// Adds a condition for a filter that is set.
pub(crate) fn narrow(sql: &mut QueryBuilder<Sqlite>, column: &'static str, value: Option<&str>) {
    if let Some(value) = value {
        sql.push(" AND ").push(column).push(" = ").push_bind(value.to_string());
    }
}

pub(crate) async fn scopes(pool: &SqlitePool) -> Result<Vec<Scope>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT projects.name AS project, hosts.fingerprint, hosts.cpu,
                max((SELECT max(runs.started_ms) FROM runs WHERE runs.cell_id = cells.id)) AS last_run_ms,
                sum((SELECT sum(tallies.runs) FROM tallies WHERE tallies.cell_id = cells.id)) AS runs
         FROM cells
         JOIN projects ON projects.id = cells.project_id
         JOIN hosts ON hosts.id = cells.host_id
         GROUP BY projects.id, hosts.id
         ORDER BY last_run_ms DESC, project, fingerprint",
    )
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Scope {
                project: row.try_get("project")?,
                host: row.try_get("fingerprint")?,
                cpu: row.try_get("cpu")?,
                last_run_ms: row.try_get("last_run_ms")?,
                runs: unsigned(row, "runs")?,
            })
        })
        .collect()
}

pub(crate) async fn commits(pool: &SqlitePool, filter: &CommitFilter) -> Result<Vec<Commit>, sqlx::Error> {
    let mut sql = QueryBuilder::<Sqlite>::new(
        "SELECT projects.name AS project, sha, dirty, authored_ms, branch, summary, first_run_ms
         FROM commits JOIN projects ON projects.id = commits.project_id WHERE true",
    );
    narrow(&mut sql, "projects.name", filter.project.as_deref());
    sql.push(" ORDER BY order_ms DESC, first_run_ms DESC LIMIT ").push_bind(filter.limit);
    let mut commits: Vec<Commit> =
        sql.build().fetch_all(pool).await?.iter().map(commit).collect::<Result<_, sqlx::Error>>()?;
    Commit::sort_newest_first(&mut commits);
    Ok(commits)
}
