//! One indexed image.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::BasePath;
use crate::domain::{CollectionName, ExifFacts, ImageFormat, ImageId, Payload};

/// An image in the results of a search, or among the copies of an image.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ImageSummary {
    /// The id of the image, the same in every store.
    #[schema(format = Uuid)]
    pub id: String,
    /// The key of the object.
    pub s3_key: String,
    /// The URI of the object: `s3://bucket/key`.
    pub s3_uri: String,
    /// The format: `jpeg`, `png`, `webp`, `gif`, `tiff`, `bmp`, `heic`, `avif`, `jxl` or `raw`.
    #[schema(value_type = ImageFormat)]
    pub format: String,
    /// Width of the upright original, in pixels.
    pub width: u32,
    /// Height of the upright original, in pixels.
    pub height: u32,
    /// When the image was taken, in RFC 3339 format with the offset of the camera's clock; with `Z` if the offset is not known:
    /// then it is the time of the clock. `null` if the time is not known.
    #[serde(default)]
    #[schema(format = DateTime)]
    pub taken_at: Option<String>,
    /// Maker and model of the camera, if they are known.
    #[serde(default)]
    pub camera: Option<String>,
}

impl ImageSummary {
    pub(in crate::api) fn new(id: ImageId, payload: &Payload) -> Self {
        Self {
            id: id.to_string(),
            s3_key: payload.s3_key.clone(),
            s3_uri: payload.s3_uri.to_string(),
            format: payload.format.to_string(),
            width: payload.width,
            height: payload.height,
            taken_at: payload.exif.taken_at.map(|taken_at| taken_at.to_string()),
            camera: payload.exif.camera.clone(),
        }
    }
}

/// One indexed image.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ImageReply {
    /// The id of the image, the same in every store.
    #[schema(format = Uuid)]
    pub id: String,
    /// The collection.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: String,
    /// The key of the object.
    pub s3_key: String,
    /// The URI of the object: `s3://bucket/key`.
    pub s3_uri: String,
    /// The bucket of the object.
    pub s3_bucket: String,
    /// The format: `jpeg`, `png`, `webp`, `gif`, `tiff`, `bmp`, `heic`, `avif`, `jxl` or `raw`.
    #[schema(value_type = ImageFormat)]
    pub format: String,
    /// Width of the upright original, in pixels.
    pub width: u32,
    /// Height of the upright original, in pixels.
    pub height: u32,
    /// Frames of an animation; 1 for a still image.
    pub frames: u32,
    /// Key of the thumbnail in the bucket, if one was written.
    pub thumbnail_key: Option<String>,
    /// Path of the thumbnail on this service.
    pub thumbnail: Option<String>,
    /// Path of the preview on this service: a JPEG of at most 1440 x 1440 pixels, or smaller with `size`.
    #[serde(default)]
    #[schema(required = true)]
    pub preview: String,
    /// Path of the original on this service.
    pub original: String,
    /// ETag of the object when it was indexed.
    pub etag: Option<String>,
    /// Size of the object in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the object, in hexadecimal.
    pub content_sha256: String,
    /// The vector space of the image.
    pub space: String,
    /// When the image was indexed, in RFC 3339 format.
    #[schema(format = DateTime)]
    pub indexed_at: String,
    /// When the image was taken, in RFC 3339 format with the offset of the camera's clock; with `Z` if the offset is not known:
    /// then it is the time of the clock. `null` if the time is not known.
    #[serde(default)]
    #[schema(format = DateTime)]
    pub taken_at: Option<String>,
    /// Maker and model of the camera, if they are known.
    #[serde(default)]
    pub camera: Option<String>,
    /// What else EXIF, IPTC and XMP say about the image.
    #[serde(default)]
    pub exif: ExifReply,
    /// The metadata of the object and of the metadata file.
    pub meta: BTreeMap<String, String>,
}

/// What EXIF, IPTC and XMP say about an image, as far as `IMAGE_EXIF` allows and the file has it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ExifReply {
    /// The lens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lens: Option<String>,
    /// The EXIF orientation, which is already applied to width and height.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 8)]
    pub orientation: Option<u8>,
    /// 1 to 5 stars, 0 for none, -1 for a rejected image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = -1, maximum = 5)]
    pub rating: Option<i8>,
    /// Where the image was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationReply>,
    /// The title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The caption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// The keywords.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
}

/// A position in degrees (WGS 84).
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct LocationReply {
    /// The latitude, -90 to 90.
    pub lat: f64,
    /// The longitude, -180 to 180.
    pub lon: f64,
}

/// A record or a collection that was deleted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeletedReply {
    /// The id of the record, or the name of the collection.
    pub id: String,
    /// `deleted`
    pub status: String,
}

impl ImageReply {
    pub(super) fn new(base: &BasePath, collection: &CollectionName, id: ImageId, payload: Payload) -> Self {
        Self {
            id: id.to_string(),
            collection: collection.to_string(),
            s3_key: payload.s3_key,
            s3_uri: payload.s3_uri.to_string(),
            s3_bucket: payload.s3_bucket,
            format: payload.format.to_string(),
            width: payload.width,
            height: payload.height,
            frames: payload.frames,
            thumbnail_key: payload.thumbnail_key,
            thumbnail: Some(image_path(base, &id, "thumbnail", collection)),
            preview: image_path(base, &id, "preview", collection),
            original: image_path(base, &id, "original", collection),
            etag: payload.etag,
            size_bytes: payload.size_bytes,
            content_sha256: payload.content_sha256,
            space: payload.space,
            indexed_at: payload.indexed_at.to_string(),
            taken_at: payload.exif.taken_at.map(|taken_at| taken_at.to_string()),
            camera: payload.exif.camera.clone(),
            exif: ExifReply::new(payload.exif),
            meta: payload.meta,
        }
    }
}

impl ExifReply {
    fn new(facts: ExifFacts) -> Self {
        let ExifFacts { lens, orientation, rating, location, title, caption, keywords, .. } = facts;
        let location = location.map(|location| LocationReply { lat: location.lat(), lon: location.lon() });
        Self { lens, orientation, rating, location, title, caption, keywords }
    }
}

/// Returns the path of a file of an image, as clients request it.
pub(in crate::api) fn image_path(base: &BasePath, id: &ImageId, file: &str, collection: &CollectionName) -> String {
    base.join(&format!("/images/{id}/{file}?collection={collection}"))
}
