//! Completes a record that lacks only the facts of EXIF, IPTC and XMP: these are read from the first bytes of the object. The
//! vector and all other data of the record stay.

use bytes::BytesMut;
use futures::StreamExt;

use super::Task;
use super::ready::{Content, Ready};
use super::steps::Steps;
use crate::domain::{DependencyError, ExifFacts, ExifLevel, ImageRecord, PAYLOAD_VERSION, object_version};
use crate::imaging;
use crate::source::Part;

/// The bytes that are read. The metadata of nearly every JPEG file is in them.
const HEAD_BYTES: u64 = 128 << 10;

impl Steps {
    /// Returns the completed record; `None` if the object must be read as a whole.
    pub(super) async fn refreshed_by_head(&self, task: &Task) -> Result<Option<Ready>, DependencyError> {
        let Some(record) = self.possible_copy(task, task.image.size_bytes).await? else { return Ok(None) };
        let payload = &record.payload;
        let is_same = payload.s3_uri == task.image.uri && payload.etag == task.image.etag;
        if !is_same || payload.version < PAYLOAD_VERSION {
            return Ok(None);
        }
        let Some(exif) = self.read_facts(&record).await else { return Ok(None) };
        let (etag, size_bytes) = (payload.etag.clone(), payload.size_bytes);
        let (sha256, thumbnail_key) = (payload.content_sha256.clone(), payload.thumbnail_key.clone());
        let (task, meta, image) = (task.clone(), payload.meta.clone(), Content::Known(Box::new(record)));
        Ok(Some(Ready { task, image, etag, size_bytes, sha256, thumbnail: None, thumbnail_key, meta, exif }))
    }

    /// Returns the facts from the first bytes of the object of a record. Any failure is reported when the object is read as a
    /// whole.
    async fn read_facts(&self, record: &ImageRecord) -> Option<ExifFacts> {
        let level = self.current_run().exif;
        if level == ExifLevel::None {
            return Some(ExifFacts::default());
        }
        // Without an ETag, the bytes could be those of another version.
        let etag = record.payload.etag.clone().filter(|etag| !object_version::is_last_modified(etag))?;
        let part = Part { from: 0, to: Some(HEAD_BYTES - 1), etag: Some(etag) };
        let mut opened = self.pipeline().source().open(&record.uri, Some(&part)).await.ok()?;
        if opened.is_encoded {
            return None;
        }
        let mut head = BytesMut::new();
        while (head.len() as u64) < HEAD_BYTES
            && let Some(piece) = opened.body.next().await
        {
            head.extend_from_slice(&piece.ok()?);
        }
        let is_whole = head.len() as u64 == record.payload.size_bytes;
        let read = move || {
            let whole = is_whole.then(|| imaging::exif_facts(&head, level));
            whole.or_else(|| imaging::exif_facts_of_head(&head, level))
        };
        tokio::task::spawn_blocking(read).await.ok().flatten()
    }
}
