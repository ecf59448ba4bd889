//! Reads the records of a group.

use std::cmp::Reverse;

use super::facts::CHUNK;
use super::{DuplicateGroup, DuplicateKind, MAX_LISTED};
use crate::domain::{CollectionName, ImageId};
use crate::index::{ImageIndex, IndexError};

/// Returns the group of these images, without those that have changed since they were compared. Returns `None` if
/// fewer than two are left.
pub(super) async fn read_group(
    store: &dyn ImageIndex,
    collection: &CollectionName,
    ids: &[ImageId],
    kind: DuplicateKind,
) -> Result<Option<DuplicateGroup>, IndexError> {
    let listed = &ids[..ids.len().min(MAX_LISTED)];
    let mut images = Vec::with_capacity(listed.len());
    for ids in listed.chunks(CHUNK) {
        images.extend(store.payloads(collection, ids).await?);
    }
    images.sort_by_key(|image| {
        let pixels = u64::from(image.payload.width) * u64::from(image.payload.height);
        (Reverse((pixels, image.payload.size_bytes)), image.payload.s3_key.clone(), image.id)
    });
    if kind == DuplicateKind::Identical
        && let Some(content) = images.first().map(|first| first.payload.content_sha256.clone())
    {
        images.retain(|image| image.payload.content_sha256 == content);
    }
    let total = ids.len() - listed.len() + images.len();
    Ok((images.len() > 1).then_some(DuplicateGroup { total, images }))
}
