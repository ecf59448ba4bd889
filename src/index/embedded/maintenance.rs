//! What the embedded store does in the background: it shortens files, reclaims space, and makes indexes, in steps on the
//! writer thread.

use std::sync::{Arc, Weak};
use std::time::Duration;

use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::EmbeddedIndex;
use super::error::Fault;
use super::folder::{Folder, Progress};
use crate::domain::CollectionName;
use crate::index::IndexError;
use crate::lock::lock;

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
        let needs_maintenance = self.write(name, move |folder, connection| {
            let collection = folder.find(&changed)?;
            let needed = (collection.needs_lists(), collection.is_sparse());
            work(folder, connection)?;
            Ok((!needed.0 && collection.needs_lists()) || (!needed.1 && collection.is_sparse()))
        });
        if needs_maintenance.await? {
            self.start_maintenance();
        }
        Ok(())
    }
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
