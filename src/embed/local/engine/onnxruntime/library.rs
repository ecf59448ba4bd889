//! The library: found, checked and loaded once.

use std::error::Error as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use ort::LoadDynamicError;
use ort::environment::Environment;
use ort::ep::{CUDA, CoreML, ExecutionProvider as _, TensorRT};
use ort::logging::LogLevel;

use super::{Device, EngineError};
use crate::lock::lock;

/// The loaded library.
pub(super) struct Library {
    environment: Environment,
    version: String,
}

impl Library {
    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Returns the version, as `1.32`.
    pub(super) fn version(&self) -> &str {
        &self.version
    }
}

/// Loads the library, and checks that it supports the device. A process has only one: a later call returns the same.
pub(super) fn open(path: Option<&Path>, device: Device) -> Result<&'static Library, EngineError> {
    static OPENED: OnceLock<Library> = OnceLock::new();
    static OPENING: Mutex<()> = Mutex::new(());
    let error = |problem| EngineError { problem, advice: advice(device) };
    let path = path.map_or_else(|| Ok(default_name()), find).map_err(error)?;
    let _opening = lock(&OPENING);
    let library = match OPENED.get() {
        Some(library) => library,
        None => {
            let loaded = load(&path).map_err(error)?;
            tracing::info!(path = %path.display(), version = loaded.version, "ONNX Runtime is loaded");
            OPENED.get_or_init(|| loaded)
        }
    };
    match provider(device) {
        Ok(None) => Ok(library),
        Ok(Some(missing)) => Err(error(format!(
            "CLIP_DEVICE is `{device}`, but the ONNX Runtime in {} has no {missing}",
            path.display()
        ))),
        Err(reason) => Err(error(format!("ONNX Runtime does not list its providers: {reason}"))),
    }
}

/// Returns the absolute path of a file that can be opened.
fn find(path: &Path) -> Result<PathBuf, String> {
    let unusable = |reason: &str| format!("ORT_DYLIB_PATH is `{}`, {reason}", path.display());
    // The crate looks for a relative path beside the executable.
    let path = std::path::absolute(path).map_err(|error| unusable(&format!("which is not a path: {error}")))?;
    if path.is_dir() {
        return Err(unusable("which is a folder; it must be the file of the library"));
    }
    match File::open(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(unusable(&format!("which cannot be opened: {error}"))),
    }
}

/// Returns the name that the loader of the operating system looks for.
fn default_name() -> PathBuf {
    format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX).into()
}

fn load(path: &Path) -> Result<Library, String> {
    let shown = path.display();
    // Loads the library, asks for its version and compares it; the first call of any other function comes after it.
    let environment = ort::init_from(path).map_err(|error| match error {
        LoadDynamicError::Dlopen { error, .. } if path.is_absolute() => {
            // The error of the loader is the source of this error.
            let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            format!("{shown} cannot be loaded: {reason}")
        }
        LoadDynamicError::Dlopen { .. } => {
            format!("ORT_DYLIB_PATH is not set, and {shown} is not in a folder of the system's libraries")
        }
        LoadDynamicError::MissingApi { .. } => format!("{shown} is not ONNX Runtime: it has no `OrtGetApiBase`"),
        LoadDynamicError::InvalidVersionString => format!("{shown} is not ONNX Runtime: it has no version"),
        LoadDynamicError::BadVersion { version_str, .. } => {
            let oldest = ort::MINOR_VERSION;
            format!("{shown} is ONNX Runtime {version_str}; the oldest supported version is 1.{oldest}")
        }
    })?;
    let environment = environment.with_name("glimpse").with_telemetry(false).with_logger(Arc::new(log));
    let environment = environment.build().map_err(|error| format!("{shown} cannot be initialised: {error}"))?;
    environment.set_log_level(LogLevel::Warning);
    let minor = ort::util::probe(path).unwrap_or(ort::MINOR_VERSION);
    Ok(Library { environment, version: format!("1.{minor}") })
}

/// Passes the messages of the library to our log.
fn log(level: LogLevel, _category: &str, _id: &str, place: &str, message: &str) {
    match level {
        LogLevel::Fatal | LogLevel::Error => tracing::error!(target: "onnxruntime", place, "{message}"),
        LogLevel::Warning => tracing::warn!(target: "onnxruntime", place, "{message}"),
        LogLevel::Info | LogLevel::Verbose => tracing::debug!(target: "onnxruntime", place, "{message}"),
    }
}

/// Returns the name of the execution provider that the device needs, if the library was built without it.
fn provider(device: Device) -> ort::Result<Option<&'static str>> {
    let (available, name) = match device {
        Device::Cpu => return Ok(None),
        Device::Cuda(_) => (CUDA::is_available(), "CUDA"),
        Device::TensorRt(_) => (TensorRT::is_available(), "TensorRT"),
        Device::CoreMl => (CoreML::is_available(), "CoreML"),
    };
    Ok(if available? { None } else { Some(name) })
}

/// Returns how to install a library for the device.
pub(super) fn advice(device: Device) -> String {
    let (package, folders) = match device {
        Device::Cpu | Device::CoreMl => ("onnxruntime", ""),
        Device::Cuda(_) | Device::TensorRt(_) => {
            ("onnxruntime-gpu[cuda,cudnn]", "; LD_LIBRARY_PATH needs the folders of NVIDIA's libraries")
        }
    };
    format!(
        "install it with `pip install {package}` (docs/gpu.md), and set ORT_DYLIB_PATH to the file that this command prints: \
         python3 -c \"import glob, onnxruntime; print(*glob.glob(onnxruntime.__path__[0] + '/capi/*onnxruntime.*'))\"{folders}"
    )
}
