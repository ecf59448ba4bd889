//! The peak of a service's memory during a job over many keys, compared with a job over a hundredth of them. The
//! service is a process of its own; its bucket, provider and store (a Qdrant) are external. `GLIMPSE_BENCH_KEYS`
//! (default 200,000) is the number of keys.

#![expect(clippy::unwrap_used, reason = "a bench may panic")]
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench reads its own variable and starts a process")]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use glimpse::domain::ImageUri;
use glimpse::source::{EmbeddedS3, EmbeddedS3Settings, ImageSource, NewObject, S3Settings, S3Source};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/it/support/services/cheap_clip.rs"]
mod cheap_clip;
#[path = "../tests/it/support/qdrant/mod.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod qdrant;
#[path = "support/tiny_png.rs"]
mod tiny_png;

use cheap_clip::CheapClip;
use qdrant::QdrantServer;
use tiny_png::tiny_png;

#[tokio::main]
async fn main() {
    let keys = std::env::var("GLIMPSE_BENCH_KEYS").ok().and_then(|text| text.parse().ok()).unwrap_or(200_000);
    let (clip, store) = (CheapClip::start(Duration::ZERO).await, QdrantServer::start().await);
    let folder = tempfile::tempdir().unwrap();
    let addr = "127.0.0.1:0".parse().unwrap();
    let settings =
        EmbeddedS3Settings { addr, durable: false, ..EmbeddedS3Settings::in_folder(folder.path().join("s3")) };
    let bucket = EmbeddedS3::start(settings, &CancellationToken::new()).await.unwrap();
    let mut service = Service::start(&clip.url, &store.url(), &bucket).await;
    let few = service.peak_of("few/", keys / 100, &bucket).await;
    let many = service.peak_of("many/", keys, &bucket).await;
    println!("peak of {:7} keys    {few:8.1} MB", keys / 100);
    println!("peak of {keys:7} keys    {many:8.1} MB, ratio {:.3}  (wanted: 1.2 or less)", many / few);
    service.process.kill().unwrap();
    service.process.wait().unwrap();
    bucket.stop().await;
}

struct Service {
    url: String,
    client: reqwest::Client,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Service {
    async fn start(clip: &str, store: &str, bucket: &EmbeddedS3) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let pair = bucket.credentials();
        let process = Command::new(env!("CARGO_BIN_EXE_glimpse"))
            .arg("serve")
            .env("GLIMPSE_DATA_DIR", folder.path())
            .env("GLIMPSE_ADDR", &addr)
            .env("S3_ENDPOINT", bucket.endpoint())
            .env("S3_ACCESS_KEY_ID", &pair.access_key_id)
            .env("S3_SECRET_ACCESS_KEY", &pair.secret_access_key)
            .env("IMAGE_EMBEDDING_PROVIDER", "clip")
            .env("CLIP_URL", clip)
            .env("VECTOR_DB_PROVIDER", "qdrant")
            .env("QDRANT_URL", store)
            .env("THUMBNAIL_PREFIX", "")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let client = reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
        let service = Self { url: format!("http://{addr}"), client, process, _folder: folder };
        let ready = format!("{}/readyz", service.url);
        while !service.client.get(&ready).send().await.is_ok_and(|reply| reply.status().is_success()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        service
    }

    /// Peak resident memory in MB during a job over `keys` keys.
    async fn peak_of(&self, prefix: &str, keys: usize, bucket: &EmbeddedS3) -> f64 {
        seed(bucket, prefix, keys).await;
        let proc = format!("/proc/{}", self.process.id());
        // Linux: resets the count of the peak.
        std::fs::write(format!("{proc}/clear_refs"), "5").unwrap();
        let post = self.client.post(format!("{}/jobs/images", self.url)).json(&json!({"s3_prefix": prefix}));
        let submitted: Value = post.send().await.unwrap().json().await.unwrap();
        let url = format!("{}/jobs/{}", self.url, submitted["job_id"].as_str().unwrap());
        let job = loop {
            let job: Value = self.client.get(&url).send().await.unwrap().json().await.unwrap();
            if job["finished_at"].is_string() {
                break job;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        assert!(job["status"] == "SUCCEEDED" && job["counts"]["done"] == keys, "{job}");
        println!("{keys:7} keys            {:8.1} images/s, {}", job["images_per_second"], job["bottleneck"]);
        let status = std::fs::read_to_string(format!("{proc}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}

async fn seed(bucket: &EmbeddedS3, prefix: &str, keys: usize) {
    let settings = S3Settings {
        endpoint: Some(bucket.endpoint()),
        region: "us-east-1".into(),
        path_style: true,
        credentials: Some(bucket.credentials().clone()),
        anonymous: false,
        request_payer: false,
        max_bytes: 1 << 20,
        timeout: Duration::from_secs(30),
    };
    let source = S3Source::new(settings).await.unwrap();
    stream::iter(0..keys)
        .for_each_concurrent(16, |at| {
            let (source, uri) = (&source, ImageUri::new("pipeline", &format!("{prefix}{at:07}.png")));
            async move {
                let object = NewObject { bytes: Bytes::from(tiny_png(at)), ..NewObject::default() };
                source.put(&uri, object).await.unwrap();
            }
        })
        .await;
}
