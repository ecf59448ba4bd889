//! One SQLite file, one thread that owns it: the ledger, the embedded index and the embedded S3 catalogue
//! each have one. Callers send closures and await the answer, so that no async thread waits for a disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// Calls that may wait for the thread before the next caller waits in turn.
const QUEUE: usize = 256;

/// A handle on the thread that owns a SQLite file. Clones share it; the file closes with the last one.
#[derive(Clone, Debug)]
pub struct Sqlite {
    work: mpsc::Sender<Work>,
    path: PathBuf,
}

/// The file could not be opened, or a statement failed.
#[derive(Debug, thiserror::Error)]
#[error("SQLite file {}: {source}", path.display())]
pub struct SqliteError {
    path: PathBuf,
    source: rusqlite::Error,
}

impl SqliteError {
    /// What SQLite said.
    pub fn sqlite(&self) -> &rusqlite::Error {
        &self.source
    }
}

/// Whether SQLite found no space on the disk.
pub fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}

impl Sqlite {
    /// Opens or makes the file in WAL mode, runs `set_up` (schema, migrations) and starts the thread.
    ///
    /// # Errors
    /// [`SqliteError`] where the file cannot be opened or `set_up` fails.
    pub fn open(
        path: &Path,
        set_up: impl FnOnce(&mut Connection) -> rusqlite::Result<()>,
    ) -> Result<Self, SqliteError> {
        let wrap = |source| SqliteError { path: path.to_owned(), source };
        let mut connection = connect(path).map_err(wrap)?;
        set_up(&mut connection).map_err(wrap)?;
        let (work, mut queue) = mpsc::channel::<Work>(QUEUE);
        std::thread::Builder::new()
            .name("sqlite".to_owned())
            .spawn(move || {
                while let Some(call) = queue.blocking_recv() {
                    call(&mut connection);
                }
            })
            .map_err(|error| wrap(rusqlite::Error::ToSqlConversionFailure(error.into())))?;
        Ok(Self { work, path: path.to_owned() })
    }

    /// Runs `call` on the thread and gives its answer. The call runs to its end even if nobody waits for it.
    ///
    /// # Errors
    /// [`SqliteError`] where `call` fails, or panicked.
    pub async fn call<T, F>(&self, call: F) -> Result<T, SqliteError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            // A panic in one call must not end the thread that serves all others.
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call(connection)));
            let outcome = outcome.unwrap_or_else(|_| Err(rusqlite::Error::UnwindingPanic));
            // Nobody may be waiting any more: the call was still to be made.
            drop(answer.send(outcome));
        });
        let gone = || rusqlite::Error::UnwindingPanic;
        let outcome = match self.work.send(work).await {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(gone())),
            Err(_) => Err(gone()),
        };
        outcome.map_err(|source| SqliteError { path: self.path.clone(), source })
    }

    /// A connection of one's own to the same file, for reading beside the thread.
    ///
    /// # Errors
    /// [`SqliteError`] where it cannot be opened.
    pub fn reader(&self) -> Result<Connection, SqliteError> {
        connect(&self.path).map_err(|source| SqliteError { path: self.path.clone(), source })
    }
}

/// WAL, so that readers never wait for the writer; NORMAL, so that a commit survives a crash of the process
/// (a loss of power may take back the last commits, never tear one).
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_one_call_costs_only_that_call() {
        let folder = tempfile::tempdir().unwrap();
        let db = Sqlite::open(&folder.path().join("t.sqlite"), |c| c.execute_batch("CREATE TABLE t(a)")).unwrap();
        let panicked = db.call(|_| -> rusqlite::Result<()> { panic!("on purpose") }).await;
        assert!(panicked.is_err());
        db.call(|c| c.execute("INSERT INTO t VALUES (7)", ())).await.unwrap();
        let seven: i64 = db.reader().unwrap().query_row("SELECT a FROM t", (), |row| row.get(0)).unwrap();
        assert_eq!(seven, 7);
    }
}
