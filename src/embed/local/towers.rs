//! The two networks, run by rten on one thread each time.

use std::sync::Arc;

use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value};
use rten_tensor::Tensor;
use rten_tensor::prelude::*;

use super::card::Card;
use super::failed;
use super::text::Words;
use crate::domain::Embedding;
use crate::embed::EmbedError;
use crate::imaging::PreparedImage;

/// Both networks and the tokenizer; shared by all workers, changed by none.
pub(super) struct Towers {
    image: Tower<1>,
    text: Tower<2>,
    words: Words,
    /// What each of the 256 values of each channel is for the network.
    levels: [[f32; 256]; 3],
    size: u32,
    dimension: usize,
}

struct Tower<const INPUTS: usize> {
    model: Model,
    inputs: [NodeId; INPUTS],
    output: NodeId,
}

impl<const INPUTS: usize> Tower<INPUTS> {
    fn load(bytes: &'static [u8], prepack: bool, inputs: [&String; INPUTS], output: &str) -> Result<Self, EmbedError> {
        let model = ModelOptions::with_all_ops()
            .prepack_weights(prepack)
            .load_static_slice(bytes)
            .map_err(|error| failed(format!("the model does not load: {error}")))?;
        let node =
            |name: &str| model.node_id(name).map_err(|error| failed(format!("no `{name}` in the model: {error}")));
        let mut ids = [node(output)?; INPUTS];
        for (id, name) in ids.iter_mut().zip(inputs) {
            *id = node(name)?;
        }
        Ok(Self { output: node(output)?, inputs: ids, model })
    }

    /// One row of numbers per input of the batch.
    fn run(&self, inputs: [Value; INPUTS], threads: &Arc<ThreadPool>) -> Result<Tensor<f32>, EmbedError> {
        let refused = |reason: String| EmbedError::Rejected(format!("the model could not run: {reason}"));
        let inputs = self.inputs.iter().copied().zip(inputs.map(Into::into)).collect();
        let options = RunOptions::default().with_thread_pool(Some(threads.clone()));
        let [output] =
            self.model.run_n(inputs, [self.output], Some(options)).map_err(|error| refused(error.to_string()))?;
        output.into_tensor::<f32>().ok_or_else(|| refused("its output is no list of numbers".to_owned()))
    }
}

impl Towers {
    /// Loads what is inside the binary: about a quarter of a second.
    pub(super) fn load(card: &Card) -> Result<Self, EmbedError> {
        let [ids, mask] = &card.text.inputs;
        let level = |channel: usize| {
            let (mean, std) = (card.image.mean[channel], card.image.std[channel]);
            std::array::from_fn(|value| (u8::try_from(value).map_or(1.0, f32::from) / 255.0 - mean) / std)
        };
        Ok(Self {
            // Prepacked weights halve a short query (3.4 to 1.8 ms) for some 50 ms at the start and 45 MB; to the
            // convolutions of the image tower they make no difference.
            image: Tower::load(super::files::IMAGE, false, [&card.image.input], &card.image.output)?,
            text: Tower::load(super::files::TEXT, true, [ids, mask], &card.text.output)?,
            words: Words::parse(super::files::TOKENIZER, card.text.max_tokens)?,
            levels: std::array::from_fn(level),
            size: card.image.image_size,
            dimension: card.dimension,
        })
    }

    /// One embedding per picture.
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
                    "a picture of {given} pixels a side; the model takes {wanted}"
                )));
            }
            // The network wants all red, then all green, then all blue.
            for (channel, levels) in self.levels.iter().enumerate() {
                pixels.extend(image.rgb[channel..].iter().step_by(3).map(|&value| levels[usize::from(value)]));
            }
        }
        let input = Tensor::from_data(&[images.len(), 3, side, side], pixels);
        self.embeddings(&self.image.run([input.into()], threads)?, images.len())
    }

    /// The embedding of a text, cut to what the model reads. Never padded: a short text is a short run.
    pub(super) fn text(&self, text: &str, threads: &Arc<ThreadPool>) -> Result<Embedding, EmbedError> {
        let tokens: Vec<i32> = self.words.tokens(text)?.into_iter().map(u32::cast_signed).collect();
        let shape = [1, tokens.len()];
        let mask = Tensor::from_data(&shape, vec![1_i32; tokens.len()]);
        let output = self.text.run([Tensor::from_data(&shape, tokens).into(), mask.into()], threads)?;
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
