//! The operations on jobs for the API and the command line.

mod moving;
mod retry;
pub(crate) mod tally;

pub use moving::Moved;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use crate::domain::{CollectionName, Executor, ImageUri, JobId, JobRecord, JobSpec, JobState, Timestamp};
use crate::jobs::error::JobsError;
use crate::jobs::remote::clock::Clock;
use crate::jobs::remote::remote_workers::WorkerView;
use crate::jobs::run::metadata::FileKind;
use crate::jobs::run::progress::{Pace, dealt_with};
use crate::jobs::run::sync;
use crate::jobs::{JobParts, JobService};
use crate::ledger::jobs::Finish;
use crate::ledger::{
    FailurePage, Ledger, LedgerError, LogPage, failures, jobs, leases, logs, objects, planning, prune,
};
use crate::resilience::Waiting;

/// The job service. Clones share the same service.
#[derive(Clone, Debug)]
pub struct Jobs(pub(crate) Arc<JobService>);

/// A submission of a client, before it is checked.
#[derive(Clone, Debug, Default)]
pub struct Submission {
    /// The bucket; `None` means the default bucket.
    pub bucket: Option<String>,
    /// The prefix of the keys; empty means all keys.
    pub prefix: String,
    /// The collection that the images are indexed into.
    pub collection: String,
    /// Maximum number of images.
    pub max_items: Option<u64>,
    /// Whether keys with any extension are indexed.
    pub any_extension: bool,
    /// The job fails if more images fail than this: a number, or a share such as `5%`.
    pub max_failures: Option<String>,
    /// A CSV or NDJSON object in the same bucket whose rows are joined to the images.
    pub metadata_key: Option<String>,
    /// The executor of the job.
    pub executor: Executor,
    /// Whether records of objects that have vanished from the bucket are removed.
    pub sync: bool,
    /// Whether the job only reports what it would do.
    pub dry_run: bool,
    /// Maximum share of the collection's objects under the prefix that `sync` may remove, in percent; `None` means 10.
    pub max_delete_percent: Option<u8>,
    /// Globs of keys that are not indexed; `None` means those of the service.
    pub exclude: Option<Vec<String>>,
}

/// A job as the API shows it.
#[derive(Clone, Debug)]
pub struct JobView {
    /// The record in the ledger.
    pub job: JobRecord,
    /// Rate and timings: the current ones while the job runs, those of the whole run after its end.
    pub pace: Option<Pace>,
    /// Estimated seconds until the job ends; only while it runs and if it can be estimated.
    pub eta_seconds: Option<u64>,
    /// The dependency that the job waits for.
    pub waiting_on: Option<Waiting>,
    /// Its remote workers, while it runs.
    pub workers: Vec<WorkerView>,
}

/// How long a client should wait after its submission was refused because the queue is full.
pub const RETRY_WHEN_FULL: Duration = Duration::from_secs(10);

/// How long a submission waits for a provider whose space is not known yet.
const SPACE_WAIT: Duration = Duration::from_secs(2);

impl Jobs {
    /// Starts the service: ends the leases of the previous process and continues its unfinished work.
    ///
    /// # Errors
    /// [`LedgerError`] if the ledger cannot be read.
    pub async fn start(parts: JobParts) -> Result<Self, LedgerError> {
        let JobParts { ledger, pipeline, stores, settings, default_bucket, allowed_buckets, .. } = parts;
        let JobParts { thumbnail_prefix, exclude, placing, waiting, drain, tasks, .. } = parts;
        tally::begin();
        if let Err(error) = end_previous(&ledger).await {
            // The service also starts if the disk is full. Its jobs wait for space and then take these leases back.
            if !error.may_pass() {
                return Err(error);
            }
            tracing::error!(%error, "the leases of the previous process could not be ended; its jobs end them later");
        }
        if !settings.glimpse_resume {
            stop_unfinished(&ledger).await?;
        }
        let jobs = Self(Arc::new(JobService {
            ledger,
            pipeline,
            stores,
            settings,
            default_bucket,
            allowed_buckets,
            thumbnail_prefix,
            exclude,
            placing,
            waiting,
            drain,
            tasks,
            clock: Clock::start(),
            live: Mutex::new(HashMap::new()),
            reserved: Mutex::new(HashSet::new()),
            wake: Notify::new(),
        }));
        jobs.0.resume_drops().await?;
        Ok(jobs)
    }

