//! What is known of jobs and objects, in one SQLite file beside the data. It survives `kill -9`: every report is one
//! transaction, and an image is done only when its report is in here.
//!
//! Four rooms: `jobs` and their states, the `work` that is left, the `objects` that a collection has, the `logs`.

mod jobs;
mod logs;
mod objects;
mod work;

use std::path::Path;

use rusqlite::Connection;

use crate::sqlite::{Sqlite, SqliteError};

pub use jobs::Finish;
pub use logs::FailurePage;
pub use work::{Leased, Page};

/// The ledger. Clones share it.
#[derive(Clone, Debug)]
pub struct Ledger {
    db: Sqlite,
}

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS jobs(
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
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs(state, id);

CREATE TABLE IF NOT EXISTS batches(
    id INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('todo', 'leased')),
    worker TEXT,
    attempt INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS batches_by_job ON batches(job, state, id);

CREATE TABLE IF NOT EXISTS items(
    id INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    batch INTEGER NOT NULL,
    uri TEXT NOT NULL,
    etag TEXT,
    size INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS items_by_batch ON items(batch);
CREATE INDEX IF NOT EXISTS items_by_job ON items(job);

CREATE TABLE IF NOT EXISTS failures(
    id INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    uri TEXT NOT NULL,
    class TEXT NOT NULL,
    message TEXT NOT NULL,
    attempts INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS failures_by_job ON failures(job, id);

CREATE TABLE IF NOT EXISTS logs(
    id INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    at TEXT NOT NULL,
    line TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS logs_by_job ON logs(job, id);

CREATE TABLE IF NOT EXISTS objects(
    collection TEXT NOT NULL,
    uri TEXT NOT NULL,
    etag TEXT NOT NULL,
    size INTEGER NOT NULL,
    space TEXT NOT NULL,
    PRIMARY KEY (collection, uri)
) WITHOUT ROWID;
PRAGMA user_version = 1;
";

impl Ledger {
    /// Opens or makes the ledger of a data folder.
    ///
    /// # Errors
    /// [`SqliteError`] where the file cannot be opened.
    pub fn open(folder: &Path) -> Result<Self, SqliteError> {
        let set_up = |connection: &mut Connection| connection.execute_batch(SCHEMA);
        Ok(Self { db: Sqlite::open(&folder.join("ledger.sqlite"), set_up)? })
    }
}
