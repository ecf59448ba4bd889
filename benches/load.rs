//! The overhead of a job, and its effect on searches: the ledger compared with the same chain without one, with a
//! provider that takes 1 ms per image; the time of a search while a job runs compared with an idle service, with a
//! provider that waits and with the model in the process.
//!
//! `GLIMPSE_BENCH_IMAGES` (default 5,000) is the number of images for the ledger.

#![expect(clippy::unwrap_used, reason = "a bench may panic")]
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench reads its own variable and spawns what it waits for")]
#![expect(clippy::cast_precision_loss, reason = "prints figures")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::StreamExt;
use glimpse::domain::{CollectionName, Secret, StoreSet};
use glimpse::embed::{ClipProvider, ImageEmbeddingProvider, RemoteSettings, ServiceSettings, Verification, Verified};
use glimpse::imaging::{ImagingSettings, InputColour, Resize};
use glimpse::index::Stores;
use glimpse::index::embedded::EmbeddedIndex;
use glimpse::pipeline::{ItemOutcome, Pipeline, PipelineSettings, Run, Stages, Task, WriteLease};
use glimpse::source::{S3Settings, S3Source, Scope};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/it/support/services/cheap_clip.rs"]
mod cheap_clip;
#[path = "support/service.rs"]
mod service;
#[path = "support/tiny_png.rs"]
mod tiny_png;

use cheap_clip::CheapClip;
use service::Service;
use tiny_png::tiny_png;

#[tokio::main]
async fn main() {
    let images = std::env::var("GLIMPSE_BENCH_IMAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(5_000);
    ledger(images).await;
    let clip = CheapClip::start(Duration::from_millis(30)).await;
    let remote = [("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", clip.url.as_str())];
    searches("a provider that waits", &remote, "20 ms").await;
    searches("the model in here", &[], "one batch").await;
}

/// The same images through the same chain from the same bucket, as a job and without a ledger.
async fn ledger(images: usize) {
    let clip = CheapClip::start(Duration::from_millis(1)).await;
    let one_lane = [
        ("IMAGE_EMBEDDING_PROVIDER", "clip"),
        ("CLIP_URL", clip.url.as_str()),
        ("GLIMPSE_EMBED_LANES", "1"),
        ("IMAGE_EMBED_BATCH_SIZE", "8"),
    ];
    let service = Service::start(&one_lane).await;
    service.seed("images/", images, tiny_png).await;
    let bare = Bare::new(&service, &clip).await;
    let mut best = [f64::MAX; 2];
    for turn in 0..3 {
        best[0] = best[0].min(bare.run(turn, images).await);
        let started = Instant::now();
        let done = job(&service, json!({"s3_prefix": "images/", "collection": format!("turn{turn}")})).await;
        best[1] = best[1].min(started.elapsed().as_secs_f64());
        assert_eq!(done["counts"]["done"], images, "{done}");
    }
    let [bare, job] = best.map(|seconds| seconds * 1e3 / images as f64);
    println!("chain without a ledger  {bare:8.3} ms an image, 1 ms of it the provider's");
    println!("as a job                {job:8.3} ms an image, ratio {:.3}  (wanted: 1.02 or less)", job / bare);
    service.stop().await;
}

/// Searches while a job runs, compared with searches of an idle service.
async fn searches(what: &str, variables: &[(&str, &str)], wanted: &str) {
    let service = Service::start(variables).await;
    service.seed("images/", 2_000, tiny_png).await;
    job(&service, json!({"s3_prefix": "images/", "image_max_items": 64})).await;
    let idle = search_p95(&service).await;
    let id = submit(&service, json!({"s3_prefix": "images/"})).await;
    while service.get(&format!("/jobs/{id}")).await["counts"]["done"].as_u64().unwrap() < 16 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let busy = search_p95(&service).await;
    let job = service.get(&format!("/jobs/{id}")).await;
    assert_eq!(job["status"], "RUNNING", "more images: it was over before the searches: {job}");
    let batch = job["stages"]["embed"]["p95_ms"].as_f64().unwrap();
    println!("search, {what:22} idle {idle:6.1} ms, during a job {busy:6.1} ms at p95: {:+.1} ms", busy - idle);
    println!("  (wanted: {wanted} or less; a batch takes {batch:.1} ms at p95)");
    service.stop().await;
}

/// The chain alone, with its own parts and the service's bucket.
struct Bare {
    pipeline: Pipeline,
    provider: Arc<dyn ImageEmbeddingProvider>,
    stores: Stores,
    _folder: tempfile::TempDir,
}

impl Bare {
    async fn new(service: &Service, clip: &CheapClip) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let remote = ServiceSettings {
            url: clip.url.parse().unwrap(),
            key: Secret::default(),
            timeout: Duration::from_secs(30),
        };
        let max_batch = NonZeroUsize::new(8).unwrap();
        let resize = Resize::CropFloor;
        let settings = RemoteSettings {
            service: remote,
            model: String::new(),
            max_batch,
            size: None,
            resize,
            colour: InputColour::Reference,
        };
        let raw = Arc::new(ClipProvider::new(settings).unwrap());
        // As in the service: the space is read once, not with every batch.
        let provider: Arc<dyn ImageEmbeddingProvider> =
            Arc::new(Verified::new(raw.clone(), Arc::new(Verification::new(raw, None))));
        provider.space().await.unwrap();
        let stores = Stores::new(vec![Arc::new(EmbeddedIndex::open(folder.path()).unwrap())]);
        let source = Arc::new(source(service).await);
        let settings =
            PipelineSettings { glimpse_embed_lanes: 1, image_embed_batch_size: 8, ..PipelineSettings::default() };
        let limits = ImagingSettings::default().limits();
        let pipeline = Pipeline::new(source, provider.clone(), stores.clone(), limits, &settings);
        Self { pipeline, provider, stores, _folder: folder }
    }

    /// Seconds from the listing to the last image.
    async fn run(&self, turn: usize, images: usize) -> f64 {
        let collection = CollectionName::parse(&format!("bare{turn}")).unwrap();
        let space = self.provider.space().await.unwrap();
        self.stores.default_store().ensure_image_collection(&collection, &space).await.unwrap();
        let stages = Arc::new(Stages::new(self.pipeline.lanes(), None));
        let started = Instant::now();
        let scope = Scope { bucket: "pipeline".into(), prefix: "images/".into(), start_after: None };
        let tasks = self.pipeline.source().list(&scope).enumerate().map(|(ticket, image)| Task {
            ticket: i64::try_from(ticket).unwrap(),
            image: image.unwrap(),
            stored_in: StoreSet::default(),
            possible_copy: None,
            refresh: false,
            metadata: BTreeMap::new(),
        });
        let (outcomes, mut arrived) = tokio::sync::mpsc::channel(64);
        let run = Run {
            collection,
            space,
            stages,
            write_lease: WriteLease::default(),
            exif: glimpse::domain::ExifLevel::Basic,
            trace: glimpse::pipeline::RunTrace::Own,
        };
        let work = self.pipeline.run(run, tasks.chunks(64), outcomes, CancellationToken::new());
        let count = async {
            let mut done = 0;
            while let Some(outcome) = arrived.recv().await {
                done += usize::from(matches!(outcome.result, ItemOutcome::Indexed(_)));
            }
            done
        };
        let (worked, done) = tokio::join!(work, count);
        worked.unwrap();
        assert_eq!(done, images);
        started.elapsed().as_secs_f64()
    }
}

