-- Never edit this file once released: write the next migration.
--
-- Numbers move from a row each into sheets. What they were in goes by the name of `old_samples` until they have been moved
-- (`longhaul_sql::repack`), within the same transaction.

ALTER TABLE samples RENAME TO old_samples;
DROP TABLE rollups;

-- A series' column in the sheets of its cell and version, from 0.
ALTER TABLE series ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
UPDATE series SET place = (
    SELECT count(*) FROM series AS earlier
    WHERE earlier.cell_id = series.cell_id AND earlier.version_id = series.version_id AND earlier.id < series.id
);
CREATE UNIQUE INDEX series_by_place ON series (cell_id, version_id, place);

-- Some runs of a cell under one version of its scenario, good ones and failed ones, in the order they were recorded:
-- a table with a line for each run and a column for each series. Packed as `results/sql/src/sheet.rs` says.
CREATE TABLE sheets (
    id INTEGER PRIMARY KEY,
    cell_id INTEGER NOT NULL REFERENCES cells (id),
    version_id INTEGER NOT NULL REFERENCES scenario_versions (id),
    -- 0: further runs go here. 1: it is full. 2: it was made of full ones.
    level INTEGER NOT NULL CHECK (level IN (0, 1, 2)),
    -- How many lines it has.
    runs INTEGER NOT NULL CHECK (runs > 0),
    -- Where the first and the last of its commits stand in time.
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    commits BLOB NOT NULL,
    ids BLOB NOT NULL,
    numbers BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX sheets_open ON sheets (cell_id, version_id) WHERE level = 0;
CREATE INDEX sheets_full ON sheets (cell_id, version_id) WHERE level = 1;
CREATE INDEX sheets_by_cell ON sheets (cell_id, last_ms);

-- What is known of commits, 256 of them in a row, packed: readers of long histories want thousands.
CREATE TABLE commit_sheets (
    -- Of the commits' ids, without their last eight bits.
    id INTEGER PRIMARY KEY,
    content BLOB NOT NULL
) STRICT;

-- How the runs of a commit ended, kept by the writer: clustered so that a cell's newest commits lie together.
DROP TABLE tallies;
CREATE TABLE tallies (
    cell_id INTEGER NOT NULL REFERENCES cells (id),
    -- Of the commit.
    order_ms INTEGER NOT NULL,
    commit_id INTEGER NOT NULL REFERENCES commits (id),
    version_id INTEGER NOT NULL REFERENCES scenario_versions (id),
    outcome TEXT NOT NULL,
    runs INTEGER NOT NULL,
    PRIMARY KEY (cell_id, order_ms, commit_id, version_id, outcome)
) STRICT, WITHOUT ROWID;
INSERT INTO tallies (cell_id, order_ms, commit_id, version_id, outcome, runs)
    SELECT runs.cell_id, commits.order_ms, runs.commit_id, runs.version_id, runs.outcome, count(*)
    FROM runs JOIN commits ON commits.id = runs.commit_id
    GROUP BY runs.cell_id, commits.order_ms, runs.commit_id, runs.version_id, runs.outcome;
