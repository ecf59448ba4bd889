//! `config.json`: what kind of model it is, and the size of its vectors and texts.

use serde::Deserialize;

/// CLIP's own, where a configuration leaves it out as it equals the default.
const DEFAULT_DIMENSION: usize = 512;
const DEFAULT_TOKENS: usize = 77;
/// No CLIP comes near; a larger number is a mistake that would cost memory.
const MAX_DIMENSION: usize = 16_384;
const MAX_TOKENS: usize = 8_192;

/// The parts of `config.json` that running the towers takes.
#[derive(Debug, PartialEq)]
pub(super) struct Config {
    /// Numbers in a vector.
    pub(super) dimension: usize,
    /// Tokens of the longest text, special ones included.
    pub(super) max_tokens: usize,
    /// Side of a picture in pixels, where it is said.
    pub(super) image_size: Option<u32>,
}

#[derive(Deserialize)]
struct File {
    model_type: Option<String>,
    projection_dim: Option<usize>,
    #[serde(default)]
    text_config: Text,
    #[serde(default)]
    vision_config: Vision,
}

#[derive(Default, Deserialize)]
struct Text {
    max_position_embeddings: Option<usize>,
}

#[derive(Default, Deserialize)]
struct Vision {
    image_size: Option<u32>,
}

impl Config {
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let file: File = serde_json::from_slice(json).map_err(|error| format!("config.json: {error}"))?;
        match file.model_type.as_deref() {
            Some("clip") => {}
            // Others pool their texts otherwise, or want them padded.
            other => {
                let other = other.unwrap_or("nothing");
                return Err(format!("config.json names model_type `{other}`; only `clip` is run here"));
            }
        }
        let dimension = file.projection_dim.unwrap_or(DEFAULT_DIMENSION);
        let max_tokens = file.text_config.max_position_embeddings.unwrap_or(DEFAULT_TOKENS);
        if !(1..=MAX_DIMENSION).contains(&dimension) || !(3..=MAX_TOKENS).contains(&max_tokens) {
            return Err(format!("config.json: projection_dim {dimension} or {max_tokens} tokens cannot be right"));
        }
        Ok(Self { dimension, max_tokens, image_size: file.vision_config.image_size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_what_is_left_out_is_clips_own() {
        let all = br#"{"model_type":"clip","projection_dim":768,"text_config":{"max_position_embeddings":99},
                      "vision_config":{"image_size":336}}"#;
        let expected = Config { dimension: 768, max_tokens: 99, image_size: Some(336) };
        assert_eq!(Config::parse(all).unwrap(), expected);
        let least = Config::parse(br#"{"model_type":"clip"}"#).unwrap();
        assert_eq!((least.dimension, least.max_tokens, least.image_size), (512, 77, None));
    }

    #[test]
    fn another_kind_of_model_is_refused_by_name() {
        assert!(Config::parse(br#"{"model_type":"siglip"}"#).unwrap_err().contains("`siglip`"));
        assert!(Config::parse(b"{}").is_err());
        assert!(Config::parse(br#"{"model_type":"clip","projection_dim":0}"#).is_err());
        assert!(Config::parse(b"<html>").unwrap_err().contains("config.json"));
    }
}
