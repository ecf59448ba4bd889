//! A record that lacks only facts of EXIF is completed from the first bytes of its object.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use glimpse::domain::{ExifFacts, ExifLevel, ImageRecord, ImageRef, ImageUri, PAYLOAD_VERSION, StoreSet};
use glimpse::imaging::ImagingSettings;
use glimpse::index::{ImageIndex, Stores};
use glimpse::pipeline::{ItemOutcome, Pipeline, PipelineSettings, Task, ThumbnailStore};
use glimpse::source::{Fetched, ImageSource, NewObject, Opened, Part, Scope, SourceError};

use super::chain::run;
use crate::contract::index::support::record;
use crate::support::exif::Exif;
use crate::support::fakes::{MeanProvider, MemoryIndex, down, mean_space};
use crate::support::{demo_image, locked};

/// A bucket of one object. It counts what is read.
struct OneObject {
    bytes: Bytes,
    parts: Mutex<Vec<Part>>,
    whole_reads: Mutex<usize>,
}

#[async_trait]
impl ImageSource for OneObject {
    fn list(&self, _: &Scope) -> BoxStream<'static, Result<ImageRef, SourceError>> {
        stream::empty().boxed()
    }

    async fn fetch(&self, image: &ImageRef) -> Result<Fetched, SourceError> {
        *locked(&self.whole_reads) += 1;
        let (bytes, etag) = (self.bytes.clone(), image.etag.clone());
        let (content_type, content_encoding, metadata) = (None, None, BTreeMap::new());
        Ok(Fetched { bytes, etag, modified: None, content_type, content_encoding, metadata })
    }

    async fn fetch_file(&self, _: &ImageUri, _: u64) -> Result<Fetched, SourceError> {
        Err(SourceError::Dependency(down("memory")))
    }

    async fn open(&self, _: &ImageUri, part: Option<&Part>) -> Result<Opened, SourceError> {
        let part = part.unwrap().clone();
        let end = usize::try_from(part.to.unwrap() + 1).unwrap().min(self.bytes.len());
        // In pieces, as from a network.
        let pieces: Vec<_> = self.bytes[..end].chunks(1_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let etag = part.etag.clone();
        locked(&self.parts).push(part);
        Ok(Opened {
            etag,
            modified: None,
            content_type: None,
            size_bytes: Some(self.bytes.len() as u64),
            is_part: true,
            is_encoded: false,
            body: stream::iter(pieces).boxed(),
        })
    }

    async fn put(&self, _: &ImageUri, _: NewObject) -> Result<Option<String>, SourceError> {
        Err(SourceError::Dependency(down("memory")))
    }
}

/// The hashes of the files whose thumbnails were kept.
#[derive(Default)]
struct KeptThumbnails(Mutex<Vec<String>>);

#[async_trait]
impl ThumbnailStore for KeptThumbnails {
    async fn keep(&self, sha256: &str, jpeg: Bytes) {
        assert_eq!(image::load_from_memory(&jpeg).unwrap().width(), 256);
        locked(&self.0).push(sha256.to_owned());
    }
}

struct Refreshed {
    thumbnails: Vec<String>,
    record: ImageRecord,
    parts: Vec<Part>,
    whole_reads: usize,
    embeddings: usize,
}

