//! An image that is ready for the stores, except for its vector.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Task;
use super::store::Pending;
use crate::domain::{Embedding, ExifFacts, ImageRecord, Indexed, PAYLOAD_VERSION, Payload, Space, StoreSet, Timestamp};
use crate::imaging::Prepared;

/// Where the vector of an image comes from.
pub(super) enum Content {
    /// From the model.
    New(Box<Prepared>),
    /// From a record with the same bytes.
    Known(Box<ImageRecord>),
}

/// A task whose image is prepared for the model, or has a vector already.
pub(super) struct Ready {
    pub(super) task: Task,
    pub(super) image: Content,
    pub(super) etag: Option<String>,
    pub(super) size_bytes: u64,
    pub(super) sha256: String,
    /// The thumbnail, until it is stored.
    pub(super) thumbnail: Option<Bytes>,
    /// The key of the thumbnail in the bucket.
    pub(super) thumbnail_key: Option<String>,
    pub(super) meta: BTreeMap<String, String>,
    pub(super) exif: ExifFacts,
}

impl Ready {
    /// Returns the record with this vector.
    pub(super) fn into_pending(self, embedding: Embedding, space: &Space) -> Pending {
        let Self { task, image, etag, size_bytes, sha256, thumbnail_key, meta, exif, .. } = self;
        let uri = task.image.uri;
        let (version, format, width, height, frames, hashes) = match image {
            Content::New(prepared) => {
                let Prepared { meta, hashes, .. } = *prepared;
                (PAYLOAD_VERSION, meta.format, meta.width, meta.height, meta.frames, hashes)
            }
            Content::Known(record) if task.refresh => {
                let indexed = Indexed { etag, size_bytes, stores: StoreSet::default(), copied: true };
                let record = ImageRecord { payload: Payload { thumbnail_key, exif, ..record.payload }, ..*record };
                return Pending { ticket: task.ticket, indexed, record };
            }
            Content::Known(record) => {
                // Facts that an old record does not have are missing in its copy too, so it is as old.
                let Payload { version, format, width, height, frames, hashes, .. } = record.payload;
                (version, format, width, height, frames, hashes)
            }
        };
        let payload = Payload {
            s3_key: uri.key().to_owned(),
            s3_bucket: uri.bucket().to_owned(),
            s3_folders: uri.folders(),
            s3_uri: uri.clone(),
            format,
            width,
            height,
            frames,
            thumbnail_key,
            etag: etag.clone(),
            size_bytes,
            content_sha256: sha256,
            space: space.name(),
            indexed_at: Timestamp::now(),
            meta_kv: meta.iter().map(|(key, value)| format!("{key}={value}")).collect(),
            meta,
            version,
            hashes,
            exif,
        };
        let record = ImageRecord { id: uri.id(), uri, embedding, payload };
        let indexed = Indexed { etag, size_bytes, stores: StoreSet::default(), copied: false };
        Pending { ticket: task.ticket, indexed, record }
    }
}
