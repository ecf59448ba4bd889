//! Conditions on images, as query parameters and as a JSON object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::http::ApiError;
use super::http::parameters::META_PREFIX;
use crate::domain::{Filter, ImageFormat, Timestamp};

/// The query parameters of a filter. In addition, `meta.KEY=value` finds only images with that metadata.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters that `FilterRequest::from_pairs` reads")]
pub(super) struct FilterParams {
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
    /// Whether there is no condition.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads the conditions from the parameters of a query string.
    pub(super) fn from_pairs(pairs: &[(String, String)]) -> Result<Self, ApiError> {
        let pixels = |name: &str, value: &str| {
            let number = value.parse();
            number.map(Some).map_err(|_| ApiError::invalid(name, "must be a whole number from 0 to 4294967295"))
        };
        let mut request = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "format" => request.format = Some(value.clone()),
                "s3_prefix" => request.s3_prefix = Some(value.clone()),
                "min_width" => request.min_width = pixels(name, value)?,
                "min_height" => request.min_height = pixels(name, value)?,
                "indexed_after" => request.indexed_after = Some(value.clone()),
                _ => {
                    let key = name.strip_prefix(META_PREFIX);
                    request.meta.extend(key.map(|key| (key.to_owned(), value.clone())));
                }
            }
        }
        Ok(request)
    }

    /// Returns the parameters of a query string with the same conditions.
    pub fn to_pairs(&self) -> Vec<(String, String)> {
        let given = [
            ("format", self.format.clone()),
            ("s3_prefix", self.s3_prefix.clone()),
            ("min_width", self.min_width.map(|pixels| pixels.to_string())),
            ("min_height", self.min_height.map(|pixels| pixels.to_string())),
            ("indexed_after", self.indexed_after.clone()),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        given.chain(self.meta.iter().map(|(key, value)| (format!("{META_PREFIX}{key}"), value.clone()))).collect()
    }

    /// Parses the conditions.
    pub(super) fn into_filter(self) -> Result<Filter, ApiError> {
        let Self { format, s3_prefix, min_width, min_height, indexed_after, meta } = self;
        if meta.contains_key("") {
            return Err(ApiError::invalid("meta", "the parameter `meta.` has no name; write `meta.NAME=value`"));
        }
        if let Some(prefix) = s3_prefix.as_ref().filter(|prefix| !prefix.ends_with('/')) {
            return Err(ApiError::invalid("s3_prefix", format!("must end in `/`, not `{prefix}`")));
        }
        let format = format.as_deref().map(parse_format).transpose()?;
        let indexed_after = indexed_after.as_deref().map(Timestamp::parse).transpose();
        let indexed_after = indexed_after.map_err(|error| ApiError::invalid("indexed_after", error.to_string()))?;
        Ok(Filter { format, s3_prefix, min_width, min_height, indexed_after, meta })
    }
}

fn parse_format(name: &str) -> Result<ImageFormat, ApiError> {
    ImageFormat::from_name(name)
        .ok_or_else(|| ApiError::invalid("format", format!("must be jpeg, png, webp or gif, not `{name}`")))
}
