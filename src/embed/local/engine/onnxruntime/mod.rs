//! The engine ONNX Runtime: its library is loaded at run time, and runs networks on the CPU or on a GPU (ADR 0021).

mod library;
mod limited;
mod network;
mod run;
mod session;
mod values;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use network::OrtNetwork;

use super::{Device, EngineError, Network, Onnx};

/// Maximum time to load the library, which takes less than a second.
const LIBRARY_TIMEOUT: Duration = Duration::from_mins(1);
/// Maximum time to load a network. TensorRT compiles it for the GPU.
const NETWORK_TIMEOUT: Duration = Duration::from_mins(10);
const TENSORRT_TIMEOUT: Duration = Duration::from_hours(1);

/// Checks that the library and the libraries of the device can be used, and returns the version.
pub(super) fn check(library: Option<&Path>, device: Device) -> Result<String, EngineError> {
    let library = open(library, device)?;
    let prepared = limited::run("preparing the device", LIBRARY_TIMEOUT, move || {
        session::prepare(library, device).map(|_| library.version().to_owned())
    });
    prepared.flatten().map_err(|problem| EngineError { problem, advice: library::advice(device) })
}

/// Loads a network.
pub(super) fn load(library: Option<&Path>, device: Device, onnx: Onnx) -> Result<Arc<dyn Network>, String> {
    let library = open(library, device).map_err(|error| error.to_string())?;
    let limit = if matches!(device, Device::TensorRt(_)) { TENSORRT_TIMEOUT } else { NETWORK_TIMEOUT };
    let network = limited::run("loading the network", limit, move || {
        session::start(library, device, &onnx).and_then(|session| OrtNetwork::new(session, device))
    })??;
    Ok(Arc::new(network))
}

fn open(path: Option<&Path>, device: Device) -> Result<&'static library::Library, EngineError> {
    let path = path.map(Path::to_path_buf);
    let opened = limited::run("loading the library", LIBRARY_TIMEOUT, move || library::open(path.as_deref(), device));
    opened.unwrap_or_else(|problem| Err(EngineError { problem, advice: library::advice(device) }))
}

#[cfg(test)]
mod tests;
