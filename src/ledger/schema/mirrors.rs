//! Mirrors and events: step 13.

/// Mirrors, the keys of their buckets that events have named, and which runs of jobs are runs of which mirror.
///
/// - `mirrors.token`: the SHA-256 of the token of its events.
/// - `mirrors.list_soon`: 1 if a run is needed as soon as possible.
/// - `mirrors.removed`: how many records events have removed since the last run began.
/// - `events.version`: increased with each event of the key, so that an event that arrives while the key is processed
///   is not lost.
/// - `events.taken`: 1 while this process works on the key. `events.started`: 1 if an attempt may have written a record.
/// - `events.due`, `events.received`: Unix milliseconds.
/// - `touched`: objects that events have written while the job ran, so that its `sync` does not remove them.
pub(super) const MIRRORS: &str = "
CREATE TABLE mirrors(
    name TEXT PRIMARY KEY,
    spec TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'paused', 'stopped')),
    reason TEXT,
    token TEXT NOT NULL,
    created_at TEXT NOT NULL,
    next_run TEXT,
    list_soon INTEGER NOT NULL DEFAULT 0,
    removed INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE events(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    mirror TEXT NOT NULL,
    uri TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    attempts INTEGER NOT NULL DEFAULT 0,
    taken INTEGER NOT NULL DEFAULT 0,
    started INTEGER NOT NULL DEFAULT 0,
    due INTEGER NOT NULL,
    received INTEGER NOT NULL
);
CREATE UNIQUE INDEX events_by_uri ON events(mirror, uri);
CREATE INDEX events_by_due ON events(taken, due, id);

CREATE TABLE touched(
    job TEXT NOT NULL,
    uri TEXT NOT NULL,
    PRIMARY KEY (job, uri)
) WITHOUT ROWID;

ALTER TABLE jobs ADD COLUMN mirror TEXT GENERATED ALWAYS AS (json_extract(spec, '$.mirror')) VIRTUAL;
CREATE INDEX jobs_by_mirror ON jobs(mirror, id) WHERE mirror IS NOT NULL;
";
