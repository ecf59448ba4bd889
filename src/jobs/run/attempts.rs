//! The task of one job: it repeats a job whose ledger cannot be read or written, and ends a job whose run panics. The
//! calls, from the outside in: `spawn_job` → `run_job` → `run_with_retries` → `run_attempt` → `run_to_end` →
//! `plan_and_work`; the last two are in `run_job.rs`.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;

use crate::domain::{JobId, JobRecord, JobState};
use crate::jobs::JobService;
use crate::jobs::job_failure::JobFailure;
use crate::jobs::run::progress::RunningJob;
use crate::jobs::service::finish::finish_job;
use crate::ledger::jobs::{self, Finish};
use crate::ledger::{LedgerError, prune};
use crate::pipeline::Stages;

impl JobService {
    /// Registers a job as running and runs it in its own task.
    pub(crate) fn spawn_job(self: &Arc<Self>, job: JobRecord) {
        let stop = self.drain.child_token();
        let provider = self.pipeline.provider().busy();
        let running = Arc::new(RunningJob::new(Stages::new(self.pipeline.lanes(), provider), stop, &job.counts));
        // Registered before it begins: the scheduler must count it at its next check, and a stop request must find it.
        self.running_jobs().insert(job.id, running.clone());
        self.tasks.spawn(self.clone().run_job(job, running));
    }

    /// Runs a job and records its end. A job that is interrupted because the service stops keeps its state and
    /// continues at the next start.
    async fn run_job(self: Arc<Self>, job: JobRecord, running: Arc<RunningJob>) {
        let id = job.id;
        let slot = RunSlot { jobs: &self, id };
        let run = AssertUnwindSafe(Box::pin(self.run_with_retries(&job, &running)));
        if run.catch_unwind().await.is_err() {
            self.panicked(id).await;
        }
        drop(slot);
        // After the slot is free, since this may delete millions of rows. They belong to this job only, so another job
        // may already use its collection.
        if let Err(error) = self.remove_leftovers(id).await {
            tracing::warn!(
                job.id = %id, %error,
                "the rows of the ended job could not be removed; they are removed at the next start"
            );
        }
    }

    /// Runs a job and repeats it after a pause while the ledger cannot be read or written. A failing ledger is not a
    /// failure of the job, whichever transaction failed.
    async fn run_with_retries(&self, job: &JobRecord, running: &Arc<RunningJob>) {
        let mut wait_entry = self.waiting.entry("ledger");
        let mut is_repeat = false;
        loop {
            // A job that is stopped meanwhile gets one more attempt, to record the stop.
            let is_last = running.stop.is_cancelled();
            let mut attempt = Box::pin(self.run_attempt(job, running, is_repeat));
            let outcome = tokio::select! {
                outcome = &mut attempt => outcome,
                () = tokio::time::sleep(crate::jobs::LEDGER_RETRY_DELAY) => {
                    // The attempt has not failed by now, so the ledger works again.
                    wait_entry.clear();
                    attempt.await
                }
            };
            let Err(error) = outcome else { return };
            tracing::error!(job.id = %job.id, %error, "the ledger cannot be read or written; the job is tried again");
            if is_last {
                return;
            }
            wait_entry.wait(crate::jobs::LEDGER_RETRY_DELAY, error.to_string());
            wait_entry.set_disk_full(matches!(error.ledger_error(), Some(LedgerError::Full(_))));
            // Prevents a busy loop while the ledger cannot be written.
            let pause = tokio::time::sleep(crate::jobs::LEDGER_RETRY_DELAY);
            running.stop.run_until_cancelled(pause).await;
            is_repeat = true;
        }
    }

    async fn run_attempt(&self, job: &JobRecord, running: &Arc<RunningJob>, is_repeat: bool) -> Result<(), JobFailure> {
        let id = job.id;
        // `false` means that the job was stopped before it began.
        let begun = self.ledger.write(move |tx| jobs::begin(tx, id)).await?;
        if begun { self.run_to_end(job, running, is_repeat).await } else { Ok(()) }
    }

    /// Ends a job whose run panicked outside of its work. If that fails too, the job is tried again after a pause.
    async fn panicked(&self, id: JobId) {
        tracing::error!(job.id = %id, "the run of a job panicked");
        let message = Some(JobFailure::Panicked.client_message());
        let finish = Finish { state: JobState::Failed, message, summary: None };
        if let Err(error) = finish_job(&self.ledger, id, finish).await {
            tracing::error!(job.id = %id, %error, "the end of a job could not be written to the ledger");
            self.drain.run_until_cancelled(tokio::time::sleep(crate::jobs::LEDGER_RETRY_DELAY)).await;
        }
    }

    /// Removes the temporary rows of an ended job, and the oldest jobs above `GLIMPSE_JOBS_KEPT`. If the process
    /// crashes meanwhile, the next start removes the rest.
    async fn remove_leftovers(&self, id: JobId) -> Result<(), LedgerError> {
        if self.ledger.job(id).await?.is_some_and(|job| job.state.is_final()) {
            self.ledger.in_steps(jobs::clear(id)).await?;
            self.ledger.in_steps(prune::prune(self.settings.glimpse_jobs_kept)).await?;
        }
        Ok(())
    }
}

/// The slot of a running job in this process. Dropping it frees the slot, also if the run panics.
struct RunSlot<'a> {
    jobs: &'a JobService,
    id: JobId,
}

impl Drop for RunSlot<'_> {
    fn drop(&mut self) {
        self.jobs.running_jobs().remove(&self.id);
        self.jobs.wake.notify_one();
    }
}
