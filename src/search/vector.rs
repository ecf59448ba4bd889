//! The vector of a query.

use bytes::Bytes;

use super::query_input::empty_query_error;
use super::{QueryInput, Search, SearchError};
use crate::domain::{CollectionName, Embedding, ImageId, ImageRecord, Space};
use crate::embed::EmbedError;
use crate::imaging::{self, Extras};

impl Search {
    /// Returns the record of the image whose id the query contains, from any store.
    pub(super) async fn known(&self, collection: &CollectionName, id: &str) -> Result<ImageRecord, SearchError> {
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
        if let Some(bytes) = query.image {
            parts.push(self.embed_image(bytes).await?);
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

    async fn embed_image(&self, bytes: Bytes) -> Result<Embedding, SearchError> {
        let (limits, preprocessing) = (self.limits, self.provider.preprocessing());
        let size = imaging::prepared_size(&bytes, &limits, &preprocessing, Extras::default())?;
        let memory = self.decoded.take(size).await;
        let core = self.cores.clone().acquire_owned().await;
        let prepared = tokio::task::spawn_blocking(move || {
            let _permits = (core, memory);
            imaging::prepare(&bytes, &limits, &preprocessing)
        });
        let prepared = prepared.await.map_err(|panic| {
            tracing::error!(%panic, "the decoder panicked while it read the image of a search");
            SearchError::Panicked
        })??;
        Ok(self.provider.embed_image(&prepared.image).await?)
    }
}
