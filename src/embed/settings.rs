//! Which model, where.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::local::{BUILT_IN, Precision};

/// The settings of the embedding provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EmbedSettings {
    /// `IMAGE_EMBEDDING_PROVIDER`: `local` (default), a model in this process.
    pub image_embedding_provider: String,
    /// `CLIP_MODEL`: `glimpse-mini-1` (default), the model inside the binary; a folder with a CLIP exported to ONNX; or
    /// a repository of the Hugging Face hub with such files, as `organisation/name` or `organisation/name@revision`.
    pub clip_model: String,
    /// `CLIP_PRECISION`: `fp32` (default) or `int8`, where the model has such files; each is a space of its own.
    pub clip_precision: String,
    /// `GLIMPSE_EMBED_THREADS`: inference workers of one thread each; 0 (default): one a core.
    pub glimpse_embed_threads: usize,
}

impl Default for EmbedSettings {
    fn default() -> Self {
        Self {
            image_embedding_provider: "local".to_owned(),
            clip_model: BUILT_IN.to_owned(),
            clip_precision: Precision::Fp32.to_string(),
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
        if self.image_embedding_provider != "local" {
            return Err(format!(
                "IMAGE_EMBEDDING_PROVIDER is `{}`; this version knows `local`",
                self.image_embedding_provider
            ));
        }
        self.precision()?;
        Ok(())
    }
}
