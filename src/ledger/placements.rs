//! The workers of a job outside of this process: the token that they present, and the workers that a cluster was asked to
//! start. A placement is recorded before the request to the cluster, so that a crash in between does not start workers
//! twice. This module also records when a job changes its executor.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::domain::{Executor, JobId};
use crate::ledger::columns::Json;
use crate::ledger::{jobs, leases};

/// Stores the SHA-256 digest of a job's new token and increases the generation; the previous token becomes invalid. The
/// token itself is never stored.
pub(crate) fn set_token(tx: &Transaction<'_>, job: JobId, sha256: &str) -> rusqlite::Result<()> {
    let set = "UPDATE jobs SET worker_token = ?2, generation = generation + 1 WHERE id = ?1";
    tx.execute(set, params![job, sha256]).map(drop)
}

/// Returns the digest of a job's token, if it has one.
pub(crate) fn token(db: &Connection, job: JobId) -> rusqlite::Result<Option<String>> {
    let token = db
        .prepare_cached("SELECT worker_token FROM jobs WHERE id = ?1")?
        .query_row([job], |row| row.get(0))
        .optional()?;
    Ok(token.flatten())
}

/// The generation of a job's workers that the cluster has or will get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlacementRow {
    /// The submission id in the cluster. It is never used twice.
    pub(crate) submission: String,
    /// Whether the cluster has confirmed the submission.
    pub(crate) submitted: bool,
    /// Images of the job that were done or failed before this generation.
    pub(crate) processed: u64,
    /// How many generations directly before this one ended without progress.
    pub(crate) fruitless: u32,
    /// Is increased with each change of the job's workers; see [`place`].
    pub(crate) generation: u32,
}

/// Returns the generation of a job's workers. It is increased whenever a cluster is asked for new workers, and whenever
/// the job is given to another executor.
pub(crate) fn generation(db: &Connection, job: JobId) -> rusqlite::Result<u32> {
    db.query_row("SELECT generation FROM jobs WHERE id = ?1", [job], |row| row.get(0))
}

/// Records a new generation of a job's workers after `generation`, with the digest of its token. From then on the
/// previous generation is refused, and its leases are given back. Returns `None` and changes nothing if the job has
/// another generation by now, because it was given to another executor in the meantime.
pub(crate) fn place(
    tx: &Transaction<'_>,
    job: JobId,
    sha256: &str,
    fruitless: u32,
    generation: u32,
) -> rusqlite::Result<Option<PlacementRow>> {
    let placed: Option<(u32, u64)> = tx
        .query_row(
            "UPDATE jobs SET worker_token = ?2, generation = generation + 1 WHERE id = ?1 AND generation = ?3
             RETURNING generation, done + failed",
            params![job, sha256, generation],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let Some((generation, processed)) = placed else { return Ok(None) };
    let submission = format!("glimpse-{job}-g{generation}");
    tx.execute(
        "INSERT OR REPLACE INTO placements(job, submission, dealt_with, fruitless) VALUES (?1, ?2, ?3, ?4)",
        params![job, submission, processed, fruitless],
    )?;
    leases::recall(tx, job)?;
    Ok(Some(PlacementRow { submission, submitted: false, processed, fruitless, generation }))
}

/// Records that the cluster has the current generation of a job.
pub(crate) fn set_submitted(tx: &Transaction<'_>, job: JobId) -> rusqlite::Result<()> {
    tx.execute("UPDATE placements SET submitted = 1 WHERE job = ?1", [job]).map(drop)
}

/// Returns the placement of a job's current generation, if it has one.
pub(crate) fn find(db: &Connection, job: JobId) -> rusqlite::Result<Option<PlacementRow>> {
    db.prepare_cached(
        "SELECT submission, submitted, dealt_with, fruitless, generation
         FROM placements JOIN jobs ON jobs.id = placements.job WHERE job = ?1",
    )?
    .query_row([job], |row| {
        Ok(PlacementRow {
            submission: row.get(0)?,
            submitted: row.get(1)?,
            processed: row.get(2)?,
            fruitless: row.get(3)?,
            generation: row.get(4)?,
        })
    })
    .optional()
}

/// Removes the placement of a job. Returns its submission id, which must be stopped in the cluster.
pub(crate) fn remove(tx: &Transaction<'_>, job: JobId) -> rusqlite::Result<Option<String>> {
    tx.query_row("DELETE FROM placements WHERE job = ?1 RETURNING submission", [job], |row| row.get(0)).optional()
}

/// The result of giving a job to another executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HandOver {
    /// The job has the new executor. Its placement in the cluster, if it had one, must be stopped.
    Done { placed: Option<String> },
    /// The job has ended, and nothing was changed.
    JobHasEnded,
}

