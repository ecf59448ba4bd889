//! Inference engines: a loaded network with named inputs and outputs, which runs on the thread of its caller.

pub(super) mod rten;

use rten_tensor::Tensor;

use crate::embed::EmbedError;

/// Type of the elements of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F32,
    U8,
    /// Token ids and masks, in 32 or 64 bits in the file.
    Int,
    Other,
}

/// One input or output of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) element: Element,
    /// Length of each dimension; `None` if it is not fixed. Empty if the file does not give the shape.
    pub(super) shape: Vec<Option<usize>>,
}

/// The value of an input.
#[derive(Clone, Debug)]
pub(super) enum Input {
    F32(Tensor<f32>),
    U8(Tensor<u8>),
    /// The engine converts these to 64 bits if the network expects that.
    Int(Tensor<i32>),
}

/// A loaded network, shared by all workers and never changed.
pub(super) trait Network: Send + Sync {
    fn inputs(&self) -> &[Port];

    fn outputs(&self) -> &[Port];

    /// Runs the network and returns one output. Inputs on which this output does not depend may be missing, such as the
    /// image in a network with both towers; an engine that needs them fills them with zeros.
    fn run(&self, inputs: Vec<(&str, Input)>, output: &str) -> Result<Tensor<f32>, EmbedError>;
}

/// Returns the error of a network that cannot process an input.
fn rejected(reason: impl std::fmt::Display) -> EmbedError {
    EmbedError::Rejected(format!("the model cannot process it: {reason}"))
}
