//! The results of a search.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::BasePath;
use crate::api::images::{ImageSummary, image_path};
use crate::domain::{CollectionName, Hit};
use crate::search::{CollapsedHit, MergedHit, Scale, SearchResults};

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
    /// The number of the generation of the collection that was searched.
    #[serde(default)]
    #[schema(required = true)]
    pub generation: u32,
    /// The store that was searched, or `all`.
    pub provider: String,
    /// Whether no image of the collection matches the search well: no `relevance` is 0.5 or more. Missing if the relevance
    /// is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_good_match: Option<bool>,
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
    /// Which image it is.
    #[serde(flatten)]
    pub image: ImageSummary,
    /// Cosine similarity of query and image, -1 to 1.
    pub score: f32,
    /// How likely it is that the image matches the search, 0 to 1; 0.5 and more is relevant. `null` if it is not known: while
    /// the model is being calibrated, and for a search by several texts or images.
    #[schema(minimum = 0, maximum = 1)]
    pub relevance: Option<f32>,
    /// For a search by several terms: the cosine of the image and each term, in the order of the request, the positive terms
    /// first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<f32>,
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
    /// The stores that have the image, if several were searched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<String>,
    /// With `like`: whether the image has the same bytes as the image of `like`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identical: Option<bool>,
    /// With `collapse`: how many other images this result stands for, of those that were looked at.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub duplicates_total: usize,
    /// With `collapse`: the other images, best first; at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duplicates: Vec<DuplicateReply>,
}

/// An image that is the same as a result.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DuplicateReply {
    /// Which image it is.
    #[serde(flatten)]
    pub image: ImageSummary,
    /// Path of the original on this service.
    pub original: String,
    /// Whether it has the same bytes as the result.
    pub identical: bool,
}

/// The maximum number of duplicates that a result lists.
const MAX_DUPLICATES: usize = 100;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// The input of a search that the reply repeats.
pub(super) struct SearchInput {
    /// The text.
    pub(super) query: Option<String>,
    /// The file name of an uploaded image.
    pub(super) file: Option<String>,
    /// The id of an indexed image.
    pub(super) like: Option<String>,
}

impl SearchReply {
    pub(super) fn new(base: &BasePath, answer: SearchResults, input: SearchInput) -> Self {
        let several = answer.provider == "all";
        // Beside other terms, the same image is not the best result.
        let is_single = answer.terms.is_none();
        let same_as = answer.same_as.as_deref();
        let scale = answer.scale.as_ref().ok();
        let reply = |found| ResultReply::new(base, &answer.collection, found, scale, several, same_as);
        let mut results: Vec<ResultReply> = answer.hits.into_iter().map(reply).collect();
        for (result, terms) in results.iter_mut().zip(answer.terms.into_iter().flatten()) {
            result.terms = terms;
        }
        if is_single {
            // Images with the same bytes come before images that only look the same.
            results.sort_by_key(|result| result.identical == Some(false));
        }
        let ms = |time: std::time::Duration| (time.as_secs_f64() * 1e5).round() / 100.0;
        let SearchInput { query, file, like } = input;
        Self {
            query,
            file,
            like,
            model: answer.model,
            collection: answer.collection.to_string(),
            generation: answer.generation,
            provider: answer.provider.to_owned(),
            no_good_match: answer.no_good_match,
            total: results.len(),
            results,
            warnings: answer.warnings,
            took_ms: TookReply { embed: ms(answer.embed), search: ms(answer.search) },
        }
    }
}

impl ResultReply {
    fn new(
        base: &BasePath,
        collection: &CollectionName,
        CollapsedHit { found: MergedHit { hit, stores }, duplicates }: CollapsedHit,
        scale: Option<&Scale>,
        several: bool,
        same_as: Option<&str>,
    ) -> Self {
        let payload = hit.payload;
        let content = &payload.content_sha256;
        Self {
            duplicates_total: duplicates.len(),
            duplicates: duplicates
                .into_iter()
                .take(MAX_DUPLICATES)
                .map(|duplicate| DuplicateReply::new(base, collection, duplicate.hit, content))
                .collect(),
            identical: same_as.map(|sha256| sha256 == payload.content_sha256),
            thumbnail: Some(image_path(base, &hit.id, "thumbnail", collection)),
            preview: image_path(base, &hit.id, "preview", collection),
            original: image_path(base, &hit.id, "original", collection),
            image: ImageSummary::new(hit.id, &payload),
            score: hit.score,
            terms: Vec::new(),
            relevance: scale.map(|scale| scale.relevance(hit.score)),
            thumbnail_key: payload.thumbnail_key,
            stores: if several { stores.into_iter().map(str::to_owned).collect() } else { Vec::new() },
        }
    }
}

impl DuplicateReply {
    fn new(base: &BasePath, collection: &CollectionName, Hit { id, payload, .. }: Hit, content: &str) -> Self {
        Self {
            image: ImageSummary::new(id, &payload),
            original: image_path(base, &id, "original", collection),
            identical: payload.content_sha256 == content,
        }
    }
}
