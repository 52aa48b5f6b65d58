//! Writing runs, all or none.

use crate::artifact::{Artifact, Hash, Press};
use crate::statement::{Columns, Session, Statement, Value, pieces};
use longhaul_record::{HostDetail, Outcome, RunRecord};
use longhaul_store::{Evidence, InsertError, Inserted, check};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;

/// Rows of a statement. More are hardly faster, and the largest, of runs, stays below SQLite's limit of 32,766 parameters.
pub const ROWS: usize = 512;

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

/// The rows a run refers to.
#[derive(Clone, Copy)]
struct Place {
    cell: i64,
    version: i64,
    commit: i64,
    order_ms: i64,
}

/// A series on a commit, all of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Row of the series.
    pub series: i64,
    /// Row of the commit.
    pub commit: i64,
    /// The commit's place in time.
    pub order_ms: i64,
    /// Rows of runs and their values: first those that are stored already, as they come, then the new ones.
    pub samples: Vec<(i64, f64)>,
    /// How many are stored already.
    pub stored: usize,
}

impl Point {
    /// What is to be added.
    pub fn new_samples(&self) -> &[(i64, f64)] {
        &self.samples[self.stored..]
    }

    /// What readers want to know of it.
    pub fn rollup(&self) -> Rollup {
        Rollup::of(&self.samples.iter().map(|(_, value)| *value).collect::<Vec<_>>())
    }
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
    let places = places(db, &new).await?;
    let parts = new.iter().flat_map(|parcel| [&parcel.record, &*parcel.resolved, &parcel.series]);
    let artifacts = artifacts(db, parts.collect::<Vec<_>>()).await?;
    let rows = write_runs(db, &new, &places, &artifacts).await?;
    let measured_before = count(db, &new, &places).await?;
    let series = all_series(db, &new, &places).await?;
    let mut fresh = BTreeMap::new();
    let mut known = BTreeMap::new();
    for ((parcel, place), row) in new.iter().zip(&places).zip(&rows) {
        let points = if measured_before.contains(&(place.cell, place.commit)) { &mut known } else { &mut fresh };
        for sample in samples(parcel.run) {
            let peer = sample.peer.as_deref().unwrap_or("");
            let Some(&line) = series.get(&(place.cell, place.version, sample.metric.as_str(), peer)) else { continue };
            let (commit, order_ms) = (place.commit, place.order_ms);
            let point = points.entry((line, commit)).or_insert_with(|| Point {
                series: line,
                commit,
                order_ms,
                samples: Vec::new(),
                stored: 0,
            });
            point.samples.push((*row, sample.value));
        }
    }
    add_stored(db, &mut known).await?;
    fresh.append(&mut known);
    db.write_points(&fresh.into_values().collect::<Vec<_>>()).await?;
    Ok(answers)
}

