//! Direct uploads: an image is stored in the bucket and indexed before the reply. The key is in the ledger before the object
//! is stored, so that the lane of `mirrors` indexes it after a crash.

mod check;
mod error;
mod key;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use self::check::ImageCheck;
use self::key::check_key;
use crate::domain::image_format::has_image_extension;
use crate::domain::{CollectionName, ImageUri};
use crate::jobs::{Jobs, JobsError};
use crate::mirrors::{ClaimError, LaneUpload, Mirrors, UploadEnd};
use crate::source::{ImageSource, NewObject, SourceError};
use crate::telemetry::traces::Span;

pub use error::UploadsError;
pub use key::MAX_KEY_BYTES;
pub use settings::{AllowedKeys, UploadsSetting, UploadsSettings};

/// Maximum number of uploads at the same time.
const MAX_CONCURRENT_UPLOADS: usize = 32;
/// How long an upload waits for another one of the same key.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an upload waits until others end.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(2);

/// The service of direct uploads. Clones share it.
#[derive(Clone, Debug)]
pub struct Uploads(Arc<UploadService>);

struct UploadService {
    jobs: Jobs,
    mirrors: Mirrors,
    /// Does not wait for a bucket that is down.
    source: Arc<dyn ImageSource>,
    allowed: AllowedKeys,
    check: ImageCheck,
    permits: Arc<Semaphore>,
}

impl std::fmt::Debug for UploadService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UploadService").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

/// Where an upload is stored and indexed. Checked against the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadTarget {
    uri: ImageUri,
    collection: CollectionName,
}

/// What a client wants of an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadOptions {
    /// The upload fails if the object exists.
    pub only_new: bool,
    /// The upload fails if the object does not have this ETag (without quotes), or does not exist. Compared before the object is
    /// stored, while no other upload of the key runs.
    pub if_match: Option<String>,
    /// The image is indexed after the reply.
    pub respond_async: bool,
}

/// An upload that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// The object.
    pub uri: ImageUri,
    /// The collection.
    pub collection: CollectionName,
    /// The ETag of the object, if the bucket reports it.
    pub etag: Option<String>,
    /// Whether an object with this key existed before.
    pub replaced: bool,
    /// Whether searches find the image now. Otherwise it is indexed later.
    pub indexed: bool,
    /// Why it is not indexed yet, if that is known.
    pub problem: Option<String>,
}

impl Uploads {
    /// Creates the service. `source` must not wait for a bucket that is down. `allowed` are the keys that clients may store
    /// objects under.
    pub fn new(jobs: Jobs, mirrors: Mirrors, source: Arc<dyn ImageSource>, allowed: AllowedKeys) -> Self {
        let check = ImageCheck::new(jobs.0.pipeline.limits());
        let permits = Arc::new(Semaphore::new(MAX_CONCURRENT_UPLOADS));
        Self(Arc::new(UploadService { jobs, mirrors, source, allowed, check, permits }))
    }

    /// Returns the keys that clients may store objects under.
    pub fn allowed(&self) -> &AllowedKeys {
        &self.0.allowed
    }

    /// Checks the bucket and the collection of uploads.
    ///
    /// # Errors
    /// [`UploadsError::Jobs`] if one of them cannot be used.
    pub fn check_place(&self, bucket: Option<&str>, collection: &str) -> Result<(), UploadsError> {
        CollectionName::parse(collection).map_err(JobsError::from)?;
        Ok(self.0.jobs.check_bucket(bucket.unwrap_or(&self.0.jobs.0.default_bucket))?)
    }

