//! Objects as the embedded server reads and writes them: a row of the catalogue and a file, kept in step.

use std::collections::BTreeMap;
use std::sync::Arc;

use s3s::dto::Timestamp;
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use time::OffsetDateTime;

use super::catalogue::{Catalogue, Change, Entry, now_millis};
use super::checksums::Expected;
use super::files::{Body, Files, WriteError, Written};
use super::uploads::Uploads;

/// The server's state.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    pub(super) catalogue: Catalogue,
    pub(super) files: Files,
    /// The largest object that is taken.
    pub(super) max_object_bytes: u64,
    pub(super) uploads: Arc<Uploads>,
}

impl Backend {
    pub(super) async fn need_bucket(&self, bucket: &str) -> S3Result<()> {
        let there = self.catalogue.has_bucket(bucket.to_owned()).await.map_err(internal)?;
        if there { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
    }

    pub(super) async fn entry(&self, bucket: &str, key: &str) -> S3Result<Entry> {
        if let Some(entry) = self.catalogue.find(bucket.to_owned(), key.to_owned()).await.map_err(internal)? {
            return Ok(entry);
        }
        self.need_bucket(bucket).await?;
        Err(s3_error!(NoSuchKey))
    }

    /// The entry and its open file. A replacement between the two takes the file away: then look again.
    pub(super) async fn open(&self, bucket: &str, key: &str, range: Option<&s3s::dto::Range>) -> S3Result<Opened> {
        for _ in 0..8 {
            let entry = self.entry(bucket, key).await?;
            let range = match range {
                // Not even the last bytes of nothing.
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
        Err(s3_error!(InternalError, "the file of {key} is gone"))
    }

    /// Writes a body to a new file, which nothing vouches for yet.
    pub(super) async fn write(&self, body: impl Body, mut expected: Expected) -> S3Result<(Loose, Written)> {
        let file = Files::new_name();
        self.catalogue.announce(file.clone()).await.map_err(internal)?;
        let loose = Loose { files: self.files.clone(), file };
        let written = match self.files.write(&loose.file, body, self.max_object_bytes, &mut expected).await {
            Ok(written) => written,
            Err(WriteError::TooLarge) => return Err(s3_error!(EntityTooLarge)),
            Err(WriteError::Disk(error)) => return Err(internal(error)),
            Err(WriteError::Body(error)) => return Err(body_error(error)),
        };
        expected.check(&written.md5)?;
        Ok((loose, written))
    }

    /// Writes a body and makes it the object's.
    pub(super) async fn store(
        &self,
        bucket: String,
        key: String,
        body: impl Body,
        about: About,
        expected: Expected,
    ) -> S3Result<Entry> {
        let (loose, written) = self.write(body, expected).await?;
        let entry = Entry {
            // From here on the catalogue answers for the file, even if the client goes away.
            file: loose.hand_over(),
            size: written.size,
            etag: about.etag.unwrap_or_else(|| hex::encode(written.md5)),
            modified: now_millis(),
            content_type: about.content_type,
            content_encoding: about.content_encoding,
            metadata: about.metadata,
        };
        match self.catalogue.commit(bucket, key, entry.clone(), about.only_new).await.map_err(internal)? {
            Change::Done => Ok(entry),
            Change::Exists => Err(s3_error!(PreconditionFailed)),
            Change::NoBucket | Change::NotEmpty => Err(s3_error!(NoSuchBucket)),
        }
    }
}

/// An object about to be read.
pub(super) struct Opened {
    pub(super) entry: Entry,
    pub(super) range: std::ops::Range<u64>,
    pub(super) file: tokio::fs::File,
}

/// What goes with an object's bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    /// Refused where there is one already.
    pub(super) only_new: bool,
    /// Where it is not simply the MD5 of the bytes.
    pub(super) etag: Option<String>,
}

/// A `Content-Encoding` as it is kept: without `aws-chunked`, which is how the bytes were sent, not how they are stored.
pub(super) fn stored_encoding(sent: Option<String>) -> Option<String> {
    let codings = sent?;
    let kept = codings.split(',').map(str::trim).filter(|coding| !coding.eq_ignore_ascii_case("aws-chunked"));
    Some(kept.collect::<Vec<_>>().join(",")).filter(|codings| !codings.is_empty())
}

/// A file that no row vouches for; removed on drop unless it was handed over.
#[derive(Debug)]
pub(super) struct Loose {
    files: Files,
    file: String,
}

impl Loose {
    /// The file's name.
    pub(super) fn name(&self) -> &str {
        &self.file
    }

    fn hand_over(mut self) -> String {
        std::mem::take(&mut self.file)
    }
}

impl Drop for Loose {
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
