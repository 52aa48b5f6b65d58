//! Histories: the names of series, the sheets with their numbers, and the commits these are of. Three queries, however long the
//! history is, and a fourth that says how far back to read.

use crate::Fault;
use crate::directory::{self, Entry};
use crate::insert::Rollup;
use crate::sheet::Sheet;
use crate::sheets::{At, Cut, by_commit, by_version};
use crate::statement::{Columns, Session, Statement};
use longhaul_store::{CommitPoint, CommitValues, MetricSeries, RunValue, SeriesQuery, SeriesSet, ValuesQuery};
use std::collections::BTreeMap;

/// A longer walk back costs more than reading sheets that are not needed.
const LONGEST_WALK: u32 = 500;

const CELLS: &str = "
    JOIN projects ON projects.id = cells.project_id
    JOIN scenarios ON scenarios.id = cells.scenario_id
    JOIN subjects ON subjects.id = cells.subject_id
    JOIN hosts ON hosts.id = cells.host_id";

/// What a series is called, as of one version of its scenario, and where its numbers are.
struct Line {
    cell: i64,
    version: i64,
    place: usize,
    scenario: String,
    hash: String,
    subject: String,
    metric: String,
    peer: Option<String>,
    project: String,
    host: String,
}

/// The history of a scenario, in a reading transaction.
pub async fn series<S: Session>(db: &mut S, query: &SeriesQuery) -> Result<SeriesSet, Fault> {
    if query.commits == 0 {
        return Ok(SeriesSet::default());
    }
    let sql = narrow_cells(Statement::new(LINES).push(CELLS).push(" WHERE true"), query);
    let lines = lines(db, sql.narrow("series.metric", query.metric.as_deref())).await?;
    let oldest_ms = oldest(db, query).await?;
    let cut = Cut::around(lines.iter().map(|line| line.place));
    let sql = cut.select(Statement::new("SELECT "), query.values);
    let sql = sql.push(" FROM cells").push(CELLS).push(" JOIN sheets ON sheets.cell_id = cells.id WHERE true");
    let sql = narrow_cells(sql, query).limit("sheets.last_ms >= ", oldest_ms);
    let sql = sql.limit("sheets.first_ms < ", query.until_ms).push(" ORDER BY sheets.id");
    let sheets = by_version(&db.rows(sql).await?, query.values)?;
    let (places, mut set) = commits(db, &sheets, query).await?;
    let runs: BTreeMap<(i64, i64), Vec<At>> =
        sheets.iter().map(|(key, sheets)| (*key, by_commit(sheets, &places))).collect();
    let mut series: BTreeMap<[&str; 5], Vec<CommitPoint>> = BTreeMap::new();
    for line in &lines {
        let key = (line.cell, line.version);
        let (Some(runs), Some(sheets)) = (runs.get(&key), sheets.get(&key)) else { continue };
        let column = cut.column(line.place);
        let peer = line.peer.as_deref().unwrap_or("");
        let points = series.entry([&line.metric, &line.subject, peer, &line.project, &line.host]).or_default();
        let mut values = Vec::new();
        for runs in runs.chunk_by(|a, b| a.0 == b.0) {
            values.clear();
            values.extend(runs.iter().filter_map(|(_, sheet, run)| sheets[*sheet].value(*run, column)));
            if values.is_empty() {
                continue;
            }
            let Rollup { n, median, min, max } = Rollup::of(&values);
            let values = if query.values { named(runs, sheets, column) } else { Vec::new() };
            let (commit, scenario_hash) = (runs[0].0, line.hash.clone());
            points.push(CommitPoint { commit, scenario_hash, values, n, median, min, max });
        }
    }
    let named = |([metric, subject, peer, project, host], points): ([&str; 5], Vec<CommitPoint>)| MetricSeries {
        project: project.to_owned(),
        host: host.to_owned(),
        subject: subject.to_owned(),
        metric: metric.to_owned(),
        peer: Some(peer.to_owned()).filter(|peer| !peer.is_empty()),
        points,
    };
    set.series = series.into_iter().filter(|(_, points)| !points.is_empty()).map(named).collect();
    set.sort();
    Ok(set)
}

/// Goes on with the cells that are asked for.
fn narrow_cells(sql: Statement, query: &SeriesQuery) -> Statement {
    sql.narrow("scenarios.name", Some(&query.scenario))
        .narrow("projects.name", query.project.as_deref())
        .narrow("hosts.fingerprint", query.host.as_deref())
        .narrow("subjects.name", query.subject.as_deref())
}

/// From when on sheets are read at least: each cell's commits are walked back from the newest, as many as are asked for, and the
/// cell that gets there first has enough.
async fn oldest<S: Session>(db: &mut S, query: &SeriesQuery) -> Result<Option<i64>, sqlx::Error> {
    if query.commits > LONGEST_WALK {
        return Ok(query.from_ms);
    }
    let walk = Statement::new(
        "SELECT max(oldest_ms) AS oldest_ms FROM (SELECT (SELECT order_ms FROM (
             SELECT DISTINCT tallies.order_ms, tallies.commit_id FROM tallies WHERE tallies.cell_id = cells.id",
    );
    let walk = walk.limit("tallies.order_ms >= ", query.from_ms).limit("tallies.order_ms < ", query.until_ms);
    let walk = match query.branch.as_deref() {
        Some(branch) => walk
            .push(" AND EXISTS (SELECT 1 FROM commits WHERE commits.id = tallies.commit_id AND commits.branch = ")
            .bind(branch)
            .push(")"),
        None => walk,
    };
    let sql = walk
        .push(" ORDER BY tallies.order_ms DESC, tallies.commit_id DESC) AS walked LIMIT 1 OFFSET ")
        .bind(query.commits - 1);
    let sql = narrow_cells(sql.push(") AS oldest_ms FROM cells").push(CELLS).push(" WHERE true"), query);
    let oldest_ms = db.row(sql.push(") AS walks")).await?.maybe_integer("oldest_ms")?;
    Ok(oldest_ms.max(query.from_ms))
}

