//! Jobs, their logs and failures, as the API shows them.

use crate::domain::{JobRecord, JobState};
use crate::jobs::JobService;
use crate::jobs::error::JobsError;
use crate::jobs::remote::remote_workers::WorkerView;
use crate::jobs::run::progress::{Rates, processed};
use crate::jobs::service::Jobs;
use crate::ledger::{FailurePage, LogPage, failures, jobs, logs, planning};
use crate::resilience::Waiting;

/// A job as the API shows it.
#[derive(Clone, Debug)]
pub struct JobView {
    /// The record in the ledger.
    pub job: JobRecord,
    /// Rate and timings: the current ones while the job runs, those of the whole run after its end.
    pub rates: Option<Rates>,
    /// Estimated seconds until the job ends; only while it runs and if it can be estimated.
    pub eta_seconds: Option<u64>,
    /// The dependency, or the other work of the service, that the job waits for.
    pub waiting_on: Option<Waiting>,
    /// Its remote workers, while it runs.
    pub workers: Vec<WorkerView>,
}

impl Jobs {
    /// Returns one job.
    ///
    /// # Errors
    /// [`JobsError::Unknown`], [`JobsError::Ledger`]
    pub async fn get(&self, id: &str) -> Result<JobView, JobsError> {
        let job = self.0.find_job(id).await?;
        self.0.view(job).await
    }

    /// Returns jobs, newest first; with `before` only those that were submitted before that job.
    ///
    /// # Errors
    /// [`JobsError::Ledger`], [`JobsError::Unknown`] for a malformed `before`
    pub async fn list(&self, limit: u32, before: Option<&str>) -> Result<Vec<JobView>, JobsError> {
        let before = before.map(|id| id.parse().map_err(|_| JobsError::Unknown(id.to_owned()))).transpose()?;
        let mut views = Vec::new();
        for job in self.0.ledger.read(move |db| jobs::list(db, limit, before)).await? {
            views.push(self.0.view(job).await?);
        }
        Ok(views)
    }

    /// Returns lines of a job's log, oldest first: those after the line with the number `after`, or without it the
    /// newest.
    ///
    /// # Errors
    /// [`JobsError::Unknown`], [`JobsError::Ledger`]
    pub async fn logs(&self, id: &str, after: Option<i64>) -> Result<LogPage, JobsError> {
        let JobRecord { id, .. } = self.0.find_job(id).await?;
        Ok(self.0.ledger.read(move |db| logs::page(db, id, after)).await?)
    }

    /// Returns failed items of a job, starting after the item `after`.
    ///
    /// # Errors
    /// [`JobsError::Unknown`], [`JobsError::Ledger`]
    pub async fn failures(&self, id: &str, after: i64, limit: u32) -> Result<FailurePage, JobsError> {
        let JobRecord { id, .. } = self.0.find_job(id).await?;
        Ok(self.0.ledger.read(move |db| failures::page(db, id, after, limit)).await?)
    }
}

impl JobService {
    async fn view(&self, mut job: JobRecord) -> Result<JobView, JobsError> {
        let id = job.id;
        let running = self.running_jobs().get(&id).cloned();
        let Some(running) = running else {
            let kept = self.ledger.read(move |db| jobs::summary(db, id)).await?;
            let rates = kept.and_then(|kept| serde_json::from_str(&kept).ok());
            let waits = !job.state.is_final() && job.state != JobState::Paused;
            let waiting_on = if waits { self.queued_behind(&job).await? } else { None };
            return Ok(JobView { job, rates, eta_seconds: None, waiting_on, workers: Vec::new() });
        };
        let stages = running.stages(job.spec.executor);
        let overall = Some(running.overall(&job.counts));
        let throughput = Some(running.throughput());
        let rates = Rates { images_per_second: running.rate(), overall, stages, throughput };
        // A job that has just ended, or was just paused, can still be among the running ones.
        let is_at_work = !job.state.is_final() && job.state != JobState::Paused;
        let waiting_on = self.waiting.snapshot().or_else(|| self.waits_for_workers(&job, &running));
        let waiting_on = waiting_on.filter(|_| job.state != JobState::Paused);
        // The number of images left is known only after the listing is complete.
        let (_, complete) = self.ledger.read(move |db| planning::listing::progress(db, id)).await?;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate"
        )]
        let eta = (complete
            && is_at_work
            && waiting_on.is_none()
            && rates.images_per_second > 0.0
            && processed(&job.counts) > 0)
            .then(|| (job.counts.left() as f64 / rates.images_per_second).ceil() as u64);
        let workers = self.workers(&job, &running).await?;
        let warns = waiting_on.is_none() && is_at_work;
        job.message = job.message.or_else(|| running.placing.warning().filter(|_| warns));
        Ok(JobView { job, rates: Some(rates), eta_seconds: eta, waiting_on, workers })
    }
}
