//! The end of a job: it waits for stores that still index, and records its final state.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{JobRecord, JobState};
use crate::index::ImageIndex;
use crate::jobs::JobService;
use crate::jobs::job_failure::JobFailure;
use crate::jobs::run::dry_run;
use crate::jobs::run::listing::keys;
use crate::jobs::run::progress::{Rates, RunningJob};
use crate::jobs::service::finish::finish_job;
use crate::ledger::jobs::{self, Finish};
use crate::ledger::mirrors;

/// How long a job waits at its end for a store that indexes vectors asynchronously.
const INDEXING_TIMEOUT: Duration = Duration::from_mins(1);

/// The time limit for the end of the load in one store.
const END_OF_LOAD_TIMEOUT: Duration = Duration::from_secs(10);

impl JobService {
    /// Waits up to [`INDEXING_TIMEOUT`] until searches find all written vectors. A store that does not report this does
    /// not fail the job.
    pub(super) async fn wait_for_indexing(&self, job: &JobRecord, running: &RunningJob) {
        let collection = &job.spec.collection;
        let pending = |store: Arc<dyn ImageIndex>| async move {
            match store.wait_until_indexed(collection, INDEXING_TIMEOUT).await {
                Ok(None) => None,
                Ok(Some(left)) => Some(format!(
                    "{} has not indexed {left} vectors yet (ASYNC_INDEXING); until then a search may miss them",
                    store.name()
                )),
                Err(error) => {
                    tracing::warn!(
                        job.id = %job.id, store = store.name(), %error,
                        "the length of the store's indexing queue is unknown"
                    );
                    None
                }
            }
        };
        let reports = futures::future::join_all(self.pipeline.stores().iter().cloned().map(pending));
        let warnings = tokio::select! {
            warnings = reports => warnings,
            () = running.stop.cancelled() => return,
        };
        let warnings: Vec<String> = warnings.into_iter().flatten().collect();
        if !warnings.is_empty() {
            running.unsettled.get_or_init(|| warnings.join("; "));
        }
    }

