//! When a collection gets its approximate index (the package `ivf`), how changes reach it, and how the next start reads it.
//!
//! A collection of at least [`MIN_RECORDS`] records gets one. It is built in steps on the writer's thread, with other
//! writes in between. Until it is complete, searches are exact. After that, each commit changes it together with the
//! version, and then the files (`file.rs`).

pub(super) mod changes;
pub(super) mod file;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use ivf::{Entry, Index, Positions};
use rusqlite::{Connection, Transaction};

use self::file::ListsFile;
use super::error::Fault;
use super::vectors::{Map, checksum};
use super::version::Version;
use crate::domain::ImageId;

/// Below this number of records, the exact search is as fast.
pub(super) const MIN_RECORDS: usize = 20_000;
/// The slots that one step of the construction looks at.
const SLOTS_PER_STEP: u32 = 1_000;

/// What only the writer knows about the approximate index.
#[derive(Debug, Default)]
pub(super) struct ListsWriter {
    positions: Positions,
    unfinished: Option<Unfinished>,
    /// `None` if there is no index, and after an error: the next start reads from SQLite what the files do not have.
    file: Option<ListsFile>,
}

/// An index that does not contain all records yet.
#[derive(Debug)]
struct Unfinished {
    index: Index,
    /// The first slot that is not in it.
    next: u32,
}

impl ListsWriter {
    /// Returns whether the collection needs an index and has none.
    pub(super) fn is_needed(version: &Version) -> bool {
        version.lists().is_none() && version.count() >= MIN_RECORDS
    }

