//! Lists the collections of the stores.

use crate::domain::{CollectionInfo, CollectionName, ModelRecord};
use crate::index::several_stores::Merged;
use crate::jobs::error::JobsError;
use crate::jobs::service::Jobs;

/// The collections in the stores.
#[derive(Clone, Debug)]
pub struct Collections {
    /// The store that was asked, or `all`.
    pub provider: &'static str,
    /// The collections, sorted by name, each with the record counts of its stores. The info is from the first store.
    pub collections: Vec<(CollectionInfo, Vec<(&'static str, u64)>)>,
    /// One message for each store that did not reply.
    pub warnings: Vec<String>,
}

impl Jobs {
    /// Returns the recorded model of a collection, and whether it is that of the settings.
    pub fn model_record(&self, collection: &CollectionName) -> Option<(ModelRecord, bool)> {
        self.0.models.recorded(collection)
    }

    /// Returns all collections.
    ///
    /// # Errors
    /// [`JobsError::Index`] if no store replies.
    pub async fn collections(&self) -> Result<Collections, JobsError> {
        let stores = &self.0.stores;
        let Merged { value: collections, warnings } = stores.collections().await?;
        Ok(Collections { provider: stores.name(), collections, warnings })
    }
}
