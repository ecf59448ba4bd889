//! Inference engines: a loaded network with named inputs and outputs, which runs on the thread of its caller.

mod kind;
#[cfg(not(feature = "onnxruntime"))]
mod no_onnxruntime;
#[cfg(feature = "onnxruntime")]
mod onnxruntime;
mod rten;
mod selected;

use rten_tensor::Tensor;

#[cfg(not(feature = "onnxruntime"))]
use self::no_onnxruntime as onnxruntime;
use crate::embed::EmbedError;

pub use kind::{Device, EngineKind};
pub(super) use selected::Onnx;
pub use selected::{Engine, EngineError};

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

/// Returns the engines that tests can use on this machine.
#[cfg(test)]
pub(super) fn available() -> Vec<Engine> {
    let library = std::env::var_os("ORT_DYLIB_PATH").filter(|path| cfg!(feature = "onnxruntime") && !path.is_empty());
    if library.is_none() {
        eprintln!("skipped: set ORT_DYLIB_PATH, and build with the feature onnxruntime");
    }
    let onnxruntime = library.map(|path| Engine::new(EngineKind::OnnxRuntime, Device::Cpu, Some(path.into())));
    [Some(Engine::default()), onnxruntime].into_iter().flatten().collect()
}
