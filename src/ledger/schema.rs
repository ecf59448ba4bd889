//! The tables, as migration steps: a ledger of any earlier version is migrated to the current version in one
//! transaction.

use rusqlite::Connection;

const FIRST: &str = "
CREATE TABLE jobs(
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    collection TEXT NOT NULL,
    spec TEXT NOT NULL,
    message TEXT,
    summary TEXT,
    submitted_at TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT,
    listed_through TEXT,
    planned INTEGER NOT NULL DEFAULT 0,
    listed INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    unchanged INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    deleted INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX jobs_by_state ON jobs(state, id);

CREATE TABLE batches(
    id INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('todo', 'leased')),
    worker TEXT,
    attempt INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX batches_by_job ON batches(job, state, id);

CREATE TABLE items(
    id INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    batch INTEGER NOT NULL,
    uri TEXT NOT NULL,
    etag TEXT,
    size INTEGER NOT NULL
);
CREATE INDEX items_by_batch ON items(batch);
CREATE INDEX items_by_job ON items(job);

CREATE TABLE failures(
    id INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    uri TEXT NOT NULL,
    class TEXT NOT NULL,
    message TEXT NOT NULL,
    attempts INTEGER NOT NULL
);
CREATE INDEX failures_by_job ON failures(job, id);

CREATE TABLE logs(
    id INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    at TEXT NOT NULL,
    line TEXT NOT NULL
);
CREATE INDEX logs_by_job ON logs(job, id);

CREATE TABLE objects(
    collection TEXT NOT NULL,
    uri TEXT NOT NULL,
    etag TEXT NOT NULL,
    size INTEGER NOT NULL,
    space TEXT NOT NULL,
    PRIMARY KEY (collection, uri)
) WITHOUT ROWID;
";

/// With several stores the ledger records which of them have an object, and which have an item already. Before, there
/// was only one store.
const STORES: &str = "
ALTER TABLE objects ADD COLUMN stores TEXT NOT NULL DEFAULT 'embedded';
ALTER TABLE items ADD COLUMN have TEXT NOT NULL DEFAULT '';
";

/// Rows of the metadata files of unfinished jobs, and the digest of the row that an object was joined with.
const METADATA: &str = "
CREATE TABLE metadata(
    job TEXT NOT NULL,
    uri TEXT NOT NULL,
    columns TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (job, uri)
) WITHOUT ROWID;
ALTER TABLE jobs ADD COLUMN metadata_read INTEGER NOT NULL DEFAULT 0;
ALTER TABLE objects ADD COLUMN metadata TEXT NOT NULL DEFAULT '';
";

/// Leases that expire, suspect batches, and the token of a job with remote workers. `until` is in Unix milliseconds; a
/// lease without it lasts as long as this process. Columns that find an image that kills its workers:
///
/// - `deaths`: how many workers died while they held the batch.
/// - `alone`: how many of these workers held only one image, the one of this batch.
/// - `solo`: 1 if the worker that holds the batch now holds only this one image, otherwise 0.
///
/// Numbers of batches and items are never used twice: a late report must not be counted for another image.
const LEASES: &str = "
CREATE TABLE new_batches(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('todo', 'leased')),
    worker TEXT,
    attempt INTEGER NOT NULL DEFAULT 0,
    until INTEGER,
    deaths INTEGER NOT NULL DEFAULT 0,
    alone INTEGER NOT NULL DEFAULT 0,
    solo INTEGER NOT NULL DEFAULT 0
);
INSERT INTO new_batches(id, job, state, worker, attempt) SELECT id, job, state, worker, attempt FROM batches;
DROP TABLE batches;
ALTER TABLE new_batches RENAME TO batches;
CREATE INDEX batches_by_job ON batches(job, state, deaths, id);

CREATE TABLE new_items(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL,
    batch INTEGER NOT NULL,
    uri TEXT NOT NULL,
    etag TEXT,
    size INTEGER NOT NULL,
    have TEXT NOT NULL DEFAULT ''
);
INSERT INTO new_items(id, job, batch, uri, etag, size, have) SELECT id, job, batch, uri, etag, size, have FROM items;
DROP TABLE items;
ALTER TABLE new_items RENAME TO items;
CREATE INDEX items_by_batch ON items(batch);
CREATE INDEX items_by_job ON items(job);

ALTER TABLE jobs ADD COLUMN worker_token TEXT;
ALTER TABLE jobs ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
";

/// Objects that a job owns and that its listing no longer contains; the plan of a dry run; the number of log lines, so
/// that the log can be limited; for each item a known object of which it is possibly a copy, found by ETag.
const MIRROR: &str = "
CREATE TABLE vanished(
    job TEXT NOT NULL,
    uri TEXT NOT NULL,
    PRIMARY KEY (job, uri)
) WITHOUT ROWID;
ALTER TABLE jobs ADD COLUMN owned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN plan TEXT;
ALTER TABLE jobs ADD COLUMN logged INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET logged = (SELECT count(*) FROM logs WHERE job = jobs.id);
ALTER TABLE items ADD COLUMN twin TEXT;
CREATE INDEX objects_by_etag ON objects(etag);
";

