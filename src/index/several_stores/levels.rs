//! The effort of searches in each store and collection.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use crate::domain::{CollectionName, SearchEffort};
use crate::lock::lock;

/// The level of each collection and store whose recall was tested. A collection without a level is searched with the
/// default of the store. Clones share the levels.
#[derive(Clone, Default)]
pub struct Levels(Arc<Mutex<HashMap<CollectionName, HashMap<String, u32>>>>);

impl Levels {
    /// Replaces all levels by these of collections in stores.
    pub fn replace(&self, levels: impl IntoIterator<Item = (CollectionName, String, u32)>) {
        let mut all = HashMap::<CollectionName, HashMap<String, u32>>::new();
        for (collection, store, level) in levels {
            all.entry(collection).or_default().insert(store, level);
        }
        *lock(&self.0) = all;
    }

    /// Removes the levels of a collection in all stores.
    pub fn forget(&self, collection: &CollectionName) {
        lock(&self.0).remove(collection);
    }

    /// Returns the effort of a query: the wanted one, or for the default the level of the collection.
    pub fn effort(&self, store: &str, collection: &CollectionName, wanted: SearchEffort) -> SearchEffort {
        match wanted {
            SearchEffort::Exact | SearchEffort::Level(_) => wanted,
            SearchEffort::Default => {
                let level = lock(&self.0).get(collection).and_then(|stores| stores.get(store)).copied();
                level.map_or(SearchEffort::Default, SearchEffort::Level)
            }
        }
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Levels").field(&lock(&self.0).len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_default_effort_is_replaced_by_the_level_of_the_collection() {
        let [a, b] = ["a", "b"].map(|name| CollectionName::parse(name).unwrap());
        let levels = Levels::default();
        levels.replace([(a.clone(), "qdrant".to_owned(), 256)]);
        let default = SearchEffort::Default;
        assert_eq!(levels.clone().effort("qdrant", &a, default), SearchEffort::Level(256));
        assert_eq!(levels.effort("qdrant", &a, SearchEffort::Exact), SearchEffort::Exact);
        assert_eq!(levels.effort("qdrant", &a, SearchEffort::Level(9)), SearchEffort::Level(9));
        assert_eq!(levels.effort("weaviate", &a, default), default);
        assert_eq!(levels.effort("qdrant", &b, default), default);
        levels.forget(&a);
        assert_eq!(levels.effort("qdrant", &a, default), default);
    }
}
