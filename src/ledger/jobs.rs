//! Jobs and their states.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::domain::{CollectionName, Executor, JobCounts, JobId, JobRecord, JobState, Timestamp};
use crate::jobs::service::tally;
use crate::ledger::Ledger;
use crate::sqlite::SqliteError;

/// How a job ended.
#[derive(Clone, Debug)]
pub struct Finish {
    /// The state, which is final.
    pub state: JobState,
    /// Why the job failed, or a note about its success.
    pub message: Option<String>,
    /// Rates and timings of the job as JSON, for later status requests.
    pub summary: Option<String>,
}

const COLUMNS: &str = "id, spec, state, message, submitted_at, started_at, finished_at, \
                       listed, skipped, unchanged, done, failed, deleted, plan";

impl Ledger {
    /// Adds a new job with the state `PENDING`, unless `max_pending` jobs have this state already. Returns whether it
    /// was added.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn enqueue(&self, job: &JobRecord, max_pending: usize) -> Result<bool, SqliteError> {
        let (id, collection) = (job.id.to_string(), job.spec.collection.to_string());
        let (spec, at) = (job.spec.clone(), job.submitted_at.to_string());
        let max_pending = i64::try_from(max_pending).unwrap_or(i64::MAX);
        self.db
            .call(move |db| {
                let changed = db.execute(
                    "INSERT INTO jobs(id, state, collection, spec, submitted_at) SELECT ?1, 'PENDING', ?2, ?3, ?4
                     WHERE (SELECT count(*) FROM jobs WHERE state = 'PENDING') < ?5",
                    params![id, collection, to_json(&spec)?, at, max_pending],
                )?;
                Ok(changed == 1)
            })
            .await
    }

    /// Returns the job with this id.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn job(&self, id: JobId) -> Result<Option<JobRecord>, SqliteError> {
        let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1");
        self.reader.call(move |db| db.query_row(&sql, [id.to_string()], read_row).optional()).await
    }

    /// Returns jobs, the newest first; only those older than `before` if it is given.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn jobs(&self, limit: u32, before: Option<JobId>) -> Result<Vec<JobRecord>, SqliteError> {
        let sql = format!("SELECT {COLUMNS} FROM jobs WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2");
        let before = before.map(|id| id.to_string());
        self.reader
            .call(move |db| db.prepare_cached(&sql)?.query_map(params![before, limit], read_row)?.collect())
            .await
    }

    /// Returns the number of jobs in each state. States without jobs are left out.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn count_jobs(&self) -> Result<HashMap<JobState, u32>, SqliteError> {
        self.reader
            .call(move |db| {
                db.prepare_cached("SELECT state, count(*) FROM jobs GROUP BY state")?
                    .query_map((), |row| Ok((parse_column(row, 0, JobState::from_name)?, row.get(1)?)))?
                    .collect()
            })
            .await
    }

    /// Returns the next job to work on: first one that an earlier process left running, then the one that has waited
    /// longest. Jobs on a collection of `busy` wait, because two jobs on the same collection must not run at the same
    /// time; jobs whose executor is in `full` wait too.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn next_job(
        &self,
        running: Vec<JobId>,
        busy: Vec<CollectionName>,
        full: Vec<Executor>,
    ) -> Result<Option<JobRecord>, SqliteError> {
        let running: Vec<String> = running.iter().map(JobId::to_string).collect();
        let busy: Vec<String> = busy.iter().map(CollectionName::to_string).collect();
        let full: Vec<&str> = full.into_iter().map(Executor::as_str).collect();
        self.db
            .call(move |db| {
                let (running, busy, full) = (to_json(&running)?, to_json(&busy)?, to_json(&full)?);
                // One query for each state, so that the index returns the ids in order and the query ends at the first
                // one.
                for state in [JobState::Running, JobState::Pending] {
                    let next: Option<String> = db
                        .prepare_cached(
                            "SELECT id FROM jobs INDEXED BY jobs_waiting WHERE state = ?1
                             AND id NOT IN (SELECT value FROM json_each(?2))
                             AND collection NOT IN (SELECT value FROM json_each(?3))
                             AND executor NOT IN (SELECT value FROM json_each(?4)) ORDER BY id LIMIT 1",
                        )?
                        .query_row(params![state.as_str(), running, busy, full], |row| row.get(0))
                        .optional()?;
                    if let Some(id) = next {
                        return read_job(db, &id);
                    }
                }
                Ok(None)
            })
            .await
    }

    /// Records that the work on a job begins or continues. Returns `false` if the job has ended already.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn begin(&self, id: JobId) -> Result<bool, SqliteError> {
        let now = Timestamp::now().to_string();
        self.db
            .call(move |db| {
                let changed = db.execute(
                    "UPDATE jobs SET state = 'RUNNING', started_at = coalesce(started_at, ?2)
                     WHERE id = ?1 AND state IN ('PENDING', 'RUNNING')",
                    params![id.to_string(), now],
                )?;
                Ok(changed == 1)
            })
            .await
    }

    /// Ends a job whose state is not final. Returns whether this call ended it.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn finish(&self, id: JobId, finish: Finish) -> Result<bool, SqliteError> {
        let now = Timestamp::now().to_string();
        self.db
            .call(move |db| {
                let changed = db.execute(
                    "UPDATE jobs SET state = ?2, message = ?3, summary = coalesce(?4, summary), finished_at = ?5
                     WHERE id = ?1 AND state IN ('PENDING', 'RUNNING')",
                    params![id.to_string(), finish.state.as_str(), finish.message, finish.summary, now],
                )?;
                if changed == 1 {
                    tally::finished(finish.state);
                }
                Ok(changed == 1)
            })
            .await
    }

    /// Stores rates and timings of a job that another call has ended.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn summarise(&self, id: JobId, summary: Option<String>) -> Result<(), SqliteError> {
        self.db
            .call(move |db| {
                let sql = "UPDATE jobs SET summary = coalesce(?2, summary) WHERE id = ?1";
                db.execute(sql, params![id.to_string(), summary]).map(drop)
            })
            .await
    }

    /// Removes the remaining work of a finished job.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn clear(&self, id: JobId) -> Result<(), SqliteError> {
        let id = id.to_string();
        // Batches first, so that no batch is leased whose items are partly removed.
        for (table, key) in [("batches", "id"), ("items", "id"), ("metadata", "uri"), ("vanished", "uri")] {
            self.delete_rows(table, key, &id).await?;
        }
        Ok(())
    }

    /// Returns rates and timings of a finished job, as they were passed to [`Ledger::finish`].
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn summary(&self, id: JobId) -> Result<Option<String>, SqliteError> {
        self.reader
            .call(move |db| {
                let row = db.query_row("SELECT summary FROM jobs WHERE id = ?1", [id.to_string()], |row| row.get(0));
                Ok(row.optional()?.flatten())
            })
            .await
    }
}

