//! Checks the vectors that the start did not read: those that were on the disk at the last sync. They can only be damaged by
//! the disk or by another program.

use std::sync::{Arc, Weak};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use super::collection::Collection;
use super::error::Fault;
use super::folder::Folder;
use super::rows;
use super::vectors::checksum;
use crate::domain::ImageId;

/// The records that are checked at the same time, and the pause after them, so that searches and writes have the disk.
const RECORDS_PER_STEP: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(5);

/// The records of one step.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// Records whose vectors do not match their checksums.
    damaged: Vec<ImageId>,
    /// Whether the files of the approximate index have another record in a slot.
    has_other_slots: bool,
    /// Where the next step begins; `None` at the end.
    next: Option<u32>,
}

/// Checks every vector of the collections that were opened without reading them. Ends when the index is closed; the next start
/// begins again.
pub(super) async fn scrub(folder: Weak<Folder>) {
    let Some(collections) = folder.upgrade().map(|folder| folder.all()) else { return };
    for collection in collections.into_iter().filter(|collection| collection.is_unchecked()) {
        let mut from = 0;
        while let Some(folder) = folder.upgrade() {
            let checked = check(&collection, &folder, from).await;
            from = match checked {
                Ok(Checked { next: Some(next), .. }) => next,
                Ok(Checked { next: None, .. }) | Err(Fault::Dropped) => break,
                Err(error) => {
                    let collection = collection.name();
                    tracing::warn!(%collection, %error, "cannot check the vectors; the next start tries again");
                    break;
                }
            };
            drop(folder);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Checks one step and removes what is damaged.
async fn check(collection: &Arc<Collection>, folder: &Arc<Folder>, from: u32) -> Result<Checked, Fault> {
    let (reader, held) = (Arc::clone(collection), Arc::clone(folder));
    let read = tokio::task::spawn_blocking(move || (reader.check(from), held).0).await;
    let mut checked = read.map_err(|panic| Fault::Damaged(panic.to_string()))??;
    if checked.has_other_slots {
        let writer = Arc::clone(collection);
        folder.sqlite.call(move |connection| writer.abandon_lists_files(connection)).await?;
        tracing::error!(
            collection = %collection.name(),
            "the files of the approximate index do not belong to index.sqlite: searches miss records until a restart, which \
             builds them again"
        );
        checked.next = None;
    }
    let damaged = std::mem::take(&mut checked.damaged);
    if !damaged.is_empty() {
        let (writer, held) = (Arc::clone(collection), Arc::clone(folder));
        let removed = folder.sqlite.call(move |connection| {
            let removed = writer.remove_damaged(connection, &damaged);
            held.record_writes(connection, damaged.len());
            Ok(removed)
        });
        let records = removed.await??;
        let collection = collection.name();
        tracing::error!(
            %collection, records,
            "the disk damaged vectors; their records are removed, and the next start removes them from the ledger, so that \
             the next job indexes their images again"
        );
    }
    Ok(checked)
}

impl Collection {
    /// Checks some records in the order of their slots.
    fn check(&self, from: u32) -> Result<Checked, Fault> {
        let (snapshot, mut checked) = (self.snapshot()?, Checked::default());
        let sql = format!(
            "SELECT id, slot, checksum FROM slots_{} WHERE slot >= ?1 ORDER BY slot LIMIT {RECORDS_PER_STEP}",
            self.number()
        );
        let mut select = snapshot.rows()?.prepare_cached(&sql)?;
        let mut rows = select.query((from,))?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            let (id, slot, sum) = (rows::id(row, 0)?, row.get(1)?, row.get::<_, u32>(2)?);
            if snapshot.version.occupant(slot) != Some(id) {
                checked.has_other_slots = true;
            } else if checksum(snapshot.version.map().vector(slot)) != sum {
                checked.damaged.push(id);
            }
            count += 1;
            checked.next = Some(slot + 1);
        }
        checked.next = checked.next.filter(|_| count == RECORDS_PER_STEP);
        Ok(checked)
    }

    /// Removes those of the records that are still damaged. Returns their number. Runs on the writer thread.
    fn remove_damaged(&self, connection: &mut Connection, ids: &[ImageId]) -> Result<usize, Fault> {
        let (version, mut damaged) = (self.version()?, Vec::new());
        let sql = format!("SELECT checksum FROM slots_{} WHERE slot = ?1", self.number());
        for id in ids {
            let Some(slot) = version.ids().get(*id) else { continue };
            let sum: Option<u32> = connection.query_row(&sql, (slot,), |row| row.get(0)).optional()?;
            damaged.extend(sum.filter(|sum| checksum(version.map().vector(slot)) != *sum).map(|_| *id));
        }
        drop(version);
        self.delete(connection, &damaged)?;
        Ok(damaged.len())
    }
}
