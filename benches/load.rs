//! What a job costs beside its work, and what it does to others: the ledger against the same chain without one, with a
//! provider that costs 1 ms an image; a search's time while a job runs against that of an idle service, with a provider that
//! waits and with the model in the process.
//!
//! `GLIMPSE_BENCH_IMAGES` (default 5,000) says how many images the ledger is measured over.

#![expect(clippy::unwrap_used, reason = "a bench may panic")]
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench reads its own variable and spawns what it waits for")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use glimpse::app::{App, Bucket};
use glimpse::config::Settings;
use glimpse::domain::{CollectionName, Holders, Secret};
use glimpse::embed::{ClipProvider, ImageEmbeddingProvider, Probed, Proof, RemoteSettings, ServiceSettings};
use glimpse::imaging::{ImagingSettings, Resize};
use glimpse::index::Stores;
use glimpse::index::embedded::EmbeddedIndex;
use glimpse::pipeline::{Fate, Pipeline, PipelineSettings, Run, Stages, Task};
use glimpse::shutdown::Shutdown;
use glimpse::source::{EmbeddedS3, S3Settings, S3Source, Scope};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

#[path = "../tests/it/support/cheap_clip.rs"]
mod cheap_clip;

use cheap_clip::CheapClip;

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
        ("IMAGE_BATCH_SIZE", "8"),
    ];
    let service = Service::start(&one_lane).await;
    service.seed("images/", images).await;
    let bare = Bare::new(&service, &clip).await;
    let mut best = [f64::MAX; 2];
    for turn in 0..3 {
        best[0] = best[0].min(bare.run(turn, images).await);
        let begun = Instant::now();
        let job = service.job(json!({"s3_prefix": "images/", "collection": format!("turn{turn}")})).await;
        best[1] = best[1].min(begun.elapsed().as_secs_f64());
        assert_eq!(job["counts"]["done"], images, "{job}");
    }
    let [bare, job] = best.map(|seconds| seconds * 1e3 / images as f64);
    println!("chain without a ledger  {bare:8.3} ms an image, 1 ms of it the provider's");
    println!("as a job                {job:8.3} ms an image, ratio {:.3}  (wanted: 1.02 or less)", job / bare);
    service.stop().await;
}

/// Searches beside a job, against the same searches of the idle service.
async fn searches(what: &str, variables: &[(&str, &str)], wanted: &str) {
    let service = Service::start(variables).await;
    service.seed("images/", 2_000).await;
    service.job(json!({"s3_prefix": "images/", "image_max_items": 64})).await;
    let idle = service.search_p95().await;
    let id = service.submit(json!({"s3_prefix": "images/"})).await;
    while service.get(&format!("/jobs/{id}")).await["counts"]["done"].as_u64().unwrap() < 16 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let busy = service.search_p95().await;
    let job = service.get(&format!("/jobs/{id}")).await;
    assert_eq!(job["status"], "RUNNING", "more images: it was over before the searches: {job}");
    let batch = job["stages"]["embed"]["p95_ms"].as_f64().unwrap();
    println!("search, {what:22} idle {idle:6.1} ms, during a job {busy:6.1} ms at p95: {:+.1} ms", busy - idle);
    println!("  (wanted: {wanted} or less; a batch takes {batch:.1} ms at p95)");
    service.stop().await;
}

/// The chain alone, with parts of its own and the service's bucket.
struct Bare {
    pipeline: Pipeline,
    provider: Arc<dyn ImageEmbeddingProvider>,
    stores: Stores,
    _folder: tempfile::TempDir,
}

impl Bare {
    async fn new(service: &Service, clip: &CheapClip) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let remote =
            ServiceSettings { url: clip.url.clone(), key: Secret::default(), timeout: Duration::from_secs(30) };
        let max_batch = NonZeroUsize::new(8).unwrap();
        let resize = Resize::CropFloor;
        let settings = RemoteSettings { service: remote, model: String::new(), max_batch, size: None, resize };
        let raw = Arc::new(ClipProvider::new(settings).unwrap());
        // As in the service: asked once which space it is of, not with every batch.
        let provider: Arc<dyn ImageEmbeddingProvider> =
            Arc::new(Probed::new(raw.clone(), Arc::new(Proof::new(raw, None))));
        provider.space().await.unwrap();
        let stores = Stores::new(vec![Arc::new(EmbeddedIndex::open(folder.path()).unwrap())]);
        let source = Arc::new(service.source().await);
        let settings = PipelineSettings { glimpse_embed_lanes: 1, image_batch_size: 8, ..PipelineSettings::default() };
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
        let begun = Instant::now();
        let scope = Scope { bucket: "pipeline".into(), prefix: "images/".into(), start_after: None };
        let tasks = self.pipeline.source().list(&scope).enumerate().map(|(ticket, image)| Task {
            ticket: i64::try_from(ticket).unwrap(),
            image: image.unwrap(),
            have: Holders::default(),
            twin: None,
            metadata: BTreeMap::new(),
        });
        let (outcomes, mut arrived) = tokio::sync::mpsc::channel(64);
        let run = Run { collection, space, stages };
        let work = self.pipeline.run(run, tasks.chunks(64), outcomes, CancellationToken::new());
        let count = async {
            let mut done = 0;
            while let Some(outcome) = arrived.recv().await {
                done += usize::from(matches!(outcome.fate, Fate::Indexed(_)));
            }
            done
        };
        let (worked, done) = tokio::join!(work, count);
        worked.unwrap();
        assert_eq!(done, images);
        begun.elapsed().as_secs_f64()
    }
}

