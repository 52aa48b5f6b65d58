-- Never edit this file once released: write the next migration.

-- What is being measured at the moment: a row for each command, gone when it has ended.
CREATE TABLE progress (
    uuid TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    what TEXT NOT NULL,
    now_at TEXT NOT NULL,
    done INTEGER NOT NULL,
    total INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
