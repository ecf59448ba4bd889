//! `config.json`: what kind of model it is, and the size of its vectors and texts.

use serde_json::{Map, Value};

use super::json::{given, object, quoted, whole_of};

/// CLIP's own, where a configuration leaves it out as it equals the default.
const DEFAULT_DIMENSION: u64 = 512;
const DEFAULT_TOKENS: u64 = 77;
/// No CLIP comes near; a larger number is a mistake that would cost memory.
const MAX_DIMENSION: u64 = 16_384;
const MAX_TOKENS: u64 = 8_192;

/// The parts of `config.json` that running the towers takes.
#[derive(Debug, PartialEq)]
pub(super) struct Config {
    /// Numbers in a vector.
    pub(super) dimension: usize,
    /// Tokens of the longest text, special ones included.
    pub(super) max_tokens: usize,
    /// Side of an image in pixels, where it is said.
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
            // Others pool their texts otherwise, or want them padded.
            Some(other) => return Err(format!("model_type is {}; only \"clip\" is supported", quoted(other))),
            None => return Err("model_type is missing; only \"clip\" is supported".to_owned()),
        }
        let dimension = whole_of(&file, "projection_dim")?.unwrap_or(DEFAULT_DIMENSION);
        let max_tokens = part(&file, "text_config", "max_position_embeddings")?.unwrap_or(DEFAULT_TOKENS);
        let within = |name: &str, value: u64, least: u64, most: u64| {
            let usable = usize::try_from(value).ok().filter(|_| (least..=most).contains(&value));
            usable.ok_or_else(|| format!("{name} is {value}; it must be between {least} and {most}"))
        };
        Ok(Self {
            dimension: within("projection_dim", dimension, 1, MAX_DIMENSION)?,
            max_tokens: within("max_position_embeddings", max_tokens, 3, MAX_TOKENS)?,
            image_size: part(&file, "vision_config", "image_size")?,
        })
    }
}

/// A number of one tower. Old files repeat its configuration under `…_dict`, which then counts for transformers.
fn part(file: &Map<String, Value>, tower: &str, key: &str) -> Result<Option<u64>, String> {
    for name in [&format!("{tower}_dict"), tower] {
        if let Some(values) = given(file, name).and_then(Value::as_object)
            && let Some(number) = whole_of(values, key)?
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
    fn sizes_are_read_and_what_is_left_out_is_clips_own() {
        let all = br#"{"model_type":"clip","projection_dim":768.0,"text_config":{"max_position_embeddings":99},
                      "vision_config":{"image_size":224},"vision_config_dict":{"image_size":336},
                      "text_config_dict":null}"#;
        let expected = Config { dimension: 768, max_tokens: 99, image_size: Some(336) };
        assert_eq!(Config::parse(all).unwrap(), expected);
        for least in [r#"{"model_type":"clip"}"#, r#"{"model_type":"clip","text_config":null,"projection_dim":null}"#] {
            let least = Config::parse(least.as_bytes()).unwrap();
            assert_eq!((least.dimension, least.max_tokens, least.image_size), (512, 77, None));
        }
    }

    #[test]
    fn another_kind_of_model_is_refused_by_name() {
        let said = Config::parse(br#"{"model_type":"siglip"}"#).unwrap_err();
        assert_eq!(said, "config.json: model_type is \"siglip\"; only \"clip\" is supported");
        assert!(Config::parse(b"{}").unwrap_err().contains("model_type is missing"));
        assert!(Config::parse(br#"{"model_type":"clip","projection_dim":0}"#).unwrap_err().contains("between 1 and"));
        assert!(Config::parse(br#"{"model_type":"clip","projection_dim":"x"}"#).unwrap_err().contains("\"x\""));
        assert!(Config::parse(b"<html>").unwrap_err().contains("config.json"));
    }
}
