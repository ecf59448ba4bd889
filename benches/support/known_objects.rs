//! An index and a ledger over objects that are not read.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use glimpse::domain::{
    CollectionName, Embedding, ImageFormat, ImageRecord, ImageRef, PAYLOAD_VERSION, Payload, Space, StoreSet, Timestamp,
};
use glimpse::embed::ImageEmbeddingProvider;
use glimpse::embed::local::LocalProvider;
use glimpse::index::ImageIndex;
use glimpse::index::embedded::EmbeddedIndex;
use glimpse::ledger::{Ledger, ObjectRow, objects};

/// Writes index and ledger as a job over all keys would have left them.
pub(crate) async fn record(folder: &Path, listed: &[ImageRef]) {
    let provider = LocalProvider::start(NonZeroUsize::MIN).unwrap();
    let space: Arc<Space> = provider.space().await.unwrap();
    let collection = CollectionName::parse("documents").unwrap();
    let index = EmbeddedIndex::open(&folder.join("index")).unwrap();
    index.ensure_image_collection(&collection, &space).await.unwrap();
    let mut vector = vec![0.0; space.dimension];
    vector[0] = 1.0;
    let embedding = Embedding::normalised(vector, space.dimension).unwrap();
    let ledger = Ledger::open(folder).unwrap();
    for some in listed.chunks(2_000) {
        let record = |image: &ImageRef| ImageRecord {
            id: image.uri.id(),
            uri: image.uri.clone(),
            embedding: embedding.clone(),
            payload: payload(image, &space),
        };
        index.upsert(&collection, &some.iter().map(record).collect::<Vec<_>>()).await.unwrap();
        let row = |image: &ImageRef| ObjectRow {
            uri: image.uri.clone(),
            etag: image.etag.clone().unwrap(),
            size_bytes: image.size_bytes,
            space: space.name(),
            stores: StoreSet::parse("embedded"),
        };
        let (name, rows) = (collection.clone(), some.iter().map(row).collect());
        ledger.write(move |tx| objects::put_all(tx, &name, rows)).await.unwrap();
    }
}

fn payload(image: &ImageRef, space: &Space) -> Payload {
    Payload {
        s3_key: image.uri.key().to_owned(),
        s3_uri: image.uri.clone(),
        s3_bucket: image.uri.bucket().to_owned(),
        s3_folders: image.uri.folders(),
        format: ImageFormat::Jpeg,
        width: 1,
        height: 1,
        frames: 1,
        thumbnail_key: None,
        etag: image.etag.clone(),
        size_bytes: image.size_bytes,
        content_sha256: String::new(),
        space: space.name(),
        indexed_at: Timestamp::now(),
        meta: BTreeMap::new(),
        meta_kv: Vec::new(),
        version: PAYLOAD_VERSION,
        hashes: None,
        exif: glimpse::domain::ExifFacts::default(),
    }
}
