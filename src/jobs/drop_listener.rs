//! What other parts of the service do after a collection was dropped.

use std::fmt;
use std::sync::Arc;

use crate::domain::CollectionName;

/// Called with the name of each dropped collection, at least once.
#[derive(Clone)]
pub struct DropListener(Arc<dyn Fn(&CollectionName) + Send + Sync>);

impl DropListener {
    /// Creates a listener.
    pub fn new(listener: impl Fn(&CollectionName) + Send + Sync + 'static) -> Self {
        Self(Arc::new(listener))
    }

    pub(crate) fn report(&self, collection: &CollectionName) {
        (self.0)(collection);
    }
}

impl Default for DropListener {
    fn default() -> Self {
        Self::new(|_| {})
    }
}

impl fmt::Debug for DropListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DropListener").finish_non_exhaustive()
    }
}