    /// Checks where an upload is to be stored, before its body is read.
    ///
    /// # Errors
    /// [`UploadsError`] if the settings do not allow the key, the bucket or the collection.
    pub fn target(&self, bucket: Option<&str>, collection: &str, key: &str) -> Result<UploadTarget, UploadsError> {
        let UploadService { jobs, allowed, .. } = &*self.0;
        if let Some(problem) = jobs.0.disk.problem().filter(|_| !allowed.is_empty()) {
            return Err(JobsError::NoSpace(problem).into());
        }
        if allowed.is_empty() {
            return Err(UploadsError::Off);
        }
        check_key(key).map_err(UploadsError::Key)?;
        let shown = || key.chars().take(MAX_KEY_BYTES).collect::<String>();
        if !allowed.contains(key) {
            let prefixes: Vec<String> = allowed.prefixes().iter().map(|prefix| format!("`{prefix}`")).collect();
            return Err(UploadsError::NotAllowed { key: shown(), allowed: prefixes.join(" or ") });
        }
        // The same keys as in a listing of a job (`jobs::run::listing::page`).
        let thumbnails = &jobs.0.thumbnail_prefix;
        if !thumbnails.is_empty() && key.starts_with(thumbnails) {
            return Err(UploadsError::Thumbnail(shown()));
        }
        if jobs.0.exclude.matches(key) {
            return Err(UploadsError::Excluded(shown()));
        }
        if !has_image_extension(key) {
            return Err(UploadsError::Extension(shown()));
        }
        let collection = CollectionName::parse(collection).map_err(JobsError::from)?;
        let collection = jobs.0.resolve(&collection).map_err(JobsError::from)?.name;
        let bucket = bucket.unwrap_or(&jobs.0.default_bucket);
        jobs.check_bucket(bucket)?;
        Ok(UploadTarget { uri: ImageUri::new(bucket, key), collection })
    }

    /// Stores an image in the bucket and indexes it. Continues if the caller stops waiting. Drops `memory` when the bytes
    /// are not needed any more.
    ///
    /// # Errors
    /// [`UploadsError`]
    pub async fn store(
        &self,
        target: UploadTarget,
        bytes: Bytes,
        options: UploadOptions,
        memory: impl Send + 'static,
    ) -> Result<Uploaded, UploadsError> {
        let permit = tokio::time::timeout(UPLOAD_TIMEOUT, self.0.permits.clone().acquire_owned()).await;
        let permit = permit.map_err(|_| UploadsError::Busy)?.map_err(|_| UploadsError::Busy)?;
        let format = self.0.check.check(bytes.clone()).await?;
        let object = NewObject {
            bytes,
            content_type: format.content_type().to_owned(),
            only_new: options.only_new,
            ..NewObject::default()
        };
        let (answer, answered) = oneshot::channel();
        let service = self.0.clone();
        let work = async move {
            // Sending fails if the client has gone away, which is not an error.
            drop(answer.send(service.store_now(target, object, options, (memory, permit)).await));
        };
        self.0.jobs.0.tasks.spawn(Span::default().within(work));
        // Only a panic of the task leaves no answer; the panic is in the log.
        answered.await.unwrap_or(Err(UploadsError::Panicked))
    }
}

impl UploadService {
    /// Claims the key of an upload.
    async fn claim(&self, collection: &CollectionName, uri: &ImageUri) -> Result<LaneUpload, UploadsError> {
        let claim = |wait| self.mirrors.claim_upload(collection, uri, wait);
        let claimed = match claim(Duration::ZERO).await {
            Err(ClaimError::Busy) => {
                // If the bucket is down, the lane holds the key of an earlier upload until it answers.
                self.source.find(uri).await.map_err(|error| bucket_error(uri, error))?;
                claim(CLAIM_TIMEOUT).await
            }
            claimed => claimed,
        };
        claimed.map_err(|error| claim_error(collection, uri, error))
    }

    /// Returns whether the object exists. Fails if it is not in the state that the client wants.
    async fn check_conditions(&self, uri: &ImageUri, options: &UploadOptions) -> Result<bool, UploadsError> {
        let found = self.source.find(uri).await.map_err(|error| bucket_error(uri, error))?;
        if found.is_some() && options.only_new {
            return Err(UploadsError::Exists(uri.clone()));
        }
        let is_replaced = found.is_some();
        if let Some(wanted) = &options.if_match {
            let found = found.and_then(|image| image.etag);
            if found.as_ref() != Some(wanted) {
                return Err(UploadsError::OtherVersion { uri: uri.clone(), found, wanted: wanted.clone() });
            }
        }
        Ok(is_replaced)
    }

