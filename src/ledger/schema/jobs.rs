//! Jobs, their work, their logs and the objects of collections: the first seven steps, and later ones.

pub(super) const FIRST: &str = "
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
pub(super) const STORES: &str = "
ALTER TABLE objects ADD COLUMN stores TEXT NOT NULL DEFAULT 'embedded';
ALTER TABLE items ADD COLUMN have TEXT NOT NULL DEFAULT '';
";

/// Rows of the metadata files of unfinished jobs, and the digest of the row that an object was joined with.
pub(super) const METADATA: &str = "
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
pub(super) const LEASES: &str = "
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
pub(super) const MIRROR: &str = "
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
pub(super) const PLACEMENTS: &str = "
CREATE TABLE placements(
    job TEXT PRIMARY KEY,
    submission TEXT NOT NULL,
    submitted INTEGER NOT NULL DEFAULT 0,
    dealt_with INTEGER NOT NULL,
    fruitless INTEGER NOT NULL
) WITHOUT ROWID;
";

/// Since when a job is paused: step 18.
pub(super) const PAUSES: &str = "ALTER TABLE jobs ADD COLUMN paused_at TEXT;";

/// The executor of a job, read from its spec, and an index that finds the next waiting job without reading a spec.
pub(super) const WAITING: &str = "
ALTER TABLE jobs ADD COLUMN executor TEXT GENERATED ALWAYS AS (coalesce(json_extract(spec, '$.executor'), 'local')) VIRTUAL;
CREATE INDEX jobs_waiting ON jobs(state, id, executor, collection);
";
