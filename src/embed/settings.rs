//! Which model, where.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::local::{BUILT_IN, Precision};
use crate::domain::Secret;
use crate::resilience::BreakerSettings;

/// More texts than this would hold gigabytes.
const MAX_TEXTS: usize = 1_000_000;

/// The settings of the embedding provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EmbedSettings {
    /// `IMAGE_EMBEDDING_PROVIDER`: `local` (default), a model in this process; or a service elsewhere: `clip`, `openai`,
    /// `multi2vec`, `ollama` (also called `llava`).
    pub image_embedding_provider: String,
    /// `CLIP_MODEL`: `glimpse-mini-1` (default), the model inside the binary; a folder with a CLIP exported to ONNX; or
    /// a repository of the Hugging Face hub with such files, as `organisation/name` or `organisation/name@revision`.
    /// For `openai` the name that the service has for it, for `clip` and `multi2vec` a label.
    pub clip_model: String,
    /// `CLIP_PRECISION`: `fp32` (default), `fp16` or `int8`, where the model of this process has such files; int8 is a
    /// space of its own.
    pub clip_precision: String,
    /// `CLIP_URL`: where the service of `clip`, `openai` or `multi2vec` is; empty by default.
    pub clip_url: String,
    /// `CLIP_ENDPOINT`: another name of `CLIP_URL`; empty by default.
    pub clip_endpoint: String,
    /// `CLIP_API_KEY`: sent to the service as a bearer token; empty (default): none is sent.
    pub clip_api_key: Secret,
    /// `CLIP_MAX_BATCH_SIZE`: most images in one request to a service, which begins with 4 and is told by the answers; 8 by
    /// default, never more than 32 for `openai`.
    pub clip_max_batch_size: usize,
    /// `OLLAMA_BASE_URL`: where Ollama is; `http://127.0.0.1:11434` by default.
    pub ollama_base_url: String,
    /// `OLLAMA_VISION_MODEL`: puts images into words; `llava` by default.
    pub ollama_vision_model: String,
    /// `OLLAMA_MODEL`: makes vectors of words; `nomic-embed-text` by default.
    pub ollama_model: String,
    /// `CLIP_TIMEOUT`: seconds until a call of a provider elsewhere is given up; 120 by default. A search gives up sooner.
    pub clip_timeout: u64,
    /// `CLIP_CIRCUIT_BREAKER_THRESHOLD`: failed calls in a row after which it is left alone; 5 by default.
    pub clip_circuit_breaker_threshold: u32,
    /// `CLIP_CIRCUIT_BREAKER_TIMEOUT`: seconds for which it is left alone; 30 by default.
    pub clip_circuit_breaker_timeout: u64,
    /// `GLIMPSE_TEXT_CACHE`: texts of searches whose vectors are kept in memory, about 2 KB each; 4096 by default, 0: none.
    pub glimpse_text_cache: usize,
    /// `GLIMPSE_EMBED_THREADS`: inference workers of one thread each; 0 (default): one a core.
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
    /// Inference workers to start.
    pub fn threads(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.glimpse_embed_threads)
            .or_else(|| std::thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN)
    }

    /// When a provider elsewhere is taken to be down, and for how long.
    pub fn breaker(&self) -> BreakerSettings {
        BreakerSettings {
            threshold: self.clip_circuit_breaker_threshold,
            cool_down: Duration::from_secs(self.clip_circuit_breaker_timeout),
        }
    }

    /// How exact the networks' numbers are.
    ///
    /// # Errors
    /// A sentence that names the setting and what is allowed.
    pub fn precision(&self) -> Result<Precision, String> {
        self.clip_precision.parse()
    }

    /// Checks what can be checked without asking anyone.
    ///
    /// # Errors
    /// A sentence that names the setting and what is allowed.
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
        if self.glimpse_text_cache > MAX_TEXTS {
            return Err(format!(
                "GLIMPSE_TEXT_CACHE is {}; it must be between 0 and {MAX_TEXTS}",
                self.glimpse_text_cache
            ));
        }
        Ok(())
    }
}
