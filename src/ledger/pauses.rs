//! Jobs that clients have paused. A paused job keeps its listing, its work and its place in the queue until it is resumed
//! or stopped.

use rusqlite::{Connection, Transaction, params};

use crate::domain::{CollectionName, JobId, Timestamp};
use crate::ledger::leases;

/// Pauses a job that waits or runs. Returns whether this call paused it.
pub(crate) fn pause(tx: &Transaction<'_>, id: JobId) -> rusqlite::Result<bool> {
    let changed = tx.execute(
        "UPDATE jobs SET state = 'PAUSED', paused_at = ?2 WHERE id = ?1 AND state IN ('PENDING', 'RUNNING')",
        params![id, Timestamp::now()],
    )?;
    Ok(changed == 1)
}

/// Resumes a paused job. A job that has begun is continued before those that wait, like a job that an earlier process left
/// running. Returns whether this call resumed it.
pub(crate) fn resume(tx: &Transaction<'_>, id: JobId) -> rusqlite::Result<bool> {
    let changed = tx.execute(
        "UPDATE jobs SET state = CASE WHEN started_at IS NULL THEN 'PENDING' ELSE 'RUNNING' END, paused_at = NULL
         WHERE id = ?1 AND state = 'PAUSED'",
        [id],
    )?;
    if changed == 1 {
        // A process that ended during the pause has not given them back. They do not count as deaths.
        leases::recall(tx, id)?;
    }
    Ok(changed == 1)
}

/// Returns the paused jobs that have begun, with their collections. No other job may start on these: what the paused jobs
/// have found in the listing and in the collection must stay true.
pub(crate) fn holding(db: &Connection) -> rusqlite::Result<Vec<(JobId, CollectionName)>> {
    db.prepare_cached("SELECT id, collection FROM jobs WHERE state = 'PAUSED' AND started_at IS NOT NULL ORDER BY id")?
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Executor, ImageRef, ImageUri, JobState};
    use crate::ledger::jobs::Finish;
    use crate::ledger::leases::Leased;
    use crate::ledger::planning::Page;
    use crate::ledger::{Ledger, fixture, jobs, prune};

    async fn state(ledger: &Ledger, id: JobId) -> (JobState, bool) {
        let job = ledger.job(id).await.unwrap().unwrap();
        (job.state, job.paused_at.is_some())
    }

    async fn next(ledger: &Ledger) -> Option<JobId> {
        ledger.read(|db| jobs::next(db, &[], &[], &[])).await.unwrap().map(|job| job.id)
    }

    #[tokio::test]
    async fn a_paused_job_keeps_its_work_and_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let (begun, waiting, last) =
            (fixture::job(Executor::Workers), fixture::job(Executor::Local), fixture::job(Executor::Local));
        fixture::begin(&ledger, &begun).await;
        let image = ImageRef { uri: ImageUri::new("b", "a.jpg"), etag: None, size_bytes: 1, modified: None };
        let page = Page { listed: 1, images: vec![image], ..Page::default() };
        fixture::plan(&ledger, begun.id, page, fixture::planning(4)).await;
        let more = [waiting.clone(), last.clone()];
        ledger.write(move |tx| more.iter().try_for_each(|job| jobs::enqueue(tx, job, 9).map(drop))).await.unwrap();
        fixture::lease(&ledger, begun.id, "one", Some(i64::MAX)).await;
        let (first, second) = (begun.id, waiting.id);
        for id in [first, second] {
            assert!(ledger.write(move |tx| pause(tx, id)).await.unwrap());
            assert!(!ledger.write(move |tx| pause(tx, id)).await.unwrap(), "it is paused already");
            assert_eq!(state(&ledger, id).await, (JobState::Paused, true));
        }
        assert_eq!(next(&ledger).await, Some(last.id));
        assert_eq!(ledger.read(holding).await.unwrap(), [(first, fixture::collection())], "the other has not begun");
        assert!(!ledger.read(|db| jobs::has_space(db, 2)).await.unwrap(), "paused jobs count for the queue");
        // What removes finished jobs leaves it alone, and a run that ends late does not end it.
        assert_eq!(ledger.in_steps(prune::prune(0)).await.unwrap(), 0);
        ledger.in_steps(prune::clear_finished()).await.unwrap();
        let finish = |state| Finish { state, message: None, summary: None };
        let succeeded = finish(JobState::Succeeded);
        assert!(!ledger.write(move |tx| jobs::finish(tx, first, &succeeded)).await.unwrap());

        for id in [second, first] {
            assert!(ledger.write(move |tx| resume(tx, id)).await.unwrap());
            assert!(!ledger.write(move |tx| resume(tx, id)).await.unwrap(), "it is not paused any more");
        }
        assert_eq!(state(&ledger, second).await, (JobState::Pending, false));
        assert_eq!(state(&ledger, first).await, (JobState::Running, false));
        assert_eq!(next(&ledger).await, Some(first));
        let Leased::Batch(batch) = fixture::lease(&ledger, first, "two", Some(i64::MAX)).await else { panic!("held") };
        assert_eq!((batch.attempt, batch.tasks.len()), (2, 1), "the work is complete, and the lease is given back");
        let stopped = finish(JobState::Stopped);
        assert!(ledger.write(move |tx| Ok(pause(tx, second)? && jobs::finish(tx, second, &stopped)?)).await.unwrap());
        assert_eq!(state(&ledger, second).await, (JobState::Stopped, false));
        assert!(!ledger.write(move |tx| Ok(pause(tx, second)? || resume(tx, second)?)).await.unwrap());
    }
}
