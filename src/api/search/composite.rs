//! The JSON body of a search by several texts and images.

use std::sync::Arc;

use axum::http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::base64_bytes::Base64Bytes;
use super::params::{default_limit, parse_collapse, parse_language};
use super::region::{RegionRequest, read_part};
use crate::api::Defaults;
use crate::api::filter::FilterRequest;
use crate::api::http::bounded_json::{
    first_objects, first_objects_or_none, object_or_default, optional_object, or_default,
};
use crate::api::http::whole_number::{optional_whole_number, whole_number_or_default};
use crate::api::http::{ApiError, MAX_JSON_BYTES};
use crate::images::Images;
use crate::search::{
    Collapse, MAX_IMAGES, MAX_TERMS, MAX_WEIGHT, MIN_WEIGHT, QueryImage, QueryInput, Region, SearchOptions, Term,
    TermInput, UploadPermit,
};

/// A search by several texts and images. `positive` and `negative` have at most 16 terms and 8 uploaded images together.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompositeQuery {
    /// What the results are similar to.
    #[serde(deserialize_with = "first_terms")]
    #[schema(inline, min_items = 1, max_items = 16)]
    pub positive: Vec<TermRequest>,
    /// What the results are not similar to.
    #[serde(default, deserialize_with = "first_terms_or_none", skip_serializing_if = "Vec::is_empty")]
    #[schema(inline, value_type = Option<Vec<TermRequest>>, max_items = 15)]
    pub negative: Vec<TermRequest>,
    /// Conditions that a result must all meet.
    #[serde(default, deserialize_with = "object_or_default", skip_serializing_if = "FilterRequest::is_empty")]
    #[schema(inline, value_type = Option<FilterRequest>)]
    pub filter: FilterRequest,
    /// Number of results, 1 to 100.
    #[serde(default = "default_limit", deserialize_with = "read_limit")]
    #[schema(value_type = Option<usize>, default = 10, minimum = 1, maximum = 100)]
    pub limit: usize,
    /// Number of results to skip; `offset` + `limit` is at most 10,000.
    #[serde(default, deserialize_with = "whole_number_or_default")]
    #[schema(value_type = Option<usize>, default = 0, maximum = 9999)]
    pub offset: usize,
    /// The store to search, or `all`; the first configured store by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The collection; `VECTOR_DB_COLLECTION` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: Option<String>,
    /// The number of a generation of the collection. See the query parameter.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_whole_number")]
    #[schema(minimum = 1)]
    pub generation: Option<u32>,
    /// Language of all texts, for models that need to know it; see the query parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "de", pattern = "^([A-Za-z]{2,3}([_-][A-Za-z0-9]{1,8})*)?$")]
    pub lang: Option<String>,
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
    /// Only copies of the image; for one term with an `id` and without `region`. See the query parameter.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "std::ops::Not::not")]
    #[schema(value_type = Option<bool>, default = false)]
    pub copies_only: bool,
    /// Compare every vector of the collection. See the query parameter.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "std::ops::Not::not")]
    #[schema(value_type = Option<bool>, default = false)]
    pub exact: bool,
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
    /// An image (JPEG, PNG, WebP, GIF, TIFF, BMP, HEIC, AVIF, JPEG XL or camera RAW, at most `IMAGE_MAX_SIZE_MB`) in base64, or as a `data:` URI. Line breaks are ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, content_encoding = "base64")]
    pub image: Option<Base64Bytes>,
    /// The part of the image to search for; all of it by default.
    #[serde(default, deserialize_with = "optional_object", skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    pub region: Option<RegionRequest>,
    /// How much the term counts, 0.000001 to 10.
    #[serde(default = "default_weight", deserialize_with = "read_weight")]
    #[schema(value_type = Option<f64>, default = 1, minimum = 0.000_001, maximum = 10)]
    pub weight: f64,
}

impl Default for TermRequest {
    fn default() -> Self {
        Self { text: None, id: None, image: None, region: None, weight: default_weight() }
    }
}

fn default_weight() -> f64 {
    1.0
}

fn read_weight<'de, D: Deserializer<'de>>(json: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(json)?.unwrap_or_else(default_weight))
}

fn read_limit<'de, D: Deserializer<'de>>(json: D) -> Result<usize, D::Error> {
    Ok(optional_whole_number(json)?.unwrap_or_else(default_limit))
}

