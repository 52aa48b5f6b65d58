//! Sheets in the database: added to by the writer, cut for readers.

use crate::insert::ROWS;
use crate::sheet::{FULL, Line, Sheet};
use crate::statement::{Columns, Session, Statement, Value, damaged, pieces};
use std::collections::BTreeMap;

/// Sheets written by a statement: a few hundred kilobytes.
const SHEETS: usize = 64;

/// A sheet with room for more, or a new one.
struct Open {
    sheet: Sheet,
    first_ms: i64,
    last_ms: i64,
}

impl Default for Open {
    fn default() -> Open {
        Open { sheet: Sheet::default(), first_ms: i64::MAX, last_ms: i64::MIN }
    }
}

/// Adds runs to the sheets of their cells and versions, in a writing transaction. Sheets with room are taken out and put back
/// with more.
pub(crate) async fn add<S: Session>(db: &mut S, lines: BTreeMap<(i64, i64), Vec<Line>>) -> Result<(), sqlx::Error> {
    let keys: Vec<[Value; 2]> = lines.keys().map(|(cell, version)| [(*cell).into(), (*version).into()]).collect();
    let mut open: BTreeMap<(i64, i64), Open> = BTreeMap::new();
    for piece in pieces(&keys, ROWS) {
        let sql = Statement::new("DELETE FROM sheets WHERE open AND (cell_id, version_id) IN (VALUES ").rows(piece);
        let sql = sql.push(") RETURNING cell_id, version_id, first_ms, last_ms, commits, ids, numbers");
        for row in db.rows(sql).await? {
            let (first_ms, last_ms) = (row.integer("first_ms")?, row.integer("last_ms")?);
            let stored = Open { sheet: sheet(&row, true)?, first_ms, last_ms };
            open.insert((row.integer("cell_id")?, row.integer("version_id")?), stored);
        }
    }
    let mut rows = Vec::new();
    for (key, lines) in lines {
        let mut first = open.remove(&key).unwrap_or_default();
        let room = FULL.saturating_sub(first.sheet.commits.len()).min(lines.len());
        let (now, later) = lines.split_at(room);
        first.add(now);
        rows.push(first.row(key)?);
        for piece in later.chunks(FULL) {
            let mut next = Open::default();
            next.add(piece);
            rows.push(next.row(key)?);
        }
    }
    for piece in pieces(&rows, SHEETS) {
        let sql = Statement::new(
            "INSERT INTO sheets (cell_id, version_id, open, runs, first_ms, last_ms, commits, ids, numbers) VALUES ",
        );
        db.change(sql.rows(piece)).await?;
    }
    Ok(())
}

impl Open {
    fn add(&mut self, lines: &[Line]) {
        self.sheet = self.sheet.with(lines);
        for line in lines {
            self.first_ms = self.first_ms.min(line.order_ms);
            self.last_ms = self.last_ms.max(line.order_ms);
        }
    }

    fn row(&self, (cell, version): (i64, i64)) -> Result<[Value; 9], sqlx::Error> {
        let packed = self.sheet.pack().map_err(|source| sqlx::Error::Encode(Box::new(source)))?;
        let runs = self.sheet.commits.len();
        Ok([
            cell.into(),
            version.into(),
            (runs < FULL).into(),
            (runs as u64).into(),
            self.first_ms.into(),
            self.last_ms.into(),
            packed.commits.as_slice().into(),
            packed.ids.as_slice().into(),
            packed.numbers.as_slice().into(),
        ])
    }
}

/// Some neighbouring columns of sheets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    from: usize,
    count: usize,
}

impl Cut {
    /// The fewest with all of `places`.
    pub(crate) fn around(places: impl IntoIterator<Item = usize>) -> Cut {
        let ends = places.into_iter().fold(None, |ends: Option<(usize, usize)>, place| {
            Some(ends.map_or((place, place), |(first, last)| (first.min(place), last.max(place))))
        });
        ends.map_or(Cut { from: 0, count: 0 }, |(first, last)| Cut { from: first, count: last - first + 1 })
    }

    /// Where a place is among them.
    pub(crate) fn column(self, place: usize) -> usize {
        place - self.from
    }

    /// Goes on with what [`sheet`] needs of a row of `sheets`, after a SELECT, and whose it is.
    pub(crate) fn select(self, sql: Statement, ids: bool) -> Statement {
        sql.push("sheets.cell_id, sheets.version_id, sheets.commits, ")
            .push(if ids { "sheets.ids, " } else { "" })
            .push("substr(sheets.numbers, CAST(1 + 8 * sheets.runs * ")
            .bind(self.from as u64)
            .push(" AS INTEGER), CAST(8 * sheets.runs * ")
            .bind(self.count as u64)
            .push(" AS INTEGER)) AS numbers")
    }
}

/// A row with a sheet's parts, or some of them.
pub(crate) fn sheet(row: &impl Columns, ids: bool) -> Result<Sheet, sqlx::Error> {
    let named = if ids { Some(row.bytes("ids")?) } else { None };
    // Of no bytes at all SQLite cuts out NULL.
    let numbers = row.maybe_bytes("numbers")?.unwrap_or_default();
    let sheet = Sheet::unpack(&row.bytes("commits")?, named.as_deref(), &numbers);
    sheet.map_err(|what| damaged("sheets", what))
}

/// Rows of sheets by cell and version, each in the order of their runs.
pub(crate) fn by_version(rows: &[impl Columns], ids: bool) -> Result<BTreeMap<(i64, i64), Vec<Sheet>>, sqlx::Error> {
    let mut all: BTreeMap<(i64, i64), Vec<Sheet>> = BTreeMap::new();
    for row in rows {
        let key = (row.integer("cell_id")?, row.integer("version_id")?);
        all.entry(key).or_default().push(sheet(row, ids)?);
    }
    Ok(all)
}

/// A run in a list of sheets: the place of its commit, the sheet, the line.
pub(crate) type At = (usize, usize, usize);

/// The runs of the commits that have a place, by that, then in the order they were recorded.
pub(crate) fn by_commit(sheets: &[Sheet], places: &BTreeMap<i64, usize>) -> Vec<At> {
    let lines = |(number, sheet): (usize, &Sheet)| -> Vec<At> {
        let place = |(line, commit): (usize, &i64)| Some((*places.get(commit)?, number, line));
        sheet.commits.iter().enumerate().filter_map(place).collect()
    };
    let mut all: Vec<At> = sheets.iter().enumerate().flat_map(lines).collect();
    all.sort_by_key(|(place, ..)| *place);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_as_narrow_as_it_can_be() {
        for (places, from, count) in [(vec![], 0, 0), (vec![4], 4, 1), (vec![5, 2, 3], 2, 4)] {
            let cut = Cut::around(places.clone());
            assert_eq!((cut.from, cut.count), (from, count), "{places:?}");
        }
    }
}
