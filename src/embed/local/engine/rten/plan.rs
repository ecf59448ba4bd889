//! Runs a network in steps: rten runs the operators between depthwise convolutions, which a kernel of ours computes.
//! rten's own kernel for them is not vectorised (ADR 0019).

use std::collections::{BTreeSet, HashMap, HashSet};

use depthwise::{Depthwise, Simd};
use rten::{Model, NodeId, RunOptions, Value, ValueOrView};
use rten_tensor::Tensor;
use rten_tensor::prelude::*;

use super::graph::Graph;
use crate::embed::local::weights::Node;

/// Greatest difference of a value to rten's result, relative to the greatest value.
const TOLERANCE: f32 = 1e-3;

pub(super) struct Plan {
    steps: Vec<Step>,
    output: NodeId,
}

struct Step {
    inputs: Vec<StepInput>,
    outputs: Vec<NodeId>,
    /// `None` if rten runs this step.
    depthwise: Option<Depthwise>,
}

struct StepInput {
    id: NodeId,
    /// Whether a later step reads it too.
    is_kept: bool,
}

/// The values that the operators of a step read and write.
#[derive(Default)]
struct Part<'a> {
    reads: BTreeSet<&'a str>,
    writes: BTreeSet<&'a str>,
    depthwise: Option<Depthwise>,
}

impl Plan {
    /// Returns `None` if there is no depthwise convolution that the kernel supports.
    pub(super) fn new(model: &Model, nodes: &[Node], output: &str) -> Option<Self> {
        let graph = Graph::new(model, nodes, output);
        let mut parts = parts(&graph);
        if parts.len() == 1 {
            return None;
        }
        let computed: HashSet<&str> = parts.iter().flat_map(|part| part.writes.iter().copied()).collect();
        let mut needed = BTreeSet::from([output]);
        let mut steps = Vec::new();
        while let Some(part) = parts.pop() {
            let outputs = part.writes.intersection(&needed).map(|name| model.find_node(name));
            let outputs = outputs.collect::<Option<Vec<_>>>()?;
            if outputs.is_empty() {
                continue;
            }
            let inputs: Vec<_> = part.reads.difference(&part.writes).filter(|name| computed.contains(*name)).collect();
            let input = |name: &&&str| Some(StepInput { id: model.find_node(name)?, is_kept: needed.contains(**name) });
            let step_inputs = inputs.iter().map(input).collect::<Option<_>>()?;
            steps.push(Step { inputs: step_inputs, outputs, depthwise: part.depthwise });
            needed.extend(inputs);
        }
        steps.reverse();
        Some(Self { steps, output: model.find_node(output)? })
    }

    /// Whether the plan has the result of rten alone, whose optimiser may have changed the network.
    pub(super) fn agrees(&self, model: &Model, inputs: &[(NodeId, Value)], options: &RunOptions) -> bool {
        let floats = |value: Value| value.into_tensor::<f32>().map(Tensor::into_data);
        let views = inputs.iter().map(|(id, value)| (*id, value.into())).collect();
        let expected = model.run_n(views, [self.output], Some(options.clone()));
        let (Ok([expected]), Some(result)) = (expected, self.run(model, inputs, self.output, options)) else {
            return false;
        };
        let (Some(expected), Some(result)) = (floats(expected), floats(result)) else { return false };
        let greatest = |values: &mut dyn Iterator<Item = f32>| values.map(f32::abs).fold(0.0, f32::max);
        let difference = greatest(&mut expected.iter().zip(&result).map(|(a, b)| a - b));
        expected.len() == result.len() && difference <= TOLERANCE * greatest(&mut expected.iter().copied())
    }

    /// Returns `None` if it cannot compute this output of these inputs.
    pub(super) fn run(
        &self,
        model: &Model,
        inputs: &[(NodeId, Value)],
        output: NodeId,
        options: &RunOptions,
    ) -> Option<Value> {
        if output != self.output {
            return None;
        }
        let mut values = HashMap::new();
        for step in &self.steps {
            let results = match &step.depthwise {
                Some(depthwise) => vec![step.convolve(depthwise, &mut values)?],
                None => step.run(model, inputs, &mut values, options)?,
            };
            values.extend(step.outputs.iter().copied().zip(results));
        }
        values.remove(&output)
    }
}

/// Splits the operators at the convolutions.
fn parts<'a>(graph: &Graph<'a>) -> Vec<Part<'a>> {
    let convolutions = graph.convolutions();
    let replaced: HashSet<usize> = convolutions.iter().flat_map(|found| found.nodes.iter().copied()).collect();
    let mut convolutions = convolutions.into_iter().peekable();
    let mut parts = Vec::new();
    let mut part = Part::default();
    for (at, node) in graph.nodes.iter().enumerate() {
        if let Some(found) = convolutions.next_if(|found| found.nodes.first() == Some(&at)) {
            let (reads, writes) = (BTreeSet::from([found.input]), BTreeSet::from([found.output]));
            parts.push(std::mem::take(&mut part));
            parts.push(Part { reads, writes, depthwise: Some(found.depthwise) });
        } else if !replaced.contains(&at) {
            part.reads.extend(node.input.iter().map(String::as_str));
            part.writes.extend(node.output.iter().map(String::as_str));
        }
    }
    parts.push(part);
    parts
}

impl Step {
    fn run(
        &self,
        model: &Model,
        inputs: &[(NodeId, Value)],
        values: &mut HashMap<NodeId, Value>,
        options: &RunOptions,
    ) -> Option<Vec<Value>> {
        let (kept, last): (Vec<_>, Vec<_>) = self.inputs.iter().partition(|input| input.is_kept);
        // rten may reuse the memory of values that it owns.
        let last = last.iter().map(|input| Some((input.id, values.remove(&input.id)?.into())));
        let mut all = last.collect::<Option<Vec<(NodeId, ValueOrView)>>>()?;
        for input in kept {
            all.push((input.id, values.get(&input.id)?.into()));
        }
        // rten computes sizes from the inputs of the network, wherever they are needed.
        all.extend(inputs.iter().map(|(id, value)| (*id, value.into())));
        model.run(all, &self.outputs, Some(options.clone())).ok()
    }

    fn convolve(&self, depthwise: &Depthwise, values: &mut HashMap<NodeId, Value>) -> Option<Value> {
        let input = self.inputs.first()?;
        let value = if input.is_kept { values.get(&input.id)?.clone() } else { values.remove(&input.id)? };
        let tensor = value.into_tensor::<f32>()?;
        let shape: [usize; 4] = tensor.shape().try_into().ok()?;
        let mut data = tensor.into_data();
        let shape = depthwise.apply(&mut data, shape, Simd::fastest())?;
        Some(Tensor::from_data(&shape, data).into())
    }
}
