//! The objects behind records, read whole.

use std::sync::Arc;

use bytes::Bytes;

use super::ImagesError;
use crate::domain::{ImageRef, ImageUri};
use crate::source::{ImageSource, SourceError};

/// The bucket of the indexed images. Clones share it.
#[derive(Clone)]
pub(super) struct Objects(pub(super) Arc<dyn ImageSource>);

impl Objects {
    /// The bytes of an object, as it is now.
    pub(super) async fn fetch(&self, uri: &ImageUri) -> Result<Bytes, ImagesError> {
        let image = ImageRef { uri: uri.clone(), etag: None, size_bytes: 0, modified: None };
        match self.0.fetch(&image).await {
            Ok(fetched) => Ok(fetched.bytes),
            Err(SourceError::Missing(uri)) => Err(ImagesError::Vanished(uri)),
            Err(SourceError::Dependency(down)) => Err(ImagesError::Dependency(down)),
            Err(
                error @ (SourceError::NoBucket(_)
                | SourceError::Denied(_)
                | SourceError::Archived { .. }
                | SourceError::Operator(_)
                | SourceError::TooLarge { .. }
                | SourceError::BrokenOff { .. }
                | SourceError::Refused { .. }
                | SourceError::Failing { .. }),
            ) => {
                tracing::warn!(image.uri = %uri, %error, "original not handed out");
                Err(ImagesError::Refused)
            }
        }
    }
}
