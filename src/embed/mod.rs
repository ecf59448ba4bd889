//! The port [`ImageEmbeddingProvider`], which makes vectors of one space from images and texts, its adapters and their
//! decorators. Does not depend on buckets, stores, jobs or the replies of this service.
//!
//! From the outside in: [`TextCache`] → [`Verified`] → [`Resilient`] → an adapter. An adapter does not retry or cache;
//! each call of its [`space`](ImageEmbeddingProvider::space) makes a new probe.

pub mod hub;
pub mod local;
pub mod probe;

mod batch_size;
mod cached;
mod clip_http;
mod fixed_models;
mod kind;
mod model_info;
mod models;
mod multi2vec;
mod named;
mod ollama;
mod openai;
mod remote;
mod resilient;
mod response;
mod service;
mod settings;
mod verification;
mod verified;
mod wire_image;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{DependencyError, Embedding, InvalidEmbedding, Language, Space};
use crate::imaging::{PreparedImage, Preprocessing};
use crate::resilience::Retryable;

pub use cached::TextCache;
pub use clip_http::ClipProvider;
pub use fixed_models::FixedModels;
pub use kind::ProviderKind;
pub use models::{EmbeddingModel, EmbeddingModels};
pub use multi2vec::Multi2VecProvider;
pub use named::NamedProviderSettings;
pub use ollama::{OllamaProvider, OllamaSettings};
pub use openai::OpenAiProvider;
pub use remote::RemoteSettings;
pub use resilient::Resilient;
pub use service::ServiceSettings;
pub use settings::EmbedSettings;
pub use verification::Verification;
pub use verified::Verified;

/// Why a text without words is rejected: a model would return a meaningless vector.
const NO_WORDS: &str = "the text cannot be embedded: it has no words";

/// An embedding model in this process or in a remote service.
#[async_trait]
pub trait ImageEmbeddingProvider: Send + Sync + 'static {
    /// Returns how an image must be prepared for this provider. Final after [`space`](Self::space) has succeeded.
    fn preprocessing(&self) -> Preprocessing;

    /// Probes both towers and returns the space of the vectors. Fails if the provider ignores its input or its vectors
    /// do not have the size that it reports. An adapter probes each time; [`Verified`] caches the result.
    async fn space(&self) -> Result<Arc<Space>, EmbedError>;

    /// Probes again a provider that is in use and has shown no problem. A provider with an expensive full probe may
    /// omit the parts that are not likely to have changed.
    async fn recheck_space(&self) -> Result<Arc<Space>, EmbedError> {
        self.space().await
    }

    /// Returns one embedding per image, in the same order. One bad image may fail the whole batch.
    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError>;

    /// Embeds one image, before any waiting batches.
    async fn embed_image(&self, image: &PreparedImage) -> Result<Embedding, EmbedError> {
        let mut one = self.embed_image_batch(std::slice::from_ref(image)).await?;
        match (one.pop(), one.len()) {
            (Some(embedding), 0) => Ok(embedding),
            (_, others) => Err(EmbedError::WrongCount { sent: 1, got: others }),
        }
    }

    /// Embeds a text, truncated to the maximum length of the model.
    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError>;

    /// Embeds a text that is written in `language`. Most models do not need to know the language; they ignore it.
    async fn embed_text_in(&self, text: &str, language: Option<Language>) -> Result<Embedding, EmbedError> {
        let _ = language;
        self.embed_text(text).await
    }

    /// Returns the provider that this one wraps, if it wraps one. The methods below return by default what that provider
    /// returns.
    fn inner(&self) -> Option<&dyn ImageEmbeddingProvider> {
        None
    }

    /// Checks whether a call would be made now, without making one.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] while the circuit breaker is open, with the time until the next call is allowed.
    fn reachable(&self) -> Result<(), EmbedError> {
        match self.inner() {
            Some(inner) => inner.reachable(),
            None => Ok(()),
        }
    }

    /// Returns the maximum number of images in one call, for a provider that needs seconds for each image. Jobs send no
    /// more images in a call, make one call at a time, and allow it the time of that many requests.
    fn max_per_call(&self) -> Option<NonZeroUsize> {
        self.inner()?.max_per_call()
    }

    /// Returns the engine that runs the model, if it runs in this process.
    fn engine(&self) -> Option<EngineInfo> {
        self.inner()?.engine()
    }

    /// Returns how long its threads have worked, if it has threads in this process.
    fn busy(&self) -> Option<Busy> {
        self.inner()?.busy()
    }
}

/// The threads of a model in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// Number of threads.
    pub threads: NonZeroUsize,
    /// Total working time of all threads since the start.
    pub worked: Duration,
}

/// What runs a model in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// The name of the engine.
    pub name: &'static str,
    /// The name of the device.
    pub device: String,
}

/// Errors of an embedding provider.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EmbedError {
    /// The provider has no text tower.
    #[error("the embedding provider embeds images only, not text")]
    Unsupported,
    /// The provider refuses this input; other inputs may be accepted.
    #[error("the embedding provider refused the input: {0}")]
    Rejected(String),
    /// The provider failed repeatedly for this input and succeeded for others in between.
    #[error(
        "{dependency} failed {tries} times for this input and succeeded for other inputs in between; the log has the \
         details"
    )]
    Failing {
        /// The provider.
        dependency: String,
        /// Number of calls.
        tries: u32,
    },
    /// The number of vectors is not the number of inputs.
    #[error("the embedding provider returned {got} vectors for {sent} inputs")]
    WrongCount {
        /// Number of inputs.
        sent: usize,
        /// Number of vectors.
        got: usize,
    },
    /// The provider returned an invalid vector.
    #[error("the embedding provider returned an invalid vector: {0}")]
    Invalid(#[from] InvalidEmbedding),
    /// The probe found that the provider does not work as required.
    #[error("the embedding provider failed its probe: {0}")]
    ProbeFailed(String),
    /// The provider itself fails or cannot be used.
    #[error(transparent)]
    Dependency(#[from] DependencyError),
}

impl Retryable for EmbedError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Unsupported
            | Self::Rejected(_)
            | Self::Failing { .. }
            | Self::WrongCount { .. }
            | Self::Invalid(_)
            | Self::ProbeFailed(_) => false,
            Self::Dependency(down) => down.failure.is_temporary(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        self.dependency().and_then(|down| down.failure.retry_after())
    }

    fn is_failure(&self) -> bool {
        self.dependency().is_some_and(|down| down.failure.is_down())
    }
}

impl EmbedError {
    fn dependency(&self) -> Option<&DependencyError> {
        match self {
            Self::Dependency(down) => Some(down),
            Self::Unsupported
            | Self::Rejected(_)
            | Self::Failing { .. }
            | Self::WrongCount { .. }
            | Self::Invalid(_)
            | Self::ProbeFailed(_) => None,
        }
    }

    /// Returns how often the provider was called before this error.
    pub fn tries(&self) -> u32 {
        match self {
            Self::Failing { tries, .. } => *tries,
            Self::Unsupported
            | Self::Rejected(_)
            | Self::WrongCount { .. }
            | Self::Invalid(_)
            | Self::ProbeFailed(_)
            | Self::Dependency(_) => 1,
        }
    }
}
