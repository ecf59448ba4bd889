//! A job over an unchanged prefix, compared with the bare listing through the same client: the cost of comparing with
//! the ledger. `GLIMPSE_BENCH_KEYS` (default 100,000) is the number of keys.

#![expect(clippy::unwrap_used, reason = "a bench may panic")]
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench reads its own variable and spawns what it waits for")]

#[path = "support/known_objects.rs"]
mod known_objects;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use glimpse::app::App;
use glimpse::config::Settings;
use glimpse::domain::ImageRef;
use glimpse::shutdown::Shutdown;
use glimpse::source::{EmbeddedS3, EmbeddedS3Settings, ImageSource, NewObject, S3Settings, S3Source, Scope};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() {
    let keys: u32 = std::env::var("GLIMPSE_BENCH_KEYS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let folder = tempfile::tempdir().unwrap();
    let addr = "127.0.0.1:0".parse().unwrap();
    let server = EmbeddedS3Settings { addr, durable: false, ..EmbeddedS3Settings::in_folder(folder.path().join("s3")) };
    let server = EmbeddedS3::start(server, &CancellationToken::new()).await.unwrap();
    let source = Arc::new(client(&server).await);
    let scope = Scope { bucket: "pipeline".into(), prefix: "images/".into(), start_after: None };
    stream::iter(0..keys)
        .map(|n| {
            let source = source.clone();
            async move {
                let uri = glimpse::domain::ImageUri::new("pipeline", &format!("images/{n:08}.jpg"));
                let object = NewObject { bytes: Bytes::from_static(b"tiny"), ..NewObject::default() };
                source.put(&uri, object).await.unwrap();
            }
        })
        .buffer_unordered(16)
        .for_each(|()| async {})
        .await;
    let listed: Vec<ImageRef> = source.list(&scope).map(Result::unwrap).collect().await;
    assert_eq!(listed.len(), keys as usize);
    known_objects::record(folder.path(), &listed).await;
    println!("{keys} keys");

    let (url, shutdown, served) = serve(&server, folder.path()).await;
    let mut best = [f64::MAX; 2];
    for _ in 0..3 {
        let started = Instant::now();
        assert_eq!(source.list(&scope).map(Result::unwrap).count().await, keys as usize);
        best[0] = best[0].min(started.elapsed().as_secs_f64());
        best[1] = best[1].min(sync(&url, u64::from(keys)).await);
    }
    println!("bare listing   {:8.2} s", best[0]);
    println!("re-sync        {:8.2} s, {:.2} x the listing  (wanted: 1.2 or less)", best[1], best[1] / best[0]);
    shutdown.begin();
    served.await.unwrap();
    server.stop().await;
}

async fn client(server: &EmbeddedS3) -> S3Source {
    let settings = S3Settings {
        endpoint: Some(server.endpoint()),
        region: "us-east-1".into(),
        path_style: true,
        credentials: Some(server.credentials().clone()),
        anonymous: false,
        request_payer: false,
        max_bytes: 1 << 20,
        timeout: Duration::from_secs(30),
    };
    S3Source::new(settings).await.unwrap()
}

async fn serve(server: &EmbeddedS3, folder: &Path) -> (String, Shutdown, tokio::task::JoinHandle<()>) {
    let (id, secret) = (&server.credentials().access_key_id, &server.credentials().secret_access_key);
    let settings = Settings::from_variables([
        ("GLIMPSE_DATA_DIR", folder.to_str().unwrap()),
        ("GLIMPSE_ADDR", "127.0.0.1:0"),
        ("S3_ENDPOINT", &server.endpoint()),
        ("S3_ACCESS_KEY_ID", id),
        ("S3_SECRET_ACCESS_KEY", secret),
    ]);
    let shutdown = Shutdown::new();
    let app = App::build(settings.unwrap(), &shutdown).await.unwrap();
    let url = format!("http://{}", app.addr());
    (url, shutdown, tokio::spawn(async move { app.serve().await.unwrap() }))
}

/// Seconds from the first listing to the end of a job, as the service reports them.
async fn sync(url: &str, keys: u64) -> f64 {
    let client = reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
    let body = json!({"s3_prefix": "images/", "sync": true});
    let started = Instant::now();
    let reply = client.post(format!("{url}/jobs/images")).json(&body).send().await.unwrap();
    let id = reply.json::<Value>().await.unwrap()["job_id"].as_str().unwrap().to_owned();
    loop {
        let job: Value = client.get(format!("{url}/jobs/{id}")).send().await.unwrap().json().await.unwrap();
        if job["finished_at"].is_string() {
            assert!(job["status"] == "SUCCEEDED" && job["counts"]["unchanged"] == keys, "{job}");
            return started.elapsed().as_secs_f64();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
