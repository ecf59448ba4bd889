//! The operators between the inputs of a network and one of its outputs, and the depthwise and dense convolutions among
//! them.

use std::collections::HashSet;

use convolution::{Clip, Dense, Depthwise, Parameters, Window};
use rten::Model;
use rten_tensor::Tensor;
use rten_tensor::prelude::*;

use crate::embed::local::weights::{Attribute, Node};

pub(super) struct Graph<'a> {
    model: &'a Model,
    /// All operators of the file.
    all: &'a [Node],
    /// Those that depend on an input and that the output depends on, in the order of the file, which is that of a run.
    pub(super) nodes: Vec<&'a Node>,
    output: &'a str,
}

/// A convolution with the operators around it that its kernel computes too.
pub(super) struct Convolution<'a> {
    /// Positions of the operators that it replaces, in their order.
    pub(super) nodes: Vec<usize>,
    pub(super) input: &'a str,
    /// A value that is added to its output.
    pub(super) addend: Option<&'a str>,
    pub(super) output: &'a str,
    pub(super) kernel: Kernel,
}

pub(super) enum Kernel {
    Depthwise(Depthwise),
    Dense(Dense),
}

/// Maximum number of input channels of a dense convolution with larger filters than 1 x 1, whose values are copied for
/// each weight: the first convolution of a network, which reads the image.
const MAX_UNFOLDED: usize = 4;

/// Whether the operator may be a depthwise convolution.
pub(super) fn is_candidate(node: &Node) -> bool {
    node.is("Conv") && node.attribute("group").is_some_and(|group| group.i > 1)
}

impl<'a> Graph<'a> {
    pub(super) fn new(model: &'a Model, all: &'a [Node], output: &'a str) -> Self {
        let mut needed = HashSet::from([output]);
        let mut nodes = Vec::new();
        for node in all.iter().rev() {
            if node.output.iter().any(|name| needed.contains(name.as_str())) {
                needed.extend(node.input.iter().map(String::as_str));
                nodes.push(node);
            }
        }
        nodes.reverse();
        let inputs = model.input_ids().iter().filter_map(|&id| model.node_info(id)?.name());
        let mut computed: HashSet<&str> = inputs.collect();
        nodes.retain(|node| {
            let is_computed = node.input.iter().any(|name| computed.contains(name.as_str()));
            if is_computed {
                computed.extend(node.output.iter().map(String::as_str));
            }
            is_computed
        });
        Self { model, all, nodes, output }
    }

