//! Starts a session: one network on one device.

use std::path::PathBuf;

use ort::ep::cuda::ConvAlgorithmSearch;
use ort::ep::{ArenaExtendStrategy, CUDA, CoreML, ExecutionProviderDispatch, TensorRT};
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::SessionBuilder;

use super::library::Library;
use super::{Device, Onnx};
use crate::embed::local::weights;

/// Starts a session. If the device cannot be used this is an error: the session never runs on the CPU instead.
///
/// # Errors
/// A message with the reason.
pub(super) fn start(library: &Library, device: Device, onnx: &Onnx) -> Result<Session, String> {
    if let Onnx::File(path) = onnx {
        weights::check(path)?;
    }
    let mut builder = prepare(library, device)?;
    let session = match onnx {
        Onnx::File(path) => builder.commit_from_file(path),
        Onnx::BuiltIn { bytes, .. } => builder.commit_from_memory(bytes),
    };
    session.map_err(|error| format!("ONNX Runtime on {device} does not load it: {error}"))
}

/// Loads what the library needs for the device, such as the libraries of CUDA.
///
/// # Errors
/// A message with what is missing.
pub(super) fn prepare(library: &Library, device: Device) -> Result<SessionBuilder, String> {
    builder(library, device)
        .map_err(|error| format!("ONNX Runtime cannot use CLIP_DEVICE={device}: {}", error.message().trim()))
}

fn builder(library: &Library, device: Device) -> ort::Result<SessionBuilder> {
    // Every worker calls the session on its own thread. A second thread for the parts of an operation costs a tenth more
    // CPU for each image, and threads that spin while they wait take the cores of the decoders.
    let builder = Session::builder(library.environment())?
        .with_log_level(LogLevel::Warning)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?;
    Ok(builder.with_execution_providers(providers(device))?)
}

fn providers(device: Device) -> Vec<ExecutionProviderDispatch> {
    let providers = match device {
        Device::Cpu => Vec::new(),
        Device::Cuda(number) => vec![cuda(number).build()],
        // What TensorRT cannot compile runs by CUDA.
        Device::TensorRt(number) => vec![tensorrt(number).build(), cuda(number).build()],
        Device::CoreMl => vec![CoreML::default().build()],
    };
    providers.into_iter().map(ExecutionProviderDispatch::error_on_failure).collect()
}

fn cuda(number: u8) -> CUDA {
    CUDA::default()
        .with_device_id(number.into())
        // By default the memory doubles with each extension.
        .with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested)
        // By default every convolution is measured again for each new number of images.
        .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
}

/// Compiling takes minutes, so the results are kept in a folder.
fn tensorrt(number: u8) -> TensorRT {
    let engine = TensorRT::default().with_device_id(number.into());
    match cache() {
        Some(folder) => {
            let folder = folder.display();
            engine
                .with_engine_cache(true)
                .with_engine_cache_path(folder.to_string())
                .with_timing_cache(true)
                .with_timing_cache_path(folder.to_string())
        }
        None => engine,
    }
}

/// Returns the folder for compiled networks, if it can be created.
fn cache() -> Option<PathBuf> {
    let folder = crate::embed::hub::expand_path("~/.cache/glimpse/tensorrt");
    match std::fs::create_dir_all(&folder) {
        Ok(()) => Some(folder),
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "compiled networks cannot be kept; TensorRT compiles at each start");
            None
        }
    }
}
