//! The vectors of the images or texts of a request, for both APIs.

use futures::future::try_join_all;

use super::error::ClipError;
use super::wire::{self, ModelInfo};
use super::{ClipState, RETRY_AFTER};
use crate::domain::{Embedding, Language};
use crate::embed::EmbedError;
use crate::imaging::{self, Limits, PreparedImage, Preprocessing};

/// Maximum number of images or texts in one request.
pub(super) const MAX_INPUTS: usize = 64;

impl ClipState {
    /// Describes the model.
    pub(super) async fn model_info(&self) -> Result<ModelInfo, ClipError> {
        let space = self.provider.space().await?;
        let Preprocessing { size, resize, .. } = self.provider.preprocessing();
        Ok(ModelInfo {
            model: space.model.clone(),
            dimension: space.dimension,
            image_size: size,
            resize: resize.name(),
            preprocessing: space.preprocessing.clone(),
        })
    }

    /// Returns the vectors of images, each with the text before its data. `images` returns their data URIs, on a blocking
    /// thread; `field` is the field of the body that holds them.
    pub(super) async fn image_vectors(
        &self,
        field: &'static str,
        images: impl FnOnce() -> Result<Vec<String>, ClipError> + Send + 'static,
    ) -> Result<Vec<(String, Embedding)>, ClipError> {
        // The size of the model's square is final only after the space is verified.
        self.provider.space().await?;
        let (limits, preprocessing) = (self.limits, self.provider.preprocessing());
        let core = self.cores.clone().acquire_owned().await;
        let prepared = tokio::task::spawn_blocking(move || {
            let _core = core;
            prepare(field, &images()?, &limits, preprocessing)
        });
        let (prefixes, mut prepared): (Vec<String>, Vec<PreparedImage>) =
            prepared.await.map_err(|_| ClipError::Panicked)??.into_iter().unzip();
        let vectors = match (prepared.len(), prepared.pop()) {
            // A single image: a search, or a client that sends its images one after the other.
            (1, Some(one)) => {
                let _permit = self.single_images.try_acquire().map_err(|_| ClipError::Busy(RETRY_AFTER))?;
                vec![self.provider.embed_image(&one).await?]
            }
            (_, last) => {
                prepared.extend(last);
                self.provider.embed_image_batch(&prepared).await?
            }
        };
        let (sent, got) = (prefixes.len(), vectors.len());
        if got != sent {
            return Err(EmbedError::WrongCount { sent, got }.into());
        }
        Ok(prefixes.into_iter().zip(vectors).collect())
    }

    /// Returns the vectors of texts.
    pub(super) async fn text_vectors(
        &self,
        field: &'static str,
        texts: &[String],
        language: Option<Language>,
    ) -> Result<Vec<Embedding>, ClipError> {
        check_count(field, texts.len())?;
        let vectors = texts.iter().enumerate().map(|(index, text)| async move {
            self.provider.embed_text_in(text, language).await.map_err(|error| match error {
                EmbedError::Rejected(problem) => ClipError::Input { field, index, problem },
                other => other.into(),
            })
        });
        try_join_all(vectors).await
    }
}

/// Returns the prepared images, each with the text before its data.
fn prepare(
    field: &'static str,
    images: &[String],
    limits: &Limits,
    preprocessing: Preprocessing,
) -> Result<Vec<(String, PreparedImage)>, ClipError> {
    check_count(field, images.len())?;
    let prepared = images.iter().enumerate().map(|(index, text)| {
        let wrong = |problem| ClipError::Input { field, index, problem };
        let (prefix, bytes) = wire::data_uri(text).map_err(wrong)?;
        let prepared = imaging::prepare(&bytes, limits, &preprocessing).map_err(|error| wrong(error.to_string()))?;
        Ok((prefix.to_owned(), prepared.image))
    });
    prepared.collect()
}

fn check_count(field: &'static str, count: usize) -> Result<(), ClipError> {
    if count > MAX_INPUTS { Err(ClipError::TooMany { field, count, max: MAX_INPUTS }) } else { Ok(()) }
}
