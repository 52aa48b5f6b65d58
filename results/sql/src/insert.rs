//! Writing runs, all or none.

use crate::artifact::{Artifact, Hash, Press};
use crate::place::{Place, places};
use crate::sheet::Line;
use crate::sheets;
use crate::statement::{Columns, Session, Statement, Value, padded, pieces};
use longhaul_record::{Outcome, RunRecord, Sample};
use longhaul_store::{Evidence, InsertError, Inserted, check};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;

/// Rows of a statement. More are hardly faster, and the largest, of runs, stays below SQLite's limit of 32,766 parameters.
pub(crate) const ROWS: usize = 512;

/// A run, checked and compressed.
pub struct Parcel<'a> {
    run: &'a RunRecord,
    /// The record without the two parts below.
    record: Artifact,
    /// What all runs of a scenario have in common.
    resolved: Arc<Artifact>,
    series: Artifact,
}

/// Checks and compresses runs, before any lock is taken.
pub fn pack(runs: &[RunRecord]) -> Result<Vec<Parcel<'_>>, InsertError> {
    let encode = |id: &str, source| InsertError::Encode { id: id.to_owned(), source };
    let first = runs.first().map_or("", |run| run.id.as_str());
    let mut press = Press::new().map_err(|source| encode(first, source.into()))?;
    let mut resolved: BTreeMap<&str, Arc<Artifact>> = BTreeMap::new();
    let mut parcels = Vec::with_capacity(runs.len());
    for run in runs {
        check(run).map_err(|problem| InsertError::Invalid { id: run.id.clone(), problem })?;
        let parcel = parcel(run, &mut press, &mut resolved).map_err(|source| encode(&run.id, source))?;
        parcels.push(parcel);
    }
    Ok(parcels)
}

fn parcel<'a>(
    run: &'a RunRecord,
    press: &mut Press,
    resolved: &mut BTreeMap<&'a str, Arc<Artifact>>,
) -> Result<Parcel<'a>, Box<dyn Error + Send + Sync>> {
    let mut rest = run.clone();
    let series = serde_json::to_vec(&std::mem::take(&mut rest.series))?;
    rest.scenario_resolved.clear();
    let text = run.scenario_resolved.as_str();
    let shared = match resolved.get(text) {
        Some(shared) => Arc::clone(shared),
        None => {
            let made = Arc::new(press.artifact(text.as_bytes())?);
            resolved.insert(text, Arc::clone(&made));
            made
        }
    };
    let record = press.artifact(&serde_json::to_vec(&rest)?)?;
    Ok(Parcel { run, record, resolved: shared, series: press.artifact(&series)? })
}

/// Writes the runs that are not there yet, in a writing transaction.
pub async fn insert<S: Session>(db: &mut S, parcels: &[Parcel<'_>]) -> Result<Vec<Inserted>, sqlx::Error> {
    let mut known = known(db, parcels).await?;
    let mut answers = Vec::with_capacity(parcels.len());
    let mut new = Vec::new();
    for parcel in parcels {
        // An id may also be there twice among those that are to be inserted.
        let fresh = known.insert(parcel.run.id.clone());
        answers.push(if fresh { Inserted::New } else { Inserted::Known });
        if fresh {
            new.push(parcel);
        }
    }
    if new.is_empty() {
        return Ok(answers);
    }
    let runs: Vec<&RunRecord> = new.iter().map(|parcel| parcel.run).collect();
    let places = places(db, &runs).await?;
    let parts = new.iter().flat_map(|parcel| [&parcel.record, &*parcel.resolved, &parcel.series]);
    let artifacts = artifacts(db, parts.collect::<Vec<_>>()).await?;
    write_runs(db, &new, &places, &artifacts).await?;
    count(db, &new, &places).await?;
    let series = all_series(db, &new, &places).await?;
    let mut lines: BTreeMap<(i64, i64), Vec<Line>> = BTreeMap::new();
    for (parcel, place) in new.iter().zip(&places) {
        let value = |sample: &'_ Sample| {
            let key = (place.cell, place.version, sample.metric.as_str(), sample.peer.as_deref().unwrap_or(""));
            Some((*series.get(&key)?, sample.value))
        };
        let values = samples(parcel.run).iter().filter_map(value).collect();
        let line = Line { commit: place.commit, order_ms: place.order_ms, id: parcel.run.id.clone(), values };
        lines.entry((place.cell, place.version)).or_default().push(line);
    }
    sheets::add(db, lines).await?;
    Ok(answers)
}

