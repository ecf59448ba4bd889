//! What a store holds of an image, and how it is asked for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Embedding, ImageFormat, ImageId, ImageUri, Timestamp};

/// One image in a store: id, vector, payload.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageRecord {
    /// [`ImageUri::id`] of `uri`.
    pub id: ImageId,
    /// Where the original is.
    pub uri: ImageUri,
    /// Its vector.
    pub embedding: Embedding,
    /// What else is known of it.
    pub payload: Payload,
}

/// What every store keeps beside the vector, under these names. Filters need only equality on lists and
/// ranges on numbers, which is why `s3_folders` and `meta_kv` repeat what stands elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Payload {
    /// The key, raw.
    pub s3_key: String,
    /// `s3://bucket/key`.
    pub s3_uri: ImageUri,
    /// The bucket.
    pub s3_bucket: String,
    /// Every prefix of the key that ends in `/`.
    pub s3_folders: Vec<String>,
    /// By magic bytes.
    pub format: ImageFormat,
    /// Of the original, upright.
    pub width: u32,
    /// Of the original, upright.
    pub height: u32,
    /// Frames of the original.
    pub frames: u32,
    /// Key of the thumbnail in the same bucket, where one was written.
    pub thumbnail_key: Option<String>,
    /// ETag of the object that was read; in a bucket without ETags `last-modified:` and when it was written.
    pub etag: Option<String>,
    /// Size of the object that was read.
    pub size_bytes: u64,
    /// SHA-256 of the object's bytes, hexadecimal.
    pub content_sha256: String,
    /// [`super::Space::name`] of the vector's space.
    pub space: String,
    /// When this record was made.
    pub indexed_at: Timestamp,
    /// The object's own metadata (`x-amz-meta-*`).
    #[serde(default)]
    pub meta: BTreeMap<String, String>,
    /// The same as `key=value`.
    #[serde(default)]
    pub meta_kv: Vec<String>,
}

/// Conditions that all must hold. Empty: everything matches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// Only this format.
    pub format: Option<ImageFormat>,
    /// Only keys in this folder; ends in `/`.
    pub s3_prefix: Option<String>,
    /// Only originals at least this wide.
    pub min_width: Option<u32>,
    /// Only originals at least this high.
    pub min_height: Option<u32>,
    /// Only records made after this moment.
    pub indexed_after: Option<Timestamp>,
    /// Only records whose `meta` has each of these.
    pub meta: BTreeMap<String, String>,
}

impl Filter {
    /// Whether everything matches.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `payload` fulfils every condition. The meaning of a filter, which each store's own
    /// translation is held against.
    pub fn matches(&self, payload: &Payload) -> bool {
        self.format.is_none_or(|format| payload.format == format)
            && self.s3_prefix.as_ref().is_none_or(|prefix| payload.s3_folders.contains(prefix))
            && self.min_width.is_none_or(|width| payload.width >= width)
            && self.min_height.is_none_or(|height| payload.height >= height)
            && self.indexed_after.is_none_or(|moment| payload.indexed_at > moment)
            && self.meta.iter().all(|(key, value)| payload.meta.get(key) == Some(value))
    }
}

/// A question to a store: the nearest to `embedding` among what `filter` lets through.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchQuery {
    /// What to be near to.
    pub embedding: Embedding,
    /// At most this many hits.
    pub limit: usize,
    /// After leaving out this many.
    pub offset: usize,
    /// Which records may answer.
    pub filter: Filter,
}

/// One answer. `score` is the cosine, in every store: -1 to 1, best first, ties by id.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Of the image.
    pub id: ImageId,
    /// Cosine of query and record.
    pub score: f32,
    /// As stored.
    pub payload: Payload,
}
