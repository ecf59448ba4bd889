//! Runs a network in steps: rten runs the operators between depthwise and dense convolutions, which kernels of ours
//! compute. rten's own kernel for depthwise ones is not vectorised (ADR 0019).

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};

use convolution::{Simd, Workspace};
use rten::{Model, NodeId, RunOptions, Value, ValueOrView};
use rten_tensor::Tensor;
use rten_tensor::prelude::*;

use super::graph::{Graph, Kernel};
use crate::embed::local::weights::Node;

/// Greatest difference of a value to rten's result, relative to the greatest value.
const TOLERANCE: f32 = 1e-3;

thread_local! {
    /// Kept between runs: new memory costs a page fault for each page. A worker runs one network at a time.
    static WORKSPACE: RefCell<Workspace> = RefCell::new(Workspace::new(Simd::fastest()));
}

pub(super) struct Plan {
    steps: Vec<Step>,
    output: NodeId,
}

struct Step {
    inputs: Vec<StepInput>,
    outputs: Vec<NodeId>,
    /// `None` if rten runs this step.
    own: Option<Own>,
}

/// A convolution by a kernel of ours.
struct Own {
    kernel: Kernel,
    input: NodeId,
    /// A value that is added to the output.
    addend: Option<NodeId>,
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
    own: Option<(Kernel, &'a str, Option<&'a str>)>,
}

impl Plan {
    /// Returns `None` if the kernels support none of the convolutions. If `dense` is true, dense convolutions are
    /// computed by a kernel, too.
    pub(super) fn new(model: &Model, nodes: &[Node], output: &str, dense: bool) -> Option<Self> {
        let graph = Graph::new(model, nodes, output);
        let mut parts = parts(&graph, dense);
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
            let own = match part.own {
                Some((kernel, input, addend)) => {
                    let addend = addend.map(|name| model.find_node(name).ok_or(())).transpose().ok()?;
                    Some(Own { kernel, input: model.find_node(input)?, addend })
                }
                None => None,
            };
            steps.push(Step { inputs: step_inputs, outputs, own });
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
            let results = match &step.own {
                Some(own) => {
                    let convolve = |workspace: &mut _| step.convolve(own, inputs, &mut values, workspace);
                    vec![WORKSPACE.with_borrow_mut(convolve)?]
                }
                None => step.run(model, inputs, &mut values, options)?,
            };
            values.extend(step.outputs.iter().copied().zip(results));
        }
        values.remove(&output)
    }
}

/// Splits the operators at the convolutions.
fn parts<'a>(graph: &Graph<'a>, dense: bool) -> Vec<Part<'a>> {
    let convolutions = graph.convolutions(dense);
    let replaced: HashSet<usize> = convolutions.iter().flat_map(|found| found.nodes.iter().copied()).collect();
    let mut convolutions = convolutions.into_iter().peekable();
    let mut parts = Vec::new();
    let mut part = Part::default();
    for (at, node) in graph.nodes.iter().enumerate() {
        if let Some(found) = convolutions.next_if(|found| found.nodes.last() == Some(&at)) {
            let reads = [Some(found.input), found.addend].into_iter().flatten().collect();
            parts.push(std::mem::take(&mut part));
            let own = Some((found.kernel, found.input, found.addend));
            parts.push(Part { reads, writes: BTreeSet::from([found.output]), own });
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

    fn convolve(
        &self,
        own: &Own,
        inputs: &[(NodeId, Value)],
        values: &mut HashMap<NodeId, Value>,
        workspace: &mut Workspace,
    ) -> Option<Value> {
        let tensor = |id| {
            let input = || inputs.iter().find(|(input, _)| *input == id).map(|(_, value)| value);
            values.get(&id).or_else(input)?.as_tensor_view::<f32>()
        };
        let input = tensor(own.input)?;
        let shape: [usize; 4] = input.shape().try_into().ok()?;
        let input = input.to_contiguous();
        let (result, shape) = match &own.kernel {
            Kernel::Depthwise(kernel) => kernel.apply(input.data(), shape, workspace)?,
            Kernel::Dense(kernel) => {
                let addend = match own.addend {
                    Some(addend) => Some(tensor(addend)?),
                    None => None,
                };
                let contiguous = addend.as_ref().map(rten_tensor::TensorBase::to_contiguous);
                let contiguous = contiguous.as_ref().map(rten_tensor::Contiguous::data);
                let (result, shape) = kernel.apply(input.data(), shape, contiguous, workspace)?;
                // An addend of another shape would be broadcast.
                let is_added = addend.is_none_or(|addend| addend.shape() == shape);
                is_added.then_some((result, shape))?
            }
        };
        for input in self.inputs.iter().filter(|input| !input.is_kept) {
            if let Some(tensor) = values.remove(&input.id).and_then(Value::into_tensor::<f32>) {
                workspace.recycle(tensor.into_data());
            }
        }
        Some(Tensor::from_data(&shape, result).into())
    }
}
