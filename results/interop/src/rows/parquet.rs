//! Rows as Parquet (<https://parquet.apache.org>), by column, compressed with Snappy.

use super::Row;
use crate::{ImportError, wrong};
use bytes::Bytes;
use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::record::{Field, Row as Read};
use parquet::schema::parser::parse_message_type;
use std::io::Write;
use std::sync::Arc;

const SCHEMA: &str = "message results {
    REQUIRED BYTE_ARRAY run (UTF8);
    REQUIRED BYTE_ARRAY project (UTF8);
    OPTIONAL BYTE_ARRAY commit (UTF8);
    OPTIONAL INT64 authored_ms (TIMESTAMP_MILLIS);
    OPTIONAL BYTE_ARRAY branch (UTF8);
    REQUIRED BOOLEAN dirty;
    REQUIRED BYTE_ARRAY scenario (UTF8);
    REQUIRED BYTE_ARRAY scenario_hash (UTF8);
    REQUIRED BYTE_ARRAY subject (UTF8);
    REQUIRED BYTE_ARRAY host (UTF8);
    REQUIRED INT64 seed;
    REQUIRED INT64 iteration;
    REQUIRED INT64 started_ms (TIMESTAMP_MILLIS);
    REQUIRED INT64 ended_ms (TIMESTAMP_MILLIS);
    REQUIRED BYTE_ARRAY outcome (UTF8);
    OPTIONAL BYTE_ARRAY reason (UTF8);
    OPTIONAL BYTE_ARRAY metric (UTF8);
    OPTIONAL BYTE_ARRAY peer (UTF8);
    OPTIONAL DOUBLE value;
}";

/// Rows that are kept in memory before they are written together.
const GROUP: usize = 100_000;

/// Writes Parquet.
pub struct Export<W: Write + Send> {
    out: SerializedFileWriter<W>,
    rows: Vec<Row>,
}

impl<W: Write + Send> Export<W> {
    /// Begins a file.
    pub fn new(out: W) -> Result<Export<W>, ParquetError> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        Ok(Export { out: SerializedFileWriter::new(out, schema, Arc::new(properties))?, rows: Vec::new() })
    }

    /// Adds rows.
    pub fn add(&mut self, rows: &[Row]) -> Result<(), ParquetError> {
        self.rows.extend_from_slice(rows);
        if self.rows.len() >= GROUP { self.flush() } else { Ok(()) }
    }

    /// Ends the file, which is none before.
    pub fn finish(mut self) -> Result<(), ParquetError> {
        self.flush()?;
        self.out.close().map(drop)
    }

    /// The columns in the schema's order.
    fn flush(&mut self) -> Result<(), ParquetError> {
        let rows = std::mem::take(&mut self.rows);
        let mut opened = self.out.next_row_group()?;
        let group = &mut opened;
        texts(group, &rows, &[|row| Some(&row.run), |row| Some(&row.project)], true)?;
        texts(group, &rows, &[|row| row.commit.as_ref()], false)?;
        optional::<Int64Type>(group, rows.iter().map(|row| row.authored_ms))?;
        texts(group, &rows, &[|row| row.branch.as_ref()], false)?;
        required::<BoolType>(group, rows.iter().map(|row| row.dirty))?;
        texts(group, &rows, &[|row| Some(&row.scenario), |row| Some(&row.scenario_hash)], true)?;
        texts(group, &rows, &[|row| Some(&row.subject), |row| Some(&row.host)], true)?;
        required::<Int64Type>(group, rows.iter().map(|row| i64::try_from(row.seed).unwrap_or(i64::MAX)))?;
        required::<Int64Type>(group, rows.iter().map(|row| i64::from(row.iteration)))?;
        required::<Int64Type>(group, rows.iter().map(|row| row.started_ms))?;
        required::<Int64Type>(group, rows.iter().map(|row| row.ended_ms))?;
        texts(group, &rows, &[|row| Some(&row.outcome)], true)?;
        texts(group, &rows, &[|row| row.reason.as_ref(), |row| row.metric.as_ref(), |row| row.peer.as_ref()], false)?;
        optional::<DoubleType>(group, rows.iter().map(|row| row.value))?;
        opened.close().map(drop)
    }
}

/// Writes the next columns, of texts, which are always there or may be absent.
fn texts(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    rows: &[Row],
    columns: &[fn(&Row) -> Option<&String>],
    always: bool,
) -> Result<(), ParquetError> {
    for of in columns {
        let values = rows.iter().map(|row| of(row).map(|text| ByteArray::from(text.as_str())));
        match always {
            true => required::<ByteArrayType>(group, values.flatten())?,
            false => optional::<ByteArrayType>(group, values)?,
        }
    }
    Ok(())
}

