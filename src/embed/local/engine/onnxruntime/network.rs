//! A network in ONNX Runtime, shared by all workers.

use std::ffi::CString;
use std::sync::Mutex;

use ort::ErrorCode;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, Session};
use ort::value::{DynValue, TensorElementType};
use rten_tensor::Tensor;

use super::super::{Device, Input, Network, Port, rejected};
use super::run::run_shared;
use super::values::{element, from_value, port, to_value};
use crate::embed::EmbedError;
use crate::embed::local::failed;
use crate::lock::lock;

/// A network in ONNX Runtime.
pub(super) struct OrtNetwork {
    session: Access,
    device: Device,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    /// Types of the inputs.
    elements: Vec<TensorElementType>,
}

/// How the workers use the session.
enum Access {
    /// On the CPU, each on its own core at once.
    Shared(Session),
    /// On a GPU one after the other. While one runs, the next copies its images to the GPU, into its own binding.
    Exclusive { session: Mutex<Session>, bindings: Mutex<Vec<IoBinding>> },
}

impl OrtNetwork {
    pub(super) fn new(session: Session, device: Device) -> Result<Self, String> {
        let inputs: Vec<Port> = session.inputs().iter().map(port).collect();
        let outputs: Vec<Port> = session.outputs().iter().map(port).collect();
        let elements = session
            .inputs()
            .iter()
            .map(|input| element(input).ok_or_else(|| format!("its input `{}` is not a tensor", input.name())));
        let elements = elements.collect::<Result<_, String>>()?;
        let names: Vec<_> = outputs.iter().map(|output| &*output.name).collect();
        tracing::info!(%device, outputs = names.join(" "), "a network runs in ONNX Runtime");
        let session = if device.is_accelerator() {
            Access::Exclusive { session: Mutex::new(session), bindings: Mutex::default() }
        } else {
            Access::Shared(session)
        };
        Ok(Self { session, device, inputs, outputs, elements })
    }

    fn values(&self, inputs: Vec<(&str, Input)>) -> Result<Vec<(CString, DynValue)>, EmbedError> {
        let value = |(name, input): (&str, Input)| {
            let position = self.inputs.iter().position(|port| port.name == name);
            let element = position.and_then(|at| self.elements.get(at)).copied();
            let element = element.ok_or_else(|| rejected(format!("it has no input `{name}`")))?;
            let value = to_value(input, element).map_err(|error| self.failure(&error))?;
            Ok((c_string(name)?, value))
        };
        inputs.into_iter().map(value).collect()
    }

    /// A GPU may fail for reasons that are not in the images: it has too little memory left, or was reset.
    fn failure(&self, error: &ort::Error) -> EmbedError {
        match error.code() {
            ErrorCode::InvalidArgument => rejected(error),
            _ if self.device.is_accelerator() => failed(format!("ONNX Runtime on {}: {error}", self.device)),
            _ => rejected(error),
        }
    }
}

impl Network for OrtNetwork {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn run(&self, inputs: Vec<(&str, Input)>, output: &str) -> Result<Tensor<f32>, EmbedError> {
        let values = self.values(inputs)?;
        let tensor = match &self.session {
            Access::Shared(session) => run_shared(session, &values, &c_string(output)?).map(|value| from_value(&value)),
            Access::Exclusive { session, bindings } => run_bound(session, bindings, &values, output),
        };
        tensor.map_err(|error| self.failure(&error))?.map_err(rejected)
    }
}

/// Copies the inputs to the device, waits for the session and runs it.
fn run_bound(
    session: &Mutex<Session>,
    bindings: &Mutex<Vec<IoBinding>>,
    inputs: &[(CString, DynValue)],
    output: &str,
) -> ort::Result<Result<Tensor<f32>, String>> {
    let unused = lock(bindings).pop();
    let mut binding = match unused {
        Some(binding) => binding,
        None => lock(session).create_binding()?,
    };
    for (name, value) in inputs {
        binding.bind_input(name.to_string_lossy(), value)?;
    }
    binding.synchronize_inputs()?;
    let memory = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::Default)?;
    binding.bind_output_to_device(output, &memory)?;
    let tensor = {
        let mut session = lock(session);
        let outputs = session.run_binding(&binding)?;
        outputs.get(output).map_or_else(|| Err(format!("it has no output `{output}`")), from_value)
    };
    binding.clear();
    lock(bindings).push(binding);
    Ok(tensor)
}

fn c_string(name: &str) -> Result<CString, EmbedError> {
    CString::new(name).map_err(rejected)
}
