//! Archives of backups in a folder or in a bucket, for the commands that write and restore them.

use std::fs::File;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::TryStreamExt;
use futures::stream::BoxStream;

pub use super::parts::LOCK_FILE;
use super::{BuildError, parts};
use crate::archive::{ArchiveEntry, ArchiveError, ArchiveStore, CHUNK_BYTES, FolderArchive};
use crate::config::Settings;
use crate::domain::location::{split_scheme, strip_s3};
use crate::domain::{ImageUri, InvalidSetting};
use crate::source::{ImageSource, NewObject, S3Endpoint, S3Source, Scope, SourceError};

/// The largest file of an archive that is read from a bucket: a manifest of tens of millions of objects.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// Creates the data folder, for its owner only, if it does not exist, and locks it for this process. Fails if a service
/// or another restore uses it.
///
/// # Errors
/// [`BuildError`]
pub fn claim_data_folder(folder: &Path) -> Result<File, BuildError> {
    parts::lock(folder).map_err(|error| match error {
        BuildError::FolderInUse(folder) => BuildError::FolderOfOther(folder),
        error => error,
    })
}

/// Returns the number of API keys in the ledger of a data folder that no service uses.
///
/// # Errors
/// [`BuildError`]
pub fn stored_keys(folder: &Path) -> Result<u64, BuildError> {
    Ok(crate::ledger::stored_keys(folder)?)
}

/// Opens the archive at `s3://bucket/prefix` (in any case) or in a folder to read it. To write, [claim](ArchiveStore::claim) it.
///
/// # Errors
/// [`BuildError`] if the place is not valid, or if the archive `must_exist` and the folder does not.
pub async fn open_archive(
    settings: &Settings,
    location: &str,
    must_exist: bool,
) -> Result<Box<dyn ArchiveStore>, BuildError> {
    let Some(rest) = strip_s3(location) else {
        if split_scheme(location).is_some() {
            return Err(BuildError::Setting(InvalidSetting(format!(
                "an archive cannot be at {location}; write s3://bucket/prefix, or the path of a folder (./{location} if the \
                 folder has this name)"
            ))));
        }
        let folder = Path::new(location);
        if must_exist && !folder.exists() {
            return Err(ArchiveError::NoFolder(folder.to_owned()).into());
        }
        return Ok(Box::new(FolderArchive::open(folder)));
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

    fn list(&self, prefix: &str) -> BoxStream<'_, Result<ArchiveEntry, ArchiveError>> {
        let (own, error) = (self.prefix.clone(), self.error());
        let entries = self.client.list(&self.scope(prefix)).map_ok(move |object| {
            let key = object.uri.key();
            ArchiveEntry { name: key.strip_prefix(&own).unwrap_or(key).to_owned(), size: Some(object.size_bytes) }
        });
        entries.map_err(error).boxed()
    }

    async fn read(&self, name: &str) -> Result<Option<Bytes>, ArchiveError> {
        let is_chunk = name.starts_with("chunks/");
        match self.client.fetch_file(&self.uri(name), if is_chunk { CHUNK_BYTES } else { MAX_FILE_BYTES }).await {
            Ok(file) => Ok(Some(file.bytes)),
            Err(SourceError::Missing(_)) => Ok(None),
            // It is damaged. More of it is not needed to find this.
            Err(SourceError::TooLarge { .. }) if is_chunk => Ok(Some(Bytes::new())),
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn problem(location: &str) -> String {
        let opened = open_archive(&Settings::default(), location, false).await;
        opened.err().map_or_else(|| "opened".to_owned(), |error| error.to_string())
    }

    #[tokio::test]
    async fn an_address_is_never_a_folder() {
        for bucket in ["s3://backups/glimpse", "S3://backups/glimpse"] {
            assert!(problem(bucket).await.contains("would be in the embedded bucket"), "{bucket}");
        }
        for wrong in ["S3:/backups", "s3:/backups/glimpse", "file:///backups", "HTTPS://host/backups"] {
            let problem = problem(wrong).await;
            assert!(problem.contains("write s3://bucket/prefix, or the path of a folder"), "{wrong}: {problem}");
        }
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(problem(folder.path().join("S3:").to_str().unwrap()).await, "opened");
    }
}
