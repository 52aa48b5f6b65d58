//! Comparisons of two versions: lists from columns, the whole from an artifact.

use crate::artifact::{Artifact, Press};
use crate::insert::kept;
use crate::place::{host, named};
use crate::statement::{Columns, Session, Statement, Value};
use crate::{Fault, artifact};
use longhaul_record::{Comparison, Verdict};
use longhaul_store::{ComparisonFilter, ComparisonSummary, InsertError, Inserted, check_comparison};
use std::error::Error;

/// A comparison, checked and compressed.
pub struct ComparisonParcel<'a> {
    comparison: &'a Comparison,
    record: Artifact,
}

/// Checks and compresses a comparison, before any lock is taken.
pub fn pack_comparison(comparison: &Comparison) -> Result<ComparisonParcel<'_>, InsertError> {
    let id = || comparison.id.clone();
    check_comparison(comparison).map_err(|problem| InsertError::InvalidComparison { id: id(), problem })?;
    let pressed = || -> Result<Artifact, Box<dyn Error + Send + Sync>> {
        Ok(Press::new()?.artifact(&serde_json::to_vec(comparison)?)?)
    };
    let record = pressed().map_err(|source| InsertError::Encode { id: id(), source })?;
    Ok(ComparisonParcel { comparison, record })
}

/// Writes the comparison if it is not there yet, in a writing transaction.
pub async fn insert_comparison<S: Session>(db: &mut S, parcel: &ComparisonParcel<'_>) -> Result<Inserted, sqlx::Error> {
    let comparison = parcel.comparison;
    let known = Statement::new("SELECT id FROM comparisons WHERE uuid = ").bind(comparison.id.as_str());
    if !db.rows(known).await?.is_empty() {
        return Ok(Inserted::Known);
    }
    let summary = ComparisonSummary::of(comparison);
    let row: [Value; 12] = [
        comparison.id.as_str().into(),
        named(db, "INSERT INTO projects (name) VALUES (", &comparison.project).await?.into(),
        named(db, "INSERT INTO subjects (name) VALUES (", &comparison.subject).await?.into(),
        host(db, &comparison.host).await?.into(),
        summary.base.as_str().into(),
        summary.head.as_str().into(),
        summary.dirty.into(),
        summary.started_ms.into(),
        summary.ended_ms.into(),
        summary.verdict.map(Verdict::as_str).into(),
        summary.same_program.into(),
        kept(db, &parcel.record).await?.into(),
    ];
    let sql = Statement::new(
        "INSERT INTO comparisons (uuid, project_id, subject_id, host_id, base, head, dirty, started_ms, ended_ms,
                                  verdict, same_program, record_id) VALUES ",
    );
    db.change(sql.rows(&[row])).await?;
    Ok(Inserted::New)
}

/// The whole comparison.
pub async fn comparison<S: Session>(db: &mut S, id: &str) -> Result<Option<Comparison>, Fault> {
    let sql = Statement::new(
        "SELECT artifacts.hash, artifacts.bytes, artifacts.zstd
         FROM comparisons JOIN artifacts ON artifacts.id = comparisons.record_id
         WHERE comparisons.uuid = ",
    );
    let rows = db.rows(sql.bind(id)).await?;
    let damaged = |source| Fault::Damaged { id: id.to_owned(), source };
    rows.first().map(|row| decode(row).map_err(damaged)).transpose()
}

fn decode(row: &impl Columns) -> Result<Comparison, Box<dyn Error + Send + Sync>> {
    let content = artifact::open(&row.bytes("hash")?, row.integer("bytes")?, &row.bytes("zstd")?)?;
    Ok(serde_json::from_slice(&content)?)
}

/// Comparisons that match, newest start first.
pub async fn comparisons<S: Session>(db: &mut S, filter: &ComparisonFilter) -> Result<Vec<ComparisonSummary>, Fault> {
    let sql = Statement::new(
        "SELECT comparisons.*, projects.name AS project, subjects.name AS subject, hosts.fingerprint
         FROM comparisons
         JOIN projects ON projects.id = comparisons.project_id
         JOIN subjects ON subjects.id = comparisons.subject_id
         JOIN hosts ON hosts.id = comparisons.host_id
         WHERE true",
    )
    .narrow("projects.name", filter.project.as_deref())
    .narrow("subjects.name", filter.subject.as_deref())
    .narrow("comparisons.base", filter.base.as_deref())
    .narrow("comparisons.head", filter.head.as_deref())
    .narrow("comparisons.verdict", filter.verdict.map(Verdict::as_str))
    .push(" ORDER BY comparisons.started_ms DESC, comparisons.id DESC LIMIT ")
    .bind(filter.limit);
    Ok(db.rows(sql).await?.iter().map(summary).collect::<Result<_, _>>()?)
}

fn summary(row: &impl Columns) -> Result<ComparisonSummary, sqlx::Error> {
    let verdict = match row.maybe_text("verdict")? {
        Some(_) => Some(row.word("verdict", Verdict::parse)?),
        None => None,
    };
    Ok(ComparisonSummary {
        id: row.text("uuid")?,
        project: row.text("project")?,
        subject: row.text("subject")?,
        host: row.text("fingerprint")?,
        base: row.text("base")?,
        head: row.text("head")?,
        dirty: row.flag("dirty")?,
        started_ms: row.integer("started_ms")?,
        ended_ms: row.integer("ended_ms")?,
        verdict,
        same_program: row.flag("same_program")?,
    })
}
