//! Submissions: their checks, and the queue.

use std::time::Duration;

use rusqlite::Transaction;

use crate::domain::{CollectionName, Executor, JobId, JobRecord, JobSpec, JobState, MirrorName, Refresh, Timestamp};
use crate::jobs::JobService;
use crate::jobs::error::JobsError;
use crate::jobs::run::metadata::FileKind;
use crate::jobs::run::sync;
use crate::jobs::service::Jobs;
use crate::ledger::jobs;

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
    /// What the job completes in records of earlier versions; `None` for a job that indexes.
    pub refresh: Option<Refresh>,
    /// Globs of keys that are not indexed; `None` means those of the service.
    pub exclude: Option<Vec<String>>,
    /// The mirror that the job is a run of.
    pub mirror: Option<MirrorName>,
}

/// How long a client should wait after its submission was refused because the queue is full.
pub const RETRY_WHEN_FULL: Duration = Duration::from_secs(10);

/// How long a submission waits for a provider whose space is not known yet.
const SPACE_WAIT: Duration = Duration::from_secs(2);

impl Jobs {
    /// Accepts a job and puts it into the queue.
    ///
    /// # Errors
    /// [`JobsError`] if the submission is refused or the queue is full.
    pub async fn submit(&self, submission: Submission) -> Result<JobRecord, JobsError> {
        self.accept(self.check(submission)?).await
    }

    /// Checks the fields of a submission. Reads nothing from the bucket, from stores or from the ledger.
    ///
    /// # Errors
    /// [`JobsError`] if the submission is refused.
    pub(crate) fn check(&self, submission: Submission) -> Result<JobSpec, JobsError> {
        let max_failures = sync::check_submission(&submission)?;
        let collection = self.0.resolve(&CollectionName::parse(&submission.collection)?)?.name;
        if let Some(key) = submission.metadata_key.as_ref().filter(|key| FileKind::from_key(key).is_none()) {
            return Err(JobsError::MetadataKey(key.clone()));
        }
        let exclude = self.0.parse_exclude(submission.exclude)?;
        let bucket = submission.bucket.unwrap_or_else(|| self.0.default_bucket.clone());
        self.check_bucket(&bucket)?;
        Ok(JobSpec {
            bucket,
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
            refresh: submission.refresh,
            mirror: submission.mirror,
            rebuild: None,
            executor: submission.executor,
        })
    }

    pub(crate) fn check_bucket(&self, bucket: &str) -> Result<(), JobsError> {
        if self.0.allowed_buckets.iter().any(|allowed| allowed == bucket) {
            return Ok(());
        }
        Err(JobsError::BucketNotAllowed(bucket.to_owned()))
    }

    /// Accepts a job whose fields have been checked one by one.
    pub(crate) async fn accept(&self, spec: JobSpec) -> Result<JobRecord, JobsError> {
        self.accept_if(spec, |_, _| Ok(true)).await?.ok_or(JobsError::QueueFull)
    }

    /// Accepts a job unless `condition` returns `false` for its id, in the same transaction: then nothing is changed.
    ///
    /// # Errors
    /// [`JobsError`] if the job is refused.
    pub(crate) async fn accept_if(
        &self,
        spec: JobSpec,
        condition: impl FnOnce(&Transaction<'_>, JobId) -> rusqlite::Result<bool> + Send + 'static,
    ) -> Result<Option<JobRecord>, JobsError> {
        if self.0.drain.is_cancelled() {
            return Err(JobsError::Draining);
        }
        self.check_bucket(&spec.bucket)?;
        self.0.check_executor(spec.executor).await?;
        if spec.rebuild.is_none() {
            self.0.check_space(&self.0.resolve(&spec.collection)?.physical).await?;
        }
        let job = JobRecord {
            id: JobId::fresh(),
            spec,
            state: JobState::Pending,
            message: None,
            submitted_at: Timestamp::now(),
            started_at: None,
            finished_at: None,
            paused_at: None,
            counts: crate::domain::JobCounts::default(),
            plan: None,
        };
        let (new, max_pending) = (job.clone(), self.0.settings.glimpse_job_queue);
        let enqueue = move |tx: &Transaction<'_>| {
            // The queue first: the condition may write, and is then not rolled back.
            if !jobs::has_space(tx, max_pending)? {
                return Ok(None);
            }
            let accepted = condition(tx, new.id)?;
            if accepted {
                jobs::enqueue(tx, &new, max_pending)?;
            }
            Ok(Some(accepted))
        };
        let Some(accepted) = self.0.ledger.write(enqueue).await? else { return Err(JobsError::QueueFull) };
        self.0.wake.notify_one();
        Ok(accepted.then_some(job))
    }
}

impl JobService {
    /// Refuses a collection of the stores with another space than its model. If the space of the model is not known in time, the job
    /// checks it later.
    pub(crate) async fn check_space(&self, collection: &CollectionName) -> Result<(), JobsError> {
        let space = async { self.models.get(collection).await.ok()?.jobs.space().await.ok() };
        let Ok(Some(space)) = tokio::time::timeout(SPACE_WAIT, space).await else {
            return Ok(());
        };
        for described in self.stores.describe_all(collection, SPACE_WAIT).await {
            described.space.admits(&space)?;
        }
        Ok(())
    }
}
