//! Sheets as bytes: some runs of a cell under one version of its scenario, their numbers column by column.
//!
//! A row and its index cost a database fifty bytes and a reader microseconds, a number eight bytes and nothing. So numbers are
//! written by the sheet, and a reader takes one column of many sheets, which the database cuts out of `numbers`. What a rollup
//! says is computed from the values then: that costs less than a row that says it.

use crate::bytes::{Reader, SHORT, put_text};

/// Lines of a sheet to which nothing is added any more: few enough to be written anew with each run that is. PostgreSQL keeps what
/// was there before until it is vacuumed.
pub(crate) const FULL: usize = 24;

/// As many full sheets become one: a reader of a long history wants few.
pub(crate) const MERGED: usize = 10;

/// What a run adds to a sheet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// Row of its commit.
    pub(crate) commit: i64,
    /// The commit's place in time.
    pub(crate) order_ms: i64,
    /// The run's id.
    pub(crate) id: String,
    /// Places of series, and the run's values of them.
    pub(crate) values: Vec<(usize, f64)>,
}

/// A table with a line for each run and a column for each series.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sheet {
    /// Row of each run's commit.
    pub(crate) commits: Vec<i64>,
    /// Id of each run; empty where they were not asked for.
    pub(crate) ids: Vec<String>,
    /// Column after column; not a number where a run has none of a series.
    numbers: Vec<f64>,
}

/// A sheet as it is stored.
#[derive(Debug, PartialEq)]
pub(crate) struct Packed {
    pub(crate) commits: Vec<u8>,
    pub(crate) ids: Vec<u8>,
    pub(crate) numbers: Vec<u8>,
}

impl Sheet {
    /// The value of a run, by its line, in a column.
    pub(crate) fn value(&self, line: usize, column: usize) -> Option<f64> {
        let number = self.numbers.get(column * self.commits.len() + line)?;
        Some(*number).filter(|number| !number.is_nan())
    }

    /// How many columns there are.
    pub(crate) fn columns(&self) -> usize {
        self.numbers.len() / self.commits.len().max(1)
    }

    /// The sheet with more lines at its end.
    pub(crate) fn with(&self, lines: &[Line]) -> Sheet {
        let (old, all) = (self.commits.len(), self.commits.len() + lines.len());
        let places = lines.iter().flat_map(|line| &line.values).map(|(place, _)| place + 1);
        let columns = places.max().unwrap_or(0).max(self.columns());
        let mut numbers = vec![f64::NAN; columns * all];
        for column in 0..self.columns() {
            numbers[column * all..column * all + old].copy_from_slice(&self.numbers[column * old..(column + 1) * old]);
        }
        for (line, at) in lines.iter().zip(old..) {
            for (place, value) in &line.values {
                numbers[place * all + at] = *value;
            }
        }
        let commits = self.commits.iter().copied().chain(lines.iter().map(|line| line.commit));
        let ids = self.ids.iter().cloned().chain(lines.iter().map(|line| line.id.clone()));
        Sheet { commits: commits.collect(), ids: ids.collect(), numbers }
    }

    /// All lines of some sheets, in their order.
    pub(crate) fn merged(sheets: &[Sheet]) -> Sheet {
        let columns = sheets.iter().map(Sheet::columns).max().unwrap_or(0);
        let at = |column: usize| {
            let values = move |sheet: &Sheet| {
                (0..sheet.commits.len()).map(|line| sheet.value(line, column).unwrap_or(f64::NAN)).collect::<Vec<_>>()
            };
            sheets.iter().flat_map(values)
        };
        Sheet {
            commits: sheets.iter().flat_map(|sheet| &sheet.commits).copied().collect(),
            ids: sheets.iter().flat_map(|sheet| &sheet.ids).cloned().collect(),
            numbers: (0..columns).flat_map(at).collect(),
        }
    }

    /// As it is stored. Fails for a row of a commit that is none.
    pub(crate) fn pack(&self) -> Result<Packed, std::num::TryFromIntError> {
        let mut packed = Packed { commits: Vec::new(), ids: Vec::new(), numbers: Vec::new() };
        for commit in &self.commits {
            packed.commits.extend_from_slice(&u32::try_from(*commit)?.to_le_bytes());
        }
        for id in &self.ids {
            put_id(&mut packed.ids, id);
        }
        packed.numbers = self.numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        Ok(packed)
    }

