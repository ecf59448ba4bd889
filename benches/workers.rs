//! Workers elsewhere: how much faster two processes are than one where the provider only waits (30 ms an image), and what
//! leases and reports over HTTP cost an image at ten in a batch, both sides together.
//!
//! `GLIMPSE_BENCH_IMAGES` (default 400) says how many images one pass takes; leases alone are asked for ten times as many.

#![expect(clippy::unwrap_used, reason = "a bench may panic")]
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench reads its own variable and spawns what it waits for")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use glimpse::app::{App, Bucket};
use glimpse::config::Settings;
use glimpse::domain::{Holders, Secret};
use glimpse::embed::{ClipProvider, ImageEmbeddingProvider, RemoteSettings, ServiceSettings};
use glimpse::imaging::Resize;
use glimpse::jobs::lease::{LeaseBroker, LeaseError, Offer};
use glimpse::jobs::ledger::Report;
use glimpse::jobs::wire::{JoinRequest, PROTOCOL, VERSION};
use glimpse::pipeline::{Fate, Indexed, Outcome, PipelineSettings, Stages};
use glimpse::resilience::WaitBoard;
use glimpse::shutdown::Shutdown;
use glimpse::source::EmbeddedS3;
use glimpse::worker::{Measures, ServiceBroker, ServiceClient, WorkerSettings};
use serde_json::{Value, json};

#[path = "../tests/it/support/cheap_clip.rs"]
mod cheap_clip;

use cheap_clip::CheapClip;

