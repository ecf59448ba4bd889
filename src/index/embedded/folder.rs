//! The folder of the index: its lock, its SQLite file and its open collections.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::collection::Collection;
use super::error::{Fault, OpenError};
use super::fingerprint;
use super::indexes;
use super::lists::file;
use super::reclaim;
use super::rows;
use super::snapshot::Readers;
use super::threads::ScanThreads;
use super::upgrade;
use crate::domain::{CollectionName, ImageId, Space};
use crate::index::{EnsureOutcome, IndexError};
use crate::lock::{lock, read, write};
use crate::owner_only;
use crate::sqlite::{Sqlite, make_durable};

/// After this number of records, or after `SYNC_AFTER`, a write syncs vectors and rows to the disk. The last writes are synced
/// by `maintenance.rs`.
const SYNC_RECORDS: usize = 8_192;
pub(super) const SYNC_AFTER: Duration = Duration::from_secs(1);
/// How long a start waits for the process before to end.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// SQLite's write-ahead log, and the number of pages (4 kB each) from which the log is restarted.
const WAL_FILE: &str = "index.sqlite-wal";
const MAX_WAL_PAGES: i64 = 16_384;
const VECTORS_EXTENSION: &str = "vectors";

#[derive(Debug)]
pub(super) struct Folder {
    pub(super) sqlite: Sqlite,
    pub(super) lost: Vec<(CollectionName, ImageId)>,
    path: PathBuf,
    open: RwLock<BTreeMap<CollectionName, Arc<Collection>>>,
    readers: Arc<Readers>,
    /// The threads that the searches of all collections share.
    pub(super) threads: ScanThreads,
    /// The time of the last sync and the number of records written since.
    synced: Mutex<(Instant, usize)>,
    /// Whether a task waits to sync the last writes.
    pub(super) sync_is_scheduled: AtomicBool,
    /// The last field, so that the lock is released after all else is closed. It also ends with the process.
    _lock: File,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { folder: path.to_owned(), source };
        owner_only::create_folder(path, true).map_err(io)?;
        let lock = File::create(path.join("lock")).map_err(io)?;
        let started = Instant::now();
        while let Err(error) = lock.try_lock() {
            match error {
                TryLockError::WouldBlock if started.elapsed() < LOCK_TIMEOUT => std::thread::sleep(LOCK_PAUSE),
                TryLockError::WouldBlock => return Err(OpenError::Locked(path.to_owned())),
                TryLockError::Error(error) => return Err(io(error)),
            }
        }
        let sqlite = Sqlite::open(&path.join("index.sqlite"), |connection| {
            reclaim::prepare(connection)?;
            connection.execute_batch(rows::SCHEMA)?;
            connection.execute_batch(fingerprint::SCHEMA)?;
            // `sync` makes the checkpoints, after the vectors are on the disk. The checkpoint here brings what an
            // earlier process committed to the disk before the slots that it emptied are written again.
            connection.execute_batch("PRAGMA wal_autocheckpoint = 0;")?;
            make_durable(connection)
        })?;
        let readers = Arc::new(Readers::new(sqlite.clone()));
        let mut connection = sqlite.reader()?;
        let (open, lost) = open_all(path, &mut connection, &readers).map_err(|fault| match fault {
            Fault::Vectors(error) => io(error),
            other => OpenError::Damaged { folder: path.to_owned(), what: other.to_string() },
        })?;
        let unsynced = open.values().map(|collection| collection.unwritten()).sum();
        let (open, synced) = (RwLock::new(open), Mutex::new((Instant::now(), unsynced)));
        Ok(Self {
            sqlite,
            lost,
            path: path.to_owned(),
            open,
            readers,
            threads: ScanThreads::default(),
            synced,
            sync_is_scheduled: AtomicBool::new(false),
            _lock: lock,
        })
    }

    pub(super) fn find(&self, name: &CollectionName) -> Result<Arc<Collection>, Fault> {
        let open = read(&self.open);
        open.get(name).cloned().ok_or(Fault::Dropped)
    }

    /// Returns all open collections, sorted by name.
    pub(super) fn all(&self) -> Vec<Arc<Collection>> {
        read(&self.open).values().cloned().collect()
    }

    /// Creates a collection or checks the existing one. Runs on the writer thread, as do the functions below.
    pub(super) fn ensure(
        &self,
        connection: &mut Connection,
        name: CollectionName,
        space: Space,
    ) -> Result<EnsureOutcome, Fault> {
        if let Ok(found) = self.find(&name) {
            found.space().admits(&space).map_err(IndexError::Space)?;
            return Ok(EnsureOutcome::Existed);
        }
        let class_name = name.weaviate_class();
        if let Some(existing) = self.all().iter().find(|other| other.name().weaviate_class() == class_name) {
            return Err(IndexError::NameTaken { wanted: name, existing: existing.name().clone() }.into());
        }
        let json = serde_json::to_string(&space).map_err(|error| Fault::Damaged(error.to_string()))?;
        let tx = connection.transaction()?;
        let number = rows::create(&tx, &name, &json)?;
        let path = vectors_path(&self.path, number);
        let (collection, _) = Collection::open((number, name.clone(), space), path, &tx, Arc::clone(&self.readers))?;
        tx.commit()?;
        write(&self.open).insert(name, Arc::new(collection));
        Ok(EnsureOutcome::Created)
    }

    pub(super) fn drop_collection(&self, connection: &mut Connection, name: &CollectionName) -> Result<(), Fault> {
        let collection = self.find(name)?;
        collection.drop_all(connection)?;
        write(&self.open).remove(name);
        for extension in [VECTORS_EXTENSION].into_iter().chain(file::EXTENSIONS) {
            match fs::remove_file(collection.path().with_extension(extension)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => tracing::warn!(
                    %error, collection = %name, extension,
                    "cannot remove a file of a dropped collection; the next start tries again"
                ),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Reclaims some of the space of dropped collections; see `reclaim.rs`. Returns whether there is more to reclaim.
    pub(super) fn reclaim_space(&self, connection: &mut Connection) -> Result<bool, Fault> {
        let more = reclaim::step(connection)?;
        if more {
            self.record_writes(connection, 0);
        } else {
            // The checkpoint of the sync shortens the file.
            self.sync(connection)?;
            // The log has the removed rows. It stays longer if a search reads it.
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?;
        }
        Ok(more)
    }

    /// Creates an index that a collection of an earlier version does not have; see `indexes.rs`. Returns whether there may
    /// be more to create.
    pub(super) fn add_index(&self, connection: &mut Connection) -> Result<bool, Fault> {
        let created = indexes::create_next(connection)?;
        if created {
            self.record_writes(connection, 0);
        }
        Ok(created)
    }

    /// Does a part of the construction of an approximate index; see `lists.rs`. Returns whether there may be more to do.
    pub(super) fn build_lists(&self, connection: &mut Connection) -> Result<bool, Fault> {
        let Some(collection) = self.all().into_iter().find(|collection| collection.needs_lists()) else {
            return Ok(false);
        };
        collection.build_lists(connection)?;
        self.record_writes(connection, 0);
        Ok(true)
    }

    /// Returns whether there is space to reclaim, or an index to create.
    pub(super) fn needs_maintenance(&self) -> bool {
        let needed = |c: &Connection| Ok::<_, Fault>(reclaim::is_needed(c)? || indexes::is_missing(c)?);
        self.readers.take().and_then(|reader| needed(reader.connection()?)).unwrap_or(false)
            || self.all().iter().any(|collection| collection.needs_lists() || collection.is_sparse())
    }

    /// Counts the written records and syncs if a limit is reached.
    pub(super) fn record_writes(&self, connection: &Connection, records: usize) {
        let mut synced = lock(&self.synced);
        synced.1 += records;
        if synced.1 < SYNC_RECORDS && synced.0.elapsed() < SYNC_AFTER {
            return;
        }
        // The write succeeded and is visible. If the disk is full, the next write fails.
        if let Err(error) = self.sync(connection) {
            tracing::warn!(%error, "cannot sync the embedded index to the disk; a later write tries again");
        }
        *synced = (Instant::now(), 0);
    }

    /// Returns whether records were written since the last sync.
    pub(super) fn needs_sync(&self) -> bool {
        lock(&self.synced).1 > 0
    }

    /// Syncs the records that were written since the last sync.
    pub(super) fn sync_last(&self, connection: &Connection) -> Result<(), Fault> {
        if self.needs_sync() {
            self.sync(connection)?;
            *lock(&self.synced) = (Instant::now(), 0);
        }
        Ok(())
    }

    /// Syncs vectors and rows to the disk. Vectors first, so that SQLite's main file never refers to a vector that is
    /// not on the disk. The log is synced separately, because a checkpoint goes only as far as the oldest reader
    /// allows.
    pub(super) fn sync(&self, connection: &Connection) -> Result<(), Fault> {
        let all = self.all();
        for collection in &all {
            collection.sync_vectors()?;
        }
        File::open(self.path.join(WAL_FILE))?.sync_data()?;
        for collection in &all {
            collection.sync_lists(connection)?;
            collection.mark_synced();
        }
        let checkpoint = |sql| connection.query_row(sql, (), |row| row.get::<_, i64>(1));
        if checkpoint("PRAGMA wal_checkpoint(PASSIVE)")? > MAX_WAL_PAGES {
            // Under continuous searches the log would never restart: this waits until the current readers end.
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
        upgrade::upgrade(connection, number)?;
        let (collection, lost) = Collection::open(entry, path.clone(), connection, Arc::clone(readers))?;
        if !lost.is_empty() {
            let records = lost.len();
            tracing::warn!(
                collection = %name, records,
                "vectors do not match their checksums, after a power loss or because the file was changed; their \
                 records are removed"
            );
            let tx = connection.transaction()?;
            rows::clear(&tx, number, &lost.iter().map(|(slot, _)| *slot).collect::<Vec<_>>())?;
            collection.version()?.fingerprint().write(&tx, number)?;
            tx.commit()?;
        }
        all_lost.extend(lost.into_iter().map(|(_, id)| (name.clone(), id)));
        files.push(path);
        open.insert(name, Arc::new(collection));
    }
    remove_unused_files(folder, &files)?;
    Ok((open, all_lost))
}

/// Removes the files of vectors and of lists without a collection: a crash between writing the file and its row can leave one.
fn remove_unused_files(folder: &Path, used: &[PathBuf]) -> io::Result<()> {
    let is_ours =
        |extension: &OsStr| extension == VECTORS_EXTENSION || file::EXTENSIONS.iter().any(|lists| extension == *lists);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(is_ours) && !used.contains(&path.with_extension(VECTORS_EXTENSION)) {
            let bytes = path.metadata().map_or(0, |file| file.len());
            if bytes > 0 {
                tracing::warn!(file = %path.display(), bytes, "removed a file whose collection is not in index.sqlite");
            }
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn vectors_path(folder: &Path, number: i64) -> PathBuf {
    folder.join(format!("{number}.{VECTORS_EXTENSION}"))
}
