//! What is being measured at the moment.

use crate::Fault;
use crate::statement::{Columns, Session, Statement, Value};
use longhaul_store::Progress;

/// Says how far a command is, in place of what it said before, in a writing transaction.
pub async fn put_progress<S: Session>(db: &mut S, progress: &Progress) -> Result<(), sqlx::Error> {
    end_progress(db, &progress.id).await?;
    let row: [Value; 7] = [
        progress.id.as_str().into(),
        progress.host.as_str().into(),
        progress.what.as_str().into(),
        progress.now.as_str().into(),
        progress.done.into(),
        progress.total.into(),
        progress.updated_ms.into(),
    ];
    let sql = Statement::new("INSERT INTO progress (uuid, host, what, now_at, done, total, updated_ms) VALUES ");
    db.change(sql.rows(&[row])).await?;
    Ok(())
}

/// Forgets a command that has ended, in a writing transaction.
pub async fn end_progress<S: Session>(db: &mut S, id: &str) -> Result<(), sqlx::Error> {
    db.change(Statement::new("DELETE FROM progress WHERE uuid = ").bind(id)).await?;
    Ok(())
}

/// What was said then or later, the newest first.
pub async fn progress<S: Session>(db: &mut S, since_ms: i64) -> Result<Vec<Progress>, Fault> {
    let sql = Statement::new("SELECT * FROM progress WHERE updated_ms >= ").bind(since_ms);
    let rows = db.rows(sql.push(" ORDER BY updated_ms DESC, uuid")).await?;
    Ok(rows.iter().map(view).collect::<Result<_, _>>()?)
}

fn view(row: &impl Columns) -> Result<Progress, sqlx::Error> {
    Ok(Progress {
        id: row.text("uuid")?,
        host: row.text("host")?,
        what: row.text("what")?,
        now: row.text("now_at")?,
        done: row.integer("done")?.unsigned_abs(),
        total: row.integer("total")?.unsigned_abs(),
        updated_ms: row.integer("updated_ms")?,
    })
}