/// The generation of a job's workers that a cluster was asked to start; recorded before the request.
///
/// - `submitted`: 1 if the cluster has confirmed it, otherwise 0.
/// - `dealt_with`: how many images of the job were done or had failed when it was placed.
/// - `fruitless`: how many generations in a row ended without progress.
const PLACEMENTS: &str = "
CREATE TABLE placements(
    job TEXT PRIMARY KEY,
    submission TEXT NOT NULL,
    submitted INTEGER NOT NULL DEFAULT 0,
    dealt_with INTEGER NOT NULL,
    fruitless INTEGER NOT NULL
) WITHOUT ROWID;
";

/// The executor of a job, read from its spec, and an index that finds the next waiting job without reading a spec.
const WAITING: &str = "
ALTER TABLE jobs ADD COLUMN executor TEXT GENERATED ALWAYS AS (coalesce(json_extract(spec, '$.executor'), 'local')) VIRTUAL;
CREATE INDEX jobs_waiting ON jobs(state, id, executor, collection);
";

/// Which of the removed records have excluded keys, and how many of them a job has removed. How many images each row of
/// a metadata file was joined with, and the URI of the row in one Unicode normal form, if another form is possible.
const EXCLUDED: &str = "
ALTER TABLE vanished ADD COLUMN excluded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN excluded_deleted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE metadata ADD COLUMN folded TEXT;
ALTER TABLE metadata ADD COLUMN images INTEGER NOT NULL DEFAULT 0;
CREATE INDEX metadata_by_folded ON metadata(job, folded) WHERE folded IS NOT NULL;
";

/// Collections whose drop has begun: their objects are being forgotten, and stores can still have them.
const DROPPING: &str = "
CREATE TABLE dropping(collection TEXT PRIMARY KEY) WITHOUT ROWID;
";

/// Where a listing continues in a bucket whose order is not reliable; the number of keys that could not be read; the
/// number of images in an archive (they do not count for `max_items`); whether a job ended with work left.
const LISTING: &str = "
ALTER TABLE jobs ADD COLUMN listed_from TEXT;
ALTER TABLE jobs ADD COLUMN unreadable INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN unfinished INTEGER NOT NULL DEFAULT 0;
";

/// The ranges of keys that a job lists side by side and that are not complete: the keys after `after` up to and with
/// `through`, or up to the end of the job's prefix. `listed_through` is the last key of the range that was listed.
const RANGES: &str = "
CREATE TABLE ranges(
    job TEXT NOT NULL,
    after TEXT NOT NULL,
    through TEXT,
    listed_through TEXT,
    PRIMARY KEY (job, after)
) WITHOUT ROWID;
";

/// The results of the self-tests of stores.
const RECALL: &str = "
CREATE TABLE recall(
    collection TEXT NOT NULL,
    store TEXT NOT NULL,
    report TEXT NOT NULL,
    PRIMARY KEY (collection, store)
) WITHOUT ROWID;
";

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
const MIRRORS: &str = "
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

/// The version of a ledger is the number of steps that were applied to it.
const STEPS: [&str; 13] = [
    FIRST, STORES, METADATA, LEASES, MIRROR, PLACEMENTS, WAITING, EXCLUDED, DROPPING, LISTING, RANGES, RECALL, MIRRORS,
];

/// Applies the steps that were not applied to the file yet.
pub(crate) fn migrate(db: &mut Connection) -> rusqlite::Result<()> {
    let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: usize = tx.query_row("PRAGMA user_version", (), |row| row.get(0))?;
    if version > STEPS.len() {
        let message = format!(
            "the ledger was written by a newer version of this service: its version is {version}, this service supports \
             {}; run that version, or set GLIMPSE_DATA_DIR to another folder",
            STEPS.len()
        );
        return Err(rusqlite::Error::ToSqlConversionFailure(message.into()));
    }
    if version == STEPS.len() {
        // Nothing is written, because the service must be able to start on a full disk.
        return tx.commit();
    }
    for step in &STEPS[version..] {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "user_version", STEPS.len())?;
    tx.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_of_the_first_version_keeps_its_objects() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch(FIRST).unwrap();
        db.execute_batch("INSERT INTO objects VALUES ('c', 's3://b/a.jpg', 'e', 1, 's'); PRAGMA user_version = 1")
            .unwrap();
        for _ in 0..2 {
            migrate(&mut db).unwrap();
            let stores: String = db.query_row("SELECT stores FROM objects", (), |row| row.get(0)).unwrap();
            assert_eq!(stores, "embedded");
        }
    }

    #[test]
    fn a_ledger_of_a_newer_version_is_refused_and_not_changed() {
        let mut db = Connection::open_in_memory().unwrap();
        db.pragma_update(None, "user_version", STEPS.len() + 1).unwrap();
        let message = migrate(&mut db).unwrap_err().to_string();
        assert!(message.contains("newer version") && message.contains("GLIMPSE_DATA_DIR"), "{message}");
    }
}