/// Gives an unfinished job to another executor, whose workers present the token with this digest. From then on the
/// previous workers are refused, and their leases are given back.
pub(crate) fn hand_over(
    tx: &Transaction<'_>,
    job: JobId,
    executor: Executor,
    sha256: Option<&str>,
) -> rusqlite::Result<HandOver> {
    let record = jobs::find(tx, job)?.filter(|record| !record.state.is_final());
    let Some(mut record) = record else { return Ok(HandOver::JobHasEnded) };
    record.spec.executor = executor;
    tx.execute(
        "UPDATE jobs SET spec = ?2, worker_token = ?3, generation = generation + 1 WHERE id = ?1",
        params![job, Json(&record.spec), sha256],
    )?;
    let placed = remove(tx, job)?;
    leases::recall(tx, job)?;
    Ok(HandOver::Done { placed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ImageRef, ImageUri, JobState};
    use crate::ledger::jobs::Finish;
    use crate::ledger::leases::Leased;
    use crate::ledger::planning::Page;
    use crate::ledger::{Ledger, fixture};

    async fn ledger_with_one_batch() -> (tempfile::TempDir, Ledger, JobId) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let job = fixture::job(Executor::Ray);
        fixture::begin(&ledger, &job).await;
        let image = ImageRef { uri: ImageUri::new("b", "a.jpg"), etag: None, size_bytes: 1, modified: None };
        let page = Page { listed: 1, images: vec![image], ..Page::default() };
        fixture::plan(&ledger, job.id, page, fixture::planning(4)).await;
        (folder, ledger, job.id)
    }

    async fn placed(ledger: &Ledger, job: JobId, digest: &'static str, generation: u32) -> Option<PlacementRow> {
        ledger.write(move |tx| place(tx, job, digest, generation, generation)).await.unwrap()
    }

    async fn state(ledger: &Ledger, job: JobId) -> (Option<PlacementRow>, Option<String>) {
        ledger.read(move |db| Ok((find(db, job)?, token(db, job)?))).await.unwrap()
    }

    async fn handed_over(ledger: &Ledger, job: JobId, executor: Executor, token: Option<&'static str>) -> HandOver {
        ledger.write(move |tx| hand_over(tx, job, executor, token)).await.unwrap()
    }

    #[tokio::test]
    async fn a_new_generation_has_its_own_id_and_takes_the_leases_back_without_a_death() {
        let (_folder, ledger, job) = ledger_with_one_batch().await;
        assert_eq!(state(&ledger, job).await, (None, None));
        let first = placed(&ledger, job, "digest", 0).await.unwrap();
        assert_eq!(first.submission, format!("glimpse-{job}-g1"));
        assert_eq!(state(&ledger, job).await, (Some(first), Some("digest".to_owned())));
        ledger.write(move |tx| set_submitted(tx, job)).await.unwrap();
        assert!(state(&ledger, job).await.0.unwrap().submitted);
        assert!(matches!(fixture::lease(&ledger, job, "one", Some(i64::MAX)).await, Leased::Batch(_)));

        let second = placed(&ledger, job, "another", 1).await.unwrap();
        let submission = format!("glimpse-{job}-g2");
        let expected = PlacementRow { submission, submitted: false, processed: 0, fruitless: 1, generation: 2 };
        assert_eq!(second, expected);
        assert_eq!(state(&ledger, job).await.1.as_deref(), Some("another"));
        let Leased::Batch(batch) = fixture::lease(&ledger, job, "two", Some(i64::MAX)).await else { panic!("held") };
        assert_eq!((batch.attempt, batch.tasks.len()), (2, 1));
        // A batch with deaths is leased only to a worker that holds no other batch; this batch has none.
        fixture::give_back(&ledger, job, "two").await;
        assert_eq!(fixture::held(&ledger, job).await, []);
    }

    #[tokio::test]
    async fn only_an_unfinished_job_is_handed_over_and_its_workers_are_forgotten() {
        let (_folder, ledger, job) = ledger_with_one_batch().await;
        let first = placed(&ledger, job, "digest", 0).await.unwrap();
        fixture::lease(&ledger, job, "one", Some(i64::MAX)).await;
        let done = handed_over(&ledger, job, Executor::Local, None).await;
        assert_eq!(done, HandOver::Done { placed: Some(first.submission) });
        assert_eq!(ledger.job(job).await.unwrap().unwrap().spec.executor, Executor::Local);
        assert_eq!(state(&ledger, job).await, (None, None));
        assert_eq!(fixture::held(&ledger, job).await, []);
        // A late call for the cluster takes nothing away from the new executor.
        assert_eq!(placed(&ledger, job, "late", first.generation).await, None);
        assert_eq!(state(&ledger, job).await, (None, None));
        let done = handed_over(&ledger, job, Executor::Workers, Some("t")).await;
        assert_eq!(done, HandOver::Done { placed: None });
        let finish = Finish { state: JobState::Stopped, message: None, summary: None };
        ledger.write(move |tx| jobs::finish(tx, job, &finish)).await.unwrap();
        assert_eq!(handed_over(&ledger, job, Executor::Local, None).await, HandOver::JobHasEnded);
    }
}
