//! When a collection gets its approximate index (the package `ivf`), how changes reach it, and how the next start reads it.
//!
//! A collection of at least [`MIN_RECORDS`] records gets one. It is built in steps on the writer's thread, with other
//! writes in between. Until it is complete, searches are exact. Each commit changes it together with the version; the files
//! (`file.rs`) are written at the next sync.

pub(super) mod changes;
pub(super) mod file;
#[cfg(test)]
mod tests;

use std::io;
use std::ops::Range;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::thread::Scope;

use ivf::{Entry, Index, Positions, Split};
use rusqlite::{Connection, Transaction};

use self::file::{ListsFile, Unwritten};
use super::error::Fault;
use super::fingerprint::Fingerprint;
use super::vectors::{Map, checksum};
use super::version::Version;
use crate::domain::ImageId;
use crate::resilience::cores;

/// Below this number of records, the exact search is as fast.
pub(super) const MIN_RECORDS: usize = 20_000;
/// The slots that one step of the construction adds.
const SLOTS_PER_STEP: u32 = 1_000;

/// The slots and ids of records whose vectors a power loss destroyed.
type Lost = Vec<(u32, ImageId)>;

/// What only the writer knows about the approximate index.
#[derive(Debug, Default)]
pub(super) struct ListsWriter {
    positions: Positions,
    /// The slots that the construction of the index has not reached. Those after them are added by commits.
    missing: Range<u32>,
    /// `None` if the index is not complete, and after an error: the next start reads from SQLite what the files do not have.
    file: Option<ListsFile>,
    unwritten: Unwritten,
    /// The lists that became too long by the last commits.
    too_long: Vec<usize>,
}

/// Slots that a step of the construction adds, with their codes.
#[derive(Debug)]
pub(super) struct Part {
    entries: Vec<(u32, Entry)>,
    /// The first slot after them that is not in the index.
    next: u32,
}

impl ListsWriter {
    /// Returns whether the collection needs an index and has none.
    pub(super) fn is_needed(version: &Version) -> bool {
        version.lists().is_none() && version.count() >= MIN_RECORDS
    }

    /// Reads the index beside the vectors file at `path`, and which record is in which slot. Returns `None` if the index does not
    /// exist or is damaged. Returns also the slots and ids of records whose vector a power loss destroyed; of the vectors, only those are
    /// checked that were written since the last sync.
    pub(super) fn load(
        path: &Path,
        (connection, n): (&Connection, i64),
        version: &mut Version,
    ) -> Result<Option<(Self, Lost)>, Fault> {
        let Some(changes) = changes::read(connection, n)? else { return Ok(None) };
        let mut file = match ListsFile::open(path, version.map().stride()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let slots: Vec<u32> = changes.iter().map(|(slot, _)| *slot).collect();
        let mut occupants = Vec::new();
        let Some(restore) = file.read(&slots, |slot, id| occupants.push((slot, id)))? else {
            tracing::warn!(path = %path.display(), "a file of the approximate index is damaged; it is built again");
            return Ok(None);
        };
        let map = version.shared_map();
        if occupants.iter().any(|(slot, _)| !map.contains(*slot)) {
            return Ok(None);
        }
        let (mut lost, mut written) = (Vec::new(), Vec::new());
        for (slot, record) in changes {
            let Some((id, sum)) = record else { continue };
            let is_lost = !map.contains(slot) || checksum(map.vector(slot)) != sum;
            if is_lost { lost.push((slot, id)) } else { written.push((slot, id)) }
        }
        occupants.extend(&written);
        let (mut index, positions, loaded) = std::thread::scope(|scope| {
            let restored = scope.spawn(|| restore.finish());
            let loaded = Version::new(Arc::clone(&map), occupants.into_iter());
            let (index, positions) = restored.join().unwrap_or_else(|panic| resume_unwind(panic));
            (index, positions, loaded)
        });
        let mut fingerprint = loaded.fingerprint();
        for (slot, id) in &lost {
            fingerprint.add(*slot, *id);
        }
        if Fingerprint::read(connection, n)? != Some(fingerprint) {
            tracing::warn!(path = %path.display(), "the approximate index does not belong to index.sqlite; it is built again");
            return Ok(None);
        }
        *version = loaded;
        let slots_written: Vec<u32> = written.iter().map(|(slot, _)| *slot).collect();
        let mut lists = Self { positions, file: Some(file), ..Self::default() };
        for (slot, entry) in encode_all(&index, &slots_written, &map) {
            lists.insert(&mut index, slot, &entry, &map);
        }
        lists.add_changed(slots);
        version.set_lists(index);
        version.complete_lists();
        Ok(Some((lists, lost)))
    }

    /// Begins an index with the first record.
    pub(super) fn begin(&mut self, version: &Version) -> Index {
        let (mut index, map) = (Index::new(version.map().stride()), version.map());
        (self.positions, self.missing) = (Positions::default(), 0..version.slots());
        if let Some(first) = self.missing.find(|slot| version.occupant(*slot).is_some()) {
            index.insert(&mut self.positions, first, &index.encode(map.row(first)), map);
        }
        index
    }

    /// Computes the codes of some records that are missing in the index, on all cores; `None` if none are missing.
    pub(super) fn next_part(&self, version: &Version, index: &Index) -> Option<Part> {
        if self.missing.is_empty() {
            return None;
        }
        let next = self.missing.end.min(self.missing.start.saturating_add(SLOTS_PER_STEP));
        let slots: Vec<u32> = (self.missing.start..next).filter(|slot| version.occupant(*slot).is_some()).collect();
        let entries = encode_all(index, &slots, version.map());
        Some(Part { entries, next })
    }

    /// Adds the result of [`next_part`](Self::next_part).
    pub(super) fn add_part(&mut self, index: &mut Index, part: Part, map: &Map) {
        self.missing.start = part.next;
        for (slot, entry) in part.entries {
            self.insert(index, slot, &entry, map);
        }
    }

    /// Writes all of a finished index to its files, and starts to record changes with the commit of the transaction. The caller
    /// passes the files to [`set_file`](Self::set_file) after it.
    pub(super) fn write_all(
        &self,
        path: &Path,
        (tx, n): (&Transaction<'_>, i64),
        version: &Version,
        index: &Index,
    ) -> Result<ListsFile, Fault> {
        let mut file = ListsFile::create(path, version.map().stride())?;
        file.write(index, &self.positions, std::slice::from_ref(&(0..version.slots())), |slot| version.occupant(slot))?;
        file.sync()?;
        changes::remove(tx, n)?;
        changes::create(tx, n)?;
        Ok(file)
    }

    /// Stores the files of the index; `None` if they could not be written.
    pub(super) fn set_file(&mut self, file: Option<ListsFile>) {
        (self.file, self.unwritten) = (file, Unwritten::default());
    }

    /// Removes slots whose records were replaced or deleted.
    pub(super) fn remove(&mut self, index: &mut Index, slots: &[u32]) {
        for slot in slots {
            index.remove(&mut self.positions, *slot);
        }
        self.add_changed(slots.iter().copied());
    }

    /// Adds slots, apart from those that the construction has not reached.
    pub(super) fn add(&mut self, index: &mut Index, added: &[(u32, ImageId, Option<Entry>)], map: &Map) {
        for (slot, _, entry) in added {
            match entry {
                _ if self.missing.contains(slot) => {}
                Some(entry) => self.insert(index, *slot, entry, map),
                None => self.insert(index, *slot, &index.encode(map.row(*slot)), map),
            }
        }
        self.add_changed(added.iter().map(|(slot, ..)| *slot));
    }

    fn insert(&mut self, index: &mut Index, slot: u32, entry: &Entry, map: &Map) {
        index.insert(&mut self.positions, slot, entry, map);
        self.too_long.extend(index.list_to_split(&self.positions, slot));
    }

    /// Starts to compute, on other threads, how the lists are split that became too long. The result is for
    /// [`apply_splits`](Self::apply_splits), before any other change of the index.
    pub(super) fn start_splits<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        version: &'scope Version,
    ) -> impl FnOnce() -> Vec<Split> + use<'scope> {
        let mut lists = std::mem::take(&mut self.too_long);
        lists.sort_unstable();
        lists.dedup();
        let per_thread = lists.len().div_ceil(cores().get().saturating_sub(1).max(1)).max(1);
        let index = version.unfinished_lists();
        let threads =
            index.into_iter().flat_map(|index| lists.chunks(per_thread).map(move |lists| (index, lists.to_vec())));
        let start = |(index, lists): (&'scope Index, Vec<usize>)| {
            scope.spawn(move || -> Vec<Split> {
                lists.into_iter().map(|list| index.plan_split(list, version.map())).collect()
            })
        };
        let threads: Vec<_> = threads.map(start).collect();
        || {
            let joined = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            joined.flatten().collect()
        }
    }

