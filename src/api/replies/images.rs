//! Bodies of `/search`, `/images`, `/collections` and of the health checks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{CollectionName, ImageFormat, ImageId, ImageRecord};
use crate::search::{Answer, Collections, MergedHit};

/// The results of a search.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SearchReply {
    /// The text of the search.
    pub query: Option<String>,
    /// The file name of the image of the search.
    pub file: Option<String>,
    /// The id of the indexed image of the search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Uuid)]
    pub like: Option<String>,
    /// The model that made the vector of the query.
    pub model: String,
    /// The collection that was searched.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: String,
    /// The store that was searched, or `all`.
    pub provider: String,
    /// The results, best first.
    pub results: Vec<ResultReply>,
    /// Stores whose results are missing, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Number of results in this reply.
    pub total: usize,
    /// The time of each step.
    pub took_ms: TookReply,
}

/// The time of each step of a search, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct TookReply {
    /// Making the vector of the query, including decoding.
    pub embed: f64,
    /// Searching the store.
    pub search: f64,
}

/// One result of a search.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ResultReply {
    /// The id of the image, the same in every store.
    #[schema(format = Uuid)]
    pub id: String,
    /// Cosine similarity of query and image, -1 to 1.
    pub score: f32,
    /// The key of the object.
    pub s3_key: String,
    /// The URI of the object: `s3://bucket/key`.
    pub s3_uri: String,
    /// The format: `jpeg`, `png`, `webp` or `gif`.
    #[schema(value_type = ImageFormat)]
    pub format: String,
    /// Width of the upright original, in pixels.
    pub width: u32,
    /// Height of the upright original, in pixels.
    pub height: u32,
    /// Key of the thumbnail in the bucket, if one was written.
    pub thumbnail_key: Option<String>,
    /// Path of the thumbnail on this service.
    pub thumbnail: Option<String>,
    /// Path of the original on this service.
    pub original: String,
    /// The stores that have the image, if several were searched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<String>,
    /// With `like`: whether the image has the same bytes as the image of `like`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identical: Option<bool>,
}

/// The input of a search that the reply repeats.
pub(in crate::api) struct Asked {
    /// The text.
    pub(in crate::api) query: Option<String>,
    /// The file name of an uploaded image.
    pub(in crate::api) file: Option<String>,
    /// The id of an indexed image.
    pub(in crate::api) like: Option<String>,
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
    /// The format: `jpeg`, `png`, `webp` or `gif`.
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
    /// The metadata of the object and of the metadata file.
    pub meta: BTreeMap<String, String>,
}

/// A record or a collection that was deleted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeletedReply {
    /// The id of the record, or the name of the collection.
    pub id: String,
    /// `deleted`
    pub status: String,
}

/// All collections.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CollectionsReply {
    /// The store that was searched, or `all`.
    pub provider: String,
    /// The collections, sorted by name.
    pub collections: Vec<CollectionReply>,
    /// Stores that did not answer, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One collection.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CollectionReply {
    /// The name of the collection.
    pub name: String,
    /// Number of images in the first store that has the collection.
    pub count: u64,
    /// Number of images in each store.
    pub stores: BTreeMap<String, u64>,
    /// The model of the vectors.
    pub model: String,
    /// Dimension of a vector.
    pub dimension: usize,
    /// The name of the vector space.
    pub space: String,
}

/// The result of `/healthz`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HealthReply {
    /// `ok`
    pub status: String,
}

/// The result of `/readyz`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReadyReply {
    /// `ready`
    pub status: String,
    /// Stores that do not answer, and why, if other stores do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The model.
    pub model: String,
    /// The name of the vector space.
    pub space: String,
}

impl SearchReply {
    pub(in crate::api) fn of(answer: Answer, input: Asked) -> Self {
        let several = answer.provider == "all";
        let same_as = answer.same_as.as_deref();
        let reply = |found| ResultReply::of(&answer.collection, found, several, same_as);
        let mut results: Vec<_> = answer.hits.into_iter().map(reply).collect();
        // Images with the same bytes come before images that only look the same.
        results.sort_by_key(|result| result.identical == Some(false));
        let ms = |time: std::time::Duration| (time.as_secs_f64() * 1e5).round() / 100.0;
        let Asked { query, file, like } = input;
        Self {
            query,
            file,
            like,
            model: answer.model,
            collection: answer.collection.to_string(),
            provider: answer.provider.to_owned(),
            total: results.len(),
            results,
            warnings: answer.warnings,
            took_ms: TookReply { embed: ms(answer.embed), search: ms(answer.search) },
        }
    }
}

impl ResultReply {
    fn of(
        collection: &CollectionName,
        MergedHit { hit, stores }: MergedHit,
        several: bool,
        same_as: Option<&str>,
    ) -> Self {
        let payload = hit.payload;
        Self {
            identical: same_as.map(|sha256| sha256 == payload.content_sha256),
            thumbnail: Some(path_of(&hit.id, "thumbnail", collection)),
            original: path_of(&hit.id, "original", collection),
            id: hit.id.to_string(),
            score: hit.score,
            s3_key: payload.s3_key,
            s3_uri: payload.s3_uri.to_string(),
            format: payload.format.to_string(),
            width: payload.width,
            height: payload.height,
            thumbnail_key: payload.thumbnail_key,
            stores: if several { stores.into_iter().map(str::to_owned).collect() } else { Vec::new() },
        }
    }
}

/// Returns the path of a file of an image on this service.
fn path_of(id: &ImageId, file: &str, collection: &CollectionName) -> String {
    format!("/images/{id}/{file}?collection={collection}")
}

impl ImageReply {
    pub(in crate::api) fn of(collection: &CollectionName, record: ImageRecord) -> Self {
        let payload = record.payload;
        Self {
            id: record.id.to_string(),
            collection: collection.to_string(),
            s3_key: payload.s3_key,
            s3_uri: payload.s3_uri.to_string(),
            s3_bucket: payload.s3_bucket,
            format: payload.format.to_string(),
            width: payload.width,
            height: payload.height,
            frames: payload.frames,
            thumbnail_key: payload.thumbnail_key,
            thumbnail: Some(path_of(&record.id, "thumbnail", collection)),
            original: path_of(&record.id, "original", collection),
            etag: payload.etag,
            size_bytes: payload.size_bytes,
            content_sha256: payload.content_sha256,
            space: payload.space,
            indexed_at: payload.indexed_at.to_string(),
            meta: payload.meta,
        }
    }
}

impl CollectionsReply {
    pub(in crate::api) fn of(all: Collections) -> Self {
        let collections = all.collections.into_iter().map(|(info, stores)| CollectionReply {
            name: info.name.to_string(),
            count: info.count,
            stores: stores.into_iter().map(|(store, count)| (store.to_owned(), count)).collect(),
            space: info.space.name(),
            model: info.space.model,
            dimension: info.space.dimension,
        });
        Self { provider: all.provider.to_owned(), collections: collections.collect(), warnings: all.warnings }
    }
}
