//! Where a run belongs: the rows of its project, scenario, subject, machine and commit. What is missing is added.

use crate::directory;
use crate::statement::{Columns, Session, Statement, Value};
use longhaul_record::{HostDetail, RunRecord};
use std::collections::{BTreeMap, BTreeSet};

/// The rows a run refers to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) cell: i64,
    pub(crate) version: i64,
    pub(crate) commit: i64,
    pub(crate) order_ms: i64,
}

/// A commit's row.
#[derive(Debug, Clone, PartialEq)]
struct Stored {
    id: i64,
    order_ms: i64,
    authored_ms: Option<i64>,
    branch: Option<String>,
    summary: Option<String>,
    first_run_ms: i64,
}

/// Rows that were found already: a batch is of few projects, machines and commits.
#[derive(Default)]
struct Known<'r> {
    names: BTreeMap<(&'static str, &'r str), i64>,
    hosts: BTreeMap<(&'r str, &'r str), i64>,
    versions: BTreeMap<(i64, &'r str, &'r str), i64>,
    cells: BTreeMap<[i64; 4], i64>,
    commits: BTreeMap<(i64, &'r str, bool), Stored>,
    /// Rows of commits that were written.
    changed: BTreeSet<i64>,
}

/// Where each run belongs, in a writing transaction.
pub(crate) async fn places<S: Session>(db: &mut S, runs: &[&RunRecord]) -> Result<Vec<Place>, sqlx::Error> {
    let mut known = Known::default();
    let mut places = Vec::new();
    for run in runs {
        places.push(known.place(db, run).await?);
    }
    directory::refresh(db, &known.changed).await?;
    Ok(places)
}

impl<'r> Known<'r> {
    async fn place<S: Session>(&mut self, db: &mut S, run: &'r RunRecord) -> Result<Place, sqlx::Error> {
        let project = self.named(db, "INSERT INTO projects (name) VALUES (", &run.project).await?;
        let scenario = self.named(db, "INSERT INTO scenarios (name) VALUES (", &run.scenario).await?;
        let subject = self.named(db, "INSERT INTO subjects (name) VALUES (", &run.subject).await?;
        let host = match self.hosts.get(&(&*run.host.fingerprint, &*run.host.cpu)) {
            Some(row) => *row,
            None => host(db, &run.host).await?,
        };
        self.hosts.insert((&run.host.fingerprint, &run.host.cpu), host);
        let key = (scenario, &*run.scenario_hash, &*run.scenario_words);
        let version = match self.versions.get(&key) {
            Some(row) => *row,
            None => version(db, key).await?,
        };
        self.versions.insert(key, version);
        let key = [project, scenario, subject, host];
        let cell = match self.cells.get(&key) {
            Some(row) => *row,
            None => cell(db, key).await?,
        };
        self.cells.insert(key, cell);
        let (commit, order_ms) = self.commit(db, project, run).await?;
        Ok(Place { cell, version, commit, order_ms })
    }

    async fn named<S: Session>(&mut self, db: &mut S, insert: &'static str, name: &'r str) -> Result<i64, sqlx::Error> {
        if let Some(row) = self.names.get(&(insert, name)) {
            return Ok(*row);
        }
        let row = named(db, insert, name).await?;
        self.names.insert((insert, name), row);
        Ok(row)
    }

    /// The commit's row and its place in time. Details that were unknown at an earlier run are filled in.
    async fn commit<S: Session>(
        &mut self,
        db: &mut S,
        project: i64,
        run: &'r RunRecord,
    ) -> Result<(i64, i64), sqlx::Error> {
        let dirty = run.commit_detail.as_ref().is_some_and(|detail| detail.dirty);
        let key = (project, run.commit.as_deref().unwrap_or(""), dirty);
        let stored = match self.commits.remove(&key) {
            Some(stored) => Some(stored),
            None => stored(db, key).await?,
        };
        let all = Stored::with(stored.as_ref(), run);
        let all = match stored == Some(all.clone()) {
            true => all,
            false => {
                let id = write(db, key, &all).await?;
                self.changed.insert(id);
                Stored { id, ..all }
            }
        };
        let found = (all.id, all.order_ms);
        self.commits.insert(key, all);
        Ok(found)
    }
}

