//! The task of one job: attempts until the ledger can be read and written, and what happens to a job whose run panics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;

use super::JobService;
use super::ledger::Finish;
use super::progress::RunningJob;
use super::trouble::JobTrouble;
use crate::domain::{JobId, JobRecord, JobState};
use crate::pipeline::Stages;
use crate::sqlite::{DiskTrouble, SqliteError};

impl JobService {
    /// Makes a job live and runs it in a task of its own.
    pub(super) fn launch(self: &Arc<Self>, job: JobRecord) {
        let stop = self.drain.child_token();
        let provider = self.pipeline.provider().busy();
        let live = Arc::new(RunningJob::new(Stages::new(self.pipeline.lanes(), provider), stop, &job.counts));
        // Before the job begins: the scheduler must see it in its very next look, and whoever stops it must find it.
        self.live().insert(job.id, live.clone());
        self.tasks.spawn(self.clone().run(job, live));
    }

    /// Runs a job and notes its end. A job that is interrupted by the service's own end stays as it is and goes on at
    /// the next start.
    async fn run(self: Arc<Self>, job: JobRecord, live: Arc<RunningJob>) {
        let id = job.id;
        let place = Place { jobs: &self, id };
        let run = AssertUnwindSafe(Box::pin(self.run_while_ledger_fails(&job, &live)));
        if run.catch_unwind().await.is_err() {
            self.panicked(id).await;
        }
        drop(place);
        // Others may have its collection already: these rows are the job's own, and may be millions.
        if let Err(error) = self.tidy(id).await {
            tracing::warn!(job.id = %id, %error, "what is left of the job stays until the next start");
        }
    }

    /// Runs a job, and again after each pause while the ledger cannot be read or written: that is no failure of the job,
    /// whichever of its transactions it was.
    async fn run_while_ledger_fails(&self, job: &JobRecord, live: &Arc<RunningJob>) {
        let mut note = self.waiting.note("ledger");
        let mut again = false;
        loop {
            // A job that is stopped meanwhile has one more try to write that down.
            let last = live.stop.is_cancelled();
            let mut attempt = Box::pin(self.attempt(job, live, again));
            let outcome = tokio::select! {
                outcome = &mut attempt => outcome,
                () = tokio::time::sleep(super::LEDGER_PAUSE) => {
                    // It goes on.
                    note.clear();
                    attempt.await
                }
            };
            let Err(error) = outcome else { return };
            tracing::error!(job.id = %job.id, %error, "the ledger fails; the job is taken up again");
            if last {
                return;
            }
            note.wait(super::LEDGER_PAUSE, error.to_string());
            note.lacks_room(error.of_ledger().and_then(SqliteError::disk) == Some(DiskTrouble::NoSpace));
            // A ledger that cannot be written now is not asked in a circle.
            let pause = tokio::time::sleep(super::LEDGER_PAUSE);
            live.stop.run_until_cancelled(pause).await;
            again = true;
        }
    }

    async fn attempt(&self, job: &JobRecord, live: &Arc<RunningJob>, again: bool) -> Result<(), JobTrouble> {
        // `false`: it was stopped before its turn.
        if self.ledger.begin(job.id).await? { self.run_begun(job, live, again).await } else { Ok(()) }
    }

    /// Ends a job whose run panicked outside of its work. Where even that fails, the job is taken up again after a pause.
    async fn panicked(&self, id: JobId) {
        tracing::error!(job.id = %id, "the run of a job panicked");
        let message = Some(JobTrouble::Panicked.said());
        let finish = Finish { state: JobState::Failed, message, summary: None };
        if let Err(error) = self.ledger.finish(id, finish).await {
            tracing::error!(job.id = %id, %error, "the end of a job could not be written");
            self.drain.run_until_cancelled(tokio::time::sleep(super::LEDGER_PAUSE)).await;
        }
    }

    /// Takes away what is left of a job that has come to its end, and jobs that were kept for long enough. What a crash leaves
    /// of that, the next start takes away.
    async fn tidy(&self, id: JobId) -> Result<(), SqliteError> {
        if self.ledger.job(id).await?.is_some_and(|job| job.state.is_final()) {
            self.ledger.clear(id).await?;
            self.ledger.prune(self.settings.glimpse_jobs_kept).await?;
        }
        Ok(())
    }
}

/// The place of a job among those that are at work here. It is free again whatever becomes of the run.
struct Place<'a> {
    jobs: &'a JobService,
    id: JobId,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.jobs.live().remove(&self.id);
        self.jobs.wake.notify_one();
    }
}