    /// Tells the stores that the job writes nothing more. A store that does not answer does not fail the job.
    async fn finish_load(&self, job: &JobRecord) {
        let collection = &job.spec.collection;
        for store in self.pipeline.stores().iter() {
            match tokio::time::timeout(END_OF_LOAD_TIMEOUT, store.finish_load(collection)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(job.id = %job.id, store = store.name(), %error, "the load of a store was not ended");
                }
                Err(_) => {
                    tracing::warn!(job.id = %job.id, store = store.name(), "the load of a store was not ended in time");
                }
            }
        }
    }

    /// Stops the mirror of a run that would have removed too much, because the next run would fail too. Before the end of
    /// the run is recorded, so that a crash in between repeats it.
    async fn stop_mirror(&self, job: &JobRecord, failure: &JobFailure) -> Result<(), JobFailure> {
        if let (Some(name), JobFailure::TooMuchVanished { .. }) = (&job.spec.mirror, failure) {
            let (name, reason) = (name.clone(), format!("the run {} failed: {}", job.id, failure.client_message()));
            tracing::error!(mirror = %name, job.id = %job.id, "the mirror is stopped: its run would remove too much");
            self.ledger.write(move |tx| mirrors::stop(tx, &name, &reason)).await?;
        }
        Ok(())
    }

    pub(super) async fn end(
        &self,
        job: &JobRecord,
        running: &RunningJob,
        worked: Result<(), JobFailure>,
    ) -> Result<(), JobFailure> {
        let id = job.id;
        let Some(now) = self.ledger.job(id).await? else { return Ok(()) };
        let is_paused = running.is_paused() || now.state == JobState::Paused;
        // A job that is only interrupted writes more at the next start.
        if !job.spec.dry_run && (now.state.is_final() || is_paused || !running.stop.is_cancelled()) {
            self.finish_load(job).await;
        }
        let stages = running.stages(job.spec.executor);
        let overall = running.overall(&now.counts);
        let throughput = Some(running.throughput());
        let rates = Rates { images_per_second: overall, overall: Some(overall), stages, throughput };
        let summary = serde_json::to_string(&rates).ok();
        let counts = now.counts;
        let finish = match worked {
            // A client stopped the job, so its state is already final.
            _ if now.state.is_final() => {
                tracing::info!(job.id = %job.id, counts.done, counts.failed, "stopped job has ended");
                self.ledger.log(job.id, format!("stopped: {} done, {} failed", counts.done, counts.failed)).await?;
                return Ok(self.ledger.write(move |tx| jobs::set_summary(tx, id, summary.as_deref())).await?);
            }
            _ if let Some(executor) = running.next_executor() => {
                let executor = executor.as_str();
                tracing::info!(job.id = %job.id, counts.done, job.executor = executor, "job moves to another executor");
                return Ok(self.ledger.log(job.id, format!("the job moves to another executor: {executor}")).await?);
            }
            // Also with an error, which occurs again after the pause.
            _ if is_paused => {
                return Ok(self.end_paused_run(&JobRecord { counts, ..job.clone() }).await?);
            }
            // Also with an error: waiting for a dependency ends with one, and any other error occurs again at the next
            // start.
            worked if running.stop.is_cancelled() => {
                let error = worked.err().map(tracing::field::display);
                tracing::info!(job.id = %job.id, counts.done, error, "job interrupted; it continues at the next start");
                let line = "interrupted: the service stops; the job continues at its next start".to_owned();
                return Ok(self.ledger.log(job.id, line).await?);
            }
            Ok(()) if counts.left() > 0 && !job.spec.dry_run => {
                let failure = JobFailure::Unfinished(counts.left());
                tracing::error!(job.id = %job.id, error = %failure, "job failed");
                self.ledger.write(move |tx| jobs::mark_unfinished(tx, id)).await?;
                Finish { state: JobState::Failed, message: Some(failure.client_message()), summary }
            }
            Ok(()) => {
                let is_empty =
                    counts.listed == counts.skipped && (counts.listed == 0 || self.count_removed(job).await? == 0);
                let nothing =
                    is_empty.then(|| format!("no image keys under s3://{}/{}", job.spec.bucket, job.spec.prefix));
                let refused = if job.spec.dry_run { dry_run::warning(&self.ledger, job.id).await? } else { None };
                let unreadable = keys::unreadable(&self.ledger, job).await?;
                let warnings: Vec<String> = nothing
                    .into_iter()
                    .chain(refused)
                    .chain(unreadable)
                    .chain(running.unsettled.get().cloned())
                    .collect();
                let message = (!warnings.is_empty()).then(|| warnings.join("; "));
                Finish { state: JobState::Succeeded, message, summary }
            }
            Err(failure) => {
                tracing::error!(job.id = %job.id, error = %failure, detail = failure.detail(), "job failed");
                self.stop_mirror(job, &failure).await?;
                if failure.leaves_work() {
                    self.ledger.write(move |tx| jobs::mark_unfinished(tx, id)).await?;
                }
                Finish { state: failure.state(), message: Some(failure.client_message()), summary }
            }
        };
        tracing::info!(
            job.id = %job.id, job.state = finish.state.as_str(), counts.done, counts.failed,
            images_per_second = rates.images_per_second, "job ended"
        );
        let line = format!(
            "{}: {} done, {} failed, {} deleted, {} unchanged, {} skipped, {} images/s{}",
            finish.state.as_str(),
            counts.done,
            counts.failed,
            counts.deleted,
            counts.unchanged,
            counts.skipped,
            rates.images_per_second,
            finish.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default()
        );
        self.ledger.log(job.id, line).await?;
        finish_job(&self.ledger, job.id, finish).await?;
        Ok(())
    }
}
