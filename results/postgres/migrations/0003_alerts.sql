-- Never edit this file once released: write the next migration.

-- The table of results/sqlite/migrations/0003_alerts.sql.
CREATE TABLE alerts (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uuid TEXT COLLATE "C" NOT NULL UNIQUE,
    project_id BIGINT NOT NULL REFERENCES projects (id),
    state TEXT COLLATE "C" NOT NULL,
    found_ms BIGINT NOT NULL,
    -- JSON.
    document TEXT COLLATE "C" NOT NULL
);
CREATE INDEX alerts_by_time ON alerts (found_ms);