    /// Starts jobs while there are free slots, until the service is asked to stop. No job starts before this is polled.
    pub fn scheduler(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.clone().schedule()
    }

    /// Accepts a job and puts it into the queue.
    ///
    /// # Errors
    /// [`JobsError`] if the submission is refused or the queue is full.
    pub async fn submit(&self, submission: Submission) -> Result<JobRecord, JobsError> {
        let max_failures = sync::check(&submission)?;
        let collection = CollectionName::parse(&submission.collection)?;
        if let Some(key) = submission.metadata_key.as_ref().filter(|key| FileKind::from_key(key).is_none()) {
            return Err(JobsError::MetadataKey(key.clone()));
        }
        let exclude = self.0.parse_exclude(submission.exclude)?;
        self.take(JobSpec {
            bucket: submission.bucket.unwrap_or_else(|| self.0.default_bucket.clone()),
            prefix: submission.prefix,
            collection,
            max_items: submission.max_items,
            any_extension: submission.any_extension,
            max_failures,
            metadata_key: submission.metadata_key,
            sync: submission.sync,
            dry_run: submission.dry_run,
            max_delete_percent: submission.max_delete_percent.unwrap_or(JobSpec::MAX_DELETE_PERCENT),
            retry_of: None,
            // Recorded, so that a job that continues or is retried keeps its first patterns.
            exclude: Some(exclude.patterns().to_vec()),
            continues: None,
            taken: 0,
            executor: submission.executor,
        })
        .await
    }

    /// Accepts a job whose fields have been checked one by one.
    pub(crate) async fn take(&self, spec: JobSpec) -> Result<JobRecord, JobsError> {
        if self.0.drain.is_cancelled() {
            return Err(JobsError::Draining);
        }
        if !self.0.allowed_buckets.contains(&spec.bucket) {
            return Err(JobsError::BucketNotAllowed(spec.bucket));
        }
        self.0.check_executor(spec.executor).await?;
        self.0.check_space(&spec.collection).await?;
        let job = JobRecord {
            id: JobId::fresh(),
            spec,
            state: JobState::Pending,
            message: None,
            submitted_at: Timestamp::now(),
            started_at: None,
            finished_at: None,
            counts: crate::domain::JobCounts::default(),
            plan: None,
        };
        let (new, max_pending) = (job.clone(), self.0.settings.glimpse_job_queue);
        if !self.0.ledger.write(move |tx| jobs::enqueue(tx, &new, max_pending)).await? {
            return Err(JobsError::QueueFull);
        }
        self.0.wake.notify_one();
        Ok(job)
    }

    /// Returns one job.
    ///
    /// # Errors
    /// [`JobsError::Unknown`], [`JobsError::Ledger`]
    pub async fn get(&self, id: &str) -> Result<JobView, JobsError> {
        let job = self.0.known(id).await?;
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
        let JobRecord { id, .. } = self.0.known(id).await?;
        Ok(self.0.ledger.read(move |db| logs::page(db, id, after)).await?)
    }

    /// Returns whether the service is stopping.
    pub fn is_draining(&self) -> bool {
        self.0.drain.is_cancelled()
    }

    /// Completes when the service is asked to stop, so that streams of events end.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.drain.clone().cancelled_owned()
    }

    /// Returns failed items of a job, starting after the item `after`.
    ///
    /// # Errors
    /// [`JobsError::Unknown`], [`JobsError::Ledger`]
    pub async fn failures(&self, id: &str, after: i64, limit: u32) -> Result<FailurePage, JobsError> {
        let JobRecord { id, .. } = self.0.known(id).await?;
        Ok(self.0.ledger.read(move |db| failures::page(db, id, after, limit)).await?)
    }

    /// Stops a job. It starts no more images; the images that it has indexed stay.
    ///
    /// # Errors
    /// [`JobsError::AlreadyFinal`], [`JobsError::Unknown`], [`JobsError::Ledger`]
    pub async fn stop(&self, id: &str) -> Result<JobId, JobsError> {
        let job = self.0.known(id).await?;
        let message = Some("stopped by a client".to_owned());
        let finish = Finish { state: JobState::Stopped, message, summary: None };
        if !tally::finish(&self.0.ledger, job.id, finish).await? {
            return Err(JobsError::AlreadyFinal(self.0.known(id).await?.state));
        }
        // Cloned first, so that the lock is not held while waiting for the ledger.
        let live = self.0.live().get(&job.id).cloned();
        match live {
            Some(live) => live.stop.cancel(),
            None => self.0.ledger.in_steps(jobs::clear(job.id)).await?,
        }
        Ok(job.id)
    }

    /// Deletes all ended jobs except the newest `keep`, with their logs and failures. Returns how many were deleted.
    ///
    /// # Errors
    /// [`JobsError::Ledger`]
    pub async fn prune(&self, keep: u64) -> Result<u64, JobsError> {
        Ok(self.0.ledger.in_steps(prune::prune(keep)).await?)
    }

    /// Deletes one object of a collection from the ledger, before its record is deleted from the stores.
    ///
    /// # Errors
    /// [`JobsError::Ledger`]
    pub async fn forget(&self, collection: &CollectionName, uri: &ImageUri) -> Result<(), JobsError> {
        let (collection, uri) = (collection.clone(), uri.clone());
        Ok(self.0.ledger.write(move |tx| objects::forget(tx, &collection, &uri)).await?)
    }
}

