//! What `index.sqlite` says about all records of a collection, so that a start recognises files that do not belong to it:
//! the files of the approximate index also say which slots are occupied.

use rusqlite::{Connection, OptionalExtension, params};

use crate::domain::ImageId;

/// The table of fingerprints.
pub(super) const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS fingerprints (
    collection INTEGER PRIMARY KEY, records INTEGER NOT NULL, digest INTEGER NOT NULL) STRICT;";

/// The number of records, and the sum of a hash of each slot with its record. Records can be added and removed in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint {
    records: usize,
    digest: u64,
}

impl Fingerprint {
    pub(super) fn records(&self) -> usize {
        self.records
    }

    pub(super) fn add(&mut self, slot: u32, id: ImageId) {
        self.records += 1;
        self.digest = self.digest.wrapping_add(hash(slot, id));
    }

    pub(super) fn remove(&mut self, slot: u32, id: ImageId) {
        self.records -= 1;
        self.digest = self.digest.wrapping_sub(hash(slot, id));
    }

    /// Reads the fingerprint of a collection. Returns `None` if an earlier version wrote the collection.
    pub(super) fn read(connection: &Connection, n: i64) -> rusqlite::Result<Option<Self>> {
        let sql = "SELECT records, digest FROM fingerprints WHERE collection = ?1";
        let read =
            |row: &rusqlite::Row<'_>| Ok(Self { records: row.get(0)?, digest: row.get::<_, i64>(1)?.cast_unsigned() });
        connection.query_row(sql, (n,), read).optional()
    }

    /// Writes the fingerprint of a collection.
    pub(super) fn write(self, connection: &Connection, n: i64) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached("REPLACE INTO fingerprints VALUES (?1, ?2, ?3)")?;
        statement.execute(params![n, self.records, self.digest.cast_signed()]).map(drop)
    }

    /// Removes the fingerprint of a collection.
    pub(super) fn delete(connection: &Connection, n: i64) -> rusqlite::Result<()> {
        connection.execute("DELETE FROM fingerprints WHERE collection = ?1", (n,)).map(drop)
    }
}

/// Mixes the bits of a slot and an id (the finaliser of `SplitMix64`).
fn hash(slot: u32, id: ImageId) -> u64 {
    let (high, low) = id.0.as_u64_pair();
    let mut bits = high ^ low.rotate_left(32) ^ u64::from(slot).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}
