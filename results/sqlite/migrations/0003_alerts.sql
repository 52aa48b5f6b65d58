-- Never edit this file once released: write the next migration.

-- Series that got worse. They change while people look into them, so each is kept as one document, not as an artifact.
CREATE TABLE alerts (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    project_id INTEGER NOT NULL REFERENCES projects (id),
    state TEXT NOT NULL,
    found_ms INTEGER NOT NULL,
    -- JSON.
    document TEXT NOT NULL
) STRICT;
CREATE INDEX alerts_by_time ON alerts (found_ms);
