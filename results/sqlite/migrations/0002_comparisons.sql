-- Never edit this file once released: write the next migration.

-- Comparisons of two versions. What lists ask for is in columns; the whole is an artifact.
CREATE TABLE comparisons (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    project_id INTEGER NOT NULL REFERENCES projects (id),
    subject_id INTEGER NOT NULL REFERENCES subjects (id),
    host_id INTEGER NOT NULL REFERENCES hosts (id),
    base TEXT NOT NULL,
    head TEXT NOT NULL,
    dirty INTEGER NOT NULL CHECK (dirty IN (0, 1)),
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER NOT NULL,
    -- NULL where there was nothing to judge.
    verdict TEXT,
    same_program INTEGER NOT NULL CHECK (same_program IN (0, 1)),
    record_id INTEGER NOT NULL REFERENCES artifacts (id)
) STRICT;
CREATE INDEX comparisons_by_start ON comparisons (started_ms);
CREATE INDEX comparisons_by_head ON comparisons (head);
