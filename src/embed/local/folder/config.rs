//! `config.json`: type of the model, and the sizes of its vectors and texts.

use serde_json::{Map, Value};

use super::json::{given, object, quoted, whole_number};

/// Defaults of CLIP, for values that a configuration omits.
const DEFAULT_DIMENSION: u64 = 512;
const DEFAULT_TOKENS: u64 = 77;
/// Upper limits, far above any CLIP. A larger number is an error in the file and would need much memory.
const MAX_DIMENSION: u64 = 16_384;
const MAX_TOKENS: u64 = 8_192;

/// The parts of `config.json` that are needed to run the towers.
#[derive(Debug, PartialEq)]
pub(super) struct Config {
    /// Number of values in a vector.
    pub(super) dimension: usize,
    /// Maximum number of tokens of a text, including special tokens.
    pub(super) max_tokens: usize,
    /// Side of an image in pixels, if the file contains it.
    pub(super) image_size: Option<u64>,
}

impl Config {
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        Self::read(json).map_err(|reason| format!("config.json: {reason}"))
    }

    fn read(json: &[u8]) -> Result<Self, String> {
        let file = object(json)?;
        match given(&file, "model_type") {
            Some(kind) if kind == "clip" => {}
            // Other types pool their texts in another way, or need padding.
            Some(other) => return Err(format!("model_type is {}; only \"clip\" is supported", quoted(other))),
            None => return Err("model_type is missing; only \"clip\" is supported".to_owned()),
        }
        let dimension = whole_number(&file, "projection_dim")?.unwrap_or(DEFAULT_DIMENSION);
        let max_tokens = tower_number(&file, "text_config", "max_position_embeddings")?.unwrap_or(DEFAULT_TOKENS);
        let check_range = |name: &str, value: u64, min: u64, max: u64| {
            let usable = usize::try_from(value).ok().filter(|_| (min..=max).contains(&value));
            usable.ok_or_else(|| format!("{name} is {value}; it must be between {min} and {max}"))
        };
        Ok(Self {
            dimension: check_range("projection_dim", dimension, 1, MAX_DIMENSION)?,
            max_tokens: check_range("max_position_embeddings", max_tokens, 3, MAX_TOKENS)?,
            image_size: tower_number(&file, "vision_config", "image_size")?,
        })
    }
}

/// Returns a number of one tower. Old files repeat the configuration under `…_dict`, which transformers then uses.
fn tower_number(file: &Map<String, Value>, tower: &str, key: &str) -> Result<Option<u64>, String> {
    for name in [&format!("{tower}_dict"), tower] {
        if let Some(values) = given(file, name).and_then(Value::as_object)
            && let Some(number) = whole_number(values, key)?
        {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_sizes_have_the_defaults_of_clip() {
        let full = br#"{"model_type":"clip","projection_dim":768.0,"text_config":{"max_position_embeddings":99},
                      "vision_config":{"image_size":224},"vision_config_dict":{"image_size":336},
                      "text_config_dict":null}"#;
        let expected = Config { dimension: 768, max_tokens: 99, image_size: Some(336) };
        assert_eq!(Config::parse(full).unwrap(), expected);
        for minimal in [r#"{"model_type":"clip"}"#, r#"{"model_type":"clip","text_config":null,"projection_dim":null}"#]
        {
            let minimal = Config::parse(minimal.as_bytes()).unwrap();
            assert_eq!((minimal.dimension, minimal.max_tokens, minimal.image_size), (512, 77, None));
        }
    }

    #[test]
    fn another_type_of_model_is_refused_with_its_name() {
        let error = Config::parse(br#"{"model_type":"siglip"}"#).unwrap_err();
        assert_eq!(error, "config.json: model_type is \"siglip\"; only \"clip\" is supported");
        assert!(Config::parse(b"{}").unwrap_err().contains("model_type is missing"));
        assert!(Config::parse(br#"{"model_type":"clip","projection_dim":0}"#).unwrap_err().contains("between 1 and"));
        assert!(Config::parse(br#"{"model_type":"clip","projection_dim":"x"}"#).unwrap_err().contains("\"x\""));
        assert!(Config::parse(b"<html>").unwrap_err().contains("config.json"));
    }
}
