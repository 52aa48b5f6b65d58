//! Values over time as CSV: `time,value` or `index,value`, oldest first. A first line may name the columns.

use crate::ImportError;
use csv::{Position, ReaderBuilder, StringRecord, Trim};

/// A value, and what stands before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Time or index, as it is in the file.
    pub at: String,
    /// The value.
    pub value: f64,
}

/// Reads `text`, which is called `file` in errors.
pub fn read(file: &str, text: &str) -> Result<Vec<Point>, ImportError> {
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(text.as_bytes());
    let mut points: Vec<Point> = Vec::new();
    for (number, record) in reader.records().enumerate() {
        let record = record.map_err(|error| ImportError {
            file: file.to_owned(),
            place: error.position().map(|position| format!("line {}", position.line())).unwrap_or_default(),
            problem: error.to_string(),
        })?;
        let line = record.position().map_or(0, |position| line_of(text, position));
        let wrong = |problem: String| ImportError { file: file.to_owned(), place: format!("line {line}"), problem };
        let (at, value) = columns(&record).map_err(wrong)?;
        let Ok(number_value) = value.parse::<f64>() else {
            if number == 0 {
                continue;
            }
            return Err(wrong(format!("`{value}` is not a number")));
        };
        if !number_value.is_finite() {
            return Err(wrong(format!("`{value}` cannot be compared; leave out what was not measured")));
        }
        if let Some(last) = points.last().filter(|last| is_after(&last.at, at)) {
            return Err(wrong(format!("{at} comes after {}; the oldest value goes first", last.at)));
        }
        points.push(Point { at: at.to_owned(), value: number_value });
    }
    match points.is_empty() {
        true => Err(ImportError { file: file.to_owned(), place: String::new(), problem: "there are no values".into() }),
        false => Ok(points),
    }
}

/// The line a record is in. The reader's own number is of the first empty line before it, if there is one.
fn line_of(text: &str, position: &Position) -> usize {
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX).min(text.len());
    let empty = text.bytes().skip(start).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    1 + text.bytes().take(start + empty).filter(|byte| *byte == b'\n').count()
}

fn columns(record: &StringRecord) -> Result<(&str, &str), String> {
    match (record.get(0), record.get(1), record.len()) {
        (Some(at), Some(value), 2) => Ok((at, value)),
        (.., columns) => Err(format!("there are {columns} columns, expected two: `time,value` or `index,value`")),
    }
}

/// Whether `earlier` is in fact the later one, of two numbers or of two dates of the same form.
fn is_after(earlier: &str, later: &str) -> bool {
    match (earlier.parse::<f64>(), later.parse::<f64>()) {
        (Ok(earlier), Ok(later)) => earlier > later,
        _ => {
            let digits =
                |text: &str| text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>();
            // Only dates that begin with the year sort as text.
            digits(earlier).starts_with("0000-") && digits(earlier) == digits(later) && earlier > later
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(text: &str) -> Vec<f64> {
        read("a.csv", text).unwrap().iter().map(|point| point.value).collect()
    }

    #[test]
    fn what_others_write_is_read() {
        for text in [
            "0,1.5\n1,2\n2,-3e2\n",
            "index,value\r\n0,1.5\r\n1,2\r\n2,-3e2",
            "\"time\",\"value\"\n2026-11-01T09:00:00Z, 1.5\n2026-11-02T09:00:00Z,2\n\"2026-11-03T09:00:00Z\",\"-300\"\n",
            "date,ms\n1 Feb,1.5\n\n1 Jan,2\n9 May,-300\n",
            "t,v\n1,1.5\n1,2\n1,-300\n",
        ] {
            assert_eq!(values(text), [1.5, 2.0, -300.0], "{text}");
        }
        assert_eq!(read("a.csv", "a,b\n7 Nov,2\n").unwrap(), [Point { at: "7 Nov".into(), value: 2.0 }]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let rows = [
            ("", "a.csv: there are no values"),
            ("time,value\n", "a.csv: there are no values"),
            ("0,1\n1,x\n", "a.csv: `line 2`: `x` is not a number"),
            ("t,v\nt,v\n", "a.csv: `line 2`: `v` is not a number"),
            ("0,1\n\n1,NaN\n", "a.csv: `line 3`: `NaN` cannot be compared; leave out what was not measured"),
            ("0,1,2\n", "a.csv: `line 1`: there are 3 columns, expected two: `time,value` or `index,value`"),
            ("0\n", "a.csv: `line 1`: there are 1 columns, expected two: `time,value` or `index,value`"),
            ("0,1\n5,2\n3,3\n", "a.csv: `line 3`: 3 comes after 5; the oldest value goes first"),
            (
                "2026-02-01,1\n2026-01-31,2\n",
                "a.csv: `line 2`: 2026-01-31 comes after 2026-02-01; the oldest value goes first",
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(read("a.csv", text).unwrap_err().to_string(), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-a-z0-9.,\"\n\r ]{0,60}") {
            if let Ok(points) = read("a.csv", &text) {
                prop_assert!(!points.is_empty() && points.iter().all(|point| point.value.is_finite()));
            }
        }
    }
}
