//! A bucket whose pages take a fixed time. It has no objects to read and keeps no key in memory.
//! `GLIMPSE_BENCH_SHAPE` is the shape of its keys: `numbered`, `skewed` (90 % of the keys in one folder) or `hex`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use glimpse::domain::{ImageRef, ImageUri};
use serde::Deserialize;

/// Is set in the process of the server.
const SERVER: &str = "GLIMPSE_BENCH_SLOW_BUCKET";

fn number(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

pub(crate) fn keys() -> u32 {
    number("GLIMPSE_BENCH_KEYS", 200_000)
}

pub(crate) fn page_time() -> Duration {
    Duration::from_millis(number("GLIMPSE_BENCH_PAGE_MS", 50).into())
}

pub(crate) fn shape() -> &'static str {
    static SHAPE: LazyLock<String> = LazyLock::new(|| std::env::var("GLIMPSE_BENCH_SHAPE").unwrap_or_default());
    &SHAPE
}

/// Returns the key with this number; the keys ascend.
pub(crate) fn key(number: u32) -> String {
    match shape() {
        "hex" => {
            let step = u64::MAX / u64::from(keys());
            let noise = u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            format!("images/{:016x}{noise:016x}.jpg", u64::from(number) * step + noise % step)
        }
        "skewed" => {
            let twentieth = keys() / 20;
            match number {
                _ if number < twentieth => format!("images/a{:02}/{number:08}.jpg", number * 90 / twentieth),
                _ if number < 19 * twentieth => format!("images/holiday/2024/IMG_{number:08}.jpg"),
                _ => format!("images/z{:02}/{number:08}.jpg", (number - 19 * twentieth) * 90 / (twentieth + 19)),
            }
        }
        _ => format!("images/{number:08}.jpg"),
    }
}

/// The object as a listing has it.
pub(crate) fn image(number: u32) -> ImageRef {
    let uri = ImageUri::new("photos", &key(number));
    ImageRef { uri, etag: Some(etag(number)), size_bytes: 1_000, modified: None }
}

fn etag(number: u32) -> String {
    format!("{:032x}", u128::from(number) + 1)
}

/// A running bucket.
pub(crate) struct SlowBucket {
    pub(crate) url: String,
    process: Child,
}

impl SlowBucket {
    /// Starts this program again as a server.
    pub(crate) fn start() -> Self {
        let program = std::env::current_exe().unwrap();
        let mut process = Command::new(program).env(SERVER, "1").stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { url: url.trim().to_owned(), process }
    }

    /// Returns the numbers of pages and of requests for one key so far.
    pub(crate) async fn requests(&self) -> (u32, u32) {
        let text = reqwest::get(format!("{}/requests", self.url)).await.unwrap().text().await.unwrap();
        let (pages, probes) = text.split_once(' ').unwrap();
        (pages.parse().unwrap(), probes.parse().unwrap())
    }

    pub(crate) fn stop(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

pub(crate) fn is_server() -> bool {
    std::env::var(SERVER).is_ok()
}

/// Serves until the process is killed.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("http://{}", listener.local_addr().unwrap());
        axum::serve(listener, Router::new().route("/requests", get(requests)).fallback(list)).await.unwrap();
    });
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Request {
    list_type: Option<u32>,
    start_after: Option<String>,
    continuation_token: Option<String>,
    max_keys: Option<u32>,
}

static PAGES: AtomicU32 = AtomicU32::new(0);
static PROBES: AtomicU32 = AtomicU32::new(0);

async fn requests() -> String {
    format!("{} {}", PAGES.load(Ordering::Relaxed), PROBES.load(Ordering::Relaxed))
}

async fn list(Query(request): Query<Request>) -> Response {
    if request.list_type.is_none() {
        return StatusCode::FORBIDDEN.into_response();
    }
    let counter = if request.max_keys == Some(1) { &PROBES } else { &PAGES };
    counter.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(page_time()).await;
    let after = request.continuation_token.or(request.start_after).unwrap_or_default();
    let first = first_after(&after);
    let end = first.saturating_add(request.max_keys.unwrap_or(1_000).min(1_000)).min(keys());
    let mut body = String::with_capacity(300 * 1_000);
    body.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><Name>photos</Name><EncodingType>url</EncodingType>");
    if end < keys() {
        body.push_str("<IsTruncated>true</IsTruncated><NextContinuationToken>");
        body.push_str(&key(end - 1));
        body.push_str("</NextContinuationToken>");
    } else {
        body.push_str("<IsTruncated>false</IsTruncated>");
    }
    for number in first..end {
        body.push_str("<Contents><Key>");
        body.push_str(&key(number));
        body.push_str("</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;");
        body.push_str(&etag(number));
        body.push_str("&quot;</ETag><Size>1000</Size><StorageClass>STANDARD</StorageClass></Contents>");
    }
    body.push_str("</ListBucketResult>");
    ([("content-type", "application/xml")], body).into_response()
}

/// The number of the first key after a text.
fn first_after(text: &str) -> u32 {
    let (mut low, mut high) = (0, keys());
    while low < high {
        let middle = low + (high - low) / 2;
        if key(middle).as_str() <= text { low = middle + 1 } else { high = middle }
    }
    low
}
