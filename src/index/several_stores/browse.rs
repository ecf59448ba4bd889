//! Lists of records, counts and sums, from one store or several.

use futures::future::join_all;

use super::merge::{Merged, merged, preferred, unless_all_failed};
use super::{ALL_STORES, STORE_NAMES, Store, Stores};
use crate::domain::{BrowsePage, BrowseQuery, CollectionInfo, CollectionName};
use crate::index::IndexError;

impl Stores {
    /// Returns the stores that `provider=` names, the default store for `None`.
    ///
    /// # Errors
    /// Returns a message for the client if the store does not exist or is not configured.
    pub fn choose(&self, name: Option<&str>) -> Result<Self, String> {
        let name = match name {
            None => return Ok(self.only(self.default_store())),
            Some(ALL_STORES) => return Ok(self.clone()),
            Some(name) => name,
        };
        self.named(name).map(|store| self.only(store)).ok_or_else(|| {
            let configured = self.names();
            if STORE_NAMES.contains(&name) {
                format!("`{name}` is not configured; configured stores: {configured} (VECTOR_DB_PROVIDER)")
            } else {
                let allowed = STORE_NAMES.join(", ");
                format!("`{name}` is not a store; allowed: {allowed}; configured: {configured}")
            }
        })
    }

    /// Returns a page of the records that any of the stores has.
    ///
    /// # Errors
    /// Returns an [`IndexError`] if every store fails.
    pub async fn browse(
        &self,
        collection: &CollectionName,
        query: &BrowseQuery,
    ) -> Result<Merged<BrowsePage>, IndexError> {
        let requests = self.iter().map(|store| async move { (store.name(), store.browse(collection, query).await) });
        let Merged { value, warnings } = merged(unless_all_failed(join_all(requests).await)?);
        let pages = value.into_iter().map(|(_, page)| page).collect();
        Ok(Merged { value: BrowsePage::joined(pages, &query.start, query.limit), warnings })
    }

    /// Describes a collection in every store that has it.
    ///
    /// # Errors
    /// Returns an [`IndexError`] if no store has the collection, or every store fails.
    pub async fn describe(
        &self,
        collection: &CollectionName,
    ) -> Result<Merged<Vec<(&'static str, CollectionInfo)>>, IndexError> {
        Ok(merged(self.infos(collection).await?))
    }

    /// Returns the reply of the first store that has one.
    ///
    /// # Errors
    /// Returns an [`IndexError`] if every store fails.
    pub async fn first_reply<T, R>(&self, request: impl Fn(Store) -> R) -> Result<(&'static str, T), IndexError>
    where
        R: Future<Output = Result<T, IndexError>>,
    {
        let mut errors = Vec::new();
        for store in self.iter() {
            match request(store.clone()).await {
                Ok(reply) => return Ok((store.name(), reply)),
                Err(error) => errors.push(error),
            }
        }
        Err(preferred(errors))
    }
}