struct Service {
    url: String,
    bucket_url: String,
    client: reqwest::Client,
    bucket: Bucket,
    shutdown: Shutdown,
    served: tokio::task::JoinHandle<()>,
    folder: tempfile::TempDir,
}

impl Service {
    async fn start(more: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let mut variables = vec![
            ("GLIMPSE_DATA_DIR", path.as_str()),
            ("GLIMPSE_ADDR", "127.0.0.1:0"),
            ("GLIMPSE_S3_ADDR", "127.0.0.1:0"),
            ("THUMBNAIL_PREFIX", ""),
        ];
        variables.extend(more);
        let shutdown = Shutdown::new();
        let app = App::build(Settings::from_variables(variables).unwrap(), &shutdown).await.unwrap();
        let line = app.lines().iter().find(|line| line.starts_with("bucket")).unwrap();
        let bucket_url = line.split(' ').find(|word| word.starts_with("http")).unwrap().to_owned();
        let (url, bucket) = (format!("http://{}", app.addr()), app.bucket().await.unwrap());
        let served = tokio::spawn(async move { app.serve().await.unwrap() });
        let client = reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
        Self { url, bucket_url, client, bucket, shutdown, served, folder }
    }

    async fn stop(self) {
        self.shutdown.begin();
        self.served.await.unwrap();
    }

    /// A client of its bucket.
    async fn source(&self) -> S3Source {
        let credentials = EmbeddedS3::stored_credentials(&self.folder.path().join("s3")).unwrap();
        let settings = S3Settings {
            endpoint: Some(self.bucket_url.clone()),
            region: "us-east-1".into(),
            path_style: true,
            credentials,
            max_bytes: 1 << 20,
            timeout: Duration::from_secs(30),
        };
        S3Source::new(settings).await.unwrap()
    }

    async fn seed(&self, prefix: &str, count: usize) {
        stream::iter(0..count)
            .for_each_concurrent(16, |at| async move {
                let (key, bytes) = (format!("{prefix}{at:07}.png"), Bytes::from(png(at)));
                self.bucket.put("pipeline", &key, bytes, "image/png").await.unwrap();
            })
            .await;
    }

    async fn get(&self, path: &str) -> Value {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap().json().await.unwrap()
    }

    async fn submit(&self, body: Value) -> String {
        let reply = self.client.post(format!("{}/jobs/images", self.url)).json(&body).send().await.unwrap();
        reply.json::<Value>().await.unwrap()["job_id"].as_str().unwrap().to_owned()
    }

    async fn job(&self, body: Value) -> Value {
        let id = self.submit(body).await;
        loop {
            let job = self.get(&format!("/jobs/{id}")).await;
            if job["status"] == "SUCCEEDED" {
                return job;
            }
            assert!(job["status"] == "PENDING" || job["status"] == "RUNNING", "{job}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Milliseconds at p95 that a client waits, one search after the other, no two alike.
    async fn search_p95(&self) -> f64 {
        let mut times = Vec::new();
        for _ in 0..200 {
            let words = format!("a cat on {:?}", Instant::now());
            let begun = Instant::now();
            let request = self.client.get(format!("{}/search/images", self.url)).query(&[("q", words)]);
            let reply = request.send().await.unwrap();
            assert!(reply.status().is_success());
            reply.bytes().await.unwrap();
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        times[times.len() * 95 / 100]
    }
}

/// No two alike: the same bytes would not be embedded again.
fn png(number: usize) -> Vec<u8> {
    let [_, _, _, _, _, red, green, blue] = (number as u64).to_be_bytes();
    let picture = image::RgbImage::from_pixel(16, 16, image::Rgb([red, green, blue]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}
