-- Never edit this file once released: write the next migration.

-- The table and indices of results/sqlite/migrations/0004_tokens.sql.
CREATE TABLE tokens (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uuid TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL,
    scope TEXT COLLATE "C" NOT NULL,
    -- BLAKE3.
    hash BYTEA NOT NULL UNIQUE CHECK (length(hash) = 32),
    -- A name, as a token may be there before the project's first run. NULL: all projects.
    project TEXT COLLATE "C",
    created_ms BIGINT NOT NULL,
    last_used_ms BIGINT,
    revoked_ms BIGINT
);

CREATE INDEX commits_by_sha ON commits (sha);

DROP INDEX runs_by_start;
CREATE INDEX runs_by_start ON runs (started_ms, cell_id, outcome);
