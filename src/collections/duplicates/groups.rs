//! Reads the records of a group.

use std::cmp::Reverse;

use super::facts::CHUNK;
use super::{DuplicateGroup, DuplicateKind, MAX_LISTED};
use crate::domain::{CollectionName, ImageId};
use crate::index::{ImageIndex, IndexError};

/// Returns the group of these records, without those that have changed since they were compared. Returns `None` if
/// fewer than two are left.
pub(super) async fn read_group(
    store: &dyn ImageIndex,
    collection: &CollectionName,
    ids: &[ImageId],
    kind: DuplicateKind,
) -> Result<Option<DuplicateGroup>, IndexError> {
    let listed = &ids[..ids.len().min(MAX_LISTED)];
    let mut records = Vec::with_capacity(listed.len());
    for ids in listed.chunks(CHUNK) {
        records.extend(store.get(collection, ids).await?);
    }
    records.sort_by_key(|record| {
        let pixels = u64::from(record.payload.width) * u64::from(record.payload.height);
        (Reverse((pixels, record.payload.size_bytes)), record.payload.s3_key.clone(), record.id)
    });
    if kind == DuplicateKind::Identical
        && let Some(content) = records.first().map(|first| first.payload.content_sha256.clone())
    {
        records.retain(|record| record.payload.content_sha256 == content);
    }
    let total = ids.len() - listed.len() + records.len();
    Ok((records.len() > 1).then_some(DuplicateGroup { total, records }))
}