    /// Splits lists.
    pub(super) fn apply_splits(&mut self, index: &mut Index, splits: Vec<Split>) {
        for split in splits {
            if self.file.is_some() {
                self.unwritten.add_moved(split.slots());
            }
            index.apply_split(&mut self.positions, split);
        }
    }

    /// Returns the number of changes that the next sync writes.
    pub(super) fn unwritten(&self) -> usize {
        self.unwritten.changed()
    }

    /// Records that the next sync writes the rows of these slots.
    fn add_changed(&mut self, slots: impl IntoIterator<Item = u32>) {
        if self.file.is_some() {
            self.unwritten.add_changed(slots);
        }
    }

    /// Writes and syncs the files, and forgets the changes that they have now. After an error, nothing is written until the next
    /// start.
    pub(super) fn sync(&mut self, version: &Version, connection: &Connection, n: i64) -> Result<(), Fault> {
        let (Some(file), Some(index)) = (&mut self.file, version.lists()) else { return Ok(()) };
        let slots = self.unwritten.take(version.slots());
        let written = file.write(index, &self.positions, &slots, |slot| version.occupant(slot));
        match written.and_then(|()| file.sync()) {
            Ok(()) => changes::clear(connection, n)?,
            Err(error) => self.stop_storing(&error),
        }
        Ok(())
    }

    /// Shortens the file to the rows of the slots before `end`.
    pub(super) fn shorten(&mut self, end: u32) -> io::Result<()> {
        self.missing.end = self.missing.end.min(end);
        self.unwritten.remove_from(end);
        self.file.as_mut().map_or(Ok(()), |file| file.shorten(end))
    }

    fn stop_storing(&mut self, error: &io::Error) {
        tracing::warn!(%error, "cannot write the approximate index; searches work, the next start takes longer");
        self.file = None;
    }
}

/// Computes the codes of the vectors in these slots, on all cores.
fn encode_all(index: &Index, slots: &[u32], map: &Map) -> Vec<(u32, Entry)> {
    let encode = |slots: &[u32]| -> Vec<(u32, Entry)> {
        slots.iter().map(|slot| (*slot, index.encode(map.row(*slot)))).collect()
    };
    std::thread::scope(|scope| {
        let parts = slots.chunks(slots.len().div_ceil(cores().get()).max(1));
        let threads: Vec<_> = parts.map(|slots| scope.spawn(move || encode(slots))).collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        joined.flatten().collect()
    })
}
