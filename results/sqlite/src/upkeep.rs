//! What is done to a file as a whole.

use crate::SqliteStore;
use crate::session::Tx;
use async_trait::async_trait;
use longhaul_sql::{Columns, Session, Statement};
use longhaul_store::{BackupError, Finding, Freed, ReadError, Retention, Trouble, Upkeep};
use std::path::Path;

#[async_trait]
impl Upkeep for SqliteStore {
    fn place(&self) -> String {
        self.path().display().to_string()
    }

    /// Also folds the write-ahead log into the file.
    async fn close(&self) {
        self.pool().close().await;
    }

    async fn check(&self) -> Result<Vec<Finding>, ReadError> {
        self.read(async |tx| {
            let mut findings = own_check(tx).await?;
            // Where the file itself is broken, nothing that is read from it says more.
            if findings.is_empty() {
                findings = longhaul_sql::check(tx).await?;
            }
            Ok(findings)
        })
        .await
    }

    async fn prune(&self, rule: &Retention) -> Result<Freed, Trouble> {
        let write = async {
            let mut tx = self.writing().await?;
            let freed = longhaul_sql::prune(&mut tx, rule).await?;
            if rule.dry_run { tx.rollback().await } else { tx.commit().await }?;
            Ok(freed)
        };
        write.await.map_err(|error| self.trouble(error))
    }

    /// `VACUUM INTO`: a copy as of one moment, beside writers, without the space that was freed
    /// (<https://sqlite.org/lang_vacuum.html#vacuuminto>).
    async fn backup(&self, to: &Path) -> Result<(), BackupError> {
        if to.exists() {
            return Err(BackupError::Exists { path: to.to_path_buf() });
        }
        if to.parent().is_some_and(|parent| !parent.as_os_str().is_empty() && !parent.is_dir()) {
            return Err(BackupError::NoDirectory { path: to.to_path_buf() });
        }
        let copy = sqlx::query("VACUUM INTO ?").bind(to.to_string_lossy().into_owned()).execute(self.pool()).await;
        copy.map(drop).map_err(|error| {
            // Half a backup is none; it was not there before.
            let _ = std::fs::remove_file(to);
            BackupError::Store(crate::trouble::trouble(to, error))
        })
    }
}

/// SQLite's own checks: pages, indices, constraints and references.
async fn own_check(db: &mut Tx) -> Result<Vec<Finding>, sqlx::Error> {
    let mut findings = Vec::new();
    for row in db.rows(Statement::new("SELECT integrity_check AS said FROM pragma_integrity_check")).await? {
        let said = row.text("said")?;
        if said != "ok" {
            findings.push(Finding::Backend(said));
        }
    }
    let sql = "SELECT \"table\" AS said, count(*) AS n FROM pragma_foreign_key_check GROUP BY said";
    for row in db.rows(Statement::new(sql)).await? {
        let (table, n) = (row.text("said")?, row.integer("n")?);
        findings.push(Finding::Backend(format!("{n} rows of `{table}` refer to rows that are not there")));
    }
    Ok(findings)
}
