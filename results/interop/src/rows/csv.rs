//! Rows as CSV, with the columns' names in the first line. What is absent is empty.

use super::Row;
use crate::{ImportError, wrong};
use csv::{ReaderBuilder, Writer};
use std::io::{self, Write};

/// Writes CSV, run by run.
#[derive(Debug)]
pub struct Export<W: Write>(Writer<W>);

impl<W: Write> Export<W> {
    /// Begins with the columns' names.
    pub fn new(out: W) -> Export<W> {
        Export(Writer::from_writer(out))
    }

    /// Adds rows.
    pub fn add(&mut self, rows: &[Row]) -> io::Result<()> {
        rows.iter().try_for_each(|row| self.0.serialize(row)).map_err(io::Error::from)
    }

    /// Ends the file.
    pub fn finish(mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Reads what [`Export`] wrote, or any table with its columns, in any order.
pub fn read(file: &str, text: &str) -> Result<Vec<Row>, ImportError> {
    let mut reader = ReaderBuilder::new().from_reader(text.as_bytes());
    let rows = reader.deserialize::<Row>().map(|row| {
        row.map_err(|error| {
            let place = error.position().map(|position| format!("line {}", position.line())).unwrap_or_default();
            let problem = match error.into_kind() {
                csv::ErrorKind::Deserialize { err, .. } => err.to_string(),
                kind => format!("{kind:?}"),
            };
            wrong(file, place, problem)
        })
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::rows;
    use super::*;

    fn written() -> String {
        let mut out = Vec::new();
        let mut export = Export::new(&mut out);
        export.add(&rows()).unwrap();
        export.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn csv_comes_back_as_it_was() {
        let text = written();
        assert_eq!(read("a.csv", &text).unwrap(), rows());
        assert!(text.starts_with("run,project,commit,authored_ms,branch,dirty,scenario,"), "{text}");
        assert!(text.lines().nth(1).unwrap().ends_with(",ok,,goodput,,1000000000.0"), "{text}");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let text = written();
        for (from, to, expected) in [
            ("run,", "", "a.csv: `line 2`: "),
            (",2,1790000000001", ",two,1790000000001", "a.csv: `line 2`: field 11: invalid digit found in string"),
            ("\n2,", "\n2,x,", "a.csv: `line 4`: UnequalLengths"),
        ] {
            assert!(text.contains(from), "{from}");
            let error = read("a.csv", &text.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
