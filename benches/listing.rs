//! Listing in several lanes: a bucket whose pages take 50 ms each, listed by one stream, by the lanes without a ledger,
//! and by jobs over unchanged keys. The bucket is a process of its own.
//!
//! `GLIMPSE_BENCH_KEYS` (default 200,000) is the number of keys, `GLIMPSE_BENCH_PAGE_MS` (default 50) the time of a page,
//! `GLIMPSE_BENCH_SHAPE` the shape of the keys (`support/slow_bucket.rs`).

#![expect(clippy::unwrap_used, reason = "a bench may panic")]
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench reads its own variables and spawns what it waits for")]

#[path = "support/known_objects.rs"]
mod known_objects;
#[path = "support/slow_bucket.rs"]
mod slow_bucket;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::StreamExt;
use glimpse::app::App;
use glimpse::config::Settings;
use glimpse::shutdown::Shutdown;
use glimpse::source::{ImageSource, S3Credentials, S3Settings, S3Source, Scope};
use serde_json::{Value, json};

use self::slow_bucket::{SlowBucket, key};

const LANES: u32 = 8;

fn main() {
    if slow_bucket::is_server() {
        return slow_bucket::serve();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let keys = slow_bucket::keys();
    let bucket = SlowBucket::start();
    let source = Arc::new(S3Source::new(client(&bucket.url)).await.unwrap());
    let folder = tempfile::tempdir().unwrap();
    let known: Vec<_> = (0..keys).map(slow_bucket::image).collect();
    known_objects::record(folder.path(), &known).await;
    drop(known);
    println!("{keys} keys, {}, {} ms a page", slow_bucket::shape(), slow_bucket::page_time().as_millis());

    idle().await;
    let one = timed("one stream", async { count(&source, None, None).await }, keys).await;
    let parts = (0..LANES).map(|part| {
        let source = source.clone();
        let edge = |part: u32| key(u32::try_from(u64::from(keys) * u64::from(part) / u64::from(LANES)).unwrap());
        let (from, to) = ((part > 0).then(|| edge(part)), (part + 1 < LANES).then(|| edge(part + 1)));
        tokio::spawn(async move { count(&source, from, to).await })
    });
    let parts = futures::future::join_all(parts);
    let lanes = timed("eight equal lanes", async { parts.await.into_iter().map(Result::unwrap).sum() }, keys).await;
    println!("                          {:5.2} x one stream", one / lanes);

    for number in [LANES, 1] {
        let number = number.to_string();
        let (url, shutdown, served) = serve(&bucket.url, folder.path(), &number).await;
        idle().await;
        for body in [json!({"sync": true}), json!({})] {
            let name = format!("job, S3_LIST_LANES={number}{}", if body["sync"] == true { ", sync" } else { "" });
            let before = bucket.requests().await;
            let took = timed(&name, resync(&url, body), keys).await;
            let after = bucket.requests().await;
            println!(
                "                          {:5.2} x one stream, {:.2} x the time of the lanes, {} pages, {} probes",
                one / took,
                took / lanes,
                after.0 - before.0,
                after.1 - before.1
            );
        }
        shutdown.begin();
        served.await.unwrap();
    }
    bucket.stop();
}

/// Runs `work`, prints its seconds and the CPU seconds of this process, and returns its seconds.
async fn timed(name: &str, work: impl Future<Output = u64>, keys: u32) -> f64 {
    let (started, cpu) = (Instant::now(), cpu_seconds());
    assert_eq!(work.await, u64::from(keys));
    let took = started.elapsed().as_secs_f64();
    println!("{name:<26}{took:8.2} s, {:7.2} s of CPU, peak memory {}", cpu_seconds() - cpu, peak_memory());
    took
}

/// Waits until the index of the known objects is complete, which needs the cores for a while.
async fn idle() {
    loop {
        let before = cpu_seconds();
        tokio::time::sleep(Duration::from_millis(500)).await;
        if cpu_seconds() - before < 0.03 {
            return;
        }
    }
}

/// The number of keys after `from` up to and with `to`.
async fn count(source: &S3Source, from: Option<String>, to: Option<String>) -> u64 {
    // The first range begins with the first key.
    let (prefix, bucket) = ("images/".to_owned(), "photos".to_owned());
    let mut pages = source.pages(&Scope { bucket, prefix, start_after: from }, None);
    let mut count = 0;
    while let Some(page) = pages.next().await {
        for image in page.unwrap().images {
            if to.as_ref().is_some_and(|to| image.uri.key() > to.as_str()) {
                return count;
            }
            count += 1;
        }
    }
    count
}

fn client(url: &str) -> S3Settings {
    S3Settings {
        endpoint: Some(url.to_owned()),
        region: "us-east-1".into(),
        path_style: true,
        credentials: Some(S3Credentials { access_key_id: "any".into(), secret_access_key: "any".into() }),
        anonymous: false,
        request_payer: false,
        max_bytes: 1 << 20,
        timeout: Duration::from_secs(30),
    }
}

async fn serve(bucket: &str, folder: &Path, lanes: &str) -> (String, Shutdown, tokio::task::JoinHandle<()>) {
    let variables = [
        ("GLIMPSE_DATA_DIR", folder.to_str().unwrap()),
        ("GLIMPSE_ADDR", "127.0.0.1:0"),
        ("GLIMPSE_CALIBRATE", "false"),
        ("S3_ENDPOINT", bucket),
        ("S3_BUCKET", "photos"),
        ("S3_ACCESS_KEY_ID", "any"),
        ("S3_SECRET_ACCESS_KEY", "any"),
        ("S3_LIST_LANES", lanes),
    ];
    let shutdown = Shutdown::new();
    // The service before holds its index for a moment after its end.
    let mut tries = 0..50;
    let app = loop {
        match App::build(Settings::from_variables(variables).unwrap(), &shutdown).await {
            Ok(app) => break app,
            Err(error) => assert!(tries.next().is_some(), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let url = format!("http://{}", app.addr());
    (url, shutdown, tokio::spawn(async move { app.serve().await.unwrap() }))
}

/// Runs a job over unchanged keys. Returns their number.
async fn resync(url: &str, mut body: Value) -> u64 {
    let client = reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
    body["s3_prefix"] = "images/".into();
    let reply = client.post(format!("{url}/jobs/images")).json(&body).send().await.unwrap();
    let id = reply.json::<Value>().await.unwrap()["job_id"].as_str().unwrap().to_owned();
    loop {
        let job: Value = client.get(format!("{url}/jobs/{id}")).send().await.unwrap().json().await.unwrap();
        if job["finished_at"].is_string() {
            assert_eq!(job["status"], "SUCCEEDED", "{job}");
            // The bucket would refuse to read an object.
            assert_eq!(job["counts"]["done"].as_u64().unwrap() + job["counts"]["failed"].as_u64().unwrap(), 0, "{job}");
            return job["counts"]["unchanged"].as_u64().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// CPU seconds of this process, user and system.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> =
        stat.rsplit(") ").next().unwrap().split(' ').filter_map(|field| field.parse().ok()).collect();
    // Ticks of 10 ms. The first field here, the state, is not a number.
    fields.get(10..12).map_or(0.0, |ticks| ticks.iter().sum::<f64>() / 100.0)
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}
