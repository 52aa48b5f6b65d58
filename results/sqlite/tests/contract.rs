//! The contract every backend has to pass.

use libtest_mimic::{Arguments, Trial};
use longhaul_sqlite::SqliteStore;
use longhaul_store::testing::contract::PROMISES;

fn main() {
    let trial = |(name, promise): &'static (&str, longhaul_store::testing::contract::Promise)| {
        Trial::test(*name, move || {
            tokio::runtime::Runtime::new()?.block_on(async {
                let directory = tempfile::tempdir()?;
                let store = SqliteStore::open(directory.path().join("results/longhaul.db")).await?;
                promise(&store).await;
                Ok(())
            })
        })
    };
    libtest_mimic::run(&Arguments::from_args(), PROMISES.iter().map(trial).collect()).exit();
}