    /// Returns the convolutions in the order in which they can run: when all operators before the last one that they
    /// replace have run.
    pub(super) fn convolutions(&self, dense: bool) -> Vec<Convolution<'a>> {
        let all = 0..self.nodes.len();
        let mut found: Vec<_> = all.clone().filter_map(|at| self.depthwise(at, dense)).collect();
        let mut replaced: HashSet<usize> = found.iter().flat_map(|found| found.nodes.iter().copied()).collect();
        for at in all.filter(|_| dense) {
            if let Some(convolution) = self.dense(at, &replaced) {
                replaced.extend(&convolution.nodes);
                found.push(convolution);
            }
        }
        found.sort_by_key(|found| found.nodes.last().copied());
        found
    }

    fn depthwise(&self, at: usize, dense: bool) -> Option<Convolution<'a>> {
        let node = self.nodes[at];
        if !is_candidate(node) {
            return None;
        }
        let weights = self.weights(node)?;
        let &[channels, 1, ..] = weights.shape() else { return None };
        let mut input = node.input.first()?.as_str();
        let (mut nodes, mut clip_input, mut before) = (vec![at], Clip::NONE, None);
        if let Some(producer) = self.only_producer(input, at)
            && let Some(clip) = self.clip(producer)
        {
            (input, clip_input) = (self.nodes[producer].input.first()?, clip);
            nodes.insert(0, producer);
        }
        if let Some(producer) = self.only_producer(input, nodes[0]).filter(|_| dense)
            && let Some(convolution) = self.product(self.nodes[producer], clip_input)
        {
            (input, clip_input) = (self.nodes[producer].input.first()?, Clip::NONE);
            before = Some(convolution);
            nodes.insert(0, producer);
        }
        let (output, clip_output) = self.clip_after(&mut nodes)?;
        let parameters = Parameters {
            groups: node.attribute("group")?.i.try_into().ok()?,
            window: window(node, &weights)?,
            weights: weights.to_vec(),
            bias: self.bias(node, channels)?,
            clip_input,
            clip_output,
        };
        let kernel = Kernel::Depthwise(Depthwise::new(parameters, before)?);
        Some(Convolution { nodes, input, addend: None, output, kernel })
    }

    fn dense(&self, at: usize, replaced: &HashSet<usize>) -> Option<Convolution<'a>> {
        let node = self.nodes[at];
        if replaced.contains(&at) {
            return None;
        }
        let (mut nodes, mut addend) = (vec![at], None);
        // Another convolution may replace the addition, if it adds the outputs of both.
        let sum = self.only_user(node.output.first()?).filter(|user| !replaced.contains(user));
        let sum = sum.filter(|&user| self.nodes[user].is("Add"));
        if let Some(sum) = sum
            && let Some(other) = self.nodes[sum].input.iter().find(|input| !node.output.contains(input))
            && self.producer(other).is_some()
        {
            addend = Some(other.as_str());
            nodes.push(sum);
        }
        let (output, clip) = self.clip_after(&mut nodes)?;
        let kernel = Kernel::Dense(self.product(node, clip)?);
        Some(Convolution { nodes, input: node.input.first()?, addend, output, kernel })
    }

    /// Returns the kernel if the operator is a dense convolution that it computes faster than rten.
    fn product(&self, node: &'a Node, clip: Clip) -> Option<Dense> {
        if !node.is("Conv") || node.attribute("group").is_some_and(|group| group.i != 1) {
            return None;
        }
        let weights = self.weights(node)?;
        let &[outputs, inputs, ..] = weights.shape() else { return None };
        let window = window(node, &weights)?;
        if window != Window::POINT && inputs > MAX_UNFOLDED {
            return None;
        }
        Dense::new(&weights.to_vec(), &self.bias(node, outputs)?, window, clip)
    }

    /// Returns the weights of a convolution, if they are constants and its padding is given in numbers.
    fn weights(&self, node: &'a Node) -> Option<Tensor<f32>> {
        let is_given = node.attribute("auto_pad").is_none_or(|pad| pad.s == b"NOTSET");
        is_given.then(|| self.constant(node.input.get(1)?)).flatten()
    }

    fn bias(&self, node: &'a Node, channels: usize) -> Option<Vec<f32>> {
        match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(name) => Some(self.constant(name)?.to_vec()),
            None => Some(vec![0.0; channels]),
        }
    }

    /// Returns the output of the last operator and no limits; or, if the next one only limits its values, those of that
    /// one, which is then added to `nodes`.
    fn clip_after(&self, nodes: &mut Vec<usize>) -> Option<(&'a str, Clip)> {
        let output = self.nodes[*nodes.last()?].output.first()?.as_str();
        let Some((after, clip)) = self.only_user(output).and_then(|after| Some((after, self.clip(after)?))) else {
            return Some((output, Clip::NONE));
        };
        nodes.push(after);
        Some((self.nodes[after].output.first()?, clip))
    }

    /// Returns the limits if the operator only limits values, to constants.
    fn clip(&self, at: usize) -> Option<Clip> {
        let node = self.nodes[at];
        if node.is("Relu") {
            return Some(Clip { min: 0.0, ..Clip::NONE });
        }
        let bound = |at: usize, default: f32| match node.input.get(at).filter(|name| !name.is_empty()) {
            Some(name) => self.constant(name)?.to_vec().first().copied(),
            // Before version 11 of the operator, the limits are attributes.
            None => node.attribute(["min", "max"][at - 1]).is_none().then_some(default),
        };
        node.is("Clip").then_some(())?;
        Some(Clip { min: bound(1, Clip::NONE.min)?, max: bound(2, Clip::NONE.max)? })
    }

    /// Returns a constant. Its conversion from 16 bits may be an operator of the file that rten has already removed.
    fn constant(&self, name: &'a str) -> Option<Tensor<f32>> {
        let value = |name| self.model.run_n(vec![], [self.model.find_node(name)?], None).ok()?.map(Some)[0].take();
        if let Some(value) = value(name) {
            return value.into_tensor();
        }
        let producer = self.all.iter().find(|node| node.output.iter().any(|output| output == name))?;
        (producer.is("Cast") || producer.is("Identity")).then_some(())?;
        value(producer.input.first()?)?.into_tensor()
    }

    /// Returns the operator that computes a value, if only `user` reads that value.
    fn only_producer(&self, value: &str, user: usize) -> Option<usize> {
        self.producer(value).filter(|_| self.only_user(value) == Some(user))
    }

    fn producer(&self, value: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.output.iter().any(|name| name == value))
    }

    /// Returns the operator that reads a value, if it is the only one.
    fn only_user(&self, value: &str) -> Option<usize> {
        let reads = |at: &usize| self.nodes[*at].input.iter().any(|name| name == value);
        let mut users = (0..self.nodes.len()).filter(reads);
        users.next().filter(|_| users.next().is_none() && value != self.output)
    }
}

fn window(node: &Node, weights: &Tensor<f32>) -> Option<Window> {
    let &[_, _, height, width] = weights.shape() else { return None };
    Some(Window {
        kernel: [height, width],
        strides: sizes(node.attribute("strides"), 1)?,
        dilations: sizes(node.attribute("dilations"), 1)?,
        padding: sizes(node.attribute("pads"), 0)?,
    })
}

/// Returns the numbers of an attribute, which all have the same default.
fn sizes<const N: usize>(attribute: Option<&Attribute>, default: usize) -> Option<[usize; N]> {
    let Some(attribute) = attribute else { return Some([default; N]) };
    let sizes = attribute.ints.iter().map(|&size| usize::try_from(size).ok()).collect::<Option<Vec<_>>>()?;
    sizes.try_into().ok()
}
