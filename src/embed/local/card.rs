//! `model.json`: names of inputs and outputs of the built-in model, and how images and texts are prepared for it.

use serde::Deserialize;

use super::unusable;
use crate::embed::EmbedError;

/// The parts of `model.json` that are needed to run the model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Card {
    pub(super) name: String,
    pub(super) dimension: usize,
    pub(super) image: ImageTower,
    pub(super) text: TextTower,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct ImageTower {
    pub(super) input: String,
    pub(super) output: String,
    pub(super) image_size: u32,
    /// Mean of red, green and blue in 0..=1.
    pub(super) mean: [f32; 3],
    pub(super) std: [f32; 3],
    resize: String,
    crop: String,
    interpolation: String,
    layout: String,
    channel_order: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct TextTower {
    /// Names of the inputs: token ids, then the attention mask.
    pub(super) inputs: [String; 2],
    pub(super) output: String,
    /// Including special tokens.
    pub(super) max_tokens: usize,
    tokenizer_type: String,
}

impl Card {
    /// Parses the card. Refuses a preparation that this code does not support.
    pub(super) fn parse(json: &[u8]) -> Result<Self, EmbedError> {
        let card: Self = serde_json::from_slice(json).map_err(|error| unusable(format!("model.json: {error}")))?;
        let image = &card.image;
        for (what, value, supported) in [
            ("resize", &image.resize, "shortest-side"),
            ("crop", &image.crop, "center"),
            ("interpolation", &image.interpolation, "bicubic"),
            ("layout", &image.layout, "NCHW"),
            ("channel_order", &image.channel_order, "RGB"),
            ("tokenizer_type", &card.text.tokenizer_type, "wordpiece-uncased"),
        ] {
            if value != supported {
                return Err(unusable(format!("{what} in model.json is {value:?}; only {supported:?} is supported")));
            }
        }
        Ok(card)
    }
}

#[cfg(test)]
mod tests {
    use super::super::files;
    use super::*;

    #[test]
    fn the_built_in_card_is_parsed() {
        let card = Card::parse(files::CARD).unwrap();
        assert_eq!((card.name.as_str(), card.dimension), ("glimpse-mini-1", 512));
        assert_eq!((card.image.image_size, card.text.max_tokens), (260, 64));
        assert_eq!(card.text.inputs, ["input_ids", "attention_mask"]);
    }

    #[test]
    fn an_unsupported_preparation_is_refused() {
        let json = String::from_utf8(files::CARD.to_vec()).unwrap().replace("\"bicubic\"", "\"bilinear\"");
        assert!(Card::parse(json.as_bytes()).unwrap_err().to_string().contains("bilinear"));
        assert!(Card::parse(b"{}").is_err());
    }
}
