//! Backups of the data folder of a running service: the ledger, the embedded index and the embedded bucket, as they were
//! at one moment. `zarf/adr/0030-backup.md` has the reasons for the design; `src/archive` is the other side, which stores
//! and restores them.
//!
//! The service keeps no list of chunks: a client reads the pages of files, asks for the hashes of the chunks of those
//! files that can change, and reads the chunks that it does not have. So memory does not depend on the size of the data.

mod error;
mod open_backup;
mod staging;

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::lock::lock;
use crate::pinned::{Paused, Pin, PinnedPart};

pub use error::BackupError;
pub use open_backup::{CHUNK_BYTES, Chunk, ChunkPage, FilePage, OpenBackup};
use staging::Staging;

/// A backup ends if no request uses it for this time.
pub const IDLE_TIMEOUT: Duration = Duration::from_mins(10);
/// How often idle backups are looked for.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// The folder with the copies of databases, in the data folder.
const FOLDER: &str = "backup.part";

/// What a backup consists of.
pub struct BackupSources {
    /// The data folder.
    pub data: PathBuf,
    /// The parts whose moments must be the same, in the order in which their writers are stopped: the one that can take
    /// longest to stop is the first.
    pub parts: Vec<Box<dyn Pin>>,
    /// Folders below the data folder with small files that are replaced whole.
    pub folders: Vec<&'static str>,
    /// What is not in the data folder and therefore not in a backup, as sentences for users.
    pub left_out: Vec<String>,
}

/// The backups of this service. Clones share them. There is at most one at a time.
#[derive(Clone)]
pub struct Backups(Arc<Inner>);

struct Inner {
    sources: BackupSources,
    begins: Semaphore,
    current: Mutex<Option<Arc<OpenBackup>>>,
}

impl fmt::Debug for BackupSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupSources").field("data", &self.data).finish_non_exhaustive()
    }
}

impl fmt::Debug for Backups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backups").field("sources", &self.0.sources).finish_non_exhaustive()
    }
}

