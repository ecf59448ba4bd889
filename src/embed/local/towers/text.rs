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
    /// Whether the files put padding before a text.
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
/// A word with at least one token, of which long texts are made.
const LONG: &str = "cat ";
/// A number of tokens that every text tower takes.
const SHORT: usize = 16;
/// Maximum number of tokens of a text that is not padded. Some towers take 8,192, but no search has that many, and the
/// longest text is run at each start.
const MAX_FREE_TOKENS: usize = 512;
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
        let (pads_left, layer_norm) = (text.pads_left, spec.text_layer_norm);
        let tokenizer = TextTokenizer::parse(tokenizer, text)?;
        let tower = Self { network, inputs, length, pads_left, layer_norm, output, tokenizer };
        tower.check_padding()?;
        Ok(tower)
    }

    /// Fails if texts must be padded, but the files do not say how, or say it in a way that no supported model was trained
    /// with.
    fn check_padding(&self) -> Result<(), String> {
        let Some(length) = self.length else { return Ok(()) };
        self.tokenizer.pad().map_err(|reason| format!("texts must be padded to {length} tokens, but {reason}"))?;
        if self.pads_left {
            return Err(format!(
                "tokenizer_config.json: padding_side is \"left\", but texts must be padded to {length} tokens, which is \
                 supported on the right only"
            ));
        }
        Ok(())
    }

    /// Pads texts to `context` from now on if the tower reads its padding, which some towers do although their files
    /// describe a CLIP. The vector of a text that is padded is then another one.
    ///
    /// # Errors
    /// A message if the tower cannot process a text, or if its files put padding on the left.
    pub(super) fn detect_padding(&mut self) -> Result<(), String> {
        if self.length.is_some() || self.tokenizer.pad().is_err() {
            return Ok(());
        }
        let context = self.tokenizer.context();
        let alone = self.row(PROBE, None).map_err(|error| self.cannot(PROBE, &error))?;
        self.length = Some(context);
        let padded = self.row(PROBE, None).map_err(|error| self.cannot(PROBE, &error))?;
        let vector = |row: Vec<f32>| {
            let dimension = row.len();
            Embedding::normalised(row, dimension).map_err(|error| format!("the text tower: {error}"))
        };
        if vector(alone)?.cosine(&vector(padded)?) >= MIN_SAME_COSINE {
            self.length = None;
        } else {
            tracing::info!(context, "the text tower reads its padding, so every text is padded");
        }
        self.check_padding()
    }

    /// Runs the longest text that the files allow, and returns the number of values in its vector. If the network takes fewer
    /// tokens, longer texts are cut to what it takes, unless the model pads its texts. They are also cut to [`MAX_FREE_TOKENS`].
    pub(super) fn measure(&mut self) -> Result<usize, String> {
        let context = self.tokenizer.context();
        let stated = if self.length.is_some() { context } else { context.min(MAX_FREE_TOKENS) };
        let refused = match self.run_longest(stated) {
            Ok(dimension) => return Ok(dimension),
            Err(reason) if self.length.is_some() || stated <= SHORT => return Err(reason),
            Err(reason) => reason,
        };
        let (mut dimension, mut takes, mut fails) = (self.run_longest(SHORT).map_err(|_| refused)?, SHORT, stated);
        while fails - takes > 1 {
            let length = usize::midpoint(takes, fails);
            match self.run_longest(length) {
                Ok(of_longer) => (dimension, takes) = (of_longer, length),
                Err(_) => fails = length,
            }
        }
        self.tokenizer.set_context(takes)?;
        tracing::warn!(stated, takes, "the text tower takes fewer tokens than its files say; longer texts are cut");
        Ok(dimension)
    }

    /// Runs a text of this many tokens.
    fn run_longest(&mut self, tokens: usize) -> Result<usize, String> {
        self.tokenizer.set_context(tokens)?;
        let text = LONG.repeat(tokens);
        self.row(&text, None).map(|row| row.len()).map_err(|error| self.cannot(&text, &error))
    }

    /// Returns the maximum number of tokens of a text.
    pub(super) fn context(&self) -> usize {
        self.tokenizer.context()
    }

    fn cannot(&self, text: &str, error: &EmbedError) -> String {
        let tokens = self.ids(text, None).map_or(0, |ids| ids.padded.len());
        format!(
            "the text tower cannot process a text of {tokens} tokens: {error}; its files allow {} (max_position_embeddings \
             in config.json, context_length, or model_max_length in tokenizer_config.json): set the number of tokens that \
             the network takes",
            self.tokenizer.context()
        )
    }

    /// Returns the output row of a text.
    pub(super) fn row<'a>(&'a self, text: &str, language: Option<Language>) -> Result<Vec<f32>, EmbedError> {
        let Ids { padded, count } = self.ids(text, language)?;
        let (shape, length) = ([1, padded.len()], padded.len());
        let input = |(name, role): &'a (String, Role)| -> (&'a str, Input) {
            let values = match role {
                Role::Ids => padded.iter().copied().map(u32::cast_signed).collect(),
                Role::Mask => (0..length).map(|at| i32::from(at < count)).collect(),
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
        if let (Some(length), Ok(pad)) = (self.length, self.tokenizer.pad()) {
            padded.resize(count.max(length), pad);
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
