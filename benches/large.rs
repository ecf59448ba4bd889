//! The chain with 12-megapixel images and a provider that costs nothing: how near its throughput is to cores ÷ CPU
//! seconds per image if decoding is the only work; and how much more it costs with thumbnails. The bucket is in memory, the
//! index is the embedded one.
//!
//! Without criterion: one pass takes long enough for a measurement. `GLIMPSE_BENCH_IMAGES` (default 200) is the number
//! of images of a pass.

#![expect(clippy::unwrap_used, reason = "a bench may panic")]
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench reads its own variable")]
#![expect(clippy::cast_precision_loss, reason = "prints figures")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use glimpse::domain::{CollectionName, Embedding, ImageRef, ImageUri, Probe, Space, StoreSet};
use glimpse::embed::{EmbedError, ImageEmbeddingProvider};
use glimpse::imaging::{ImagingSettings, PreparedImage, Preprocessing};
use glimpse::index::Stores;
use glimpse::index::embedded::EmbeddedIndex;
use glimpse::pipeline::{
    ItemOutcome, Pipeline, PipelineSettings, Run, Stages, Task, ThumbnailStore, TimingTotals, WriteLease,
};
use glimpse::source::{Fetched, ImageSource, NewObject, Scope, SourceError};
use image::imageops::FilterType;
use tokio_util::sync::CancellationToken;

/// Number of passes with and without thumbnails.
const PASSES: usize = 3;

struct Memory(Bytes);

#[async_trait]
impl ImageSource for Memory {
    fn list(&self, _: &Scope) -> BoxStream<'static, Result<ImageRef, SourceError>> {
        stream::empty().boxed()
    }

    async fn fetch(&self, image: &ImageRef) -> Result<Fetched, SourceError> {
        let etag = image.etag.clone();
        Ok(Fetched {
            bytes: self.0.clone(),
            etag,
            modified: None,
            content_type: None,
            content_encoding: None,
            metadata: BTreeMap::new(),
        })
    }

    async fn fetch_file(&self, uri: &ImageUri, _: u64) -> Result<Fetched, SourceError> {
        Err(SourceError::Missing(uri.clone()))
    }

    async fn put(&self, _: &ImageUri, _: NewObject) -> Result<Option<String>, SourceError> {
        Ok(None)
    }
}

/// Its vectors are the first bytes of an image.
struct Nothing;

#[async_trait]
impl ImageEmbeddingProvider for Nothing {
    fn preprocessing(&self) -> Preprocessing {
        Preprocessing::crop(224)
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        let probes = vec![Probe { name: "text:a".into(), vector: vec![1.0; 512] }];
        let preprocessing = self.preprocessing().to_string();
        Ok(Arc::new(Space { model: "nothing".into(), dimension: 512, preprocessing, probes }))
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        let vector = |image: &PreparedImage| image.rgb[..512].iter().map(|&value| f32::from(value) + 1.0).collect();
        images.iter().map(|image| Ok(Embedding::normalised(vector(image), 512)?)).collect()
    }

    async fn embed_text(&self, _: &str) -> Result<Embedding, EmbedError> {
        Err(EmbedError::Unsupported)
    }
}

