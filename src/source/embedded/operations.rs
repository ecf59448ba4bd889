//! Implements the S3 operations. The crate `s3s` handles protocol, signatures and XML, and it answers `NotImplemented`
//! for every other operation.

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Bucket, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, CreateBucketInput,
    CreateBucketOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteBucketInput, DeleteBucketOutput,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETag, ETagCondition,
    GetBucketLocationInput, GetBucketLocationOutput, GetObjectInput, GetObjectOutput, HeadBucketInput,
    HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput, ListObjectsInput,
    ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, MetadataDirective, PutObjectInput, PutObjectOutput,
    StreamingBlob, UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::catalogue::{Change, Entry};
use super::checksums::{Expected, declared_checksums};
use super::files::chunks;
use super::objects::{Backend, ObjectAttributes, Opened, internal, stored_encoding, to_timestamp};
use super::{multipart_uploads, pages};

/// Checks the `If-Match` and `If-None-Match` headers of a read.
fn check_conditions(
    entry: &Entry,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    let matches = |condition: &ETagCondition| condition.as_etag().is_none_or(|etag| etag.value() == entry.etag);
    if if_match.is_some_and(|condition| !matches(condition)) {
        return Err(s3_error!(PreconditionFailed));
    }
    if if_none_match.is_some_and(matches) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}

fn to_i64(number: u64) -> Option<i64> {
    i64::try_from(number).ok()
}

#[async_trait::async_trait]
impl S3 for Backend {
    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let all = self.catalogue.buckets().await.map_err(internal)?;
        let bucket = |(name, created)| Bucket {
            name: Some(name),
            creation_date: Some(to_timestamp(created)),
            ..Bucket::default()
        };
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
            content_length: to_i64(length),
            content_range,
            content_type: entry.content_type,
            content_encoding: entry.content_encoding,
            e_tag: Some(ETag::Strong(entry.etag)),
            last_modified: Some(to_timestamp(entry.modified)),
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
            content_length: to_i64(entry.size),
            content_encoding: entry.content_encoding,
            content_type: entry.content_type,
            e_tag: Some(ETag::Strong(entry.etag)),
            last_modified: Some(to_timestamp(entry.modified)),
            metadata: Some(entry.metadata.into_iter().collect()),
            ..HeadObjectOutput::default()
        }))
    }

    async fn put_object(&self, mut req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let declared_length = req.input.content_length.and_then(|length| u64::try_from(length).ok());
        if declared_length.is_some_and(|length| length > self.max_object_bytes) {
            return Err(s3_error!(EntityTooLarge));
        }
        self.need_bucket(&req.input.bucket).await?;
        self.need_space()?;
        let expected =
            Expected::from_request(declared_checksums!(req.input), &req.headers, req.trailing_headers.take());
        let body = req.input.body.take().ok_or_else(|| s3_error!(IncompleteBody))?;
        let attributes = ObjectAttributes {
            content_type: req.input.content_type,
            content_encoding: stored_encoding(req.input.content_encoding),
            metadata: req.input.metadata.unwrap_or_default().into_iter().collect(),
            only_new: req.input.if_none_match.is_some_and(|condition| condition.is_any()),
            etag: None,
        };
        let entry = self.store(req.input.bucket, req.input.key, body, attributes, expected).await?;
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(ETag::Strong(entry.etag)), ..PutObjectOutput::default() }))
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let CopySource::Bucket { bucket, key, .. } = &req.input.copy_source else {
            return Err(s3_error!(NotImplemented));
        };
        self.need_bucket(&req.input.bucket).await?;
        self.need_space()?;
        let Opened { entry: from, range, file } = self.open(bucket, key, None).await?;
        let replace = req.input.metadata_directive.is_some_and(|d| d.as_str() == MetadataDirective::REPLACE);
        let attributes = if replace {
            let metadata = req.input.metadata.unwrap_or_default().into_iter().collect();
            ObjectAttributes {
                content_type: req.input.content_type,
                content_encoding: stored_encoding(req.input.content_encoding),
                metadata,
                ..ObjectAttributes::default()
            }
        } else {
            ObjectAttributes {
                content_type: from.content_type,
                content_encoding: from.content_encoding,
                metadata: from.metadata,
                ..ObjectAttributes::default()
            }
        };
        let body = StreamingBlob::wrap(chunks(file, range.end));
        let entry = self.store(req.input.bucket, req.input.key, body, attributes, Expected::default()).await?;
        let result = CopyObjectResult {
            e_tag: Some(ETag::Strong(entry.etag)),
            last_modified: Some(to_timestamp(entry.modified)),
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
        let reported = (!quiet).then(|| keys.iter().map(deleted).collect());
        self.catalogue.delete(req.input.bucket, keys).await.map_err(internal)?;
        Ok(S3Response::new(DeleteObjectsOutput { deleted: reported, ..DeleteObjectsOutput::default() }))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.need_space()?;
        multipart_uploads::begin(self, req.input).await.map(S3Response::new)
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        self.need_space()?;
        multipart_uploads::part(self, req).await.map(S3Response::new)
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        multipart_uploads::complete(self, req.input).await.map(S3Response::new)
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        multipart_uploads::abort(self, &req.input).await.map(S3Response::new)
    }
}
