-- Never edit this file once released: write the next migration.

-- The table of results/sqlite/migrations/0002_comparisons.sql.
CREATE TABLE comparisons (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uuid TEXT COLLATE "C" NOT NULL UNIQUE,
    project_id BIGINT NOT NULL REFERENCES projects (id),
    subject_id BIGINT NOT NULL REFERENCES subjects (id),
    host_id BIGINT NOT NULL REFERENCES hosts (id),
    base TEXT COLLATE "C" NOT NULL,
    head TEXT COLLATE "C" NOT NULL,
    dirty BOOLEAN NOT NULL,
    started_ms BIGINT NOT NULL,
    ended_ms BIGINT NOT NULL,
    -- NULL where there was nothing to judge.
    verdict TEXT COLLATE "C",
    same_program BOOLEAN NOT NULL,
    record_id BIGINT NOT NULL REFERENCES artifacts (id)
);
CREATE INDEX comparisons_by_start ON comparisons (started_ms);
CREATE INDEX comparisons_by_head ON comparisons (head);
