//! One SQLite file and one thread that owns it: the ledger, the embedded index and the embedded S3 catalogue each have
//! one. Callers send closures and await the result, so no async thread waits for a disk.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::owner_only;

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// Number of calls that can wait in the queue of the thread; further callers wait until there is space.
const QUEUE_CAPACITY: usize = 256;

/// The WAL file is cut to this size after a checkpoint. Otherwise it keeps the size that it had in the largest write.
const MAX_IDLE_WAL_BYTES: u32 = 64 * 1024 * 1024;

/// A handle for the thread that owns a SQLite file. Clones share it; the file is closed with the last one.
#[derive(Clone, Debug)]
pub struct Sqlite {
    work: mpsc::Sender<Work>,
    path: PathBuf,
}

/// The file could not be opened, or a statement failed.
#[derive(Debug, thiserror::Error)]
#[error("SQLite file {}: {source}{}", path.display(), advice(*disk))]
pub struct SqliteError {
    path: PathBuf,
    source: rusqlite::Error,
    disk: Option<DiskProblem>,
}

/// Why the disk of a SQLite file cannot be used at the moment. All of these can end without a change to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskProblem {
    /// The disk or a quota is full.
    NoSpace,
    /// The file system or the file is read-only.
    ReadOnly,
    /// Another process holds the file's lock.
    Locked,
    /// Reading or writing failed.
    Failing,
}

fn advice(disk: Option<DiskProblem>) -> &'static str {
    match disk {
        Some(DiskProblem::NoSpace) => "; its disk or quota is full: free some space there",
        Some(DiskProblem::ReadOnly) => "; its file system is read-only",
        Some(DiskProblem::Locked) => "; another process has locked it",
        Some(DiskProblem::Failing) | None => "",
    }
}

impl SqliteError {
    pub(crate) fn new(path: &Path, source: rusqlite::Error) -> Self {
        let disk = disk_problem(&source, path);
        Self { path: path.to_owned(), source, disk }
    }

    /// Returns the error from SQLite.
    pub fn sqlite(&self) -> &rusqlite::Error {
        &self.source
    }

    /// Returns the problem with the disk, if the disk is the cause.
    pub fn disk(&self) -> Option<DiskProblem> {
        self.disk
    }
}

/// Returns the problem with the disk that caused an error, if any. SQLite reports a full disk, but for a full quota or
/// a file system that has become read-only it only reports that a write failed. Writing a small file next to the
/// database returns the system's own error.
fn disk_problem(error: &rusqlite::Error, path: &Path) -> Option<DiskProblem> {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code()? {
        ErrorCode::DiskFull => Some(DiskProblem::NoSpace),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Some(DiskProblem::Locked),
        ErrorCode::ReadOnly => Some(DiskProblem::ReadOnly),
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => match try_to_write(path) {
            Err(full) if is_out_of_space(&full) => Some(DiskProblem::NoSpace),
            Err(other) if other.kind() == io::ErrorKind::ReadOnlyFilesystem => Some(DiskProblem::ReadOnly),
            Ok(()) | Err(_) => Some(DiskProblem::Failing),
        },
        _ => None,
    }
}

fn try_to_write(database: &Path) -> io::Result<()> {
    let probe = database.with_extension("probe");
    let written = std::fs::write(&probe, [0; 16 * 1024]);
    std::fs::remove_file(&probe).ok();
    written
}

/// Whether the system reports that there is no space, on the disk or in a quota.
pub fn is_out_of_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// Whether SQLite reports that the disk is full.
pub fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}

/// Brings what was committed to the disk: by a checkpoint or, if the disk has no space for one, by a sync of the WAL file. So
/// a service can start on a full disk.
pub(crate) fn make_durable(connection: &Connection) -> rusqlite::Result<()> {
    match connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())) {
        Err(error) if is_full(&error) => {
            let wal = format!("{}-wal", connection.path().unwrap_or_default());
            let synced = std::fs::File::open(wal).and_then(|wal| wal.sync_all());
            synced.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
        }
        checkpoint => checkpoint,
    }
}

impl Sqlite {
    /// Opens the file in WAL mode, or creates it, runs `set_up` (schema, migrations) and starts the thread.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the file cannot be opened or `set_up` fails.
    pub fn open(
        path: &Path,
        set_up: impl FnOnce(&mut Connection) -> rusqlite::Result<()>,
    ) -> Result<Self, SqliteError> {
        // SQLite gives the same mode to the files beside it. If this fails, the next line has the error.
        owner_only::create_file(path).ok();
        let mut connection = connect(path).map_err(|source| SqliteError::new(path, source))?;
        set_up(&mut connection).map_err(|source| SqliteError::new(path, source))?;
        Self::start_thread(connection, path)
    }

    /// Returns a second handle for the same file, with its own thread that only reads: its calls do not wait for calls
    /// that write. It reads everything that was committed before the call.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the file cannot be opened.
    pub fn read_only(&self) -> Result<Self, SqliteError> {
        let connection = self.reader()?;
        connection.pragma_update(None, "query_only", true).map_err(|source| SqliteError::new(&self.path, source))?;
        Self::start_thread(connection, &self.path)
    }

