//! The operators between the inputs of a network and one of its outputs, and the depthwise convolutions among them.

use std::collections::HashSet;

use depthwise::{Clip, Depthwise, Parameters};
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

/// A convolution with the limits of values before and after it.
pub(super) struct Convolution<'a> {
    /// Positions of the operators that it replaces. The first is the convolution itself.
    pub(super) nodes: Vec<usize>,
    pub(super) input: &'a str,
    pub(super) output: &'a str,
    pub(super) depthwise: Depthwise,
}

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

    /// Returns the depthwise convolutions in the order of a run.
    pub(super) fn convolutions(&self) -> Vec<Convolution<'a>> {
        (0..self.nodes.len()).filter_map(|at| self.convolution(at)).collect()
    }

    fn convolution(&self, at: usize) -> Option<Convolution<'a>> {
        let node = self.nodes[at];
        let (mut input, mut output) = (node.input.first()?.as_str(), node.output.first()?.as_str());
        let (mut nodes, mut clips) = (vec![at], [Clip::NONE; 2]);
        if let Some((before, clip)) = self.producer(input).and_then(|before| Some((before, self.clip(before)?)))
            && self.only_user(input) == Some(at)
        {
            (input, clips[0]) = (self.nodes[before].input.first()?, clip);
            nodes.push(before);
        }
        if let Some((after, clip)) = self.only_user(output).and_then(|after| Some((after, self.clip(after)?))) {
            (output, clips[1]) = (self.nodes[after].output.first()?, clip);
            nodes.push(after);
        }
        Some(Convolution { nodes, input, output, depthwise: self.depthwise(node, clips)? })
    }

    fn depthwise(&self, node: &Node, [clip_input, clip_output]: [Clip; 2]) -> Option<Depthwise> {
        if !is_candidate(node) || node.attribute("auto_pad").is_some_and(|pad| pad.s != b"NOTSET") {
            return None;
        }
        let weights = self.constant(node.input.get(1)?)?;
        let &[channels, 1, height, width] = weights.shape() else { return None };
        let bias = node.input.get(2).filter(|name| !name.is_empty());
        let bias = bias.map_or(Some(vec![0.0; channels]), |name| Some(self.constant(name)?.to_vec()))?;
        Depthwise::new(Parameters {
            groups: node.attribute("group")?.i.try_into().ok()?,
            kernel: [height, width],
            strides: sizes(node.attribute("strides"), 1)?,
            dilations: sizes(node.attribute("dilations"), 1)?,
            padding: sizes(node.attribute("pads"), 0)?,
            weights: weights.to_vec(),
            bias,
            clip_input,
            clip_output,
        })
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

/// Returns the numbers of an attribute, which all have the same default.
fn sizes<const N: usize>(attribute: Option<&Attribute>, default: usize) -> Option<[usize; N]> {
    let Some(attribute) = attribute else { return Some([default; N]) };
    let sizes = attribute.ints.iter().map(|&size| usize::try_from(size).ok()).collect::<Option<Vec<_>>>()?;
    sizes.try_into().ok()
}