    /// From what is stored, or from some of its columns, with or without ids.
    pub(crate) fn unpack(commits: &[u8], ids: Option<&[u8]>, numbers: &[u8]) -> Result<Sheet, &'static str> {
        let (commits, []) = commits.as_chunks() else { return Err(SHORT) };
        let commits: Vec<i64> = commits.iter().map(|commit| i64::from(u32::from_le_bytes(*commit))).collect();
        let mut named = Vec::new();
        let mut reader = Reader(ids.unwrap_or_default());
        while !reader.is_empty() {
            named.push(id(&mut reader)?);
        }
        let (numbers, []) = numbers.as_chunks() else { return Err(SHORT) };
        let numbers: Vec<f64> = numbers.iter().map(|number| f64::from_le_bytes(*number)).collect();
        let is_whole = !commits.is_empty() && numbers.len().is_multiple_of(commits.len());
        if !is_whole || (ids.is_some() && named.len() != commits.len()) {
            return Err("has parts of different numbers of runs");
        }
        Ok(Sheet { commits, ids: named, numbers })
    }
}

/// Where a UUID has hyphens.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// The 16 bytes of a UUID in its usual form; any other text as it is.
fn put_id(out: &mut Vec<u8>, id: &str) {
    match uuid(id) {
        Some(number) => {
            out.push(1);
            out.extend_from_slice(&number.to_be_bytes());
        }
        None => {
            out.push(0);
            put_text(out, id);
        }
    }
}

fn id(reader: &mut Reader<'_>) -> Result<String, &'static str> {
    if !reader.flag()? {
        return Ok(reader.text()?.to_owned());
    }
    let digits = format!("{:032x}", u128::from_be_bytes(reader.array()?));
    let [a, b, c, d, e] = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    Ok([a, b, c, d, e].join("-"))
}

fn uuid(id: &str) -> Option<u128> {
    let is_usual = |(at, byte): (usize, &u8)| match HYPHENS.contains(&at) {
        true => *byte == b'-',
        false => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    if id.len() != 36 || !id.as_bytes().iter().enumerate().all(is_usual) {
        return None;
    }
    u128::from_str_radix(&id.replace('-', ""), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "[0-9A-Fa-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "[-0-9a-f+]{36}",
            ".{0,40}",
        ]
    }

    fn lines() -> impl Strategy<Value = Vec<Line>> {
        let values = prop::collection::btree_map(0..6usize, prop::num::f64::NORMAL | prop::num::f64::ZERO, 0..5);
        let line = (0..u32::MAX, ids(), values).prop_map(|(commit, id, values)| Line {
            commit: commit.into(),
            order_ms: 0,
            id,
            values: values.into_iter().collect(),
        });
        prop::collection::vec(line, 1..9)
    }

    proptest! {
        #[test]
        fn everything_comes_back(lines in lines(), cut in 0..9usize) {
            let (first, rest) = lines.split_at(cut.min(lines.len()));
            let sheet = Sheet::default().with(first).with(rest);
            let packed = sheet.pack().unwrap();
            let back = Sheet::unpack(&packed.commits, Some(&packed.ids), &packed.numbers).unwrap();
            let halves = [first, rest].map(|lines| Sheet::default().with(lines));
            prop_assert_eq!(&Sheet::merged(&halves).pack().unwrap(), &packed);
            prop_assert_eq!(back.pack().unwrap(), packed);
            for (at, line) in lines.iter().enumerate() {
                prop_assert_eq!((back.commits[at], &back.ids[at]), (line.commit, &line.id));
                for place in 0..8 {
                    let expect = line.values.iter().find(|(own, _)| *own == place).map(|(_, value)| value.to_bits());
                    prop_assert_eq!(back.value(at, place).map(f64::to_bits), expect);
                }
            }
        }

        #[test]
        fn a_column_can_be_cut_out(lines in lines(), place in 0..6usize) {
            let sheet = Sheet::default().with(&lines);
            let packed = sheet.pack().unwrap();
            let width = 8 * lines.len();
            let column: Vec<u8> = packed.numbers.iter().copied().skip(width * place).take(width).collect();
            let cut = Sheet::unpack(&packed.commits, None, &column).unwrap();
            for at in 0..lines.len() {
                prop_assert_eq!(cut.value(at, 0), sheet.value(at, place));
            }
        }

        #[test]
        fn damage_is_no_panic(commits in any::<Vec<u8>>(), ids in any::<Vec<u8>>(), numbers in any::<Vec<u8>>()) {
            if let Ok(sheet) = Sheet::unpack(&commits, Some(&ids), &numbers) {
                prop_assert_eq!(sheet.ids.len(), sheet.commits.len());
            }
        }
    }

    #[test]
    fn a_uuid_takes_sixteen_bytes() {
        let mut out = Vec::new();
        put_id(&mut out, "0f2c7a54-1b1e-4c0e-9a0e-5f4f1c2d3e4a");
        assert_eq!(out.len(), 17);
    }
}
