//! The same bytes under another key: a file that was moved or copied, or one of which only the metadata has changed. It is
//! read and hashed, and where a record of the collection has that hash, its vector is used again: nothing is decoded, nothing
//! embedded.

use super::Task;
use super::steps::Steps;
use super::store::as_dependency;
use crate::domain::{DependencyError, ImageRecord};

impl Steps {
    /// The record of the image that a task may be a copy of, if it is in this space. That its bytes are the same is not said
    /// yet.
    pub(super) async fn possible_copy(
        &self,
        task: &Task,
        size_bytes: u64,
    ) -> Result<Option<ImageRecord>, DependencyError> {
        let (Some(possible_copy), run) = (&task.possible_copy, self.of_run()) else { return Ok(None) };
        let space = run.space.name();
        let stores = &self.pipeline().stores;
        let found = stores.get_from_any(&stores.all(), &run.collection, &[possible_copy.id()]).await;
        let found = found.map_err(|(store, error)| as_dependency(store, error))?;
        let alike = |record: &ImageRecord| record.payload.size_bytes == size_bytes && record.payload.space == space;
        Ok(found.into_iter().find(alike))
    }
}

/// The thumbnail of the same image, where it lies in the same bucket: nothing removes it from there.
pub(super) fn thumbnail_of(record: &ImageRecord, bucket: &str) -> Option<String> {
    record.payload.thumbnail_key.clone().filter(|_| record.uri.bucket() == bucket)
}
