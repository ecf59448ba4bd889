//! The queries of a self-test.

use uuid::Uuid;

use crate::domain::{BrowseQuery, CollectionName, Embedding, Filter, ImageId, PageStart, Space};
use crate::embed::{EmbedError, ImageEmbeddingProvider};
use crate::index::{ImageIndex, IndexError};

/// The number of images of a collection that are searched for.
const IMAGES: usize = 32;
/// The maximum number of texts.
const MAX_TEXTS: usize = 80;

/// What a query is made of. Texts are harder for an index than images: their cosines are low and close to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Image,
}

/// A query whose results are compared.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) kind: Kind,
    pub(super) vector: Embedding,
    /// The indexed image that the query is, which is not a result.
    pub(super) excluded: Option<ImageId>,
}

/// Returns queries by these texts, or none if the model has no vectors of texts.
pub(super) async fn texts(
    provider: &dyn ImageEmbeddingProvider,
    space: &Space,
    texts: &[String],
) -> Result<Vec<Query>, EmbedError> {
    let mut queries = Vec::new();
    for text in texts.iter().take(MAX_TEXTS) {
        match provider.embed_text(text).await {
            Ok(vector) if vector.dimension() == space.dimension => {
                queries.push(Query { kind: Kind::Text, vector, excluded: None });
            }
            // A service may refuse single texts.
            Ok(_) | Err(EmbedError::Rejected(_)) => {}
            Err(EmbedError::Unsupported) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
    }
    Ok(queries)
}

/// Returns queries by random images of a collection.
pub(super) async fn images(index: &dyn ImageIndex, collection: &CollectionName) -> Result<Vec<Query>, IndexError> {
    let start = PageStart::Random { first: ImageId(Uuid::new_v4()), after: None };
    let sample = BrowseQuery { filter: Filter::default(), start, limit: IMAGES };
    let ids: Vec<ImageId> = index.browse(collection, &sample).await?.images.iter().map(|image| image.id).collect();
    let records = index.get(collection, &ids).await?.into_iter();
    let query = |(id, vector)| Query { kind: Kind::Image, vector, excluded: Some(id) };
    Ok(records.map(|record| query((record.id, record.embedding))).collect())
}
