//! Where a job's listing stands, what it could not name, and whether the job left work behind.

use rusqlite::{OptionalExtension, params};

use super::Ledger;
use super::planning::{read_plan, write_plan};
use crate::domain::JobId;
use crate::sqlite::SqliteError;

/// Before a cursor at whose page some keys are noted already.
const AGAIN: &str = "again:";

/// Where a listing that is interrupted goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// At its first page.
    First,
    /// At the page of this token.
    At(String),
    /// It has come to its end.
    End,
    /// At the page that is being noted: the rest of it is still to come.
    Unmoved,
}

impl Cursor {
    /// As it is kept; nothing for one that stays as it is.
    pub(super) fn to_text(&self) -> Option<String> {
        match self {
            Self::First => Some("first".to_owned()),
            Self::At(token) => Some(format!("token:{token}")),
            Self::End => Some("end".to_owned()),
            Self::Unmoved => None,
        }
    }

    /// The cursor that is kept if only some keys of its page could be noted.
    pub(super) fn again(kept: Option<String>) -> String {
        let kept = kept.unwrap_or_else(|| "first".to_owned());
        if kept.starts_with(AGAIN) { kept } else { format!("{AGAIN}{kept}") }
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
    /// Where the listing of a job goes on, and whether keys of that page are noted already, up to the last one. `None` if it
    /// has not begun, or in a source without tokens: after the last key.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn cursor(&self, job: JobId) -> Result<Option<(Cursor, bool)>, SqliteError> {
        let sql = "SELECT listed_from FROM jobs WHERE id = ?1";
        self.db
            .call(move |db| {
                let text: Option<Option<String>> = db.query_row(sql, [job.to_string()], |row| row.get(0)).optional()?;
                Ok(text.flatten().and_then(|text| match text.strip_prefix(AGAIN) {
                    Some(rest) => Some((Cursor::from_text(rest)?, true)),
                    None => Some((Cursor::from_text(&text)?, false)),
                }))
            })
            .await
    }

    /// How many keys of a job's listing were skipped because they are not UTF-8.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn unreadable(&self, job: JobId) -> Result<u64, SqliteError> {
        let sql = "SELECT unreadable FROM jobs WHERE id = ?1";
        self.db.call(move |db| db.query_row(sql, [job.to_string()], |row| row.get(0))).await
    }

    /// Takes the removals out of the plan of a dry run.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn keep_all(&self, job: JobId) -> Result<(), SqliteError> {
        self.db
            .call(move |db| {
                let job = job.to_string();
                let all = db.transaction()?;
                let mut plan = read_plan(&all, &job)?;
                plan.deleted = 0;
                plan.examples.deleted.clear();
                write_plan(&all, &job, &plan)?;
                all.commit()
            })
            .await
    }

    /// Notes that a job ends with work left, which its retry takes up.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn leave_unfinished(&self, job: JobId) -> Result<(), SqliteError> {
        let sql = "UPDATE jobs SET unfinished = 1 WHERE id = ?1";
        self.db.call(move |db| db.execute(sql, params![job.to_string()]).map(drop)).await
    }

    /// Whether a job ended with work left.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn is_unfinished(&self, job: JobId) -> Result<bool, SqliteError> {
        let sql = "SELECT unfinished FROM jobs WHERE id = ?1";
        self.db.call(move |db| db.query_row(sql, [job.to_string()], |row| row.get(0))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_whatever_its_token_is() {
        for cursor in [Cursor::First, Cursor::End, Cursor::At("end".to_owned()), Cursor::At(String::new())] {
            assert_eq!(Cursor::from_text(&cursor.to_text().unwrap()), Some(cursor));
        }
        assert_eq!(Cursor::again(None), "again:first");
        assert_eq!(Cursor::again(Some("token:x".to_owned())), "again:token:x");
        assert_eq!(Cursor::again(Some("again:token:x".to_owned())), "again:token:x");
    }
}
