//! The vector of a query.

use super::query_input::empty_query_error;
use super::{QueryImage, QueryInput, Search, SearchError};
use crate::domain::{CollectionName, Embedding, ImageId, ImageRecord, Space};
use crate::embed::EmbedError;

impl Search {
    /// Returns the record of the image whose id the query contains, from any store.
    pub(super) async fn find_image(&self, collection: &CollectionName, id: &str) -> Result<ImageRecord, SearchError> {
        let unknown = || SearchError::UnknownImage { id: id.to_owned(), collection: collection.clone() };
        let parsed = id.parse::<ImageId>().map_err(|_| unknown())?;
        self.stores.find_record(collection, parsed).await?.ok_or_else(unknown)
    }

    /// Embeds the query. If it combines a text, an image and an indexed image, the result is the normalised sum of
    /// their unit vectors.
    pub(super) async fn embed(
        &self,
        query: QueryInput,
        like: Option<&ImageRecord>,
        space: &Space,
    ) -> Result<Embedding, SearchError> {
        let mut parts: Vec<Embedding> = like.map(|record| record.embedding.clone()).into_iter().collect();
        if let Some(image) = query.image {
            parts.push(self.embed_image(image).await?);
        }
        if let Some(text) = query.text.as_deref().map(str::trim) {
            parts.push(self.provider.embed_text(text).await?);
        }
        let first = parts.pop().ok_or_else(empty_query_error)?;
        if parts.is_empty() {
            return Ok(first);
        }
        let mut sum = first.as_slice().to_vec();
        for part in parts {
            sum.iter_mut().zip(part.as_slice()).for_each(|(sum, value)| *sum += value);
        }
        Ok(Embedding::normalised(sum, space.dimension).map_err(EmbedError::Invalid)?)
    }

    async fn embed_image(&self, image: QueryImage) -> Result<Embedding, SearchError> {
        let prepared = self.decoder.prepare(image, self.provider.preprocessing()).await?;
        Ok(self.provider.embed_image(&prepared).await?)
    }
}
