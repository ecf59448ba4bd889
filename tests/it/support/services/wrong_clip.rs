//! A CLIP service that sends wrong vectors.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use glimpse::domain::{DependencyError, Embedding, FailureKind, Space};
use glimpse::embed::{EmbedError, ImageEmbeddingProvider, local::LocalProvider};
use glimpse::imaging::{ImagingSettings, PreparedImage, Preprocessing};

/// The built-in model behind the routes of `glimpse clip`, with changed answers.
pub(crate) struct WrongClip {
    model: LocalProvider,
    mode: AtomicU8,
    /// How much longer than the model it takes for a batch of images.
    delay: Duration,
}

pub(crate) const CORRECT: u8 = 0;
/// Always the same vector.
pub(crate) const CONSTANT: u8 = 1;
/// Half of the numbers.
pub(crate) const HALF: u8 = 2;
/// The same size, another model.
pub(crate) const REVERSED: u8 = 3;

impl WrongClip {
    pub(crate) fn new() -> Arc<Self> {
        Self::slow(Duration::ZERO)
    }

    /// A service that a test can change before a job has ended, also on a fast machine.
    pub(crate) fn slow(delay: Duration) -> Arc<Self> {
        let model = LocalProvider::start(NonZeroUsize::new(2).unwrap()).unwrap();
        Arc::new(Self { model, mode: AtomicU8::new(CORRECT), delay })
    }

    pub(crate) fn set_mode(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }

    fn distort(&self, vector: &Embedding) -> Embedding {
        let raw = vector.as_slice();
        let wrong_clip = match self.mode.load(Ordering::SeqCst) {
            CONSTANT => vec![1.0; raw.len()],
            HALF => raw[..raw.len() / 2].to_vec(),
            REVERSED => raw.iter().rev().copied().collect(),
            _ => raw.to_vec(),
        };
        let size = wrong_clip.len();
        Embedding::normalised(wrong_clip, size).unwrap()
    }

    pub(crate) fn router(self: &Arc<Self>) -> Router {
        glimpse::clip_server::router(self.clone(), ImagingSettings::default().limits())
    }
}

#[async_trait]
impl ImageEmbeddingProvider for WrongClip {
    fn preprocessing(&self) -> Preprocessing {
        self.model.preprocessing()
    }

    /// Its card, as the router shows it, without probes that would reveal the change.
    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        let dimension = if self.mode.load(Ordering::SeqCst) == HALF { 256 } else { 512 };
        let preprocessing = self.preprocessing().to_string();
        Ok(Arc::new(Space { model: "bent".into(), dimension, preprocessing, probes: Vec::new() }))
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        tokio::time::sleep(self.delay).await;
        Ok(self.model.embed_image_batch(images).await?.iter().map(|vector| self.distort(vector)).collect())
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        if text == "sold out" {
            let failure = FailureKind::Busy { retry_after: Duration::from_secs(1) };
            return Err(DependencyError { dependency: "local".into(), failure, detail: String::new() }.into());
        }
        Ok(self.distort(&self.model.embed_text(text).await?))
    }
}
