//! Our own records as JSON lines: whole, so that nothing is lost on the way.

use crate::{ImportError, json, wrong};
use longhaul_record::{RunRecord, SCHEMA};
use std::io::{self, Write};

/// Writes a record on a line of its own.
pub fn write(mut out: impl Write, run: &RunRecord) -> io::Result<()> {
    serde_json::to_writer(&mut out, run)?;
    out.write_all(b"\n")
}

/// Reads one line, the `number`th of `file`.
pub fn read(file: &str, number: usize, line: &str) -> Result<RunRecord, ImportError> {
    let place =
        |place: &str| if place.is_empty() { format!("line {number}") } else { format!("line {number}, {place}") };
    let record: RunRecord = json(file, line).map_err(|error| wrong(file, place(&error.place), error.problem))?;
    if record.schema > SCHEMA {
        let problem = format!(
            "its schema is {}, this longhaul knows up to {SCHEMA}; use the newer longhaul that wrote it",
            record.schema
        );
        return Err(wrong(file, place("schema"), problem));
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    #[test]
    fn records_come_back_as_they_were() {
        for run in rows::runs("a", rows::tests::rows()).unwrap() {
            let mut line = Vec::new();
            write(&mut line, &run).unwrap();
            let line = String::from_utf8(line).unwrap();
            assert_eq!((read("a", 1, &line).unwrap(), line.matches('\n').count()), (run, 1));
            let newer = line.replacen("\"schema\":", "\"schema\":9", 1);
            let error = read("a", 3, &newer).unwrap_err().to_string();
            assert!(error.starts_with("a: `line 3, schema`: its schema is 9"), "{error}");
            let error = read("a", 3, &line.replacen("\"seed\":", "\"seed\":-", 1)).unwrap_err().to_string();
            assert!(error.starts_with("a: `line 3, seed`: "), "{error}");
        }
        assert!(read("a", 3, "").unwrap_err().to_string().starts_with("a: `line 3`: EOF"));
    }
}
