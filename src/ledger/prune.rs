//! Removes old finished jobs with their logs and failures. The images that they indexed stay.

use rusqlite::{OptionalExtension, params};

use crate::domain::{JobId, JobState};
use crate::ledger::Ledger;
use crate::sqlite::SqliteError;

/// Maximum number of rows in one transaction: a job can have a million failed images, and other calls wait for the
/// ledger in the meantime.
const ROWS_PER_STEP: u32 = 10_000;

impl Ledger {
    /// Removes all finished jobs except the newest `keep` and those whose failed images an unfinished job retries.
    /// Returns how many were removed.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn prune(&self, keep: u64) -> Result<u64, SqliteError> {
        let mut removed = 0;
        while let Some(job) = self.oldest_beyond(keep).await? {
            for table in ["failures", "logs"] {
                self.delete_rows(table, "id", &job).await?;
            }
            self.db
                .call(move |db| {
                    let tx = db.transaction()?;
                    tx.execute("DELETE FROM placements WHERE job = ?1", [&job])?;
                    tx.execute("DELETE FROM jobs WHERE id = ?1", [&job])?;
                    tx.commit()
                })
                .await?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Returns a finished job that has `keep` newer finished jobs.
    async fn oldest_beyond(&self, keep: u64) -> Result<Option<String>, SqliteError> {
        self.db
            .call(move |db| {
                db.prepare_cached(
                    "SELECT id FROM jobs WHERE state NOT IN ('PENDING', 'RUNNING')
                     AND id NOT IN (SELECT coalesce(json_extract(spec, '$.retry_of'), '') FROM jobs
                                    WHERE state IN ('PENDING', 'RUNNING'))
                     ORDER BY id DESC LIMIT 1 OFFSET ?1",
                )?
                .query_row(params![i64::try_from(keep).unwrap_or(i64::MAX)], |row| row.get(0))
                .optional()
            })
            .await
    }

    /// Deletes all rows of a job from a table, some at a time. `key` is a column whose values are unique within the
    /// job.
    pub(crate) async fn delete_rows(&self, table: &str, key: &str, job: &str) -> Result<(), SqliteError> {
        let batch_of_keys = format!("SELECT {key} FROM {table} WHERE job = ?1 LIMIT ?2");
        let sql = format!("DELETE FROM {table} WHERE job = ?1 AND {key} IN ({batch_of_keys})");
        loop {
            let (sql, job) = (sql.clone(), job.to_owned());
            if self.db.call(move |db| db.prepare_cached(&sql)?.execute(params![job, ROWS_PER_STEP])).await? == 0 {
                return Ok(());
            }
        }
    }

    /// Returns all finished jobs.
    pub(crate) async fn finished(&self) -> Result<Vec<JobId>, SqliteError> {
        self.ids("SELECT id FROM jobs WHERE state NOT IN ('PENDING', 'RUNNING')").await
    }

    async fn ids(&self, select: &'static str) -> Result<Vec<JobId>, SqliteError> {
        let parse = |row: &rusqlite::Row<'_>| super::jobs::parse_column(row, 0, |text| text.parse().ok());
        self.db.call(move |db| db.prepare(select)?.query_map((), parse)?.collect()).await
    }

    /// Ends every unfinished job as stopped, with this message, when the service starts and must not continue them.
    /// Returns how many were ended.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn stop_unfinished(&self, message: &'static str) -> Result<usize, SqliteError> {
        let ids = self.ids("SELECT id FROM jobs WHERE state IN ('PENDING', 'RUNNING') ORDER BY id").await?;
        for id in &ids {
            let finish = super::Finish { state: JobState::Stopped, message: Some(message.to_owned()), summary: None };
            self.finish(*id, finish).await?;
            self.clear(*id).await?;
        }
        Ok(ids.len())
    }
}
