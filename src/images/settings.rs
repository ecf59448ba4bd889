//! The settings of thumbnails and originals.

use serde::{Deserialize, Serialize};

/// The settings of indexed images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImagesSettings {
    /// `GLIMPSE_THUMBNAIL_CACHE_MB`: the maximum size of the thumbnails that were made on request and are kept in the
    /// data folder; 256 by default.
    pub glimpse_thumbnail_cache_mb: u64,
}

impl Default for ImagesSettings {
    fn default() -> Self {
        Self { glimpse_thumbnail_cache_mb: 256 }
    }
}

impl ImagesSettings {
    /// Returns the maximum size of the thumbnail cache in bytes.
    pub fn cache_bytes(&self) -> u64 {
        self.glimpse_thumbnail_cache_mb * 1024 * 1024
    }

    /// Checks the settings, as far as this is possible without a network call.
    ///
    /// # Errors
    /// Returns a message that names the setting and the allowed values.
    pub fn validate(&self) -> Result<(), String> {
        let value = self.glimpse_thumbnail_cache_mb;
        if value > 1_048_576 {
            return Err(format!("GLIMPSE_THUMBNAIL_CACHE_MB is {value}; it must be at most 1048576"));
        }
        Ok(())
    }
}
