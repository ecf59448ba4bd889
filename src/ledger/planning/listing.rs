//! How far a job's listing has got, how many keys it could not read, and whether the job left work undone.

use rusqlite::{OptionalExtension, params};

use crate::domain::JobId;
use crate::ledger::Ledger;
use crate::ledger::planning::{read_plan, write_plan};
use crate::sqlite::SqliteError;

/// Prefix of a cursor whose page was recorded only in part.
const PARTIAL_PAGE_PREFIX: &str = "again:";

/// Where an interrupted listing continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
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
    /// Returns the stored text; `None` if the stored cursor does not change.
    pub(crate) fn to_text(&self) -> Option<String> {
        match self {
            Self::First => Some("first".to_owned()),
            Self::At(token) => Some(format!("token:{token}")),
            Self::End => Some("end".to_owned()),
            Self::Unmoved => None,
        }
    }

    /// Returns the text to store if only some keys of the page could be recorded.
    pub(crate) fn partial_text(kept: Option<String>) -> String {
        let kept = kept.unwrap_or_else(|| "first".to_owned());
        if kept.starts_with(PARTIAL_PAGE_PREFIX) { kept } else { format!("{PARTIAL_PAGE_PREFIX}{kept}") }
    }

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "first" => Some(Self::First),
            "end" => Some(Self::End),
            text => text.strip_prefix("token:").map(|token| Self::At(token.to_owned())),
        }
    }
}

impl Ledger {
    /// Returns where the listing of a job continues, and whether some keys of that page are recorded already, up to the
    /// last recorded key. Returns `None` if the listing has not begun, or if the source has no tokens and the listing
    /// continues after the last key.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn cursor(&self, job: JobId) -> Result<Option<(Cursor, bool)>, SqliteError> {
        let sql = "SELECT listed_from FROM jobs WHERE id = ?1";
        self.db
            .call(move |db| {
                let text: Option<Option<String>> = db.query_row(sql, [job.to_string()], |row| row.get(0)).optional()?;
                Ok(text.flatten().and_then(|text| match text.strip_prefix(PARTIAL_PAGE_PREFIX) {
                    Some(rest) => Some((Cursor::from_text(rest)?, true)),
                    None => Some((Cursor::from_text(&text)?, false)),
                }))
            })
            .await
    }

    /// Returns how many keys of a job's listing were skipped because they are not UTF-8.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn unreadable(&self, job: JobId) -> Result<u64, SqliteError> {
        let sql = "SELECT unreadable FROM jobs WHERE id = ?1";
        self.db.call(move |db| db.query_row(sql, [job.to_string()], |row| row.get(0))).await
    }

    /// Removes the deletions from the plan of a dry run.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn clear_planned_deletions(&self, job: JobId) -> Result<(), SqliteError> {
        self.db
            .call(move |db| {
                let job = job.to_string();
                let tx = db.transaction()?;
                let mut plan = read_plan(&tx, &job)?;
                plan.deleted = 0;
                plan.examples.deleted.clear();
                write_plan(&tx, &job, &plan)?;
                tx.commit()
            })
            .await
    }

    /// Records that a job ended with work left, which a retry of it continues.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn mark_unfinished(&self, job: JobId) -> Result<(), SqliteError> {
        let sql = "UPDATE jobs SET unfinished = 1 WHERE id = ?1";
        self.db.call(move |db| db.execute(sql, params![job.to_string()]).map(drop)).await
    }

    /// Whether a job ended with work left.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn is_unfinished(&self, job: JobId) -> Result<bool, SqliteError> {
        let sql = "SELECT unfinished FROM jobs WHERE id = ?1";
        self.db.call(move |db| db.query_row(sql, [job.to_string()], |row| row.get(0))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_parsed_from_its_text_for_any_token() {
        for cursor in [Cursor::First, Cursor::End, Cursor::At("end".to_owned()), Cursor::At(String::new())] {
            assert_eq!(Cursor::from_text(&cursor.to_text().unwrap()), Some(cursor));
        }
        assert_eq!(Cursor::partial_text(None), "again:first");
        assert_eq!(Cursor::partial_text(Some("token:x".to_owned())), "again:token:x");
        assert_eq!(Cursor::partial_text(Some("again:token:x".to_owned())), "again:token:x");
    }
}
