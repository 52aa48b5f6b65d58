//! Writing one run, whole or not at all.

use crate::SqliteStore;
use crate::artifact::Artifact;
use crate::trouble::trouble;
use longhaul_record::{HostDetail, Outcome, RunRecord, Sample};
use longhaul_store::{Evidence, InsertError, Inserted, check};
use sqlx::SqliteConnection;

/// The rows a run refers to.
struct Place {
    cell: i64,
    version: i64,
    commit: i64,
    order_ms: i64,
}

/// What is compressed before the lock is taken.
struct Bulk {
    record: Artifact,
    resolved: Artifact,
    series: Artifact,
}

pub(crate) async fn insert_run(store: &SqliteStore, run: &RunRecord) -> Result<Inserted, InsertError> {
    check(run).map_err(|problem| InsertError::Invalid { id: run.id.clone(), problem })?;
    let bulk = bulk(run).map_err(|source| InsertError::Encode { id: run.id.clone(), source })?;
    write(store, run, &bulk).await.map_err(|error| InsertError::Store(trouble(store.path(), error)))
}

fn bulk(run: &RunRecord) -> Result<Bulk, Box<dyn std::error::Error + Send + Sync>> {
    let mut rest = run.clone();
    let series = serde_json::to_vec(&std::mem::take(&mut rest.series))?;
    let resolved = std::mem::take(&mut rest.scenario_resolved);
    Ok(Bulk {
        record: Artifact::new(&serde_json::to_vec(&rest)?)?,
        resolved: Artifact::new(resolved.as_bytes())?,
        series: Artifact::new(&series)?,
    })
}

async fn write(store: &SqliteStore, run: &RunRecord, bulk: &Bulk) -> Result<Inserted, sqlx::Error> {
    // IMMEDIATE: a transaction that reads first and writes later could find that it has to start over.
    let mut tx = store.pool().begin_with("BEGIN IMMEDIATE").await?;
    let known: Option<i64> =
        sqlx::query_scalar("SELECT id FROM runs WHERE uuid = ?").bind(&run.id).fetch_optional(&mut *tx).await?;
    if known.is_some() {
        tx.rollback().await?;
        return Ok(Inserted::Known);
    }
    let place = place(&mut tx, run).await?;
    let row = write_run(&mut tx, run, &place, bulk).await?;
    count(&mut tx, &place, run.outcome).await?;
    if run.outcome == Outcome::Ok {
        for sample in &run.samples {
            write_sample(&mut tx, row, &place, sample).await?;
        }
    }
    tx.commit().await?;
    Ok(Inserted::New)
}

async fn place(db: &mut SqliteConnection, run: &RunRecord) -> Result<Place, sqlx::Error> {
    let project = named(db, "projects", &run.project).await?;
    let scenario = named(db, "scenarios", &run.scenario).await?;
    let subject = named(db, "subjects", &run.subject).await?;
    let host = host(db, &run.host).await?;
    let version = sqlx::query_scalar(
        "INSERT INTO scenario_versions (scenario_id, hash, words) VALUES (?, ?, ?)
         ON CONFLICT (scenario_id, hash) DO UPDATE SET words = excluded.words RETURNING id",
    )
    .bind(scenario)
    .bind(&run.scenario_hash)
    .bind(&run.scenario_words)
    .fetch_one(&mut *db)
    .await?;
    let cell = sqlx::query_scalar(
        "INSERT INTO cells (project_id, scenario_id, subject_id, host_id) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET project_id = excluded.project_id RETURNING id",
    )
    .bind(project)
    .bind(scenario)
    .bind(subject)
    .bind(host)
    .fetch_one(&mut *db)
    .await?;
    let (commit, order_ms) = commit(db, project, run).await?;
    Ok(Place { cell, version, commit, order_ms })
}

/// The row of a machine.
pub(crate) async fn host(db: &mut SqliteConnection, host: &HostDetail) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO hosts (fingerprint, cpu) VALUES (?, ?)
         ON CONFLICT (fingerprint) DO UPDATE SET cpu = excluded.cpu RETURNING id",
    )
    .bind(&host.fingerprint)
    .bind(&host.cpu)
    .fetch_one(db)
    .await
}

/// The row of a name. `table` is one of our own constants, never input.
pub(crate) async fn named(db: &mut SqliteConnection, table: &'static str, name: &str) -> Result<i64, sqlx::Error> {
    let sql = match table {
        "projects" => "INSERT INTO projects (name) VALUES (?) ON CONFLICT DO UPDATE SET name = name RETURNING id",
        "scenarios" => "INSERT INTO scenarios (name) VALUES (?) ON CONFLICT DO UPDATE SET name = name RETURNING id",
        _ => "INSERT INTO subjects (name) VALUES (?) ON CONFLICT DO UPDATE SET name = name RETURNING id",
    };
    sqlx::query_scalar(sql).bind(name).fetch_one(db).await
}

