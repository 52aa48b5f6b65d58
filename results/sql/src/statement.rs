//! Statements, rows and transactions, as both databases know them.

use async_trait::async_trait;
use std::error::Error;
use std::fmt::Write;

/// A bound value. Every kind may be absent, so that a parameter has its type also where it is NULL.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    Text(Option<String>),
    /// A whole number.
    Integer(Option<i64>),
    /// A number.
    Real(f64),
    /// Yes or no.
    Flag(bool),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(Some(text.to_owned()))
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Value {
        Value::Text(text.map(str::to_owned))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Integer(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Value {
        Value::Integer(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Value {
        i64::from(number).into()
    }
}

/// Columns are signed. Nothing real comes near the limit.
impl From<u64> for Value {
    fn from(number: u64) -> Value {
        i64::try_from(number).unwrap_or(i64::MAX).into()
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Real(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Value {
        Value::Flag(flag)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Value {
        Value::Bytes(bytes.to_vec())
    }
}

/// SQL made of constants, with its values beside it, in their order. `?` stands for a parameter and nothing else.
#[derive(Debug, Default)]
pub struct Statement {
    text: String,
    values: Vec<Value>,
}

impl Statement {
    /// Begins with `text`.
    pub fn new(text: &'static str) -> Statement {
        Statement::default().push(text)
    }

    /// Goes on with `text`.
    #[must_use]
    pub fn push(mut self, text: &'static str) -> Statement {
        self.text.push_str(text);
        self
    }

    /// Goes on with a parameter.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Statement {
        self.values.push(value.into());
        self.text.push('?');
        self
    }

    /// Goes on with a condition, if there is a value for it.
    #[must_use]
    pub fn narrow(self, column: &'static str, value: Option<&str>) -> Statement {
        match value {
            Some(value) => self.push(" AND ").push(column).push(" = ").bind(value),
            None => self,
        }
    }

    /// Goes on with any condition, if there is a value for it: `condition` ends where the value comes.
    #[must_use]
    pub fn limit(self, condition: &'static str, value: Option<impl Into<Value>>) -> Statement {
        match value {
            Some(value) => self.push(" AND ").push(condition).bind(value),
            None => self,
        }
    }

    /// Goes on with a list of parameters, separated by commas.
    #[must_use]
    pub fn list<V: Into<Value>>(mut self, values: impl IntoIterator<Item = V>) -> Statement {
        for (i, value) in values.into_iter().enumerate() {
            self = self.push(if i == 0 { "" } else { ", " }).bind(value);
        }
        self
    }

    /// Goes on with rows of parameters: `(…), (…)`.
    #[must_use]
    pub fn rows<const N: usize>(mut self, rows: &[[Value; N]]) -> Statement {
        for (i, row) in rows.iter().enumerate() {
            self = self.push(if i == 0 { "(" } else { ", (" }).list(row.iter().cloned()).push(")");
        }
        self
    }

    /// Its text, which holds nothing that was bound, and its values.
    pub fn into_parts(self) -> (String, Vec<Value>) {
        (self.text, self.values)
    }

    /// The same with numbered parameters: `$1`, `$2` …
    pub fn into_numbered(self) -> (String, Vec<Value>) {
        let mut text = String::with_capacity(self.text.len() + 5 * self.values.len());
        for (i, piece) in self.text.split('?').enumerate() {
            if i > 0 {
                // Writing to a string cannot fail.
                let _ = write!(text, "${i}");
            }
            text.push_str(piece);
        }
        (text, self.values)
    }
}

/// Cuts a list into pieces of at most `most`, all of whose lengths are powers of two: databases keep a statement
/// prepared by its text, so there should be few texts.
pub(crate) fn pieces<T>(mut all: &[T], most: usize) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = all.len().min(most).checked_ilog2()?;
        let (piece, rest) = all.split_at(1 << length);
        all = rest;
        Some(piece)
    })
}

/// The list, made longer by its last element so that there are few lengths, as with [`pieces`]: for what is asked `IN` it.
pub(crate) fn padded<T: Copy>(list: &[T]) -> impl Iterator<Item = T> + '_ {
    let rest = list.len().next_power_of_two() - list.len();
    list.iter().copied().chain(list.last().copied().into_iter().cycle().take(if list.is_empty() { 0 } else { rest }))
}

/// The rows, with rows of zeros behind them so that there are few lengths: for keys of which none is zero.
pub(crate) fn filled_up<const N: usize>(rows: &[[Value; N]]) -> Vec<[Value; N]> {
    let mut all = rows.to_vec();
    all.resize(rows.len().next_power_of_two(), std::array::from_fn(|_| 0i64.into()));
    all
}

/// A row, by its columns' names.
pub trait Columns: Send + Sync {
    /// Text, or NULL.
    fn maybe_text(&self, column: &str) -> Result<Option<String>, sqlx::Error>;
    /// A whole number, or NULL.
    fn maybe_integer(&self, column: &str) -> Result<Option<i64>, sqlx::Error>;
    /// Bytes, or NULL.
    fn maybe_bytes(&self, column: &str) -> Result<Option<Vec<u8>>, sqlx::Error>;
    /// A number.
    fn real(&self, column: &str) -> Result<f64, sqlx::Error>;
    /// Yes or no.
    fn flag(&self, column: &str) -> Result<bool, sqlx::Error>;

    /// Text.
    fn text(&self, column: &str) -> Result<String, sqlx::Error> {
        self.maybe_text(column)?.ok_or_else(|| missing(column))
    }

    /// A whole number.
    fn integer(&self, column: &str) -> Result<i64, sqlx::Error> {
        self.maybe_integer(column)?.ok_or_else(|| missing(column))
    }

    /// A count.
    fn count(&self, column: &str) -> Result<u64, sqlx::Error> {
        u64::try_from(self.integer(column)?).map_err(|source| damaged(column, source))
    }

    /// A series' place.
    fn place(&self, column: &str) -> Result<usize, sqlx::Error> {
        usize::try_from(self.integer(column)?).map_err(|source| damaged(column, source))
    }

    /// Bytes.
    fn bytes(&self, column: &str) -> Result<Vec<u8>, sqlx::Error> {
        self.maybe_bytes(column)?.ok_or_else(|| missing(column))
    }

    /// One of our own words.
    fn word<T>(&self, column: &str, parse: fn(&str) -> Option<T>) -> Result<T, sqlx::Error>
    where
        Self: Sized,
    {
        let text = self.text(column)?;
        parse(&text).ok_or_else(|| damaged(column, format!("the unknown word {text:?}")))
    }

    /// A commit's hash. The empty one stands for "no commit".
    fn sha(&self) -> Result<Option<String>, sqlx::Error> {
        Ok(Some(self.text("sha")?).filter(|sha| !sha.is_empty()))
    }
}

fn missing(column: &str) -> sqlx::Error {
    damaged(column, "a NULL that must not be there")
}

/// A value that the writer never writes.
pub(crate) fn damaged(column: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_string(), source: source.into() }
}