    /// Reads the index beside the vectors file at `path`, and which record is in which slot. Returns `None` if there is no index or
    /// it is damaged. Returns also the ids of records whose vector a power loss destroyed; of the vectors, only those are
    /// checked that were written since the last sync.
    pub(super) fn load(
        path: &Path,
        (connection, n): (&Connection, i64),
        version: &mut Version,
    ) -> Result<Option<(Self, Vec<ImageId>)>, Fault> {
        let Some(changes) = changes::read(connection, n)? else { return Ok(None) };
        let mut file = match ListsFile::open(path, version.map().stride()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut slots: Vec<u32> = changes.iter().map(|(slot, _)| *slot).collect();
        let mut loaded = version.clone();
        let Some((mut index, mut positions)) = file.read(&slots, |slot, id| loaded.set(slot, Some(id)))? else {
            tracing::warn!(path = %path.display(), "a file of the approximate index is damaged; it is built again");
            return Ok(None);
        };
        if loaded.blocks().any(|(first, block)| {
            (first..).zip(block).any(|(slot, occupant)| occupant.is_some() && !version.map().contains(slot))
        }) {
            return Ok(None);
        }
        let mut lost = Vec::new();
        for (slot, record) in changes {
            let Some((id, sum)) = record else { continue };
            if !version.map().contains(slot) || checksum(version.map().vector(slot)) != sum {
                lost.push(id);
                continue;
            }
            loaded.set(slot, Some(id));
            let entry = index.encode(version.map().row(slot));
            slots.extend(insert(&mut index, &mut positions, slot, &entry, version.map()));
        }
        file.write(&index, &positions, &mut slots, |slot| loaded.occupant(slot))?;
        *loaded.lists_mut() = Some(index);
        *version = loaded;
        Ok(Some((Self { positions, unfinished: None, file: Some(file) }, lost)))
    }

    /// Adds some records to an unfinished index; begins one if there is none. Returns the finished index.
    pub(super) fn build_step(&mut self, version: &Version) -> Option<Index> {
        let Self { positions, unfinished, .. } = self;
        let building = unfinished.get_or_insert_with(|| {
            *positions = Positions::default();
            Unfinished { index: Index::new(version.map().stride()), next: 0 }
        });
        let (index, map) = (&mut building.index, version.map());
        let end = version.slots().min(building.next.saturating_add(SLOTS_PER_STEP));
        for slot in (building.next..end).filter(|slot| version.occupant(*slot).is_some()) {
            let entry = index.encode(map.row(slot));
            insert(index, positions, slot, &entry, map);
        }
        building.next = end;
        let is_finished = end == version.slots();
        unfinished.take_if(|_| is_finished).map(|finished| finished.index)
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
        file.write(index, &self.positions, &mut (0..version.slots()).collect(), |slot| version.occupant(slot))?;
        file.sync()?;
        changes::remove(tx, n)?;
        changes::create(tx, n)?;
        Ok(file)
    }

    /// Stores the files of the index; `None` if they could not be written.
    pub(super) fn set_file(&mut self, file: Option<ListsFile>) {
        self.file = file;
    }

    /// Removes slots whose records were replaced or deleted.
    pub(super) fn remove(&mut self, index: &mut Option<Index>, slots: &[u32]) {
        let Self { positions, unfinished, .. } = self;
        if let Some(index) = index.as_mut().or(unfinished.as_mut().map(|building| &mut building.index)) {
            for slot in slots {
                index.remove(positions, *slot);
            }
        }
    }

    /// Adds slots. An unfinished index gets those that its construction has passed.
    pub(super) fn add(&mut self, index: &mut Option<Index>, added: &[(u32, ImageId, Option<Entry>)], map: &Map) {
        let Self { positions, unfinished, .. } = self;
        let (index, end) = match (index, unfinished) {
            (Some(index), _) => (index, u32::MAX),
            (None, Some(building)) => (&mut building.index, building.next),
            (None, None) => return,
        };
        for (slot, _, entry) in added.iter().filter(|(slot, ..)| *slot < end) {
            match entry {
                Some(entry) => index.insert(positions, *slot, entry, map),
                None => index.insert(positions, *slot, &index.encode(map.row(*slot)), map),
            }
        }
    }

    /// Returns how the lists of these slots that are too long are split.
    pub(super) fn plan_splits(&self, index: &Index, added: &[u32], map: &Map) -> Vec<ivf::Split> {
        let mut lists: Vec<usize> =
            added.iter().filter_map(|slot| index.list_to_split(&self.positions, *slot)).collect();
        lists.sort_unstable();
        lists.dedup();
        lists.into_iter().map(|list| index.plan_split(list, map)).collect()
    }

    /// Splits lists. Appends the slots whose codes changed to `changed`.
    pub(super) fn apply_splits(&mut self, index: &mut Index, splits: Vec<ivf::Split>, changed: &mut Vec<u32>) {
        for split in splits {
            changed.extend(split.slots());
            index.apply_split(&mut self.positions, split);
        }
    }

    /// Writes the rows of slots to the file. After an error, nothing is written until the next start.
    pub(super) fn store(&mut self, version: &Version, mut slots: Vec<u32>) {
        let (Some(file), Some(index)) = (&mut self.file, version.lists()) else { return };
        if let Err(error) = file.write(index, &self.positions, &mut slots, |slot| version.occupant(slot)) {
            self.stop_storing(&error);
        }
    }

    /// Syncs the files, and forgets the changes that they have now.
    pub(super) fn sync(&mut self, connection: &Connection, n: i64) -> Result<(), Fault> {
        let Some(file) = &self.file else { return Ok(()) };
        match file.sync() {
            Ok(()) => changes::clear(connection, n)?,
            Err(error) => self.stop_storing(&error),
        }
        Ok(())
    }

    fn stop_storing(&mut self, error: &io::Error) {
        tracing::warn!(%error, "cannot write the approximate index; searches work, the next start takes longer");
        self.file = None;
    }
}

/// Inserts a slot and splits its list if it is too long. Returns the slots whose codes the split changed.
fn insert(index: &mut Index, positions: &mut Positions, slot: u32, entry: &Entry, map: &Map) -> Vec<u32> {
    index.insert(positions, slot, entry, map);
    let Some(list) = index.list_to_split(positions, slot) else { return Vec::new() };
    let split = index.plan_split(list, map);
    let changed = split.slots().collect();
    index.apply_split(positions, split);
    changed
}
