//! The tables, as migration steps: a ledger of any earlier version is migrated to the current version in one
//! transaction.

mod generations;
mod jobs;
mod keys;
mod listings;
mod mirrors;
mod models;
mod outbox;
mod tombstones;

use rusqlite::Connection;

use self::generations::{GENERATIONS, REMOVED_KEYS};
use self::jobs::{FIRST, LEASES, METADATA, MIRROR, PAUSES, PLACEMENTS, STORES, WAITING};
use self::keys::{KEYS, SIGN_IN};
use self::listings::{DROPPING, EXCLUDED, LISTING, RANGES, RECALL};
use self::mirrors::MIRRORS;
use self::models::COLLECTION_MODELS;
use self::outbox::OUTBOX;
use self::tombstones::TOMBSTONES;

/// The version of a ledger is the number of steps that were applied to it.
const STEPS: [&str; 21] = [
    FIRST,
    STORES,
    METADATA,
    LEASES,
    MIRROR,
    PLACEMENTS,
    WAITING,
    EXCLUDED,
    DROPPING,
    LISTING,
    RANGES,
    RECALL,
    MIRRORS,
    TOMBSTONES,
    COLLECTION_MODELS,
    GENERATIONS,
    KEYS,
    PAUSES,
    OUTBOX,
    SIGN_IN,
    REMOVED_KEYS,
];

/// The version of a ledger of this service.
pub const VERSION: usize = STEPS.len();

/// Applies the steps that were not applied to the file yet.
pub(crate) fn migrate(db: &mut Connection) -> rusqlite::Result<()> {
    let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: usize = tx.query_row("PRAGMA user_version", (), |row| row.get(0))?;
    if version > STEPS.len() {
        let message = format!(
            "the ledger was written by a newer version of this service: its version is {version}, this service supports \
             {}; run that version, or set GLIMPSE_DATA_DIR to another folder",
            STEPS.len()
        );
        return Err(rusqlite::Error::ToSqlConversionFailure(message.into()));
    }
    if version == STEPS.len() {
        // Nothing is written, because the service must be able to start on a full disk.
        return tx.commit();
    }
    for step in &STEPS[version..] {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "user_version", STEPS.len())?;
    tx.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_of_the_first_version_keeps_its_objects() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch(FIRST).unwrap();
        db.execute_batch("INSERT INTO objects VALUES ('c', 's3://b/a.jpg', 'e', 1, 's'); PRAGMA user_version = 1")
            .unwrap();
        for _ in 0..2 {
            migrate(&mut db).unwrap();
            let stores: String = db.query_row("SELECT stores FROM objects", (), |row| row.get(0)).unwrap();
            assert_eq!(stores, "embedded");
        }
    }

    #[test]
    fn a_ledger_of_a_newer_version_is_refused_and_not_changed() {
        let mut db = Connection::open_in_memory().unwrap();
        db.pragma_update(None, "user_version", STEPS.len() + 1).unwrap();
        let message = migrate(&mut db).unwrap_err().to_string();
        assert!(message.contains("newer version") && message.contains("GLIMPSE_DATA_DIR"), "{message}");
    }
}
