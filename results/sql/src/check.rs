//! Everything that is stored beside everything it follows from.
//!
//! Records are read through, so that every hash is compared; tallies are counted again; rollups are made again from their
//! samples. A series at a time: a database is larger than the memory.

use crate::Fault;
use crate::insert::Rollup;
use crate::read::{RECORDS, assemble};
use crate::statement::{Columns, Session, Statement};
use longhaul_record::{Outcome, RunRecord};
use longhaul_store::Finding;
use std::collections::BTreeMap;

/// Records read at once.
const PAGE: u32 = 64;

/// Compares everything, in a reading transaction.
pub async fn check<S: Session>(db: &mut S) -> Result<Vec<Finding>, Fault> {
    let mut findings = Vec::new();
    records(db, &mut findings).await?;
    tallies(db, &mut findings).await?;
    rollups(db, &mut findings).await?;
    Ok(findings)
}

/// Every record can be read, is the run it says, and its numbers are the samples.
async fn records<S: Session>(db: &mut S, findings: &mut Vec<Finding>) -> Result<(), Fault> {
    let mut after = 0;
    let mut recorded = 0;
    loop {
        let sql = Statement::new(RECORDS).push(" WHERE runs.id > ").bind(after).push(" ORDER BY runs.id LIMIT ");
        let rows = db.rows(sql.bind(PAGE)).await?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { break };
        let mut stored = samples(db, first.integer("id")?, last.integer("id")?).await?;
        after = last.integer("id")?;
        for row in &rows {
            let id = row.text("uuid")?;
            let numbers = stored.remove(&row.integer("id")?).unwrap_or_default();
            let what = match assemble(row) {
                Ok(run) => {
                    recorded += if run.outcome == Outcome::Ok { run.samples.len() as i64 } else { 0 };
                    difference(&run, &id, row.word("outcome", Outcome::parse)?, numbers)
                }
                Err(error) => {
                    recorded += numbers.len() as i64;
                    Some(format!("its stored record is damaged: {error}"))
                }
            };
            findings.extend(what.map(|what| Finding::Record { id, what }));
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
    let stored = db.row(Statement::new("SELECT count(*) AS n FROM samples")).await?.integer("n")?;
    if stored != recorded {
        findings.push(Finding::Samples { stored, recorded });
    }
    Ok(())
}

/// Metric, peer and the value's bits.
type Number = (String, String, u64);

/// The samples of some runs.
async fn samples<S: Session>(db: &mut S, first: i64, last: i64) -> Result<BTreeMap<i64, Vec<Number>>, sqlx::Error> {
    let sql = Statement::new("SELECT runs.id, series.metric, series.peer, samples.value FROM runs ")
        .push(S::IN_ORDER)
        .push(" commits ON commits.id = runs.commit_id ")
        .push(S::IN_ORDER)
        .push(" series ON series.cell_id = runs.cell_id AND series.version_id = runs.version_id ")
        .push(S::IN_ORDER)
        .push(
            " rollups ON rollups.series_id = series.id AND rollups.order_ms = commits.order_ms
              AND rollups.commit_id = commits.id ",
        )
        .push(S::SAMPLES)
        .push(" WHERE samples.run_id = runs.id AND runs.id BETWEEN ");
    let mut all: BTreeMap<i64, Vec<Number>> = BTreeMap::new();
    for row in db.rows(sql.bind(first).push(" AND ").bind(last)).await? {
        let number = (row.text("metric")?, row.text("peer")?, row.real("value")?.to_bits());
        all.entry(row.integer("id")?).or_default().push(number);
    }
    Ok(all)
}

fn difference(run: &RunRecord, id: &str, outcome: Outcome, mut stored: Vec<Number>) -> Option<String> {
    if run.id != id {
        return Some(format!("its stored record is that of run {}", run.id));
    }
    if run.outcome != outcome {
        return Some(format!("it is listed as `{}`, its record says `{}`", outcome.as_str(), run.outcome.as_str()));
    }
    let number =
        |s: &longhaul_record::Sample| (s.metric.clone(), s.peer.clone().unwrap_or_default(), s.value.to_bits());
    let mut recorded: Vec<Number> = match run.outcome {
        Outcome::Ok => run.samples.iter().map(number).collect(),
        _ => Vec::new(),
    };
    recorded.sort();
    stored.sort();
    (recorded != stored).then(|| "its samples are not those of its record".to_owned())
}

/// Commits without a hash are the runs outside a repository.
fn sha_or_none(row: &impl Columns) -> Result<String, sqlx::Error> {
    Ok(row.sha()?.unwrap_or_else(|| "none".into()))
}

/// Every tally is the number of its runs, and no runs are without one.
async fn tallies<S: Session>(db: &mut S, findings: &mut Vec<Finding>) -> Result<(), Fault> {
    let sql = Statement::new(
        "WITH counted AS (
             SELECT cell_id, commit_id, outcome, count(*) AS runs FROM runs GROUP BY cell_id, commit_id, outcome
         ), both_sides AS (
             SELECT cell_id, commit_id, outcome, runs AS tally, 0 AS runs FROM tallies
             UNION ALL SELECT cell_id, commit_id, outcome, 0, runs FROM counted
         ), compared AS (
             SELECT cell_id, commit_id, outcome, CAST(sum(tally) AS BIGINT) AS tally, CAST(sum(runs) AS BIGINT) AS runs
             FROM both_sides GROUP BY cell_id, commit_id, outcome
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

/// Every rollup is that of its samples, at its commit's place in time.
async fn rollups<S: Session>(db: &mut S, findings: &mut Vec<Finding>) -> Result<(), Fault> {
    let lines = db.rows(Statement::new("SELECT id FROM series ORDER BY id")).await?;
    for line in lines {
        let id = line.integer("id")?;
        let wrong = wrong_points(db, id).await?;
        if wrong.is_empty() {
            continue;
        }
        let names = Statement::new(
            "SELECT series.metric, scenarios.name AS scenario, subjects.name AS subject
             FROM series JOIN cells ON cells.id = series.cell_id JOIN scenarios ON scenarios.id = cells.scenario_id
             JOIN subjects ON subjects.id = cells.subject_id WHERE series.id = ",
        );
        let names = db.row(names.bind(id)).await?;
        for (commit, what) in wrong {
            let sha = db.rows(Statement::new("SELECT sha FROM commits WHERE id = ").bind(commit)).await?;
            findings.push(Finding::Rollup {
                metric: names.text("metric")?,
                scenario: names.text("scenario")?,
                subject: names.text("subject")?,
                commit: sha.first().map_or(Ok("unknown".into()), sha_or_none)?,
                what,
            });
        }
    }
    Ok(())
}

/// The commits on which a series' rollup is not what it should be.
async fn wrong_points<S: Session>(db: &mut S, line: i64) -> Result<Vec<(i64, String)>, sqlx::Error> {
    let mut values: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    let sql = Statement::new("SELECT commit_id, value FROM samples WHERE series_id = ").bind(line);
    for row in db.rows(sql).await? {
        values.entry(row.integer("commit_id")?).or_default().push(row.real("value")?);
    }
    let mut wrong = Vec::new();
    let sql = Statement::new(
        "SELECT rollups.commit_id, rollups.n, rollups.median, rollups.min, rollups.max,
                rollups.order_ms - commits.order_ms AS shift
         FROM rollups JOIN commits ON commits.id = rollups.commit_id WHERE rollups.series_id = ",
    );
    for row in db.rows(sql.bind(line)).await? {
        let commit = row.integer("commit_id")?;
        let [median, min, max] = [row.real("median")?, row.real("min")?, row.real("max")?];
        let stored = Rollup { n: row.integer("n")?, median, min, max };
        match values.remove(&commit).map(|values| Rollup::of(&values)) {
            None => wrong.push((commit, "it has no samples".to_owned())),
            Some(made) if made != stored => wrong.push((commit, format!("says {stored}, its samples say {made}"))),
            Some(_) if row.integer("shift")? != 0 => wrong.push((commit, "it is not at its commit's time".to_owned())),
            Some(_) => {}
        }
    }
    wrong.extend(values.into_keys().map(|commit| (commit, "its samples have none".to_owned())));
    Ok(wrong)
}

impl std::fmt::Display for Rollup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "n {}, median {}, min {}, max {}", self.n, self.median, self.min, self.max)
    }
}
