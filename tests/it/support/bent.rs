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
pub(crate) struct Bent {
    model: LocalProvider,
    how: AtomicU8,
}

pub(crate) const HONEST: u8 = 0;
/// Always the same vector.
pub(crate) const CONSTANT: u8 = 1;
/// Half of the numbers.
pub(crate) const HALF: u8 = 2;
/// The same size, another model.
pub(crate) const TURNED: u8 = 3;

impl Bent {
    pub(crate) fn new() -> Arc<Self> {
        let model = LocalProvider::start(NonZeroUsize::new(2).unwrap()).unwrap();
        Arc::new(Self { model, how: AtomicU8::new(HONEST) })
    }

    pub(crate) fn becomes(&self, how: u8) {
        self.how.store(how, Ordering::SeqCst);
    }

    fn bend(&self, vector: &Embedding) -> Embedding {
        let raw = vector.as_slice();
        let bent = match self.how.load(Ordering::SeqCst) {
            CONSTANT => vec![1.0; raw.len()],
            HALF => raw[..raw.len() / 2].to_vec(),
            TURNED => raw.iter().rev().copied().collect(),
            _ => raw.to_vec(),
        };
        let size = bent.len();
        Embedding::normalised(bent, size).unwrap()
    }

    pub(crate) fn router(self: &Arc<Self>) -> Router {
        glimpse::clip::router(self.clone(), ImagingSettings::default().limits())
    }
}

#[async_trait]
impl ImageEmbeddingProvider for Bent {
    fn preprocessing(&self) -> Preprocessing {
        self.model.preprocessing()
    }

    /// Its card, as the router shows it, without probes that would reveal the change.
    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        let dimension = if self.how.load(Ordering::SeqCst) == HALF { 256 } else { 512 };
        let preprocessing = self.preprocessing().to_string();
        Ok(Arc::new(Space { model: "bent".into(), dimension, preprocessing, probes: Vec::new() }))
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        Ok(self.model.embed_image_batch(images).await?.iter().map(|vector| self.bend(vector)).collect())
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        if text == "sold out" {
            let trouble = FailureKind::Busy { retry_after: Duration::from_secs(1) };
            return Err(DependencyError { dependency: "local".into(), trouble, detail: String::new() }.into());
        }
        Ok(self.bend(&self.model.embed_text(text).await?))
    }
}