/// Reads terms. One more than the maximum is read, so that a longer list is refused.
fn first_terms<'de, D: Deserializer<'de>>(json: D) -> Result<Vec<TermRequest>, D::Error> {
    first_objects::<{ MAX_TERMS + 1 }, TermRequest, D>(json)
}

/// Reads terms, as [`first_terms`]; `null` is an empty list.
fn first_terms_or_none<'de, D: Deserializer<'de>>(json: D) -> Result<Vec<TermRequest>, D::Error> {
    first_objects_or_none::<{ MAX_TERMS + 1 }, TermRequest, D>(json)
}

/// Returns the weight of a term. With a weight below 0, a positive term would be a negative one.
fn weight(weight: f64) -> Result<f32, String> {
    if !(f64::from(MIN_WEIGHT)..=f64::from(MAX_WEIGHT)).contains(&weight) {
        // `Display` writes 1e-300 with 300 zeros.
        let shown = format!("{weight:?}");
        let shown = shown.trim_end_matches(".0");
        return Err(format!(".weight: must be a number from {MIN_WEIGHT} to {MAX_WEIGHT}, not {shown}"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "its range was checked")]
    Ok(weight as f32)
}

/// Returns the maximum size of the body, for images of at most `max_image_bytes`: that of 8 images, but not more than the
/// uploads together may hold, unless one image needs more.
pub(in crate::api) fn max_body_bytes(max_image_bytes: usize, upload_budget: u64) -> usize {
    // Base64 has four characters for three bytes.
    let base64 = |images: usize| max_image_bytes.saturating_mul(images).div_ceil(3).saturating_mul(4);
    let budget = usize::try_from(upload_budget).unwrap_or(usize::MAX);
    base64(MAX_IMAGES).min(budget).max(base64(1)).saturating_add(MAX_JSON_BYTES)
}

impl CompositeQuery {
    /// Converts the body, and reads indexed images whose parts are searched for. The images share the permit.
    pub(super) async fn into_query(
        self,
        mut permit: UploadPermit,
        images: &Images,
        defaults: &Defaults,
    ) -> Result<(QueryInput, SearchOptions), ApiError> {
        if self.positive.is_empty() {
            return Err(ApiError::invalid("positive", "is empty: a query needs at least one term to search for"));
        }
        let language = parse_language(self.lang.as_deref())?;
        let collection = self.collection.unwrap_or_else(|| defaults.collection.to_string());
        let mut terms = Vec::new();
        for (field, sign, requests) in [("positive", 1.0, self.positive), ("negative", -1.0, self.negative)] {
            for (position, term) in requests.into_iter().enumerate() {
                let wrong = |message: &str| {
                    let (code, message) = (format!("invalid_{field}"), format!("{field}[{position}]{message}"));
                    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
                };
                let weight = weight(term.weight).map_err(|message| wrong(&message))?;
                let region = term.region.map(|RegionRequest { x, y, width, height }| Region::new(x, y, width, height));
                let region = region.transpose().map_err(|error| wrong(&format!(".region: {error}")))?;
                let input = match (term.text, term.id, term.image) {
                    (Some(_), None, None) if region.is_some() => {
                        return Err(wrong(".region: needs an image, not a text"));
                    }
                    (Some(text), None, None) => TermInput::Text(text),
                    (None, Some(id), None) => match region {
                        None => TermInput::Like(id),
                        Some(region) => {
                            TermInput::Image(read_part(images, &collection, &id, region, &mut permit).await?)
                        }
                    },
                    (None, None, Some(image)) => {
                        let bytes = image.0.ok_or_else(|| wrong(".image: is not valid base64"))?;
                        TermInput::Image(QueryImage { bytes, region, ..QueryImage::default() })
                    }
                    _ => return Err(wrong(": must have exactly one of `text`, `id` and `image`")),
                };
                terms.push(Term { input, weight: sign * weight, field, position: Some(position) });
            }
        }
        let permit = Arc::new(permit);
        for term in &mut terms {
            if let TermInput::Image(image) = &mut term.input {
                image.permit = Some(permit.clone());
            }
        }
        let options = SearchOptions {
            limit: self.limit,
            offset: self.offset,
            provider: self.provider,
            collection,
            generation: self.generation,
            filter: self.filter.into_filter()?,
            min_score: self.min_score,
            min_relevance: self.min_relevance,
            collapse: parse_collapse(self.collapse.as_deref())?,
            copies_only: self.copies_only,
            exact: self.exact,
        };
        Ok((QueryInput { terms, language }, options))
    }
}
