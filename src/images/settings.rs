//! The settings of thumbnails and originals.

use serde::{Deserialize, Serialize};

use crate::domain::ByteSize;
use crate::domain::setting::check_range;

/// The settings of indexed images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImagesSettings {
    /// `GLIMPSE_THUMBNAIL_CACHE_MB`: the maximum size of the thumbnails that were made on request and are kept in the
    /// data folder; 256 by default.
    #[serde(deserialize_with = "check_range::<_, _, 0, 1_048_576>")]
    pub glimpse_thumbnail_cache_mb: ByteSize,
}

impl Default for ImagesSettings {
    fn default() -> Self {
        Self { glimpse_thumbnail_cache_mb: ByteSize::megabytes(256) }
    }
}
