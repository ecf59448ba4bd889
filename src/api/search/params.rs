//! The query parameters of a search.

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::Defaults;
use crate::api::http::ApiError;
use crate::api::http::parameters::META_PREFIX;
use crate::domain::{Filter, ImageFormat, Timestamp};
use crate::search::{Collapse, Region, SearchOptions};

/// The query parameters of a search. In addition, `meta.KEY=value` finds only images with that metadata.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SearchParams {
    /// Text to search for; 1 to 1,000 characters after trimming.
    #[param(max_length = 1000)]
    pub(super) q: Option<String>,
    /// Id of an image of the collection; finds other images that are similar to it.
    #[param(format = Uuid)]
    pub(super) like: Option<String>,
    /// A part of the uploaded image, or else of the image `like`: `x,y,width,height`, each 0 to 1 of the upright image.
    #[param(example = "0.25,0,0.5,1", pattern = "^[^,]+(,[^,]+){3}$")]
    region: Option<String>,
    /// Only results with at least this score, -1 to 1.
    #[param(minimum = -1, maximum = 1)]
    min_score: Option<f32>,
    /// Only results with at least this relevance, 0 to 1; 0.5 and more is relevant.
    #[param(minimum = 0, maximum = 1)]
    min_relevance: Option<f32>,
    /// Which images are one result: `identical` (the same bytes), `similar` (copies of the same image), or `none`. The
    /// others are the `duplicates` of the result. `limit` and `offset` count results; a page can be shorter than `limit` if
    /// the first 10,000 images have fewer results (`similar`: the first 400; `offset` + `limit` is then at most 200).
    #[param(value_type = Option<Collapse>, default = "none")]
    collapse: Option<String>,
    /// Number of results, 1 to 100.
    #[serde(default = "default_limit")]
    #[param(default = 10, minimum = 1, maximum = 100)]
    limit: usize,
    /// Number of results to skip; `offset` + `limit` is at most 10,000.
    #[serde(default)]
    #[param(default = 0, maximum = 9999)]
    offset: usize,
    /// The store to search, or `all`; the first configured store by default.
    provider: Option<String>,
    /// The collection; `VECTOR_DB_COLLECTION` by default.
    #[param(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    collection: Option<String>,
    /// Only images of this format: `jpeg`, `png`, `webp` or `gif`.
    #[param(value_type = Option<ImageFormat>)]
    format: Option<String>,
    /// Only keys in this folder; it must end with `/`.
    #[param(pattern = "/$")]
    s3_prefix: Option<String>,
    /// Only images whose original is at least this wide, in pixels.
    #[param(format = Int64, maximum = 4_294_967_295_i64)]
    min_width: Option<u32>,
    /// Only images whose original is at least this high, in pixels.
    #[param(format = Int64, maximum = 4_294_967_295_i64)]
    min_height: Option<u32>,
    /// Only images indexed after this time, in RFC 3339 format.
    #[param(format = DateTime)]
    indexed_after: Option<String>,
}

pub(super) fn default_limit() -> usize {
    10
}

/// The query string as pairs, for parameters with names that are not fixed (`meta.KEY`).
pub(super) type Pairs = Vec<(String, String)>;

impl SearchParams {
    /// Returns the part of the image to search for.
    pub(super) fn region(&self) -> Result<Option<Region>, ApiError> {
        let parse = |text: &String| {
            text.parse()
                .map_err(|error| ApiError::invalid("region", format!("{error}, as `x,y,width,height`, not `{text}`")))
        };
        self.region.as_ref().map(parse).transpose()
    }

    /// Returns the options of the search. `pairs` are all parameters of the query string.
    pub(super) fn into_options(self, pairs: &Pairs, defaults: &Defaults) -> Result<SearchOptions, ApiError> {
        let meta: BTreeMap<String, String> = pairs
            .iter()
            .filter_map(|(name, value)| name.strip_prefix(META_PREFIX).map(|key| (key.to_owned(), value.clone())))
            .collect();
        if meta.contains_key("") {
            return Err(ApiError::invalid("meta", "the parameter `meta.` has no name; write `meta.NAME=value`"));
        }
        Ok(SearchOptions {
            limit: self.limit,
            offset: self.offset,
            provider: self.provider,
            collection: self.collection.unwrap_or_else(|| defaults.collection.to_string()),
            filter: filter(
                self.format.as_deref(),
                self.s3_prefix,
                self.min_width,
                self.min_height,
                self.indexed_after.as_deref(),
                meta,
            )?,
            min_score: self.min_score,
            min_relevance: self.min_relevance,
            collapse: parse_collapse(self.collapse.as_deref())?,
        })
    }
}

/// Returns the filter of a search.
pub(super) fn filter(
    format: Option<&str>,
    s3_prefix: Option<String>,
    min_width: Option<u32>,
    min_height: Option<u32>,
    indexed_after: Option<&str>,
    meta: BTreeMap<String, String>,
) -> Result<Filter, ApiError> {
    let format = format.map(parse_format).transpose()?;
    let indexed_after = indexed_after.map(Timestamp::parse).transpose();
    let indexed_after = indexed_after.map_err(|error| ApiError::invalid("indexed_after", error.to_string()))?;
    Ok(Filter { format, s3_prefix, min_width, min_height, indexed_after, meta })
}

/// Returns which images are one result.
pub(super) fn parse_collapse(name: Option<&str>) -> Result<Collapse, ApiError> {
    let Some(name) = name else { return Ok(Collapse::None) };
    Collapse::from_name(name)
        .ok_or_else(|| ApiError::invalid("collapse", format!("must be identical, similar or none, not `{name}`")))
}

fn parse_format(name: &str) -> Result<ImageFormat, ApiError> {
    ImageFormat::from_name(name)
        .ok_or_else(|| ApiError::invalid("format", format!("must be jpeg, png, webp or gif, not `{name}`")))
}
