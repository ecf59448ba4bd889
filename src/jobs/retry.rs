//! The failed images of a job once more: a new job that lists nothing and takes these alone.

use tokio_util::sync::CancellationToken;

use super::error::JobsError;
use super::ledger::Page;
use super::plan::{PAGE, Planner};
use super::service::Jobs;
use super::trouble::JobTrouble;
use crate::domain::{ImageRef, JobId, JobRecord, JobSpec};

impl Jobs {
    /// Takes a new job over the images that a finished one could not index, with that one's options. A job that could not
    /// go on is continued instead: the new one lists as it did, and what is done is unchanged.
    ///
    /// # Errors
    /// [`JobsError::NotFinal`] while it runs, [`JobsError::NothingFailed`], [`JobsError::Unknown`], and what
    /// [`Jobs::submit`] says of any job.
    pub async fn retry(&self, id: &str) -> Result<JobRecord, JobsError> {
        let job = self.0.known(id).await?;
        if !job.state.is_final() {
            return Err(JobsError::NotFinal(job.state));
        }
        if self.0.ledger.is_unfinished(job.id).await? {
            let taken = job.spec.taken + job.counts.done;
            return self.take(JobSpec { continues: Some(job.id), taken, ..job.spec }).await;
        }
        if self.0.ledger.failures(job.id, 0, 1).await?.total == 0 {
            return Err(JobsError::NothingFailed(job.id));
        }
        // The bucket may have been taken off the list since.
        self.take(JobSpec {
            max_items: None,
            sync: false,
            dry_run: false,
            retry_of: Some(job.id),
            continues: None,
            taken: 0,
            ..job.spec
        })
        .await
    }
}

impl Planner {
    /// Plans the failed images of another job, page by page, until `stop`.
    pub(super) async fn plan_again(
        &self,
        job: &JobRecord,
        of: JobId,
        stop: &CancellationToken,
    ) -> Result<(), JobTrouble> {
        // What was planned already: the number of its last failure stands where a listing has its last key.
        let (through, _) = self.ledger.listing(job.id).await?;
        let mut after: i64 = through.and_then(|number| number.parse().ok()).unwrap_or(0);
        while !stop.is_cancelled() {
            let failed = self.ledger.failures(of, after, u32::try_from(PAGE).unwrap_or(u32::MAX)).await?;
            let images: Vec<ImageRef> = failed.failures.into_iter().map(|failure| self.anew(failure.uri)).collect();
            let Some(last) = failed.last else { break };
            after = last;
            let listed_through = Some(after.to_string());
            let page = Page { listed_through, listed: images.len() as u64, images, ..Page::default() };
            self.ledger.plan(job.id, page, self.planning.clone()).await?;
            self.planned.notify_waiters();
        }
        if !stop.is_cancelled() {
            self.ledger.planned(job.id, self.planning.clone(), false).await?;
        }
        self.planned.notify_waiters();
        Ok(())
    }

    /// Of an image that failed only its name is sure: it may have been replaced since. So that its old size does not decide
    /// whether it is read, and memory is kept for any size, it is taken to be as large as is allowed.
    fn anew(&self, uri: crate::domain::ImageUri) -> ImageRef {
        ImageRef { uri, etag: None, size_bytes: self.max_bytes, modified: None }
    }
}