/// Refreshes the record of an object that has this version and these facts.
async fn refreshed(bytes: Vec<u8>, version: u32, level: ExifLevel) -> Refreshed {
    let mut old = record("a.jpg", [1.0, 0.0, 0.0, 0.0]);
    old.embedding = glimpse::domain::Embedding::normalised(vec![0.6, 0.8], 2).unwrap();
    old.payload.space = mean_space().name();
    old.payload.size_bytes = bytes.len() as u64;
    old.payload.content_sha256 = glimpse_sha256(&bytes);
    old.payload.version = version;
    old.payload.meta.insert("place".to_owned(), "CH".to_owned());
    let image = ImageRef {
        uri: old.uri.clone(),
        etag: old.payload.etag.clone(),
        size_bytes: bytes.len() as u64,
        modified: None,
    };
    let source = Arc::new(OneObject { bytes: bytes.into(), parts: Mutex::default(), whole_reads: Mutex::default() });
    let (index, provider) = (Arc::new(MemoryIndex::default()), Arc::new(MeanProvider::default()));
    let collection = glimpse::domain::CollectionName::parse("c").unwrap();
    index.upsert(&collection, &[old.clone()]).await.unwrap();
    let (stores, limits) = (Stores::new(vec![index.clone()]), ImagingSettings::default().limits());
    let settings = PipelineSettings::default();
    let pipeline = Pipeline::new(source.clone(), provider.clone(), stores, limits, &settings).with_exif(level);
    let kept = Arc::new(KeptThumbnails::default());
    let pipeline = pipeline.with_thumbnail_store(kept.clone());
    let possible_copy = Some(old.uri.clone());
    let (stored_in, metadata) = (StoreSet::default(), BTreeMap::new());
    let task = Task { ticket: 7, image, stored_in, possible_copy, refresh: true, metadata };
    let (ended, outcomes) = run(&pipeline, &[task]).await;
    ended.unwrap();
    assert!(matches!(&outcomes[0].result, ItemOutcome::Indexed(indexed) if indexed.copied), "{outcomes:?}");
    let record = locked(&index.records)[&old.id].clone();
    // Everything else stays.
    let mut expected = old;
    expected.payload.exif = record.payload.exif.clone();
    if version == PAYLOAD_VERSION {
        assert_eq!(record, expected);
    }
    assert_eq!(record.embedding, expected.embedding);
    let (parts, whole_reads) = (locked(&source.parts).clone(), *locked(&source.whole_reads));
    let thumbnails = locked(&kept.0).clone();
    Refreshed { thumbnails, record, parts, whole_reads, embeddings: locked(&provider.calls).len() }
}

fn glimpse_sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}

fn photo() -> Vec<u8> {
    let exif = Exif { taken_at: "2024:07:01 00:30:00", offset: "+02:00", model: "X100V", position: Some([48, 11]) };
    // A file that is longer than the bytes that are read of it.
    [exif.in_jpeg(&demo_image("cat.jpg")), vec![0; 200_000]].concat()
}

#[tokio::test]
async fn the_first_bytes_are_enough_for_a_jpeg_file() {
    let Refreshed { thumbnails, record, parts, whole_reads, embeddings } =
        refreshed(photo(), PAYLOAD_VERSION, ExifLevel::All).await;
    assert_eq!((parts.len(), whole_reads, embeddings, thumbnails.len()), (1, 0, 0, 0));
    assert_eq!((parts[0].from, parts[0].to, parts[0].etag.as_deref()), (0, Some(131_071), Some("e")));
    let exif = record.payload.exif;
    assert_eq!(exif.taken_at.unwrap().to_string(), "2024-07-01T00:30:00+02:00");
    assert_eq!(
        (exif.camera.as_deref(), exif.location.map(|place| [place.lat(), place.lon()])),
        (Some("X100V"), Some([48.0, 11.0]))
    );
}

#[tokio::test]
async fn facts_that_are_not_wanted_are_removed_without_a_read() {
    let found = refreshed(photo(), PAYLOAD_VERSION, ExifLevel::None).await;
    assert_eq!((found.parts.len(), found.whole_reads, found.embeddings), (0, 0, 0));
    assert_eq!(found.record.payload.exif, ExifFacts::default());
}

#[tokio::test]
async fn a_file_with_metadata_at_its_end_and_an_old_record_are_read_as_a_whole() {
    let png = crate::support::encode_png(image::RgbImage::from_pixel(8, 8, image::Rgb([9, 0, 0])));
    // A small file is read as a whole by its first bytes.
    let found = refreshed(png.clone(), PAYLOAD_VERSION, ExifLevel::Basic).await;
    assert_eq!((found.parts.len(), found.whole_reads, found.embeddings), (1, 0, 0));
    assert_eq!((found.record.payload.exif.level, found.record.payload.exif.orientation), (ExifLevel::Basic, Some(1)));
    let long = [&png[..png.len() - 12], &[0, 2, 0, 0], b"teXt", &vec![7; 131_072 + 4], &png[png.len() - 12..]].concat();
    let found = refreshed(long, PAYLOAD_VERSION, ExifLevel::Basic).await;
    assert_eq!((found.parts.len(), found.whole_reads, found.embeddings), (1, 1, 0));
    // The record of an earlier version lacks more than facts of EXIF.
    let found = refreshed(photo(), 0, ExifLevel::All).await;
    assert_eq!((found.parts.len(), found.whole_reads, found.embeddings), (0, 1, 0));
    assert_eq!((found.record.payload.version, found.record.payload.width), (PAYLOAD_VERSION, 451));
    assert_eq!(found.record.payload.exif.camera.as_deref(), Some("X100V"));
    // It is decoded, so its thumbnail is kept.
    assert_eq!(found.thumbnails, [glimpse_sha256(&photo())]);
}
