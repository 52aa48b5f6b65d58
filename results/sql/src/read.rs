//! Single runs, lists of runs, scopes and commits.

use crate::statement::{Columns, Session, Statement};
use crate::{Fault, artifact};
use longhaul_record::{Outcome, RunRecord, Series, Trigger};
use longhaul_store::{
    Commit, CommitFilter, Evidence, HealthQuery, HostHealth, Page, Position, RunFilter, RunSummary, Scope,
};
use std::collections::BTreeMap;
use std::error::Error;

/// The columns of a [`RunSummary`].
pub(crate) const SUMMARY: &str = "
    runs.uuid, projects.name AS project, commits.sha, commits.dirty, commits.summary AS commit_summary,
    scenarios.name AS scenario, scenario_versions.hash, subjects.name AS subject, hosts.fingerprint,
    runs.seed, runs.iteration, runs.started_ms, runs.ended_ms, runs.run_trigger, runs.outcome, runs.reason,
    runs.paths, runs.delay_error_ns, runs.lateness_p99_ns, runs.unintended_drops";

/// The joins behind [`SUMMARY`], starting from `runs`. Continues with WHERE.
pub(crate) const SUMMARY_JOINS: &str = "
    JOIN cells ON cells.id = runs.cell_id
    JOIN projects ON projects.id = cells.project_id
    JOIN scenarios ON scenarios.id = cells.scenario_id
    JOIN subjects ON subjects.id = cells.subject_id
    JOIN hosts ON hosts.id = cells.host_id
    JOIN scenario_versions ON scenario_versions.id = runs.version_id
    JOIN commits ON commits.id = runs.commit_id";

pub(crate) fn summary(row: &impl Columns) -> Result<RunSummary, sqlx::Error> {
    let narrow =
        |column: &str| u32::try_from(row.integer(column)?).map_err(|source| crate::statement::damaged(column, source));
    Ok(RunSummary {
        id: row.text("uuid")?,
        project: row.text("project")?,
        commit: row.sha()?,
        dirty: row.flag("dirty")?,
        commit_summary: row.maybe_text("commit_summary")?,
        scenario: row.text("scenario")?,
        scenario_hash: row.text("hash")?,
        subject: row.text("subject")?,
        host: row.text("fingerprint")?,
        seed: row.count("seed")?,
        iteration: narrow("iteration")?,
        started_ms: row.integer("started_ms")?,
        ended_ms: row.integer("ended_ms")?,
        trigger: row.word("run_trigger", Trigger::parse)?,
        outcome: row.word("outcome", Outcome::parse)?,
        reason: row.maybe_text("reason")?,
        evidence: Evidence {
            paths: narrow("paths")?,
            delay_error_ns: row.count("delay_error_ns")?,
            lateness_p99_ns: row.count("lateness_p99_ns")?,
            unintended_drops: row.count("unintended_drops")?,
        },
    })
}

/// A row with the columns of `commits` and the project's name.
pub(crate) fn commit(row: &impl Columns) -> Result<Commit, sqlx::Error> {
    Ok(Commit {
        project: row.text("project")?,
        sha: row.sha()?,
        dirty: row.flag("dirty")?,
        authored_ms: row.maybe_integer("authored_ms")?,
        branch: row.maybe_text("branch")?,
        summary: row.maybe_text("summary")?,
        first_run_ms: row.integer("first_run_ms")?,
    })
}

/// The parts of records. Continues with WHERE.
pub(crate) const RECORDS: &str = "
    SELECT runs.id, runs.uuid, runs.outcome, runs.cell_id, runs.version_id, runs.commit_id,
           record.hash AS record_hash, record.bytes AS record_bytes, record.zstd AS record_zstd,
           resolved.hash AS resolved_hash, resolved.bytes AS resolved_bytes, resolved.zstd AS resolved_zstd,
           series.hash AS series_hash, series.bytes AS series_bytes, series.zstd AS series_zstd
    FROM runs
    JOIN artifacts AS record ON record.id = runs.record_id
    JOIN artifacts AS resolved ON resolved.id = runs.resolved_id
    LEFT JOIN artifacts AS series ON series.id = runs.series_id";

/// The whole record.
pub async fn run<S: Session>(db: &mut S, id: &str) -> Result<Option<RunRecord>, Fault> {
    let sql = Statement::new(RECORDS).push(" WHERE runs.uuid = ").bind(id);
    db.rows(sql).await?.first().map(record).transpose()
}

/// Whole records in the order they were recorded.
pub async fn records<S: Session>(db: &mut S, after: Position, limit: u32) -> Result<Page, Fault> {
    let sql = Statement::new(RECORDS).push(" WHERE runs.id > ").bind(after.0).push(" ORDER BY runs.id LIMIT ");
    let rows = db.rows(sql.bind(limit)).await?;
    let next = match rows.last() {
        Some(last) if rows.len() >= limit as usize => Some(Position(last.integer("id")?)),
        _ => None,
    };
    Ok(Page { runs: rows.iter().map(record).collect::<Result<_, _>>()?, next })
}

/// A row of [`RECORDS`].
fn record(row: &impl Columns) -> Result<RunRecord, Fault> {
    let id = row.text("uuid")?;
    assemble(row).map_err(|source| Fault::Damaged { id, source })
}

