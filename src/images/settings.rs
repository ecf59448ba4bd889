//! The settings of thumbnails and originals.

use serde::{Deserialize, Serialize};

use crate::domain::ByteSize;
use crate::domain::setting::check_range;

/// The settings of indexed images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImagesSettings {
    /// `GLIMPSE_THUMBNAIL_CACHE_MB`: the maximum size of the thumbnails and previews that are kept in the data folder; 256
    /// by default.
    #[serde(deserialize_with = "check_range::<_, _, 0, 1_048_576>")]
    pub glimpse_thumbnail_cache_mb: ByteSize,
    /// `GLIMPSE_INDEX_THUMBNAILS`: whether jobs of this process put a thumbnail of each image that they decode into that
    /// cache; `true` by default.
    pub glimpse_index_thumbnails: bool,
}

impl Default for ImagesSettings {
    fn default() -> Self {
        Self { glimpse_thumbnail_cache_mb: ByteSize::megabytes(256), glimpse_index_thumbnails: true }
    }
}

impl ImagesSettings {
    /// Whether jobs keep thumbnails: this needs a cache.
    pub fn keeps_thumbnails_of_jobs(&self) -> bool {
        self.glimpse_index_thumbnails && self.glimpse_thumbnail_cache_mb.bytes() > 0
    }
}
