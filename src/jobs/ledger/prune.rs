//! Finished jobs are kept for a while, and then forgotten with their logs and failures. What they indexed stays.

use rusqlite::{OptionalExtension, params};

use super::Ledger;
use crate::domain::{JobId, JobState};
use crate::sqlite::SqliteError;

/// Rows of one transaction: a job may have failed a million images, and others wait for the ledger meanwhile.
const STEP: u32 = 10_000;

impl Ledger {
    /// Forgets all finished jobs but the newest `keep`, and those whose failed images an unfinished job takes up; says how
    /// many.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn prune(&self, keep: u64) -> Result<u64, SqliteError> {
        let mut removed = 0;
        while let Some(job) = self.oldest_beyond(keep).await? {
            for table in ["failures", "logs"] {
                while self.drop_some(table, job.clone()).await? > 0 {}
            }
            self.db
                .call(move |db| {
                    let all = db.transaction()?;
                    all.execute("DELETE FROM placements WHERE job = ?1", [&job])?;
                    all.execute("DELETE FROM jobs WHERE id = ?1", [&job])?;
                    all.commit()
                })
                .await?;
            removed += 1;
        }
        Ok(removed)
    }

    /// A finished job with `keep` newer ones.
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

    async fn drop_some(&self, table: &'static str, job: String) -> Result<usize, SqliteError> {
        let sql = format!("DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE job = ?1 LIMIT ?2)");
        self.db.call(move |db| db.prepare_cached(&sql)?.execute(params![job, STEP])).await
    }

    /// Ends every unfinished job as stopped, with this message; says how many: for a start that is not to go on.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn stop_unfinished(&self, message: &'static str) -> Result<usize, SqliteError> {
        let unfinished = "SELECT id FROM jobs WHERE state IN ('PENDING', 'RUNNING') ORDER BY id";
        let ids: Vec<JobId> = self
            .db
            .call(move |db| {
                db.prepare(unfinished)?
                    .query_map((), |row| super::jobs::parsed(row, 0, |text| text.parse().ok()))?
                    .collect()
            })
            .await?;
        for id in &ids {
            let finish = super::Finish { state: JobState::Stopped, message: Some(message.to_owned()), summary: None };
            self.finish(*id, finish).await?;
            self.clear(*id, None).await?;
        }
        Ok(ids.len())
    }
}
