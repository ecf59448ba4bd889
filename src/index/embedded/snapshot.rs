//! Snapshots for readers: the rows and vectors of one moment.

use std::sync::{Arc, Mutex};

use rusqlite::Connection;

use super::error::Fault;
use super::filters::FilterCache;
use super::version::Version;
use crate::lock::lock;
use crate::sqlite::Sqlite;

/// The maximum number of idle connections that are kept.
const MAX_IDLE: usize = 8;

/// Connections for reading. The writer has its own connection.
#[derive(Debug)]
pub(super) struct Readers {
    sqlite: Sqlite,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(sqlite: Sqlite) -> Self {
        Self { sqlite, idle: Mutex::default() }
    }

    /// Takes a connection without an open transaction.
    pub(super) fn take(self: &Arc<Self>) -> Result<Reader, Fault> {
        let idle = lock(&self.idle).pop();
        let connection = idle.map_or_else(|| self.sqlite.reader(), Ok)?;
        Ok(Reader { connection: Some(connection), readers: Arc::clone(self) })
    }
}

/// A borrowed connection; it is returned when dropped.
#[derive(Debug)]
pub(super) struct Reader {
    /// `None` only while it is dropped.
    connection: Option<Connection>,
    readers: Arc<Readers>,
}

impl Reader {
    pub(super) fn connection(&self) -> Result<&Connection, Fault> {
        self.connection.as_ref().ok_or(Fault::Dropped)
    }

    /// Begins a transaction that sees everything that is committed now.
    pub(super) fn begin(&self) -> Result<(), Fault> {
        let connection = self.connection()?;
        connection.prepare_cached("BEGIN")?.execute(())?;
        // BEGIN alone does not fix the snapshot: the first read decides which commits the transaction sees.
        connection
            .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM collections LIMIT 1)")?
            .query_row((), |_| Ok(()))?;
        Ok(())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if !connection.is_autocommit() && connection.execute_batch("ROLLBACK").is_err() {
            return;
        }
        let mut idle = lock(&self.readers.idle);
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
    }
}

/// A version of the slots, the sets of filters and a transaction on the rows, from the same moment; see
/// `Collection::snapshot`.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) version: Arc<Version>,
    pub(super) filters: Arc<FilterCache>,
    reader: Reader,
}

impl Snapshot {
    /// Creates a snapshot from a reader whose transaction has begun.
    pub(super) fn new(version: Arc<Version>, filters: Arc<FilterCache>, reader: Reader) -> Self {
        Self { version, filters, reader }
    }

    /// Returns the connection to read rows with.
    pub(super) fn rows(&self) -> Result<&Connection, Fault> {
        self.reader.connection()
    }
}