/// The newest commits with any run of the scenario, failed ones included, as a gap is a fact too; and the place of each, by its
/// row.
async fn commits<S: Session>(
    db: &mut S,
    sheets: &BTreeMap<(i64, i64), Vec<Sheet>>,
    query: &SeriesQuery,
) -> Result<(BTreeMap<i64, usize>, SeriesSet), sqlx::Error> {
    let measured = sheets.values().flatten().flat_map(|sheet| &sheet.commits).copied().collect();
    let is_asked_for = |entry: &Entry| {
        query.from_ms.is_none_or(|from_ms| entry.order_ms >= from_ms)
            && query.until_ms.is_none_or(|until_ms| entry.order_ms < until_ms)
            && query.branch.as_ref().is_none_or(|branch| entry.commit.branch.as_ref() == Some(branch))
    };
    let mut entries: Vec<(i64, Entry)> =
        directory::commits(db, measured).await?.into_iter().filter(|(_, entry)| is_asked_for(entry)).collect();
    entries.sort_by(|(_, a), (_, b)| b.order().cmp(&a.order()));
    entries.truncate(query.commits as usize);
    let mut places = BTreeMap::new();
    let mut set = SeriesSet::default();
    for (row, entry) in entries.into_iter().rev() {
        places.insert(row, set.commits.len());
        set.commits.push(entry.commit);
    }
    Ok((places, set))
}

/// The values of some runs, with their ids.
fn named(runs: &[At], sheets: &[Sheet], column: usize) -> Vec<RunValue> {
    let value = |(_, sheet, run): &At| {
        let sheet = &sheets[*sheet];
        Some(RunValue { run: sheet.ids.get(*run)?.clone(), value: sheet.value(*run, column)? })
    };
    runs.iter().filter_map(value).collect()
}

/// The columns of a [`Line`]. Continues with [`CELLS`].
const LINES: &str = "
    SELECT cells.id AS cell, series.version_id, series.place, scenarios.name AS scenario, scenario_versions.hash,
           subjects.name AS subject, series.metric, series.peer, projects.name AS project, hosts.fingerprint
    FROM cells
    JOIN series ON series.cell_id = cells.id
    JOIN scenario_versions ON scenario_versions.id = series.version_id";

async fn lines<S: Session>(db: &mut S, sql: Statement) -> Result<Vec<Line>, sqlx::Error> {
    let line = |row: &S::Row| {
        Ok(Line {
            cell: row.integer("cell")?,
            version: row.integer("version_id")?,
            place: row.place("place")?,
            scenario: row.text("scenario")?,
            hash: row.text("hash")?,
            subject: row.text("subject")?,
            metric: row.text("metric")?,
            peer: Some(row.text("peer")?).filter(|peer| !peer.is_empty()),
            project: row.text("project")?,
            host: row.text("fingerprint")?,
        })
    };
    db.rows(sql).await?.iter().map(line).collect()
}

/// Everything measured of one commit.
pub async fn commit_values<S: Session>(db: &mut S, query: &ValuesQuery) -> Result<Vec<CommitValues>, Fault> {
    let sql = Statement::new(
        "SELECT commits.id, commits.order_ms FROM commits JOIN projects ON projects.id = commits.project_id
         WHERE commits.sha = ",
    );
    let sql = sql.bind(query.commit.as_deref().unwrap_or("")).push(" AND commits.dirty = ").bind(query.dirty);
    let rows = db.rows(sql.narrow("projects.name", Some(&query.project))).await?;
    let Some(row) = rows.first() else { return Ok(Vec::new()) };
    let (commit, order_ms) = (row.integer("id")?, row.integer("order_ms")?);
    let measured = |sql: Statement| {
        let sql = sql.push(" WHERE cells.id IN (SELECT runs.cell_id FROM runs WHERE runs.commit_id = ").bind(commit);
        sql.push(")").narrow("hosts.fingerprint", Some(&query.host))
    };
    let lines = lines(db, measured(Statement::new(LINES).push(CELLS))).await?;
    let cut = Cut::around(lines.iter().map(|line| line.place));
    let sql = cut.select(Statement::new("SELECT "), true).push(" FROM cells").push(CELLS);
    let sql = measured(sql.push(" JOIN sheets ON sheets.cell_id = cells.id"));
    let sql = sql.limit("sheets.last_ms >= ", Some(order_ms)).limit("sheets.first_ms <= ", Some(order_ms));
    let sheets = by_version(&db.rows(sql.push(" ORDER BY sheets.id")).await?, true)?;
    let places = BTreeMap::from([(commit, 0)]);
    let runs: BTreeMap<(i64, i64), Vec<At>> =
        sheets.iter().map(|(key, sheets)| (*key, by_commit(sheets, &places))).collect();
    let values = |line: Line| {
        let key = (line.cell, line.version);
        let values = named(runs.get(&key)?, sheets.get(&key)?, cut.column(line.place));
        let Line { scenario, hash: scenario_hash, subject, metric, peer, .. } = line;
        Some(CommitValues { scenario, scenario_hash, subject, metric, peer, values })
    };
    let mut all: Vec<CommitValues> =
        lines.into_iter().filter_map(values).filter(|own| !own.values.is_empty()).collect();
    all.sort_by(|a, b| order(a).cmp(&order(b)));
    Ok(all)
}

fn order(own: &CommitValues) -> (&str, &str, &str, &str, Option<&str>) {
    (&own.scenario, &own.scenario_hash, &own.subject, &own.metric, own.peer.as_deref())
}