impl Backups {
    /// Removes what an earlier process left.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn open(sources: BackupSources) -> io::Result<Self> {
        match fs::remove_dir_all(sources.data.join(FOLDER)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self(Arc::new(Inner { sources, begins: Semaphore::new(1), current: Mutex::default() })))
    }

    /// Begins a backup of this moment. Copies the databases, which takes as long as to read and write them.
    ///
    /// # Errors
    /// Returns [`BackupError`] if there is another backup, or if the data cannot be read or copied.
    pub async fn begin(&self, objects: bool) -> Result<Arc<OpenBackup>, BackupError> {
        let _only = self.0.begins.try_acquire().map_err(|_| BackupError::Beginning)?;
        self.end_idle();
        if let Some(current) = lock(&self.0.current).as_ref() {
            return Err(BackupError::Busy(current.id().to_owned()));
        }
        let staging = Staging::create(&self.0.sources.data.join(FOLDER))?;
        let parts = self.pin_all(objects).await?;
        let (data, folders) = (self.0.sources.data.clone(), self.0.sources.folders.clone());
        let left_out = self.left_out(objects);
        let copied = tokio::task::spawn_blocking(move || {
            let (files, parts) = staging.copy(parts, &data, &folders)?;
            Ok::<_, BackupError>(OpenBackup::new(staging, files, parts, objects, left_out))
        });
        let backup = Arc::new(copied.await.map_err(|_| BackupError::Panicked)??);
        tracing::info!(backup = backup.id(), objects, "a backup of the data folder began");
        *lock(&self.0.current) = Some(Arc::clone(&backup));
        Ok(backup)
    }

    /// Pins all parts at the same moment: all writers are stopped before the first one continues.
    async fn pin_all(&self, objects: bool) -> Result<Vec<PinnedPart>, BackupError> {
        let (mut parts, mut stopped) = (Vec::new(), Vec::new());
        for part in &self.0.sources.parts {
            let (pinned, paused) = part.pin(objects).await.map_err(BackupError::from_database)?;
            parts.push(pinned);
            stopped.extend(paused);
        }
        // A writer that has continued by itself may have written before the last one was stopped.
        let outcomes: Vec<bool> = stopped.into_iter().map(Paused::release).collect();
        if outcomes.contains(&false) { Err(BackupError::NotPinned) } else { Ok(parts) }
    }

    fn left_out(&self, objects: bool) -> Vec<String> {
        let mut left_out = self.0.sources.left_out.clone();
        if !objects {
            left_out.push("the objects of the bucket".to_owned());
        }
        left_out
    }

    /// Returns the backup with this id, and restarts its timeout.
    ///
    /// # Errors
    /// [`BackupError::Unknown`]
    pub fn get(&self, id: &str) -> Result<Arc<OpenBackup>, BackupError> {
        let current = lock(&self.0.current);
        let backup = current.as_ref().filter(|backup| backup.id() == id);
        let backup = backup.ok_or_else(|| BackupError::Unknown(id.to_owned()))?;
        backup.touch();
        Ok(Arc::clone(backup))
    }

    /// Ends a backup. Requests in progress can still read it.
    ///
    /// # Errors
    /// [`BackupError::Unknown`]
    pub fn end(&self, id: &str) -> Result<(), BackupError> {
        self.get(id)?;
        *lock(&self.0.current) = None;
        tracing::info!(backup = id, "the backup ended");
        Ok(())
    }

    fn end_idle(&self) {
        let idle = lock(&self.0.current).take_if(|backup| backup.is_idle());
        if let Some(backup) = idle {
            tracing::warn!(backup = backup.id(), "the backup ended, because no request used it for {IDLE_TIMEOUT:?}");
        }
    }

    /// Ends idle backups until `end`, and then all.
    pub async fn keep(self, end: CancellationToken) {
        while end.run_until_cancelled(tokio::time::sleep(UPKEEP_INTERVAL)).await.is_some() {
            self.end_idle();
        }
        lock(&self.0.current).take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;

    fn sources(data: &std::path::Path) -> BackupSources {
        let ledger = Ledger::open(data).unwrap();
        BackupSources {
            data: data.to_owned(),
            parts: vec![Box::new(ledger)],
            folders: vec!["calibration"],
            left_out: vec!["x".to_owned()],
        }
    }

    #[tokio::test]
    async fn a_backup_has_hashed_chunks_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let small = folder.path().join("calibration/collections/a.json");
        fs::create_dir_all(small.parent().unwrap()).unwrap();
        fs::write(&small, "{}").unwrap();
        fs::create_dir_all(folder.path().join(FOLDER).join("left")).unwrap();
        let backups = Backups::open(sources(folder.path())).unwrap();
        assert!(!folder.path().join(FOLDER).exists(), "what a killed process left is removed");

        let backup = backups.begin(false).await.unwrap();
        assert_eq!(backup.left_out(), ["x", "the objects of the bucket"]);
        fs::write(&small, "changed").unwrap();
        let mut paths = Vec::new();
        let mut cursor = None;
        loop {
            let page = backup.files(cursor).await.unwrap();
            paths.extend(page.files.into_iter().map(|file| file.path));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        paths.sort();
        assert_eq!(paths, ["calibration/collections/a.json", "ledger.sqlite"]);
        for path in paths {
            let hashes = backup.chunks(path.clone(), 0).await.unwrap();
            let chunk = backup.chunk(path.clone(), 0).await.unwrap();
            assert_eq!((hashes.chunks[0].0.as_str(), hashes.next), (chunk.sha256.as_str(), None), "{path}");
            assert!(chunk.bytes == b"{}"[..] || chunk.bytes.starts_with(b"SQLite format 3"), "{path}");
            let past = backup.chunk(path, 1_000).await.unwrap();
            assert!(past.bytes.is_empty());
        }
        for wrong in ["../calibration", "service.lock", "/etc/passwd"] {
            assert!(matches!(backup.chunk(wrong.to_owned(), 0).await, Err(BackupError::UnknownFile(_))), "{wrong}");
        }
        assert!(matches!(backup.files(Some("9:x".to_owned())).await, Err(BackupError::Cursor(_))));
        assert!(matches!(backups.begin(true).await, Err(BackupError::Busy(id)) if id == backup.id()));
        backups.end(backup.id()).unwrap();
        assert!(matches!(backups.get(backup.id()), Err(BackupError::Unknown(_))));
        drop(backup);
        assert_eq!(fs::read_dir(folder.path().join(FOLDER)).unwrap().count(), 0);
        backups.begin(true).await.unwrap();
    }
}
