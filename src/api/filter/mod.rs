//! Conditions on images, as query parameters and as a JSON object. Both have the grammar of `domain::filter_value`.

mod schema;
mod values;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::http::ApiError;
use super::http::parameters::META_PREFIX;
use super::http::whole_number::optional_whole_number;
use crate::domain::{BoundingBox, Circle, Condition, Filter, InvalidFilterValue, Timestamp, parse_times};

pub use values::Values;

/// Maximum number of metadata names in a filter.
const MAX_META_NAMES: usize = 16;
/// Maximum number of values in a filter.
const MAX_VALUES: usize = 64;
/// Maximum bytes of a metadata name.
const MAX_NAME_BYTES: usize = 2_048;

/// The query parameters of a filter. In addition, `meta.KEY=value` finds only images with that metadata.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters that `FilterRequest::from_pairs` reads")]
pub(super) struct FilterParams {
    /// Only images of this format: `jpeg`, `png`, `webp`, `gif`, `tiff`, `bmp`, `heic`, `avif`, `jxl` or `raw`. `!gif` excludes one. Repeat it for any of several.
    #[param(schema_with = schema::formats)]
    format: Option<Vec<String>>,
    /// Only keys in this folder; it must end with `/`. `!FOLDER/` excludes one. Repeat it for any of several.
    #[param(schema_with = schema::folders)]
    s3_prefix: Option<Vec<String>>,
    /// Only images whose original is at least this wide, in pixels.
    #[param(format = Int64, maximum = 4_294_967_295_i64)]
    min_width: Option<u32>,
    /// Only images whose original is at least this high, in pixels.
    #[param(format = Int64, maximum = 4_294_967_295_i64)]
    min_height: Option<u32>,
    /// Only images indexed after this time, in RFC 3339 format.
    #[param(format = DateTime)]
    indexed_after: Option<String>,
    /// Only images taken with this camera, by its whole name. `!NAME` excludes one. Repeat it for any of several.
    #[param(schema_with = schema::texts)]
    camera: Option<Vec<String>>,
    /// Only images taken at this time or later: a date (a day in UTC), or a date and time in RFC 3339 format.
    #[param(example = "2024-04-01")]
    taken_after: Option<String>,
    /// Only images taken at this time or earlier: a date, with all of its day, or a date and time in RFC 3339 format.
    #[param(example = "2024-06-30")]
    taken_before: Option<String>,
    /// Only images taken in this month by the clock of the camera: `2024-06`, or `06` for June of any year. `!MONTH` excludes
    /// one. Repeat it for any of several.
    #[param(schema_with = schema::months)]
    taken_month: Option<Vec<String>>,
    /// Only images taken within a distance in kilometres of a position in degrees: `lat,lon,km`.
    #[param(example = "48.137,11.575,5", pattern = "^[^,]+(,[^,]+){2}$")]
    near: Option<String>,
    /// Only images taken in this box: `west,south,east,north` in degrees, as in GeoJSON.
    #[param(example = "5.9,45.8,10.5,47.8", pattern = "^[^,]+(,[^,]+){3}$")]
    bbox: Option<String>,
}

/// Conditions that a result must all meet. A value is a text or a list of texts, of which any can be met; `!` before a
/// value excludes it. A number or boolean is the same as its text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterRequest {
    /// Only images of this format: `jpeg`, `png`, `webp`, `gif`, `tiff`, `bmp`, `heic`, `avif`, `jxl` or `raw`.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    #[schema(schema_with = schema::format_values)]
    pub format: Values,
    /// Only keys in this folder; it must end with `/`.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    #[schema(schema_with = schema::folder_values)]
    pub s3_prefix: Values,
    /// Only images whose original is at least this wide, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_whole_number")]
    #[schema(format = Int64, maximum = 4_294_967_295_i64)]
    pub min_width: Option<u32>,
    /// Only images whose original is at least this high, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_whole_number")]
    #[schema(format = Int64, maximum = 4_294_967_295_i64)]
    pub min_height: Option<u32>,
    /// Only images indexed after this time, in RFC 3339 format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub indexed_after: Option<String>,
    /// Only images taken with this camera, by its whole name.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    #[schema(schema_with = schema::camera_values)]
    pub camera: Values,
    /// Only images taken at this time or later: a date (a day in UTC), or a date and time in RFC 3339 format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_after: Option<String>,
    /// Only images taken at this time or earlier: a date, with all of its day, or a date and time in RFC 3339 format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_before: Option<String>,
    /// Only images taken in this month: `2024-06`, or `06` for June of any year.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    #[schema(schema_with = schema::month_values)]
    pub taken_month: Values,
    /// Only images taken within a distance in kilometres of a position in degrees: `lat,lon,km`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[^,]+(,[^,]+){2}$")]
    pub near: Option<String>,
    /// Only images taken in this box: `west,south,east,north` in degrees, as in GeoJSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[^,]+(,[^,]+){3}$")]
    pub bbox: Option<String>,
    /// Only images with these metadata values. `4..6` is a range of numbers or dates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "values::unique_names")]
    #[schema(schema_with = schema::meta_values)]
    pub meta: BTreeMap<String, Values>,
}

