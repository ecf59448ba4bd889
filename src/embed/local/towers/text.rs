//! The text tower: from a text to the inputs of the network.

use std::sync::Arc;

use rten_tensor::Tensor;

use super::listed;
use super::output::{Output, layer_norm};
use super::tokenizer::TextTokenizer;
use crate::domain::space::MIN_SAME_COSINE;
use crate::domain::{Embedding, Language};
use crate::embed::EmbedError;
use crate::embed::local::engine::{Element, Input, Network};
use crate::models::ModelSpec;

/// A network with the inputs and the output that are used.
pub(super) struct TextTower {
    network: Arc<dyn Network>,
    inputs: Vec<(String, Role)>,
    /// Number of tokens of every text, if it is fixed.
    length: Option<usize>,
    pads_left: bool,
    layer_norm: bool,
    output: Output,
    tokenizer: TextTokenizer,
}

/// What an input contains.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Ids,
    /// 1 for each token of the text, 0 for padding.
    Mask,
    /// All zero.
    Types,
}

/// Names of inputs in exports.
const INPUTS: [(&str, Role); 5] = [
    ("input_ids", Role::Ids),
    ("text", Role::Ids),
    ("input", Role::Ids),
    ("attention_mask", Role::Mask),
    ("token_type_ids", Role::Types),
];
/// A text for checks at load.
const PROBE: &str = "a photo of a cat";
/// The input of the other tower of a network with both, which is not computed.
const IMAGE_INPUT: &str = "pixel_values";

/// The tokens of a text.
pub(super) struct Ids {
    pub(super) padded: Vec<u32>,
    /// Number of tokens without padding.
    count: usize,
}

impl TextTower {
    pub(super) fn new(network: Arc<dyn Network>, spec: &ModelSpec, tokenizer: &[u8]) -> Result<Self, String> {
        let named = |reason: String| format!("the text tower: {reason}");
        let inputs = inputs(&*network).map_err(named)?;
        let output = Output::choose(&*network, "text", spec.text_output).map_err(named)?;
        let ids = network
            .inputs()
            .iter()
            .find(|port| inputs.iter().any(|(name, role)| *role == Role::Ids && *name == port.name));
        let shape = ids.map(|port| &port.shape[..]).unwrap_or_default();
        if let Some(batch) = shape.first().copied().flatten().filter(|batch| *batch != 1) {
            return Err(named(format!("it takes exactly {batch} texts in a run; only 1 or any number is supported")));
        }
        let mut text = spec.text.clone();
        let fixed = shape.get(1).copied().flatten();
        let length = fixed.or_else(|| text.pads_to_context.then_some(text.context));
        text.context = text.context.min(fixed.unwrap_or(usize::MAX));
        let pads_left = text.pads_left;
        let tokenizer = TextTokenizer::parse(tokenizer, text)?;
        if length.is_some() && tokenizer.pad().is_none() {
            return Err(
                "its texts must be padded, but neither tokenizer_config.json nor tokenizer.json names the pad token"
                    .to_owned(),
            );
        }
        if pads_left && length.is_some() && spec.text_output.hidden.is_some() {
            return Err("padding before a text is not supported for a mean over its tokens".to_owned());
        }
        let layer_norm = spec.text_layer_norm;
        Ok(Self { network, inputs, length, pads_left, layer_norm, output, tokenizer })
    }

    /// Pads texts to `context` from now on if the tower reads its padding, which some towers do although their files
    /// describe a CLIP. The vector of a text that is padded is then another one.
    pub(super) fn detect_padding(&mut self, context: usize) -> Result<(), EmbedError> {
        if self.length.is_some() || self.tokenizer.pad().is_none() {
            return Ok(());
        }
        let alone = self.row(PROBE, None)?;
        self.length = Some(context);
        let padded = self.row(PROBE, None)?;
        let vector = |row: Vec<f32>| {
            let dimension = row.len();
            Embedding::normalised(row, dimension)
        };
        if vector(alone)?.cosine(&vector(padded)?) >= MIN_SAME_COSINE {
            self.length = None;
        } else {
            tracing::info!(context, "the text tower reads its padding, so every text is padded");
        }
        Ok(())
    }

    pub(super) fn dimension(&self) -> Option<usize> {
        self.output.dimension
    }

    /// Returns the number of values in the vector of a text.
    pub(super) fn measure(&self) -> Result<usize, EmbedError> {
        self.row(PROBE, None).map(|row| row.len())
    }

    /// Returns the output row of a text.
    pub(super) fn row<'a>(&'a self, text: &str, language: Option<Language>) -> Result<Vec<f32>, EmbedError> {
        let Ids { padded, count } = self.ids(text, language)?;
        let (shape, length) = ([1, padded.len()], padded.len());
        let is_text = |at: usize| if self.pads_left { at >= length - count } else { at < count };
        let input = |(name, role): &'a (String, Role)| -> (&'a str, Input) {
            let values = match role {
                Role::Ids => padded.iter().copied().map(u32::cast_signed).collect(),
                Role::Mask => (0..length).map(|at| i32::from(is_text(at))).collect(),
                Role::Types => vec![0; length],
            };
            (name, Input::Int(Tensor::from_data(&shape, values)))
        };
        let inputs = self.inputs.iter().map(input).collect();
        let output = self.network.run(inputs, &self.output.name)?;
        let mut rows = self.output.vectors(&output, &[count]);
        let (Some(mut row), true) = (rows.pop(), rows.is_empty()) else {
            return Err(EmbedError::WrongCount { sent: 1, got: rows.len() });
        };
        if self.layer_norm {
            layer_norm(&mut row);
        }
        Ok(row)
    }

    /// Returns the tokens of a text, padded if the network or the model needs it.
    ///
    /// Other texts are not padded: a short text needs only a short run.
    pub(super) fn ids(&self, text: &str, language: Option<Language>) -> Result<Ids, EmbedError> {
        let mut padded = self.tokenizer.tokens(text, language)?;
        let count = padded.len();
        if let (Some(length), Some(pad)) = (self.length, self.tokenizer.pad()) {
            let padding = std::iter::repeat_n(pad, length.saturating_sub(count));
            if self.pads_left {
                padded.splice(0..0, padding);
            } else {
                padded.extend(padding);
            }
        }
        Ok(Ids { padded, count })
    }
}

/// Returns the inputs of the text tower.
fn inputs(network: &dyn Network) -> Result<Vec<(String, Role)>, String> {
    let mut inputs = Vec::new();
    for port in network.inputs().iter().filter(|port| port.name != IMAGE_INPUT) {
        let role = INPUTS.iter().find(|(name, _)| *name == port.name).map(|(_, role)| *role);
        let Some(role) = role.filter(|_| port.element == Element::Int) else {
            let known = listed(INPUTS.iter().map(|(name, _)| *name));
            return Err(format!("it has the input `{}`; supported are {known}, of integers", port.name));
        };
        inputs.push((port.name.clone(), role));
    }
    if !inputs.iter().any(|(_, role)| *role == Role::Ids) {
        return Err(format!("it has no input {} for the tokens", listed(["input_ids", "text"].into_iter())));
    }
    Ok(inputs)
}
