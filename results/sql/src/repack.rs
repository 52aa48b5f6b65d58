//! Databases from before there were sheets: their numbers move into some, within the transaction that changes the schema.

use crate::insert::ROWS;
use crate::sheet::Line;
use crate::statement::{Columns, Session, Statement};
use crate::{directory, sheets};
use std::collections::{BTreeMap, BTreeSet};

/// Makes everything that follows from `runs`, `commits` and `old_samples`.
pub async fn repack<S: Session>(db: &mut S) -> Result<(), sqlx::Error> {
    let versions = db.rows(Statement::new("SELECT DISTINCT cell_id, version_id FROM runs ORDER BY 1, 2")).await?;
    for row in versions {
        let key = (row.integer("cell_id")?, row.integer("version_id")?);
        let lines = lines(db, key).await?;
        sheets::add(db, BTreeMap::from([(key, lines)])).await?;
    }
    let commits = db.rows(Statement::new("SELECT id FROM commits")).await?;
    let commits = commits.iter().map(|row| row.integer("id")).collect::<Result<BTreeSet<i64>, _>>()?;
    directory::refresh(db, &commits).await
}

/// The runs of a cell under a version, in the order they were recorded.
async fn lines<S: Session>(db: &mut S, (cell, version): (i64, i64)) -> Result<Vec<Line>, sqlx::Error> {
    let sql = Statement::new("SELECT id, place FROM series WHERE cell_id = ").bind(cell);
    let mut places = BTreeMap::new();
    for row in db.rows(sql.push(" AND version_id = ").bind(version)).await? {
        places.insert(row.integer("id")?, row.place("place")?);
    }
    let mut values: BTreeMap<i64, Vec<(usize, f64)>> = BTreeMap::new();
    for piece in places.keys().copied().collect::<Vec<_>>().chunks(ROWS) {
        let sql = Statement::new("SELECT run_id, series_id, value FROM old_samples WHERE series_id IN (");
        for row in db.rows(sql.list(piece.iter().copied()).push(")")).await? {
            let place = places.get(&row.integer("series_id")?).copied().unwrap_or_default();
            values.entry(row.integer("run_id")?).or_default().push((place, row.real("value")?));
        }
    }
    let sql = Statement::new(
        "SELECT runs.id, runs.uuid, runs.commit_id, commits.order_ms
         FROM runs JOIN commits ON commits.id = runs.commit_id WHERE runs.cell_id = ",
    );
    let sql = sql.bind(cell).push(" AND runs.version_id = ").bind(version).push(" ORDER BY runs.id");
    let line = |row: &S::Row| {
        Ok(Line {
            commit: row.integer("commit_id")?,
            order_ms: row.integer("order_ms")?,
            id: row.text("uuid")?,
            values: values.remove(&row.integer("id")?).unwrap_or_default(),
        })
    };
    db.rows(sql).await?.iter().map(line).collect()
}
