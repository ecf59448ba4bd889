//! Jobs and their states.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::domain::{CollectionName, Executor, JobCounts, JobId, JobRecord, JobState, Timestamp};
use crate::ledger::Step;
use crate::ledger::columns::Json;
use crate::ledger::prune::delete_rows;

/// How a job ended.
#[derive(Clone, Debug)]
pub(crate) struct Finish {
    /// The state, which is final.
    pub(crate) state: JobState,
    /// Why the job failed, or a note about its success.
    pub(crate) message: Option<String>,
    /// Rates and timings of the job as JSON, for later status requests.
    pub(crate) summary: Option<String>,
}

const COLUMNS: &str = "listed, skipped, unchanged, done, failed, deleted, \
                       id, spec, state, message, submitted_at, started_at, finished_at, plan, paused_at";

/// The states of jobs that have not ended, for the `IN` of a query.
pub(crate) const UNFINISHED: &str = "('PENDING', 'RUNNING', 'PAUSED')";

/// Adds a new job with the state `PENDING`, unless `max_pending` jobs are pending or paused already. Returns whether it
/// was added.
pub(crate) fn enqueue(tx: &Transaction<'_>, job: &JobRecord, max_pending: usize) -> rusqlite::Result<bool> {
    let added = tx.execute(
        "INSERT INTO jobs(id, state, collection, spec, submitted_at) SELECT ?1, 'PENDING', ?2, ?3, ?4
         WHERE (SELECT count(*) FROM jobs WHERE state IN ('PENDING', 'PAUSED')) < ?5",
        params![job.id, job.spec.collection, Json(&job.spec), job.submitted_at, max_pending],
    )?;
    Ok(added == 1)
}

/// Whether fewer than `max_pending` jobs are pending or paused.
pub(crate) fn has_space(db: &Connection, max_pending: usize) -> rusqlite::Result<bool> {
    let fewer = "SELECT count(*) < ?1 FROM jobs WHERE state IN ('PENDING', 'PAUSED')";
    db.prepare_cached(fewer)?.query_row([max_pending], |row| row.get(0))
}

pub(crate) fn find(db: &Connection, id: JobId) -> rusqlite::Result<Option<JobRecord>> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1");
    db.prepare_cached(&sql)?.query_row([id], read_row).optional()
}

/// Returns jobs, the newest first; only those older than `before` if it is given.
pub(crate) fn list(db: &Connection, limit: u32, before: Option<JobId>) -> rusqlite::Result<Vec<JobRecord>> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2");
    db.prepare_cached(&sql)?.query_map(params![before, limit], read_row)?.collect()
}

