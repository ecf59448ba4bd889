//! Uploads in parts, as other clients send what is larger than a few megabytes. They live in memory, and their
//! parts are files that nothing vouches for: a restart forgets and sweeps both.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::stream::{self, StreamExt, TryStreamExt};
use md5::{Digest, Md5};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput, CompleteMultipartUploadOutput,
    CompletedPart, CreateMultipartUploadInput, CreateMultipartUploadOutput, ETag, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Result, s3_error};

use super::checksums::{Expected, announced};
use super::files::chunks;
use super::objects::{About, Backend, Loose};

/// Uploads under way at once; whoever leaves them lying about is told to slow down.
const MOST_UPLOADS: usize = 1_000;
/// Parts are numbered up to this, as with Amazon's own.
const MOST_PARTS: i32 = 10_000;

/// The uploads under way, by id.
#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<HashMap<String, Upload>>);

#[derive(Debug)]
struct Upload {
    bucket: String,
    key: String,
    about: About,
    parts: BTreeMap<i32, Part>,
}

#[derive(Debug)]
struct Part {
    file: Loose,
    size: u64,
    md5: [u8; 16],
}

impl Uploads {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Upload>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the upload out: it is finished or given up.
    fn take(&self, id: &str, bucket: &str, key: &str) -> S3Result<Upload> {
        let mut all = self.lock();
        match all.get(id) {
            Some(upload) if upload.bucket == bucket && upload.key == key => {
                all.remove(id).ok_or_else(|| s3_error!(NoSuchUpload))
            }
            _ => Err(s3_error!(NoSuchUpload)),
        }
    }
}

pub(super) async fn begin(
    backend: &Backend,
    input: CreateMultipartUploadInput,
) -> S3Result<CreateMultipartUploadOutput> {
    backend.need_bucket(&input.bucket).await?;
    let about = About {
        content_type: input.content_type,
        metadata: input.metadata.unwrap_or_default().into_iter().collect(),
        ..About::default()
    };
    let id = uuid::Uuid::now_v7().simple().to_string();
    let (bucket, key) = (input.bucket.clone(), input.key.clone());
    let mut all = backend.uploads.lock();
    if all.len() >= MOST_UPLOADS {
        return Err(s3_error!(SlowDown, "{MOST_UPLOADS} uploads are under way: finish or abort some"));
    }
    all.insert(id.clone(), Upload { bucket, key, about, parts: BTreeMap::new() });
    Ok(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        ..CreateMultipartUploadOutput::default()
    })
}

pub(super) async fn part(backend: &Backend, mut req: S3Request<UploadPartInput>) -> S3Result<UploadPartOutput> {
    let input = &mut req.input;
    if !(1..=MOST_PARTS).contains(&input.part_number) {
        return Err(s3_error!(InvalidArgument, "parts are numbered from 1 to {MOST_PARTS}"));
    }
    if !backend.uploads.lock().contains_key(&input.upload_id) {
        return Err(s3_error!(NoSuchUpload));
    }
    let body = input.body.take().ok_or_else(|| s3_error!(IncompleteBody))?;
    let expected = Expected::of(announced!(input), &req.headers, req.trailing_headers.take());
    let (file, written) = backend.write(body, expected).await?;
    let part = Part { file, size: written.size, md5: written.md5 };
    let e_tag = Some(ETag::Strong(hex::encode(part.md5)));
    // It may have been aborted meanwhile; then the part goes with it.
    let mut all = backend.uploads.lock();
    let upload = all.get_mut(&req.input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
    upload.parts.insert(req.input.part_number, part);
    Ok(UploadPartOutput { e_tag, ..UploadPartOutput::default() })
}

pub(super) async fn complete(
    backend: &Backend,
    input: CompleteMultipartUploadInput,
) -> S3Result<CompleteMultipartUploadOutput> {
    let named = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
    let (upload, etag) = {
        let all = backend.uploads.lock();
        let upload = all.get(&input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        let etag = check(upload, &named, backend.max_object_bytes)?;
        drop(all);
        (backend.uploads.take(&input.upload_id, &input.bucket, &input.key)?, etag)
    };
    let Upload { about, mut parts, .. } = upload;
    let named: Vec<Part> =
        named.iter().filter_map(|part| parts.remove(&part.part_number.unwrap_or_default())).collect();
    let files = backend.files.clone();
    // What is open can be read, so each part's file may go once it is.
    let open = move |part: Part| {
        let files = files.clone();
        async move { Ok::<_, io::Error>(chunks(files.read(part.file.name(), 0).await?, part.size)) }
    };
    let joined = stream::iter(named).then(open).try_flatten().map_err(Into::into);
    let about =
        About { only_new: input.if_none_match.is_some_and(|condition| condition.is_any()), etag: Some(etag), ..about };
    let (bucket, key) = (input.bucket.clone(), input.key.clone());
    let entry = backend.store(bucket, key, Box::pin(joined), about, Expected::default()).await?;
    Ok(CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, input.key)),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(ETag::Strong(entry.etag)),
        ..CompleteMultipartUploadOutput::default()
    })
}

/// Whether the named parts are there, in order and as named; the ETag of the whole, as S3 computes it: the MD5
/// of the parts' MD5s, and how many they are.
fn check(upload: &Upload, named: &[CompletedPart], limit: u64) -> S3Result<String> {
    let (mut digest, mut size, mut last) = (Md5::new(), 0, 0);
    for name in named {
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
    match named.len() {
        0 => Err(s3_error!(MalformedXML, "no part is named")),
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
