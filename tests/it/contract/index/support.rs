//! Records and collections for the tests of stores.

use std::sync::OnceLock;

use futures::TryStreamExt;
use glimpse::domain::{
    CollectionName, Embedding, Filter, ImageFormat, ImageId, ImageRecord, ImageUri, PAYLOAD_VERSION, Payload, Probe,
    SIGNATURE_SIDE, SearchEffort, SearchQuery, Signature, Space, Timestamp,
};
use glimpse::index::{EnsureOutcome, ImageIndex};
use uuid::Uuid;

/// The dimension of the vectors in these tests.
pub(crate) const SIZE: usize = 4;
pub(crate) const EAST: [f32; SIZE] = [1.0, 0.0, 0.0, 0.0];
pub(crate) const NORTH: [f32; SIZE] = [0.0, 1.0, 0.0, 0.0];

/// The suffix of all collection names of this run, so that runs can share a server.
pub(crate) fn run() -> &'static str {
    static RUN: OnceLock<String> = OnceLock::new();
    RUN.get_or_init(|| format!("-r{:x}", Uuid::now_v7().as_u128() & 0xffff_ffff))
}

pub(crate) fn name(text: &str) -> CollectionName {
    let of_run = if text.starts_with("contract") { run() } else { "" };
    CollectionName::parse(&format!("{text}{of_run}")).unwrap()
}

pub(crate) fn space() -> Space {
    Space {
        model: "test".into(),
        dimension: SIZE,
        preprocessing: "none".into(),
        probes: vec![Probe { name: "text:a".into(), vector: vec![1.0, 0.0, 0.0, 0.0] }],
    }
}

pub(crate) fn unit(raw: [f32; SIZE]) -> Embedding {
    Embedding::normalised(raw.to_vec(), SIZE).unwrap()
}

/// A record whose payload is derived from its key.
pub(crate) fn record(key: &str, raw: [f32; SIZE]) -> ImageRecord {
    let uri = ImageUri::new("bucket", key);
    let payload = Payload {
        s3_key: key.to_owned(),
        s3_uri: uri.clone(),
        s3_bucket: "bucket".to_owned(),
        s3_folders: uri.folders(),
        format: ImageFormat::Jpeg,
        width: 640,
        height: 480,
        frames: 1,
        thumbnail_key: None,
        etag: Some("e".to_owned()),
        size_bytes: 1_234,
        content_sha256: "00".repeat(32),
        space: space().name(),
        indexed_at: Timestamp::parse("2026-01-31T12:00:00.5Z").unwrap(),
        meta: std::collections::BTreeMap::new(),
        meta_kv: vec![],
        version: PAYLOAD_VERSION,
        hashes: Some(Signature { bright: [5; SIGNATURE_SIDE], dark: [1 << 27; SIGNATURE_SIDE] }),
        exif: glimpse::domain::ExifFacts::default(),
    };
    ImageRecord { id: uri.id(), uri, embedding: unit(raw), payload }
}

pub(crate) fn query(raw: [f32; SIZE], limit: usize) -> SearchQuery {
    SearchQuery { embedding: unit(raw), limit, offset: 0, filter: Filter::default(), effort: SearchEffort::Default }
}

/// Creates an empty collection.
pub(crate) async fn fresh(index: &dyn ImageIndex, text: &str) -> CollectionName {
    let collection = name(text);
    if index.describe(&collection).await.unwrap().is_some() {
        index.drop_collection(&collection).await.unwrap();
    }
    assert_eq!(index.ensure_image_collection(&collection, &space()).await.unwrap(), EnsureOutcome::Created);
    collection
}

pub(crate) async fn count(index: &dyn ImageIndex, collection: &CollectionName) -> u64 {
    index.describe(collection).await.unwrap().unwrap().count
}

pub(crate) async fn ids(index: &dyn ImageIndex, collection: &CollectionName) -> Vec<ImageId> {
    index.scan(collection).try_collect().await.unwrap()
}

/// The keys of the hits of a search.
pub(crate) async fn keys(index: &dyn ImageIndex, collection: &CollectionName, query: &SearchQuery) -> Vec<String> {
    index.search(collection, query).await.unwrap().into_iter().map(|hit| hit.payload.s3_key).collect()
}
