//! The engine rten: portable, on one thread of the CPU.

mod graph;
mod plan;

use std::fs::File;
use std::io::{self, Cursor};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rten::{DataType, Dimension, Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueType};
use rten_tensor::Tensor;

use self::plan::Plan;
use super::{Element, Input, Network, Port, rejected};
use crate::embed::EmbedError;
use crate::embed::local::weights::{self, Node};

thread_local! {
    /// Each worker runs its networks on itself only.
    static THREADS: Arc<ThreadPool> = Arc::new(ThreadPool::with_num_threads(1));
}

/// A network in rten.
pub(super) struct RtenNetwork {
    model: Model,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    /// The operators; none if there is no depthwise convolution.
    nodes: Vec<Node>,
    /// Made at the first run, for the output that is then asked for.
    plan: OnceLock<Option<Plan>>,
}

impl RtenNetwork {
    /// Loads a network from bytes in the binary. `prepack` rearranges the weights once for faster runs, and keeps them
    /// in memory twice.
    pub(super) fn from_bytes(bytes: &'static [u8], prepack: bool) -> Result<Self, String> {
        let model = ModelOptions::with_all_ops().prepack_weights(prepack).load_static_slice(bytes);
        Ok(Self::new(model.map_err(|error| error.to_string())?, weights::nodes(Cursor::new(bytes))))
    }

    /// Loads a network from a file, including weights in other files. Prepacks the weights, because transformers
    /// consist of matrix products: a ViT-B/32 then takes 53 ms per image instead of 68, and 9 ms per short query
    /// instead of 16 (int8: 20 instead of 40, and 3.5 instead of 13). The process needs 1.1 GB instead of 0.6 (int8:
    /// 0.37 instead of 0.25).
    pub(super) fn from_file(path: &Path) -> Result<Self, String> {
        let model = weights::load(path, ModelOptions::with_all_ops().prepack_weights(true))?;
        Ok(Self::new(model, File::open(path).and_then(weights::nodes)))
    }

    fn new(model: Model, nodes: io::Result<Vec<Node>>) -> Self {
        let ports = |ids: &[NodeId]| ids.iter().map(|&id| port(&model, id)).collect();
        let (inputs, outputs) = (ports(model.input_ids()), ports(model.output_ids()));
        let mut nodes = nodes.unwrap_or_default();
        if !nodes.iter().any(graph::is_candidate) {
            nodes.clear();
        }
        Self { model, inputs, outputs, nodes, plan: OnceLock::new() }
    }

    /// Returns the plan for an output that gives the same result as rten alone: with kernels of ours for all
    /// convolutions, or only for the depthwise ones.
    fn new_plan(&self, output: &str, inputs: &[(NodeId, Value)], options: &RunOptions) -> Option<Plan> {
        for dense in [true, false] {
            let plan = Plan::new(&self.model, &self.nodes, output, dense)?;
            if plan.agrees(&self.model, inputs, options) {
                return Some(plan);
            }
        }
        tracing::warn!(output, "depthwise convolutions of this model run without SIMD");
        None
    }

    /// Returns the node of an input or output by its position in the list that has its name.
    fn node(ports: &[Port], ids: &[NodeId], name: &str) -> Result<NodeId, EmbedError> {
        let position = ports.iter().position(|port| port.name == name);
        position.and_then(|at| ids.get(at)).copied().ok_or_else(|| rejected(format!("it has no tensor `{name}`")))
    }
}

impl Network for RtenNetwork {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn run(&self, inputs: Vec<(&str, Input)>, output: &str) -> Result<Tensor<f32>, EmbedError> {
        let node = |(name, value)| Ok((Self::node(&self.inputs, self.model.input_ids(), name)?, to_value(value)));
        let inputs = inputs.into_iter().map(node).collect::<Result<Vec<_>, EmbedError>>()?;
        let id = Self::node(&self.outputs, self.model.output_ids(), output)?;
        let threads = THREADS.with(Arc::clone);
        let options = RunOptions::default().with_thread_pool(Some(threads.clone()));
        // One change of threads, in place of one for each step.
        let result = threads.run(|| {
            let plan = self.plan.get_or_init(|| self.new_plan(output, &inputs, &options));
            if let Some(result) = plan.as_ref().and_then(|plan| plan.run(&self.model, &inputs, id, &options)) {
                return Ok(result);
            }
            let inputs = inputs.into_iter().map(|(id, value)| (id, value.into())).collect();
            self.model.run_n(inputs, [id], Some(options)).map(|[result]| result)
        });
        result.map_err(rejected)?.into_tensor::<f32>().ok_or_else(|| rejected("its output is not a list of numbers"))
    }
}

fn to_value(input: Input) -> Value {
    match input {
        Input::F32(tensor) => tensor.into(),
        Input::U8(tensor) => tensor.into(),
        Input::Int(tensor) => tensor.into(),
    }
}

fn port(model: &Model, id: NodeId) -> Port {
    let info = model.node_info(id);
    let name = info.as_ref().and_then(|info| info.name().map(str::to_owned)).unwrap_or_default();
    // 64-bit integers are 32-bit ones in rten, and 16-bit floats are converted to 32 bits at load.
    let element = match info.as_ref().and_then(rten::NodeInfo::dtype) {
        Some(ValueType::Tensor(DataType::Float)) => Element::F32,
        Some(ValueType::Tensor(DataType::Int32)) => Element::Int,
        Some(ValueType::Tensor(DataType::UInt8)) => Element::U8,
        _ => Element::Other,
    };
    let length = |dimension: Dimension| match dimension {
        Dimension::Fixed(length) => Some(length),
        Dimension::Symbolic(_) => None,
    };
    let shape = info.and_then(|info| info.shape()).unwrap_or_default().into_iter().map(length).collect();
    Port { name, element, shape }
}

#[cfg(test)]
mod tests;