#[tokio::main]
async fn main() {
    let images: usize = std::env::var("GLIMPSE_BENCH_IMAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let clip = CheapClip::start(Duration::from_millis(30)).await;
    let service = Service::start(&clip).await;
    service.seed("images/", images, &png()).await;
    service.seed("keys/", images * 10, b"x").await;
    let one = service.pace("one", 1).await;
    let two = service.pace("two", 2).await;
    println!("one worker              {one:8.1} images/s");
    println!("two workers             {two:8.1} images/s, ratio {:.2}  (wanted: 1.8 or more)", two / one);
    service.leases(&clip, images * 10).await;
    service.shutdown.begin();
    service.served.await.unwrap();
}

struct Service {
    url: String,
    bucket_url: String,
    client: reqwest::Client,
    bucket: Bucket,
    clip: String,
    shutdown: Shutdown,
    served: tokio::task::JoinHandle<()>,
    folder: tempfile::TempDir,
}

struct Job {
    id: String,
    token: String,
}

impl Service {
    async fn start(clip: &CheapClip) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let variables = [
            ("GLIMPSE_DATA_DIR", path.as_str()),
            ("GLIMPSE_ADDR", "127.0.0.1:0"),
            ("GLIMPSE_S3_ADDR", "127.0.0.1:0"),
            ("GLIMPSE_LEASE_SIZE", "10"),
            ("IMAGE_EMBEDDING_PROVIDER", "clip"),
            ("CLIP_URL", &clip.url),
            ("THUMBNAIL_PREFIX", ""),
        ];
        let shutdown = Shutdown::new();
        let app = App::build(Settings::from_variables(variables).unwrap(), &shutdown).await.unwrap();
        let line = app.lines().iter().find(|line| line.starts_with("bucket")).unwrap();
        let bucket_url = line.split(' ').find(|word| word.starts_with("http")).unwrap().to_owned();
        let (url, bucket) = (format!("http://{}", app.addr()), app.bucket().await.unwrap());
        let served = tokio::spawn(async move { app.serve().await.unwrap() });
        let client = reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
        Self { url, bucket_url, client, bucket, clip: clip.url.clone(), shutdown, served, folder }
    }

    async fn seed(&self, prefix: &str, count: usize, bytes: &[u8]) {
        for at in 0..count {
            let (key, bytes) = (format!("{prefix}{at:06}.png"), Bytes::copy_from_slice(bytes));
            self.bucket.put("pipeline", &key, bytes, "image/png").await.unwrap();
        }
    }

    async fn submit(&self, prefix: &str, collection: &str) -> Job {
        let body = json!({"s3_prefix": prefix, "collection": collection, "executor": "workers"});
        let reply = self.client.post(format!("{}/jobs/images", self.url)).json(&body).send().await.unwrap();
        let reply: Value = reply.json().await.unwrap();
        let text = |name: &str| reply[name].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned();
        Job { id: text("job_id"), token: text("worker_token") }
    }

    async fn job(&self, job: &Job) -> Value {
        self.client.get(format!("{}/jobs/{}", self.url, job.id)).send().await.unwrap().json().await.unwrap()
    }

    /// Images per second of so many worker processes, from the moment that all of them work to the last image.
    async fn pace(&self, collection: &str, workers: usize) -> f64 {
        let job = self.submit("images/", collection).await;
        let mut children: Vec<Child> = (0..workers).map(|number| self.worker(&job, &format!("w{number}"))).collect();
        let mut begun = None;
        let pace = loop {
            let now = self.job(&job).await;
            let done = now["counts"]["done"].as_u64().unwrap();
            let at_work = |worker: &Value| worker["done"].as_u64().unwrap() > 0;
            let all = now["workers"].as_array().is_some_and(|all| all.len() == workers && all.iter().all(at_work));
            if begun.is_none() && all {
                begun = Some((Instant::now(), done));
            }
            if now["status"] == "SUCCEEDED" {
                let (since, before) = begun.expect("more images: it was over before all worked");
                break (done - before) as f64 / since.elapsed().as_secs_f64();
            }
            assert!(now["status"] == "PENDING" || now["status"] == "RUNNING", "{now}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        for child in &mut children {
            child.wait().unwrap();
        }
        pace
    }

    fn worker(&self, job: &Job, name: &str) -> Child {
        let pair = EmbeddedS3::stored_credentials(&self.folder.path().join("s3")).unwrap().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_glimpse"));
        command.args(["worker", "--service", &self.url, "--job", &job.id, "--name", name]);
        command.env("GLIMPSE_WORKER_TOKEN", &job.token).env("S3_ENDPOINT", &self.bucket_url);
        command.env("S3_ACCESS_KEY_ID", pair.access_key_id).env("S3_SECRET_ACCESS_KEY", pair.secret_access_key);
        command.env("IMAGE_EMBEDDING_PROVIDER", "clip").env("CLIP_URL", &self.clip).env("GLIMPSE_EMBED_LANES", "1");
        command.env("THUMBNAIL_PREFIX", "").stdout(Stdio::null()).spawn().unwrap()
    }

    /// CPU of leases and reports alone, of both sides: nothing is read, embedded or stored.
    async fn leases(&self, clip: &CheapClip, images: usize) {
        let job = self.submit("keys/", "leases").await;
        while self.job(&job).await["counts"]["listed"] != images {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let settings = WorkerSettings {
            url: self.url.clone(),
            job: job.id,
            name: "w".into(),
            token: Secret::new(job.token),
            node: None,
        };
        let client = Arc::new(ServiceClient::new(settings, &WaitBoard::default()).unwrap());
        let provider = provider(clip);
        let space = provider.space().await.unwrap().as_ref().clone();
        let stores = Holders::parse("embedded");
        let introduction = JoinRequest { version: VERSION.to_owned(), protocol: PROTOCOL, space, stores, node: None };
        let stages = Arc::new(Stages::new(PipelineSettings::default().lanes(), None));
        let broker = ServiceBroker::new(client, introduction, 30, Measures::new(stages, provider));
        let (cpu, begun, mut batches) = (cpu_seconds(), Instant::now(), 0);
        loop {
            match broker.lease().await {
                Ok(Offer::Batch(batch)) => {
                    let outcome = |task: &glimpse::pipeline::Task| {
                        let (etag, size_bytes) = (task.image.etag.clone(), task.image.size_bytes);
                        let stores = Holders::parse("embedded");
                        let fate = Fate::Indexed(Indexed { etag, size_bytes, stores, copied: false });
                        Outcome { ticket: task.ticket, fate }
                    };
                    let outcomes = batch.tasks.iter().map(outcome).collect();
                    let report = Report { batch: batch.id, attempt: batch.attempt, outcomes };
                    broker.report(vec![report]).await.unwrap();
                    batches += 1;
                }
                Ok(Offer::Over) | Err(LeaseError::Over) => break,
                Err(error) => panic!("{error}"),
            }
        }
        let (cpu, wall) = (cpu_seconds() - cpu, begun.elapsed().as_secs_f64());
        println!(
            "leases and reports      {batches} batches of ten in {wall:.2} s: {:.0} batches/s",
            f64::from(batches) / wall
        );
        let (batch, image) = (cpu * 1e3 / f64::from(batches), cpu * 1e6 / images as f64);
        println!("their CPU, both sides   {batch:8.2} ms a batch, {image:.0} µs an image");
    }
}

fn provider(clip: &CheapClip) -> Arc<dyn ImageEmbeddingProvider> {
    let service = ServiceSettings { url: clip.url.clone(), key: Secret::default(), timeout: Duration::from_secs(30) };
    let (max_batch, resize) = (std::num::NonZeroUsize::new(8).unwrap(), Resize::CropFloor);
    let settings = RemoteSettings { service, model: String::new(), max_batch, size: None, resize };
    Arc::new(ClipProvider::new(settings).unwrap())
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn png() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(64, 64).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}