/// The commit's row and its place in time. Details that were unknown at an earlier run are filled in.
async fn commit(db: &mut SqliteConnection, project: i64, run: &RunRecord) -> Result<(i64, i64), sqlx::Error> {
    let detail = run.commit_detail.as_ref();
    let authored = detail.map(|detail| detail.authored_ms);
    sqlx::query_as(
        "INSERT INTO commits (project_id, sha, dirty, authored_ms, branch, summary, first_run_ms, order_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, coalesce(?4, ?7))
         ON CONFLICT (project_id, sha, dirty) DO UPDATE SET
             authored_ms = coalesce(authored_ms, excluded.authored_ms),
             branch = coalesce(branch, excluded.branch),
             summary = coalesce(summary, excluded.summary),
             first_run_ms = min(first_run_ms, excluded.first_run_ms)
         RETURNING id, order_ms",
    )
    .bind(project)
    .bind(run.commit.as_deref().unwrap_or(""))
    .bind(detail.is_some_and(|detail| detail.dirty))
    .bind(authored)
    .bind(detail.and_then(|detail| detail.branch.as_deref()))
    .bind(detail.map(|detail| detail.summary.as_str()))
    .bind(run.started_ms)
    .fetch_one(db)
    .await
}

async fn write_run(db: &mut SqliteConnection, run: &RunRecord, place: &Place, bulk: &Bulk) -> Result<i64, sqlx::Error> {
    let record = bulk.record.put(db).await?;
    let resolved = bulk.resolved.put(db).await?;
    let series = bulk.series.put(db).await?;
    let evidence = Evidence::of(run);
    sqlx::query_scalar(
        "INSERT INTO runs (uuid, cell_id, version_id, commit_id, seed, iteration, started_ms, ended_ms, run_trigger,
                           outcome, reason, paths, delay_error_ns, lateness_p99_ns, unintended_drops, record_id,
                           resolved_id, series_id)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(&run.id)
    .bind(place.cell)
    .bind(place.version)
    .bind(place.commit)
    .bind(saturated(run.seed))
    .bind(run.iteration)
    .bind(run.started_ms)
    .bind(run.ended_ms)
    .bind(run.trigger.as_str())
    .bind(run.outcome.as_str())
    .bind(run.reason.as_deref())
    .bind(evidence.paths)
    .bind(saturated(evidence.delay_error_ns))
    .bind(saturated(evidence.lateness_p99_ns))
    .bind(saturated(evidence.unintended_drops))
    .bind(record)
    .bind(resolved)
    .bind(series)
    .fetch_one(db)
    .await
}

async fn count(db: &mut SqliteConnection, place: &Place, outcome: Outcome) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO tallies (cell_id, commit_id, outcome, runs) VALUES (?, ?, ?, 1)
         ON CONFLICT DO UPDATE SET runs = runs + 1",
    )
    .bind(place.cell)
    .bind(place.commit)
    .bind(outcome.as_str())
    .execute(db)
    .await?;
    Ok(())
}

/// One number and, from all of its series and commit, the rollup.
async fn write_sample(db: &mut SqliteConnection, run: i64, place: &Place, sample: &Sample) -> Result<(), sqlx::Error> {
    let series: i64 = sqlx::query_scalar(
        "INSERT INTO series (cell_id, version_id, metric, peer) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET peer = peer RETURNING id",
    )
    .bind(place.cell)
    .bind(place.version)
    .bind(&sample.metric)
    .bind(sample.peer.as_deref().unwrap_or(""))
    .fetch_one(&mut *db)
    .await?;
    sqlx::query("INSERT INTO samples (series_id, commit_id, run_id, value) VALUES (?, ?, ?, ?)")
        .bind(series)
        .bind(place.commit)
        .bind(run)
        .bind(sample.value)
        .execute(&mut *db)
        .await?;
    let values: Vec<f64> = sqlx::query_scalar("SELECT value FROM samples WHERE series_id = ? AND commit_id = ?")
        .bind(series)
        .bind(place.commit)
        .fetch_all(&mut *db)
        .await?;
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    sqlx::query(
        "INSERT INTO rollups (series_id, order_ms, commit_id, n, median, min, max) VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET n = excluded.n, median = excluded.median, min = excluded.min, max = excluded.max",
    )
    .bind(series)
    .bind(place.order_ms)
    .bind(place.commit)
    .bind(saturated(values.len() as u64))
    .bind(longhaul_stats::median(&values).unwrap_or(sample.value))
    .bind(low)
    .bind(high)
    .execute(db)
    .await?;
    Ok(())
}

/// SQLite's integers are signed. Nothing real comes near the limit.
fn saturated(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