impl FilterRequest {
    /// Whether every image fulfils the filter.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads the conditions from the parameters of a query string. A parameter that is repeated has several values.
    pub(super) fn from_pairs(pairs: &[(String, String)]) -> Result<Self, ApiError> {
        let pixels = |name: &str, value: &str| {
            let number = value.parse();
            number.map(Some).map_err(|_| ApiError::invalid(name, "must be a whole number from 0 to 4294967295"))
        };
        let mut request = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "format" => request.format.0.push(value.clone()),
                "s3_prefix" => request.s3_prefix.0.push(value.clone()),
                "min_width" => request.min_width = pixels(name, value)?,
                "min_height" => request.min_height = pixels(name, value)?,
                "indexed_after" => request.indexed_after = Some(value.clone()),
                "camera" => request.camera.0.push(value.clone()),
                "taken_after" => request.taken_after = Some(value.clone()),
                "taken_before" => request.taken_before = Some(value.clone()),
                "taken_month" => request.taken_month.0.push(value.clone()),
                "near" => request.near = Some(value.clone()),
                "bbox" => request.bbox = Some(value.clone()),
                _ => {
                    if let Some(key) = name.strip_prefix(META_PREFIX) {
                        request.meta.entry(key.to_owned()).or_default().0.push(value.clone());
                    }
                }
            }
        }
        Ok(request)
    }

    /// Returns the parameters of a query string with the same conditions.
    pub fn to_pairs(&self) -> Vec<(String, String)> {
        let lists = [
            ("format", &self.format),
            ("s3_prefix", &self.s3_prefix),
            ("camera", &self.camera),
            ("taken_month", &self.taken_month),
        ];
        let lists = lists.into_iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        let numbers = [("min_width", self.min_width), ("min_height", self.min_height)];
        let numbers = numbers.into_iter().filter_map(|(name, number)| Some((name.to_owned(), number?.to_string())));
        let texts = [
            ("indexed_after", &self.indexed_after),
            ("taken_after", &self.taken_after),
            ("taken_before", &self.taken_before),
            ("near", &self.near),
            ("bbox", &self.bbox),
        ];
        let texts = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.clone()?)));
        let meta = self.meta.iter().flat_map(|(key, values)| {
            values.iter().map(move |value| (format!("{META_PREFIX}{key}"), value.to_owned()))
        });
        let lists = lists.map(|(name, value)| (name.to_owned(), value.to_owned()));
        lists.chain(numbers).chain(texts).chain(meta).collect()
    }

    /// Parses the conditions.
    pub(super) fn into_filter(self) -> Result<Filter, ApiError> {
        self.check_size()?;
        let invalid =
            |field: &'static str| move |error: InvalidFilterValue| ApiError::invalid(field, error.to_string());
        let indexed_after = self.indexed_after.as_deref().map(Timestamp::parse).transpose();
        let meta = self.meta.iter().map(|(key, values)| {
            let condition = Condition::parse_meta(values.iter());
            let condition = condition.map_err(|error| ApiError::invalid("meta", format!("`{key}`: {error}")))?;
            Ok((key.clone(), condition))
        });
        let meta: BTreeMap<_, Condition<_>> = meta.collect::<Result<_, ApiError>>()?;
        let taken = parse_times(self.taken_after.as_deref(), self.taken_before.as_deref());
        let near = self.near.as_deref().map(Circle::parse).transpose();
        let bbox = self.bbox.as_deref().map(BoundingBox::parse).transpose();
        Ok(Filter {
            formats: Condition::parse_formats(self.format.iter()).map_err(invalid("format"))?,
            folders: Condition::parse_folders(self.s3_prefix.iter()).map_err(invalid("s3_prefix"))?,
            min_width: self.min_width,
            min_height: self.min_height,
            indexed_after: indexed_after.map_err(|error| ApiError::invalid("indexed_after", error.to_string()))?,
            meta: meta.into_iter().filter(|(_, condition)| !condition.is_empty()).collect(),
            cameras: Condition::parse_cameras(self.camera.iter()).map_err(invalid("camera"))?,
            taken: taken.map_err(|(bound, error)| invalid(["taken_after", "taken_before"][bound])(error))?,
            taken_months: Condition::parse_months(self.taken_month.iter()).map_err(invalid("taken_month"))?,
            near: near.map_err(|error| ApiError::invalid("near", error.to_string()))?,
            bbox: bbox.map_err(|error| ApiError::invalid("bbox", error.to_string()))?,
        })
    }

    fn check_size(&self) -> Result<(), ApiError> {
        let invalid = |message: String| Err(ApiError::invalid("meta", message));
        if self.meta.contains_key("") {
            return invalid("a metadata name is empty; write `meta.NAME=value`".to_owned());
        }
        if let Some(name) = self.meta.keys().find(|name| name.len() > MAX_NAME_BYTES) {
            return invalid(format!("a metadata name must have at most {MAX_NAME_BYTES} bytes, not {}", name.len()));
        }
        let names = self.meta.len();
        if names > MAX_META_NAMES {
            return invalid(format!("a filter must have at most {MAX_META_NAMES} metadata names, not {names}"));
        }
        let others = [&self.format, &self.s3_prefix, &self.camera, &self.taken_month];
        let values: usize = self.meta.values().chain(others).map(|values| values.0.len()).sum();
        if values > MAX_VALUES {
            return invalid(format!("a filter must have at most {MAX_VALUES} values, not {values}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
