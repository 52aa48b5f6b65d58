//! Retention: what is dropped are series over time, the only part of a record that nothing else is made of.

use crate::insert::ROWS;
use crate::statement::{Columns, Session, Statement, pieces};
use longhaul_store::{Freed, Retention};

/// Every run with its rank among those of its scenario × subject, newest first.
const RANKED: &str = "
    WITH ranked AS (
        SELECT id, series_id, started_ms,
               row_number() OVER (PARTITION BY cell_id ORDER BY started_ms DESC, id DESC) AS place
        FROM runs
    ), doomed AS (
        SELECT id, series_id FROM ranked WHERE series_id IS NOT NULL AND started_ms < ";

/// Drops what the rule does not keep, in a writing transaction. With `dry_run` the caller takes it back.
pub async fn prune<S: Session>(db: &mut S, rule: &Retention) -> Result<Freed, sqlx::Error> {
    if *rule == (Retention { dry_run: rule.dry_run, ..Retention::default() }) {
        return Ok(Freed::default());
    }
    let doomed = || {
        let sql = Statement::new(RANKED).bind(rule.newer_than_ms.unwrap_or(i64::MAX));
        sql.push(" AND place > ").bind(rule.newest.unwrap_or(0)).push(") ")
    };
    // Content is shared: it goes with the last run that needs it.
    let gone = doomed().push(
        "SELECT id, CAST(length(zstd) AS BIGINT) AS bytes FROM artifacts WHERE id IN (
             SELECT series_id FROM doomed
             EXCEPT SELECT series_id FROM ranked WHERE series_id IS NOT NULL
                    AND NOT EXISTS (SELECT 1 FROM doomed WHERE doomed.id = ranked.id)
             EXCEPT SELECT record_id FROM runs
             EXCEPT SELECT resolved_id FROM runs
             EXCEPT SELECT record_id FROM comparisons)",
    );
    let mut freed = Freed::default();
    let mut ids = Vec::new();
    for row in db.rows(gone).await? {
        ids.push(row.integer("id")?);
        freed.bytes += row.count("bytes")?;
    }
    freed.artifacts = ids.len() as u64;
    let runs = doomed().push("UPDATE runs SET series_id = NULL WHERE id IN (SELECT id FROM doomed)");
    freed.runs = db.change(runs).await?;
    for piece in pieces(&ids, ROWS) {
        db.change(Statement::new("DELETE FROM artifacts WHERE id IN (").list(piece.iter().copied()).push(")")).await?;
    }
    Ok(freed)
}
