//! The ledger: all data about jobs and objects, in one SQLite file in the data folder. It survives `kill -9`: every
//! report is one transaction, and an image counts as done only when its report is in the ledger.
//!
//! `jobs` holds the jobs and their states (`prune` removes old ones), `planning` what a listing adds to their work,
//! `leases` the work that is left and who does it, `objects` what the stores hold of each object, `metadata` the rows of
//! metadata files, `placements` and `tokens` the workers on a cluster, and `logs` the lines of a job's log.

#[cfg(test)]
pub(crate) mod fixture;
mod jobs;
mod leases;
mod logs;
mod metadata;
mod objects;
mod placements;
mod planning;
mod prune;
mod schema;
mod tokens;

use std::path::Path;

use crate::sqlite::{Sqlite, SqliteError};

pub use jobs::Finish;
pub use leases::deaths::MAX_DEATHS_ALONE;
pub use leases::work::{Report, Reported};
pub use leases::{Batch, Held, LeaseExtension, Leased, LostLeases};
pub use logs::{FailurePage, LogPage};
pub use metadata::Joined;
pub use objects::Known;
pub use objects::forget::Part;
pub use placements::PlacementRow;
pub use planning::listing::Cursor;
pub use planning::vanished::Losses;
pub use planning::{Page, Planning};

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