/// A transaction. A reading one sees a single moment; of writing ones there is one at a time.
#[async_trait]
pub trait Session: Send + Sized {
    /// A row of the database's.
    type Row: Columns;

    /// Every row of the answer.
    async fn rows(&mut self, statement: Statement) -> Result<Vec<Self::Row>, sqlx::Error>;

    /// How many rows were changed.
    async fn change(&mut self, statement: Statement) -> Result<u64, sqlx::Error>;

    /// Keeps what was done.
    async fn commit(self) -> Result<(), sqlx::Error>;

    /// Takes back what was done.
    async fn rollback(self) -> Result<(), sqlx::Error>;

    /// The one row of the answer.
    async fn row(&mut self, statement: Statement) -> Result<Self::Row, sqlx::Error> {
        self.rows(statement).await?.pop().ok_or(sqlx::Error::RowNotFound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_powers_of_two_and_everything() {
        for (length, most, expect) in
            [(0, 8, vec![]), (1, 8, vec![1]), (7, 8, vec![4, 2, 1]), (8, 8, vec![8]), (21, 10, vec![8, 8, 4, 1])]
        {
            let all: Vec<usize> = (0..length).collect();
            assert_eq!(pieces(&all, most).map(<[usize]>::len).collect::<Vec<_>>(), expect);
            assert_eq!(pieces(&all, most).flatten().copied().collect::<Vec<_>>(), all);
        }
    }

    #[test]
    fn parameters_are_numbered_and_apart_from_the_text() {
        let statement = Statement::new("a WHERE true")
            .narrow("b", Some("'; --"))
            .narrow("c", None)
            .push(" AND d IN ")
            .rows(&[[1i64.into(), 2i64.into()], [3i64.into(), 4i64.into()]]);
        let (text, values) = statement.into_numbered();
        assert_eq!(text, "a WHERE true AND b = $1 AND d IN ($2, $3), ($4, $5)");
        assert_eq!(values[0], Value::from("'; --"));
        assert_eq!(values.len(), 5);
    }
}
