//! What a backup copies of one part of the data folder: its databases and files, as they were at one moment.
//!
//! A part stops its writer thread with [`pause`], so that the moments of several parts are the same. What it returns
//! stays unchanged after its writer continues.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::sqlite::{Sqlite, SqliteError};

/// The longest time for which a writer is stopped. It continues after that, even if not all parts are pinned.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// A part of the data folder at one moment.
pub struct PinnedPart {
    /// Its databases: the path below the data folder, and a connection with an open transaction that reads the state of
    /// the moment.
    pub databases: Vec<(String, Connection)>,
    /// Its other files.
    pub files: Box<dyn PinnedFiles>,
}

impl std::fmt::Debug for PinnedPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PinnedPart").field("databases", &self.databases).finish_non_exhaustive()
    }
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedFile {
    /// The path below the data folder, with `/`.
    pub path: String,
    /// The size in bytes.
    pub size: u64,
    /// Whether the file never changes: another file never has its path.
    pub immutable: bool,
}

/// Files that stay unchanged until this is dropped.
pub trait PinnedFiles: Send + Sync {
    /// Returns at most `limit` files and the cursor of the next page; `None` at the end. `copies` is the folder with
    /// copies of the databases of the backup, by their paths below the data folder.
    ///
    /// # Errors
    /// Fails if the files cannot be listed.
    fn page(&self, copies: &Path, cursor: Option<&str>, limit: usize) -> io::Result<(Vec<PinnedFile>, Option<String>)>;

    /// Reads bytes of a file until `buffer` is full or the file ends, and returns their number; `None` if the path does
    /// not belong to this part.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    fn read(&self, path: &str, offset: u64, buffer: &mut [u8]) -> io::Result<Option<usize>>;
}

/// A part of the data folder that a backup contains.
#[async_trait]
pub trait Pin: Send + Sync {
    /// Pins the part; its writer, if it has one, is stopped meanwhile. `objects` says whether the backup has the objects
    /// of a bucket.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the part cannot be read.
    async fn pin(&self, objects: bool) -> Result<(PinnedPart, Option<Paused>), SqliteError>;
}

/// Reads bytes of a file until `buffer` is full or the file ends. Returns their number.
///
/// # Errors
/// The error of the file system.
pub fn read_at(file: &File, mut offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    if i64::try_from(offset).is_err() {
        // The system refuses such an offset, which is after the end of every file.
        return Ok(0);
    }
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset) {
            Ok(0) => break,
            Ok(count) => (filled, offset) = (filled + count, offset + count as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A part without other files.
impl PinnedFiles for () {
    fn page(&self, _: &Path, _: Option<&str>, _: usize) -> io::Result<(Vec<PinnedFile>, Option<String>)> {
        Ok((Vec::new(), None))
    }

    fn read(&self, _: &str, _: u64, _: &mut [u8]) -> io::Result<Option<usize>> {
        Ok(None)
    }
}

/// A writer thread that is stopped. It continues when this is dropped.
#[derive(Debug)]
pub struct Paused(Sender<()>);

impl Paused {
    /// Lets the writer continue. Returns whether it was stopped until now.
    pub fn release(self) -> bool {
        self.0.send(()).is_ok()
    }
}

/// Stops the thread that writes to a database, and runs `pin` on it.
///
/// # Errors
/// Returns [`SqliteError`] if `pin` fails; then the thread is not stopped.
pub async fn pause<T, F>(sqlite: &Sqlite, pin: F) -> Result<(T, Paused), SqliteError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, SqliteError> + Send + 'static,
{
    let (pinned, is_pinned) = oneshot::channel();
    let (release, released): (Sender<()>, Receiver<()>) = channel();
    let call = sqlite.call(move |_| {
        let outcome = pin();
        let is_ok = outcome.is_ok();
        // The result is lost if the caller no longer waits; then `released` has lost its sender, too.
        drop(pinned.send(outcome));
        if is_ok {
            released.recv_timeout(MAX_PAUSE).ok();
        }
        Ok(())
    });
    tokio::select! {
        biased;
        Ok(outcome) = is_pinned => outcome.map(|value| (value, Paused(release))),
        failed = call => Err(failed.err().unwrap_or_else(|| sqlite.thread_ended())),
    }
}

/// Opens a connection whose transaction reads the state of this moment. The writer must be stopped.
///
/// # Errors
/// Returns [`SqliteError`] if the file cannot be opened.
pub fn begin(sqlite: &Sqlite) -> Result<Connection, SqliteError> {
    let connection = sqlite.reader()?;
    // BEGIN alone does not fix the state: the first read decides which commits the transaction reads.
    let begun = connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_master;");
    begun.map(|()| connection).map_err(|error| sqlite.error(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_state_of_the_pause_is_read_after_later_writes() {
        let folder = tempfile::tempdir().unwrap();
        let db = Sqlite::open(&folder.path().join("t.sqlite"), |c| c.execute_batch("CREATE TABLE t(a)")).unwrap();
        db.call(|c| c.execute("INSERT INTO t VALUES (1)", ())).await.unwrap();
        let reader = db.clone();
        let (pinned, paused) = pause(&db, move || begin(&reader)).await.unwrap();
        let mut write = Box::pin(db.call(|c| c.execute("INSERT INTO t VALUES (2)", ())));
        assert!(futures::poll!(&mut write).is_pending(), "the writer is stopped");
        assert!(paused.release());
        write.await.unwrap();
        let count = |c: &Connection| c.query_row("SELECT count(*) FROM t", (), |row| row.get::<_, u32>(0)).unwrap();
        assert_eq!((count(&pinned), count(&db.reader().unwrap())), (1, 2));
    }

    #[tokio::test]
    async fn a_writer_continues_if_the_caller_is_dropped_or_the_pin_fails() {
        let folder = tempfile::tempdir().unwrap();
        let db = Sqlite::open(&folder.path().join("t.sqlite"), |c| c.execute_batch("CREATE TABLE t(a)")).unwrap();
        let ((), paused) = pause(&db, || Ok(())).await.unwrap();
        drop(paused);
        let other = db.clone();
        let failed = pause(&db, move || Err::<(), _>(other.thread_ended())).await;
        assert!(failed.is_err());
        db.call(|c| c.execute("INSERT INTO t VALUES (1)", ())).await.unwrap();
    }
}
