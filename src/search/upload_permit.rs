//! Permits for the bytes of uploaded images: what clients send at the same time is bounded.

use std::sync::Arc;
use std::time::Duration;

use super::{Search, SearchError};
use crate::pipeline::budget::{BudgetPermit, ByteBudget};

/// The bytes of images that may be uploaded at the same time, but at least the maximum size of one image.
const MAX_UPLOADED_BYTES: u64 = 128 * MIN_UPLOAD_BYTES;
/// Bytes that every upload counts for at least: a small file may decode into many pixels.
const MIN_UPLOAD_BYTES: u64 = 1024 * 1024;
/// How long an upload waits for a permit.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(2);

/// A permit to hold bytes of an upload in memory. Dropping it releases the permit.
#[derive(Debug)]
#[must_use = "hold it until the images are no longer needed"]
pub struct UploadPermit {
    uploads: Arc<ByteBudget>,
    permit: BudgetPermit,
    bytes: u64,
}

impl UploadPermit {
    /// Increases the permit to `bytes`, before they are kept. One upload at a time may exceed the budget, so that uploads
    /// that hold a part of it do not all wait for each other.
    ///
    /// # Errors
    /// Returns [`SearchError::Busy`] if other uploads do not release enough within 2 seconds.
    pub async fn grow(&mut self, bytes: u64) -> Result<(), SearchError> {
        if bytes > self.bytes {
            let bytes = bytes.next_multiple_of(MIN_UPLOAD_BYTES);
            let more = tokio::time::timeout(UPLOAD_TIMEOUT, self.uploads.grow(&mut self.permit, bytes)).await;
            more.map_err(|_| SearchError::Busy)?;
            self.bytes = bytes;
        }
        Ok(())
    }

    /// Increases the permit by `bytes`.
    ///
    /// # Errors
    /// Fails under the same conditions as [`UploadPermit::grow`].
    pub async fn add(&mut self, bytes: u64) -> Result<(), SearchError> {
        self.grow(self.bytes.saturating_add(bytes)).await
    }
}

/// Returns the bytes that all uploads together may hold, for the maximum size of one image.
pub(super) fn budget(max_image_bytes: u64) -> u64 {
    MAX_UPLOADED_BYTES.max(max_image_bytes)
}

impl Search {
    /// Returns a permit for an upload before its body is read. It has to grow as the bytes arrive, so a client that sends
    /// slowly takes only what it has sent.
    ///
    /// # Errors
    /// Returns [`SearchError::Busy`] if no permit becomes free within 2 seconds.
    pub async fn admit_upload(&self) -> Result<UploadPermit, SearchError> {
        let permit = tokio::time::timeout(UPLOAD_TIMEOUT, self.uploads.take(MIN_UPLOAD_BYTES)).await;
        let permit = permit.map_err(|_| SearchError::Busy)?;
        Ok(UploadPermit { uploads: self.uploads.clone(), permit, bytes: MIN_UPLOAD_BYTES })
    }

    /// Returns the bytes that all uploads together may hold.
    pub fn upload_budget(&self) -> u64 {
        budget(self.max_image_bytes)
    }
}
