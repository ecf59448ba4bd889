//! The bucket as one of its clients sees it, for seeding.

use bytes::Bytes;
use futures::StreamExt;

use super::{BuildError, parts};
use crate::config::Settings;
use crate::domain::ImageUri;
use crate::source::{EmbeddedS3, Endpoint, ImageSource, NewObject, S3Settings, S3Source, Scope};

/// A client of the bucket that the settings name.
#[derive(Debug)]
pub struct Bucket {
    client: S3Source,
}

impl Bucket {
    /// Where the settings say `embedded`, the server in the process that has the same data folder.
    ///
    /// # Errors
    /// [`BuildError`]: settings that cannot be used, or credentials that cannot be read.
    pub async fn open(settings: &Settings) -> Result<Self, BuildError> {
        Self::of(client_of(settings)?).await
    }

    pub(super) async fn of(client: S3Settings) -> Result<Self, BuildError> {
        Ok(Self { client: S3Source::new(client).await? })
    }

    /// Makes a bucket if it is not there.
    ///
    /// # Errors
    /// [`BuildError::Source`]
    pub async fn ensure(&self, bucket: &str) -> Result<(), BuildError> {
        Ok(self.client.ensure_bucket(bucket).await?)
    }

    /// The first key of a bucket, if it has any.
    ///
    /// # Errors
    /// [`BuildError::Source`]
    pub async fn first_key(&self, bucket: &str) -> Result<Option<String>, BuildError> {
        let scope = Scope { bucket: bucket.to_owned(), prefix: String::new(), start_after: None };
        let first = self.client.list(&scope).next().await.transpose()?;
        Ok(first.map(|image| image.uri.key().to_owned()))
    }

    /// Writes one object; replaces what was there.
    ///
    /// # Errors
    /// [`BuildError::Source`]
    pub async fn put(&self, bucket: &str, key: &str, bytes: Bytes, content_type: &str) -> Result<(), BuildError> {
        let object = NewObject { bytes, content_type: content_type.to_owned(), ..NewObject::default() };
        self.put_object(&ImageUri::new(bucket, key), object).await
    }

    /// The same, with metadata of its own.
    ///
    /// # Errors
    /// [`BuildError::Source`]
    pub async fn put_object(&self, uri: &ImageUri, object: NewObject) -> Result<(), BuildError> {
        Ok(self.client.put(uri, object).await?)
    }

    /// Removes one object; one that is not there is no error.
    ///
    /// # Errors
    /// [`BuildError::Source`]
    pub async fn remove(&self, uri: &ImageUri) -> Result<(), BuildError> {
        Ok(self.client.remove(uri).await?)
    }
}

/// A client's settings. Where they say `embedded`, the server is in the process that has the same data folder.
pub(super) fn client_of(settings: &Settings) -> Result<S3Settings, BuildError> {
    let mut client = parts::s3_settings(settings)?;
    let endpoint = settings.source.endpoint().map_err(BuildError::Settings)?;
    if endpoint == Endpoint::Embedded && client.credentials.is_none() {
        let folder = parts::bucket_folder(settings);
        let stored = EmbeddedS3::stored_credentials(&folder);
        client.credentials = stored.map_err(|source| BuildError::Folder { folder: folder.clone(), source })?;
        if client.credentials.is_none() {
            return Err(BuildError::Settings(format!(
                "there is no embedded bucket in {} yet: start `glimpse serve` first, or set S3_ENDPOINT",
                settings.place.glimpse_data_dir.display()
            )));
        }
    }
    Ok(client)
}
