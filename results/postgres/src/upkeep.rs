//! What is done to a database as a whole.

use crate::PostgresStore;
use async_trait::async_trait;
use longhaul_sql::Session;
use longhaul_store::{BackupError, Finding, Freed, ReadError, Retention, Trouble, Upkeep};
use std::path::Path;

#[async_trait]
impl Upkeep for PostgresStore {
    fn place(&self) -> String {
        self.shown().to_owned()
    }

    async fn close(&self) {
        self.pool().close().await;
    }

    async fn check(&self) -> Result<Vec<Finding>, ReadError> {
        self.read(async |tx| longhaul_sql::check(tx).await).await
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

    /// The server's own tool copies as of one moment too, and knows its roles and settings.
    async fn backup(&self, to: &Path) -> Result<(), BackupError> {
        let place = self.place();
        let command = format!("pg_dump --format=custom --file='{}' '{place}'", to.display());
        Err(BackupError::Elsewhere { place, command })
    }
}
