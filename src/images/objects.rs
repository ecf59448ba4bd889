//! Reads the objects that records refer to.

use std::sync::Arc;

use bytes::Bytes;

use super::ImagesError;
use crate::domain::image_format::has_image_extension;
use crate::domain::{FailureClass, ImageUri};
use crate::imaging;
use crate::source::{EncodingError, ImageSource, Opened, Part, SourceError};

/// The bucket of the indexed images. Clones share one source.
#[derive(Clone)]
pub(super) struct Objects(pub(super) Arc<dyn ImageSource>);

impl Objects {
    /// Returns the current bytes of an object, with its `Content-Encoding` removed. Returns `None` if there are more
    /// than `limit` bytes.
    pub(super) async fn fetch(&self, uri: &ImageUri, limit: u64) -> Result<Option<Bytes>, ImagesError> {
        match self.0.fetch_file(uri, limit).await {
            Ok(fetched) => match fetched.decoded(limit).await {
                Ok(bytes) if is_page(uri, &bytes, fetched.etag.as_deref(), fetched.content_type.as_deref()) => {
                    Err(ImagesError::Refused)
                }
                Ok(bytes) => Ok(Some(bytes)),
                Err(EncodingError::TooLarge { .. }) => Ok(None),
                Err(error) => Err(ImagesError::Encoding(error)),
            },
            Err(SourceError::TooLarge { .. }) => Ok(None),
            Err(error) => Err(to_client_error(uri, error)),
        }
    }

    /// Opens an object or a part of it.
    pub(super) async fn open(&self, uri: &ImageUri, part: Option<&Part>) -> Result<Opened, ImagesError> {
        self.0.open(uri, part).await.map_err(|error| to_client_error(uri, error))
    }
}

/// Whether a reply is the page of a proxy or of a sign-in in place of the object: HTML under the key of an image, without
/// an ETag or with the type of a page. An object that was replaced by HTML has an ETag.
pub(super) fn is_page(uri: &ImageUri, bytes: &[u8], etag: Option<&str>, content_type: Option<&str>) -> bool {
    let is_typed = content_type.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"));
    let is_page = (etag.is_none() || is_typed) && has_image_extension(uri.key()) && imaging::is_html(bytes);
    if is_page {
        tracing::warn!(image.uri = %uri, "the bucket answered with an HTML page instead of the object");
    }
    is_page
}

fn unreadable(class: FailureClass, error: &SourceError) -> ImagesError {
    ImagesError::Unreadable { class, message: error.to_string() }
}

/// Converts an error of the source to the error that the client gets. The details are written to the log.
pub(super) fn to_client_error(uri: &ImageUri, error: SourceError) -> ImagesError {
    match error {
        SourceError::Missing(uri) => ImagesError::Vanished(uri),
        SourceError::Dependency(error) => ImagesError::Dependency(error),
        SourceError::Archived { .. } => unreadable(FailureClass::Archived, &error),
        SourceError::TooLarge { .. } => unreadable(FailureClass::TooLarge, &error),
        SourceError::BrokenOff { .. } | SourceError::Failing { .. } => unreadable(FailureClass::FetchFailed, &error),
        SourceError::NoBucket(_)
        | SourceError::Denied(_)
        | SourceError::Exists(_)
        | SourceError::Operator(_)
        | SourceError::Refused { .. } => {
            tracing::warn!(image.uri = %uri, %error, "an original could not be read");
            ImagesError::Refused
        }
    }
}
