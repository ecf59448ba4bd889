//! The same bytes under another key: a file that was moved or copied, or a file of which only the metadata has changed.
//! The file is read and hashed. If a record of the collection has the same hash, its vector is used again: nothing is
//! decoded or embedded.

use super::Task;
use super::steps::Steps;
use super::store::as_dependency;
use crate::domain::{DependencyError, ImageMeta, ImageRecord, PAYLOAD_VERSION, Payload};
use crate::imaging::Prepared;

impl Steps {
    /// Returns the record of the image of which a task is possibly a copy, if the record is in the same space and has
    /// the same size. Does not compare the bytes.
    pub(super) async fn possible_copy(
        &self,
        task: &Task,
        size_bytes: u64,
    ) -> Result<Option<ImageRecord>, DependencyError> {
        let (Some(possible_copy), run) = (&task.possible_copy, self.current_run()) else { return Ok(None) };
        let space = run.space.name();
        let stores = &self.pipeline().stores;
        let found = stores.get_from_any(&stores.name_set(), &run.collection, &[possible_copy.id()]).await;
        let found = found.map_err(|(store, error)| as_dependency(store, error))?;
        let is_candidate =
            |record: &ImageRecord| record.payload.size_bytes == size_bytes && record.payload.space == space;
        Ok(found.into_iter().find(is_candidate))
    }
}

/// Returns the key of the thumbnail of the same image, if it is in the same bucket: thumbnails are never removed from
/// there.
pub(super) fn thumbnail_of(record: &ImageRecord, bucket: &str) -> Option<String> {
    record.payload.thumbnail_key.clone().filter(|_| record.uri.bucket() == bucket)
}

/// Returns a record with all facts that this version of the service reads from an image. The vector stays.
pub(super) fn completed(record: ImageRecord, prepared: Prepared) -> ImageRecord {
    let ImageMeta { format, width, height, frames, .. } = prepared.meta;
    let facts =
        Payload { version: PAYLOAD_VERSION, format, width, height, frames, hashes: prepared.hashes, ..record.payload };
    ImageRecord { payload: facts, ..record }
}