/// A client of the service's bucket.
async fn source(service: &Service) -> S3Source {
    let settings = S3Settings {
        endpoint: Some(service.bucket_url.clone()),
        region: "us-east-1".into(),
        path_style: true,
        credentials: Some(service.credentials()),
        anonymous: false,
        request_payer: false,
        max_bytes: 1 << 20,
        timeout: Duration::from_secs(30),
    };
    S3Source::new(settings).await.unwrap()
}

/// Submits a job and returns its id.
async fn submit(service: &Service, body: Value) -> String {
    service.submit(body).await["job_id"].as_str().unwrap().to_owned()
}

/// Runs a job to its end.
async fn job(service: &Service, body: Value) -> Value {
    let id = submit(service, body).await;
    loop {
        let job = service.get(&format!("/jobs/{id}")).await;
        if job["status"] == "SUCCEEDED" {
            return job;
        }
        assert!(job["status"] == "PENDING" || job["status"] == "RUNNING", "{job}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The time of a search for a client, in milliseconds at p95; one search after the other, no two alike.
async fn search_p95(service: &Service) -> f64 {
    let mut times = Vec::new();
    for _ in 0..200 {
        let text = format!("a cat on {:?}", Instant::now());
        let started = Instant::now();
        let request = service.client.get(format!("{}/search/images", service.url)).query(&[("q", text)]);
        let reply = request.send().await.unwrap();
        assert!(reply.status().is_success());
        reply.bytes().await.unwrap();
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    times[times.len() * 95 / 100]
}
