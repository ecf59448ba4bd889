//! The token of a job with remote workers. Only its SHA-256 digest is stored, never the token.

use rusqlite::{OptionalExtension, params};

use crate::domain::JobId;
use crate::ledger::Ledger;
use crate::sqlite::SqliteError;

impl Ledger {
    /// Stores the digest of a job's new token and increases the generation; the previous token becomes invalid. Returns
    /// the new generation.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn set_worker_token(&self, job: JobId, sha256: String) -> Result<u32, SqliteError> {
        self.db
            .call(move |db| {
                db.query_row(
                    "UPDATE jobs SET worker_token = ?2, generation = generation + 1 WHERE id = ?1 RETURNING generation",
                    params![job.to_string(), sha256],
                    |row| row.get(0),
                )
            })
            .await
    }

    /// Returns the digest of a job's token, if it has one.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn worker_token(&self, job: JobId) -> Result<Option<String>, SqliteError> {
        self.reader
            .call(move |db| {
                let token: Option<Option<String>> = db
                    .prepare_cached("SELECT worker_token FROM jobs WHERE id = ?1")?
                    .query_row([job.to_string()], |row| row.get(0))
                    .optional()?;
                Ok(token.flatten())
            })
            .await
    }
}
