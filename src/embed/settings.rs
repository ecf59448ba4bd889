//! Settings of the embedding provider.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::kind::ProviderKind;
use super::local::{BUILT_IN, Device, EngineKind, Precision};
use crate::domain::setting::check_range;
use crate::domain::{Endpoint, Seconds, Secret};
use crate::resilience::{BreakerSettings, cores};

/// Workers for a GPU: the images of one are copied to it while it runs the images of the other.
const ACCELERATOR_WORKERS: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// The settings of the embedding provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EmbedSettings {
    /// `IMAGE_EMBEDDING_PROVIDER`: `local` (default), a model in this process; or a remote service: `clip`, `openai`,
    /// `multi2vec`, `ollama` (also called `llava`).
    pub image_embedding_provider: ProviderKind,
    /// `CLIP_MODEL`: `glimpse-mini-1` (default), the model inside the binary; a name of `glimpse models list`; a folder
    /// with a model exported to ONNX; or a repository of the Hugging Face hub with such files, as `organisation/name`, `organisation/name@revision`, or
    /// with `:size` at the end if it has a model in several sizes.
    /// For `openai` the name that the service uses, for `clip` and `multi2vec` a label.
    pub clip_model: String,
    /// `CLIP_PRECISION`: `fp32`, `fp16`, `int8` or `q4`, if the model of this process has such files; `auto` (default) for
    /// the first of these that it has. The vectors of int8 and q4 are other spaces.
    pub clip_precision: Precision,
    /// `CLIP_ENGINE`: what runs the model of this process: `rten` (default), or `onnxruntime` if the binary was built with it.
    pub clip_engine: EngineKind,
    /// `CLIP_DEVICE`: `cpu` (default), or with `onnxruntime` also `cuda`, `tensorrt` or `coreml`; `cuda:1` is the second GPU.
    pub clip_device: Device,
    /// `ORT_DYLIB_PATH`: file of the library of ONNX Runtime; empty by default: the operating system looks for it.
    pub ort_dylib_path: Option<String>,
    /// `CLIP_URL`: URL of the service for `clip`, `openai` or `multi2vec`; empty by default.
    pub clip_url: Option<Endpoint>,
    /// `CLIP_ENDPOINT`: another name for `CLIP_URL`; empty by default.
    pub clip_endpoint: Option<Endpoint>,
    /// `CLIP_API_KEY`: sent to the service as a bearer token; empty (default): none is sent.
    pub clip_api_key: Secret,
    /// `OLLAMA_BASE_URL`: URL of Ollama; `http://127.0.0.1:11434` by default.
    pub ollama_base_url: Endpoint,
    /// `OLLAMA_VISION_MODEL`: model that writes captions of images; `llava` by default.
    pub ollama_vision_model: String,
    /// `OLLAMA_MODEL`: model that makes the vectors of texts; `nomic-embed-text` by default.
    pub ollama_model: String,
    /// `CLIP_TIMEOUT`: timeout in seconds of a call to a remote provider; 120 by default. Searches have a shorter one.
    #[serde(deserialize_with = "check_range::<_, _, 1, 3600>")]
    pub clip_timeout: Seconds,
    /// `CLIP_CIRCUIT_BREAKER_THRESHOLD`: consecutive failed calls after which the breaker opens; 5 by default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 1000>")]
    pub clip_circuit_breaker_threshold: u32,
    /// `CLIP_CIRCUIT_BREAKER_TIMEOUT`: seconds for which the breaker stays open; 30 by default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 3600>")]
    pub clip_circuit_breaker_timeout: Seconds,
    /// `GLIMPSE_TEXT_CACHE`: number of search texts with cached vectors, about 2 KB each; 4096 by default, 0: none.
    #[serde(deserialize_with = "check_range::<_, _, 0, 1_000_000>")]
    pub glimpse_text_cache: usize,
    /// `GLIMPSE_CALIBRATE`: whether a model is calibrated at its first use, so that searches return the relevance of images;
    /// `true` by default. It takes 156 images and 89 texts; the built-in model needs none of it.
    pub glimpse_calibrate: bool,
    /// `GLIMPSE_EMBED_THREADS`: inference workers of one thread each; 0 (default): one for each core, or two for a GPU.
    #[serde(deserialize_with = "check_range::<_, _, 0, 1024>")]
    pub glimpse_embed_threads: usize,
    /// `GLIMPSE_MODELS_IN_MEMORY`: how many models of this process are in memory at the same time, if collections use
    /// several; 2 by default. That of `CLIP_MODEL` is one of them.
    #[serde(deserialize_with = "check_range::<_, _, 1, 16>")]
    pub glimpse_models_in_memory: usize,
}

impl Default for EmbedSettings {
    fn default() -> Self {
        Self {
            image_embedding_provider: ProviderKind::Local,
            clip_model: BUILT_IN.to_owned(),
            clip_precision: Precision::Auto,
            clip_engine: EngineKind::default(),
            clip_device: Device::default(),
            ort_dylib_path: None,
            clip_url: None,
            clip_endpoint: None,
            clip_api_key: Secret::default(),
            ollama_base_url: Endpoint::from_static("http://127.0.0.1:11434"),
            ollama_vision_model: "llava".to_owned(),
            ollama_model: "nomic-embed-text".to_owned(),
            clip_timeout: Seconds::new(120),
            clip_circuit_breaker_threshold: 5,
            clip_circuit_breaker_timeout: Seconds::new(30),
            glimpse_text_cache: 4096,
            glimpse_calibrate: true,
            glimpse_embed_threads: 0,
            glimpse_models_in_memory: 2,
        }
    }
}

impl EmbedSettings {
    /// Returns the number of inference workers to start.
    pub fn threads(&self) -> NonZeroUsize {
        let default = || if self.clip_device.is_accelerator() { ACCELERATOR_WORKERS } else { cores() };
        NonZeroUsize::new(self.glimpse_embed_threads).unwrap_or_else(default)
    }

    /// Returns the settings of the circuit breaker of a remote provider.
    pub fn breaker(&self) -> BreakerSettings {
        BreakerSettings {
            threshold: self.clip_circuit_breaker_threshold,
            cool_down: self.clip_circuit_breaker_timeout.duration(),
        }
    }
}