pub(crate) fn read_row(row: &Row<'_>) -> rusqlite::Result<JobRecord> {
    Ok(JobRecord {
        id: parse_column(row, 0, |text| text.parse().ok())?,
        spec: parse_column(row, 1, |text| serde_json::from_str(text).ok())?,
        state: parse_column(row, 2, JobState::from_name)?,
        message: row.get(3)?,
        submitted_at: parse_column(row, 4, |text| Timestamp::parse(text).ok())?,
        started_at: read_timestamp(row, 5)?,
        finished_at: read_timestamp(row, 6)?,
        counts: JobCounts {
            listed: row.get(7)?,
            skipped: row.get(8)?,
            unchanged: row.get(9)?,
            done: row.get(10)?,
            failed: row.get(11)?,
            deleted: row.get(12)?,
        },
        plan: row.get::<_, Option<String>>(13)?.and_then(|text| serde_json::from_str(&text).ok()),
    })
}

/// Returns the job with this id, inside a transaction.
pub(crate) fn read_job(db: &Connection, id: &str) -> rusqlite::Result<Option<JobRecord>> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1");
    db.prepare_cached(&sql)?.query_row([id], read_row).optional()
}

/// Returns the counts of a job, inside a transaction.
pub(crate) fn counts(db: &Connection, id: &str) -> rusqlite::Result<JobCounts> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1");
    db.prepare_cached(&sql)?.query_row([id], read_row).map(|job| job.counts)
}

fn read_timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let text: Option<String> = row.get(column)?;
    Ok(text.and_then(|text| Timestamp::parse(&text).ok()))
}

pub(crate) fn parse_column<T>(row: &Row<'_>, column: usize, parse: impl Fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| {
        let message = format!("the value `{text}` in column {column} was not written by this service");
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, message.into())
    })
}

pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::fixture;

    #[tokio::test]
    async fn a_job_that_can_start_is_found_behind_many_that_cannot() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let job_with = |executor: Executor, collection: &str| {
            let mut job = fixture::job(executor);
            job.spec.collection = CollectionName::parse(collection).unwrap();
            job
        };
        let running = job_with(Executor::Ray, "running");
        assert!(ledger.enqueue(&running, 10_000).await.unwrap() && ledger.begin(running.id).await.unwrap());
        let mut jobs: Vec<_> = (0..1_100).map(|_| job_with(Executor::Ray, "c")).collect();
        jobs.extend((0..1_100).map(|_| job_with(Executor::Local, "busy")));
        let free = [job_with(Executor::Local, "free"), job_with(Executor::Local, "free")];
        jobs.extend(free.clone());
        for job in &jobs {
            assert!(ledger.enqueue(job, 10_000).await.unwrap());
        }
        let busy = || vec![CollectionName::parse("busy").unwrap()];
        let next = async |running: Vec<JobId>, full: Vec<Executor>| {
            ledger.next_job(running, busy(), full).await.unwrap().map(|job| job.id)
        };
        assert_eq!(
            next(vec![], vec![Executor::Ray]).await,
            Some(free[0].id),
            "the one of these that has waited longest"
        );
        assert_eq!(next(vec![], vec![]).await, Some(running.id), "what an earlier process left running comes first");
        assert_eq!(next(vec![running.id], vec![]).await, Some(jobs[0].id));
        assert_eq!(next(vec![], vec![Executor::Ray, Executor::Local]).await, None);
        // A job that was given to another executor counts for that executor.
        ledger.hand_over(jobs[0].id, Executor::Local, None).await.unwrap();
        assert_eq!(next(vec![], vec![Executor::Ray]).await, Some(jobs[0].id));
    }
}
