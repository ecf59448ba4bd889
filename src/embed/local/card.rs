//! `model.json`: what the model's files are called inside, and how images and words must be given to it.

use serde::Deserialize;

use super::unusable;
use crate::embed::EmbedError;

/// The parts of `model.json` that running the model takes.
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
    /// Of red, green and blue in 0..=1.
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
    /// Token ids, then the attention mask.
    pub(super) inputs: [String; 2],
    pub(super) output: String,
    /// Special tokens included.
    pub(super) max_tokens: usize,
    tokenizer_type: String,
}

impl Card {
    /// Reads the card and refuses what this code does not do: another model may ask for another resize.
    pub(super) fn parse(json: &[u8]) -> Result<Self, EmbedError> {
        let card: Self = serde_json::from_slice(json).map_err(|error| unusable(format!("model.json: {error}")))?;
        let image = &card.image;
        for (what, asked, done) in [
            ("resize", &image.resize, "shortest-side"),
            ("crop", &image.crop, "center"),
            ("interpolation", &image.interpolation, "bicubic"),
            ("layout", &image.layout, "NCHW"),
            ("channel_order", &image.channel_order, "RGB"),
            ("tokenizer_type", &card.text.tokenizer_type, "wordpiece-uncased"),
        ] {
            if asked != done {
                return Err(unusable(format!("model.json asks for {what} {asked:?}; only {done:?} is done here")));
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
    fn the_built_in_card_is_read() {
        let card = Card::parse(files::CARD).unwrap();
        assert_eq!((card.name.as_str(), card.dimension), ("glimpse-mini-1", 512));
        assert_eq!((card.image.image_size, card.text.max_tokens), (260, 64));
        assert_eq!(card.text.inputs, ["input_ids", "attention_mask"]);
    }

    #[test]
    fn what_is_not_done_here_is_refused() {
        let json = String::from_utf8(files::CARD.to_vec()).unwrap().replace("\"bicubic\"", "\"bilinear\"");
        assert!(Card::parse(json.as_bytes()).unwrap_err().to_string().contains("bilinear"));
        assert!(Card::parse(b"{}").is_err());
    }
}
