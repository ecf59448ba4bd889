//! [`S3Source`]: any S3 service, by the AWS SDK. Amazon's own, `MinIO`, and the server in this process are all
//! reached by this one path.

mod codes;
mod errors;
mod headers;
mod listing;
mod metadata;
mod open;
mod operator;
mod page_body;
mod page_values;
mod reply;
mod settings;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::create_bucket::CreateBucketError;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration, RequestPayer};
use bytes::Bytes;
use futures::stream::BoxStream;

use self::errors::{Target, dependency, source_error};
use self::operator::Setup;
use super::{Fetched, ImageSource, ListedPage, NewObject, Opened, Part, Scope, SourceError};
use crate::domain::{ImageRef, ImageUri, Timestamp, Trouble, object_version};
use crate::telemetry::metrics::{Counter, families};

pub use settings::{InvalidS3Settings, S3Settings};

/// The region whose buckets are made without naming it.
const FIRST_REGION: &str = "us-east-1";

/// An S3 service.
#[derive(Clone, Debug)]
pub struct S3Source {
    client: Client,
    setup: Setup,
    max_bytes: u64,
    /// `Some` if the requester pays for each request.
    payer: Option<RequestPayer>,
    fetched: Counter,
}

impl S3Source {
    /// A source for these settings. Reaches for nothing yet, except for the machine's own credentials where
    /// none are set.
    ///
    /// # Errors
    /// [`InvalidS3Settings`] where they cannot be used.
    pub async fn new(settings: S3Settings) -> Result<Self, InvalidS3Settings> {
        let client = settings::client(&settings).await?;
        let setup = Setup {
            endpoint: settings.endpoint,
            region: settings.region,
            path_style: settings.path_style,
            own_key: settings.credentials.is_some(),
        };
        Ok(Self {
            client,
            setup,
            max_bytes: settings.max_bytes,
            payer: settings.request_payer.then_some(RequestPayer::Requester),
            fetched: families::FETCHED_BYTES.one(),
        })
    }

    /// Makes the bucket unless it is there.
    ///
    /// # Errors
    /// [`SourceError`], also where the name is taken by somebody else.
    pub async fn ensure_bucket(&self, bucket: &str) -> Result<(), SourceError> {
        if self.bucket_exists(bucket).await? {
            return Ok(());
        }
        let elsewhere = (self.setup.region != FIRST_REGION).then(|| {
            let place = BucketLocationConstraint::from(self.setup.region.as_str());
            CreateBucketConfiguration::builder().location_constraint(place).build()
        });
        let made = self.client.create_bucket().bucket(bucket).set_create_bucket_configuration(elsewhere).send().await;
        match made {
            Ok(_) => Ok(()),
            // Somebody else of ours was faster.
            Err(error) if matches!(error.as_service_error(), Some(CreateBucketError::BucketAlreadyOwnedByYou(_))) => {
                Ok(())
            }
            Err(error) => Err(source_error(&error, Target::Bucket(bucket), &self.setup)),
        }
    }

    /// Whether the bucket is there and may be used.
    ///
    /// # Errors
    /// [`SourceError`] where that cannot be told, or access is denied.
    pub async fn bucket_exists(&self, bucket: &str) -> Result<bool, SourceError> {
        // Not by `HEAD`, whose reply has no body to say why: some services answer 404 to an unknown key pair.
        let asked = self.client.list_objects_v2().bucket(bucket).max_keys(1).set_request_payer(self.payer.clone());
        match asked.send().await {
            Ok(_) => Ok(true),
            Err(error) => match source_error(&error, Target::Bucket(bucket), &self.setup) {
                SourceError::NoBucket(_) => Ok(false),
                other => Err(other),
            },
        }
    }

