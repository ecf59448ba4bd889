//! A client of the bucket, for uploads and for the checks of the doctor.

use bytes::Bytes;
use futures::StreamExt;

use super::{BuildError, parts};
use crate::config::Settings;
use crate::domain::{ImageUri, InvalidSetting};
use crate::source::{EmbeddedS3, EventRule, ImageSource, NewObject, S3Endpoint, S3Settings, S3Source, Scope};

/// A client of the bucket that the settings name.
#[derive(Debug)]
pub struct Bucket {
    client: S3Source,
}

impl Bucket {
    /// Opens the bucket of the settings. For `embedded`, this is the server in the process that has the same data
    /// folder.
    ///
    /// # Errors
    /// [`BuildError`] if the settings are invalid or the credentials cannot be read.
    pub async fn open(settings: &Settings) -> Result<Self, BuildError> {
        Self::connect(client_settings(settings)?).await
    }

    pub(super) async fn connect(client: S3Settings) -> Result<Self, BuildError> {
        Ok(Self { client: S3Source::new(client).await? })
    }

    /// Creates a bucket if it does not exist.
    ///
    /// # Errors
    /// [`BuildError::Source`]
    pub async fn ensure(&self, bucket: &str) -> Result<(), BuildError> {
        Ok(self.client.ensure_bucket(bucket).await?)
    }

    /// Returns the first key of a bucket, or `None` if the bucket is empty.
    ///
    /// # Errors
    /// [`BuildError::Source`]
    pub async fn first_key(&self, bucket: &str) -> Result<Option<String>, BuildError> {
        let scope = Scope { bucket: bucket.to_owned(), prefix: String::new(), start_after: None };
        let first = self.client.list(&scope).next().await.transpose()?;
        Ok(first.map(|image| image.uri.key().to_owned()))
    }

    /// Writes one object. An existing object is replaced.
    ///
    /// # Errors
    /// [`BuildError::Source`]
    pub async fn put(&self, bucket: &str, key: &str, bytes: Bytes, content_type: &str) -> Result<(), BuildError> {
        let object = NewObject { bytes, content_type: content_type.to_owned(), ..NewObject::default() };
        self.put_object(&ImageUri::new(bucket, key), object).await
    }

    /// Writes one object with metadata. An existing object is replaced.
    ///
    /// # Errors
    /// [`BuildError::Source`]
    pub async fn put_object(&self, uri: &ImageUri, object: NewObject) -> Result<(), BuildError> {
        self.client.put(uri, object).await?;
        Ok(())
    }

    /// Adds the rule of a mirror to the rules of a bucket: its events go to the target with this ARN. An earlier rule of the
    /// mirror is replaced, other rules stay.
    ///
    /// # Errors
    /// [`BuildError::Source`]
    pub async fn put_event_rule(
        &self,
        bucket: &str,
        mirror: &str,
        prefix: &str,
        target: &str,
    ) -> Result<(), BuildError> {
        let rule = EventRule { id: format!("glimpse-{mirror}"), prefix: prefix.to_owned(), target: target.to_owned() };
        Ok(self.client.put_event_rule(bucket, &rule).await?)
    }

    /// Removes one object. It is not an error if the object does not exist.
    ///
    /// # Errors
    /// [`BuildError::Source`]
    pub async fn remove(&self, uri: &ImageUri) -> Result<(), BuildError> {
        Ok(self.client.remove(uri).await?)
    }
}

/// Returns the settings of a client. For `embedded`, the server is in the process that has the same data folder.
pub(super) fn client_settings(settings: &Settings) -> Result<S3Settings, BuildError> {
    let mut client = parts::s3_settings(settings);
    if settings.source.s3_endpoint == S3Endpoint::Embedded && client.credentials.is_none() {
        let folder = parts::bucket_folder(settings);
        let stored = EmbeddedS3::stored_credentials(&folder);
        client.credentials = stored.map_err(|source| BuildError::Folder { folder: folder.clone(), source })?;
        if client.credentials.is_none() {
            return Err(BuildError::Setting(InvalidSetting(format!(
                "there is no embedded bucket in {} (GLIMPSE_DATA_DIR) yet; start `glimpse serve`, or set S3_ENDPOINT",
                settings.locations.glimpse_data_dir.display()
            ))));
        }
    }
    Ok(client)
}
