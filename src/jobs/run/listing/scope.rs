//! The scope of a job's listing (its prefix and its excluded keys), and the log lines after the listing is complete.

use crate::domain::{Excludes, JobRecord};
use crate::jobs::JobService;
use crate::jobs::error::JobsError;
use crate::jobs::job_failure::JobFailure;
use crate::jobs::run::listing::{keys, prefix};
use crate::jobs::run::progress::RunningJob;
use crate::jobs::run::{metadata, sync};
use crate::ledger::planning::{self, vanished};
use crate::ledger::{LedgerError, tombstones};

impl JobService {
    /// Returns the exclude patterns of a submission: its own list, or else the list of the service.
    ///
    /// # Errors
    /// [`JobsError::Invalid`]
    pub(crate) fn parse_exclude(&self, patterns: Option<Vec<String>>) -> Result<Excludes, JobsError> {
        let Some(patterns) = patterns else { return Ok(self.exclude.clone()) };
        Excludes::new(patterns).map_err(|error| JobsError::Invalid("exclude", error.to_string()))
    }

    /// Returns the exclude patterns of a job.
    pub(crate) fn excludes(&self, job: &JobRecord) -> Excludes {
        let Some(patterns) = &job.spec.exclude else { return self.exclude.clone() };
        Excludes::new(patterns.clone()).unwrap_or_else(|error| {
            tracing::warn!(
                job.id = %job.id, %error,
                "the job's `exclude` patterns cannot be used; the patterns of S3_EXCLUDE are used"
            );
            self.exclude.clone()
        })
    }

    /// Returns the job with its prefix in the normal form that the bucket has; `None` if the job was stopped meanwhile.
    ///
    /// # Errors
    /// [`JobFailure::Ledger`]
    pub(crate) async fn with_prefix(
        &self,
        job: &JobRecord,
        running: &RunningJob,
    ) -> Result<Option<JobRecord>, JobFailure> {
        let resolved = tokio::select! {
            resolved = prefix::resolve(&self.ledger, self.pipeline.source().as_ref(), job) => resolved?,
            () = running.stop.cancelled() => return Ok(None),
        };
        let Some((job, line)) = resolved else { return Ok(Some(job.clone())) };
        self.ledger.log(job.id, line).await?;
        Ok(Some(job))
    }

    /// Returns how many images under the job's prefix were removed permanently.
    pub(crate) async fn count_removed(&self, job: &JobRecord) -> Result<u64, LedgerError> {
        let (collection, below) =
            (job.spec.collection.clone(), format!("s3://{}/{}", job.spec.bucket, job.spec.prefix));
        self.ledger.read(move |db| tombstones::count_below(db, &collection, &below)).await
    }

    /// Writes the result of the complete listing of a job into its log.
    ///
    /// # Errors
    /// [`JobFailure::TooMuchVanished`], [`JobFailure::Ledger`]
    pub(crate) async fn log_listing(&self, job: &JobRecord) -> Result<(), JobFailure> {
        let counts = self.ledger.job(job.id).await?.map(|job| job.counts).unwrap_or_default();
        let line = format!(
            "listing complete: {} keys, {} skipped, {} unchanged",
            counts.listed, counts.skipped, counts.unchanged
        );
        self.ledger.log(job.id, line).await?;
        let removed = self.count_removed(job).await?;
        if removed > 0 {
            let line = format!("{removed} images under the prefix were removed permanently and are not indexed");
            self.ledger.log(job.id, line).await?;
        }
        metadata::log_joined(&self.ledger, job, counts.listed.saturating_sub(counts.skipped)).await?;
        if let Some(line) = keys::unreadable(&self.ledger, job).await? {
            self.ledger.log(job.id, line).await?;
            if job.spec.dry_run {
                let id = job.id;
                self.ledger.write(move |tx| planning::clear_planned_deletions(tx, id)).await?;
            }
            return Ok(());
        }
        if !job.spec.sync || job.spec.dry_run {
            return Ok(());
        }
        let losses = sync::check_losses(&self.ledger, job).await?;
        let excluded = self.ledger.read_in_steps(vanished::excluded(job.id)).await?;
        let vanished = format!("{} of {} objects have vanished", losses.vanished, losses.owned);
        let line = match excluded {
            0 => vanished,
            _ => format!("{vanished}; {excluded} records of excluded keys are removed, too"),
        };
        self.ledger.log(job.id, line).await?;
        Ok(())
    }
}
