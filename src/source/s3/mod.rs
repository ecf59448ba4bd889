//! [`S3Source`]: reads from any S3 service with the AWS SDK: from Amazon S3, from `MinIO`, and from the S3 server in
//! this process.

mod body;
mod codes;
mod cycle;
mod errors;
mod event_rule;
mod headers;
mod listing;
mod metadata;
mod open;
mod operator_error;
mod page;
mod page_body;
mod page_text;
mod page_values;
mod reply;
mod settings;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::create_bucket::CreateBucketError;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration, RequestPayer};
use futures::stream::BoxStream;

use self::body::check_size;
use self::errors::{BUSY_RETRY_DELAY, Target, error_for_reply, source_error};
use self::operator_error::Setup;
use self::page::SharedEtags;
use self::page_body::RepairPage;
use self::reply::ReplyFacts;
use super::{Fetched, ImageSource, ListedPage, NewObject, Opened, Part, Scope, SourceError};
use crate::domain::{ImageRef, ImageUri, Timestamp, object_version};
use crate::telemetry::metrics::{Counter, counter, families};

pub use event_rule::EventRule;
pub use settings::{InvalidS3Settings, S3Settings};

/// The region in which a bucket is created if the request does not name a region.
const DEFAULT_REGION: &str = "us-east-1";

/// An S3 service.
#[derive(Clone, Debug)]
pub struct S3Source {
    client: Client,
    setup: Setup,
    max_bytes: u64,
    timeout: Duration,
    /// `Some` if the requester pays for the requests.
    payer: Option<RequestPayer>,
    fetched: Counter,
    /// For each bucket, the ETags that do not identify a version. All listings share them, so that the version of an
    /// object does not depend on the page that lists it.
    shared_etags: Arc<Mutex<HashMap<String, SharedEtags>>>,
}

impl S3Source {
    /// Returns a source for these settings. Sends no request yet, except to find the credentials of the machine if none
    /// are set.
    ///
    /// # Errors
    /// Returns [`InvalidS3Settings`] if the settings cannot be used.
    pub async fn new(settings: S3Settings) -> Result<Self, InvalidS3Settings> {
        let client = settings::client(&settings).await?;
        let setup = Setup {
            endpoint: settings.endpoint,
            region: settings.region,
            path_style: settings.path_style,
            has_own_credentials: settings.credentials.is_some(),
        };
        Ok(Self {
            client,
            setup,
            max_bytes: settings.max_bytes,
            timeout: settings.timeout,
            payer: settings.request_payer.then_some(RequestPayer::Requester),
            fetched: counter!(families::FETCHED_BYTES),
            shared_etags: Arc::default(),
        })
    }

    /// Creates the bucket if it does not exist.
    ///
    /// # Errors
    /// Returns [`SourceError`], also if the name belongs to another account.
    pub async fn ensure_bucket(&self, bucket: &str) -> Result<(), SourceError> {
        if self.bucket_exists(bucket).await? {
            return Ok(());
        }
        let configuration = (self.setup.region != DEFAULT_REGION).then(|| {
            let region = BucketLocationConstraint::from(self.setup.region.as_str());
            CreateBucketConfiguration::builder().location_constraint(region).build()
        });
        let created =
            self.client.create_bucket().bucket(bucket).set_create_bucket_configuration(configuration).send().await;
        match created {
            Ok(_) => Ok(()),
            // Another process of the same account was faster.
            Err(error) if matches!(error.as_service_error(), Some(CreateBucketError::BucketAlreadyOwnedByYou(_))) => {
                Ok(())
            }
            Err(error) => Err(source_error(&error, Target::Bucket(bucket), &self.setup)),
        }
    }

    /// Whether the bucket exists and can be listed.
    ///
    /// # Errors
    /// Returns [`SourceError`] if the service does not answer this, or if access is denied.
    pub async fn bucket_exists(&self, bucket: &str) -> Result<bool, SourceError> {
        // Not with `HEAD`, whose reply has no body with a reason: some services answer 404 for unknown credentials.
        let request = self.client.list_objects_v2().bucket(bucket).max_keys(1).set_request_payer(self.payer.clone());
        match request.customize().interceptor(RepairPage).send().await {
            Ok(_) => Ok(true),
            Err(error) => match source_error(&error, Target::Bucket(bucket), &self.setup) {
                SourceError::NoBucket(_) => Ok(false),
                other => Err(other),
            },
        }
    }

