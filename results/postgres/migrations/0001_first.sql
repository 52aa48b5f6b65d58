-- Never edit this file once released: write the next migration.
--
-- The tables of results/sqlite/migrations/0001_first.sql, whose comments hold here too. Text is compared by bytes (COLLATE
-- "C"), as in SQLite and in Rust.

-- Tells longhaul's databases from other programs'.
CREATE TABLE longhaul_database (
    name TEXT NOT NULL
);
INSERT INTO longhaul_database VALUES ('longhaul results');

-- Content-addressed evidence, zstd-compressed: records, series over time, resolved scenarios.
CREATE TABLE artifacts (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- BLAKE3 of the uncompressed bytes.
    hash BYTEA NOT NULL UNIQUE CHECK (length(hash) = 32),
    -- Uncompressed size.
    bytes BIGINT NOT NULL,
    zstd BYTEA NOT NULL
);
-- Compressed already.
ALTER TABLE artifacts ALTER COLUMN zstd SET STORAGE EXTERNAL;

CREATE TABLE projects (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE
);

-- One row per measured state of the code. A dirty tree is a state of its own; runs outside a repository share the
-- state whose sha is empty.
CREATE TABLE commits (
    id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id BIGINT NOT NULL REFERENCES projects (id),
    sha TEXT COLLATE "C" NOT NULL,
    dirty BOOLEAN NOT NULL,
    authored_ms BIGINT,
    branch TEXT COLLATE "C",
    summary TEXT COLLATE "C",
    first_run_ms BIGINT NOT NULL,
    -- Author date, or the first recorded run's start where there is none. Never changes: rollups are clustered by it.
    order_ms BIGINT NOT NULL,
    UNIQUE (project_id, sha, dirty)
);
CREATE INDEX commits_by_order ON commits (project_id, order_ms);

CREATE TABLE scenarios (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE
);

-- A changed resolved form is another version, and starts new series.
CREATE TABLE scenario_versions (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scenario_id BIGINT NOT NULL REFERENCES scenarios (id),
    hash TEXT COLLATE "C" NOT NULL,
    words TEXT COLLATE "C" NOT NULL,
    UNIQUE (scenario_id, hash)
);

CREATE TABLE subjects (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE hosts (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint TEXT COLLATE "C" NOT NULL UNIQUE,
    cpu TEXT COLLATE "C" NOT NULL
);

-- One scenario x subject of a project on one host: a row of the overview.
CREATE TABLE cells (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id BIGINT NOT NULL REFERENCES projects (id),
    scenario_id BIGINT NOT NULL REFERENCES scenarios (id),
    subject_id BIGINT NOT NULL REFERENCES subjects (id),
    host_id BIGINT NOT NULL REFERENCES hosts (id),
    UNIQUE (scenario_id, subject_id, project_id, host_id)
);

CREATE TABLE runs (
    id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uuid TEXT COLLATE "C" NOT NULL UNIQUE,
    cell_id BIGINT NOT NULL REFERENCES cells (id),
    version_id BIGINT NOT NULL REFERENCES scenario_versions (id),
    commit_id INTEGER NOT NULL REFERENCES commits (id),
    seed BIGINT NOT NULL,
    iteration BIGINT NOT NULL,
    started_ms BIGINT NOT NULL,
    ended_ms BIGINT NOT NULL,
    run_trigger TEXT COLLATE "C" NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C",
    paths BIGINT NOT NULL,
    delay_error_ns BIGINT NOT NULL,
    lateness_p99_ns BIGINT NOT NULL,
    unintended_drops BIGINT NOT NULL,
    -- The record without the two parts that are kept as artifacts of their own.
    record_id BIGINT NOT NULL REFERENCES artifacts (id),
    resolved_id BIGINT NOT NULL REFERENCES artifacts (id),
    -- NULL once retention has pruned it.
    series_id BIGINT REFERENCES artifacts (id)
);
CREATE INDEX runs_by_start ON runs (started_ms);
CREATE INDEX runs_by_cell ON runs (cell_id, started_ms);
CREATE INDEX runs_by_commit ON runs (commit_id);

-- How the runs of a commit ended, kept by the writer.
CREATE TABLE tallies (
    cell_id BIGINT NOT NULL REFERENCES cells (id),
    commit_id INTEGER NOT NULL REFERENCES commits (id),
    outcome TEXT COLLATE "C" NOT NULL,
    runs BIGINT NOT NULL,
    PRIMARY KEY (cell_id, commit_id, outcome)
);

-- One metric of one side under one version of a cell's scenario. `peer` is empty where the metric has no sides.
CREATE TABLE series (
    id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cell_id BIGINT NOT NULL REFERENCES cells (id),
    version_id BIGINT NOT NULL REFERENCES scenario_versions (id),
    metric TEXT COLLATE "C" NOT NULL,
    peer TEXT COLLATE "C" NOT NULL,
    UNIQUE (cell_id, metric, peer, version_id)
);

-- The numbers of `ok` runs: one row per series and commit, as a row costs 28 bytes here, and what a number's own index
-- would need is as much again. `values` ascend, so that all a rollup says can be read off them; `runs` are in the same
-- order. No references: each would be looked up for every number. `longhaul db check` looks.
CREATE TABLE points (
    order_ms BIGINT NOT NULL,
    series_id INTEGER NOT NULL,
    commit_id INTEGER NOT NULL,
    runs INTEGER[] NOT NULL,
    values DOUBLE PRECISION[] NOT NULL,
    CHECK (cardinality(runs) > 0 AND cardinality(runs) = cardinality(values)),
    PRIMARY KEY (series_id, order_ms, commit_id)
);

CREATE VIEW rollups AS
    SELECT series_id, order_ms, commit_id, runs, values, cardinality(values) AS n,
           values[(cardinality(values) + 1) / 2]
               + (values[cardinality(values) / 2 + 1] - values[(cardinality(values) + 1) / 2]) * 0.5 AS median,
           values[1] AS min, values[cardinality(values)] AS max
    FROM points;

CREATE VIEW samples AS
    SELECT series_id, commit_id, unnest(runs) AS run_id, unnest(values) AS value FROM points;
