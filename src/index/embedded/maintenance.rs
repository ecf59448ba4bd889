//! What the embedded store does in the background: it shortens files, reclaims space, and makes indexes, in steps on the
//! writer thread.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::EmbeddedIndex;
use super::error::Fault;
use super::folder::{Folder, SYNC_AFTER};
use crate::domain::CollectionName;
use crate::index::IndexError;
use crate::lock::lock;

/// What is left to do after a step of the maintenance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Done,
    More,
    /// More, after the current readers have ended.
    Later,
}

impl From<bool> for Progress {
    fn from(has_more: bool) -> Self {
        if has_more { Self::More } else { Self::Done }
    }
}

/// What is done in the background in steps, and the log message if it fails.
const MAINTENANCE: [(Step, &str); 4] = [
    (Folder::compact, "cannot shorten the files of a collection; the next start tries again"),
    (
        |folder, connection| folder.reclaim_space(connection).map(Progress::from),
        "cannot reclaim the space of removed records; the next start tries again",
    ),
    (
        |folder, connection| folder.add_index(connection).map(Progress::from),
        "cannot create an index in index.sqlite; lists of images are slow until the next start",
    ),
    (
        |folder, connection| folder.build_lists(connection).map(Progress::from),
        "cannot build the approximate index of a collection; its searches are exact until the next start",
    ),
];
/// How long the maintenance waits for readers.
const READERS_PAUSE: Duration = Duration::from_secs(1);

type Step = fn(&Folder, &mut Connection) -> Result<Progress, Fault>;

impl EmbeddedIndex {
    /// Starts the [`MAINTENANCE`] in the background, if the caller runs in a runtime.
    pub(super) fn start_maintenance(&self) {
        if let Ok(runtime) = Handle::try_current() {
            self.keep_task(AbortOnDropHandle::new(runtime.spawn(maintain(Arc::downgrade(&self.folder)))));
        }
    }

    /// Stores the task that does the maintenance, and aborts an earlier one.
    pub(super) fn keep_task(&self, task: AbortOnDropHandle<()>) {
        *lock(&self.maintenance) = Some(task);
    }

    /// Changes the records of a collection, and starts the maintenance if they need it then and did not before.
    pub(super) async fn change(
        &self,
        name: &CollectionName,
        work: impl FnOnce(&Folder, &mut Connection) -> Result<(), Fault> + Send + 'static,
    ) -> Result<(), IndexError> {
        let changed = name.clone();
        let needs = self.write(name, move |folder, connection| {
            let collection = folder.find(&changed)?;
            let needed = (collection.needs_lists(), collection.is_sparse());
            work(folder, connection)?;
            let needs_maintenance = (!needed.0 && collection.needs_lists()) || (!needed.1 && collection.is_sparse());
            Ok((needs_maintenance, folder.needs_sync()))
        });
        let (needs_maintenance, needs_sync) = needs.await?;
        if needs_maintenance {
            self.start_maintenance();
        }
        if needs_sync {
            self.schedule_sync();
        }
        Ok(())
    }

    /// Syncs the last writes after a moment, if no later write does it before.
    pub(super) fn schedule_sync(&self) {
        let Ok(runtime) = Handle::try_current() else { return };
        if !self.folder.sync_is_scheduled.swap(true, Ordering::Relaxed) {
            let task = runtime.spawn(sync_later(Arc::downgrade(&self.folder)));
            *lock(&self.last_sync) = Some(AbortOnDropHandle::new(task));
        }
    }
}

async fn sync_later(folder: Weak<Folder>) {
    tokio::time::sleep(SYNC_AFTER).await;
    let Some(folder) = folder.upgrade() else { return };
    folder.sync_is_scheduled.store(false, Ordering::Relaxed);
    let sqlite = folder.sqlite.clone();
    let failed = match sqlite.call(move |connection| Ok(folder.sync_last(connection))).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::warn!(error = failed, "cannot sync the embedded index to the disk; the next write tries again");
}

/// Does the [`MAINTENANCE`] in steps, so that other writes can run in between. Ends when the index is closed; the next
/// start continues.
pub(super) async fn maintain(folder: Weak<Folder>) {
    for (step, failed) in MAINTENANCE {
        while let Some(folder) = folder.upgrade() {
            let sqlite = folder.sqlite.clone();
            match sqlite.call(move |connection| Ok(step(&folder, connection))).await {
                Ok(Ok(Progress::More)) => continue,
                Ok(Ok(Progress::Later)) => {
                    tokio::time::sleep(READERS_PAUSE).await;
                    continue;
                }
                Ok(Ok(Progress::Done)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "{failed}"),
                Err(error) => tracing::warn!(%error, "{failed}"),
            }
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::open;
    use super::*;
    use crate::index::ImageIndex;
    use crate::index::shared::example_record;

    #[tokio::test]
    async fn the_last_writes_are_synced_without_a_later_one() {
        let path = tempfile::tempdir().unwrap();
        let name = {
            let (_folder, _writer, collection) = open(path.path());
            collection.name().clone()
        };
        let index = EmbeddedIndex::open(path.path()).unwrap();
        assert!(!index.folder.needs_sync());
        // A write that comes late is synced at once, the one after it is not.
        while !index.folder.needs_sync() {
            index.upsert(&name, &[example_record("1.jpg", vec![0.6, 0.8])]).await.unwrap();
        }
        while index.folder.needs_sync() {
            tokio::time::sleep(SYNC_AFTER / 10).await;
        }
    }
}