    /// Starts the thread that owns the connection.
    fn start_thread(mut connection: Connection, path: &Path) -> Result<Self, SqliteError> {
        let (work, mut queue) = mpsc::channel::<Work>(QUEUE_CAPACITY);
        std::thread::Builder::new()
            .name("sqlite".to_owned())
            .spawn(move || {
                while let Some(call) = queue.blocking_recv() {
                    call(&mut connection);
                }
            })
            .map_err(|error| SqliteError::new(path, rusqlite::Error::ToSqlConversionFailure(error.into())))?;
        Ok(Self { work, path: path.to_owned() })
    }

    /// Runs `call` on the thread and returns its result. The call is completed even if the returned future is dropped.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if `call` fails or panics.
    pub async fn call<T, F>(&self, call: F) -> Result<T, SqliteError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let path = self.path.clone();
        let work: Work = Box::new(move |connection| {
            // A panic in one call must not end the thread that serves all others.
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call(connection)));
            let outcome = outcome.unwrap_or_else(|_| Err(rusqlite::Error::UnwindingPanic));
            let outcome = outcome.map_err(|source| SqliteError::new(&path, source));
            // Sending fails if the caller no longer waits; the call was still to be made.
            drop(answer.send(outcome));
        });
        match self.work.send(work).await {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(self.thread_ended())),
            Err(_) => Err(self.thread_ended()),
        }
    }

    /// Returns the error if the thread has ended.
    pub(crate) fn thread_ended(&self) -> SqliteError {
        self.error(rusqlite::Error::UnwindingPanic)
    }

    /// Returns the error of a statement on this file.
    pub(crate) fn error(&self, source: rusqlite::Error) -> SqliteError {
        SqliteError::new(&self.path, source)
    }

    /// Returns a new connection to the same file, for reading without the thread.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the file cannot be opened.
    pub fn reader(&self) -> Result<Connection, SqliteError> {
        connect(&self.path).map_err(|source| SqliteError::new(&self.path, source))
    }
}

/// Opens a connection in WAL mode, so that readers never wait for the writer, and with `synchronous=NORMAL`, so that a
/// commit survives a crash of the process (a power failure can undo the last commits, but never part of one).
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;")?;
    connection.pragma_update(None, "journal_size_limit", MAX_IDLE_WAL_BYTES)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_one_call_fails_only_that_call() {
        let folder = tempfile::tempdir().unwrap();
        let db = Sqlite::open(&folder.path().join("t.sqlite"), |c| c.execute_batch("CREATE TABLE t(a)")).unwrap();
        let panicked = db.call(|_| -> rusqlite::Result<()> { panic!("on purpose") }).await;
        assert!(panicked.is_err());
        db.call(|c| c.execute("INSERT INTO t VALUES (7)", ())).await.unwrap();
        let seven: i64 = db.reader().unwrap().query_row("SELECT a FROM t", (), |row| row.get(0)).unwrap();
        assert_eq!(seven, 7);
    }

    #[tokio::test]
    async fn a_second_handle_reads_during_a_write_and_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let db = Sqlite::open(&folder.path().join("t.sqlite"), |c| c.execute_batch("CREATE TABLE t(a)")).unwrap();
        db.call(|c| c.execute("INSERT INTO t VALUES (7)", ())).await.unwrap();
        let reader = db.read_only().unwrap();
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let writer = db.clone();
        let mut writing = Box::pin(async move {
            writer
                .call(move |c| {
                    let all = c.transaction()?;
                    all.execute("INSERT INTO t VALUES (8)", ())?;
                    wait.recv().ok();
                    all.commit()
                })
                .await
        });
        assert!(futures::poll!(&mut writing).is_pending());
        let count = |reader: Sqlite| async move {
            reader.call(|c| c.query_row("SELECT count(*) FROM t", (), |row| row.get::<_, u32>(0))).await.unwrap()
        };
        assert_eq!(count(reader.clone()).await, 1);
        go_on.send(()).unwrap();
        writing.await.unwrap();
        assert_eq!(count(reader.clone()).await, 2, "committed data is read at once");
        assert!(reader.call(|c| c.execute("INSERT INTO t VALUES (9)", ())).await.is_err());
    }

    #[test]
    fn the_cause_of_a_failed_write_is_recognised() {
        let code = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.sqlite");
        let disk_of = |error| SqliteError::new(&path, error).disk();
        assert_eq!(disk_of(code(rusqlite::ffi::SQLITE_FULL)), Some(DiskProblem::NoSpace));
        assert_eq!(disk_of(code(rusqlite::ffi::SQLITE_BUSY)), Some(DiskProblem::Locked));
        assert_eq!(disk_of(code(rusqlite::ffi::SQLITE_READONLY)), Some(DiskProblem::ReadOnly));
        assert_eq!(disk_of(code(rusqlite::ffi::SQLITE_IOERR)), Some(DiskProblem::Failing));
        assert_eq!(disk_of(code(rusqlite::ffi::SQLITE_CORRUPT)), None);
        assert_eq!(disk_of(rusqlite::Error::QueryReturnedNoRows), None);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no probe is left behind");
        assert!(is_out_of_space(&io::Error::from_raw_os_error(122)), "EDQUOT");
    }
}
