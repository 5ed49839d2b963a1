-- The first schema. Ids of 64 bits are stored as the signed integer of the same bits, times as
-- microseconds since 1970-01-01 UTC, UUIDs as their 16 bytes.

PRAGMA application_id = 1180913012;  -- "FcMt": distinguishes a journal from any other SQLite file.
PRAGMA user_version = 1;

-- One row: the identity of the store, which survives backups and restores.
CREATE TABLE store (
    id          INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    store       INTEGER NOT NULL,
    digest_key  BLOB    NOT NULL CHECK (length(digest_key) = 32),
    token_key   BLOB    NOT NULL CHECK (length(token_key) = 32),
    -- The position after which everything is retained.
    floor       INTEGER NOT NULL
) STRICT;

-- One row for each start of a writer, in order.
CREATE TABLE incarnations (
    ordinal          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    incarnation      INTEGER NOT NULL UNIQUE,
    -- The newest position at the start, which is where the incarnation before ended.
    started_position INTEGER NOT NULL,
    start_time       INTEGER NOT NULL
) STRICT;

-- What finding, fencing and erasing a match need, so that they don't read its events. The events
-- are the truth; state and times are a cache of their fold.
--
-- Rows with names that come from a caller or from Oz are written once and never changed: SQLite
-- overwrites what it deletes, but a row that grows in a full page may leave a copy of itself or of
-- its neighbours in the page's unused part. Columns that change are in a table of their own,
-- without such names.
CREATE TABLE matches (
    match_id    BLOB    NOT NULL PRIMARY KEY CHECK (length(match_id) = 16),
    caller      TEXT    NOT NULL,
    request_id  TEXT,
    folder_id   BLOB    NOT NULL,
    create_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX matches_by_request ON matches (caller, request_id)
    WHERE request_id IS NOT NULL;
CREATE INDEX matches_by_caller ON matches (caller, match_id);
CREATE INDEX matches_by_folder ON matches (caller, folder_id, match_id);

CREATE TABLE match_states (
    match_id    BLOB    NOT NULL PRIMARY KEY REFERENCES matches ON DELETE CASCADE,
    state       TEXT    NOT NULL,
    sequence    INTEGER NOT NULL,
    epoch       INTEGER NOT NULL,
    -- The incarnation that holds the match; null if none does.
    owner       INTEGER,
    update_time INTEGER NOT NULL,
    end_time    INTEGER,
    expire_time INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX match_states_unfinished ON match_states (match_id) WHERE end_time IS NULL;
CREATE INDEX match_states_by_expiry ON match_states (expire_time, match_id)
    WHERE expire_time IS NOT NULL;

-- Which match an analysis at Oz belongs to.
CREATE TABLE match_analyses (
    analysis_id TEXT NOT NULL,
    match_id    BLOB NOT NULL REFERENCES matches ON DELETE CASCADE,
    PRIMARY KEY (analysis_id, match_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX match_analyses_by_match ON match_analyses (match_id);

CREATE TABLE match_labels (
    caller   TEXT NOT NULL,
    key      TEXT NOT NULL,
    value    TEXT NOT NULL,
    match_id BLOB NOT NULL REFERENCES matches ON DELETE CASCADE,
    PRIMARY KEY (caller, key, value, match_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX match_labels_by_match ON match_labels (match_id);

-- The journal. AUTOINCREMENT keeps the positions of erased events from being used again.
CREATE TABLE events (
    position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    match_id BLOB    NOT NULL REFERENCES matches ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    time     INTEGER NOT NULL,
    -- The event as JSON.
    body     TEXT    NOT NULL,
    UNIQUE (match_id, sequence)
) STRICT;
