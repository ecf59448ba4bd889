//! The ledger: all data about jobs and objects, in one SQLite file in the data folder. It survives `kill -9`: every
//! report is one transaction, and an image counts as done only when its report is in the ledger.
//!
//! The tables are functions that take a connection to read, or a transaction to write; [`Ledger`] runs them. `jobs` holds
//! the jobs and their states (`prune` removes old ones), `planning` what a listing adds to their work, `leases` the work
//! that is left and who does it, `objects` what the stores hold of each object, `metadata` the rows of metadata files,
//! `placements` the workers on a cluster and the tokens of workers, `logs` the lines of a job's log, `failures` its
//! failed images, `recall` what the self-tests of stores have measured, `collection_models` the models of collections,
//! `mirrors` the mirrors, `events` the keys that events have named and that are still to be compared with the bucket,
//! `tombstones` the images that were removed permanently, `generations` the collections in the stores that a collection consists
//! of, `keys` the API keys, `audit` who has changed what, `pauses` the jobs that clients have paused, and `outbox` the webhooks that are
//! to be sent.

pub(crate) mod audit;
pub mod collection_models;
mod columns;
mod error;
pub(crate) mod events;
pub(crate) mod failures;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod generations;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod leases;
pub(crate) mod logs;
pub(crate) mod metadata;
pub(crate) mod mirrors;
pub mod objects;
pub(crate) mod outbox;
pub(crate) mod pauses;
pub(crate) mod placements;
pub(crate) mod planning;
pub(crate) mod prune;
pub(crate) mod recall;
mod restored;
mod schema;
pub(crate) mod tombstones;

use std::ops::ControlFlow;
use std::path::Path;

use async_trait::async_trait;
use rusqlite::{Connection, Transaction};

use crate::domain::{JobId, JobRecord};
use crate::pinned::{self, Paused, Pin, PinnedPart};
use crate::sqlite::{Sqlite, SqliteError};

pub use error::LedgerError;
pub use failures::FailurePage;
pub use leases::report::Report;
pub use leases::{Batch, Held};
pub use logs::LogPage;
pub use objects::ObjectRow;
pub use restored::stored_keys;
pub use schema::VERSION;
pub use tombstones::{Tombstone, TombstonePage};

/// The name of the file in the data folder.
const FILE: &str = "ledger.sqlite";

/// The result of one step of [`Ledger::in_steps`].
pub type Step<T> = rusqlite::Result<ControlFlow<T>>;

/// The ledger. Clones share it.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Connection for reading and writing.
    writer: Sqlite,
    /// Connection that only reads, so that queries do not wait for writes.
    reader: Sqlite,
}

impl Ledger {
    /// Opens the ledger of a data folder, or creates it.
    ///
    /// # Errors
    /// Returns [`LedgerError`] if the file cannot be opened or was written by a newer version.
    pub fn open(folder: &Path) -> Result<Self, LedgerError> {
        let writer = Sqlite::open(&folder.join(FILE), schema::migrate)?;
        Ok(Self { reader: writer.read_only()?, writer })
    }

    /// Reads everything that was committed before this call. Does not wait for calls that write.
    ///
    /// # Errors
    /// Returns [`LedgerError`] if `call` fails.
    pub async fn read<T, F>(&self, call: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        Ok(self.reader.call(move |db| call(db)).await?)
    }

    /// Runs `call` as one transaction, which is committed if `call` succeeds.
    ///
    /// # Errors
    /// Returns [`LedgerError`] if `call` or the commit fails; then nothing is changed.
    pub async fn write<T, F>(&self, call: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let committed = self.writer.call(move |db| {
            let tx = db.transaction()?;
            let result = call(&tx)?;
            tx.commit()?;
            Ok(result)
        });
        Ok(committed.await?)
    }

    /// Repeats a transaction until it returns [`ControlFlow::Break`]. Other calls run between two steps, so everything
    /// that touches all rows of a collection or of a job is done in steps.
    ///
    /// # Errors
    /// Returns [`LedgerError`] if a step fails; the earlier steps are kept.
    pub async fn in_steps<T, F>(&self, mut step: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnMut(&Transaction<'_>) -> Step<T> + Send + 'static,
    {
        loop {
            let result = self.write(move |tx| step(tx).map(|flow| (step, flow)));
            match result.await? {
                (_, ControlFlow::Break(value)) => return Ok(value),
                (next, ControlFlow::Continue(())) => step = next,
            }
        }
    }

    /// Like [`Ledger::in_steps`], for reading.
    ///
    /// # Errors
    /// Returns [`LedgerError`] if a step fails.
    pub(crate) async fn read_in_steps<T, F>(&self, mut step: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Step<T> + Send + 'static,
    {
        loop {
            let result = self.read(move |db| step(db).map(|flow| (step, flow)));
            match result.await? {
                (_, ControlFlow::Break(value)) => return Ok(value),
                (next, ControlFlow::Continue(())) => step = next,
            }
        }
    }

    /// Returns the job with this id.
    ///
    /// # Errors
    /// Returns [`LedgerError`] if the ledger cannot be read.
    pub async fn job(&self, id: JobId) -> Result<Option<JobRecord>, LedgerError> {
        self.read(move |db| jobs::find(db, id)).await
    }

    /// Adds a line to a job's log.
    pub(crate) async fn log(&self, job: JobId, line: String) -> Result<(), LedgerError> {
        self.write(move |tx| logs::add(tx, job, &[line])).await
    }
}

#[async_trait]
impl Pin for Ledger {
    async fn pin(&self, _: bool) -> Result<(PinnedPart, Option<Paused>), SqliteError> {
        let writer = self.writer.clone();
        let (connection, paused) = pinned::pause(&self.writer, move || pinned::begin(&writer)).await?;
        Ok((PinnedPart { databases: vec![(FILE.to_owned(), connection)], files: Box::new(()) }, Some(paused)))
    }
}
