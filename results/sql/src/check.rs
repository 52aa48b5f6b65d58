//! Everything that is stored beside everything it follows from.
//!
//! Sheet by sheet the records of its runs are read through, so that every hash is compared, and so is every number with its
//! record; tallies are counted again; what is kept of commits is made again. A sheet at a time: a database is larger than the
//! memory.

use crate::insert::samples;
use crate::read::{RECORDS, assemble};
use crate::sheet::Sheet;
use crate::statement::{Columns, Session, Statement, padded};
use crate::{Fault, directory};
use longhaul_record::{Outcome, RunRecord};
use longhaul_store::Finding;
use std::collections::{BTreeMap, BTreeSet};

/// Rows read at once, where there is one for each run.
const PAGE: u32 = 4096;

/// Compares everything, in a reading transaction.
pub async fn check<S: Session>(db: &mut S) -> Result<Vec<Finding>, Fault> {
    let mut findings = Vec::new();
    let seen = all_sheets(db, &mut findings).await?;
    unseen(db, &seen, &mut findings).await?;
    tallies(db, &mut findings).await?;
    for sheet in directory::wrong(db).await? {
        findings.push(Finding::Commits { sheet });
    }
    Ok(findings)
}

/// What a sheet is compared with, beside its records.
#[derive(Default)]
struct Around {
    /// Places in time, by commits' rows.
    order_ms: BTreeMap<i64, i64>,
    /// Cell and version of the names below.
    key: Option<(i64, i64)>,
    scenario: String,
    subject: String,
    /// Metric and peer of each place.
    series: BTreeMap<usize, (String, String)>,
}

/// Every sheet can be read, its runs are there and belong to it, and its numbers are theirs. Returns the rows of the runs.
async fn all_sheets<S: Session>(db: &mut S, findings: &mut Vec<Finding>) -> Result<BTreeSet<i64>, Fault> {
    let mut around = Around::default();
    for row in db.rows(Statement::new("SELECT id, order_ms FROM commits")).await? {
        around.order_ms.insert(row.integer("id")?, row.integer("order_ms")?);
    }
    let mut seen = BTreeSet::new();
    let list = Statement::new("SELECT id, cell_id, version_id FROM sheets ORDER BY cell_id, version_id, id");
    for listed in db.rows(list).await? {
        around.names(db, (listed.integer("cell_id")?, listed.integer("version_id")?)).await?;
        let sql = Statement::new("SELECT * FROM sheets WHERE id = ").bind(listed.integer("id")?);
        let row = db.row(sql).await?;
        let wrong =
            |what: String| Finding::Sheet { scenario: around.scenario.clone(), subject: around.subject.clone(), what };
        let unpacked = Sheet::unpack(&row.bytes("commits")?, Some(&row.bytes("ids")?), &row.bytes("numbers")?);
        match unpacked {
            Err(what) => findings.push(wrong(what.to_owned())),
            Ok(sheet) => {
                let found = records(db, &around, &sheet, &mut seen, findings).await?;
                findings.extend(found.into_iter().chain(around.frame(&row, &sheet)?).map(wrong));
            }
        }
    }
    Ok(seen)
}

impl Around {
    /// Turns to another cell and version, if it is one.
    async fn names<S: Session>(&mut self, db: &mut S, key: (i64, i64)) -> Result<(), sqlx::Error> {
        if self.key.replace(key) == Some(key) {
            return Ok(());
        }
        let sql = Statement::new(
            "SELECT scenarios.name AS scenario, subjects.name AS subject FROM cells
             JOIN scenarios ON scenarios.id = cells.scenario_id JOIN subjects ON subjects.id = cells.subject_id
             WHERE cells.id = ",
        );
        let names = db.rows(sql.bind(key.0)).await?;
        let name = |column| names.first().map_or(Ok("unknown".to_owned()), |row| row.text(column));
        (self.scenario, self.subject) = (name("scenario")?, name("subject")?);
        let sql = Statement::new("SELECT place, metric, peer FROM series WHERE cell_id = ").bind(key.0);
        self.series.clear();
        for row in db.rows(sql.push(" AND version_id = ").bind(key.1)).await? {
            self.series.insert(row.place("place")?, (row.text("metric")?, row.text("peer")?));
        }
        Ok(())
    }

    /// What is wrong with what is said of the sheet beside it.
    fn frame(&self, row: &impl Columns, sheet: &Sheet) -> Result<Option<String>, sqlx::Error> {
        let (said, runs) = (row.count("runs")?, sheet.commits.len() as u64);
        if said != runs {
            return Ok(Some(format!("says that it has {said} runs, it has {runs}")));
        }
        let times = || sheet.commits.iter().filter_map(|commit| self.order_ms.get(commit)).copied();
        let ends = (Some(row.integer("first_ms")?), Some(row.integer("last_ms")?));
        Ok((ends != (times().min(), times().max())).then(|| "is not where its commits stand in time".to_owned()))
    }
}

/// The numbers of a run: metric, peer and the value's bits.
type Numbers<'n> = BTreeSet<(&'n str, &'n str, u64)>;