/// Only what went well becomes numbers.
pub(crate) fn samples(run: &RunRecord) -> &[Sample] {
    if run.outcome == Outcome::Ok { &run.samples } else { &[] }
}

async fn known<S: Session>(db: &mut S, parcels: &[Parcel<'_>]) -> Result<BTreeSet<String>, sqlx::Error> {
    let mut known = BTreeSet::new();
    for piece in pieces(parcels, ROWS) {
        let sql = Statement::new("SELECT uuid FROM runs WHERE uuid IN (");
        let sql = sql.list(piece.iter().map(|parcel| parcel.run.id.as_str())).push(")");
        for row in db.rows(sql).await? {
            known.insert(row.text("uuid")?);
        }
    }
    Ok(known)
}

/// The row of an artifact.
pub(crate) async fn kept<S: Session>(db: &mut S, artifact: &Artifact) -> Result<i64, sqlx::Error> {
    let ids = artifacts(db, [artifact]).await?;
    ids.get(&artifact.hash).copied().ok_or(sqlx::Error::RowNotFound)
}

/// The rows of all artifacts, by hash. Content that is there already is not stored again.
async fn artifacts<'a, S: Session>(
    db: &mut S,
    all: impl IntoIterator<Item = &'a Artifact>,
) -> Result<BTreeMap<Hash, i64>, sqlx::Error> {
    let all: BTreeMap<Hash, &Artifact> = all.into_iter().map(|artifact| (artifact.hash, artifact)).collect();
    let mut ids = BTreeMap::new();
    let hashes: Vec<&Hash> = all.keys().collect();
    for piece in pieces(&hashes, ROWS) {
        let sql = Statement::new("SELECT id, hash FROM artifacts WHERE hash IN (");
        let rows = db.rows(sql.list(piece.iter().map(|hash| &hash[..])).push(")")).await?;
        take_ids(&rows, &mut ids)?;
    }
    let missing: Vec<&Artifact> = all.into_values().filter(|artifact| !ids.contains_key(&artifact.hash)).collect();
    for piece in pieces(&missing, ROWS / 4) {
        let row = |a: &&Artifact| [Value::from(&a.hash[..]), a.bytes.into(), Value::from(&a.zstd[..])];
        let sql = Statement::new("INSERT INTO artifacts (hash, bytes, zstd) VALUES ");
        let sql = sql.rows(&piece.iter().map(row).collect::<Vec<_>>()).push(" RETURNING id, hash");
        take_ids(&db.rows(sql).await?, &mut ids)?;
    }
    Ok(ids)
}

fn take_ids(rows: &[impl Columns], ids: &mut BTreeMap<Hash, i64>) -> Result<(), sqlx::Error> {
    for row in rows {
        let hash = Hash::try_from(row.bytes("hash")?).map_err(|_| crate::statement::damaged("hash", "not 32 bytes"))?;
        ids.insert(hash, row.integer("id")?);
    }
    Ok(())
}

async fn write_runs<S: Session>(
    db: &mut S,
    new: &[&Parcel<'_>],
    places: &[Place],
    artifacts: &BTreeMap<Hash, i64>,
) -> Result<(), sqlx::Error> {
    let rows: Vec<[Value; 18]> =
        new.iter().zip(places).map(|(parcel, place)| run_row(parcel, place, artifacts)).collect();
    for piece in pieces(&rows, ROWS) {
        let sql = Statement::new(
            "INSERT INTO runs (uuid, cell_id, version_id, commit_id, seed, iteration, started_ms, ended_ms, run_trigger,
                               outcome, reason, paths, delay_error_ns, lateness_p99_ns, unintended_drops, record_id,
                               resolved_id, series_id) VALUES ",
        );
        db.change(sql.rows(piece)).await?;
    }
    Ok(())
}

fn run_row(parcel: &Parcel<'_>, place: &Place, artifacts: &BTreeMap<Hash, i64>) -> [Value; 18] {
    let run = parcel.run;
    let evidence = Evidence::of(run);
    let artifact = |artifact: &Artifact| Value::from(artifacts.get(&artifact.hash).copied());
    [
        run.id.as_str().into(),
        place.cell.into(),
        place.version.into(),
        place.commit.into(),
        run.seed.into(),
        run.iteration.into(),
        run.started_ms.into(),
        run.ended_ms.into(),
        run.trigger.as_str().into(),
        run.outcome.as_str().into(),
        run.reason.as_deref().into(),
        evidence.paths.into(),
        evidence.delay_error_ns.into(),
        evidence.lateness_p99_ns.into(),
        evidence.unintended_drops.into(),
        artifact(&parcel.record),
        artifact(&parcel.resolved),
        artifact(&parcel.series),
    ]
}

