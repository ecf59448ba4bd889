//! One tower of a model: a network with the inputs and the output that are used.

use rten_tensor::Tensor;

use super::engine::{Input, Network};
use crate::embed::EmbedError;

/// Names of the inputs and of the output of a network.
pub(super) struct Signature {
    /// The network must have the first input; the others are optional.
    inputs: &'static [&'static str],
    output: &'static str,
}

/// The image tower, in all exports.
pub(super) const IMAGE: Signature = Signature { inputs: &["pixel_values"], output: "image_embeds" };
/// The text tower, in all exports.
pub(super) const TEXT: Signature = Signature { inputs: &["input_ids", "attention_mask"], output: "text_embeds" };

/// A loaded network with the inputs and the output that are used.
pub(super) struct Tower {
    network: Box<dyn Network>,
    inputs: Vec<&'static str>,
    output: &'static str,
}

impl Tower {
    pub(super) fn new(network: Box<dyn Network>, &Signature { inputs, output }: &Signature) -> Result<Self, String> {
        let has = |name: &str| network.inputs().iter().any(|port| port.name == name);
        if let Some(other) = network.inputs().iter().find(|port| !inputs.contains(&&*port.name)) {
            return Err(format!("it has the input `{}`; only {} is supported", other.name, inputs.join(" and ")));
        }
        if let Some(first) = inputs.first().filter(|name| !has(name)) {
            return Err(format!("it has no input `{first}`"));
        }
        if !network.outputs().iter().any(|port| port.name == output) {
            return Err(format!("it has no output `{output}`"));
        }
        let inputs = inputs.iter().copied().filter(|name| has(name)).collect();
        Ok(Self { network, inputs, output })
    }

    /// Returns one row of numbers per input of the batch. `values` are in the order of the signature; those of inputs
    /// that the network does not have are ignored.
    pub(super) fn run(&self, values: Vec<Input>) -> Result<Tensor<f32>, EmbedError> {
        self.network.run(self.inputs.iter().copied().zip(values).collect(), self.output)
    }
}
