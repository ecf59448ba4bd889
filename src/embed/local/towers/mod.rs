//! Both networks and the tokenizer: makes embeddings from images and texts.

mod image;
mod output;
mod text;
pub(super) mod tokenizer;

use std::num::NonZeroUsize;
use std::sync::Arc;

use rten_tensor::prelude::*;

use image::ImageTower;
use text::TextTower;

use super::details::ModelDetails;
use super::engine::Network;
use super::unusable;
use crate::domain::{Embedding, Language};
use crate::embed::EmbedError;
use crate::imaging::{PreparedImage, Preprocessing};
use crate::models::{ModelSpec, Precision};

/// A loaded model, shared by all workers and never changed.
pub(super) struct Towers {
    pub(super) name: String,
    /// Number of values in a vector.
    pub(super) dimension: usize,
    pub(super) preprocessing: Preprocessing,
    /// Name of the rule by which texts are cleaned, for the identity of the space.
    pub(super) text_rule: &'static str,
    /// Images in one run of the image tower for the lowest time per image.
    pub(super) run: NonZeroUsize,
    /// `None` for the built-in model.
    pub(super) details: Option<ModelDetails>,
    image: ImageTower,
    text: TextTower,
}

/// The networks of a model; a network may be both towers.
pub(super) struct Networks {
    pub(super) image: Arc<dyn Network>,
    pub(super) text: Arc<dyn Network>,
    /// Images in one run of the image tower for the lowest time per image.
    pub(super) run: NonZeroUsize,
}

impl Towers {
    /// Connects the networks with the preparation of images and texts.
    ///
    /// # Errors
    /// A message with the inputs or outputs that are not supported.
    pub(super) fn new(
        name: String,
        spec: &ModelSpec,
        networks: Networks,
        tokenizer: &[u8],
        precision: Precision,
    ) -> Result<Self, String> {
        let image = ImageTower::new(networks.image, spec).map_err(|reason| format!("the image tower: {reason}"))?;
        let mut text = TextTower::new(networks.text, spec, tokenizer)?;
        // In 8 bits, padding changes the vector by the range of the values in the run.
        if spec.text.reads_end_token && precision != Precision::Int8 {
            text.detect_padding()?;
        }
        let dimension = dimension(spec.dimension, image.dimension(), text.measure()?)?;
        // Activations are scaled to 8 bits by their range in the run. With several images in a run, the vector of an
        // image would depend on the others (a cosine of 0.9988 was measured), for a fifth less CPU.
        let alone = image.takes_one() || precision == Precision::Int8;
        let run = if alone { NonZeroUsize::MIN } else { networks.run };
        let preprocessing = spec.image.preprocessing;
        let text_rule = spec.text.cleaning.name();
        Ok(Self { name, dimension, preprocessing, text_rule, run, details: None, image, text })
    }

    /// Returns one embedding per image.
    pub(super) fn images(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        let rows = self.image.rows(images)?;
        if rows.len() != images.len() {
            return Err(EmbedError::WrongCount { sent: images.len(), got: rows.len() });
        }
        if let Some(other) = rows.iter().map(Vec::len).find(|length| *length != self.dimension) {
            return Err(unusable(towers_differ(other, self.dimension)));
        }
        rows.into_iter().map(|row| self.embedding(row)).collect()
    }

    /// Returns the maximum number of tokens of a text.
    pub(super) fn context(&self) -> usize {
        self.text.context()
    }

    /// Returns the embedding of a text, cut to the maximum of the model.
    pub(super) fn text(&self, text: &str, language: Option<Language>) -> Result<Embedding, EmbedError> {
        self.embedding(self.text.row(text, language)?)
    }

    /// Returns the token ids that the text tower gets.
    #[cfg(test)]
    pub(super) fn ids(&self, text: &str, language: Option<Language>) -> Result<Vec<u32>, EmbedError> {
        self.text.ids(text, language).map(|ids| ids.padded)
    }

    fn embedding(&self, row: Vec<f32>) -> Result<Embedding, EmbedError> {
        Ok(Embedding::normalised(row, self.dimension)?)
    }
}

fn towers_differ(image: usize, text: usize) -> String {
    format!(
        "the image tower makes vectors of {image} numbers and the text tower of {text}; both towers must be of one model"
    )
}

/// Returns the number of values in a vector: that of the text tower, which must be that of the image tower and of the
/// files, as far as these say it.
fn dimension(stated: Option<usize>, image: Option<usize>, text: usize) -> Result<usize, String> {
    if let Some(image) = image.filter(|image| *image != text) {
        return Err(towers_differ(image, text));
    }
    match stated.filter(|stated| *stated != text) {
        Some(stated) => Err(format!(
            "its towers make vectors of {text} numbers, but its files say {stated} (projection_dim in config.json, or \
             embed_dim); the files must be of one model"
        )),
        None => Ok(text),
    }
}

/// Returns the rows of an output with one vector for each input.
fn rows(output: &rten_tensor::Tensor<f32>) -> Vec<Vec<f32>> {
    let count = output.shape().first().copied().unwrap_or(0);
    let numbers = output.to_vec();
    let length = numbers.len() / count.max(1);
    if length == 0 { Vec::new() } else { numbers.chunks_exact(length).map(<[f32]>::to_vec).collect() }
}

/// Lists names for an error.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
