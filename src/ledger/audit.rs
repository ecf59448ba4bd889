//! Who has changed what: one row for each request that changed data.

use rusqlite::{Connection, Row, Transaction, params};

use crate::domain::AuditEntry;

/// Adds a row. Of each role, the newest `kept` rows are kept.
pub(crate) fn add(tx: &Transaction<'_>, entry: &AuditEntry, kept: u32) -> rusqlite::Result<()> {
    let AuditEntry { at, name, sign_in, role, action, path, status, location, request_id } = entry;
    tx.prepare_cached(
        "INSERT INTO audit(at, name, sign_in, role, action, path, status, location, request_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![at, name, sign_in, role, action, path, status, location, request_id])?;
    tx.prepare_cached(
        "DELETE FROM audit WHERE role = ?1 AND number <=
         (SELECT number FROM audit WHERE role = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
    )?
    .execute(params![role, kept])?;
    Ok(())
}

/// Returns at most `limit` rows with their numbers, the newest first; only those before the row `before`, if it is given.
pub(crate) fn page(db: &Connection, before: Option<i64>, limit: u32) -> rusqlite::Result<Vec<(i64, AuditEntry)>> {
    let sql = "SELECT number, at, name, sign_in, role, action, path, status, location, request_id FROM audit
               WHERE number < ?1 ORDER BY number DESC LIMIT ?2";
    db.prepare_cached(sql)?.query_map(params![before.unwrap_or(i64::MAX), limit], read_row)?.collect()
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<(i64, AuditEntry)> {
    let entry = AuditEntry {
        at: row.get(1)?,
        name: row.get(2)?,
        sign_in: row.get(3)?,
        role: row.get(4)?,
        action: row.get(5)?,
        path: row.get(6)?,
        status: row.get(7)?,
        location: row.get(8)?,
        request_id: row.get(9)?,
    };
    Ok((row.get(0)?, entry))
}
