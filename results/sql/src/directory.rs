//! What is known of commits, 256 of them in a row: a history of thousands is read by the dozen.
//!
//! `commits` is what counts. The writer keeps `commit_sheets` as it follows from it, and `longhaul db check` compares them.

use crate::bytes::{Reader, put_i64, put_maybe, put_text};
use crate::insert::ROWS;
use crate::read::commit;
use crate::statement::{Columns, Session, Statement, Value, damaged, padded};
use longhaul_store::Commit;
use std::collections::{BTreeMap, BTreeSet};

/// Bits of a commit's row that say where it is within its sheet.
const BITS: u32 = 8;

/// A commit and its place in time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) order_ms: i64,
    pub(crate) commit: Commit,
}

impl Entry {
    /// Where it stands among others: newest last.
    pub(crate) fn order(&self) -> (i64, i64, Option<&str>, bool) {
        (self.order_ms, self.commit.first_run_ms, self.commit.sha.as_deref(), self.commit.dirty)
    }
}

/// Writes the sheets of some commits anew, in a writing transaction.
pub(crate) async fn refresh<S: Session>(db: &mut S, commits: &BTreeSet<i64>) -> Result<(), sqlx::Error> {
    let sheets: BTreeSet<i64> = commits.iter().map(|commit| commit >> BITS).collect();
    for sheet in sheets {
        let row: [Value; 2] = [sheet.into(), made(db, sheet).await?.as_slice().into()];
        let sql = Statement::new("INSERT INTO commit_sheets (id, content) VALUES ").rows(&[row]);
        db.change(sql.push(" ON CONFLICT (id) DO UPDATE SET content = excluded.content")).await?;
    }
    Ok(())
}

/// What a sheet is to say.
async fn made<S: Session>(db: &mut S, sheet: i64) -> Result<Vec<u8>, sqlx::Error> {
    let sql = Statement::new(
        "SELECT commits.id, order_ms, projects.name AS project, sha, dirty, authored_ms, branch, summary, first_run_ms
         FROM commits JOIN projects ON projects.id = commits.project_id WHERE commits.id BETWEEN ",
    );
    let sql = sql.bind(sheet << BITS).push(" AND ").bind((sheet << BITS) + (1 << BITS) - 1);
    let mut content = Vec::new();
    for row in db.rows(sql.push(" ORDER BY commits.id")).await? {
        let entry = Entry { order_ms: row.integer("order_ms")?, commit: commit(&row)? };
        put(&mut content, row.integer("id")?, &entry);
    }
    Ok(content)
}

/// Which sheets are not as they follow from the commits.
pub(crate) async fn wrong<S: Session>(db: &mut S) -> Result<Vec<i64>, sqlx::Error> {
    let mut stored = BTreeMap::new();
    for row in db.rows(Statement::new("SELECT id, content FROM commit_sheets")).await? {
        stored.insert(row.integer("id")?, row.bytes("content")?);
    }
    let last = db.row(Statement::new("SELECT coalesce(max(id), 0) AS id FROM commits")).await?.integer("id")?;
    let mut wrong = Vec::new();
    for sheet in 0..=last >> BITS {
        if made(db, sheet).await? != stored.remove(&sheet).unwrap_or_default() {
            wrong.push(sheet);
        }
    }
    wrong.extend(stored.into_keys());
    Ok(wrong)
}

/// The commits of these rows, in the rows' order, each once.
pub(crate) async fn commits<S: Session>(db: &mut S, mut wanted: Vec<i64>) -> Result<Vec<(i64, Entry)>, sqlx::Error> {
    wanted.sort_unstable();
    wanted.dedup();
    let mut sheets: Vec<i64> = wanted.iter().map(|commit| commit >> BITS).collect();
    sheets.dedup();
    let mut found = Vec::with_capacity(wanted.len());
    for piece in sheets.chunks(ROWS) {
        let sql = Statement::new("SELECT content FROM commit_sheets WHERE id IN (");
        for row in db.rows(sql.list(padded(piece)).push(") ORDER BY id")).await? {
            take(&row.bytes("content")?, &wanted, &mut found).map_err(|what| damaged("content", what))?;
        }
    }
    match found.len() == wanted.len() {
        true => Ok(found),
        false => Err(damaged("content", "a commit is in no sheet")),
    }
}

fn put(out: &mut Vec<u8>, id: i64, entry: &Entry) {
    let commit = &entry.commit;
    put_i64(out, id);
    put_i64(out, entry.order_ms);
    put_text(out, &commit.project);
    put_maybe(out, commit.sha.as_deref(), put_text);
    out.push(u8::from(commit.dirty));
    put_maybe(out, commit.authored_ms, put_i64);
    put_maybe(out, commit.branch.as_deref(), put_text);
    put_maybe(out, commit.summary.as_deref(), put_text);
    put_i64(out, commit.first_run_ms);
}

/// Those of a sheet that are wanted, which are in order.
fn take(content: &[u8], wanted: &[i64], found: &mut Vec<(i64, Entry)>) -> Result<(), &'static str> {
    let mut reader = Reader(content);
    while !reader.is_empty() {
        let id = reader.i64()?;
        let order_ms = reader.i64()?;
        let project = reader.text()?;
        let sha = reader.maybe(Reader::text)?;
        let dirty = reader.flag()?;
        let authored_ms = reader.maybe(Reader::i64)?;
        let branch = reader.maybe(Reader::text)?;
        let summary = reader.maybe(Reader::text)?;
        let first_run_ms = reader.i64()?;
        if wanted.binary_search(&id).is_ok() {
            let [sha, branch, summary] = [sha, branch, summary].map(|text| text.map(str::to_owned));
            let project = project.to_owned();
            let commit = Commit { project, sha, dirty, authored_ms, branch, summary, first_run_ms };
            found.push((id, Entry { order_ms, commit }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn commits_come_back(
            texts in prop::collection::vec((any::<String>(), prop::option::of(any::<String>()), prop::option::of(".{1,9}")), 0..9),
            times in (any::<i64>(), prop::option::of(any::<i64>()), any::<i64>()),
            dirty in any::<bool>(),
        ) {
            let entry = |(project, summary, sha): &(String, Option<String>, Option<String>)| {
                let (order_ms, authored_ms, first_run_ms) = times;
                let (project, sha, branch, summary) = (project.clone(), sha.clone(), sha.clone(), summary.clone());
                Entry { order_ms, commit: Commit { project, sha, dirty, authored_ms, branch, summary, first_run_ms } }
            };
            let expect: Vec<(i64, Entry)> = (-2..).zip(texts.iter().map(entry)).collect();
            let mut content = Vec::new();
            for (id, entry) in &expect {
                put(&mut content, *id, entry);
            }
            let mut found = Vec::new();
            take(&content, &expect.iter().map(|(id, _)| *id).collect::<Vec<_>>(), &mut found).unwrap();
            prop_assert_eq!(&found, &expect);
            if let Some((_, short)) = content.split_last() {
                prop_assert!(take(short, &[], &mut found).is_err());
            }
        }
    }
}
