//! Searches by a part of an image.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::http::ApiError;
use crate::images::Images;
use crate::search::{QueryImage, Region, UploadPermit};

/// A part of an upright image. All numbers are shares of its width or height, 0 to 1, from the upper left corner.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionRequest {
    /// The left edge.
    #[schema(minimum = 0, maximum = 1)]
    pub x: f64,
    /// The upper edge.
    #[schema(minimum = 0, maximum = 1)]
    pub y: f64,
    /// The width, above 0; `x` + `width` is at most 1.
    #[schema(exclusive_minimum = 0, maximum = 1)]
    pub width: f64,
    /// The height, above 0; `y` + `height` is at most 1.
    #[schema(exclusive_minimum = 0, maximum = 1)]
    pub height: f64,
}

/// Writes the query parameter `region`.
impl fmt::Display for RegionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{},{}", self.x, self.y, self.width, self.height)
    }
}

/// Reads an indexed image from the bucket, to search for a part of it. Increases `permit` by its size.
pub(super) async fn read_part(
    images: &Images,
    collection: &str,
    id: &str,
    region: Region,
    permit: &mut UploadPermit,
) -> Result<QueryImage, ApiError> {
    let (_, record) = images.get(id, collection).await?;
    // An object that was replaced by a larger one is another image than the one that the region was chosen in.
    let size = record.payload.size_bytes;
    permit.add(size).await?;
    let bytes = images.read(&record, size).await?.ok_or_else(|| {
        ApiError::invalid("region", format!("the object of the image `{id}` has changed; index it again"))
    })?;
    Ok(QueryImage { bytes, region: Some(region), excluded: Some(record.id), permit: None })
}
