//! The query parameters of a search.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::Defaults;
use crate::api::filter::FilterRequest;
use crate::api::http::ApiError;
use crate::api::http::parameters::Pairs;
use crate::domain::{Language, UnknownLanguage};
use crate::search::{Collapse, Region, SearchOptions};

/// The query parameters of a search, without those of its filter.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SearchParams {
    /// Text to search for; 1 to 1,000 characters after trimming.
    #[param(max_length = 1000)]
    pub(super) q: Option<String>,
    /// Language of `q`, for models that need to know it (nllb-clip); others ignore it. A BCP 47 tag such as `de` or `pt-BR`,
    /// or a code of NLLB such as `deu_Latn`.
    #[param(example = "de", pattern = "^([A-Za-z]{2,3}([_-][A-Za-z0-9]{1,8})*)?$")]
    lang: Option<String>,
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
    /// Only copies of the image `like`: with the same bytes, or resized, recompressed, mirrored, or cropped by at most 20 %
    /// of each side. The nearest 400 images are compared. Only for a search by `like` alone, without `region`.
    #[serde(default)]
    #[param(default = false)]
    copies_only: bool,
    /// Compare every vector of the collection, for comparison with the usual search, which can miss some of the best results
    /// in a large collection. Takes longer. Refused if the store cannot do it.
    #[serde(default)]
    #[param(default = false)]
    exact: bool,
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
    /// The number of a generation of the collection, to compare it with the current one, which is the default.
    #[param(minimum = 1)]
    generation: Option<u32>,
}

pub(super) fn default_limit() -> usize {
    10
}

impl SearchParams {
    /// Returns the part of the image to search for.
    pub(super) fn region(&self) -> Result<Option<Region>, ApiError> {
        let parse = |text: &String| {
            text.parse()
                .map_err(|error| ApiError::invalid("region", format!("{error}, as `x,y,width,height`, not `{text}`")))
        };
        self.region.as_ref().map(parse).transpose()
    }

    /// Returns the language of the text.
    pub(super) fn language(&self) -> Result<Option<Language>, ApiError> {
        parse_language(self.lang.as_deref())
    }

    /// Returns the options of the search. `pairs` are all parameters of the query string.
    pub(super) fn into_options(self, pairs: &Pairs, defaults: &Defaults) -> Result<SearchOptions, ApiError> {
        Ok(SearchOptions {
            limit: self.limit,
            offset: self.offset,
            provider: self.provider,
            collection: self.collection.unwrap_or_else(|| defaults.collection.to_string()),
            generation: self.generation,
            filter: FilterRequest::from_pairs(pairs)?.into_filter()?,
            min_score: self.min_score,
            min_relevance: self.min_relevance,
            collapse: parse_collapse(self.collapse.as_deref())?,
            copies_only: self.copies_only,
            exact: self.exact,
        })
    }
}

/// Returns the language of the texts of a search. An empty one is the same as none.
pub(in crate::api) fn parse_language(language: Option<&str>) -> Result<Option<Language>, ApiError> {
    let parse =
        |text: &str| text.parse().map_err(|error: UnknownLanguage| ApiError::invalid("lang", error.to_string()));
    language.filter(|text| !text.is_empty()).map(parse).transpose()
}

/// Returns which images are one result.
pub(super) fn parse_collapse(name: Option<&str>) -> Result<Collapse, ApiError> {
    let Some(name) = name else { return Ok(Collapse::None) };
    Collapse::from_name(name)
        .ok_or_else(|| ApiError::invalid("collapse", format!("must be identical, similar or none, not `{name}`")))
}