/// The records of a sheet's runs. Returns what is wrong with the sheet.
async fn records<S: Session>(
    db: &mut S,
    around: &Around,
    sheet: &Sheet,
    seen: &mut BTreeSet<i64>,
    findings: &mut Vec<Finding>,
) -> Result<Vec<String>, Fault> {
    let ids: Vec<&str> = sheet.ids.iter().map(String::as_str).collect();
    let sql = Statement::new(RECORDS).push(" WHERE runs.uuid IN (").list(padded(&ids)).push(")");
    let mut stored = BTreeMap::new();
    for row in db.rows(sql).await? {
        stored.insert(row.text("uuid")?, row);
    }
    let mut wrong = Vec::new();
    for (line, id) in sheet.ids.iter().enumerate() {
        let Some(row) = stored.get(id) else {
            wrong.push(format!("has run {id}, which is not there"));
            continue;
        };
        if !seen.insert(row.integer("id")?) {
            wrong.push(format!("has run {id}, which another line has too"));
        }
        let key = (row.integer("cell_id")?, row.integer("version_id")?);
        if (Some(key), row.integer("commit_id")?) != (around.key, sheet.commits[line]) {
            wrong.push(format!("has run {id}, which belongs elsewhere"));
        }
        let what = match assemble(row) {
            Ok(run) => difference(&run, id, row.word("outcome", Outcome::parse)?, &around.numbers(sheet, line)),
            Err(error) => Some(format!("its stored record is damaged: {error}")),
        };
        findings.extend(what.map(|what| Finding::Record { id: id.clone(), what }));
    }
    Ok(wrong)
}

impl Around {
    /// The numbers of a line. A place that is no series' has a name that no series has.
    fn numbers<'n>(&'n self, sheet: &Sheet, line: usize) -> Numbers<'n> {
        let name = |place| self.series.get(&place).map_or(("", ""), |(metric, peer)| (metric, peer));
        let number = |place: usize| {
            let (metric, peer) = name(place);
            Some((metric, peer, sheet.value(line, place)?.to_bits()))
        };
        (0..sheet.columns()).filter_map(number).collect()
    }
}

fn difference(run: &RunRecord, id: &str, outcome: Outcome, stored: &Numbers<'_>) -> Option<String> {
    if run.id != id {
        return Some(format!("its stored record is that of run {}", run.id));
    }
    if run.outcome != outcome {
        return Some(format!("it is listed as `{}`, its record says `{}`", outcome.as_str(), run.outcome.as_str()));
    }
    let recorded: Numbers<'_> =
        samples(run).iter().map(|s| (&*s.metric, s.peer.as_deref().unwrap_or(""), s.value.to_bits())).collect();
    (recorded != *stored).then(|| "its samples are not those of its record".to_owned())
}

/// No run is without a sheet, and none without a part of its record.
async fn unseen<S: Session>(db: &mut S, seen: &BTreeSet<i64>, findings: &mut Vec<Finding>) -> Result<(), Fault> {
    let mut after = 0;
    loop {
        let sql = Statement::new("SELECT id, uuid FROM runs WHERE id > ").bind(after).push(" ORDER BY id LIMIT ");
        let rows = db.rows(sql.bind(PAGE)).await?;
        let Some(last) = rows.last() else { break };
        after = last.integer("id")?;
        for row in &rows {
            if !seen.contains(&row.integer("id")?) {
                findings.push(Finding::Record { id: row.text("uuid")?, what: "it is in no sheet".into() });
            }
        }
    }
    let missing = Statement::new(
        "SELECT uuid FROM runs WHERE NOT EXISTS (SELECT 1 FROM artifacts WHERE id = runs.record_id)
            OR NOT EXISTS (SELECT 1 FROM artifacts WHERE id = runs.resolved_id)
            OR series_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM artifacts WHERE id = runs.series_id)",
    );
    for row in db.rows(missing).await? {
        findings.push(Finding::Record { id: row.text("uuid")?, what: "a part of its record is not there".into() });
    }
    Ok(())
}

/// Commits without a hash are the runs outside a repository.
fn sha_or_none(row: &impl Columns) -> Result<String, sqlx::Error> {
    Ok(row.sha()?.unwrap_or_else(|| "none".into()))
}

/// Every tally is the number of its runs, and no runs are without one.
async fn tallies<S: Session>(db: &mut S, findings: &mut Vec<Finding>) -> Result<(), Fault> {
    let sql = Statement::new(
        "WITH counted AS (
             SELECT cell_id, commits.order_ms, commit_id, version_id, outcome, count(*) AS runs
             FROM runs JOIN commits ON commits.id = runs.commit_id
             GROUP BY cell_id, commits.order_ms, commit_id, version_id, outcome
         ), both_sides AS (
             SELECT cell_id, order_ms, commit_id, version_id, outcome, runs AS tally, 0 AS runs FROM tallies
             UNION ALL SELECT cell_id, order_ms, commit_id, version_id, outcome, 0, runs FROM counted
         ), compared AS (
             SELECT cell_id, commit_id, outcome, CAST(sum(tally) AS BIGINT) AS tally, CAST(sum(runs) AS BIGINT) AS runs
             FROM both_sides GROUP BY cell_id, order_ms, commit_id, version_id, outcome
         )
         SELECT scenarios.name AS scenario, subjects.name AS subject, commits.sha, compared.outcome, tally, runs
         FROM compared
         JOIN cells ON cells.id = compared.cell_id
         JOIN scenarios ON scenarios.id = cells.scenario_id
         JOIN subjects ON subjects.id = cells.subject_id
         JOIN commits ON commits.id = compared.commit_id
         WHERE tally <> runs ORDER BY scenario, subject, sha, compared.outcome",
    );
    for row in db.rows(sql).await? {
        findings.push(Finding::Tally {
            scenario: row.text("scenario")?,
            subject: row.text("subject")?,
            commit: sha_or_none(&row)?,
            outcome: row.text("outcome")?,
            counted: row.integer("tally")?,
            runs: row.integer("runs")?,
        });
    }
    Ok(())
}
