//! Reads the values that most filters and counts need, soon after the start: otherwise the first of them
//! waits for it, up to a second for each million of records.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::collection::Collection;
use super::error::Fault;
use super::filters::TextField;
use super::folder::Folder;
use super::lists::MIN_RECORDS;

/// The time for the rest of the start of the service.
const DELAY: Duration = Duration::from_secs(2);

/// Reads the values of each large collection. Ends when the index is closed.
pub(super) async fn warm(folder: Weak<Folder>) {
    tokio::time::sleep(DELAY).await;
    warm_collections(folder, MIN_RECORDS).await;
}

/// Reads the values of the collections that have at least `min_records`.
async fn warm_collections(folder: Weak<Folder>, min_records: usize) {
    let Some(collections) = folder.upgrade().map(|folder| folder.all()) else { return };
    let is_large = |collection: &Arc<Collection>| {
        collection.info().is_some_and(|info| usize::try_from(info.count).is_ok_and(|count| count >= min_records))
    };
    for collection in collections.into_iter().filter(is_large) {
        for field in [TextField::Format, TextField::folders(), TextField::cameras(), TextField::months()] {
            let Some(folder) = folder.upgrade() else { return };
            let reader = Arc::clone(&collection);
            let read = tokio::task::spawn_blocking(move || (reader.warm(&field), folder).0).await;
            match read.map_err(|panic| Fault::Damaged(panic.to_string())) {
                Ok(Ok(()) | Err(Fault::Dropped)) => {}
                Ok(Err(error)) | Err(error) => {
                    let collection = collection.name();
                    tracing::warn!(%collection, %error, "cannot read values ahead; the first filter or count reads them");
                }
            }
        }
    }
}

impl Collection {
    /// Reads the values of a field, unless they are in memory.
    fn warm(&self, field: &TextField) -> Result<(), Fault> {
        self.texts(&self.snapshot()?, field).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{open, row};
    use super::*;

    #[tokio::test]
    async fn the_values_of_large_collections_are_read_ahead() {
        let path = tempfile::tempdir().unwrap();
        let (folder, mut writer, collection) = open(path.path());
        collection.upsert(&mut writer, (0..9).map(|n| row(n, n)).collect()).unwrap();
        let folder = Arc::new(folder);
        warm_collections(Arc::downgrade(&folder), 10).await;
        assert!(collection.snapshot().unwrap().filters.is_empty());
        warm_collections(Arc::downgrade(&folder), 9).await;
        assert!(!collection.snapshot().unwrap().filters.is_empty());
    }
}
