//! Both networks and the tokenizer: makes embeddings from images and texts.

use std::num::NonZeroUsize;
use std::sync::Arc;

use rten::ThreadPool;
use rten_tensor::Tensor;
use rten_tensor::prelude::*;

use super::bpe::Bpe;
use super::card::Card;
use super::files;
use super::text::Words;
use super::tower::Tower;
use super::unusable;
use crate::domain::Embedding;
use crate::embed::EmbedError;
use crate::imaging::PreparedImage;

/// Input of a network for each of the 256 values of red, green and blue.
pub(super) type Levels = [[f32; 256]; 3];

/// Returns `(value / 255 - mean) / std` for each value of each channel.
pub(super) fn levels(mean: [f32; 3], std: [f32; 3]) -> Levels {
    let level = |channel: usize| {
        std::array::from_fn(|value| (u8::try_from(value).map_or(1.0, f32::from) / 255.0 - mean[channel]) / std[channel])
    };
    std::array::from_fn(level)
}

/// The tokenizer of a model.
pub(super) enum Tokenizer {
    /// For the built-in model.
    WordPiece(Words),
    /// For a CLIP.
    Bpe(Box<Bpe>),
}

impl Tokenizer {
    fn tokens(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        match self {
            Self::WordPiece(tokenizer) => tokenizer.tokens(text),
            Self::Bpe(tokenizer) => tokenizer.tokens(text),
        }
    }
}

/// A loaded model, shared by all workers and never changed.
pub(super) struct Towers {
    pub(super) name: String,
    /// Number of values in a vector.
    pub(super) dimension: usize,
    /// Side of an image in pixels.
    pub(super) size: u32,
    pub(super) levels: Levels,
    /// Images in one run of the image tower for the lowest time per image.
    pub(super) run: NonZeroUsize,
    pub(super) image: Tower,
    pub(super) text: Tower,
    pub(super) tokenizer: Tokenizer,
}

impl Towers {
    /// Loads the built-in model, which takes about a quarter of a second.
    pub(super) fn built_in() -> Result<Self, EmbedError> {
        let card = Card::parse(files::CARD)?;
        let [ids, mask] = &card.text.inputs;
        let loaded = |reason: String| unusable(format!("the built-in model: {reason}"));
        Ok(Self {
            // Prepacked weights reduce a short query from 3.4 to 1.8 ms and cost 50 ms at the start and 45 MB. They
            // make no difference for the convolutions of the image tower.
            image: Tower::from_bytes(files::IMAGE, false, &[&card.image.input], &card.image.output).map_err(loaded)?,
            text: Tower::from_bytes(files::TEXT, true, &[ids, mask], &card.text.output).map_err(loaded)?,
            tokenizer: Tokenizer::WordPiece(Words::parse(files::TOKENIZER, card.text.max_tokens)?),
            levels: levels(card.image.mean, card.image.std),
            size: card.image.image_size,
            // Convolutions take 52 ms for a single image, 58 ms each in runs of four and 60 ms in runs of eight,
            // because the activations do not fit into the cache.
            run: NonZeroUsize::MIN,
            dimension: card.dimension,
            name: card.name,
        })
    }

    /// Returns one embedding per image.
    pub(super) fn images(
        &self,
        images: &[PreparedImage],
        threads: &Arc<ThreadPool>,
    ) -> Result<Vec<Embedding>, EmbedError> {
        let side = self.size as usize;
        let mut pixels = Vec::with_capacity(images.len() * 3 * side * side);
        for image in images {
            if image.size != self.size || image.rgb.len() != side * side * 3 {
                let (given, wanted) = (image.size, self.size);
                return Err(EmbedError::Rejected(format!(
                    "the image has {given} x {given} pixels; the model takes {wanted} x {wanted}"
                )));
            }
            // The network expects all red values, then all green, then all blue.
            for (channel, levels) in self.levels.iter().enumerate() {
                pixels.extend(image.rgb[channel..].iter().step_by(3).map(|&value| levels[usize::from(value)]));
            }
        }
        let input = Tensor::from_data(&[images.len(), 3, side, side], pixels);
        self.embeddings(&self.image.run(vec![input.into()], threads)?, images.len())
    }

    /// Returns the embedding of a text, cut to the maximum of the model.
    ///
    /// Texts are never padded. A short text needs only a short run, and rten gives wrong results for padded texts: CLIP
    /// pads with its end token and finds it by ArgMax, which returns the first of equal values in ONNX but the last in
    /// rten 0.27.
    pub(super) fn text(&self, text: &str, threads: &Arc<ThreadPool>) -> Result<Embedding, EmbedError> {
        let tokens: Vec<i32> = self.tokenizer.tokens(text)?.into_iter().map(u32::cast_signed).collect();
        let shape = [1, tokens.len()];
        let mask = Tensor::from_data(&shape, vec![1_i32; tokens.len()]);
        let output = self.text.run(vec![Tensor::from_data(&shape, tokens).into(), mask.into()], threads)?;
        let mut one = self.embeddings(&output, 1)?;
        one.pop().ok_or(EmbedError::WrongCount { sent: 1, got: 0 })
    }

    fn embeddings(&self, output: &Tensor<f32>, sent: usize) -> Result<Vec<Embedding>, EmbedError> {
        let got = output.shape().first().copied().unwrap_or(0);
        if got != sent {
            return Err(EmbedError::WrongCount { sent, got });
        }
        let numbers = output.to_vec();
        numbers
            .chunks_exact((numbers.len() / sent.max(1)).max(1))
            .map(|row| Embedding::normalised(row.to_vec(), self.dimension).map_err(EmbedError::from))
            .collect()
    }
}