    /// Removes one object. It is not an error if the object does not exist. The service never removes objects of users:
    /// this is for tests and for `seed --clean`.
    ///
    /// # Errors
    /// Returns [`SourceError`] if the request fails.
    pub async fn remove(&self, uri: &ImageUri) -> Result<(), SourceError> {
        let delete = self.client.delete_object().bucket(uri.bucket()).key(uri.key());
        let removed = delete.set_request_payer(self.payer.clone()).send().await;
        removed.map(drop).map_err(|error| source_error(&error, Target::Object(uri), &self.setup))
    }

    /// Reads one object of at most `limit` bytes.
    async fn get(&self, uri: &ImageUri, limit: u64) -> Result<Fetched, SourceError> {
        let request =
            self.client.get_object().bucket(uri.bucket()).key(uri.key()).set_request_payer(self.payer.clone());
        let mut reply = request.send().await.map_err(|error| source_error(&error, Target::Object(uri), &self.setup))?;
        let bytes = body::read(uri, &mut reply, limit, self.timeout).await?;
        // An object has a version, an error does not.
        if reply.e_tag.is_none()
            && reply.last_modified.is_none()
            && let Some(facts) = ReplyFacts::from_error_document(&bytes)
        {
            return Err(error_for_reply(&facts, BUSY_RETRY_DELAY, Target::Object(uri), &self.setup));
        }
        let size = bytes.len() as u64;
        self.fetched.increment(size);
        Ok(Fetched {
            bytes,
            etag: reply.e_tag.as_deref().and_then(|etag| object_version::etag(etag, Some(size))),
            modified: reply.last_modified.and_then(|moment| Timestamp::from_unix_seconds(moment.secs())),
            content_type: reply.content_type,
            content_encoding: reply.content_encoding,
            metadata: metadata::from_headers(reply.metadata.as_ref()),
        })
    }
}

#[async_trait]
impl ImageSource for S3Source {
    fn list(&self, scope: &Scope) -> BoxStream<'static, Result<ImageRef, SourceError>> {
        listing::objects(self.clone(), scope.clone())
    }

    fn pages(&self, scope: &Scope, from: Option<String>) -> BoxStream<'static, Result<ListedPage, SourceError>> {
        listing::pages(self.clone(), scope.clone(), from)
    }

    async fn first(&self, scope: &Scope, limit: u16) -> Result<Vec<ImageRef>, SourceError> {
        listing::first(self.clone(), scope.clone(), limit).await
    }

    async fn fetch(&self, image: &ImageRef) -> Result<Fetched, SourceError> {
        check_size(&image.uri, image.size_bytes, self.max_bytes)?;
        self.get(&image.uri, self.max_bytes).await
    }

    async fn fetch_file(&self, uri: &ImageUri, max_bytes: u64) -> Result<Fetched, SourceError> {
        self.get(uri, max_bytes).await
    }

    async fn open(&self, uri: &ImageUri, part: Option<&Part>) -> Result<Opened, SourceError> {
        open::open(self, uri, part).await
    }

    async fn put(&self, uri: &ImageUri, object: NewObject) -> Result<Option<String>, SourceError> {
        let size = object.bytes.len() as u64;
        let written = match self.put_object(uri, &object, object.only_new).await {
            // The service does not know conditional writes. The caller has checked that the object is new.
            Err(error) if object.only_new && status(&error) == Some(501) => self.put_object(uri, &object, false).await,
            written => written,
        };
        match written {
            Ok(etag) => Ok(etag.as_deref().and_then(|etag| object_version::etag(etag, Some(size)))),
            // 409: another write of the same object is in progress.
            Err(error) if object.only_new && matches!(status(&error), Some(409 | 412)) => {
                Err(SourceError::Exists(uri.clone()))
            }
            Err(error) => Err(source_error(&error, Target::Object(uri), &self.setup)),
        }
    }
}

/// Returns the status of a reply with an error.
fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|reply| reply.status().as_u16())
}

impl S3Source {
    async fn put_object(
        &self,
        uri: &ImageUri,
        object: &NewObject,
        only_new: bool,
    ) -> Result<Option<String>, SdkError<PutObjectError>> {
        let put = self
            .client
            .put_object()
            .bucket(uri.bucket())
            .key(uri.key())
            .set_content_type(Some(object.content_type.clone()).filter(|kind| !kind.is_empty()))
            .set_if_none_match(only_new.then(|| "*".to_owned()))
            .set_metadata(Some(metadata::to_headers(&object.metadata)))
            .set_request_payer(self.payer.clone())
            .body(ByteStream::from(object.bytes.clone()))
            .send()
            .await;
        put.map(|written| written.e_tag)
    }
}
