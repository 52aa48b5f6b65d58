//! Transactions of PostgreSQL.

use async_trait::async_trait;
use longhaul_sql::{Columns, Session, Statement, Value};
use sqlx::postgres::{PgArguments, PgPool, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres, Row, Transaction, TypeInfo, ValueRef};

/// The lock that writers take turns by: "lhau", as in SQLite's application id.
const WRITERS: i64 = 1_818_780_021;

/// A transaction.
pub(crate) struct Tx(Transaction<'static, Postgres>);

impl Tx {
    /// Sees the moment of its first question.
    pub(crate) async fn reading(pool: &PgPool) -> Result<Tx, sqlx::Error> {
        Ok(Tx(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?))
    }

    /// Waits for its turn. Every statement behind sees what the writer before has committed.
    pub(crate) async fn writing(pool: &PgPool) -> Result<Tx, sqlx::Error> {
        let mut tx = pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(WRITERS).execute(&mut *tx).await?;
        Ok(Tx(tx))
    }

    pub(crate) fn connection(&mut self) -> &mut sqlx::PgConnection {
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
fn query(statement: Statement) -> Query<'static, Postgres, PgArguments> {
    let (text, values) = statement.into_numbered();
    values.into_iter().fold(sqlx::query(AssertSqlSafe(text)), |query, value| match value {
        Value::Text(text) => query.bind(text.map(escaped)),
        Value::Integer(number) => query.bind(number),
        Value::Real(number) => query.bind(number),
        Value::Flag(flag) => query.bind(flag),
        Value::Bytes(bytes) => query.bind(bytes),
    })
}

/// Stands for what PostgreSQL cannot keep in a text: a code point that is no character, and is none of anybody's names.
const ESCAPE: char = '\u{FDD0}';

/// A text without NUL, which PostgreSQL refuses. The inverse is [`plain`].
fn escaped(text: String) -> String {
    if !text.contains(['\0', ESCAPE]) {
        return text;
    }
    text.replace(ESCAPE, "\u{FDD0}1").replace('\0', "\u{FDD0}0")
}

fn plain(text: String) -> String {
    if !text.contains(ESCAPE) {
        return text;
    }
    text.replace("\u{FDD0}0", "\0").replace("\u{FDD0}1", "\u{FDD0}")
}

/// A row.
pub(crate) struct Line(PgRow);

impl Columns for Line {
    fn maybe_text(&self, column: &str) -> Result<Option<String>, sqlx::Error> {
        Ok(self.0.try_get::<Option<String>, _>(column)?.map(plain))
    }

    /// Columns that are there millions of times are narrow.
    fn maybe_integer(&self, column: &str) -> Result<Option<i64>, sqlx::Error> {
        match self.0.try_get_raw(column)?.type_info().name() {
            "INT4" => Ok(self.0.try_get::<Option<i32>, _>(column)?.map(i64::from)),
            _ => self.0.try_get(column),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_as_they_went_in() {
        for text in ["", "plain", "a\0b", "\u{FDD0}", "\u{FDD0}0\0\u{FDD0}1", "\0\0\u{FDD0}\u{FDD0}1"] {
            let escaped = escaped(text.to_owned());
            assert!(!escaped.contains('\0'), "{text:?}");
            assert_eq!(plain(escaped), text);
        }
    }
}