impl Stored {
    /// What is known of the commit of `run`, which may be stored already.
    fn with(stored: Option<&Stored>, run: &RunRecord) -> Stored {
        let detail = run.commit_detail.as_ref();
        let authored_ms = detail.map(|detail| detail.authored_ms);
        let new = Stored {
            id: 0,
            order_ms: authored_ms.unwrap_or(run.started_ms),
            authored_ms,
            branch: detail.and_then(|detail| detail.branch.clone()),
            summary: detail.map(|detail| detail.summary.clone()),
            first_run_ms: run.started_ms,
        };
        let Some(old) = stored.cloned() else { return new };
        Stored {
            authored_ms: old.authored_ms.or(new.authored_ms),
            branch: old.branch.or(new.branch),
            summary: old.summary.or(new.summary),
            first_run_ms: old.first_run_ms.min(new.first_run_ms),
            ..old
        }
    }
}

async fn stored<S: Session>(
    db: &mut S,
    (project, sha, dirty): (i64, &str, bool),
) -> Result<Option<Stored>, sqlx::Error> {
    let sql = Statement::new("SELECT * FROM commits WHERE project_id = ").bind(project).push(" AND sha = ").bind(sha);
    let rows = db.rows(sql.push(" AND dirty = ").bind(dirty)).await?;
    let view = |row: &S::Row| {
        Ok(Stored {
            id: row.integer("id")?,
            order_ms: row.integer("order_ms")?,
            authored_ms: row.maybe_integer("authored_ms")?,
            branch: row.maybe_text("branch")?,
            summary: row.maybe_text("summary")?,
            first_run_ms: row.integer("first_run_ms")?,
        })
    };
    rows.first().map(view).transpose()
}

/// The place in time never changes: tallies and sheets are found by it.
async fn write<S: Session>(
    db: &mut S,
    (project, sha, dirty): (i64, &str, bool),
    commit: &Stored,
) -> Result<i64, sqlx::Error> {
    let row: [Value; 8] = [
        project.into(),
        sha.into(),
        dirty.into(),
        commit.authored_ms.into(),
        commit.branch.as_deref().into(),
        commit.summary.as_deref().into(),
        commit.first_run_ms.into(),
        commit.order_ms.into(),
    ];
    let sql = Statement::new(
        "INSERT INTO commits (project_id, sha, dirty, authored_ms, branch, summary, first_run_ms, order_ms) VALUES ",
    );
    let sql = sql.rows(&[row]).push(
        " ON CONFLICT (project_id, sha, dirty) DO UPDATE SET authored_ms = excluded.authored_ms,
             branch = excluded.branch, summary = excluded.summary, first_run_ms = excluded.first_run_ms
         RETURNING id",
    );
    db.row(sql).await?.integer("id")
}

async fn version<S: Session>(db: &mut S, (scenario, hash, words): (i64, &str, &str)) -> Result<i64, sqlx::Error> {
    let sql = Statement::new("INSERT INTO scenario_versions (scenario_id, hash, words) VALUES (")
        .list([Value::from(scenario), hash.into(), words.into()])
        .push(") ON CONFLICT (scenario_id, hash) DO UPDATE SET words = excluded.words RETURNING id");
    db.row(sql).await?.integer("id")
}

/// Of a project, scenario, subject and machine.
async fn cell<S: Session>(db: &mut S, rows: [i64; 4]) -> Result<i64, sqlx::Error> {
    let sql = Statement::new("INSERT INTO cells (project_id, scenario_id, subject_id, host_id) VALUES (");
    let sql = sql.list(rows).push(
        ") ON CONFLICT (scenario_id, subject_id, project_id, host_id)
           DO UPDATE SET project_id = excluded.project_id RETURNING id",
    );
    db.row(sql).await?.integer("id")
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
