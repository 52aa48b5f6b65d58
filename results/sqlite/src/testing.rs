//! Databases as they should not be, for the tests of those who open them.

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