/// Writes the next column, of values that are always there.
fn required<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    values: impl Iterator<Item = T::T>,
) -> Result<(), ParquetError> {
    write::<T>(group, &values.collect::<Vec<_>>(), None)
}

/// Writes the next column, of values that may be absent.
fn optional<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    values: impl Iterator<Item = Option<T::T>>,
) -> Result<(), ParquetError> {
    let values: Vec<Option<T::T>> = values.collect();
    let there: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    write::<T>(group, &values.into_iter().flatten().collect::<Vec<_>>(), Some(&there))
}

fn write<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    values: &[T::T],
    there: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("there are more columns than the schema has".to_owned()));
    };
    column.typed::<T>().write_batch(values, there, None)?;
    column.close()
}

/// Reads what [`Export`] wrote, or any file with its columns.
pub fn read(file: &str, bytes: Bytes) -> Result<Vec<Row>, ImportError> {
    let refused = |error: ParquetError| wrong(file, "", error.to_string());
    let reader = SerializedFileReader::new(bytes).map_err(refused)?;
    let rows = reader.get_row_iter(None).map_err(refused)?;
    let row = |(number, row): (usize, Result<Read, ParquetError>)| {
        let row = row.map_err(refused)?;
        of_fields(&row).map_err(|problem| wrong(file, format!("row {}", number + 1), problem))
    };
    rows.enumerate().map(row).collect()
}

/// A row by its columns' names.
fn of_fields(read: &Read) -> Result<Row, String> {
    let field = |name: &str| {
        let found = read.get_column_iter().find(|(column, _)| *column == name);
        found.map(|(_, field)| field).ok_or_else(|| format!("there is no column `{name}`"))
    };
    let text = |name: &str| match field(name)? {
        Field::Str(text) => Ok(Some(text.clone())),
        Field::Null => Ok(None),
        other => Err(format!("`{name}` is {other}, not a text")),
    };
    let number = |name: &str| match field(name)? {
        Field::Long(number) | Field::TimestampMillis(number) => Ok(Some(*number)),
        Field::Null => Ok(None),
        other => Err(format!("`{name}` is {other}, not a whole number")),
    };
    let value = match field("value")? {
        Field::Double(value) => Some(*value),
        Field::Null => None,
        other => return Err(format!("`value` is {other}, not a number")),
    };
    let needed = |name: &str| text(name)?.ok_or_else(|| format!("`{name}` is empty"));
    let whole = |name: &str| number(name)?.ok_or_else(|| format!("`{name}` is empty"));
    let out_of_range = |name: &str| format!("`{name}` is out of range");
    Ok(Row {
        run: needed("run")?,
        project: needed("project")?,
        commit: text("commit")?,
        authored_ms: number("authored_ms")?,
        branch: text("branch")?,
        dirty: matches!(field("dirty")?, Field::Bool(true)),
        scenario: needed("scenario")?,
        scenario_hash: needed("scenario_hash")?,
        subject: needed("subject")?,
        host: needed("host")?,
        seed: u64::try_from(whole("seed")?).map_err(|_| out_of_range("seed"))?,
        iteration: u32::try_from(whole("iteration")?).map_err(|_| out_of_range("iteration"))?,
        started_ms: whole("started_ms")?,
        ended_ms: whole("ended_ms")?,
        outcome: needed("outcome")?,
        reason: text("reason")?,
        metric: text("metric")?,
        peer: text("peer")?,
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::rows;
    use super::*;

    fn written(rows: &[Row]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut export = Export::new(&mut out).unwrap();
        export.add(rows).unwrap();
        export.finish().unwrap();
        out
    }

    #[test]
    fn parquet_comes_back_as_it_was() {
        assert_eq!(read("a.parquet", written(&rows()).into()).unwrap(), rows());
        let many: Vec<Row> = (0..GROUP).flat_map(|_| rows()).take(GROUP + 1).collect();
        let bytes = written(&many);
        assert!(bytes.len() < many.len() * 4, "{} bytes", bytes.len());
        assert_eq!(read("a.parquet", bytes.into()).unwrap().len(), many.len());
        assert_eq!(read("a.parquet", written(&[]).into()).unwrap(), []);
    }

    #[test]
    fn what_is_no_parquet_is_refused() {
        let good = written(&rows());
        for bytes in [&b""[..], b"run,project\n", &good[..good.len() - 9], &good[9..]] {
            let error = read("a.parquet", bytes.to_vec().into()).unwrap_err().to_string();
            assert!(error.starts_with("a.parquet: "), "{error}");
        }
    }
}
