//! The folder: its lock, its SQLite file, its open collections.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::collection::Collection;
use super::error::{Fault, OpenError};
use super::room;
use super::rows;
use super::snapshot::Readers;
use crate::domain::{CollectionName, ImageId, Space};
use crate::index::{Ensured, IndexError};
use crate::sqlite::Sqlite;

/// After so many records, or this time, the next write brings vectors and rows to the disk.
const SYNC_RECORDS: usize = 8_192;
const SYNC_AFTER: Duration = Duration::from_secs(1);
/// SQLite's write-ahead log, and how many of its pages (4 kB each) are too many.
const LOG: &str = "index.sqlite-wal";
const LONG_LOG: i64 = 16_384;
const VECTORS: &str = "vectors";

#[derive(Debug)]
pub(super) struct Folder {
    pub(super) sqlite: Sqlite,
    pub(super) lost: Vec<(CollectionName, ImageId)>,
    path: PathBuf,
    open: RwLock<BTreeMap<CollectionName, Arc<Collection>>>,
    readers: Arc<Readers>,
    /// The last sync, and the records written since. Only ever locked on the writer thread.
    synced: Mutex<(Instant, usize)>,
    /// The last field: the lock ends after everything else. The system ends it with the process, too.
    _lock: File,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { folder: path.to_owned(), source };
        fs::create_dir_all(path).map_err(io)?;
        let lock = File::create(path.join("lock")).map_err(io)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::Locked(path.to_owned()),
            TryLockError::Error(error) => io(error),
        })?;
        let sqlite = Sqlite::open(&path.join("index.sqlite"), |connection| {
            room::prepare(connection)?;
            connection.execute_batch(rows::SCHEMA)?;
            // Checkpoints are made in `sync`, after the vectors are on the disk and while no reader waits. The
            // one here makes what an earlier process committed safe before its old slots are written again.
            connection.execute_batch("PRAGMA wal_autocheckpoint = 0; PRAGMA wal_checkpoint(TRUNCATE);")
        })?;
        let readers = Arc::new(Readers::new(sqlite.clone()));
        let mut connection = sqlite.reader()?;
        let (open, lost) = open_all(path, &mut connection, &readers).map_err(|fault| match fault {
            Fault::Vectors(error) => io(error),
            other => OpenError::Damaged { folder: path.to_owned(), what: other.to_string() },
        })?;
        let (open, synced) = (RwLock::new(open), Mutex::new((Instant::now(), 0)));
        Ok(Self { sqlite, lost, path: path.to_owned(), open, readers, synced, _lock: lock })
    }

    pub(super) fn find(&self, name: &CollectionName) -> Result<Arc<Collection>, Fault> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.get(name).cloned().ok_or(Fault::Dropped)
    }

    /// By name.
    pub(super) fn all(&self) -> Vec<Arc<Collection>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// On the writer's thread, as are all that follow.
    pub(super) fn ensure(
        &self,
        connection: &mut Connection,
        name: CollectionName,
        space: Space,
    ) -> Result<Ensured, Fault> {
        if let Ok(found) = self.find(&name) {
            found.space().admits(&space).map_err(IndexError::Space)?;
            return Ok(Ensured::Existed);
        }
        let class = name.weaviate_class();
        if let Some(taken) = self.all().iter().find(|other| other.name().weaviate_class() == class) {
            return Err(IndexError::NameTaken { wanted: name, existing: taken.name().clone() }.into());
        }
        let json = serde_json::to_string(&space).map_err(|error| Fault::Damaged(error.to_string()))?;
        let tx = connection.transaction()?;
        let number = rows::create(&tx, &name, &json)?;
        let path = vectors_path(&self.path, number);
        let (collection, _) = Collection::open((number, name.clone(), space), path, &tx, Arc::clone(&self.readers))?;
        tx.commit()?;
        self.open.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::new(collection));
        Ok(Ensured::Created)
    }

    pub(super) fn drop_collection(&self, connection: &mut Connection, name: &CollectionName) -> Result<(), Fault> {
        let collection = self.find(name)?;
        collection.drop_all(connection)?;
        self.open.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        if let Err(error) = fs::remove_file(collection.path()) {
            // The next opening tries again.
            tracing::warn!(%error, collection = %name, "the vectors of a dropped collection are still there");
        }
        Ok(())
    }

    /// Does some of the work that dropped collections left; see `room.rs`. Answers with whether more is to be done.
    pub(super) fn make_room(&self, connection: &Connection) -> Result<bool, Fault> {
        let more = room::step(connection)?;
        if more {
            self.wrote(connection, 0);
        } else {
            // Shortens the file.
            self.sync(connection)?;
        }
        Ok(more)
    }

    /// Whether a collection was dropped whose rows are still there.
    pub(super) fn lacks_room(&self) -> bool {
        let reader = self.readers.take();
        reader.is_ok_and(|reader| reader.connection().is_ok_and(|c| room::is_needed(c).unwrap_or(false)))
    }

    /// Counts what was written, and syncs when it is time to.
    pub(super) fn wrote(&self, connection: &Connection, records: usize) {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        synced.1 += records;
        if synced.1 < SYNC_RECORDS && synced.0.elapsed() < SYNC_AFTER {
            return;
        }
        // The write is done and can be read; that the disk is slow or full is the next write's trouble.
        if let Err(error) = self.sync(connection) {
            tracing::warn!(%error, "the embedded index could not be synced");
        }
        *synced = (Instant::now(), 0);
    }

    /// Vectors first: what SQLite's main file says is then always true. The log by a sync of our own, as a
    /// checkpoint only goes as far as the oldest reader lets it.
    fn sync(&self, connection: &Connection) -> Result<(), Fault> {
        let all = self.all();
        for collection in &all {
            collection.sync_vectors()?;
        }
        File::open(self.path.join(LOG))?.sync_data()?;
        for collection in &all {
            collection.commits_on_disk();
        }
        let checkpoint = |sql| connection.query_row(sql, (), |row| row.get::<_, i64>(1));
        if checkpoint("PRAGMA wal_checkpoint(PASSIVE)")? > LONG_LOG {
            // Searches without a gap keep the log from ever being begun anew: this waits for those of now.
            checkpoint("PRAGMA wal_checkpoint(RESTART)")?;
        }
        Ok(())
    }
}

