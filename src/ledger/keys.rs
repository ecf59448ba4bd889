//! API keys. Their secrets are not stored, only digests.

use rusqlite::{Connection, Row, Transaction, params};

use crate::domain::{KeyName, KeyRecord, Timestamp};

/// What [`add`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// The key is new.
    Created,
    /// A key has this name, so that nothing was changed.
    Exists,
    /// There are too many keys, so that nothing was changed.
    TooMany,
}

/// Adds a key, unless there are `max` others.
pub(crate) fn add(tx: &Transaction<'_>, key: &KeyRecord, max: usize) -> rusqlite::Result<Added> {
    let KeyRecord { name, role, digest, created_at, expires_at, last_used_at: _ } = key;
    let exists: bool = tx.query_row("SELECT EXISTS(SELECT 1 FROM keys WHERE name = ?1)", [name], |row| row.get(0))?;
    if exists {
        return Ok(Added::Exists);
    }
    let added = tx.execute(
        "INSERT INTO keys(name, role, digest, created_at, expires_at)
         SELECT ?1, ?2, ?3, ?4, ?5 WHERE (SELECT count(*) FROM keys) < ?6",
        params![name, role, digest, created_at, expires_at, max],
    )?;
    Ok(if added == 1 { Added::Created } else { Added::TooMany })
}

/// Returns every key, in the order of their names.
pub(crate) fn all(db: &Connection) -> rusqlite::Result<Vec<KeyRecord>> {
    let sql = "SELECT name, role, digest, created_at, expires_at, last_used_at FROM keys ORDER BY name";
    db.prepare_cached(sql)?.query_map((), read_row)?.collect()
}

/// Removes a key. Returns whether it existed.
pub(crate) fn remove(tx: &Transaction<'_>, name: &KeyName) -> rusqlite::Result<bool> {
    Ok(tx.execute("DELETE FROM keys WHERE name = ?1", [name])? == 1)
}

/// Records when keys were last used.
pub(crate) fn set_last_used(tx: &Transaction<'_>, used: &[(KeyName, Timestamp)]) -> rusqlite::Result<()> {
    let mut update = tx.prepare_cached("UPDATE keys SET last_used_at = ?2 WHERE name = ?1")?;
    for (name, at) in used {
        update.execute(params![name, at])?;
    }
    Ok(())
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<KeyRecord> {
    Ok(KeyRecord {
        name: row.get(0)?,
        role: row.get(1)?,
        digest: row.get(2)?,
        created_at: row.get(3)?,
        expires_at: row.get(4)?,
        last_used_at: row.get(5)?,
    })
}
