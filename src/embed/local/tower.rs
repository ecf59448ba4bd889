//! One network, run by rten on one thread each time.

use std::path::Path;
use std::sync::Arc;

use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value};
use rten_tensor::Tensor;

use super::weights;
use crate::embed::EmbedError;

/// A loaded network with the inputs and the output that are used of it.
pub(super) struct Tower {
    model: Model,
    inputs: Vec<NodeId>,
    output: NodeId,
}

impl Tower {
    /// From the bytes inside the binary. `prepack` arranges the weights once for a faster run, and holds them twice.
    pub(super) fn of_bytes(bytes: &'static [u8], prepack: bool, inputs: &[&str], output: &str) -> Result<Self, String> {
        let model = ModelOptions::with_all_ops().prepack_weights(prepack).load_static_slice(bytes);
        Self::of_model(model.map_err(|error| error.to_string())?, inputs, output)
    }

    /// From a file, with its weights, wherever it keeps them. Transformers are matrix products through and through: prepacked,
    /// a ViT-B/32 takes 53 ms an image where it took 68, and 9 ms a short query where it took 16 (int8: 20 for 40 and
    /// 3.5 for 13); the process holds 1.1 GB where it held 0.6 (int8: 0.37 for 0.25).
    pub(super) fn of_file(path: &Path, inputs: &[&str], output: &str) -> Result<Self, String> {
        Self::of_model(weights::load(path, ModelOptions::with_all_ops().prepack_weights(true))?, inputs, output)
    }

    /// The first of `inputs` must be there; the others are given where the network asks for them.
    fn of_model(model: Model, inputs: &[&str], output: &str) -> Result<Self, String> {
        let name = |id: NodeId| model.node_info(id).and_then(|node| node.name().map(str::to_owned)).unwrap_or_default();
        let asked: Vec<_> = model.input_ids().iter().map(|&id| name(id)).collect();
        if let Some(odd) = asked.iter().find(|name| !inputs.contains(&name.as_str())) {
            return Err(format!("it asks for the input `{odd}`; only {} can be given", inputs.join(" and ")));
        }
        let first = inputs.first().copied().unwrap_or_default();
        if !asked.iter().any(|name| name == first) {
            return Err(format!("it has no input `{first}`"));
        }
        let given =
            inputs.iter().filter_map(|input| model.find_node(input).filter(|id| model.input_ids().contains(id)));
        let output = model
            .output_ids()
            .iter()
            .copied()
            .find(|&id| name(id) == output)
            .ok_or_else(|| format!("it has no output `{output}`"))?;
        Ok(Self { inputs: given.collect(), output, model })
    }

    /// One row of numbers per input of the batch. Values in the order of the names that it was loaded with; what the
    /// network does not ask for is left out.
    pub(super) fn run(&self, values: Vec<Value>, threads: &Arc<ThreadPool>) -> Result<Tensor<f32>, EmbedError> {
        let refused = |reason: String| EmbedError::Rejected(format!("the model could not run: {reason}"));
        let inputs = self.inputs.iter().copied().zip(values.into_iter().map(Into::into)).collect();
        let options = RunOptions::default().with_thread_pool(Some(threads.clone()));
        let [output] =
            self.model.run_n(inputs, [self.output], Some(options)).map_err(|error| refused(error.to_string()))?;
        output.into_tensor::<f32>().ok_or_else(|| refused("its output is no list of numbers".to_owned()))
    }
}
