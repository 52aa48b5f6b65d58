//! Transactions of SQLite.

use async_trait::async_trait;
use longhaul_sql::{Columns, Session, Statement, Value};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Row, Sqlite, Transaction};

/// A transaction.
pub(crate) struct Tx(Transaction<'static, Sqlite>);

impl Tx {
    /// Sees the moment of its first question.
    pub(crate) async fn reading(pool: &SqlitePool) -> Result<Tx, sqlx::Error> {
        Ok(Tx(pool.begin().await?))
    }

    /// IMMEDIATE: a transaction that reads first and writes later could find that it has to start over.
    pub(crate) async fn writing(pool: &SqlitePool) -> Result<Tx, sqlx::Error> {
        Ok(Tx(pool.begin_with("BEGIN IMMEDIATE").await?))
    }

    pub(crate) fn connection(&mut self) -> &mut sqlx::SqliteConnection {
        &mut self.0
    }
}

#[async_trait]
impl Session for Tx {
    type Row = Line;

    async fn rows(&mut self, statement: Statement) -> Result<Vec<Line>, sqlx::Error> {
        Ok(query(statement).fetch_all(&mut *self.0).await?.into_iter().map(Line).collect())
    }

    async fn change(&mut self, statement: Statement) -> Result<u64, sqlx::Error> {
        Ok(query(statement).execute(&mut *self.0).await?.rows_affected())
    }

    async fn commit(self) -> Result<(), sqlx::Error> {
        self.0.commit().await
    }

    async fn rollback(self) -> Result<(), sqlx::Error> {
        self.0.rollback().await
    }
}

/// Safe to assert: a statement's text is made of constants.
fn query(statement: Statement) -> Query<'static, Sqlite, SqliteArguments> {
    let (text, values) = statement.into_parts();
    values.into_iter().fold(sqlx::query(AssertSqlSafe(text)), |query, value| match value {
        Value::Text(text) => query.bind(text),
        Value::Integer(number) => query.bind(number),
        Value::Real(number) => query.bind(number),
        Value::Flag(flag) => query.bind(flag),
        Value::Bytes(bytes) => query.bind(bytes),
    })
}

/// A row.
pub(crate) struct Line(SqliteRow);

impl Columns for Line {
    fn maybe_text(&self, column: &str) -> Result<Option<String>, sqlx::Error> {
        self.0.try_get(column)
    }

    fn maybe_integer(&self, column: &str) -> Result<Option<i64>, sqlx::Error> {
        self.0.try_get(column)
    }

    fn maybe_bytes(&self, column: &str) -> Result<Option<Vec<u8>>, sqlx::Error> {
        self.0.try_get(column)
    }

    fn real(&self, column: &str) -> Result<f64, sqlx::Error> {
        self.0.try_get(column)
    }

    fn flag(&self, column: &str) -> Result<bool, sqlx::Error> {
        self.0.try_get(column)
    }
}
