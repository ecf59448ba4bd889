//! The result of a calibration, and how it is made and stored.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::file;
use super::fit::{ImageFit, TextFit};
use super::inputs::{self, UNRELATED};
use super::vectors::Vectors;
use crate::demo;
use crate::domain::Space;
use crate::embed::{EmbedError, ImageEmbeddingProvider};

/// The calibration of the built-in model, which tests compare with a new one.
const BUILT_IN: &[u8] = include_bytes!("../../models/glimpse-mini-1/calibration.json");
/// The largest file that is read: ten times that of a model with 1,024 numbers in a vector.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// A calibration fails if more than a quarter of the texts are refused: then the provider is at fault, not the text.
const MAX_REFUSED_SHARE: usize = 4;
/// Number of images in one call of the provider.
const BATCH: usize = 8;

/// The fits of one space, with the vectors that the backgrounds of collections need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Calibrated {
    /// Raised with every change of the inputs or the formulas, so that old files are not used.
    version: u32,
    pub(super) space: Space,
    /// `None` for a model without a text tower.
    pub(super) text: Option<TextFit>,
    pub(super) image: ImageFit,
    pub(super) images: Vectors,
    pub(super) unrelated: Vectors,
}

const VERSION: u32 = 1;

/// A failed calibration.
#[derive(Debug, thiserror::Error)]
pub(super) enum CalibrationError {
    #[error(transparent)]
    Embed(#[from] EmbedError),
    #[error(transparent)]
    Input(#[from] inputs::InputError),
    #[error("the provider refused {refused} of {all} texts")]
    TextsRefused { refused: usize, all: usize },
    #[error("the model was changed meanwhile")]
    Changed,
    #[error("the preparation of the images panicked")]
    Panicked,
}

impl CalibrationError {
    /// Returns the message for clients; the details of a dependency are for the log.
    pub(super) fn for_client(&self) -> String {
        match self {
            Self::Embed(EmbedError::Dependency(down)) => down.for_client(),
            Self::Embed(_) | Self::Input(_) | Self::TextsRefused { .. } | Self::Changed | Self::Panicked => {
                self.to_string()
            }
        }
    }
}

impl Calibrated {
    /// Embeds the inputs and fits to them: 156 images in batches of at most 8, and 89 texts.
    pub(super) async fn measure(
        provider: &dyn ImageEmbeddingProvider,
        space: &Space,
    ) -> Result<Self, CalibrationError> {
        let mut unrelated = Vectors::new(space.dimension);
        let texts =
            match embed_texts(provider, UNRELATED.map(|text| (text.to_owned(), ())).into(), &mut unrelated).await {
                Ok(_) => {
                    let known = inputs::known_queries().into_iter().map(|query| (query.text, query.answers)).collect();
                    let mut queries = Vectors::new(space.dimension);
                    let answers = embed_texts(provider, known, &mut queries).await?;
                    Some((queries, answers))
                }
                Err(CalibrationError::Embed(EmbedError::Unsupported)) => None,
                Err(error) => return Err(error),
            };
        let preprocessing = provider.preprocessing();
        let inputs = tokio::task::spawn_blocking(move || inputs::images(preprocessing));
        let inputs = inputs.await.map_err(|_| CalibrationError::Panicked)??;
        let (mut images, mut copies, mut originals) =
            (Vectors::new(space.dimension), Vectors::new(space.dimension), Vec::new());
        let batch = provider.max_per_call().map_or(BATCH, |max| max.get().min(BATCH));
        for batch in inputs.chunks(batch) {
            let prepared: Vec<_> = batch.iter().map(|input| input.prepared.clone()).collect();
            for (input, vector) in batch.iter().zip(provider.embed_image_batch(&prepared).await?) {
                if input.is_copy {
                    copies.push(vector.as_slice());
                    originals.push(input.image);
                } else {
                    images.push(vector.as_slice());
                }
            }
        }
        let text = texts.map(|(queries, answers)| TextFit::new(&images, &queries, &answers, &unrelated));
        let now = provider.space().await?;
        space.admits(&now).map_err(|_| CalibrationError::Changed)?;
        let image = ImageFit::new(&images, &copies, &originals);
        Ok(Self { version: VERSION, space: space.clone(), text, image, images, unrelated })
    }

    /// Returns the stored calibration of a space: that of the built-in model, or a file in `folder`.
    pub(super) fn load(folder: &Path, space: &Space) -> Option<Self> {
        let fits = |stored: &Self| stored.is_valid() && stored.space.admits(space).is_ok();
        let built_in = || Self::built_in().filter(fits);
        let stored = || file::read(&path(folder, space), MAX_FILE_BYTES).filter(fits);
        built_in().or_else(stored)
    }

    /// Writes the file of a space.
    ///
    /// # Errors
    /// The error of the file system.
    pub(super) fn store(&self, folder: &Path) -> std::io::Result<()> {
        file::write(&path(folder, &self.space), &self.to_json())
    }

    /// Returns the calibration of the built-in model.
    pub(super) fn built_in() -> Option<Self> {
        serde_json::from_slice(BUILT_IN).ok()
    }

    /// Whether a file can be what [`Calibrated::store`] wrote.
    pub(super) fn is_valid(&self) -> bool {
        let is_whole = |vectors: &Vectors, min| {
            vectors.dimension == self.space.dimension
                && vectors.len() >= min
                && vectors.numbers.iter().all(|number| number.is_finite())
        };
        let texts = self.text.is_none() || is_whole(&self.unrelated, 1);
        self.version == VERSION
            && is_whole(&self.images, demo::count())
            && texts
            && self.text.as_ref().is_none_or(|text| text.is_valid(self.space.dimension))
            && self.image.is_valid()
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Measures a provider anew and returns the file of the result, for the file of the built-in model.
///
/// # Errors
/// A message if a call of the provider fails.
pub async fn measured_file(provider: &dyn ImageEmbeddingProvider) -> Result<String, String> {
    let space = provider.space().await.map_err(|error| error.to_string())?;
    let measured = Calibrated::measure(provider, &space).await.map_err(|error| error.to_string())?;
    Ok(measured.to_json())
}

/// The file of a space. Spaces of the same name replace each other's file.
fn path(folder: &Path, space: &Space) -> PathBuf {
    let name = hex::encode(&Sha256::digest(space.name())[..8]);
    folder.join(format!("{name}.json"))
}

/// Embeds texts, and returns what belongs to each embedded one. Texts that the provider refuses are left out: some
/// tokenizers have no words for `!!!???`.
pub(super) async fn embed_texts<T>(
    provider: &dyn ImageEmbeddingProvider,
    texts: Vec<(String, T)>,
    vectors: &mut Vectors,
) -> Result<Vec<T>, CalibrationError> {
    let all = texts.len();
    let mut embedded = Vec::new();
    for (text, value) in texts {
        match provider.embed_text(&text).await {
            Ok(vector) => {
                vectors.push(vector.as_slice());
                embedded.push(value);
            }
            Err(EmbedError::Rejected(_) | EmbedError::Failing { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let refused = all - embedded.len();
    if refused > all / MAX_REFUSED_SHARE { Err(CalibrationError::TextsRefused { refused, all }) } else { Ok(embedded) }
}
