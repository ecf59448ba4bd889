//! The ledger: all data about jobs and objects, in one SQLite file in the data folder. It survives `kill -9`: every
//! report is one transaction, and an image counts as done only when its report is in the ledger.
//!
//! Its modules: `jobs` and their states, the `planning` of their work (`beside` compares each page of a listing with
//! the known objects), the `work` that is left, the `leases` of this work (and the `deaths` that end them), the
//! `objects` of a collection (and how to `forget` all of them), the objects that have `vanished`, the `placements` on a
//! cluster, the `logs`, and the removal of old jobs (`prune`).

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
pub use leases::{Batch, Held, LeaseExtension, Leased, LostLeases};
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
    /// Connection for reading and writing.
    db: Sqlite,
    /// Connection that only reads, so that queries do not wait for writes.
    reader: Sqlite,
}

impl Ledger {
    /// Opens the ledger of a data folder, or creates it.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the file cannot be opened or was written by a newer version.
    pub fn open(folder: &Path) -> Result<Self, SqliteError> {
        let db = Sqlite::open(&folder.join("ledger.sqlite"), schema::migrate)?;
        Ok(Self { reader: db.beside()?, db })
    }
}
