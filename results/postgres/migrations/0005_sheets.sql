-- Never edit this file once released: write the next migration.
--
-- The tables of results/sqlite/migrations/0005_sheets.sql, whose comments hold here too.

DROP VIEW samples;
DROP VIEW rollups;
ALTER TABLE points RENAME TO old_points;
CREATE VIEW old_samples AS
    SELECT series_id, unnest(runs) AS run_id, unnest(values) AS value FROM old_points;

ALTER TABLE series ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
UPDATE series SET place = (
    SELECT count(*) FROM series AS earlier
    WHERE earlier.cell_id = series.cell_id AND earlier.version_id = series.version_id AND earlier.id < series.id
);
CREATE UNIQUE INDEX series_by_place ON series (cell_id, version_id, place);

CREATE TABLE sheets (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cell_id BIGINT NOT NULL REFERENCES cells (id),
    version_id BIGINT NOT NULL REFERENCES scenario_versions (id),
    level INTEGER NOT NULL CHECK (level IN (0, 1, 2)),
    runs INTEGER NOT NULL CHECK (runs > 0),
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    commits BYTEA NOT NULL,
    ids BYTEA NOT NULL,
    numbers BYTEA NOT NULL
);
-- Nothing that compresses; and so a column can be read without the others.
ALTER TABLE sheets ALTER COLUMN commits SET STORAGE EXTERNAL;
ALTER TABLE sheets ALTER COLUMN ids SET STORAGE EXTERNAL;
ALTER TABLE sheets ALTER COLUMN numbers SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX sheets_open ON sheets (cell_id, version_id) WHERE level = 0;
CREATE INDEX sheets_full ON sheets (cell_id, version_id) WHERE level = 1;
CREATE INDEX sheets_by_cell ON sheets (cell_id, last_ms);

CREATE TABLE commit_sheets (
    id BIGINT PRIMARY KEY,
    content BYTEA NOT NULL
);

DROP TABLE tallies;
CREATE TABLE tallies (
    cell_id BIGINT NOT NULL REFERENCES cells (id),
    order_ms BIGINT NOT NULL,
    commit_id INTEGER NOT NULL REFERENCES commits (id),
    version_id BIGINT NOT NULL REFERENCES scenario_versions (id),
    outcome TEXT COLLATE "C" NOT NULL,
    runs BIGINT NOT NULL,
    PRIMARY KEY (cell_id, order_ms, commit_id, version_id, outcome)
);
INSERT INTO tallies (cell_id, order_ms, commit_id, version_id, outcome, runs)
    SELECT runs.cell_id, commits.order_ms, runs.commit_id, runs.version_id, runs.outcome, count(*)
    FROM runs JOIN commits ON commits.id = runs.commit_id
    GROUP BY runs.cell_id, commits.order_ms, runs.commit_id, runs.version_id, runs.outcome;
