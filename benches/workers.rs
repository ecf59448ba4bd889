//! Remote workers: how much faster two processes are than one if the provider only waits (30 ms per image), and the
//! cost of leases and reports over HTTP per image, both sides together.
//!
//! `GLIMPSE_BENCH_IMAGES` (default 400) is the number of images of one pass; ten times as many for leases alone.

#![expect(clippy::unwrap_used, reason = "a bench may panic")]
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench reads its own variable and spawns what it waits for")]
#![expect(clippy::cast_precision_loss, reason = "prints figures")]

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use glimpse::domain::{Secret, StoreSet};
use glimpse::embed::{ClipProvider, ImageEmbeddingProvider, RemoteSettings, ServiceSettings};
use glimpse::imaging::{InputColour, Resize};
use glimpse::jobs::pool::broker::{LeaseBroker, LeaseError, Offer};
use glimpse::jobs::remote::protocol::wire::{JoinRequest, ModelAnswer, PROTOCOL, VERSION};
use glimpse::jobs::remote::same_bucket::ObjectRead;
use glimpse::ledger::Report;
use glimpse::pipeline::{Indexed, ItemOutcome, PipelineSettings, Stages, TaskOutcome};
use glimpse::resilience::WaitList;
use glimpse::worker::{Measures, ServiceBroker, ServiceClient, WorkerSettings};
use serde_json::{Value, json};

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
    let images: usize = std::env::var("GLIMPSE_BENCH_IMAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let clip = CheapClip::start(Duration::from_millis(30)).await;
    let settings = [("IMAGE_BATCH_SIZE", "10"), ("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", clip.url.as_str())];
    let service = Service::start(&settings).await;
    service.seed("images/", images, tiny_png).await;
    service.seed("keys/", images * 10, |_| b"x".to_vec()).await;
    let bench = Bench { service, clip: clip.url.clone() };
    let one = bench.pace("one", 1).await;
    let two = bench.pace("two", 2).await;
    println!("one worker              {one:8.1} images/s");
    println!("two workers             {two:8.1} images/s, ratio {:.2}  (wanted: 1.8 or more)", two / one);
    bench.leases(&clip, images * 10).await;
    bench.service.stop().await;
}

/// A service and everything that its workers need.
struct Bench {
    service: Service,
    clip: String,
}

struct Job {
    id: String,
    token: String,
}

impl Bench {
    async fn submit(&self, prefix: &str, collection: &str) -> Job {
        let body = json!({"s3_prefix": prefix, "collection": collection, "executor": "workers"});
        let reply = self.service.submit(body).await;
        let text = |name: &str| reply[name].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned();
        Job { id: text("job_id"), token: text("worker_token") }
    }

    async fn job(&self, job: &Job) -> Value {
        self.service.get(&format!("/jobs/{}", job.id)).await
    }

    /// Images per second of `workers` worker processes, from the moment at which all of them work to the last image.
    async fn pace(&self, collection: &str, workers: usize) -> f64 {
        let job = self.submit("images/", collection).await;
        let mut children: Vec<Child> = (0..workers).map(|number| self.worker(&job, &format!("w{number}"))).collect();
        let mut started = None;
        let pace = loop {
            let now = self.job(&job).await;
            let done = now["counts"]["done"].as_u64().unwrap();
            let at_work = |worker: &Value| worker["done"].as_u64().unwrap() > 0;
            let all = now["workers"].as_array().is_some_and(|all| all.len() == workers && all.iter().all(at_work));
            if started.is_none() && all {
                started = Some((Instant::now(), done));
            }
            if now["status"] == "SUCCEEDED" {
                let (since, before) = started.expect("more images: it was over before all worked");
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
        let pair = self.service.credentials();
        let mut command = Command::new(env!("CARGO_BIN_EXE_glimpse"));
        command.args(["worker", "--service", &self.service.url, "--job", &job.id, "--name", name]);
        command.env("GLIMPSE_WORKER_TOKEN", &job.token).env("S3_ENDPOINT", &self.service.bucket_url);
        command.env("S3_ACCESS_KEY_ID", pair.access_key_id).env("S3_SECRET_ACCESS_KEY", pair.secret_access_key);
        command.env("IMAGE_EMBEDDING_PROVIDER", "clip").env("CLIP_URL", &self.clip).env("GLIMPSE_EMBED_LANES", "1");
        command.env("THUMBNAIL_PREFIX", "").stdout(Stdio::null()).spawn().unwrap()
    }

    /// CPU time of leases and reports alone, of both sides: nothing is read, embedded or stored.
    async fn leases(&self, clip: &CheapClip, images: usize) {
        let job = self.submit("keys/", "leases").await;
        while self.job(&job).await["counts"]["listed"] != images {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let settings = WorkerSettings {
            url: self.service.url.parse().unwrap(),
            job: job.id,
            name: "w".into(),
            token: Secret::new(job.token),
            node: None,
            trusted: glimpse::domain::TrustedFiles::default(),
        };
        let client = Arc::new(ServiceClient::new(settings, &WaitList::default()).unwrap());
        let provider = provider(clip);
        let space = provider.space().await.unwrap().as_ref().clone();
        let stores = StoreSet::parse("embedded");
        let (version, object) = (VERSION.to_owned(), Some(ObjectRead::NotCompared));
        let introduction = JoinRequest {
            version,
            protocol: PROTOCOL,
            space,
            stores,
            node: None,
            object,
            model: Some(ModelAnswer::Used),
        };
        let stages = Arc::new(Stages::new(PipelineSettings::default().lanes(), None));
        let broker = ServiceBroker::new(client, introduction, 30, Measures::new(stages, provider));
        let (cpu, started, mut batches) = (cpu_seconds(), Instant::now(), 0);
        loop {
            match broker.lease(Vec::new()).await {
                Ok(Offer::Batch(batch)) => {
                    let outcome = |task: &glimpse::pipeline::Task| {
                        let (etag, size_bytes) = (task.image.etag.clone(), task.image.size_bytes);
                        let stores = StoreSet::parse("embedded");
                        let result = ItemOutcome::Indexed(Indexed { etag, size_bytes, stores, copied: false });
                        TaskOutcome { ticket: task.ticket, result }
                    };
                    let outcomes = batch.tasks.iter().map(outcome).collect();
                    let report = Report { batch: batch.id, attempt: batch.attempt, outcomes };
                    broker.report(vec![report], Vec::new()).await.unwrap();
                    batches += 1;
                }
                Ok(Offer::NoMoreWork) | Err(LeaseError::JobEnded) => break,
                Err(error) => panic!("{error}"),
            }
        }
        let (cpu, wall) = (cpu_seconds() - cpu, started.elapsed().as_secs_f64());
        println!(
            "leases and reports      {batches} batches of ten in {wall:.2} s: {:.0} batches/s",
            f64::from(batches) / wall
        );
        let (batch, image) = (cpu * 1e3 / f64::from(batches), cpu * 1e6 / images as f64);
        println!("their CPU, both sides   {batch:8.2} ms a batch, {image:.0} µs an image");
    }
}

fn provider(clip: &CheapClip) -> Arc<dyn ImageEmbeddingProvider> {
    let service =
        ServiceSettings { url: clip.url.parse().unwrap(), key: Secret::default(), timeout: Duration::from_secs(30) };
    let (max_batch, resize) = (std::num::NonZeroUsize::new(8).unwrap(), Resize::CropFloor);
    let settings =
        RemoteSettings { service, model: String::new(), max_batch, size: None, resize, colour: InputColour::Reference };
    Arc::new(ClipProvider::new(settings).unwrap())
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
