//! Retries the failed images of a job: a new job that lists nothing and processes only these images.

use tokio_util::sync::CancellationToken;

use crate::domain::{ImageRef, JobId, JobRecord, JobSpec, JobState, Rebuild};
use crate::jobs::JobService;
use crate::jobs::error::JobsError;
use crate::jobs::job_failure::JobFailure;
use crate::jobs::run::listing::plan::{PAGE, Planner};
use crate::jobs::service::Jobs;
use crate::jobs::service::tally;
use crate::ledger::planning::{self, Page};
use crate::ledger::{failures, jobs};

impl Jobs {
    /// Submits a new job for the failed images of a finished job, with the options of that job. If the finished job
    /// ended with work left, the new job continues it instead: it lists the same scope, and images that are done count
    /// as unchanged.
    ///
    /// # Errors
    /// [`JobsError::NotFinal`] if the job has not ended, [`JobsError::NothingFailed`], [`JobsError::Unknown`], and the
    /// errors of [`Jobs::submit`].
    pub async fn retry(&self, id: &str) -> Result<JobRecord, JobsError> {
        let job = self.0.find_job(id).await?;
        if !job.state.is_final() {
            return Err(JobsError::NotFinal(job.state));
        }
        let id = job.id;
        if self.0.ledger.read(move |db| jobs::is_unfinished(db, id)).await? {
            let taken = job.spec.taken + job.counts.done;
            return self.accept(JobSpec { continues: Some(job.id), taken, ..job.spec }).await;
        }
        if self.0.ledger.read(move |db| failures::page(db, id, 0, 1)).await?.total == 0 {
            return Err(JobsError::NothingFailed { job: job.id, stopped: job.state == JobState::Stopped });
        }
        if job.spec.refresh.is_some() {
            // It takes only the records that are still of an earlier version.
            return self.accept(job.spec).await;
        }
        // `accept` checks the bucket again, since it may have been removed from `S3_ALLOWED_BUCKETS`.
        self.accept(JobSpec {
            max_items: None,
            sync: false,
            dry_run: false,
            retry_of: Some(job.id),
            continues: None,
            taken: 0,
            ..self.0.for_current_generation(job.spec)
        })
        .await
    }
}

impl JobService {
    /// Changes a job that built a generation which is the current one now into a job of the collection.
    fn for_current_generation(&self, spec: JobSpec) -> JobSpec {
        let Some(Rebuild { collection, .. }) = &spec.rebuild else { return spec };
        let is_current = self.stores.generations().current().get(collection) == Some(&spec.collection);
        if !is_current {
            return spec;
        }
        JobSpec { collection: collection.clone(), rebuild: None, ..spec }
    }
}

impl Planner {
    /// Plans the failed images of another job, page by page, until `stop`.
    pub(crate) async fn plan_retry(
        &self,
        job: &JobRecord,
        of: JobId,
        stop: &CancellationToken,
    ) -> Result<(), JobFailure> {
        // Continues after the images that are already planned. For a retry, `listed_through` is the number of the last
        // failure instead of the last key.
        let id = job.id;
        let (through, _) = self.ledger.read(move |db| planning::listing::progress(db, id)).await?;
        let mut after: i64 = through.and_then(|number| number.parse().ok()).unwrap_or(0);
        while !stop.is_cancelled() {
            let limit = u32::try_from(PAGE).unwrap_or(u32::MAX);
            let failed = self.ledger.read(move |db| failures::page(db, of, after, limit)).await?;
            let images: Vec<ImageRef> =
                failed.failures.into_iter().map(|failure| self.failed_image(failure.uri)).collect();
            let Some(last) = failed.last else { break };
            after = last;
            let listed_through = Some(after.to_string());
            let page = Page { listed_through, listed: images.len() as u64, images, ..Page::default() };
            let planned = self.ledger.in_steps(planning::plan(id, page, self.planning.clone())).await?;
            tally::planned(&planned);
            self.planned.notify_waiters();
        }
        if !stop.is_cancelled() {
            self.ledger.in_steps(planning::complete(id, self.planning.clone(), false)).await?;
        }
        self.planned.notify_waiters();
        Ok(())
    }

    /// Returns a reference to an image that failed. Only its URI is certain, since the object may have been replaced.
    /// Its size is set to the maximum, so that the old size does not decide whether it is read and enough memory is
    /// reserved.
    fn failed_image(&self, uri: crate::domain::ImageUri) -> ImageRef {
        ImageRef { uri, etag: None, size_bytes: self.max_bytes, modified: None }
    }
}
