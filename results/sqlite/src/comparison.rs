//! Comparisons of two versions.

use crate::artifact::Artifact;
use crate::insert::{host, named};
use crate::read::{narrow, parsed};
use crate::trouble::trouble;
use crate::{SqliteStore, artifact};
use longhaul_record::{Comparison, Verdict};
use longhaul_store::{ComparisonFilter, ComparisonSummary, InsertError, Inserted, ReadError, check_comparison};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Row, Sqlite};
use std::error::Error;

pub(crate) async fn insert(store: &SqliteStore, comparison: &Comparison) -> Result<Inserted, InsertError> {
    let id = || comparison.id.clone();
    check_comparison(comparison).map_err(|problem| InsertError::InvalidComparison { id: id(), problem })?;
    let encoded = serde_json::to_vec(comparison);
    let encoded = encoded.map_err(|source| InsertError::Encode { id: id(), source: source.into() })?;
    let record = Artifact::new(&encoded).map_err(|source| InsertError::Encode { id: id(), source: source.into() })?;
    write(store, comparison, &record).await.map_err(|error| InsertError::Store(trouble(store.path(), error)))
}

async fn write(store: &SqliteStore, comparison: &Comparison, record: &Artifact) -> Result<Inserted, sqlx::Error> {
    let mut tx = store.pool().begin_with("BEGIN IMMEDIATE").await?;
    let known: Option<i64> = sqlx::query_scalar("SELECT id FROM comparisons WHERE uuid = ?")
        .bind(&comparison.id)
        .fetch_optional(&mut *tx)
        .await?;
    if known.is_some() {
        tx.rollback().await?;
        return Ok(Inserted::Known);
    }
    let summary = ComparisonSummary::of(comparison);
    let project = named(&mut tx, "projects", &comparison.project).await?;
    let subject = named(&mut tx, "subjects", &comparison.subject).await?;
    let host = host(&mut tx, &comparison.host).await?;
    let record = record.put(&mut tx).await?;
    sqlx::query(
        "INSERT INTO comparisons (uuid, project_id, subject_id, host_id, base, head, dirty, started_ms, ended_ms,
                                  verdict, same_program, record_id)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&comparison.id)
    .bind(project)
    .bind(subject)
    .bind(host)
    .bind(&summary.base)
    .bind(&summary.head)
    .bind(summary.dirty)
    .bind(summary.started_ms)
    .bind(summary.ended_ms)
    .bind(summary.verdict.map(Verdict::as_str))
    .bind(summary.same_program)
    .bind(record)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Inserted::New)
}

pub(crate) async fn read(store: &SqliteStore, id: &str) -> Result<Option<Comparison>, ReadError> {
    let row = sqlx::query(
        "SELECT artifacts.hash, artifacts.bytes, artifacts.zstd
         FROM comparisons JOIN artifacts ON artifacts.id = comparisons.record_id
         WHERE comparisons.uuid = ?",
    )
    .bind(id)
    .fetch_optional(store.pool())
    .await
    .map_err(|error| ReadError::Store(trouble(store.path(), error)))?;
    row.map(|row| decode(&row).map_err(|source| ReadError::Damaged { id: id.to_string(), source })).transpose()
}

fn decode(row: &SqliteRow) -> Result<Comparison, Box<dyn Error + Send + Sync>> {
    let (hash, bytes, zstd): (Vec<u8>, i64, Vec<u8>) =
        (row.try_get("hash")?, row.try_get("bytes")?, row.try_get("zstd")?);
    Ok(serde_json::from_slice(&artifact::open(&hash, bytes, &zstd)?)?)
}

pub(crate) async fn list(pool: &SqlitePool, filter: &ComparisonFilter) -> Result<Vec<ComparisonSummary>, sqlx::Error> {
    let mut sql = QueryBuilder::<Sqlite>::new(
        "SELECT comparisons.*, projects.name AS project, subjects.name AS subject, hosts.fingerprint
         FROM comparisons
         JOIN projects ON projects.id = comparisons.project_id
         JOIN subjects ON subjects.id = comparisons.subject_id
         JOIN hosts ON hosts.id = comparisons.host_id
         WHERE true",
    );
    for (column, value) in [
        ("projects.name", &filter.project),
        ("subjects.name", &filter.subject),
        ("comparisons.base", &filter.base),
        ("comparisons.head", &filter.head),
    ] {
        narrow(&mut sql, column, value.as_deref());
    }
    narrow(&mut sql, "comparisons.verdict", filter.verdict.map(Verdict::as_str));
    sql.push(" ORDER BY comparisons.started_ms DESC, comparisons.id DESC LIMIT ").push_bind(filter.limit);
    sql.build().fetch_all(pool).await?.iter().map(summary).collect()
}

fn summary(row: &SqliteRow) -> Result<ComparisonSummary, sqlx::Error> {
    let judged = row.try_get::<Option<String>, _>("verdict")?.is_some();
    Ok(ComparisonSummary {
        id: row.try_get("uuid")?,
        project: row.try_get("project")?,
        subject: row.try_get("subject")?,
        host: row.try_get("fingerprint")?,
        base: row.try_get("base")?,
        head: row.try_get("head")?,
        dirty: row.try_get("dirty")?,
        started_ms: row.try_get("started_ms")?,
        ended_ms: row.try_get("ended_ms")?,
        verdict: if judged { Some(parsed(row, "verdict", Verdict::parse)?) } else { None },
        same_program: row.try_get("same_program")?,
    })
}