type Opened = (BTreeMap<CollectionName, Arc<Collection>>, Vec<(CollectionName, ImageId)>);

fn open_all(folder: &Path, connection: &mut Connection, readers: &Arc<Readers>) -> Result<Opened, Fault> {
    let (mut open, mut all_lost, mut files) = (BTreeMap::new(), Vec::new(), Vec::new());
    for entry in rows::collections(connection)? {
        let (number, name) = (entry.0, entry.1.clone());
        let path = vectors_path(folder, number);
        let (collection, lost) = Collection::open(entry, path.clone(), connection, Arc::clone(readers))?;
        if !lost.is_empty() {
            tracing::warn!(collection = %name, records = lost.len(), "vectors were lost with the power; their records are removed");
            let tx = connection.transaction()?;
            rows::delete(&tx, number, &lost)?;
            tx.commit()?;
        }
        all_lost.extend(lost.into_iter().map(|id| (name.clone(), id)));
        files.push(path);
        open.insert(name, Arc::new(collection));
    }
    remove_strays(folder, &files)?;
    Ok((open, all_lost))
}

/// Removes files of vectors that belong to no collection: a crash left them between a file and its row.
fn remove_strays(folder: &Path, known: &[PathBuf]) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == VECTORS) && !known.contains(&path) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn vectors_path(folder: &Path, number: i64) -> PathBuf {
    folder.join(format!("{number}.{VECTORS}"))
}
