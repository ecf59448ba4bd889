//! Removes rows of finished jobs. The images that they indexed stay.

use std::ops::ControlFlow;

use rusqlite::{OptionalExtension, Transaction, params};

use crate::domain::JobId;
use crate::ledger::jobs::UNFINISHED;
use crate::ledger::{Step, jobs};

/// Maximum number of rows in one transaction: a job can have a million failed images, and other calls wait for the
/// ledger in the meantime.
const ROWS_PER_STEP: u32 = 10_000;

/// Removes, in steps, all finished jobs except the newest `keep` and those whose failed images an unfinished job
/// retries. Returns how many were removed.
pub(crate) fn prune(keep: u64) -> impl FnMut(&Transaction<'_>) -> Step<u64> + Send + 'static {
    let mut removed = 0;
    move |tx| {
        let Some(job) = oldest_beyond(tx, keep)? else { return Ok(ControlFlow::Break(removed)) };
        if delete_rows(&[("failures", "id"), ("logs", "id")], job)(tx)?.is_break() {
            tx.execute("DELETE FROM placements WHERE job = ?1", [job])?;
            tx.execute("DELETE FROM jobs WHERE id = ?1", [job])?;
            removed += 1;
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Returns a finished job that has `keep` newer finished jobs.
fn oldest_beyond(tx: &Transaction<'_>, keep: u64) -> rusqlite::Result<Option<JobId>> {
    tx.prepare_cached(&format!(
        "SELECT id FROM jobs WHERE state NOT IN {UNFINISHED}
         AND id NOT IN (SELECT coalesce(json_extract(spec, '$.retry_of'), '') FROM jobs WHERE state IN {UNFINISHED})
         ORDER BY id DESC LIMIT 1 OFFSET ?1"
    ))?
    .query_row([i64::try_from(keep).unwrap_or(i64::MAX)], |row| row.get(0))
    .optional()
}

/// Removes, in steps, the work that a crash left of finished jobs.
pub(crate) fn clear_finished() -> impl FnMut(&Transaction<'_>) -> Step<()> + Send + 'static {
    |tx| {
        let leftover: Option<JobId> = tx
            .prepare_cached(&format!(
                "SELECT id FROM jobs WHERE state NOT IN {UNFINISHED} AND
                 (EXISTS (SELECT 1 FROM batches WHERE job = jobs.id) OR EXISTS (SELECT 1 FROM items WHERE job = jobs.id) OR
                  EXISTS (SELECT 1 FROM metadata WHERE job = jobs.id) OR EXISTS (SELECT 1 FROM vanished WHERE job = jobs.id) OR
                  EXISTS (SELECT 1 FROM touched WHERE job = jobs.id) OR
                  EXISTS (SELECT 1 FROM ranges WHERE job = jobs.id))
                 LIMIT 1"
            ))?
            .query_row((), |row| row.get(0))
            .optional()?;
        match leftover {
            Some(job) => jobs::clear(job)(tx).map(|_| ControlFlow::Continue(())),
            None => Ok(ControlFlow::Break(())),
        }
    }
}

/// Deletes all rows of a job from these tables, in steps. With each table goes a column whose values are unique within
/// the job.
pub(crate) fn delete_rows(
    tables: &'static [(&'static str, &'static str)],
    job: JobId,
) -> impl FnMut(&Transaction<'_>) -> Step<()> + Send + 'static {
    move |tx| {
        for (table, key) in tables {
            let some = format!("SELECT {key} FROM {table} WHERE job = ?1 LIMIT ?2");
            let delete = format!("DELETE FROM {table} WHERE job = ?1 AND {key} IN ({some})");
            if tx.prepare_cached(&delete)?.execute(params![job, ROWS_PER_STEP])? > 0 {
                return Ok(ControlFlow::Continue(()));
            }
        }
        Ok(ControlFlow::Break(()))
    }
}
