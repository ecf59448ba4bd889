//! Both networks and the tokenizer: makes embeddings from images and texts.

use std::num::NonZeroUsize;

use rten_tensor::Tensor;
use rten_tensor::prelude::*;

use super::engine::Input;
use super::tokenizer::TextTokenizer;
use super::tower::Tower;
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
    pub(super) tokenizer: TextTokenizer,
}

impl Towers {
    /// Returns one embedding per image.
    pub(super) fn images(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
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
        self.embeddings(&self.image.run(vec![Input::F32(input)])?, images.len())
    }

    /// Returns the embedding of a text, cut to the maximum of the model.
    ///
    /// Texts are never padded. A short text needs only a short run, and rten gives wrong results for padded texts: CLIP
    /// pads with its end token and finds it by ArgMax, which returns the first of equal values in ONNX but the last in
    /// rten 0.27.
    pub(super) fn text(&self, text: &str) -> Result<Embedding, EmbedError> {
        let tokens: Vec<i32> = self.tokenizer.tokens(text)?.into_iter().map(u32::cast_signed).collect();
        let shape = [1, tokens.len()];
        let mask = Tensor::from_data(&shape, vec![1_i32; tokens.len()]);
        let output = self.text.run(vec![Input::Int(Tensor::from_data(&shape, tokens)), Input::Int(mask)])?;
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
