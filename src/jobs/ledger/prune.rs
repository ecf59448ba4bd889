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
                self.drop_all(table, "id", &job).await?;
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

    /// Takes away all rows of a job, some at a time; `key` is what tells them apart.
    pub(super) async fn drop_all(&self, table: &str, key: &str, job: &str) -> Result<(), SqliteError> {
        let some = format!("SELECT {key} FROM {table} WHERE job = ?1 LIMIT ?2");
        let sql = format!("DELETE FROM {table} WHERE job = ?1 AND {key} IN ({some})");
        loop {
            let (sql, job) = (sql.clone(), job.to_owned());
            if self.db.call(move |db| db.prepare_cached(&sql)?.execute(params![job, STEP])).await? == 0 {
                return Ok(());
            }
        }
    }

    /// The finished jobs, whatever is left of them.
    pub(super) async fn finished(&self) -> Result<Vec<JobId>, SqliteError> {
        self.ids("SELECT id FROM jobs WHERE state NOT IN ('PENDING', 'RUNNING')").await
    }

    async fn ids(&self, select: &'static str) -> Result<Vec<JobId>, SqliteError> {
        let parse = |row: &rusqlite::Row<'_>| super::jobs::parsed(row, 0, |text| text.parse().ok());
        self.db.call(move |db| db.prepare(select)?.query_map((), parse)?.collect()).await
    }

    /// Ends every unfinished job as stopped, with this message; says how many: for a start that is not to go on.
    ///
    /// # Errors
    /// [`SqliteError`]
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
