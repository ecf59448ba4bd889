//! What a collection has: its images without a query, its values with their counts, and its sums.

mod cursor;
mod error;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::domain::{
    BrowseQuery, CollectionInfo, CollectionName, CollectionSummary, FacetField, FacetQuery, Facets, Filter, ImageId,
    PageStart, StoredImage,
};
use crate::index::several_stores::{Merged, Resolved};
use crate::index::{ImageIndex, IndexError, Stores};

use cursor::QueryId;
pub use error::BrowseError;

/// The maximum number of images on a page.
pub const MAX_IMAGES: usize = 100;
/// The maximum number of values of a facet.
pub const MAX_VALUES: usize = 1_000;
/// The maximum number of concurrent requests. Some of them read a whole collection. Further ones are refused with
/// [`BrowseError::Busy`].
const MAX_CONCURRENT_REQUESTS: usize = 16;
/// The images whose metadata keys are counted.
const SAMPLED_IMAGES: usize = 200;
/// The maximum number of metadata keys of [`CollectionDetails`].
const MAX_META_KEYS: usize = 20;

/// Lists and counts the images of the stores. Clones share their state.
#[derive(Clone, Debug)]
pub struct Browse {
    stores: Stores,
    permits: Arc<Semaphore>,
}

/// Which collection is read, and in which stores.
#[derive(Clone, Debug)]
pub struct BrowseTarget {
    /// The name of the collection.
    pub collection: String,
    /// The name of the store, `all`, or `None` for the default store.
    pub provider: Option<String>,
    /// Conditions that an image must fulfil.
    pub filter: Filter,
}

/// Which images a page has.
#[derive(Clone, Debug)]
pub struct PageOptions {
    /// The order: `newest`, `taken`, `key` or `random`; `None` for that of the cursor, or `newest`.
    pub order: Option<String>,
    /// The cursor in the page before.
    pub cursor: Option<String>,
    /// The number of images, 1 to [`MAX_IMAGES`].
    pub limit: usize,
}

/// A page of images.
#[derive(Clone, Debug)]
pub struct ImagePage {
    /// The collection.
    pub collection: CollectionName,
    /// The images in order.
    pub images: Vec<StoredImage>,
    /// The cursor of the next page; `None` after the last page.
    pub next_cursor: Option<String>,
    /// One message for each store that is left out, with the reason.
    pub warnings: Vec<String>,
}

/// What a collection has.
#[derive(Clone, Debug)]
pub struct CollectionDetails {
    /// The name, space and size of the collection in the first store that has it.
    pub info: CollectionInfo,
    /// The number of images in each store.
    pub stores: Vec<(&'static str, u64)>,
    /// What the records have together, in the first store that has the collection.
    pub summary: CollectionSummary,
    /// The number of images of each format there.
    pub formats: Vec<(String, u64)>,
    /// The metadata keys of a random sample, the most frequent first.
    pub meta_keys: Vec<String>,
    /// One message for each store that is left out, with the reason.
    pub warnings: Vec<String>,
}

impl Browse {
    /// Creates the service over these stores.
    pub fn new(stores: Stores) -> Self {
        Self { stores, permits: Arc::new(Semaphore::new(MAX_CONCURRENT_REQUESTS)) }
    }

    /// Returns a page of the images that match the filter.
    ///
    /// # Errors
    /// Returns a [`BrowseError`] if an option is invalid, too many requests run, or every store fails.
    pub async fn images(&self, target: BrowseTarget, page: &PageOptions) -> Result<ImagePage, BrowseError> {
        check_limit(page.limit, MAX_IMAGES)?;
        let (Resolved { name, physical: collection, .. }, stores) = self.resolve(&target)?;
        // A cursor of another generation is refused.
        let query_id = QueryId::new(&collection, &stores.names(), &target.filter);
        let start = cursor::page_start(page.order.as_deref(), page.cursor.as_deref(), query_id)?;
        let _permit = self.permits.try_acquire().map_err(|_| BrowseError::Busy)?;
        let query = BrowseQuery { filter: target.filter, start, limit: page.limit };
        let Merged { value: page, warnings } = stores.browse(&collection, &query).await?;
        let next_cursor = page.next.map(|next| cursor::encode(next, query_id));
        Ok(ImagePage { collection: name, images: page.images, next_cursor, warnings })
    }

