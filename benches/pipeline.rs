//! The whole service compared with its own limits, in one run: throughput with that of the slowest stage alone and
//! with the CPU seconds of an image; the time of a search with that of embedding and scan; memory with the number of
//! keys.
//!
//! Without criterion: one pass takes long enough for a measurement, and the ratios matter. `GLIMPSE_BENCH_IMAGES`
//! (default 400) is the number of images of one pass.

#![expect(clippy::unwrap_used, reason = "a bench may panic")]
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench reads its own variable and spawns what it waits for")]
#![expect(clippy::cast_precision_loss, reason = "prints figures")]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use glimpse::app::App;
use glimpse::config::Settings;
use glimpse::embed::ImageEmbeddingProvider;
use glimpse::embed::local::LocalProvider;
use glimpse::imaging::{self, ImagingSettings};
use glimpse::shutdown::Shutdown;
use serde_json::{Value, json};

#[tokio::main]
async fn main() {
    let images = std::env::var("GLIMPSE_BENCH_IMAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let cores = std::thread::available_parallelism().unwrap();
    let alone = embed_alone(cores, images).await;
    println!("embed alone             {alone:8.1} images/s on {cores} threads");
    let service = Service::start().await;
    service.seed(images).await;
    let (wall, cpu) = service.ingest(images).await;
    let (rate, limit) = (images as f64 / wall, cores.get() as f64 * images as f64 / cpu);
    println!("whole way               {rate:8.1} images/s, {:.1} ms CPU an image", cpu * 1000.0 / images as f64);
    println!("cores / CPU an image    {limit:8.1} images/s");
    let ratio = rate / alone.min(limit);
    println!("ratio to the smaller    {ratio:8.3}  (wanted: 0.90 or more)");
    let overhead = service.search_overhead().await;
    println!("search over its parts   {overhead:8.2} ms at p95  (wanted: 2 or less)");
    let few = service.peak_of("few/", 1_000).await;
    let many = service.peak_of("many/", 10_000).await;
    let ratio = many / few;
    println!("peak of 1,000 keys      {few:8.0} MB");
    println!("peak of 10,000 keys     {many:8.0} MB, ratio {ratio:.3}  (wanted: 1.1 or less)");
    service.stop().await;
}

/// The slowest stage alone.
async fn embed_alone(threads: NonZeroUsize, images: usize) -> f64 {
    let provider = Arc::new(LocalProvider::start(threads).unwrap());
    provider.space().await.unwrap();
    let limits = ImagingSettings::default().limits();
    let prepared: Vec<_> = demo_images()
        .iter()
        .map(|bytes| imaging::prepare(bytes, &limits, &provider.preprocessing()).unwrap().image)
        .collect();
    let batches = (0..images / 8).map(|at| (0..8).map(|i| prepared[(at * 8 + i) % prepared.len()].clone()).collect());
    let started = Instant::now();
    stream::iter(batches)
        .map(|batch: Vec<_>| {
            let provider = provider.clone();
            async move { tokio::spawn(async move { provider.embed_image_batch(&batch).await.unwrap() }).await.unwrap() }
        })
        .buffer_unordered(threads.get() + 1)
        .for_each(|_| async {})
        .await;
    images as f64 / started.elapsed().as_secs_f64()
}

struct Service {
    url: String,
    client: reqwest::Client,
    bucket: glimpse::app::Bucket,
    shutdown: Shutdown,
    served: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Service {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let variables =
            [("GLIMPSE_DATA_DIR", path.as_str()), ("GLIMPSE_ADDR", "127.0.0.1:0"), ("GLIMPSE_S3_ADDR", "127.0.0.1:0")];
        let shutdown = Shutdown::new();
        let app = App::build(Settings::from_variables(variables).unwrap(), &shutdown).await.unwrap();
        let (url, bucket) = (format!("http://{}", app.addr()), app.bucket().await.unwrap());
        let served = tokio::spawn(async move { app.serve().await.unwrap() });
        let client = reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
        Self { url, client, bucket, shutdown, served, _folder: folder }
    }

    async fn stop(self) {
        self.shutdown.begin();
        self.served.await.unwrap();
    }

    async fn seed(&self, images: usize) {
        let demo = demo_images();
        for at in 0..images {
            // All bytes differ, so that each image is embedded.
            let bytes = Bytes::from([&demo[at % demo.len()][..], &at.to_be_bytes()].concat());
            self.bucket.put("pipeline", &format!("images/{at:06}.jpg"), bytes, "image/jpeg").await.unwrap();
        }
    }

    /// Wall and CPU seconds of one job over the seeded images.
    async fn ingest(&self, images: usize) -> (f64, f64) {
        let before = cpu_seconds();
        let started = Instant::now();
        let job = self.job(json!({"s3_prefix": "images/"})).await;
        let (wall, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - before);
        assert_eq!(job["counts"]["done"], images, "{job}");
        println!("bottleneck              {}", job["bottleneck"].as_str().unwrap_or("-"));
        println!("stages                  {}", job["stages"]);
        (wall, cpu)
    }

    async fn job(&self, body: Value) -> Value {
        let post = self.client.post(format!("{}/jobs/images", self.url)).json(&body);
        let submitted: Value = post.send().await.unwrap().json().await.unwrap();
        let url = format!("{}/jobs/{}", self.url, submitted["job_id"].as_str().unwrap());
        loop {
            let job: Value = self.client.get(&url).send().await.unwrap().json().await.unwrap();
            if job["status"] == "SUCCEEDED" {
                return job;
            }
            assert!(job["status"] == "PENDING" || job["status"] == "RUNNING", "{job}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Milliseconds at p95 between the time of the client and that of embedding and scan in the reply.
    async fn search_overhead(&self) -> f64 {
        let mut over = Vec::new();
        for at in 0..200 {
            let text = ["a cat", "a rocket", "a building", "an orange flower"][at % 4];
            let started = Instant::now();
            let request = self.client.get(format!("{}/search/images", self.url)).query(&[("q", text)]);
            let reply: Value = request.send().await.unwrap().json().await.unwrap();
            let took = started.elapsed().as_secs_f64() * 1000.0;
            over.push(
                took - reply["took_ms"]["embed"].as_f64().unwrap() - reply["took_ms"]["search"].as_f64().unwrap(),
            );
        }
        over.sort_by(f64::total_cmp);
        over[over.len() * 95 / 100]
    }

    /// Peak resident memory, in MB, during a job over `keys` keys. The files are not images: they pass listing,
    /// ledger, fetch and prepare, and 10,000 of them take seconds.
    async fn peak_of(&self, prefix: &str, keys: usize) -> f64 {
        let image = Bytes::from(demo_images()[0][..20_000].to_vec());
        stream::iter(0..keys)
            .for_each_concurrent(16, |at| {
                let (key, bytes) = (format!("{prefix}{at:06}.jpg"), image.clone());
                async move { self.bucket.put("pipeline", &key, bytes, "image/jpeg").await.unwrap() }
            })
            .await;
        // Linux: resets the count of the peak.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let job = self.job(json!({"s3_prefix": prefix})).await;
        assert_eq!(job["counts"]["failed"], keys, "{job}");
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}

/// CPU seconds of this process, all threads (Linux: a hundred ticks a second).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn demo_images() -> Vec<Bytes> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/demo");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jpg"));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap().into()).collect()
}
