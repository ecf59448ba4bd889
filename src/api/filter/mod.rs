//! Conditions on images, as query parameters and as a JSON object. Both have the grammar of `domain::filter_value`.

mod schema;
mod values;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::http::ApiError;
use super::http::parameters::META_PREFIX;
use crate::domain::{Condition, Filter, InvalidFilterValue, Timestamp};

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
    /// Only images of this format: `jpeg`, `png`, `webp`, `gif`, `tiff`, `bmp`, `heic` or `raw`. `!gif` excludes one. Repeat it for any of several.
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
}

/// Conditions that a result must all meet. A value is a text or a list of texts, of which any can be met; `!` before a
/// value excludes it. A number or boolean is the same as its text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterRequest {
    /// Only images of this format: `jpeg`, `png`, `webp`, `gif`, `tiff`, `bmp`, `heic` or `raw`.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    #[schema(schema_with = schema::format_values)]
    pub format: Values,
    /// Only keys in this folder; it must end with `/`.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    #[schema(schema_with = schema::folder_values)]
    pub s3_prefix: Values,
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
        let lists = [("format", &self.format), ("s3_prefix", &self.s3_prefix)];
        let lists = lists.into_iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        let numbers = [("min_width", self.min_width), ("min_height", self.min_height)];
        let numbers = numbers.into_iter().filter_map(|(name, number)| Some((name.to_owned(), number?.to_string())));
        let after = self.indexed_after.iter().map(|time| ("indexed_after".to_owned(), time.clone()));
        let meta = self.meta.iter().flat_map(|(key, values)| {
            values.iter().map(move |value| (format!("{META_PREFIX}{key}"), value.to_owned()))
        });
        let lists = lists.map(|(name, value)| (name.to_owned(), value.to_owned()));
        lists.chain(numbers).chain(after).chain(meta).collect()
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
        Ok(Filter {
            formats: Condition::parse_formats(self.format.iter()).map_err(invalid("format"))?,
            folders: Condition::parse_folders(self.s3_prefix.iter()).map_err(invalid("s3_prefix"))?,
            min_width: self.min_width,
            min_height: self.min_height,
            indexed_after: indexed_after.map_err(|error| ApiError::invalid("indexed_after", error.to_string()))?,
            meta: meta.into_iter().filter(|(_, condition)| !condition.is_empty()).collect(),
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
        let values: usize =
            self.meta.values().chain([&self.format, &self.s3_prefix]).map(|values| values.0.len()).sum();
        if values > MAX_VALUES {
            return invalid(format!("a filter must have at most {MAX_VALUES} values, not {values}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(texts: &[(&str, &str)]) -> Vec<(String, String)> {
        texts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn message(refused: Result<Filter, ApiError>) -> String {
        refused.unwrap_err().into_body().message
    }

    #[test]
    fn parameters_and_json_have_the_same_meaning() {
        let given = pairs(&[
            ("format", "gif"),
            ("s3_prefix", "a/"),
            ("s3_prefix", "!a/b/"),
            ("min_width", "7"),
            ("meta.a=b", "4..6"),
            ("meta.taxon", "Felis catus"),
            ("meta.taxon", "!x"),
        ]);
        let request = FilterRequest::from_pairs(&given).unwrap();
        assert_eq!(request.to_pairs(), given);
        let json = serde_json::json!({"format": "gif", "s3_prefix": ["a/", "!a/b/"], "min_width": 7,
            "meta": {"a=b": "4..6", "taxon": ["Felis catus", "!x"]}});
        assert_eq!(serde_json::to_value(&request).unwrap(), json);
        assert_eq!(serde_json::from_value::<FilterRequest>(json).unwrap(), request);
        let filter = request.into_filter().unwrap();
        assert_eq!((filter.folders.none_of.len(), filter.meta["taxon"].any_of.len()), (1, 1));
        assert!(filter.has_ranges());
    }

    #[test]
    fn numbers_and_booleans_in_json_are_their_texts() {
        let json = r#"{"meta": {"a": 5, "b": [-1.50, true, "x", 18446744073709551615], "c": false}}"#;
        let request = serde_json::from_str::<FilterRequest>(json).unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| request.meta[name].0.join(" "));
        assert_eq!([a, b, c], ["5", "-1.5 true x 18446744073709551615", "false"]);
        for wrong in [r#"{"meta": {"a": [null]}}"#, r#"{"meta": {"a": [["x"]]}}"#, r#"{"meta": {"a": {}}}"#] {
            serde_json::from_str::<FilterRequest>(wrong).unwrap_err();
        }
    }

    #[test]
    fn names_and_values_are_bounded() {
        let refused = |texts: &[(&str, &str)]| message(FilterRequest::from_pairs(&pairs(texts)).unwrap().into_filter());
        assert!(refused(&[("meta.", "a")]).contains("name is empty"));
        assert!(refused(&[("meta.month", "6..4")]).starts_with("meta: `month`: the range `6..4` is empty"));
        assert!(refused(&[("meta.a", "1"); 33]).contains("at most 32 values"));
        let many: Vec<_> = (0..17).map(|n| (format!("meta.{n}"), String::new())).collect();
        assert!(message(FilterRequest::from_pairs(&many).unwrap().into_filter()).contains("at most 16 metadata names"));
        let many: Vec<_> = (0..65).map(|n| (format!("meta.{}", n % 3), String::new())).collect();
        assert!(message(FilterRequest::from_pairs(&many).unwrap().into_filter()).contains("at most 64 values"));
        let twice = serde_json::from_str::<FilterRequest>(r#"{"meta": {"a": "1", "a": "2"}}"#).unwrap_err();
        let nulls = r#"{"format": null, "min_width": null, "meta": null}"#;
        assert_eq!(serde_json::from_str::<FilterRequest>(nulls).unwrap(), FilterRequest::default());
        assert!(twice.to_string().starts_with("duplicate field `meta.a`"), "{twice}");
    }
}
