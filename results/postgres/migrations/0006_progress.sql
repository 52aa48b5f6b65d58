-- Never edit this file once released: write the next migration.

-- The table of results/sqlite/migrations/0006_progress.sql.
CREATE TABLE progress (
    uuid TEXT COLLATE "C" PRIMARY KEY,
    host TEXT COLLATE "C" NOT NULL,
    what TEXT COLLATE "C" NOT NULL,
    now_at TEXT COLLATE "C" NOT NULL,
    done BIGINT NOT NULL,
    total BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);
