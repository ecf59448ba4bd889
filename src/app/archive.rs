//! Archives of backups in a folder or in a bucket, for the commands that write and restore them.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::TryStreamExt;
use futures::stream::BoxStream;

pub use super::parts::LOCK_FILE;
use super::{BuildError, parts};
use crate::archive::{ArchiveError, ArchiveStore, FolderArchive};
use crate::config::Settings;
use crate::domain::{ImageUri, InvalidSetting};
use crate::source::{ImageSource, NewObject, S3Endpoint, S3Source, Scope, SourceError};

/// The largest file of an archive that is read from a bucket: a manifest of tens of millions of objects.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// Creates the data folder, for its owner only, if it does not exist, and locks it for this process. Fails if a service
/// uses it.
///
/// # Errors
/// [`BuildError`]
pub fn claim_data_folder(folder: &Path) -> Result<File, BuildError> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    created.map_err(|source| BuildError::Folder { folder: folder.to_owned(), source })?;
    parts::lock(folder)
}

/// Opens the archive at `s3://bucket/prefix` or in a folder.
///
/// # Errors
/// [`BuildError`] if the place is not valid, or if another command writes to the folder.
pub async fn open_archive(
    settings: &Settings,
    location: &str,
    is_written: bool,
) -> Result<Box<dyn ArchiveStore>, BuildError> {
    let Some(rest) = location.strip_prefix("s3://") else {
        let folder = Path::new(location);
        return Ok(Box::new(if is_written {
            FolderArchive::open_to_write(folder)?
        } else {
            FolderArchive::open(folder)
        }));
    };
    if settings.source.s3_endpoint == S3Endpoint::Embedded {
        return Err(BuildError::Setting(InvalidSetting(format!(
            "{location} would be in the embedded bucket, which the backup copies; set S3_ENDPOINT, S3_ACCESS_KEY_ID and \
             S3_SECRET_ACCESS_KEY of this command to those of another bucket"
        ))));
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(BuildError::Setting(InvalidSetting(format!("{location} has no bucket; write s3://bucket/prefix"))));
    }
    let prefix = prefix.trim_end_matches('/');
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    let client = S3Source::new(parts::s3_settings(settings)).await?;
    Ok(Box::new(BucketArchive { client, bucket: bucket.to_owned(), prefix }))
}

/// An archive below a prefix of a bucket.
struct BucketArchive {
    client: S3Source,
    bucket: String,
    /// Empty, or ends with `/`.
    prefix: String,
}

impl BucketArchive {
    fn uri(&self, name: &str) -> ImageUri {
        ImageUri::new(&self.bucket, &format!("{}{name}", self.prefix))
    }

    fn scope(&self, name: &str) -> Scope {
        Scope { bucket: self.bucket.clone(), prefix: format!("{}{name}", self.prefix), start_after: None }
    }

    fn error(&self) -> impl Fn(SourceError) -> ArchiveError + use<> {
        let location = self.location();
        move |error| ArchiveError::Bucket { location: location.clone(), problem: error.to_string() }
    }
}

#[async_trait]
impl ArchiveStore for BucketArchive {
    fn location(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, Result<String, ArchiveError>> {
        let (own, error) = (self.prefix.clone(), self.error());
        let names = self.client.list(&self.scope(prefix)).map_ok(move |object| {
            let key = object.uri.key();
            key.strip_prefix(&own).unwrap_or(key).to_owned()
        });
        names.map_err(error).boxed()
    }

    async fn exists(&self, name: &str, size: u64) -> Result<bool, ArchiveError> {
        let found = self.client.first(&self.scope(name), 1).await.map_err(self.error())?;
        let uri = self.uri(name);
        Ok(found.first().is_some_and(|object| object.uri == uri && object.size_bytes == size))
    }

    async fn read(&self, name: &str) -> Result<Option<Bytes>, ArchiveError> {
        match self.client.fetch_file(&self.uri(name), MAX_FILE_BYTES).await {
            Ok(file) => Ok(Some(file.bytes)),
            Err(SourceError::Missing(_)) => Ok(None),
            Err(error) => Err(self.error()(error)),
        }
    }

    async fn write(&self, name: &str, bytes: Bytes) -> Result<(), ArchiveError> {
        let object = NewObject { bytes, content_type: "application/octet-stream".to_owned(), ..NewObject::default() };
        self.client.put(&self.uri(name), object).await.map(drop).map_err(self.error())
    }

    async fn remove(&self, name: &str) -> Result<(), ArchiveError> {
        self.client.remove(&self.uri(name)).await.map_err(self.error())
    }
}
