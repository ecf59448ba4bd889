//! The configured stores, by name.

use std::fmt;
use std::sync::Arc;

use super::ImageIndex;

/// Names that `provider=` may hold, whether configured here or not.
pub const KNOWN: [&str; 4] = ["embedded", "qdrant", "weaviate", "all"];

/// A list of stores, the default first. No decorator: its answers say which store they are from.
#[derive(Clone)]
pub struct Stores(Vec<Arc<dyn ImageIndex>>);

impl Stores {
    /// The stores, the default first; at least one.
    ///
    /// # Panics
    /// Without any store.
    pub fn new(stores: Vec<Arc<dyn ImageIndex>>) -> Self {
        assert!(!stores.is_empty(), "a service without a store can neither index nor search");
        Self(stores)
    }

    /// The one that is meant where none is named.
    pub fn default_store(&self) -> &Arc<dyn ImageIndex> {
        &self.0[0]
    }

    /// The store of that name, if it is configured.
    pub fn named(&self, name: &str) -> Option<&Arc<dyn ImageIndex>> {
        self.0.iter().find(|store| store.name() == name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn ImageIndex>> {
        self.0.iter()
    }

    /// Their names, by commas.
    pub fn names(&self) -> String {
        self.0.iter().map(|store| store.name()).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stores({})", self.names())
    }
}
