//! Multipart uploads, which many clients use for objects of more than a few megabytes. The uploads are kept in memory,
//! and their parts are files without a row in the catalogue, so a restart removes both. If an upload cannot be
//! completed for any reason, it stays unchanged: the client can complete it again or abort it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex};

use futures::stream::{self, StreamExt, TryStreamExt};
use md5::{Digest, Md5};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput, CompleteMultipartUploadOutput,
    CompletedPart, CreateMultipartUploadInput, CreateMultipartUploadOutput, ETag, ETagCondition, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3Request, S3Result, s3_error};

use super::checksums::{Expected, declared_checksums};
use super::files::chunks;
use super::objects::{Backend, ObjectAttributes, UnreferencedFile, internal, stored_encoding};
use crate::lock::lock;

/// Maximum number of uploads in progress. A client that starts more gets the error `SlowDown`.
const MAX_UPLOADS: usize = 1_000;
/// Maximum part number, as in Amazon S3.
const MAX_PART_NUMBER: i32 = 10_000;

/// The uploads in progress, by id.
#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<HashMap<String, Upload>>);

#[derive(Debug)]
struct Upload {
    bucket: String,
    key: String,
    attributes: ObjectAttributes,
    parts: BTreeMap<i32, Arc<Part>>,
    /// Whether a request is completing this upload now.
    completing: bool,
}

#[derive(Debug)]
struct Part {
    file: UnreferencedFile,
    size: u64,
    md5: [u8; 16],
}

impl Uploads {
    /// Removes and returns an upload that is aborted.
    fn take(&self, id: &str, bucket: &str, key: &str) -> S3Result<Upload> {
        let mut all = lock(&self.0);
        match all.get(id) {
            Some(upload) if upload.belongs_to(bucket, key) => all.remove(id).ok_or_else(|| s3_error!(NoSuchUpload)),
            _ => Err(s3_error!(NoSuchUpload)),
        }
    }
}

/// The parts of an upload that is being completed. A drop before [`Completing::done`], for example because the client
/// has disconnected, leaves the upload unchanged.
struct Completing<'a> {
    uploads: &'a Uploads,
    id: &'a str,
    parts: Vec<Arc<Part>>,
    attributes: ObjectAttributes,
    etag: String,
}

impl<'a> Completing<'a> {
    fn begin(backend: &'a Backend, input: &'a CompleteMultipartUploadInput) -> S3Result<Self> {
        let requested = input.multipart_upload.as_ref().and_then(|upload| upload.parts.as_deref()).unwrap_or_default();
        let mut all = lock(&backend.uploads.0);
        let upload = all.get_mut(&input.upload_id).filter(|upload| upload.belongs_to(&input.bucket, &input.key));
        let upload = upload.ok_or_else(|| s3_error!(NoSuchUpload))?;
        let etag = check(upload, requested, backend.max_object_bytes)?;
        if upload.completing {
            return Err(s3_error!(OperationAborted, "the upload is being completed by another request"));
        }
        let part = |part: &CompletedPart| upload.parts.get(&part.part_number.unwrap_or_default()).cloned();
        let parts = requested.iter().filter_map(part).collect();
        let attributes = upload.attributes.clone();
        upload.completing = true;
        Ok(Self { uploads: &backend.uploads, id: &input.upload_id, parts, attributes, etag })
    }

    /// Removes the upload and its parts after the object was stored.
    fn done(self) {
        drop(lock(&self.uploads.0).remove(self.id));
    }
}

impl Drop for Completing<'_> {
    fn drop(&mut self) {
        if let Some(upload) = lock(&self.uploads.0).get_mut(self.id) {
            upload.completing = false;
        }
    }
}

impl Upload {
    fn belongs_to(&self, bucket: &str, key: &str) -> bool {
        self.bucket == bucket && self.key == key
    }
}

pub(super) async fn begin(
    backend: &Backend,
    input: CreateMultipartUploadInput,
) -> S3Result<CreateMultipartUploadOutput> {
    backend.need_bucket(&input.bucket).await?;
    let attributes = ObjectAttributes {
        content_type: input.content_type,
        content_encoding: stored_encoding(input.content_encoding),
        metadata: input.metadata.unwrap_or_default().into_iter().collect(),
        ..ObjectAttributes::default()
    };
    let id = uuid::Uuid::now_v7().simple().to_string();
    let (bucket, key) = (input.bucket.clone(), input.key.clone());
    let mut all = lock(&backend.uploads.0);
    if all.len() >= MAX_UPLOADS {
        return Err(s3_error!(
            SlowDown,
            "{MAX_UPLOADS} uploads are in progress, which is the maximum: complete or abort some"
        ));
    }
    all.insert(id.clone(), Upload { bucket, key, attributes, parts: BTreeMap::new(), completing: false });
    Ok(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        ..CreateMultipartUploadOutput::default()
    })
}