    /// Removes one object; one that is not there is no error. The service never does this to a user's
    /// objects: it is for the tests and for `seed --clean`.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn remove(&self, uri: &ImageUri) -> Result<(), SourceError> {
        let delete = self.client.delete_object().bucket(uri.bucket()).key(uri.key());
        let removed = delete.set_request_payer(self.payer.clone()).send().await;
        removed.map(drop).map_err(|error| source_error(&error, Target::Object(uri), &self.setup))
    }

    /// One object, within the limit.
    async fn get(&self, uri: &ImageUri, limit: u64) -> Result<Fetched, SourceError> {
        let asked = self.client.get_object().bucket(uri.bucket()).key(uri.key()).set_request_payer(self.payer.clone());
        let mut reply = asked.send().await.map_err(|error| source_error(&error, Target::Object(uri), &self.setup))?;
        let bytes = read(uri, &mut reply, limit).await?;
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

/// The whole body, within the limit.
async fn read(uri: &ImageUri, reply: &mut GetObjectOutput, limit: u64) -> Result<Bytes, SourceError> {
    let promised = reply.content_length.and_then(|length| u64::try_from(length).ok());
    check_size(uri, promised.unwrap_or(0), limit)?;
    let mut bytes = Vec::with_capacity(promised.and_then(|size| usize::try_from(size).ok()).unwrap_or(0));
    while let Some(chunk) = reply.body.next().await {
        let got = bytes.len() as u64;
        let chunk = chunk.map_err(|error| broken(uri, &error, got, promised))?;
        check_size(uri, got + chunk.len() as u64, limit)?;
        bytes.extend_from_slice(&chunk);
    }
    // Had it ended before its length, the HTTP client would have said so above.
    Ok(bytes.into())
}

fn check_size(uri: &ImageUri, bytes: u64, limit: u64) -> Result<(), SourceError> {
    if bytes > limit { Err(SourceError::TooLarge { uri: uri.clone(), bytes, limit }) } else { Ok(()) }
}

/// A body that stopped: in time, or not at all.
fn broken(
    uri: &ImageUri,
    error: &aws_sdk_s3::primitives::ByteStreamError,
    got: u64,
    promised: Option<u64>,
) -> SourceError {
    let detail = format!("{}", aws_sdk_s3::error::DisplayErrorContext(error));
    // The SDK's own guard against bodies that stand still; its type is private.
    if detail.contains("minimum throughput") || detail.contains("timed out") {
        return dependency(Trouble::TimedOut, detail);
    }
    SourceError::BrokenOff { uri: uri.clone(), got, expected: promised.unwrap_or(got + 1) }
}

#[async_trait]
impl ImageSource for S3Source {
    fn list(&self, scope: &Scope) -> BoxStream<'static, Result<ImageRef, SourceError>> {
        listing::objects(self.clone(), scope.clone())
    }

    fn pages(&self, scope: &Scope, from: Option<String>) -> BoxStream<'static, Result<ListedPage, SourceError>> {
        listing::pages(self.clone(), scope.clone(), from)
    }

    async fn fetch(&self, image: &ImageRef) -> Result<Fetched, SourceError> {
        check_size(&image.uri, image.size_bytes, self.max_bytes)?;
        self.get(&image.uri, self.max_bytes).await
    }

    async fn fetch_file(&self, uri: &ImageUri, most: u64) -> Result<Fetched, SourceError> {
        self.get(uri, most).await
    }

    async fn open(&self, uri: &ImageUri, part: Option<&Part>) -> Result<Opened, SourceError> {
        open::open(self, uri, part).await
    }

    async fn put(&self, uri: &ImageUri, object: NewObject) -> Result<(), SourceError> {
        let put = self
            .client
            .put_object()
            .bucket(uri.bucket())
            .key(uri.key())
            .set_content_type(Some(object.content_type).filter(|kind| !kind.is_empty()))
            .set_metadata(Some(metadata::to_headers(&object.metadata)))
            .set_request_payer(self.payer.clone())
            .body(ByteStream::from(object.bytes))
            .send()
            .await;
        put.map(drop).map_err(|error| source_error(&error, Target::Object(uri), &self.setup))
    }
}
