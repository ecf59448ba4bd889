//! How much is kept of what was made on request.

use serde::{Deserialize, Serialize};

/// The settings of indexed images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImagesSettings {
    /// `GLIMPSE_THUMBNAIL_CACHE_MB`: thumbnails that were made on request and are kept in the data folder; 256 by default.
    pub glimpse_thumbnail_cache_mb: u64,
}

impl Default for ImagesSettings {
    fn default() -> Self {
        Self { glimpse_thumbnail_cache_mb: 256 }
    }
}

impl ImagesSettings {
    /// Bytes of thumbnails that are kept.
    pub fn cache_bytes(&self) -> u64 {
        self.glimpse_thumbnail_cache_mb * 1024 * 1024
    }

    /// Checks what can be checked without asking anyone.
    ///
    /// # Errors
    /// A sentence that names the setting and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        let value = self.glimpse_thumbnail_cache_mb;
        if value > 1_048_576 {
            return Err(format!("GLIMPSE_THUMBNAIL_CACHE_MB is {value}; it must be 1048576 at most"));
        }
        Ok(())
    }
}
