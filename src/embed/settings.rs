//! Settings of the embedding provider.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::local::{BUILT_IN, Precision};
use crate::domain::Secret;
use crate::resilience::BreakerSettings;

/// Upper limit of `GLIMPSE_TEXT_CACHE`; more texts would need gigabytes.
const MAX_CACHED_TEXTS: usize = 1_000_000;
/// More threads than this are a mistake: one per core is best.
const MAX_THREADS: usize = 1024;

/// The settings of the embedding provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EmbedSettings {
    /// `IMAGE_EMBEDDING_PROVIDER`: `local` (default), a model in this process; or a remote service: `clip`, `openai`,
    /// `multi2vec`, `ollama` (also called `llava`).
    pub image_embedding_provider: String,
    /// `CLIP_MODEL`: `glimpse-mini-1` (default), the model inside the binary; a folder with a CLIP exported to ONNX; or
    /// a repository of the Hugging Face hub with such files, as `organisation/name` or `organisation/name@revision`.
    /// For `openai` the name that the service uses, for `clip` and `multi2vec` a label.
    pub clip_model: String,
    /// `CLIP_PRECISION`: `fp32` (default), `fp16` or `int8`, if the model of this process has such files. The vectors
    /// of int8 are another space.
    pub clip_precision: String,
    /// `CLIP_URL`: URL of the service for `clip`, `openai` or `multi2vec`; empty by default.
    pub clip_url: String,
    /// `CLIP_ENDPOINT`: another name for `CLIP_URL`; empty by default.
    pub clip_endpoint: String,
    /// `CLIP_API_KEY`: sent to the service as a bearer token; empty (default): none is sent.
    pub clip_api_key: Secret,
    /// `CLIP_MAX_BATCH_SIZE`: maximum number of images in one request to a service, between 1 and 1024; 8 by default,
    /// at most 32 for `openai`. A request that the service refuses for its size (413) is sent again in halves.
    pub clip_max_batch_size: usize,
    /// `OLLAMA_BASE_URL`: URL of Ollama; `http://127.0.0.1:11434` by default.
    pub ollama_base_url: String,
    /// `OLLAMA_VISION_MODEL`: model that writes captions of images; `llava` by default.
    pub ollama_vision_model: String,
    /// `OLLAMA_MODEL`: model that makes the vectors of texts; `nomic-embed-text` by default.
    pub ollama_model: String,
    /// `CLIP_TIMEOUT`: timeout in seconds of a call to a remote provider; 120 by default. Searches have a shorter one.
    pub clip_timeout: u64,
    /// `CLIP_CIRCUIT_BREAKER_THRESHOLD`: consecutive failed calls after which the breaker opens; 5 by default.
    pub clip_circuit_breaker_threshold: u32,
    /// `CLIP_CIRCUIT_BREAKER_TIMEOUT`: seconds for which the breaker stays open; 30 by default.
    pub clip_circuit_breaker_timeout: u64,
    /// `GLIMPSE_TEXT_CACHE`: number of search texts with cached vectors, about 2 KB each; 4096 by default, 0: none.
    pub glimpse_text_cache: usize,
    /// `GLIMPSE_EMBED_THREADS`: inference workers of one thread each; 0 (default): one for each core.
    pub glimpse_embed_threads: usize,
}

impl Default for EmbedSettings {
    fn default() -> Self {
        Self {
            image_embedding_provider: "local".to_owned(),
            clip_model: BUILT_IN.to_owned(),
            clip_precision: Precision::Fp32.to_string(),
            clip_url: String::new(),
            clip_endpoint: String::new(),
            clip_api_key: Secret::default(),
            clip_max_batch_size: 8,
            ollama_base_url: "http://127.0.0.1:11434".to_owned(),
            ollama_vision_model: "llava".to_owned(),
            ollama_model: "nomic-embed-text".to_owned(),
            clip_timeout: 120,
            clip_circuit_breaker_threshold: 5,
            clip_circuit_breaker_timeout: 30,
            glimpse_text_cache: 4096,
            glimpse_embed_threads: 0,
        }
    }
}

impl EmbedSettings {
    /// Returns the number of inference workers to start.
    pub fn threads(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.glimpse_embed_threads)
            .or_else(|| std::thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN)
    }

    /// Returns the settings of the circuit breaker of a remote provider.
    pub fn breaker(&self) -> BreakerSettings {
        BreakerSettings {
            threshold: self.clip_circuit_breaker_threshold,
            cool_down: Duration::from_secs(self.clip_circuit_breaker_timeout),
        }
    }

    /// Parses `CLIP_PRECISION`.
    ///
    /// # Errors
    /// A message that names the setting and the allowed values.
    pub fn precision(&self) -> Result<Precision, String> {
        self.clip_precision.parse()
    }

    /// Checks the settings without a network call.
    ///
    /// # Errors
    /// A message that names the setting and the allowed values.
    pub fn validate(&self) -> Result<(), String> {
        self.precision()?;
        self.validate_service()?;
        for (name, value) in [
            ("CLIP_TIMEOUT", self.clip_timeout),
            ("CLIP_CIRCUIT_BREAKER_THRESHOLD", self.clip_circuit_breaker_threshold.into()),
            ("CLIP_CIRCUIT_BREAKER_TIMEOUT", self.clip_circuit_breaker_timeout),
        ] {
            if !(1..=3600).contains(&value) {
                return Err(format!("{name} is {value}; it must be between 1 and 3600"));
            }
        }
        if self.glimpse_embed_threads > MAX_THREADS {
            return Err(format!(
                "GLIMPSE_EMBED_THREADS is {}; it must be between 0 and {MAX_THREADS}",
                self.glimpse_embed_threads
            ));
        }
        if self.glimpse_text_cache > MAX_CACHED_TEXTS {
            return Err(format!(
                "GLIMPSE_TEXT_CACHE is {}; it must be between 0 and {MAX_CACHED_TEXTS}",
                self.glimpse_text_cache
            ));
        }
        Ok(())
    }
}