/// Only what went well becomes numbers.
fn samples(run: &RunRecord) -> &[longhaul_record::Sample] {
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

/// Where each run belongs. Rows that are missing are added.
async fn places<S: Session>(db: &mut S, new: &[&Parcel<'_>]) -> Result<Vec<Place>, sqlx::Error> {
    type Key<'k> = (&'k str, &'k str, &'k str, &'k str, &'k str, Option<&'k str>, bool);
    let mut found: BTreeMap<Key<'_>, Place> = BTreeMap::new();
    let mut places = Vec::with_capacity(new.len());
    for parcel in new {
        let run = parcel.run;
        let dirty = run.commit_detail.as_ref().is_some_and(|detail| detail.dirty);
        let (host, hash) = (run.host.fingerprint.as_str(), run.scenario_hash.as_str());
        let key = (&*run.project, &*run.scenario, hash, &*run.subject, host, run.commit.as_deref(), dirty);
        let place = match found.get(&key) {
            Some(place) => *place,
            None => place(db, run).await?,
        };
        found.insert(key, place);
        places.push(place);
    }
    Ok(places)
}

async fn place<S: Session>(db: &mut S, run: &RunRecord) -> Result<Place, sqlx::Error> {
    let project = named(db, "INSERT INTO projects (name) VALUES (", &run.project).await?;
    let scenario = named(db, "INSERT INTO scenarios (name) VALUES (", &run.scenario).await?;
    let subject = named(db, "INSERT INTO subjects (name) VALUES (", &run.subject).await?;
    let host = host(db, &run.host).await?;
    let version = Statement::new("INSERT INTO scenario_versions (scenario_id, hash, words) VALUES (")
        .list([Value::from(scenario), run.scenario_hash.as_str().into(), run.scenario_words.as_str().into()])
        .push(") ON CONFLICT (scenario_id, hash) DO UPDATE SET words = excluded.words RETURNING id");
    let version = db.row(version).await?.integer("id")?;
    let cell = Statement::new("INSERT INTO cells (project_id, scenario_id, subject_id, host_id) VALUES (")
        .list([project, scenario, subject, host])
        .push(
            ") ON CONFLICT (scenario_id, subject_id, project_id, host_id)
               DO UPDATE SET project_id = excluded.project_id RETURNING id",
        );
    let cell = db.row(cell).await?.integer("id")?;
    let (commit, order_ms) = commit(db, project, run).await?;
    Ok(Place { cell, version, commit, order_ms })
}

/// The row of a machine.
pub(crate) async fn host<S: Session>(db: &mut S, host: &HostDetail) -> Result<i64, sqlx::Error> {
    let sql = Statement::new("INSERT INTO hosts (fingerprint, cpu) VALUES (")
        .list([host.fingerprint.as_str(), host.cpu.as_str()])
        .push(") ON CONFLICT (fingerprint) DO UPDATE SET cpu = excluded.cpu RETURNING id");
    db.row(sql).await?.integer("id")
}

/// The row of a name; `insert` says in which table.
pub(crate) async fn named<S: Session>(db: &mut S, insert: &'static str, name: &str) -> Result<i64, sqlx::Error> {
    let sql = Statement::new(insert).bind(name);
    let sql = sql.push(") ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id");
    db.row(sql).await?.integer("id")
}

/// The commit's row and its place in time. Details that were unknown at an earlier run are filled in.
async fn commit<S: Session>(db: &mut S, project: i64, run: &RunRecord) -> Result<(i64, i64), sqlx::Error> {
    let detail = run.commit_detail.as_ref();
    let authored = detail.map(|detail| detail.authored_ms);
    let values: [Value; 8] = [
        project.into(),
        run.commit.as_deref().unwrap_or("").into(),
        detail.is_some_and(|detail| detail.dirty).into(),
        authored.into(),
        detail.and_then(|detail| detail.branch.as_deref()).into(),
        detail.map(|detail| detail.summary.as_str()).into(),
        run.started_ms.into(),
        authored.unwrap_or(run.started_ms).into(),
    ];
    let sql = Statement::new(
        "INSERT INTO commits (project_id, sha, dirty, authored_ms, branch, summary, first_run_ms, order_ms) VALUES ",
    )
    .rows(&[values])
    .push(
        " ON CONFLICT (project_id, sha, dirty) DO UPDATE SET
             authored_ms = coalesce(commits.authored_ms, excluded.authored_ms),
             branch = coalesce(commits.branch, excluded.branch),
             summary = coalesce(commits.summary, excluded.summary),
             first_run_ms = CASE WHEN excluded.first_run_ms < commits.first_run_ms
                                 THEN excluded.first_run_ms ELSE commits.first_run_ms END
         RETURNING id, order_ms",
    );
    let row = db.row(sql).await?;
    Ok((row.integer("id")?, row.integer("order_ms")?))
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

/// The runs' rows, in their order.
async fn write_runs<S: Session>(
    db: &mut S,
    new: &[&Parcel<'_>],
    places: &[Place],
    artifacts: &BTreeMap<Hash, i64>,
) -> Result<Vec<i64>, sqlx::Error> {
    let rows: Vec<[Value; 18]> =
        new.iter().zip(places).map(|(parcel, place)| run_row(parcel, place, artifacts)).collect();
    let mut ids: BTreeMap<String, i64> = BTreeMap::new();
    for piece in pieces(&rows, ROWS) {
        let sql = Statement::new(
            "INSERT INTO runs (uuid, cell_id, version_id, commit_id, seed, iteration, started_ms, ended_ms, run_trigger,
                               outcome, reason, paths, delay_error_ns, lateness_p99_ns, unintended_drops, record_id,
                               resolved_id, series_id) VALUES ",
        );
        for row in db.rows(sql.rows(piece).push(" RETURNING id, uuid")).await? {
            ids.insert(row.text("uuid")?, row.integer("id")?);
        }
    }
    new.iter().map(|parcel| ids.get(&parcel.run.id).copied().ok_or(sqlx::Error::RowNotFound)).collect()
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

/// Adds to the tallies. Says on which commits which cells had good runs before.
async fn count<S: Session>(
    db: &mut S,
    new: &[&Parcel<'_>],
    places: &[Place],
) -> Result<BTreeSet<(i64, i64)>, sqlx::Error> {
    let mut counts: BTreeMap<(i64, i64, &'static str), i64> = BTreeMap::new();
    for (parcel, place) in new.iter().zip(places) {
        *counts.entry((place.cell, place.commit, parcel.run.outcome.as_str())).or_default() += 1;
    }
    let rows: Vec<[Value; 4]> = counts
        .iter()
        .map(|((cell, commit, outcome), runs)| [(*cell).into(), (*commit).into(), (*outcome).into(), (*runs).into()])
        .collect();
    let mut before = BTreeSet::new();
    for piece in pieces(&rows, ROWS) {
        let sql = Statement::new("INSERT INTO tallies (cell_id, commit_id, outcome, runs) VALUES ").rows(piece).push(
            " ON CONFLICT (cell_id, commit_id, outcome) DO UPDATE SET runs = tallies.runs + excluded.runs
             RETURNING cell_id, commit_id, outcome, runs",
        );
        for row in db.rows(sql).await? {
            let (cell, commit) = (row.integer("cell_id")?, row.integer("commit_id")?);
            let good = row.word("outcome", Outcome::parse)? == Outcome::Ok;
            if good && counts.get(&(cell, commit, Outcome::Ok.as_str())) != Some(&row.integer("runs")?) {
                before.insert((cell, commit));
            }
        }
    }
    Ok(before)
}

/// Cell, version, metric, peer.
type SeriesKey<'k> = (i64, i64, &'k str, &'k str);

/// The rows of all series that the runs have samples of.
async fn all_series<'p, S: Session>(
    db: &mut S,
    new: &[&'p Parcel<'_>],
    places: &[Place],
) -> Result<BTreeMap<SeriesKey<'p>, i64>, sqlx::Error> {
    let mut wanted: BTreeSet<SeriesKey<'p>> = BTreeSet::new();
    for (parcel, place) in new.iter().zip(places) {
        for sample in samples(parcel.run) {
            wanted.insert((place.cell, place.version, &sample.metric, sample.peer.as_deref().unwrap_or("")));
        }
    }
    let wanted: Vec<SeriesKey<'p>> = wanted.into_iter().collect();
    let mut ids = BTreeMap::new();
    let cells: BTreeSet<i64> = wanted.iter().map(|key| key.0).collect();
    for piece in pieces(&cells.into_iter().collect::<Vec<_>>(), ROWS) {
        let sql = Statement::new("SELECT id, cell_id, version_id, metric, peer FROM series WHERE cell_id IN (");
        take_series(&db.rows(sql.list(piece.iter().copied()).push(")")).await?, &wanted, &mut ids)?;
    }
    let missing: Vec<[Value; 4]> = wanted
        .iter()
        .filter(|key| !ids.contains_key(*key))
        .map(|(cell, version, metric, peer)| [(*cell).into(), (*version).into(), (*metric).into(), (*peer).into()])
        .collect();
    for piece in pieces(&missing, ROWS) {
        let sql = Statement::new("INSERT INTO series (cell_id, version_id, metric, peer) VALUES ").rows(piece);
        let rows = db.rows(sql.push(" RETURNING id, cell_id, version_id, metric, peer")).await?;
        take_series(&rows, &wanted, &mut ids)?;
    }
    Ok(ids)
}

/// Keeps the ids of those that are wanted, which are in order: their keys live as long as the runs.
fn take_series<'p>(
    rows: &[impl Columns],
    wanted: &[SeriesKey<'p>],
    ids: &mut BTreeMap<SeriesKey<'p>, i64>,
) -> Result<(), sqlx::Error> {
    for row in rows {
        let (metric, peer) = (row.text("metric")?, row.text("peer")?);
        let key: SeriesKey<'_> = (row.integer("cell_id")?, row.integer("version_id")?, &metric, &peer);
        if let Ok(place) = wanted.binary_search_by(|wanted| wanted.cmp(&key)) {
            ids.insert(wanted[place], row.integer("id")?);
        }
    }
    Ok(())
}

/// Puts what is stored of the points before what is new of them.
async fn add_stored<S: Session>(db: &mut S, points: &mut BTreeMap<(i64, i64), Point>) -> Result<(), sqlx::Error> {
    let keys: Vec<[Value; 3]> =
        points.values().map(|point| [point.series.into(), point.order_ms.into(), point.commit.into()]).collect();
    let mut stored: BTreeMap<(i64, i64), Vec<(i64, f64)>> = BTreeMap::new();
    for piece in pieces(&keys, ROWS) {
        let sql = Statement::new("WITH wanted (series_id, order_ms, commit_id) AS (VALUES ")
            .rows(piece)
            .push(") SELECT rollups.series_id, rollups.commit_id, samples.run_id, samples.value FROM wanted ")
            .push(S::IN_ORDER)
            .push(
                " rollups ON rollups.series_id = wanted.series_id AND rollups.order_ms = wanted.order_ms
                  AND rollups.commit_id = wanted.commit_id ",
            )
            .push(S::SAMPLES);
        for row in db.rows(sql).await? {
            let key = (row.integer("series_id")?, row.integer("commit_id")?);
            stored.entry(key).or_default().push((row.integer("run_id")?, row.real("value")?));
        }
    }
    for (key, mut samples) in stored {
        if let Some(point) = points.get_mut(&key) {
            point.stored = samples.len();
            samples.append(&mut point.samples);
            point.samples = samples;
        }
    }
    Ok(())
}

/// What is kept of a series on a commit, so that readers never count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rollup {
    /// How many values.
    pub n: i64,
    /// Their median.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Rollup {
    /// Of at least one value.
    pub(crate) fn of(values: &[f64]) -> Rollup {
        Rollup {
            n: i64::try_from(values.len()).unwrap_or(i64::MAX),
            median: longhaul_stats::median(values).unwrap_or(0.0),
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }
}