    /// Counts the images with each value of a field, among those that match the filter, in the first store that replies.
    ///
    /// # Errors
    /// Returns a [`BrowseError`] if an option is invalid, too many requests run, or every store fails.
    pub async fn facets(
        &self,
        target: BrowseTarget,
        field: &str,
        limit: usize,
    ) -> Result<(&'static str, Facets), BrowseError> {
        check_limit(limit, MAX_VALUES)?;
        let message = || format!("must be {}, not `{field}`", FacetField::NAMES);
        let field = FacetField::parse(field).ok_or_else(|| BrowseError::invalid("field", message()))?;
        let (Resolved { physical: collection, .. }, stores) = self.resolve(&target)?;
        let _permit = self.permits.try_acquire().map_err(|_| BrowseError::Busy)?;
        let query = FacetQuery { field, filter: target.filter, limit };
        let (collection, query) = (&collection, &query);
        Ok(stores.first_reply(|store| async move { store.facets(collection, query).await }).await?)
    }

    /// Returns what a collection has.
    ///
    /// # Errors
    /// Returns a [`BrowseError`] if the name is invalid, too many requests run, or no store has the collection.
    pub async fn collection(&self, name: &str) -> Result<CollectionDetails, BrowseError> {
        let Resolved { name, physical, .. } = self.stores.generations().resolve(&CollectionName::parse(name)?, None)?;
        let collection = &physical;
        let _permit = self.permits.try_acquire().map_err(|_| BrowseError::Busy)?;
        let formats = &FacetQuery { field: FacetField::Format, filter: Filter::default(), limit: MAX_VALUES };
        let start = PageStart::Random { first: ImageId(uuid::Uuid::new_v4()), after: None };
        let sample = &BrowseQuery { filter: Filter::default(), start, limit: SAMPLED_IMAGES };
        let read = |store: Arc<dyn ImageIndex>| async move {
            futures::try_join!(
                store.summary(collection),
                store.facets(collection, formats),
                store.browse(collection, sample)
            )
        };
        let (described, read) = futures::join!(self.stores.describe(collection), self.stores.first_reply(read));
        let Merged { value: infos, warnings } = described?;
        let (_, (summary, formats, sample)) = read?;
        let stores = infos.iter().map(|(store, info)| (*store, info.count)).collect();
        let (_, info) = infos.into_iter().next().ok_or_else(|| IndexError::UnknownCollection(name.clone()))?;
        let (formats, meta_keys) = (formats.values, frequent_keys(&sample.images));
        let info = CollectionInfo { name, ..info };
        Ok(CollectionDetails { info, stores, summary, formats, meta_keys, warnings })
    }

    fn resolve(&self, target: &BrowseTarget) -> Result<(Resolved, Stores), BrowseError> {
        let name = CollectionName::parse(&target.collection)?;
        let collection = self.stores.generations().resolve(&name, None)?;
        let stores = self.stores.choose(target.provider.as_deref());
        let stores = stores.map_err(|message| BrowseError::invalid("provider", message))?;
        Ok((collection, stores))
    }
}

fn check_limit(limit: usize, max: usize) -> Result<(), BrowseError> {
    if (1..=max).contains(&limit) {
        return Ok(());
    }
    Err(BrowseError::invalid("limit", format!("must be a whole number from 1 to {max}, not {limit}")))
}

/// Returns the metadata keys that most of the images have.
fn frequent_keys(images: &[StoredImage]) -> Vec<String> {
    let mut counts = std::collections::BTreeMap::<&String, usize>::new();
    for key in images.iter().flat_map(|image| image.payload.meta.keys()) {
        *counts.entry(key).or_default() += 1;
    }
    let mut keys: Vec<_> = counts.into_iter().collect();
    // The sort is stable: equal counts stay in the order of the keys.
    keys.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    keys.into_iter().take(MAX_META_KEYS).map(|(key, _)| key.clone()).collect()
}
