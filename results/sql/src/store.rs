//! The store's trait, for both databases: a question is a reading transaction, and what changes anything a writing one.

use crate::Session;

/// Does something within a transaction that is yet to begin. Where it fails, nothing was done.
pub async fn within<S: Session, T, E: From<sqlx::Error>>(
    begin: impl Future<Output = Result<S, sqlx::Error>>,
    work: impl AsyncFnOnce(&mut S) -> Result<T, E>,
) -> Result<T, E> {
    let mut tx = begin.await?;
    let answer = work(&mut tx).await?;
    tx.commit().await?;
    Ok(answer)
}

/// Implements `longhaul_store::Store` for a type that has `reading` and `writing`, which begin transactions of the second
/// type, and `trouble`, which names the place in what the database said. A macro, because one crate's trait cannot be implemented for all types of
/// another's.
#[macro_export]
macro_rules! implement_store {
    ($store:ty, $tx:ty) => {
        const _: () = {
            use ::longhaul_record::{Alert, Comparison, RunRecord};
            use ::longhaul_store::*;

            #[::async_trait::async_trait]
            impl Store for $store {
                async fn insert_runs(&self, runs: &[RunRecord]) -> Result<Vec<Inserted>, InsertError> {
                    let parcels = $crate::pack(runs)?;
                    Ok(self.write(async |tx| $crate::insert(tx, &parcels).await).await?)
                }

                async fn run(&self, id: &str) -> Result<Option<RunRecord>, ReadError> {
                    self.read(async |tx| $crate::run(tx, id).await).await
                }

                async fn records(&self, after: Position, limit: u32) -> Result<Page, ReadError> {
                    self.read(async |tx| $crate::records(tx, after, limit).await).await
                }

                async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, ReadError> {
                    self.read(async |tx| $crate::runs(tx, filter).await).await
                }

                async fn scopes(&self) -> Result<Vec<Scope>, ReadError> {
                    self.read(async |tx| $crate::scopes(tx).await).await
                }

                async fn overview(&self, query: &OverviewQuery) -> Result<Vec<OverviewRow>, ReadError> {
                    self.read(async |tx| $crate::overview(tx, query).await).await
                }

                async fn series(&self, query: &SeriesQuery) -> Result<SeriesSet, ReadError> {
                    self.read(async |tx| $crate::series(tx, query).await).await
                }

                async fn commit_values(&self, query: &ValuesQuery) -> Result<Vec<CommitValues>, ReadError> {
                    self.read(async |tx| $crate::commit_values(tx, query).await).await
                }

                async fn health(&self, query: &HealthQuery) -> Result<Vec<HostHealth>, ReadError> {
                    self.read(async |tx| $crate::health(tx, query).await).await
                }

                async fn commits(&self, filter: &CommitFilter) -> Result<Vec<Commit>, ReadError> {
                    self.read(async |tx| $crate::commits(tx, filter).await).await
                }

                async fn insert_comparison(&self, comparison: &Comparison) -> Result<Inserted, InsertError> {
                    let parcel = $crate::pack_comparison(comparison)?;
                    Ok(self.write(async |tx| $crate::insert_comparison(tx, &parcel).await).await?)
                }

                async fn comparison(&self, id: &str) -> Result<Option<Comparison>, ReadError> {
                    self.read(async |tx| $crate::comparison(tx, id).await).await
                }

                async fn comparisons(&self, filter: &ComparisonFilter) -> Result<Vec<ComparisonSummary>, ReadError> {
                    self.read(async |tx| $crate::comparisons(tx, filter).await).await
                }

                async fn put_alerts(&self, alerts: &[Alert]) -> Result<(), InsertError> {
                    let documents = $crate::documents(alerts)?;
                    Ok(self.write(async |tx| $crate::put_alerts(tx, &documents).await).await?)
                }

                async fn alerts(&self, filter: &AlertFilter) -> Result<Vec<Alert>, ReadError> {
                    self.read(async |tx| $crate::alerts(tx, filter).await).await
                }

                async fn put_progress(&self, progress: &Progress) -> Result<(), InsertError> {
                    Ok(self.write(async |tx| $crate::put_progress(tx, progress).await).await?)
                }

                async fn end_progress(&self, id: &str) -> Result<(), InsertError> {
                    Ok(self.write(async |tx| $crate::end_progress(tx, id).await).await?)
                }

                async fn progress(&self, since_ms: i64) -> Result<Vec<Progress>, ReadError> {
                    self.read(async |tx| $crate::progress(tx, since_ms).await).await
                }

                async fn put_token(&self, token: &Token) -> Result<Inserted, InsertError> {
                    Ok(self.write(async |tx| $crate::put_token(tx, token).await).await?)
                }

                async fn tokens(&self) -> Result<Vec<Token>, ReadError> {
                    self.read(async |tx| $crate::tokens(tx).await).await
                }

                async fn token(&self, hash: &[u8; 32]) -> Result<Option<Token>, ReadError> {
                    self.read(async |tx| $crate::token(tx, hash).await).await
                }

                async fn touch_token(&self, id: &str, used_ms: i64) -> Result<(), InsertError> {
                    Ok(self.write(async |tx| $crate::touch_token(tx, id, used_ms).await).await?)
                }

                async fn revoke_token(&self, id: &str, revoked_ms: i64) -> Result<bool, InsertError> {
                    Ok(self.write(async |tx| $crate::revoke_token(tx, id, revoked_ms).await).await?)
                }
            }

            impl $store {
                /// Answers a question.
                async fn read<T>(
                    &self,
                    question: impl AsyncFnOnce(&mut $tx) -> Result<T, $crate::Fault>,
                ) -> Result<T, ReadError> {
                    let answer = $crate::within(self.reading(), question).await;
                    answer.map_err(|fault| fault.told(|error| self.trouble(error)))
                }

                /// Changes something, or nothing.
                async fn write<T>(
                    &self,
                    work: impl AsyncFnOnce(&mut $tx) -> Result<T, sqlx::Error>,
                ) -> Result<T, Trouble> {
                    $crate::within(self.writing(), work).await.map_err(|error| self.trouble(error))
                }
            }
        };
    };
}
