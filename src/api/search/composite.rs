//! The JSON body of a search by several texts and images.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::params::{default_limit, filter, parse_collapse};
use crate::api::Defaults;
use crate::api::http::ApiError;
use crate::domain::ImageFormat;
use crate::search::{Collapse, MAX_IMAGES, QueryImage, QueryInput, SearchOptions, Term, TermInput, UploadPermit};

/// A search by several texts and images. `positive` and `negative` have at most 16 terms and 8 uploaded images together.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompositeQuery {
    /// What the results are similar to.
    #[schema(inline, min_items = 1, max_items = 16)]
    pub positive: Vec<TermRequest>,
    /// What the results are not similar to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(inline, max_items = 15)]
    pub negative: Vec<TermRequest>,
    /// Conditions that a result must all meet.
    #[serde(default, skip_serializing_if = "FilterRequest::is_empty")]
    #[schema(inline)]
    pub filter: FilterRequest,
    /// Number of results, 1 to 100.
    #[serde(default = "default_limit")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub limit: usize,
    /// Number of results to skip; `offset` + `limit` is at most 10,000.
    #[serde(default)]
    #[schema(default = 0, maximum = 9999)]
    pub offset: usize,
    /// The store to search, or `all`; the first configured store by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The collection; `VECTOR_DB_COLLECTION` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: Option<String>,
    /// Only results with at least this score, -1 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = -1, maximum = 1)]
    pub min_score: Option<f32>,
    /// Only results with at least this relevance, 0 to 1. A search by several terms has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1)]
    pub min_relevance: Option<f32>,
    /// Which images are one result: `identical`, `similar` or `none`; see the query parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Collapse>, default = "none")]
    pub collapse: Option<String>,
}

/// A text or an image: exactly one of `text`, `id` and `image`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TermRequest {
    /// A text; 1 to 1,000 characters after trimming.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub text: Option<String>,
    /// Id of an image of the collection. The image itself is not a result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Uuid)]
    pub id: Option<String>,
    /// An image (JPEG, PNG, WebP or GIF, at most `IMAGE_MAX_SIZE_MB`) in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(content_encoding = "base64")]
    pub image: Option<String>,
    /// How much the term counts, above 0, at most 10.
    #[serde(default = "default_weight")]
    #[schema(default = 1, exclusive_minimum = 0, maximum = 10)]
    pub weight: f32,
}

/// Conditions that a result must all meet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterRequest {
    /// Only images of this format: `jpeg`, `png`, `webp` or `gif`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ImageFormat>)]
    pub format: Option<String>,
    /// Only keys in this folder; it must end with `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "/$")]
    pub s3_prefix: Option<String>,
    /// Only images whose original is at least this wide, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Int64, maximum = 4_294_967_295_i64)]
    pub min_width: Option<u32>,
    /// Only images whose original is at least this high, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Int64, maximum = 4_294_967_295_i64)]
    pub min_height: Option<u32>,
    /// Only images indexed after this time, in RFC 3339 format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub indexed_after: Option<String>,
    /// Only images with these metadata values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, String>,
}

impl FilterRequest {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for TermRequest {
    fn default() -> Self {
        Self { text: None, id: None, image: None, weight: default_weight() }
    }
}

fn default_weight() -> f32 {
    1.0
}

/// Returns the maximum size of the body, for images of at most `max_image_bytes`.
pub(super) fn max_body_bytes(max_image_bytes: usize) -> usize {
    // Base64 has four characters for three bytes.
    max_image_bytes.saturating_mul(MAX_IMAGES).saturating_mul(4) / 3 + crate::api::http::MAX_JSON_BYTES
}

impl CompositeQuery {
    /// Converts the body. The images share the permit.
    pub(super) fn into_query(
        self,
        permit: UploadPermit,
        defaults: &Defaults,
    ) -> Result<(QueryInput, SearchOptions), ApiError> {
        let permit = Arc::new(permit);
        let mut terms = Vec::new();
        for (field, sign, requests) in [("positive", 1.0, self.positive), ("negative", -1.0, self.negative)] {
            for (number, term) in requests.into_iter().enumerate() {
                let wrong = |message: &str| ApiError::invalid(field, format!("[{number}]{message}"));
                // A weight below 0 would turn a positive term into a negative one.
                if term.weight.is_nan() || term.weight <= 0.0 {
                    return Err(wrong(&format!(".weight must be a number above 0, at most 10, not {}", term.weight)));
                }
                let input = match (term.text, term.id, term.image) {
                    (Some(text), None, None) => TermInput::Text(text),
                    (None, Some(id), None) => TermInput::Like(id),
                    (None, None, Some(image)) => {
                        let bytes = STANDARD.decode(image).map_err(|_| wrong(".image is not valid base64"))?;
                        TermInput::Image(QueryImage { bytes: bytes.into(), permit: Some(permit.clone()) })
                    }
                    _ => return Err(wrong(" must have exactly one of `text`, `id` and `image`")),
                };
                terms.push(Term { input, weight: sign * term.weight, field });
            }
        }
        let FilterRequest { format, s3_prefix, min_width, min_height, indexed_after, meta } = self.filter;
        let options = SearchOptions {
            limit: self.limit,
            offset: self.offset,
            provider: self.provider,
            collection: self.collection.unwrap_or_else(|| defaults.collection.to_string()),
            filter: filter(format.as_deref(), s3_prefix, min_width, min_height, indexed_after.as_deref(), meta)?,
            min_score: self.min_score,
            min_relevance: self.min_relevance,
            collapse: parse_collapse(self.collapse.as_deref())?,
        };
        Ok((QueryInput { terms }, options))
    }
}
