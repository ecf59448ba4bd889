//! How far a job's listing has got, and how many keys it could not read.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::domain::JobId;

/// Prefix of a cursor whose page was recorded only in part.
const PARTIAL_PAGE_PREFIX: &str = "again:";

/// Where an interrupted listing continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cursor {
    /// At the first page.
    First,
    /// At the page with this token.
    At(String),
    /// The listing is complete.
    End,
    /// At the page that is being recorded; the rest of the page is still to come.
    Unmoved,
}

impl Cursor {
    /// Returns the text to store.
    pub(super) fn to_stored(&self, tx: &Transaction<'_>, job: JobId) -> rusqlite::Result<String> {
        Ok(match self {
            Self::First => "first".to_owned(),
            Self::At(token) => format!("token:{token}"),
            Self::End => "end".to_owned(),
            Self::Unmoved => partial_text(stored(tx, job)?),
        })
    }

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "first" => Some(Self::First),
            "end" => Some(Self::End),
            text => text.strip_prefix("token:").map(|token| Self::At(token.to_owned())),
        }
    }
}

/// Returns the text to store if only some keys of the page could be recorded.
fn partial_text(kept: Option<String>) -> String {
    let kept = kept.unwrap_or_else(|| "first".to_owned());
    if kept.starts_with(PARTIAL_PAGE_PREFIX) { kept } else { format!("{PARTIAL_PAGE_PREFIX}{kept}") }
}

fn stored(db: &Connection, job: JobId) -> rusqlite::Result<Option<String>> {
    let stored = db.query_row("SELECT listed_from FROM jobs WHERE id = ?1", [job], |row| row.get(0)).optional()?;
    Ok(stored.flatten())
}

/// Returns where the listing of a job continues, and whether some keys of that page are recorded already, up to the last
/// recorded key. Returns `None` if the listing has not begun, or if the source has no tokens and the listing continues
/// after the last key.
pub(crate) fn cursor(db: &Connection, job: JobId) -> rusqlite::Result<Option<(Cursor, bool)>> {
    Ok(stored(db, job)?.and_then(|text| match text.strip_prefix(PARTIAL_PAGE_PREFIX) {
        Some(rest) => Some((Cursor::from_text(rest)?, true)),
        None => Some((Cursor::from_text(&text)?, false)),
    }))
}

/// Returns how far the listing of a job has got: its last key, and whether it is complete.
pub(crate) fn progress(db: &Connection, job: JobId) -> rusqlite::Result<(Option<String>, bool)> {
    let sql = "SELECT listed_through, planned FROM jobs WHERE id = ?1";
    db.query_row(sql, [job], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Returns the key after which a listing or one of its ranges continues.
pub(super) fn position(db: &Connection, job: JobId, range: Option<&str>) -> rusqlite::Result<Option<String>> {
    if let Some(after) = range {
        let sql = "SELECT coalesce(listed_through, after) FROM ranges WHERE job = ?1 AND after = ?2";
        db.prepare_cached(sql)?.query_row(params![job, after], |row| row.get(0))
    } else {
        let sql = "SELECT listed_through FROM jobs WHERE id = ?1";
        db.prepare_cached(sql)?.query_row([job], |row| row.get(0))
    }
}

/// Records that a listing or one of its ranges has got to this key.
pub(super) fn set_position(tx: &Transaction<'_>, job: JobId, range: Option<&str>, key: &str) -> rusqlite::Result<()> {
    if let Some(after) = range {
        let sql = "UPDATE ranges SET listed_through = ?3 WHERE job = ?1 AND after = ?2";
        tx.prepare_cached(sql)?.execute(params![job, after, key]).map(drop)
    } else {
        let sql = "UPDATE jobs SET listed_through = ?2 WHERE id = ?1";
        tx.prepare_cached(sql)?.execute(params![job, key]).map(drop)
    }
}

/// Returns how many keys of a job's listing were skipped because they are not UTF-8.
pub(crate) fn unreadable(db: &Connection, job: JobId) -> rusqlite::Result<u64> {
    db.query_row("SELECT unreadable FROM jobs WHERE id = ?1", [job], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_parsed_from_its_text_for_any_token() {
        let mut db = Connection::open_in_memory().unwrap();
        let tx = db.transaction().unwrap();
        for cursor in [Cursor::First, Cursor::End, Cursor::At("end".to_owned()), Cursor::At(String::new())] {
            let text = cursor.to_stored(&tx, JobId::fresh()).unwrap();
            assert_eq!(Cursor::from_text(&text), Some(cursor));
        }
        assert_eq!(partial_text(None), "again:first");
        assert_eq!(partial_text(Some("token:x".to_owned())), "again:token:x");
        assert_eq!(partial_text(Some("again:token:x".to_owned())), "again:token:x");
    }
}
