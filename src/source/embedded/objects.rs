//! Reads and writes the objects of the embedded server and keeps the row in the catalogue and the file consistent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hyper::StatusCode;
use s3s::dto::Timestamp;
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use time::OffsetDateTime;

use super::catalogue::{Catalogue, Change, Entry, now_millis};
use super::checksums::Expected;
use super::files::{Body, Files, WriteError, Written};
use super::multipart_uploads::Uploads;
use crate::lock::lock;

/// The code of the reply while nothing can be stored.
const NO_SPACE_CODE: &str = "InsufficientStorage";

/// The state of the server.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    pub(super) catalogue: Catalogue,
    pub(super) files: Files,
    /// Maximum size of an object in bytes.
    pub(super) max_object_bytes: u64,
    pub(super) uploads: Arc<Uploads>,
    /// Why nothing can be stored now.
    pub(super) refusal: Arc<Mutex<Option<String>>>,
}

impl Backend {
    /// Fails while nothing can be stored.
    pub(super) fn need_space(&self) -> S3Result<()> {
        let Some(problem) = lock(&self.refusal).clone() else { return Ok(()) };
        let mut error = S3Error::with_message(S3ErrorCode::Custom(NO_SPACE_CODE.into()), problem);
        error.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
        Err(error)
    }

    pub(super) async fn need_bucket(&self, bucket: &str) -> S3Result<()> {
        let exists = self.catalogue.has_bucket(bucket.to_owned()).await.map_err(internal)?;
        if exists { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
    }

    pub(super) async fn entry(&self, bucket: &str, key: &str) -> S3Result<Entry> {
        if let Some(entry) = self.catalogue.find(bucket.to_owned(), key.to_owned()).await.map_err(internal)? {
            return Ok(entry);
        }
        self.need_bucket(bucket).await?;
        Err(s3_error!(NoSuchKey))
    }

    /// Opens an object: returns its entry and its open file. If the object is replaced between the two steps, the file
    /// is missing, and the lookup is repeated.
    pub(super) async fn open(&self, bucket: &str, key: &str, range: Option<&s3s::dto::Range>) -> S3Result<Opened> {
        for _ in 0..8 {
            let entry = self.entry(bucket, key).await?;
            let range = match range {
                // An empty object does not have any valid range.
                Some(_) if entry.size == 0 => return Err(s3_error!(InvalidRange)),
                Some(range) => range.check(entry.size)?,
                None => 0..entry.size,
            };
            match self.files.read(&entry.file, range.start).await {
                Ok(file) => return Ok(Opened { entry, range, file }),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(internal(error)),
            }
        }
        Err(s3_error!(InternalError, "the file of the object {key} is missing"))
    }

    /// Writes a body to a new file that does not belong to an object yet.
    pub(super) async fn write(&self, body: impl Body, mut expected: Expected) -> S3Result<(UnreferencedFile, Written)> {
        let file = Files::new_name();
        self.catalogue.register_file(file.clone()).await.map_err(internal)?;
        let loose = UnreferencedFile { files: self.files.clone(), file };
        let written = match self.files.write(&loose.file, body, self.max_object_bytes, &mut expected).await {
            Ok(written) => written,
            Err(WriteError::TooLarge) => return Err(s3_error!(EntityTooLarge)),
            Err(WriteError::Disk(error)) => return Err(internal(error)),
            Err(WriteError::Body(error)) => return Err(body_error(error)),
        };
        expected.check(&written.md5)?;
        Ok((loose, written))
    }

    /// Writes a body and makes it the content of the object.
    pub(super) async fn store(
        &self,
        bucket: String,
        key: String,
        body: impl Body,
        attributes: ObjectAttributes,
        expected: Expected,
    ) -> S3Result<Entry> {
        let (loose, written) = self.write(body, expected).await?;
        let entry = Entry {
            // From here on the catalogue owns the file, even if the client disconnects.
            file: loose.hand_over(),
            size: written.size,
            etag: attributes.etag.unwrap_or_else(|| hex::encode(written.md5)),
            modified: now_millis(),
            content_type: attributes.content_type,
            content_encoding: attributes.content_encoding,
            metadata: attributes.metadata,
        };
        match self.catalogue.commit(bucket, key, entry.clone(), attributes.only_new).await.map_err(internal)? {
            Change::Done => Ok(entry),
            Change::Exists => Err(s3_error!(PreconditionFailed)),
            Change::NoBucket | Change::NotEmpty => Err(s3_error!(NoSuchBucket)),
        }
    }
}

/// An object that was opened for reading.
pub(super) struct Opened {
    pub(super) entry: Entry,
    pub(super) range: std::ops::Range<u64>,
    pub(super) file: tokio::fs::File,
}

/// The attributes of an object.
#[derive(Clone, Debug, Default)]
pub(super) struct ObjectAttributes {
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    /// Whether the write fails if the object exists already.
    pub(super) only_new: bool,
    /// The ETag, if it is not the MD5 of the bytes.
    pub(super) etag: Option<String>,
}

/// Returns the `Content-Encoding` to store. `aws-chunked` is removed, because it describes the transfer, not the stored
/// bytes.
pub(super) fn stored_encoding(sent: Option<String>) -> Option<String> {
    let codings = sent?;
    let kept = codings.split(',').map(str::trim).filter(|coding| !coding.eq_ignore_ascii_case("aws-chunked"));
    Some(kept.collect::<Vec<_>>().join(",")).filter(|codings| !codings.is_empty())
}

/// A file without a row in the catalogue. It is removed on drop unless [`hand_over`](Self::hand_over) was called.
#[derive(Debug)]
pub(super) struct UnreferencedFile {
    files: Files,
    file: String,
}

impl UnreferencedFile {
    /// Returns the name of the file.
    pub(super) fn name(&self) -> &str {
        &self.file
    }

    fn hand_over(mut self) -> String {
        std::mem::take(&mut self.file)
    }
}

impl Drop for UnreferencedFile {
    fn drop(&mut self) {
        if !self.file.is_empty() {
            self.files.remove(&self.file);
        }
    }
}

pub(super) fn internal(error: impl std::error::Error + Send + Sync + 'static) -> S3Error {
    tracing::error!(%error, "the embedded S3 server failed");
    S3Error::with_source(S3ErrorCode::InternalError, Box::new(error))
}

/// Converts the error of a body that is incomplete or does not match its signature. It is the client's error, not the
/// server's.
fn body_error(error: Box<dyn std::error::Error + Send + Sync>) -> S3Error {
    match error.downcast::<S3Error>() {
        Ok(error) => *error,
        Err(error) => S3Error::with_source(S3ErrorCode::IncompleteBody, error),
    }
}

/// Converts milliseconds since 1970 to a timestamp of S3.
pub(super) fn to_timestamp(millis: i64) -> Timestamp {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000);
    time.unwrap_or(OffsetDateTime::UNIX_EPOCH).into()
}
