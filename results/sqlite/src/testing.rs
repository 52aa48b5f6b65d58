//! For tests and figures: databases as they should not be, and what they weigh.

use crate::SqliteStore;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use std::path::Path;

/// Makes a database of ours look as if a later version of longhaul had written it.
pub async fn make_newer(path: &Path) -> Result<(), sqlx::Error> {
    let mut db = SqliteConnectOptions::new().filename(path).connect().await?;
    sqlx::query("INSERT INTO _sqlx_migrations VALUES (99, 'later', CURRENT_TIMESTAMP, true, x'00', 1)")
        .execute(&mut db)
        .await?;
    db.close().await
}

/// Makes a database of ours count wrongly.
pub async fn spoil(path: &Path) -> Result<(), sqlx::Error> {
    let mut db = SqliteConnectOptions::new().filename(path).connect().await?;
    sqlx::query("UPDATE tallies SET runs = runs + 6").execute(&mut db).await?;
    db.close().await
}

/// Bytes that samples take, and bytes of everything.
pub async fn sample_bytes(store: &SqliteStore) -> Result<(u64, u64), sqlx::Error> {
    let sql = "SELECT CAST(total(pgsize) AS INTEGER) FROM dbstat WHERE aggregate = 1 AND name LIKE 'sheets%'";
    let samples: i64 = sqlx::query_scalar(sql).fetch_one(store.pool()).await?;
    let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let all: i64 = sqlx::query_scalar(sql).fetch_one(store.pool()).await?;
    Ok((samples.unsigned_abs(), all.unsigned_abs()))
}
