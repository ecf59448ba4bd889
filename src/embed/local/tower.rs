//! One network, which rten runs on one thread.

use std::path::Path;
use std::sync::Arc;

use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value};
use rten_tensor::Tensor;

use super::weights;
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
    model: Model,
    inputs: Vec<NodeId>,
    output: NodeId,
}

impl Tower {
    /// Loads a network from bytes in the binary. `prepack` rearranges the weights once for faster runs, and keeps them
    /// in memory twice.
    pub(super) fn from_bytes(bytes: &'static [u8], prepack: bool, signature: &Signature) -> Result<Self, String> {
        let model = ModelOptions::with_all_ops().prepack_weights(prepack).load_static_slice(bytes);
        Self::from_model(model.map_err(|error| error.to_string())?, signature)
    }

    /// Loads a network from a file, including weights in other files. Prepacks the weights, because transformers
    /// consist of matrix products: a ViT-B/32 then takes 53 ms per image instead of 68, and 9 ms per short query
    /// instead of 16 (int8: 20 instead of 40, and 3.5 instead of 13). The process needs 1.1 GB instead of 0.6 (int8:
    /// 0.37 instead of 0.25).
    pub(super) fn from_file(path: &Path, signature: &Signature) -> Result<Self, String> {
        Self::from_model(weights::load(path, ModelOptions::with_all_ops().prepack_weights(true))?, signature)
    }

    fn from_model(model: Model, &Signature { inputs, output }: &Signature) -> Result<Self, String> {
        let name = |id: NodeId| model.node_info(id).and_then(|node| node.name().map(str::to_owned)).unwrap_or_default();
        let names: Vec<_> = model.input_ids().iter().map(|&id| name(id)).collect();
        if let Some(other) = names.iter().find(|name| !inputs.contains(&name.as_str())) {
            return Err(format!("it has the input `{other}`; only {} is supported", inputs.join(" and ")));
        }
        let first = inputs.first().copied().unwrap_or_default();
        if !names.iter().any(|name| name == first) {
            return Err(format!("it has no input `{first}`"));
        }
        let used = inputs.iter().filter_map(|input| model.find_node(input).filter(|id| model.input_ids().contains(id)));
        let output = model
            .output_ids()
            .iter()
            .copied()
            .find(|&id| name(id) == output)
            .ok_or_else(|| format!("it has no output `{output}`"))?;
        Ok(Self { inputs: used.collect(), output, model })
    }

    /// Returns one row of numbers per input of the batch. `values` are in the order of the used inputs; further values
    /// are ignored.
    pub(super) fn run(&self, values: Vec<Value>, threads: &Arc<ThreadPool>) -> Result<Tensor<f32>, EmbedError> {
        let rejected = |reason: String| EmbedError::Rejected(format!("the model cannot process it: {reason}"));
        let inputs = self.inputs.iter().copied().zip(values.into_iter().map(Into::into)).collect();
        let options = RunOptions::default().with_thread_pool(Some(threads.clone()));
        let [output] =
            self.model.run_n(inputs, [self.output], Some(options)).map_err(|error| rejected(error.to_string()))?;
        output.into_tensor::<f32>().ok_or_else(|| rejected("its output is not a list of numbers".to_owned()))
    }
}
