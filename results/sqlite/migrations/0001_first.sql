-- Never edit this file once released: write the next migration.

-- "lhau": tells longhaul's databases from other programs'.
PRAGMA application_id = 1818780021;

-- Content-addressed evidence, zstd-compressed: records, series over time, resolved scenarios. A rowid table, because
-- SQLite keeps large rows badly in a WITHOUT ROWID tree.
CREATE TABLE artifacts (
    id INTEGER PRIMARY KEY,
    -- BLAKE3 of the uncompressed bytes.
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    -- Uncompressed size.
    bytes INTEGER NOT NULL,
    zstd BLOB NOT NULL
) STRICT;

CREATE TABLE projects (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- One row per measured state of the code. A dirty tree is a state of its own; runs outside a repository share the
-- state whose sha is empty.
CREATE TABLE commits (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects (id),
    sha TEXT NOT NULL,
    dirty INTEGER NOT NULL CHECK (dirty IN (0, 1)),
    authored_ms INTEGER,
    branch TEXT,
    summary TEXT,
    first_run_ms INTEGER NOT NULL,
    -- Author date, or the first recorded run's start where there is none. Never changes: rollups are clustered by it.
    order_ms INTEGER NOT NULL,
    UNIQUE (project_id, sha, dirty)
) STRICT;
CREATE INDEX commits_by_order ON commits (project_id, order_ms);

CREATE TABLE scenarios (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- A changed resolved form is another version, and starts new series.
CREATE TABLE scenario_versions (
    id INTEGER PRIMARY KEY,
    scenario_id INTEGER NOT NULL REFERENCES scenarios (id),
    hash TEXT NOT NULL,
    words TEXT NOT NULL,
    UNIQUE (scenario_id, hash)
) STRICT;

CREATE TABLE subjects (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE hosts (
    id INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE,
    cpu TEXT NOT NULL
) STRICT;

-- One scenario x subject of a project on one host: a row of the overview.
CREATE TABLE cells (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects (id),
    scenario_id INTEGER NOT NULL REFERENCES scenarios (id),
    subject_id INTEGER NOT NULL REFERENCES subjects (id),
    host_id INTEGER NOT NULL REFERENCES hosts (id),
    UNIQUE (scenario_id, subject_id, project_id, host_id)
) STRICT;

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    cell_id INTEGER NOT NULL REFERENCES cells (id),
    version_id INTEGER NOT NULL REFERENCES scenario_versions (id),
    commit_id INTEGER NOT NULL REFERENCES commits (id),
    seed INTEGER NOT NULL,
    iteration INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER NOT NULL,
    run_trigger TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    paths INTEGER NOT NULL,
    delay_error_ns INTEGER NOT NULL,
    lateness_p99_ns INTEGER NOT NULL,
    unintended_drops INTEGER NOT NULL,
    -- The record without the two parts that are kept as artifacts of their own.
    record_id INTEGER NOT NULL REFERENCES artifacts (id),
    resolved_id INTEGER NOT NULL REFERENCES artifacts (id),
    -- NULL once retention has pruned it.
    series_id INTEGER REFERENCES artifacts (id)
) STRICT;
CREATE INDEX runs_by_start ON runs (started_ms);
CREATE INDEX runs_by_cell ON runs (cell_id, started_ms);
CREATE INDEX runs_by_commit ON runs (commit_id);

-- How the runs of a commit ended, kept by the writer.
CREATE TABLE tallies (
    cell_id INTEGER NOT NULL REFERENCES cells (id),
    commit_id INTEGER NOT NULL REFERENCES commits (id),
    outcome TEXT NOT NULL,
    runs INTEGER NOT NULL,
    PRIMARY KEY (cell_id, commit_id, outcome)
) STRICT, WITHOUT ROWID;

-- One metric of one side under one version of a cell's scenario. `peer` is empty where the metric has no sides.
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    cell_id INTEGER NOT NULL REFERENCES cells (id),
    version_id INTEGER NOT NULL REFERENCES scenario_versions (id),
    metric TEXT NOT NULL,
    peer TEXT NOT NULL,
    UNIQUE (cell_id, metric, peer, version_id)
) STRICT;

-- The numbers of `ok` runs, clustered so that a series is one range and a commit's values lie together.
CREATE TABLE samples (
    series_id INTEGER NOT NULL REFERENCES series (id),
    commit_id INTEGER NOT NULL REFERENCES commits (id),
    run_id INTEGER NOT NULL REFERENCES runs (id),
    value REAL NOT NULL,
    PRIMARY KEY (series_id, commit_id, run_id)
) STRICT, WITHOUT ROWID;

-- One row per series and commit, kept by the writer, clustered in the order charts are drawn.
CREATE TABLE rollups (
    series_id INTEGER NOT NULL REFERENCES series (id),
    order_ms INTEGER NOT NULL,
    commit_id INTEGER NOT NULL REFERENCES commits (id),
    n INTEGER NOT NULL,
    median REAL NOT NULL,
    min REAL NOT NULL,
    max REAL NOT NULL,
    PRIMARY KEY (series_id, order_ms, commit_id)
) STRICT, WITHOUT ROWID;