/// Ends the local leases of the previous process, and removes what a crash left of finished jobs.
async fn end_previous(ledger: &Ledger) -> Result<(), LedgerError> {
    ledger.in_steps(prune::clear_finished()).await?;
    tally::failed(&ledger.write(leases::deaths::end_local_leases).await?.failed);
    Ok(())
}

/// Ends every unfinished job as stopped.
async fn stop_unfinished(ledger: &Ledger) -> Result<(), LedgerError> {
    let unfinished = ledger.read(jobs::unfinished).await?;
    for id in &unfinished {
        let message = Some("stopped: the service was restarted with GLIMPSE_RESUME=false".to_owned());
        tally::finish(ledger, *id, Finish { state: JobState::Stopped, message, summary: None }).await?;
        ledger.in_steps(jobs::clear(*id)).await?;
    }
    tracing::info!(jobs = unfinished.len(), "unfinished jobs are stopped, because GLIMPSE_RESUME is false");
    Ok(())
}

impl JobService {
    pub(crate) async fn known(&self, id: &str) -> Result<JobRecord, JobsError> {
        let unknown = || JobsError::Unknown(id.to_owned());
        let id: JobId = id.parse().map_err(|_| unknown())?;
        self.ledger.job(id).await?.ok_or_else(unknown)
    }

    /// Refuses a collection with another space than the provider. If the provider's space is not known in time, the job
    /// checks it later.
    async fn check_space(&self, collection: &CollectionName) -> Result<(), JobsError> {
        let Ok(Ok(space)) = tokio::time::timeout(SPACE_WAIT, self.pipeline.provider().space()).await else {
            return Ok(());
        };
        for described in self.stores.describe_all(collection, SPACE_WAIT).await {
            described.space.admits(&space)?;
        }
        Ok(())
    }

    async fn view(&self, mut job: JobRecord) -> Result<JobView, JobsError> {
        let id = job.id;
        let live = self.live().get(&id).cloned();
        let Some(live) = live else {
            let kept = self.ledger.read(move |db| jobs::summary(db, id)).await?;
            let pace = kept.and_then(|kept| serde_json::from_str(&kept).ok());
            return Ok(JobView { job, pace, eta_seconds: None, waiting_on: None, workers: Vec::new() });
        };
        let stages = live.stages(job.spec.executor, self.pipeline.provider().busy());
        let overall = Some(live.overall(&job.counts));
        let pace = Pace { images_per_second: live.rate(), overall, stages };
        // The number of images left is known only after the listing is complete.
        let (_, complete) = self.ledger.read(move |db| planning::listing::progress(db, id)).await?;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate"
        )]
        let eta = (complete && pace.images_per_second > 0.0 && dealt_with(&job.counts) > 0)
            .then(|| (job.counts.left() as f64 / pace.images_per_second).ceil() as u64);
        let waiting_on = self.waiting.snapshot().or_else(|| self.waits_for_workers(&job, &live));
        let workers = self.workers(&job, &live).await?;
        // A job that has just ended can still be among the running ones.
        let warns = waiting_on.is_none() && !job.state.is_final();
        job.message = job.message.or_else(|| live.placing.warning().filter(|_| warns));
        Ok(JobView { job, pace: Some(pace), eta_seconds: eta, waiting_on, workers })
    }
}
