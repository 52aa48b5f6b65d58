//! The contract every backend has to pass.

#![expect(clippy::unwrap_used, reason = "a test that fails should panic where it fails")]

use longhaul_sqlite::SqliteStore;

async fn empty() -> (SqliteStore, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path().join("results/longhaul.db")).await.unwrap();
    (store, dir)
}

longhaul_store::store_contract!(empty);
