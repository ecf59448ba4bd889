//! What each S3 operation means here. Protocol, signatures and XML are `s3s`'s; any other operation answers
//! `NotImplemented`.

use s3s::dto::{
    Bucket, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, CreateBucketInput, CreateBucketOutput,
    DeleteBucketInput, DeleteBucketOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput,
    DeleteObjectsOutput, DeletedObject, ETag, ETagCondition, GetBucketLocationInput, GetBucketLocationOutput,
    GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput,
    ListBucketsInput, ListBucketsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
    MetadataDirective, PutObjectInput, PutObjectOutput, StreamingBlob, Timestamp,
};
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use time::OffsetDateTime;

use super::catalogue::{Catalogue, Change, Entry, now_millis};
use super::checksums::Expected;
use super::files::{Files, WriteError, chunks};
use super::pages;

/// The server's state.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    pub(super) catalogue: Catalogue,
    pub(super) files: Files,
    /// The largest object that is taken.
    pub(super) max_object_bytes: u64,
}

impl Backend {
    async fn need_bucket(&self, bucket: &str) -> S3Result<()> {
        let there = self.catalogue.has_bucket(bucket.to_owned()).await.map_err(internal)?;
        if there { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
    }

    async fn entry(&self, bucket: &str, key: &str) -> S3Result<Entry> {
        if let Some(entry) = self.catalogue.find(bucket.to_owned(), key.to_owned()).await.map_err(internal)? {
            return Ok(entry);
        }
        self.need_bucket(bucket).await?;
        Err(s3_error!(NoSuchKey))
    }

    /// The entry and its open file. A replacement between the two takes the file away: then look again.
    async fn open(&self, bucket: &str, key: &str, range: Option<&s3s::dto::Range>) -> S3Result<Opened> {
        for _ in 0..8 {
            let entry = self.entry(bucket, key).await?;
            let range = match range {
                Some(range) => range.check(entry.size)?,
                None => 0..entry.size,
            };
            match self.files.read(&entry.file, range.start).await {
                Ok(file) => return Ok(Opened { entry, range, file }),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(internal(error)),
            }
        }
        Err(s3_error!(InternalError, "the file of {key} is gone"))
    }

    /// Writes a body to a new file and makes it the object's.
    async fn store(
        &self,
        bucket: String,
        key: String,
        body: StreamingBlob,
        about: About,
        mut expected: Expected,
    ) -> S3Result<Entry> {
        let file = Files::new_name();
        self.catalogue.announce(file.clone()).await.map_err(internal)?;
        let abandoned = Abandoned { files: self.files.clone(), file: file.clone() };
        let written = match self.files.write(&file, body, self.max_object_bytes, &mut expected).await {
            Ok(written) => written,
            Err(WriteError::TooLarge) => return Err(s3_error!(EntityTooLarge)),
            Err(WriteError::Disk(error)) => return Err(internal(error)),
            Err(WriteError::Body(error)) => return Err(body_error(error)),
        };
        expected.check(&written.md5)?;
        let entry = Entry {
            file,
            size: written.size,
            etag: hex::encode(written.md5),
            modified: now_millis(),
            content_type: about.content_type,
            metadata: about.metadata,
        };
        // From here on the catalogue answers for the file, even if the client goes away.
        abandoned.hand_over();
        match self.catalogue.commit(bucket, key, entry.clone(), about.only_new).await.map_err(internal)? {
            Change::Done => Ok(entry),
            Change::Exists => Err(s3_error!(PreconditionFailed)),
            Change::NoBucket | Change::NotEmpty => Err(s3_error!(NoSuchBucket)),
        }
    }
}

/// An object about to be read.
struct Opened {
    entry: Entry,
    range: std::ops::Range<u64>,
    file: tokio::fs::File,
}

/// What goes with an object's bytes.
struct About {
    content_type: Option<String>,
    metadata: std::collections::BTreeMap<String, String>,
    only_new: bool,
}

/// A file whose writing may yet be given up; then it is removed.
struct Abandoned {
    files: Files,
    file: String,
}

impl Abandoned {
    fn hand_over(mut self) {
        self.file.clear();
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        if !self.file.is_empty() {
            self.files.remove(&self.file);
        }
    }
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> S3Error {
    tracing::error!(%error, "the embedded S3 server failed");
    S3Error::with_source(S3ErrorCode::InternalError, Box::new(error))
}

/// A body that broke off, or that is not what was signed: the client's matter, not ours.
fn body_error(error: Box<dyn std::error::Error + Send + Sync>) -> S3Error {
    match error.downcast::<S3Error>() {
        Ok(error) => *error,
        Err(error) => S3Error::with_source(S3ErrorCode::IncompleteBody, error),
    }
}

/// Milliseconds since 1970, as S3 writes moments.
pub(super) fn moment(millis: i64) -> Timestamp {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000);
    moment.unwrap_or(OffsetDateTime::UNIX_EPOCH).into()
}

/// `If-Match` and `If-None-Match` of a read.
fn check_conditions(entry: &Entry, want: Option<&ETagCondition>, refuse: Option<&ETagCondition>) -> S3Result<()> {
    let is = |condition: &ETagCondition| condition.as_etag().is_none_or(|etag| etag.value() == entry.etag);
    if want.is_some_and(|condition| !is(condition)) {
        return Err(s3_error!(PreconditionFailed));
    }
    if refuse.is_some_and(is) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}

fn signed(number: u64) -> Option<i64> {
    i64::try_from(number).ok()
}

#[async_trait::async_trait]
impl S3 for Backend {
    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let all = self.catalogue.buckets().await.map_err(internal)?;
        let bucket =
            |(name, created)| Bucket { name: Some(name), creation_date: Some(moment(created)), ..Bucket::default() };
        let buckets = Some(all.into_iter().map(bucket).collect());
        Ok(S3Response::new(ListBucketsOutput { buckets, ..ListBucketsOutput::default() }))
    }

    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        let location = Some(format!("/{}", req.input.bucket));
        match self.catalogue.create_bucket(req.input.bucket).await.map_err(internal)? {
            Change::Done => Ok(S3Response::new(CreateBucketOutput { location })),
            _ => Err(s3_error!(BucketAlreadyOwnedByYou)),
        }
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.need_bucket(&req.input.bucket).await?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.need_bucket(&req.input.bucket).await?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    async fn delete_bucket(&self, req: S3Request<DeleteBucketInput>) -> S3Result<S3Response<DeleteBucketOutput>> {
        match self.catalogue.delete_bucket(req.input.bucket).await.map_err(internal)? {
            Change::Done => Ok(S3Response::new(DeleteBucketOutput {})),
            Change::NotEmpty => Err(s3_error!(BucketNotEmpty)),
            Change::NoBucket | Change::Exists => Err(s3_error!(NoSuchBucket)),
        }
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.need_bucket(&req.input.bucket).await?;
        let page = self.catalogue.list(req.input.bucket.clone(), pages::request_v2(&req.input)?);
        Ok(S3Response::new(pages::reply_v2(req.input, page.await.map_err(internal)?)))
    }

