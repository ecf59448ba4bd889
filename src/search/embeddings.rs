//! Vectors of texts and images for clients, without a search.

use futures::future::try_join_all;

use super::query_input::{MAX_CHARACTERS, MAX_IMAGES, MAX_TERMS};
use super::{QueryImage, Search, SearchError};
use crate::domain::{CollectionName, Embedding, Language};
use crate::embed::EmbedError;
use crate::index::several_stores::Resolved;
use crate::telemetry::traces;

/// What vectors are made of.
#[derive(Debug)]
pub enum EmbeddingInputs {
    /// 1 to [`MAX_TERMS`] texts, and their language for models that need to know it.
    Texts(Vec<String>, Option<Language>),
    /// 1 to [`MAX_IMAGES`] images.
    Images(Vec<QueryImage>),
}

/// Whose model makes the vectors.
#[derive(Clone, Debug)]
pub struct EmbeddingOptions {
    /// The name of the collection. Without a model of its own, its model is that of the settings.
    pub collection: String,
    /// The name that the model must have; `None` for any.
    pub model: Option<String>,
    /// The number of dimensions that the vectors must have; `None` for any.
    pub dimensions: Option<usize>,
}

/// Vectors in the order of their inputs.
#[derive(Clone, Debug)]
pub struct Embeddings {
    /// The name of the model.
    pub model: String,
    /// The vectors, with the length 1.
    pub vectors: Vec<Embedding>,
}

impl EmbeddingInputs {
    fn check(&self) -> Result<(), SearchError> {
        let invalid = |message| Err(SearchError::InvalidTerm { field: "input", message });
        let (count, max, kind) = match self {
            Self::Texts(texts, _) => (texts.len(), MAX_TERMS, "texts"),
            Self::Images(images) => (images.len(), MAX_IMAGES, "images"),
        };
        if !(1..=max).contains(&count) {
            // Of a longer list, only as many are read.
            let or_more = if count > max { " or more" } else { "" };
            return invalid(format!("input: must have 1 to {max} {kind}, not {count}{or_more}"));
        }
        let Self::Texts(texts, _) = self else { return Ok(()) };
        for (index, text) in texts.iter().enumerate() {
            let characters = text.trim().chars().count();
            if !(1..=MAX_CHARACTERS).contains(&characters) {
                return invalid(format!(
                    "input[{index}]: must have 1 to {MAX_CHARACTERS} characters after trimming, not {characters}"
                ));
            }
        }
        Ok(())
    }
}

impl Search {
    /// Returns the vectors of texts or images by the model of a collection. Counts as one search.
    ///
    /// # Errors
    /// Returns a [`SearchError`] if an input or an option is invalid, too many searches run, or the provider fails.
    pub async fn embeddings(
        &self,
        inputs: EmbeddingInputs,
        options: &EmbeddingOptions,
    ) -> Result<Embeddings, SearchError> {
        inputs.check()?;
        let _permit = self.permits.try_acquire().map_err(|_| SearchError::Busy)?;
        let name = CollectionName::parse(&options.collection)?;
        let Resolved { physical: collection, .. } = self.stores.generations().resolve(&name, None)?;
        let (model, space) = self.models.for_search(&collection).await?;
        if let Some(asked) = options.model.as_ref().filter(|asked| **asked != space.model) {
            let shown: String = asked.chars().take(100).collect();
            let message = format!("must be `{}`, the model of the collection `{name}`, not `{shown}`", space.model);
            return Err(SearchError::Invalid { field: "model", message });
        }
        if let Some(dimensions) = options.dimensions.filter(|dimensions| *dimensions != space.dimension) {
            let message = format!("must be {}, which the model has, not {dimensions}", space.dimension);
            return Err(SearchError::Invalid { field: "dimensions", message });
        }
        let failed = |error| self.models.error(&collection, &model.record, error);
        let vectors = match inputs {
            EmbeddingInputs::Texts(texts, language) => {
                let vectors = texts.iter().map(|text| model.searches.embed_text_in(text.trim(), language));
                traces::stage("embed text").wrap(try_join_all(vectors)).await.map_err(failed)?
            }
            EmbeddingInputs::Images(images) => {
                let preprocessing = model.searches.preprocessing();
                let prepared = images.into_iter().map(|image| self.decoder.prepare(image, preprocessing));
                let prepared = traces::stage("prepare").wrap(try_join_all(prepared)).await?;
                let vectors = async {
                    match &prepared[..] {
                        [one] => model.searches.embed_image(one).await.map(|vector| vec![vector]),
                        several => model.searches.embed_image_batch(several).await,
                    }
                };
                let vectors = traces::stage("embed image").wrap(vectors).await;
                let (sent, vectors) = (prepared.len(), vectors.map_err(failed)?);
                let got = vectors.len();
                if sent != got {
                    return Err(failed(EmbedError::WrongCount { sent, got }).into());
                }
                vectors
            }
        };
        Ok(Embeddings { model: space.model.clone(), vectors })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_and_the_length_of_inputs_are_limited() {
        let texts = |texts: Vec<&str>| EmbeddingInputs::Texts(texts.into_iter().map(str::to_owned).collect(), None);
        texts(vec!["a"; MAX_TERMS]).check().unwrap();
        let images = |count: usize| EmbeddingInputs::Images((0..count).map(|_| QueryImage::default()).collect());
        images(MAX_IMAGES).check().unwrap();
        for (inputs, expected) in [
            (texts(vec![]), "input: must have 1 to 16 texts, not 0"),
            (texts(vec!["a"; MAX_TERMS + 1]), "input: must have 1 to 16 texts, not 17 or more"),
            (images(MAX_IMAGES + 1), "input: must have 1 to 8 images, not 9 or more"),
            (texts(vec!["a", " "]), "input[1]: must have 1 to 1000 characters after trimming, not 0"),
            (texts(vec![&"ä".repeat(1_001)]), "input[0]: must have 1 to 1000 characters after trimming, not 1001"),
        ] {
            assert_eq!(inputs.check().unwrap_err().to_string(), expected);
        }
    }
}