/// A row of [`RECORDS`], whatever is wrong with it.
pub(crate) fn assemble(row: &impl Columns) -> Result<RunRecord, Box<dyn Error + Send + Sync>> {
    let part = |hash: &str, bytes: &str, zstd: &str| -> Result<Option<Vec<u8>>, Box<dyn Error + Send + Sync>> {
        let Some(hash) = row.maybe_bytes(hash)? else { return Ok(None) };
        Ok(Some(artifact::open(&hash, row.integer(bytes)?, &row.bytes(zstd)?)?))
    };
    let record = part("record_hash", "record_bytes", "record_zstd")?.ok_or("its record is not there")?;
    let mut run: RunRecord = serde_json::from_slice(&record)?;
    if let Some(series) = part("series_hash", "series_bytes", "series_zstd")? {
        run.series = serde_json::from_slice::<Vec<Series>>(&series)?;
    }
    run.scenario_resolved =
        String::from_utf8(part("resolved_hash", "resolved_bytes", "resolved_zstd")?.unwrap_or_default())?;
    Ok(run)
}

/// Runs that match, newest start first.
pub async fn runs<S: Session>(db: &mut S, filter: &RunFilter) -> Result<Vec<RunSummary>, Fault> {
    let sql = Statement::new("SELECT").push(SUMMARY).push(" FROM runs").push(SUMMARY_JOINS).push(" WHERE true");
    let sql = sql
        .narrow("projects.name", filter.project.as_deref())
        .narrow("hosts.fingerprint", filter.host.as_deref())
        .narrow("scenarios.name", filter.scenario.as_deref())
        .narrow("subjects.name", filter.subject.as_deref())
        .narrow("commits.sha", filter.commit.as_deref())
        .narrow("runs.outcome", filter.outcome.map(Outcome::as_str))
        .limit("runs.seed = ", filter.seed)
        .limit("runs.started_ms >= ", filter.since_ms)
        .push(" ORDER BY runs.started_ms DESC, runs.id DESC LIMIT ")
        .bind(filter.limit);
    Ok(db.rows(sql).await?.iter().map(summary).collect::<Result<_, _>>()?)
}

/// Pairs of project and machine.
pub async fn scopes<S: Session>(db: &mut S) -> Result<Vec<Scope>, Fault> {
    let sql = Statement::new(
        "SELECT projects.name AS project, hosts.fingerprint, hosts.cpu,
                max((SELECT max(runs.started_ms) FROM runs WHERE runs.cell_id = cells.id)) AS last_run_ms,
                CAST(sum((SELECT sum(tallies.runs) FROM tallies WHERE tallies.cell_id = cells.id)) AS BIGINT) AS runs
         FROM cells
         JOIN projects ON projects.id = cells.project_id
         JOIN hosts ON hosts.id = cells.host_id
         GROUP BY projects.id, hosts.id
         ORDER BY last_run_ms DESC, project, fingerprint",
    );
    let scope = |row: &S::Row| {
        Ok(Scope {
            project: row.text("project")?,
            host: row.text("fingerprint")?,
            cpu: row.text("cpu")?,
            last_run_ms: row.integer("last_run_ms")?,
            runs: row.count("runs")?,
        })
    };
    db.rows(sql).await?.iter().map(scope).collect()
}

/// How the runs on each machine ended. What there is to know of a run is in the index that it is found by.
pub async fn health<S: Session>(db: &mut S, query: &HealthQuery) -> Result<Vec<HostHealth>, Fault> {
    let sql = Statement::new(
        "SELECT hosts.fingerprint, hosts.cpu, counted.outcome, CAST(sum(counted.runs) AS BIGINT) AS runs,
                max(counted.newest_ms) AS newest_ms
         FROM (SELECT cell_id, outcome, count(*) AS runs, max(started_ms) AS newest_ms FROM runs WHERE started_ms >= ",
    )
    .bind(query.since_ms)
    .push(
        " GROUP BY cell_id, outcome) AS counted
         JOIN cells ON cells.id = counted.cell_id
         JOIN projects ON projects.id = cells.project_id
         JOIN hosts ON hosts.id = cells.host_id
         WHERE true",
    )
    .narrow("projects.name", query.project.as_deref())
    .push(" GROUP BY hosts.fingerprint, hosts.cpu, counted.outcome");
    let mut hosts: BTreeMap<String, HostHealth> = BTreeMap::new();
    for row in db.rows(sql).await? {
        let host = row.text("fingerprint")?;
        let new = HostHealth { host: host.clone(), cpu: row.text("cpu")?, outcomes: Vec::new() };
        let outcome = row.word("outcome", Outcome::parse)?;
        hosts.entry(host).or_insert(new).outcomes.push((outcome, row.count("runs")?, row.integer("newest_ms")?));
    }
    let mut hosts: Vec<HostHealth> = hosts.into_values().collect();
    for host in &mut hosts {
        host.outcomes.sort_unstable();
    }
    hosts.sort_by_key(|host| std::cmp::Reverse(host.last_run_ms()));
    Ok(hosts)
}

/// Measured commits, newest author date first.
pub async fn commits<S: Session>(db: &mut S, filter: &CommitFilter) -> Result<Vec<Commit>, Fault> {
    let sql = Statement::new(
        "SELECT projects.name AS project, sha, dirty, authored_ms, branch, summary, first_run_ms
         FROM commits JOIN projects ON projects.id = commits.project_id WHERE true",
    )
    .narrow("projects.name", filter.project.as_deref())
    .limit("sha >= ", filter.prefix.as_deref())
    .limit("sha < ", filter.prefix.as_ref().map(|prefix| format!("{prefix}{}", char::MAX)).as_deref())
    .push(" ORDER BY order_ms DESC, first_run_ms DESC LIMIT ")
    .bind(filter.limit);
    let mut commits: Vec<Commit> = db.rows(sql).await?.iter().map(commit).collect::<Result<_, _>>()?;
    Commit::sort_newest_first(&mut commits);
    Ok(commits)
}
