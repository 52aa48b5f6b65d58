//! Sheets in the database: added to by the writer, cut for readers.

use crate::insert::ROWS;
use crate::sheet::{FULL, Line, MERGED, Sheet};
use crate::statement::{Columns, Session, Statement, Value, damaged, filled_up, pieces};
use std::collections::BTreeMap;

/// Sheets written by a statement: a few hundred kilobytes.
const SHEETS: usize = 64;

/// A sheet, and where its first and its last commit stand in time.
struct Dated {
    sheet: Sheet,
    first_ms: i64,
    last_ms: i64,
}

impl Default for Dated {
    fn default() -> Dated {
        Dated { sheet: Sheet::default(), first_ms: i64::MAX, last_ms: i64::MIN }
    }
}

/// Cell and version.
type Key = (i64, i64);

/// Adds runs to the sheets of their cells and versions, in a writing transaction. Sheets with room are taken out and put back
/// with more; where there are enough full ones, these are taken out and put back as one.
pub(crate) async fn add<S: Session>(db: &mut S, lines: BTreeMap<Key, Vec<Line>>) -> Result<(), sqlx::Error> {
    let keys: Vec<[Value; 2]> = lines.keys().map(row_key).collect();
    let mut open = take(db, &keys, "0").await?;
    let (mut full, mut with_room, mut filled) = (Vec::new(), Vec::new(), Vec::new());
    for (key, lines) in lines {
        let mut sheet = open.remove(&key).and_then(|mut sheets| sheets.pop()).unwrap_or_default();
        let room = FULL.saturating_sub(sheet.sheet.commits.len()).min(lines.len());
        let (now, later) = lines.split_at(room);
        sheet.add(now);
        let mut sheets = vec![sheet];
        for piece in later.chunks(FULL) {
            let mut next = Dated::default();
            next.add(piece);
            sheets.push(next);
        }
        for sheet in sheets {
            let is_full = sheet.sheet.commits.len() >= FULL;
            if is_full { &mut full } else { &mut with_room }.push(sheet.row(key)?);
            if is_full && filled.last() != Some(&row_key(&key)) {
                filled.push(row_key(&key));
            }
        }
    }
    // In this order: runs are read in the order in which their sheets were written.
    write(db, &full).await?;
    merge(db, &filled).await?;
    write(db, &with_room).await
}

/// Makes one of full sheets, where there are enough of them.
async fn merge<S: Session>(db: &mut S, filled: &[[Value; 2]]) -> Result<(), sqlx::Error> {
    let mut ripe: Vec<[Value; 2]> = Vec::new();
    for piece in filled.chunks(ROWS) {
        let sql = of(piece).push("SELECT sheets.cell_id, sheets.version_id").push(WANTED).push("1 ");
        let sql = sql.push(" GROUP BY sheets.cell_id, sheets.version_id HAVING count(*) >= ").bind(MERGED as u64);
        for row in db.rows(sql).await? {
            ripe.push(row_key(&(row.integer("cell_id")?, row.integer("version_id")?)));
        }
    }
    let full = take(db, &ripe, "1").await?;
    let mut rows = Vec::new();
    for (key, sheets) in full {
        let first_ms = sheets.iter().map(|sheet| sheet.first_ms).min().unwrap_or_default();
        let last_ms = sheets.iter().map(|sheet| sheet.last_ms).max().unwrap_or_default();
        let sheets: Vec<Sheet> = sheets.into_iter().map(|sheet| sheet.sheet).collect();
        rows.push(Dated { sheet: Sheet::merged(&sheets), first_ms, last_ms }.row(key)?);
    }
    write(db, &rows).await
}

fn row_key((cell, version): &Key) -> [Value; 2] {
    [(*cell).into(), (*version).into()]
}

/// Begins a statement about cells and versions. Continues with what to do.
fn of(keys: &[[Value; 2]]) -> Statement {
    Statement::new("WITH wanted (cell_id, version_id) AS (VALUES ").rows(&filled_up(keys)).push(") ")
}

/// Their sheets. Continues with the level, as a number: the indices are of one each.
const WANTED: &str = "
    FROM wanted JOIN sheets ON sheets.cell_id = wanted.cell_id AND sheets.version_id = wanted.version_id
                               AND sheets.level = ";

/// Takes sheets of a level out, each list in the order in which they were written.
async fn take<S: Session>(
    db: &mut S,
    keys: &[[Value; 2]],
    level: &'static str,
) -> Result<BTreeMap<Key, Vec<Dated>>, sqlx::Error> {
    let mut taken: BTreeMap<Key, Vec<Dated>> = BTreeMap::new();
    for piece in keys.chunks(ROWS) {
        let sql = of(piece).push("DELETE FROM sheets WHERE id IN (SELECT sheets.id").push(WANTED).push(level);
        let rows = db.rows(sql.push(") RETURNING *")).await?;
        let mut ordered =
            rows.iter().map(|row| Ok((row.integer("id")?, row))).collect::<Result<Vec<_>, sqlx::Error>>()?;
        ordered.sort_by_key(|(id, _)| *id);
        for (_, row) in ordered {
            let (first_ms, last_ms) = (row.integer("first_ms")?, row.integer("last_ms")?);
            let key = (row.integer("cell_id")?, row.integer("version_id")?);
            taken.entry(key).or_default().push(Dated { sheet: sheet(row, true)?, first_ms, last_ms });
        }
    }
    Ok(taken)
}

async fn write<S: Session>(db: &mut S, rows: &[[Value; 9]]) -> Result<(), sqlx::Error> {
    for piece in pieces(rows, SHEETS) {
        let sql = Statement::new(
            "INSERT INTO sheets (cell_id, version_id, level, runs, first_ms, last_ms, commits, ids, numbers) VALUES ",
        );
        db.change(sql.rows(piece)).await?;
    }
    Ok(())
}

impl Dated {
    fn add(&mut self, lines: &[Line]) {
        self.sheet = self.sheet.with(lines);
        for line in lines {
            self.first_ms = self.first_ms.min(line.order_ms);
            self.last_ms = self.last_ms.max(line.order_ms);
        }
    }

    fn row(&self, (cell, version): Key) -> Result<[Value; 9], sqlx::Error> {
        let packed = self.sheet.pack().map_err(|source| sqlx::Error::Encode(Box::new(source)))?;
        let runs = self.sheet.commits.len();
        let level: i64 = match runs {
            ..FULL => 0,
            FULL => 1,
            _ => 2,
        };
        Ok([
            cell.into(),
            version.into(),
            level.into(),
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
pub(crate) fn by_version(rows: &[impl Columns], ids: bool) -> Result<BTreeMap<Key, Vec<Sheet>>, sqlx::Error> {
    let mut all: BTreeMap<Key, Vec<Sheet>> = BTreeMap::new();
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