fn image() -> Bytes {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/raccoon.jpg");
    let image = image::open(path).unwrap().resize_exact(4000, 3000, FilterType::Lanczos3).into_rgb8();
    let mut grainy = image;
    let mut rng = 1_u32;
    for value in grainy.iter_mut() {
        rng = rng.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *value = value.saturating_add_signed(i8::try_from(rng >> 28).unwrap() - 8);
    }
    let mut jpeg = Vec::new();
    jpeg_encoder::Encoder::new(&mut jpeg, 90).encode(&grainy, 4000, 3000, jpeg_encoder::ColorType::Rgb).unwrap();
    jpeg.into()
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Writes each thumbnail to a file of its own, as the cache of the service does for files that differ.
struct Files {
    folder: PathBuf,
    count: AtomicUsize,
}

#[async_trait]
impl ThumbnailStore for Files {
    async fn keep(&self, _: &str, jpeg: Bytes) {
        let path = self.folder.join(format!("{}.jpg", self.count.fetch_add(1, Ordering::Relaxed)));
        tokio::task::spawn_blocking(move || std::fs::write(path, jpeg).unwrap()).await.unwrap();
    }
}

/// The seconds of one pass, and what was the bottleneck.
struct Pass {
    wall: f64,
    cpu: f64,
    bottleneck: String,
}

async fn pass(file: &Bytes, images: usize, with_thumbnails: bool) -> Pass {
    let folder = tempfile::tempdir().unwrap();
    let provider = Arc::new(Nothing);
    let stores = Stores::new(vec![Arc::new(EmbeddedIndex::open(folder.path()).unwrap())]);
    let collection = CollectionName::parse("large").unwrap();
    let space = provider.space().await.unwrap();
    stores.default_store().ensure_image_collection(&collection, &space).await.unwrap();
    let size_bytes = file.len() as u64;
    let limits = ImagingSettings::default().limits();
    let source = Arc::new(Memory(file.clone()));
    let mut pipeline = Pipeline::new(source, provider, stores, limits, &PipelineSettings::default());
    if with_thumbnails {
        let files = Files { folder: folder.path().to_owned(), count: AtomicUsize::new(0) };
        pipeline = pipeline.with_thumbnail_store(Arc::new(files));
    }
    let stages = Arc::new(Stages::new(pipeline.lanes(), None));
    let run = Run {
        collection,
        space,
        stages: stages.clone(),
        write_lease: WriteLease::default(),
        exif: glimpse::domain::ExifLevel::Basic,
        trace: glimpse::pipeline::RunTrace::Own,
    };
    let tasks = stream::iter((0_i64..).take(images).map(move |ticket| {
        let uri = ImageUri::new("b", &format!("{ticket}.jpg"));
        let image = ImageRef { uri, etag: Some("e".into()), size_bytes, modified: None };
        vec![Task {
            ticket,
            image,
            stored_in: StoreSet::default(),
            possible_copy: None,
            refresh: false,
            metadata: BTreeMap::new(),
        }]
    }));
    let (outcomes, mut arrived) = tokio::sync::mpsc::channel(64);
    let (before, started) = (cpu_seconds(), Instant::now());
    let work = pipeline.run(run, tasks, outcomes, CancellationToken::new());
    let count = async {
        let mut done = 0;
        while let Some(outcome) = arrived.recv().await {
            assert!(matches!(outcome.result, ItemOutcome::Indexed(_)), "{outcome:?}");
            done += 1;
        }
        done
    };
    let (worked, done) = tokio::join!(work, count);
    worked.unwrap();
    assert_eq!(done, images);
    let (wall, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - before);
    let mut totals = TimingTotals::default();
    totals.add("", &stages.drain(None));
    Pass { wall, cpu, bottleneck: totals.report(false).bottleneck.unwrap_or_default() }
}

#[tokio::main]
async fn main() {
    let images: usize = std::env::var("GLIMPSE_BENCH_IMAGES").ok().and_then(|it| it.parse().ok()).unwrap_or(200);
    let cores = std::thread::available_parallelism().unwrap().get() as f64;
    let file = image();
    println!("{images} files of {} kB, least of {PASSES} passes in turns", file.len() / 1000);
    let mut least: [Option<Pass>; 2] = [None, None];
    for _ in 0..PASSES {
        for (least, with_thumbnails) in least.iter_mut().zip([false, true]) {
            let pass = pass(&file, images, with_thumbnails).await;
            if least.as_ref().is_none_or(|least| pass.cpu < least.cpu) {
                *least = Some(pass);
            }
        }
    }
    let [without, with] = least.map(|pass| pass.unwrap());
    let rate = |pass: &Pass| images as f64 / pass.wall;
    let milliseconds = |pass: &Pass| pass.cpu * 1000.0 / images as f64;
    let limit = cores * images as f64 / without.cpu;
    println!("bottleneck             {}", without.bottleneck);
    println!("12 megapixels          {:8.1} images/s, {:.1} ms CPU an image", rate(&without), milliseconds(&without));
    println!("with thumbnails        {:8.1} images/s, {:.1} ms CPU an image", rate(&with), milliseconds(&with));
    println!("cores / CPU an image   {limit:8.1} images/s");
    println!("ratio                  {:8.3}  (wanted: 0.90 or more)", rate(&without) / limit);
    println!("thumbnails, CPU ratio  {:8.3}  (wanted: 1.10 or less)", with.cpu / without.cpu);
}
