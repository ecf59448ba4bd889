//! Bodies of `/search`, `/images`, `/collections` and of the health checks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{CollectionName, ImageFormat, ImageId, ImageRecord};
use crate::search::{Answer, Collections, Found};

/// What was found.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SearchReply {
    /// The words that were searched for.
    pub query: Option<String>,
    /// The name of the image that was searched for.
    pub file: Option<String>,
    /// The id of the indexed image that was searched for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Uuid)]
    pub like: Option<String>,
    /// The model that made the query's vector.
    pub model: String,
    /// The collection that was searched.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: String,
    /// The store that was asked, or `all`.
    pub provider: String,
    /// Best first.
    pub results: Vec<ResultReply>,
    /// Stores that were asked and are left out, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// How many results are here.
    pub total: usize,
    /// Where the time went.
    pub took_ms: TookReply,
}

/// Where a search's time went, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct TookReply {
    /// For the query's vector, decoding included.
    pub embed: f64,
    /// In the store.
    pub search: f64,
}

/// One image that was found.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ResultReply {
    /// The same in every store.
    #[schema(format = Uuid)]
    pub id: String,
    /// Cosine of query and image, -1 to 1.
    pub score: f32,
    /// Its key.
    pub s3_key: String,
    /// `s3://bucket/key`
    pub s3_uri: String,
    /// `jpeg`, `png`, `webp` or `gif`.
    #[schema(value_type = ImageFormat)]
    pub format: String,
    /// Of the original, upright, in pixels.
    pub width: u32,
    /// Of the original, upright, in pixels.
    pub height: u32,
    /// Key of its thumbnail in the bucket, where one was written.
    pub thumbnail_key: Option<String>,
    /// Path of its thumbnail on this service, where it serves one.
    pub thumbnail: Option<String>,
    /// Path of the original on this service.
    pub original: String,
    /// The stores that had it, where several were asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<String>,
    /// Whether its bytes are those of the image that was named in `like`; only with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identical: Option<bool>,
}

/// What a search was asked for, as far as it is said again.
pub(in crate::api) struct Asked {
    /// Words.
    pub(in crate::api) query: Option<String>,
    /// The name of a image.
    pub(in crate::api) file: Option<String>,
    /// The id of an indexed image.
    pub(in crate::api) like: Option<String>,
}

/// One indexed image.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ImageReply {
    /// The same in every store.
    #[schema(format = Uuid)]
    pub id: String,
    /// The collection.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: String,
    /// Its key.
    pub s3_key: String,
    /// `s3://bucket/key`
    pub s3_uri: String,
    /// Its bucket.
    pub s3_bucket: String,
    /// `jpeg`, `png`, `webp` or `gif`.
    #[schema(value_type = ImageFormat)]
    pub format: String,
    /// Of the original, upright, in pixels.
    pub width: u32,
    /// Of the original, upright, in pixels.
    pub height: u32,
    /// Frames of an animation; 1 for a still image.
    pub frames: u32,
    /// Key of its thumbnail in the bucket, where one was written.
    pub thumbnail_key: Option<String>,
    /// Path of its thumbnail on this service, where it serves one.
    pub thumbnail: Option<String>,
    /// Path of the original on this service.
    pub original: String,
    /// ETag of the object that was read.
    pub etag: Option<String>,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 of its bytes.
    pub content_sha256: String,
    /// The space of its vector.
    pub space: String,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub indexed_at: String,
    /// The object's own metadata.
    pub meta: BTreeMap<String, String>,
}

/// A record that was removed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeletedReply {
    /// Its id, or the collection's name.
    pub id: String,
    /// `deleted`
    pub status: String,
}

/// The collections.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CollectionsReply {
    /// The store that was asked, or `all`.
    pub provider: String,
    /// By name.
    pub collections: Vec<CollectionReply>,
    /// Stores that did not answer, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One collection.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CollectionReply {
    /// Its name.
    pub name: String,
    /// Images in it, in the first store that has it.
    pub count: u64,
    /// Images in it, by store.
    pub stores: BTreeMap<String, u64>,
    /// The model of its vectors.
    pub model: String,
    /// Numbers in a vector.
    pub dimension: usize,
    /// The whole space.
    pub space: String,
}

/// The process answers.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HealthReply {
    /// `ok`
    pub status: String,
}

/// Searches can be answered.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReadyReply {
    /// `ready`
    pub status: String,
    /// Stores that are not there, and why, where others are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The model.
    pub model: String,
    /// The whole space.
    pub space: String,
}

impl SearchReply {
    pub(in crate::api) fn of(answer: Answer, asked: Asked) -> Self {
        let several = answer.provider == "all";
        let same_as = answer.same_as.as_deref();
        let reply = |found| ResultReply::of(&answer.collection, found, several, same_as);
        let mut results: Vec<_> = answer.hits.into_iter().map(reply).collect();
        // The very same bytes before what only looks the same.
        results.sort_by_key(|result| result.identical == Some(false));
        let ms = |time: std::time::Duration| (time.as_secs_f64() * 1e5).round() / 100.0;
        let Asked { query, file, like } = asked;
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
    fn of(collection: &CollectionName, Found { hit, stores }: Found, several: bool, same_as: Option<&str>) -> Self {
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

/// Where this service serves a file of an image.
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