    async fn list_objects(&self, req: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        self.need_bucket(&req.input.bucket).await?;
        let page = self.catalogue.list(req.input.bucket.clone(), pages::request_v1(&req.input)?);
        Ok(S3Response::new(pages::reply_v1(req.input, page.await.map_err(internal)?)))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let GetObjectInput { bucket, key, range, if_match, if_none_match, .. } = req.input;
        let Opened { entry, range: bytes, file } = self.open(&bucket, &key, range.as_ref()).await?;
        check_conditions(&entry, if_match.as_ref(), if_none_match.as_ref())?;
        let length = bytes.end - bytes.start;
        let content_range = range.map(|_| format!("bytes {}-{}/{}", bytes.start, bytes.end - 1, entry.size));
        Ok(S3Response::new(GetObjectOutput {
            body: Some(StreamingBlob::wrap(chunks(file, length))),
            accept_ranges: Some("bytes".to_owned()),
            content_length: signed(length),
            content_range,
            content_type: entry.content_type,
            e_tag: Some(ETag::Strong(entry.etag)),
            last_modified: Some(moment(entry.modified)),
            metadata: Some(entry.metadata.into_iter().collect()),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let HeadObjectInput { bucket, key, if_match, if_none_match, .. } = req.input;
        let entry = self.entry(&bucket, &key).await?;
        check_conditions(&entry, if_match.as_ref(), if_none_match.as_ref())?;
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: signed(entry.size),
            content_type: entry.content_type,
            e_tag: Some(ETag::Strong(entry.etag)),
            last_modified: Some(moment(entry.modified)),
            metadata: Some(entry.metadata.into_iter().collect()),
            ..HeadObjectOutput::default()
        }))
    }

    async fn put_object(&self, mut req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let announced = req.input.content_length.and_then(|length| u64::try_from(length).ok());
        if announced.is_some_and(|length| length > self.max_object_bytes) {
            return Err(s3_error!(EntityTooLarge));
        }
        self.need_bucket(&req.input.bucket).await?;
        let expected = Expected::of_put(&mut req);
        let body = req.input.body.take().ok_or_else(|| s3_error!(IncompleteBody))?;
        let about = About {
            content_type: req.input.content_type,
            metadata: req.input.metadata.unwrap_or_default().into_iter().collect(),
            only_new: req.input.if_none_match.is_some_and(|condition| condition.is_any()),
        };
        let entry = self.store(req.input.bucket, req.input.key, body, about, expected).await?;
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(ETag::Strong(entry.etag)), ..PutObjectOutput::default() }))
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let CopySource::Bucket { bucket, key, .. } = &req.input.copy_source else {
            return Err(s3_error!(NotImplemented));
        };
        self.need_bucket(&req.input.bucket).await?;
        let Opened { entry: from, range, file } = self.open(bucket, key, None).await?;
        let replace = req.input.metadata_directive.is_some_and(|d| d.as_str() == MetadataDirective::REPLACE);
        let about = if replace {
            let metadata = req.input.metadata.unwrap_or_default().into_iter().collect();
            About { content_type: req.input.content_type, metadata, only_new: false }
        } else {
            About { content_type: from.content_type, metadata: from.metadata, only_new: false }
        };
        let body = StreamingBlob::wrap(chunks(file, range.end));
        let entry = self.store(req.input.bucket, req.input.key, body, about, Expected::default()).await?;
        let result = CopyObjectResult {
            e_tag: Some(ETag::Strong(entry.etag)),
            last_modified: Some(moment(entry.modified)),
            ..CopyObjectResult::default()
        };
        Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() }))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.need_bucket(&req.input.bucket).await?;
        self.catalogue.delete(req.input.bucket, vec![req.input.key]).await.map_err(internal)?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.need_bucket(&req.input.bucket).await?;
        let keys: Vec<String> = req.input.delete.objects.into_iter().map(|object| object.key).collect();
        let quiet = req.input.delete.quiet.unwrap_or(false);
        let deleted = |key: &String| DeletedObject { key: Some(key.clone()), ..DeletedObject::default() };
        let told = (!quiet).then(|| keys.iter().map(deleted).collect());
        self.catalogue.delete(req.input.bucket, keys).await.map_err(internal)?;
        Ok(S3Response::new(DeleteObjectsOutput { deleted: told, ..DeleteObjectsOutput::default() }))
    }
}
