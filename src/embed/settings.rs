//! Which model, where.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

/// The settings of the embedding provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EmbedSettings {
    /// `IMAGE_EMBEDDING_PROVIDER`: `local` (default), a model in this process.
    pub image_embedding_provider: String,
    /// `CLIP_MODEL`: `glimpse-mini-1` (default), the model inside the binary.
    pub clip_model: String,
    /// `GLIMPSE_EMBED_THREADS`: inference workers of one thread each; 0 (default): one a core.
    pub glimpse_embed_threads: usize,
}

impl Default for EmbedSettings {
    fn default() -> Self {
        Self {
            image_embedding_provider: "local".to_owned(),
            clip_model: "glimpse-mini-1".to_owned(),
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
        if self.clip_model != "glimpse-mini-1" {
            return Err(format!("CLIP_MODEL is `{}`; this version knows `glimpse-mini-1`", self.clip_model));
        }
        Ok(())
    }
}
