//! The port [`ImageEmbeddingProvider`]: images and words become vectors of one space, its adapters, and what is put
//! around them. Knows nothing of buckets, indexes, jobs or the replies of this service.
//!
//! From the outside in: [`TextCache`] → [`Verified`] → [`Resilient`] → an adapter. An adapter neither retries nor
//! remembers; its [`space`](ImageEmbeddingProvider::space) probes each time it is asked.

pub mod hub;
pub mod local;
pub mod probe;

mod batch_size;
mod cached;
mod clip_http;
mod http;
mod kind;
mod multi2vec;
mod ollama;
mod openai;
mod proof;
mod reading;
mod remote;
mod resilient;
mod settings;
mod verified;
mod wire_image;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{DependencyError, Embedding, InvalidEmbedding, Space};
use crate::imaging::{PreparedImage, Preprocessing};
use crate::resilience::Retryable;

pub use cached::TextCache;
pub use clip_http::ClipProvider;
pub use http::ServiceSettings;
pub use kind::ProviderKind;
pub use multi2vec::Multi2VecProvider;
pub use ollama::{OllamaProvider, OllamaSettings};
pub use openai::OpenAiProvider;
pub use proof::Proof;
pub use remote::RemoteSettings;
pub use resilient::Resilient;
pub use settings::EmbedSettings;
pub use verified::Verified;

/// A model behind a trait, in this process or elsewhere.
#[async_trait]
pub trait ImageEmbeddingProvider: Send + Sync + 'static {
    /// How an image must be prepared for this provider; final once [`space`](Self::space) has succeeded.
    fn preprocessing(&self) -> Preprocessing;

    /// The space of its vectors, from a probe of both towers. A provider that ignores its input or lies about its
    /// size fails here. An adapter probes each time; [`Verified`] around it remembers.
    async fn space(&self) -> Result<Arc<Space>, EmbedError>;

    /// The space again, of a provider that is in use and that nothing speaks against. A provider whose full probe is
    /// dear may leave out what is not likely to have changed.
    async fn space_again(&self) -> Result<Arc<Space>, EmbedError> {
        self.space().await
    }

    /// One embedding per image, in the same order. One bad image may reject the whole batch.
    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError>;

    /// One image, ahead of any batches that wait.
    async fn embed_image(&self, image: &PreparedImage) -> Result<Embedding, EmbedError> {
        let mut one = self.embed_image_batch(std::slice::from_ref(image)).await?;
        match (one.pop(), one.len()) {
            (Some(embedding), 0) => Ok(embedding),
            (_, others) => Err(EmbedError::WrongCount { sent: 1, got: others }),
        }
    }

    /// A text, cut to what the model can read.
    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError>;

    /// Whether it would be called now: not while a breaker keeps calls back. Asks nobody.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`], with when it may be called again.
    fn reachable(&self) -> Result<(), EmbedError> {
        Ok(())
    }

    /// Images in one batch that cost less together than one by one; 1 where company gains nothing, or where that is
    /// not known.
    fn useful_batch(&self) -> NonZeroUsize {
        NonZeroUsize::MIN
    }

    /// The most images in one call, if the provider takes seconds for each and answers for each by itself: jobs send no
    /// more at once and have one call under way, and it has the time of as many requests.
    fn max_per_call(&self) -> Option<NonZeroUsize> {
        None
    }

    /// How much its own threads have worked, where it has threads here.
    fn busy(&self) -> Option<Busy> {
        None
    }
}

/// The threads of a model in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// How many there are.
    pub threads: NonZeroUsize,
    /// How long all of them together have worked since the start.
    pub worked: Duration,
}

/// What goes wrong with an embedding provider.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EmbedError {
    /// The provider has no text tower.
    #[error("the embedding provider embeds images only, not text")]
    Unsupported,
    /// The provider refuses this input; another may be fine.
    #[error("the embedding provider refused the input: {0}")]
    Rejected(String),
    /// The provider fails over this input again and again, and answers for others in between.
    #[error(
        "{dependency} failed over this input {tries} times and answered for others in between; the log has the details"
    )]
    Failing {
        /// The provider.
        dependency: String,
        /// How often it was asked.
        tries: u32,
    },
    /// Fewer or more vectors than inputs.
    #[error("the embedding provider answered {got} vectors for {sent} inputs")]
    WrongCount {
        /// Inputs.
        sent: usize,
        /// Vectors.
        got: usize,
    },
    /// What came is no embedding.
    #[error("the embedding provider answered with something that is no embedding: {0}")]
    Invalid(#[from] InvalidEmbedding),
    /// The probe found that the provider does not do what it says.
    #[error("the embedding provider failed its probe: {0}")]
    ProbeFailed(String),
    /// The provider itself is the trouble.
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
            Self::Dependency(down) => down.trouble.may_pass(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        self.dependency().and_then(|down| down.trouble.retry_after())
    }

    fn is_failure(&self) -> bool {
        self.dependency().is_some_and(|down| down.trouble.is_down())
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

    /// How often the provider was asked before this was said.
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
