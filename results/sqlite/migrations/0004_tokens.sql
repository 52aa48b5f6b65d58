-- Never edit this file once released: write the next migration.

-- Rights to use a server's interface. The text of a token is not here, only its hash.
CREATE TABLE tokens (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    -- BLAKE3.
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    -- A name, as a token may be there before the project's first run. NULL: all projects.
    project TEXT,
    created_ms INTEGER NOT NULL,
    last_used_ms INTEGER,
    revoked_ms INTEGER
) STRICT;

-- Commits are looked for by the beginnings of their hashes.
CREATE INDEX commits_by_sha ON commits (sha);

-- How the runs of the last weeks ended is read off the index.
DROP INDEX runs_by_start;
CREATE INDEX runs_by_start ON runs (started_ms, cell_id, outcome);