pub(super) async fn part(backend: &Backend, mut req: S3Request<UploadPartInput>) -> S3Result<UploadPartOutput> {
    let input = &mut req.input;
    if !(1..=MAX_PART_NUMBER).contains(&input.part_number) {
        return Err(s3_error!(InvalidArgument, "the part number must be between 1 and {MAX_PART_NUMBER}"));
    }
    if !lock(&backend.uploads.0).contains_key(&input.upload_id) {
        return Err(s3_error!(NoSuchUpload));
    }
    let body = input.body.take().ok_or_else(|| s3_error!(IncompleteBody))?;
    let expected = Expected::from_request(declared_checksums!(input), &req.headers, req.trailing_headers.take());
    let (file, written) = backend.write(body, expected).await?;
    let part = Part { file, size: written.size, md5: written.md5 };
    let e_tag = Some(ETag::Strong(hex::encode(part.md5)));
    // If the upload was aborted in the meantime, this part is removed too.
    let mut all = lock(&backend.uploads.0);
    let upload = all.get_mut(&req.input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
    upload.parts.insert(req.input.part_number, Arc::new(part));
    Ok(UploadPartOutput { e_tag, ..UploadPartOutput::default() })
}

pub(super) async fn complete(
    backend: &Backend,
    input: CompleteMultipartUploadInput,
) -> S3Result<CompleteMultipartUploadOutput> {
    let completing = Completing::begin(backend, &input)?;
    let files = backend.files.clone();
    let open = move |part: Arc<Part>| {
        let files = files.clone();
        async move { Ok::<_, io::Error>(chunks(files.read(part.file.name(), 0).await?, part.size)) }
    };
    // If a part cannot be read, it is an error of the server, not of the client.
    let failed = |error: io::Error| -> Box<dyn std::error::Error + Send + Sync> { Box::new(internal(error)) };
    let joined = stream::iter(completing.parts.clone()).then(open).try_flatten().map_err(failed);
    let attributes = ObjectAttributes {
        only_new: input.if_none_match.as_ref().is_some_and(ETagCondition::is_any),
        etag: Some(completing.etag.clone()),
        ..completing.attributes.clone()
    };
    let (bucket, key) = (input.bucket.clone(), input.key.clone());
    let entry = backend.store(bucket, key, Box::pin(joined), attributes, Expected::default()).await?;
    completing.done();
    Ok(CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, input.key)),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(ETag::Strong(entry.etag)),
        ..CompleteMultipartUploadOutput::default()
    })
}

/// Checks that the parts in the request exist, are in order and have the given ETags. Returns the ETag of the object,
/// which is computed as in S3: the MD5 of the MD5s of the parts, and the number of parts.
fn check(upload: &Upload, requested: &[CompletedPart], limit: u64) -> S3Result<String> {
    let (mut digest, mut size, mut last) = (Md5::new(), 0, 0);
    for name in requested {
        let number = name.part_number.unwrap_or_default();
        if number <= last {
            return Err(s3_error!(InvalidPartOrder));
        }
        last = number;
        let part = upload.parts.get(&number).ok_or_else(|| s3_error!(InvalidPart))?;
        if name.e_tag.as_ref().is_some_and(|etag| etag.value() != hex::encode(part.md5)) {
            return Err(s3_error!(InvalidPart));
        }
        digest.update(part.md5);
        size += part.size;
    }
    match requested.len() {
        0 => Err(s3_error!(MalformedXML, "the request must contain at least one part")),
        _ if size > limit => Err(s3_error!(EntityTooLarge)),
        count => Ok(format!("{}-{count}", hex::encode(digest.finalize()))),
    }
}

pub(super) async fn abort(
    backend: &Backend,
    input: &AbortMultipartUploadInput,
) -> S3Result<AbortMultipartUploadOutput> {
    backend.need_bucket(&input.bucket).await?;
    backend.uploads.take(&input.upload_id, &input.bucket, &input.key)?;
    Ok(AbortMultipartUploadOutput::default())
}

#[cfg(test)]
mod tests {
    use s3s::dto::CompletedMultipartUpload;

    use super::super::catalogue::Catalogue;
    use super::super::files::Files;
    use super::*;

    #[tokio::test]
    async fn an_upload_can_be_completed_again_after_a_cancelled_request() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(&folder.path().join("objects"), false).unwrap();
        let catalogue = Catalogue::open(&folder.path().join("catalogue.sqlite"), files.clone()).unwrap();
        catalogue.create_bucket("b".to_owned()).await.unwrap();
        let backend =
            Backend { catalogue, files, max_object_bytes: 1 << 20, uploads: Arc::default(), refusal: Arc::default() };
        let upload = async || {
            let create = CreateMultipartUploadInput { bucket: "b".into(), key: "k".into(), ..Default::default() };
            let id = begin(&backend, create).await.unwrap().upload_id.unwrap();
            let body = stream::iter([Ok(bytes::Bytes::from_static(b"part"))]);
            let (file, written) = backend.write(body, Expected::default()).await.unwrap();
            let part = Part { file, size: written.size, md5: written.md5 };
            lock(&backend.uploads.0).get_mut(&id).unwrap().parts.insert(1, Arc::new(part));
            let parts = Some(vec![CompletedPart { part_number: Some(1), ..CompletedPart::default() }]);
            CompleteMultipartUploadInput {
                bucket: "b".into(),
                key: "k".into(),
                upload_id: id,
                multipart_upload: Some(CompletedMultipartUpload { parts }),
                ..Default::default()
            }
        };
        // The threads that complete an upload can be faster than this one.
        let (dropped, input) = loop {
            let input = upload().await;
            let mut completing = Box::pin(complete(&backend, input.clone()));
            if futures::poll!(&mut completing).is_pending() {
                break (completing, input);
            }
        };
        let concurrent = complete(&backend, input.clone()).await.unwrap_err();
        assert_eq!(concurrent.code().as_str(), "OperationAborted");
        drop(dropped);
        complete(&backend, input.clone()).await.unwrap();
        assert_eq!(backend.entry("b", "k").await.unwrap().size, 4);
        assert_eq!(complete(&backend, input).await.unwrap_err().code().as_str(), "NoSuchUpload");
    }
}
