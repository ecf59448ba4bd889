//! The engine of the settings: loads networks, and knows how many images it should get at once.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use super::rten::RtenNetwork;
use super::{Device, EngineKind, Network};
use crate::embed::EmbedSettings;
use crate::embed::hub::expand_path;

/// Maximum number of images in one run on a GPU. A call has at most `IMAGE_EMBED_BATCH_SIZE` of them.
const ACCELERATOR_RUN: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// The file or the bytes of a network.
#[derive(Clone, Debug)]
pub(in crate::embed::local) enum Onnx {
    /// A file, with its weights in it or in other files.
    File(PathBuf),
    /// Bytes in the binary. `prepack` rearranges the weights once for faster runs, and keeps them in memory twice.
    BuiltIn { bytes: &'static [u8], prepack: bool },
}

/// An inference engine and the device that it uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Engine {
    kind: EngineKind,
    device: Device,
    /// The library of ONNX Runtime; the loader of the operating system finds it if there is none.
    library: Option<PathBuf>,
}

/// Why an engine cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {advice}")]
pub struct EngineError {
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub advice: String,
}

impl Engine {
    /// Returns the engine of `CLIP_ENGINE`, `CLIP_DEVICE` and `ORT_DYLIB_PATH`.
    pub fn from_settings(settings: &EmbedSettings) -> Self {
        let library = settings.ort_dylib_path.as_deref().map(expand_path);
        Self::new(settings.clip_engine, settings.clip_device, library)
    }

    /// Returns an engine; `library` is the file of ONNX Runtime.
    pub fn new(kind: EngineKind, device: Device, library: Option<PathBuf>) -> Self {
        Self { kind, device, library }
    }

    /// Returns the kind of engine.
    pub fn kind(&self) -> EngineKind {
        self.kind
    }

    /// Returns the device.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Checks that this binary has the engine, and that the engine supports the device.
    ///
    /// # Errors
    /// A message with the settings to change.
    pub(in crate::embed) fn validate(&self) -> Result<(), String> {
        match (self.kind, self.device) {
            (EngineKind::Rten, Device::Cpu) => Ok(()),
            (EngineKind::Rten, device) => Err(format!(
                "CLIP_DEVICE is `{device}`, but CLIP_ENGINE is `rten`, which runs on the CPU only; set \
                 CLIP_ENGINE=onnxruntime or CLIP_DEVICE=cpu"
            )),
            #[cfg(feature = "onnxruntime")]
            (EngineKind::OnnxRuntime, _) => Ok(()),
            #[cfg(not(feature = "onnxruntime"))]
            (EngineKind::OnnxRuntime, _) => Err(super::onnxruntime::missing().to_string()),
        }
    }

    /// Checks that the engine can be used on the device, without a network, and returns its name and version. Blocks for as
    /// long as the library takes to load.
    ///
    /// # Errors
    /// [`EngineError`]
    pub fn check(&self) -> Result<String, EngineError> {
        match self.kind {
            EngineKind::Rten => Ok(self.to_string()),
            EngineKind::OnnxRuntime => {
                let version = super::onnxruntime::check(self.library.as_deref(), self.device)?;
                Ok(format!("{} {version} on {}", self.kind.name(), self.device))
            }
        }
    }

    /// Loads a network.
    pub(in crate::embed::local) fn load(&self, onnx: Onnx) -> Result<Arc<dyn Network>, String> {
        match (self.kind, onnx) {
            (EngineKind::Rten, Onnx::File(path)) => Ok(Arc::new(RtenNetwork::from_file(&path)?)),
            (EngineKind::Rten, Onnx::BuiltIn { bytes, prepack }) => {
                Ok(Arc::new(RtenNetwork::from_bytes(bytes, prepack)?))
            }
            (EngineKind::OnnxRuntime, onnx) => super::onnxruntime::load(self.library.as_deref(), self.device, onnx),
        }
    }

    /// Whether it computes only what an output needs, without the other inputs of the network.
    pub(in crate::embed::local) fn runs_parts(&self) -> bool {
        self.kind == EngineKind::Rten
    }

    /// Returns the maximum number of images in one run: `on_cpu`, or as many as fill the device.
    pub(in crate::embed::local) fn images_per_run(&self, on_cpu: NonZeroUsize) -> NonZeroUsize {
        if self.device.is_accelerator() { ACCELERATOR_RUN } else { on_cpu }
    }

    /// Returns the number of images of a call of `images` that one worker should get: all if the workers share a device, or
    /// else an equal share.
    pub(in crate::embed::local) fn share(&self, images: usize, workers: NonZeroUsize) -> usize {
        if self.device.is_accelerator() { images } else { images.div_ceil(workers.get()) }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.kind.name(), self.device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_this_binary_does_not_have_is_refused() {
        let validate = |kind, device| Engine::new(kind, device, None).validate();
        validate(EngineKind::Rten, Device::Cpu).unwrap();
        let error = validate(EngineKind::Rten, Device::Cuda(1)).unwrap_err();
        assert!(error.contains("CLIP_DEVICE is `cuda:1`") && error.contains("CLIP_ENGINE=onnxruntime"), "{error}");
        let missing = validate(EngineKind::OnnxRuntime, Device::Cpu).err();
        assert_eq!(missing.is_none(), cfg!(feature = "onnxruntime"));
        if let Some(error) = missing {
            assert!(error.contains("--features onnxruntime") && error.contains("CLIP_ENGINE=rten"), "{error}");
        }
    }

    #[test]
    fn a_device_gets_whole_calls_and_cores_get_shares() {
        let (two, four) = (NonZeroUsize::new(2).unwrap(), NonZeroUsize::new(4).unwrap());
        let cpu = Engine::default();
        assert_eq!((cpu.images_per_run(four).get(), cpu.share(9, two)), (4, 5));
        let gpu = Engine::new(EngineKind::OnnxRuntime, Device::Cuda(0), None);
        assert_eq!((gpu.images_per_run(four).get(), gpu.share(9, two)), (256, 9));
    }
}
