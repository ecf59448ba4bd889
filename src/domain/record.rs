//! What a store keeps about an image, and how it is searched.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Embedding, ExifFacts, Filter, ImageFormat, ImageId, ImageUri, Signature, Timestamp};

/// One image in a store: id, vector, payload.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageRecord {
    /// [`ImageUri::id`] of `uri`.
    pub id: ImageId,
    /// Where the original image is.
    pub uri: ImageUri,
    /// Vector of the image.
    pub embedding: Embedding,
    /// All other data about the image.
    pub payload: Payload,
}

/// What every store keeps with the vector, under these names. Filters need only equality on lists and ranges on
/// numbers; this is why `s3_folders` and `meta_kv` repeat the content of other fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Payload {
    /// The object's key, unchanged.
    pub s3_key: String,
    /// `s3://bucket/key`.
    pub s3_uri: ImageUri,
    /// The bucket's name.
    pub s3_bucket: String,
    /// Every prefix of the key that ends in `/`.
    pub s3_folders: Vec<String>,
    /// The image format, detected by magic bytes.
    pub format: ImageFormat,
    /// Width of the original in pixels, after the orientation was applied.
    pub width: u32,
    /// Height of the original in pixels, after the orientation was applied.
    pub height: u32,
    /// Number of frames of the original.
    pub frames: u32,
    /// Key of the thumbnail in the same bucket, if one was written.
    pub thumbnail_key: Option<String>,
    /// ETag of the object that was read; in a bucket without ETags, `last-modified:` and the time when it was last
    /// written.
    pub etag: Option<String>,
    /// Size of the object that was read, in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the object's bytes, hexadecimal.
    pub content_sha256: String,
    /// [`super::Space::name`] of the vector's space.
    pub space: String,
    /// When this record was created.
    pub indexed_at: Timestamp,
    /// The object's own metadata (`x-amz-meta-*`).
    #[serde(default)]
    pub meta: BTreeMap<String, String>,
    /// The entries of `meta` as `key=value`.
    #[serde(default)]
    pub meta_kv: Vec<String>,
    /// The version of the payload: [`PAYLOAD_VERSION`] when the record was created; 0 if glimpse 0.1 created it.
    #[serde(default)]
    pub version: u32,
    /// The signature of the pixels, by which copies of an image are recognised; `None` if the image shows too little
    /// detail, or if an earlier version created the record.
    #[serde(default, deserialize_with = "Signature::read_known", skip_serializing_if = "Option::is_none")]
    pub hashes: Option<Signature>,
    /// What EXIF, IPTC and XMP say about the image. Records of earlier versions have none.
    #[serde(flatten)]
    pub exif: ExifFacts,
}

/// The version of the payloads that this version of the service writes. Version 1 added `hashes`, and the numbers and dates
/// of `meta`, which the stores derive from it.
pub const PAYLOAD_VERSION: u32 = 1;

/// A query to a store: the records nearest to `embedding` that match `filter`.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchQuery {
    /// The vector to compare with.
    pub embedding: Embedding,
    /// Maximum number of hits.
    pub limit: usize,
    /// Number of hits to skip at the beginning.
    pub offset: usize,
    /// Conditions that a hit must fulfil.
    pub filter: Filter,
    /// How thoroughly to search.
    pub effort: SearchEffort,
}

/// How thoroughly a store searches for the nearest records. Scores are exact in each case; a hit can be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SearchEffort {
    /// The default of the store.
    #[default]
    Default,
    /// The store compares every vector that matches the filter.
    Exact,
    /// An approximate search with this effort, in the unit of the store: `hnsw_ef` in Qdrant, `ef` in Weaviate, and
    /// hundredths of the safety factor of its bounds in the embedded store. A higher value finds more and takes longer.
    Level(u32),
}

/// One result of a query. `score` is the cosine in every store: -1 to 1, best first, ties ordered by id.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Id of the image.
    pub id: ImageId,
    /// Cosine of the query's vector and the record's vector.
    pub score: f32,
    /// Payload of the record, as stored.
    pub payload: Payload,
}
