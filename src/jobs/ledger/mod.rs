//! What is known of jobs and objects, in one SQLite file beside the data. It survives `kill -9`: every report is one
//! transaction, and an image is done only when its report is in here.
//!
//! Its rooms: `jobs` and their states, the `planning` of their work (each page of a listing is laid `beside` what is known),
//! the `work` that is left, the `leases` under which it is done (and the `deaths` that end them), the `objects` that a
//! collection has (and how all of them are made to `forget`), those that have `vanished`, the `placements` on a cluster, the `logs`, and how all is kept in bounds (`prune`).

mod beside;
mod deaths;
#[cfg(test)]
pub(super) mod fixture;
mod forget;
mod jobs;
mod leases;
mod listing;
mod logs;
mod metadata;
mod objects;
mod placements;
mod planning;
mod prune;
mod schema;
mod tokens;
mod vanished;
mod work;

use std::path::Path;

use crate::sqlite::{Sqlite, SqliteError};

pub use deaths::MAX_DEATHS_ALONE;
pub use forget::Part;
pub use jobs::Finish;
pub use leases::{Batch, Held, Leased, Prolong, Renewed};
pub use listing::Cursor;
pub use logs::{FailurePage, LogPage};
pub use metadata::Joined;
pub use objects::Known;
pub use placements::PlacementRow;
pub use planning::{Page, Planning};
pub use vanished::Losses;
pub use work::{Report, Reported};

/// The ledger. Clones share it.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Reads and writes.
    db: Sqlite,
    /// Only reads, so that nobody who asks waits for what is being written.
    reader: Sqlite,
}

impl Ledger {
    /// Opens or makes the ledger of a data folder.
    ///
    /// # Errors
    /// [`SqliteError`] where the file cannot be opened, or was written by a newer version.
    pub fn open(folder: &Path) -> Result<Self, SqliteError> {
        let db = Sqlite::open(&folder.join("ledger.sqlite"), schema::bring_up)?;
        Ok(Self { reader: db.beside()?, db })
    }
}