    async fn store_now(
        &self,
        target: UploadTarget,
        object: NewObject,
        options: UploadOptions,
        (memory, _permit): (impl Send, OwnedSemaphorePermit),
    ) -> Result<Uploaded, UploadsError> {
        let jobs = &self.jobs.0;
        let UploadTarget { uri, collection } = target;
        if jobs.drain.is_cancelled() {
            return Err(JobsError::Draining.into());
        }
        let busy = || JobsError::CollectionBusy(collection.clone());
        // Held until the end, so that a removal of the collection waits for the upload.
        let lane_use = jobs.enter_lane(&collection).ok_or_else(busy)?;
        // No switch is made while the lane is entered.
        let physical = jobs.resolve(&collection).map_err(JobsError::from)?.physical;
        if self.mirrors.is_dropping(&physical).await.map_err(JobsError::from)? {
            return Err(busy().into());
        }
        jobs.check_space(&physical).await?;
        let claimed = self.claim(&collection, &uri).await?;
        // Compared after the claim, so that of several uploads of one new key only the first creates it.
        let replaced = match self.check_conditions(&uri, &options).await {
            Ok(replaced) => replaced,
            Err(error) => {
                claimed.abandon().await.map_err(JobsError::from)?;
                return Err(error);
            }
        };
        let put = self.source.put(&uri, object).await;
        drop(memory);
        let etag = match put {
            Ok(etag) => etag,
            // The object can be stored all the same: the lane compares the key with the bucket.
            Err(error @ SourceError::Dependency(_)) => return Err(bucket_error(&uri, error)),
            Err(error) => {
                claimed.abandon().await.map_err(JobsError::from)?;
                return Err(bucket_error(&uri, error));
            }
        };
        let mut uploaded = Uploaded { uri, collection, etag, replaced, indexed: false, problem: None };
        if options.respond_async {
            claimed.leave().await.map_err(JobsError::from)?;
            return Ok(uploaded);
        }
        match claimed.index(&lane_use.stop).await.map_err(JobsError::from)? {
            UploadEnd::Indexed(etag) => {
                uploaded.etag = etag.or(uploaded.etag);
                uploaded.indexed = true;
            }
            UploadEnd::Failed(failure) => return Err(UploadsError::NotIndexable { uri: uploaded.uri, failure }),
            UploadEnd::KeptAway => {
                return Err(UploadsError::KeptAway { uri: uploaded.uri, collection: uploaded.collection });
            }
            UploadEnd::Later(problem) => uploaded.problem = problem,
        }
        Ok(uploaded)
    }
}

fn claim_error(collection: &CollectionName, uri: &ImageUri, error: ClaimError) -> UploadsError {
    match error {
        ClaimError::Busy => UploadsError::KeyBusy,
        ClaimError::Full => UploadsError::Busy,
        ClaimError::Removed => UploadsError::Removed { uri: uri.clone(), collection: collection.clone() },
        ClaimError::Ledger(error) => JobsError::from(error).into(),
    }
}

fn bucket_error(uri: &ImageUri, error: SourceError) -> UploadsError {
    match error {
        SourceError::Exists(uri) => UploadsError::Exists(uri),
        SourceError::Denied(_) => UploadsError::ReadOnly(uri.clone()),
        SourceError::Dependency(down) => UploadsError::Dependency(down),
        error @ (SourceError::NoBucket(_) | SourceError::Operator(_)) => UploadsError::Bucket(error.to_string()),
        error @ SourceError::Refused { .. } => UploadsError::KeyRefused(error.to_string()),
        error => {
            tracing::error!(image.uri = %uri, %error, "the bucket refused an upload");
            UploadsError::BucketRefused
        }
    }
}
