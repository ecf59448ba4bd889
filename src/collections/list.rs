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
    /// Returns the name in the stores of the current generation of a collection.
    pub fn physical_name(&self, collection: &CollectionName) -> CollectionName {
        self.0.resolve(collection).map_or_else(|_| collection.clone(), |current| current.physical)
    }

    /// Returns the recorded model of a collection, and whether it is that of the settings.
    pub fn model_record(&self, collection: &CollectionName) -> Option<(ModelRecord, bool)> {
        self.0.models.recorded(&self.physical_name(collection))
    }

    /// Returns all collections, each with the numbers of its current generation.
    ///
    /// # Errors
    /// [`JobsError::Index`] if no store replies.
    pub async fn collections(&self) -> Result<Collections, JobsError> {
        let stores = &self.0.stores;
        let Merged { value: all, warnings } = stores.collections().await?;
        let visible = |(info, counts): (CollectionInfo, _)| {
            let name = stores.generations().visible_name(&info.name)?;
            Some((CollectionInfo { name, ..info }, counts))
        };
        let mut collections: Vec<_> = all.into_iter().filter_map(visible).collect();
        collections.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        Ok(Collections { provider: stores.name(), collections, warnings })
    }
}