/// Returns the number of jobs in each state. States without jobs are left out.
pub(crate) fn count_by_state(db: &Connection) -> rusqlite::Result<HashMap<JobState, u32>> {
    db.prepare_cached("SELECT state, count(*) FROM jobs GROUP BY state")?
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Returns how many images the running jobs have left, by what runs the jobs. Executors without running jobs are left out.
pub(crate) fn images_left(db: &Connection) -> rusqlite::Result<HashMap<Executor, u64>> {
    let mut query = db.prepare_cached(
        "SELECT executor, sum(max(0, listed - skipped - unchanged - done - failed)) FROM jobs WHERE state = 'RUNNING'
         GROUP BY executor",
    )?;
    let rows = query.query_map((), |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    rows.filter_map(|row| row.map(|(name, count)| Some((Executor::from_name(&name)?, count))).transpose()).collect()
}

/// Returns the jobs that wait or run, the oldest first. Paused jobs are left out.
pub(crate) fn unfinished(db: &Connection) -> rusqlite::Result<Vec<JobId>> {
    db.prepare_cached("SELECT id FROM jobs WHERE state IN ('PENDING', 'RUNNING') ORDER BY id")?
        .query_map((), |row| row.get(0))?
        .collect()
}

/// Returns the next job to work on: first one that an earlier process left running, then the one that has waited
/// longest. Jobs on a collection of `busy` wait, because two jobs on the same collection must not run at the same time;
/// jobs whose executor is in `full` wait too. Rebuilds are left out: see [`next_rebuild`].
pub(crate) fn next(
    db: &Connection,
    running: &[JobId],
    busy: &[CollectionName],
    full: &[Executor],
) -> rusqlite::Result<Option<JobRecord>> {
    // One query for each state, so that the index returns the ids in order and the query ends at the first one.
    let mut waiting = db.prepare_cached(
        "SELECT id FROM jobs INDEXED BY jobs_waiting WHERE state = ?1
         AND id NOT IN (SELECT value FROM json_each(?2))
         AND collection NOT IN (SELECT value FROM json_each(?3))
         AND executor NOT IN (SELECT value FROM json_each(?4)) AND rebuild IS NULL ORDER BY id LIMIT 1",
    )?;
    for state in [JobState::Running, JobState::Pending] {
        let next = waiting.query_row(params![state, Json(running), Json(busy), Json(full)], |row| row.get(0));
        if let Some(id) = next.optional()? {
            return find(db, id);
        }
    }
    Ok(None)
}

/// Returns the next rebuild to work on, like [`next`].
pub(crate) fn next_rebuild(db: &Connection, busy: &[CollectionName]) -> rusqlite::Result<Option<JobRecord>> {
    let next = db
        .prepare_cached(
            "SELECT id FROM jobs WHERE rebuild IS NOT NULL AND state IN ('RUNNING', 'PENDING')
             AND collection NOT IN (SELECT value FROM json_each(?1)) ORDER BY state DESC, id LIMIT 1",
        )?
        .query_row([Json(busy)], |row| row.get(0))
        .optional()?;
    next.map_or(Ok(None), |id| find(db, id))
}

/// Returns the rebuild of a collection that has not ended.
pub(crate) fn rebuild_of(db: &Connection, collection: &CollectionName) -> rusqlite::Result<Option<JobId>> {
    db.prepare_cached(&format!("SELECT id FROM jobs WHERE rebuild = ?1 AND state IN {UNFINISHED} LIMIT 1"))?
        .query_row([collection], |row| row.get(0))
        .optional()
}

/// Records that the work on a job begins or continues. Returns `false` if the job has ended already.
pub(crate) fn begin(tx: &Transaction<'_>, id: JobId) -> rusqlite::Result<bool> {
    let changed = tx.execute(
        "UPDATE jobs SET state = 'RUNNING', started_at = coalesce(started_at, ?2)
         WHERE id = ?1 AND state IN ('PENDING', 'RUNNING')",
        params![id, Timestamp::now()],
    )?;
    Ok(changed == 1)
}

/// Ends a job whose state is not final. Returns whether this call ended it. Of a paused job, only a client ends it, with
/// the state `STOPPED`: a run that notices the pause late is continued after it.
pub(crate) fn finish(tx: &Transaction<'_>, id: JobId, finish: &Finish) -> rusqlite::Result<bool> {
    let changed = tx.execute(
        "UPDATE jobs SET state = ?2, message = ?3, summary = coalesce(?4, summary), finished_at = ?5,
             paused_at = NULL
         WHERE id = ?1 AND (state IN ('PENDING', 'RUNNING') OR state = 'PAUSED' AND ?2 = 'STOPPED')",
        params![id, finish.state, finish.message, finish.summary, Timestamp::now()],
    )?;
    Ok(changed == 1)
}

/// Stores rates and timings of a job that another call has ended.
pub(crate) fn set_summary(tx: &Transaction<'_>, id: JobId, summary: Option<&str>) -> rusqlite::Result<()> {
    tx.execute("UPDATE jobs SET summary = coalesce(?2, summary) WHERE id = ?1", params![id, summary]).map(drop)
}

/// Returns rates and timings of a finished job.
pub(crate) fn summary(db: &Connection, id: JobId) -> rusqlite::Result<Option<String>> {
    let summary = db.query_row("SELECT summary FROM jobs WHERE id = ?1", [id], |row| row.get(0)).optional()?;
    Ok(summary.flatten())
}

/// Records that a job ended with work left, which a retry of it continues.
pub(crate) fn mark_unfinished(tx: &Transaction<'_>, id: JobId) -> rusqlite::Result<()> {
    tx.execute("UPDATE jobs SET unfinished = 1 WHERE id = ?1", [id]).map(drop)
}

/// Whether a job ended with work left.
pub(crate) fn is_unfinished(db: &Connection, id: JobId) -> rusqlite::Result<bool> {
    db.query_row("SELECT unfinished FROM jobs WHERE id = ?1", [id], |row| row.get(0))
}

/// Removes the remaining work of a finished job, in steps.
pub(crate) fn clear(id: JobId) -> impl FnMut(&Transaction<'_>) -> Step<()> + Send + 'static {
    // Batches first, so that no batch is leased whose items are partly removed.
    delete_rows(
        &[
            ("batches", "id"),
            ("items", "id"),
            ("metadata", "uri"),
            ("vanished", "uri"),
            ("touched", "uri"),
            ("ranges", "after"),
        ],
        id,
    )
}

pub(crate) fn counts(db: &Connection, id: JobId) -> rusqlite::Result<JobCounts> {
    db.prepare_cached("SELECT listed, skipped, unchanged, done, failed, deleted FROM jobs WHERE id = ?1")?
        .query_row([id], read_counts)
}

fn read_counts(row: &Row<'_>) -> rusqlite::Result<JobCounts> {
    Ok(JobCounts {
        listed: row.get(0)?,
        skipped: row.get(1)?,
        unchanged: row.get(2)?,
        done: row.get(3)?,
        failed: row.get(4)?,
        deleted: row.get(5)?,
    })
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<JobRecord> {
    let Json(spec) = row.get(7)?;
    let plan: Option<Json<_>> = row.get(13)?;
    Ok(JobRecord {
        counts: read_counts(row)?,
        id: row.get(6)?,
        spec,
        state: row.get(8)?,
        message: row.get(9)?,
        submitted_at: row.get(10)?,
        started_at: row.get(11)?,
        finished_at: row.get(12)?,
        plan: plan.map(|Json(plan)| plan),
        paused_at: row.get(14)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Ledger, fixture, placements};

    #[test]
    fn every_state_that_is_not_final_is_unfinished() {
        let names =
            JobState::ALL.into_iter().filter(|state| !state.is_final()).map(|state| format!("'{}'", state.as_str()));
        assert_eq!(UNFINISHED, format!("({})", names.collect::<Vec<_>>().join(", ")));
    }

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
        fixture::begin(&ledger, &running).await;
        let mut jobs: Vec<_> = (0..1_100).map(|_| job_with(Executor::Ray, "c")).collect();
        jobs.extend((0..1_100).map(|_| job_with(Executor::Local, "busy")));
        let free = [job_with(Executor::Local, "free"), job_with(Executor::Local, "free")];
        jobs.extend(free.clone());
        let first = jobs[0].id;
        let enqueue = move |tx: &Transaction<'_>| jobs.iter().try_for_each(|job| enqueue(tx, job, 10_000).map(drop));
        ledger.write(enqueue).await.unwrap();
        let next = async |running: Vec<JobId>, full: Vec<Executor>| {
            let busy = [CollectionName::parse("busy").unwrap()];
            ledger.read(move |db| next(db, &running, &busy, &full)).await.unwrap().map(|job| job.id)
        };
        assert_eq!(
            next(vec![], vec![Executor::Ray]).await,
            Some(free[0].id),
            "the one of these that has waited longest"
        );
        assert_eq!(next(vec![], vec![]).await, Some(running.id), "what an earlier process left running comes first");
        assert_eq!(next(vec![running.id], vec![]).await, Some(first));
        assert_eq!(next(vec![], vec![Executor::Ray, Executor::Local]).await, None);
        // A job that was given to another executor counts for that executor.
        let handed_over = move |tx: &Transaction<'_>| placements::hand_over(tx, first, Executor::Local, None);
        ledger.write(handed_over).await.unwrap();
        assert_eq!(next(vec![], vec![Executor::Ray]).await, Some(first));
    }
}
