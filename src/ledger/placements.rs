//! The workers that a cluster was asked to start for a job. A placement is recorded before the request to the cluster,
//! so that a crash in between does not start workers twice. This module also records when a job changes its executor.

use rusqlite::{OptionalExtension, params};

use crate::domain::{Executor, JobId};
use crate::ledger::{Ledger, jobs, leases};
use crate::sqlite::SqliteError;

/// The generation of a job's workers that the cluster has or will get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementRow {
    /// The submission id in the cluster. It is never used twice.
    pub submission: String,
    /// Whether the cluster has confirmed the submission.
    pub submitted: bool,
    /// Images of the job that were done or failed before this generation.
    pub dealt_with: u64,
    /// How many generations directly before this one ended without progress.
    pub fruitless: u32,
    /// Is increased with each change of the job's workers; see [`Ledger::place`].
    pub generation: u32,
}

impl Ledger {
    /// Returns the generation of a job's workers. It is increased whenever a cluster is asked for new workers, and
    /// whenever the job is given to another executor.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn generation(&self, job: JobId) -> Result<u32, SqliteError> {
        let sql = "SELECT generation FROM jobs WHERE id = ?1";
        self.db.call(move |db| db.query_row(sql, [job.to_string()], |row| row.get(0))).await
    }

    /// Records a new generation of a job's workers after `generation`, with the digest of its token. From then on the
    /// previous generation is refused, and its leases are given back. Returns `None` and changes nothing if the job has
    /// another generation by now, because it was given to another executor in the meantime.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn place(
        &self,
        job: JobId,
        sha256: String,
        fruitless: u32,
        generation: u32,
    ) -> Result<Option<PlacementRow>, SqliteError> {
        self.db
            .call(move |db| {
                let job = job.to_string();
                let tx = db.transaction()?;
                let placed: Option<(u32, u64)> = tx
                    .query_row(
                        "UPDATE jobs SET worker_token = ?2, generation = generation + 1 WHERE id = ?1 AND generation = ?3
                         RETURNING generation, done + failed",
                        params![job, sha256, generation],
                        |row| Ok((row.get(0)?, row.get(1)?)),
                    )
                    .optional()?;
                let Some((generation, dealt_with)) = placed else { return Ok(None) };
                let submission = format!("glimpse-{job}-g{generation}");
                tx.execute(
                    "INSERT OR REPLACE INTO placements(job, submission, dealt_with, fruitless) VALUES (?1, ?2, ?3, ?4)",
                    params![job, submission, dealt_with, fruitless],
                )?;
                leases::recall(&tx, &job)?;
                tx.commit()?;
                Ok(Some(PlacementRow { submission, submitted: false, dealt_with, fruitless, generation }))
            })
            .await
    }

    /// Records that the cluster has the current generation of a job.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn placed(&self, job: JobId) -> Result<(), SqliteError> {
        let placed = "UPDATE placements SET submitted = 1 WHERE job = ?1";
        self.db.call(move |db| db.execute(placed, [job.to_string()]).map(drop)).await
    }

    /// Returns the placement of a job's current generation, if it has one.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn placement(&self, job: JobId) -> Result<Option<PlacementRow>, SqliteError> {
        self.db
            .call(move |db| {
                db.prepare_cached(
                    "SELECT submission, submitted, dealt_with, fruitless, generation
                     FROM placements JOIN jobs ON jobs.id = placements.job WHERE job = ?1",
                )?
                .query_row([job.to_string()], |row| {
                    Ok(PlacementRow {
                        submission: row.get(0)?,
                        submitted: row.get(1)?,
                        dealt_with: row.get(2)?,
                        fruitless: row.get(3)?,
                        generation: row.get(4)?,
                    })
                })
                .optional()
            })
            .await
    }

    /// Gives an unfinished job to another executor, whose workers present the token with this digest. From then on the
    /// previous workers are refused, and their leases are given back. The outer `Option` is `None` if the job has
    /// ended; the inner one is the placement that must be stopped.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn hand_over(
        &self,
        job: JobId,
        executor: Executor,
        sha256: Option<String>,
    ) -> Result<Option<Option<String>>, SqliteError> {
        self.db
            .call(move |db| {
                let job = job.to_string();
                let tx = db.transaction()?;
                let record = jobs::read_job(&tx, &job)?.filter(|record| !record.state.is_final());
                let Some(mut record) = record else { return Ok(None) };
                record.spec.executor = executor;
                tx.execute(
                    "UPDATE jobs SET spec = ?2, worker_token = ?3, generation = generation + 1 WHERE id = ?1",
                    params![job, jobs::to_json(&record.spec)?, sha256],
                )?;
                let placed = tx
                    .query_row("DELETE FROM placements WHERE job = ?1 RETURNING submission", [&job], |row| row.get(0))
                    .optional()?;
                leases::recall(&tx, &job)?;
                tx.commit()?;
                Ok(Some(placed))
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ImageRef, ImageUri, JobState};
    use crate::ledger::{Finish, Leased, Page, fixture};

    async fn ledger_with_one_batch() -> (tempfile::TempDir, Ledger, JobId) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let job = fixture::job(Executor::Ray);
        ledger.enqueue(&job, 1).await.unwrap();
        ledger.begin(job.id).await.unwrap();
        let image = ImageRef { uri: ImageUri::new("b", "a.jpg"), etag: None, size_bytes: 1, modified: None };
        let page = Page { listed: 1, images: vec![image], ..Page::default() };
        ledger.plan(job.id, page, fixture::planning(4)).await.unwrap();
        (folder, ledger, job.id)
    }

    #[tokio::test]
    async fn a_new_generation_has_its_own_id_and_takes_the_leases_back_without_a_death() {
        let (_folder, ledger, job) = ledger_with_one_batch().await;
        assert_eq!(ledger.placement(job).await.unwrap(), None);
        let first = ledger.place(job, "digest".into(), 0, 0).await.unwrap().unwrap();
        assert_eq!(first.submission, format!("glimpse-{job}-g1"));
        assert_eq!(ledger.placement(job).await.unwrap(), Some(first));
        ledger.placed(job).await.unwrap();
        assert!(ledger.placement(job).await.unwrap().unwrap().submitted);
        assert!(matches!(ledger.lease(job, "one", Some(i64::MAX)).await.unwrap(), Leased::Batch(_)));

        let second = ledger.place(job, "another".into(), 1, 1).await.unwrap().unwrap();
        let submission = format!("glimpse-{job}-g2");
        let expected = PlacementRow { submission, submitted: false, dealt_with: 0, fruitless: 1, generation: 2 };
        assert_eq!(second, expected);
        assert_eq!(ledger.worker_token(job).await.unwrap().as_deref(), Some("another"));
        let Leased::Batch(batch) = ledger.lease(job, "two", Some(i64::MAX)).await.unwrap() else { panic!("held") };
        assert_eq!((batch.attempt, batch.tasks.len()), (2, 1));
        // A batch with deaths is leased only to a worker that holds no other batch; this batch has none.
        ledger.give_back(job, "two").await.unwrap();
        assert_eq!(ledger.held(job).await.unwrap(), []);
    }

    #[tokio::test]
    async fn only_an_unfinished_job_is_handed_over_and_its_workers_are_forgotten() {
        let (_folder, ledger, job) = ledger_with_one_batch().await;
        let placed = ledger.place(job, "digest".into(), 0, 0).await.unwrap().unwrap();
        ledger.lease(job, "one", Some(i64::MAX)).await.unwrap();
        let handed_over = ledger.hand_over(job, Executor::Local, None).await.unwrap();
        assert_eq!(handed_over, Some(Some(placed.submission)));
        assert_eq!(ledger.job(job).await.unwrap().unwrap().spec.executor, Executor::Local);
        assert_eq!((ledger.worker_token(job).await.unwrap(), ledger.placement(job).await.unwrap()), (None, None));
        assert_eq!(ledger.held(job).await.unwrap(), []);
        // A late call for the cluster takes nothing away from the new executor.
        let late = ledger.place(job, "late".into(), 0, placed.generation).await.unwrap();
        assert_eq!((late, ledger.worker_token(job).await.unwrap()), (None, None));
        assert_eq!(ledger.placement(job).await.unwrap(), None);
        assert_eq!(ledger.hand_over(job, Executor::Workers, Some("t".into())).await.unwrap(), Some(None));
        let finish = Finish { state: JobState::Stopped, message: None, summary: None };
        ledger.finish(job, finish).await.unwrap();
        assert_eq!(ledger.hand_over(job, Executor::Local, None).await.unwrap(), None);
    }
}