/// Adds to the tallies.
async fn count<S: Session>(db: &mut S, new: &[&Parcel<'_>], places: &[Place]) -> Result<(), sqlx::Error> {
    let mut counts: BTreeMap<([i64; 4], &'static str), i64> = BTreeMap::new();
    for (parcel, place) in new.iter().zip(places) {
        let key = [place.cell, place.order_ms, place.commit, place.version];
        *counts.entry((key, parcel.run.outcome.as_str())).or_default() += 1;
    }
    let row = |(([cell, order_ms, commit, version], outcome), runs): (([i64; 4], &str), i64)| -> [Value; 6] {
        [cell.into(), order_ms.into(), commit.into(), version.into(), outcome.into(), runs.into()]
    };
    for piece in pieces(&counts.into_iter().map(row).collect::<Vec<_>>(), ROWS) {
        let sql =
            Statement::new("INSERT INTO tallies (cell_id, order_ms, commit_id, version_id, outcome, runs) VALUES ");
        let sql = sql.rows(piece).push(
            " ON CONFLICT (cell_id, order_ms, commit_id, version_id, outcome)
              DO UPDATE SET runs = tallies.runs + excluded.runs",
        );
        db.change(sql).await?;
    }
    Ok(())
}

/// Cell, version, metric, peer.
type SeriesKey<'k> = (i64, i64, &'k str, &'k str);

/// The places, in their sheets, of all series that the runs have samples of. Those that are missing are added behind the
/// others of their cell and version.
async fn all_series<'p, S: Session>(
    db: &mut S,
    new: &[&'p Parcel<'_>],
    places: &[Place],
) -> Result<BTreeMap<SeriesKey<'p>, usize>, sqlx::Error> {
    let mut wanted: BTreeSet<SeriesKey<'p>> = BTreeSet::new();
    for (parcel, place) in new.iter().zip(places) {
        for sample in samples(parcel.run) {
            wanted.insert((place.cell, place.version, &sample.metric, sample.peer.as_deref().unwrap_or("")));
        }
    }
    // In order, to be searched.
    let wanted: Vec<SeriesKey<'p>> = wanted.into_iter().collect();
    let mut found = BTreeMap::new();
    let mut next: BTreeMap<(i64, i64), usize> = BTreeMap::new();
    let cells: BTreeSet<i64> = wanted.iter().map(|key| key.0).collect();
    for piece in cells.into_iter().collect::<Vec<_>>().chunks(ROWS) {
        let sql = Statement::new("SELECT cell_id, version_id, metric, peer, place FROM series WHERE cell_id IN (");
        for row in db.rows(sql.list(padded(piece)).push(")")).await? {
            let (metric, peer) = (row.text("metric")?, row.text("peer")?);
            let (cell, version, place) = (row.integer("cell_id")?, row.integer("version_id")?, row.place("place")?);
            let key: SeriesKey<'_> = (cell, version, &metric, &peer);
            // The keys that are kept live as long as the runs.
            if let Ok(at) = wanted.binary_search_by(|wanted| wanted.cmp(&key)) {
                found.insert(wanted[at], place);
            }
            let behind = next.entry((cell, version)).or_default();
            *behind = (*behind).max(place + 1);
        }
    }
    let mut missing: Vec<[Value; 5]> = Vec::new();
    for key in wanted {
        if found.contains_key(&key) {
            continue;
        }
        let (cell, version, metric, peer) = key;
        let behind = next.entry((cell, version)).or_default();
        missing.push([cell.into(), version.into(), metric.into(), peer.into(), (*behind as u64).into()]);
        found.insert(key, *behind);
        *behind += 1;
    }
    for piece in pieces(&missing, ROWS) {
        let sql = Statement::new("INSERT INTO series (cell_id, version_id, metric, peer, place) VALUES ").rows(piece);
        db.change(sql).await?;
    }
    Ok(found)
}

/// What there is to know of a series on a commit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rollup {
    /// How many values.
    pub(crate) n: u64,
    /// Their median.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) min: f64,
    /// The largest.
    pub(crate) max: f64,
}

impl Rollup {
    /// Of at least one value.
    pub(crate) fn of(values: &[f64]) -> Rollup {
        if let [value] = *values {
            return Rollup { n: 1, median: value, min: value, max: value };
        }
        Rollup {
            n: values.len() as u64,
            median: longhaul_stats::median(values).unwrap_or(0.0),
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }
}
