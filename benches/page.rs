//! The page in a real Chromium, over demo images and with the model in the process: first contentful paint, the time
//! from Enter to the last of 50 thumbnails, and scrolling through a thousand results, with the page's memory.
//!
//! Without `chromium` and `chromedriver` it prints a message and ends. `GLIMPSE_BENCH_IMAGES` (default 1,000) is the
//! number of images.

#![expect(clippy::unwrap_used, reason = "a bench may panic")]
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench reads its own variable and spawns what it waits for")]

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::{Client, ClientBuilder};
use futures::stream::{self, StreamExt};
use glimpse::demo;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

#[path = "support/service.rs"]
#[expect(dead_code, reason = "other benches use more of it")]
mod service;

use service::Service;

/// Once 50 hits are shown: the time of the first paint, the time of the hits, and the bytes of the page's own code.
const PAINTED: &str = "
    const done = arguments[arguments.length - 1];
    (function look() {
        const [paint] = performance.getEntriesByName('first-contentful-paint');
        if (!paint || document.querySelectorAll('.hit').length < 50) return requestAnimationFrame(look);
        const own = performance.getEntriesByType('resource').filter((entry) => entry.name.includes('/web/'));
        const [page] = performance.getEntriesByType('navigation');
        const bytes = own.reduce((sum, entry) => sum + entry.decodedBodySize, page.decodedBodySize);
        done({ms: paint.startTime, hits: performance.now(), bytes});
    })();";

/// Searches as Enter does, and returns the milliseconds until the last of 50 thumbnails is shown.
const THUMBNAILS: &str = "
    (function ask() {
    const done = arguments[arguments.length - 1];
    const words = document.querySelector('#words');
    if (!words) return setTimeout(() => ask(...arguments), 20);
    words.value = arguments[0];
    const begun = performance.now();
    document.querySelector('form.search').requestSubmit();
    (function look() {
        const images = [...document.querySelectorAll('.hit img')].slice(0, 50);
        // Also those below the window.
        for (const image of images) image.loading = 'eager';
        const there = images.length === 50 && images.every((image) => image.complete && image.naturalWidth);
        if (there) done(performance.now() - begun); else requestAnimationFrame(look);
    })();
    })(...arguments);";

/// Scrolls by 60 pixels with every frame until this number of hits are passed.
const SCROLL: &str = "
    const [most, done] = arguments;
    const begun = performance.now();
    const frames = [];
    let last = begun;
    (function step(now) {
        frames.push(now - last);
        last = now;
        scrollBy(0, 60);
        const hits = document.querySelectorAll('.hit').length;
        const end = innerHeight + scrollY >= document.documentElement.scrollHeight - 5;
        if (!(hits >= most && end)) return requestAnimationFrame(step);
        frames.sort((one, other) => one - other);
        const seconds = (now - begun) / 1000;
        done({hits, seconds, fps: frames.length / seconds, p95: frames[Math.floor(frames.length * 0.95)]});
    })(begun);";

#[tokio::main]
async fn main() {
    let found =
        |name: &str| std::env::split_paths(&std::env::var_os("PATH")?).map(|at| at.join(name)).find(|at| at.is_file());
    let (Some(driver), Some(chromium)) = (found("chromedriver"), found("chromium")) else {
        println!("skipped: install chromium and chromium-driver");
        return;
    };
    let images = std::env::var("GLIMPSE_BENCH_IMAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let service = Service::start(&[("THUMBNAIL_PREFIX", "thumbnails/")]).await;
    ingest(&service, images).await;
    let browser = Browser::open(driver, chromium).await;
    let url = &service.url;

    let (mut paints, mut hits, mut bytes) = (Vec::new(), Vec::new(), 0.0);
    for _ in 0..7 {
        browser.client.goto(&format!("{url}/?q=a+cat")).await.unwrap();
        let painted = browser.run_script(PAINTED, json!(null)).await;
        paints.push(painted["ms"].as_f64().unwrap());
        hits.push(painted["hits"].as_f64().unwrap());
        // Files from the browser's cache are reported with 0 bytes.
        bytes = f64::max(bytes, painted["bytes"].as_f64().unwrap());
    }
    println!(
        "first contentful paint  {:6.0} ms at first, {:.0} ms after  (wanted: 300 or less)",
        paints[0],
        median(&paints[1..])
    );
    println!("its first 50 results    {:6.0} ms at first, {:.0} ms after", hits[0], median(&hits[1..]));
    println!("the page's own code     {:6.1} kB  (wanted: 100 or less)", bytes / 1e3);

    let mut times = Vec::new();
    for words in ["a rocket at night", "an old building", "a cup of coffee", "a red car", "fur"] {
        browser.client.goto(&format!("{url}/")).await.unwrap();
        times.push(browser.run_script(THUMBNAILS, json!(words)).await.as_f64().unwrap());
    }
    let worst = times.iter().copied().fold(0.0, f64::max);
    println!(
        "Enter to 50 thumbnails  {:6.0} ms, the slowest of five {worst:.0}  (wanted: 1,000 or less)",
        median(&times)
    );

    browser.client.goto(&format!("{url}/?q=an+animal")).await.unwrap();
    let scrolled = browser.run_script(SCROLL, json!(images)).await;
    let memory = |name: &str| scrolled[name].as_f64().unwrap();
    println!(
        "scrolling {} results  {:6.1} frames/s over {:.0} s, a frame {:.1} ms at p95  (wanted: 50 frames/s or more)",
        memory("hits"),
        memory("fps"),
        memory("seconds"),
        memory("p95")
    );
    let (all, images) = renderer_megabytes();
    println!(
        "the page's memory       {:6.0} MB, and {images:.0} MB of decoded images that it can free  (wanted: less than 200)",
        all - images
    );
    browser.close().await;
    service.stop().await;
}

async fn ingest(service: &Service, images: usize) {
    stream::iter(0..images)
        .for_each_concurrent(2, |number| async move {
            let (file, bytes) = tokio::task::spawn_blocking(move || demo::image(number)).await.unwrap().unwrap();
            service.bucket.put("pipeline", &format!("images/{file}"), bytes, "image/jpeg").await.unwrap();
        })
        .await;
    let id = service.submit(json!({"s3_prefix": "images/"})).await["job_id"].as_str().unwrap().to_owned();
    loop {
        let job = service.get(&format!("/jobs/{id}")).await;
        if job["finished_at"].is_string() {
            assert_eq!(job["counts"]["done"], images, "{job}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

struct Browser {
    client: Client,
    driver: Child,
}

impl Browser {
    async fn open(driver: PathBuf, chromium: PathBuf) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(driver);
        let driver = command.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--no-proxy-server",
            "--window-size=1280,900",
        ];
        let options = json!({"binary": chromium, "args": arguments});
        let wanted = json!({"browserName": "chrome", "goog:chromeOptions": options, "timeouts": {"script": 300_000}});
        let Value::Object(wanted) = wanted else { unreachable!() };
        let client = loop {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            match builder.capabilities(wanted.clone()).connect(&format!("http://127.0.0.1:{port}")).await {
                Ok(client) => break client,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        Self { client, driver }
    }

    async fn run_script(&self, script: &str, argument: Value) -> Value {
        self.client.execute_async(script, vec![argument]).await.unwrap()
    }

    async fn close(mut self) {
        self.client.close().await.unwrap();
        self.driver.kill().unwrap();
        self.driver.wait().unwrap();
    }
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Megabytes of the largest process of the browser, with its part of shared memory; and those of decoded images, which
/// the browser keeps while no other process needs the memory.
fn renderer_megabytes() -> (f64, f64) {
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let memory = |process: PathBuf| {
        let line = std::fs::read(process.join("cmdline")).ok()?;
        String::from_utf8_lossy(&line).contains("--type=renderer").then_some(())?;
        let memory = std::fs::read_to_string(process.join("smaps_rollup")).ok()?;
        let share = |name: &str| {
            let line = memory.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
        };
        Some((share("Pss:")?, share("Pss_Shmem:")?))
    };
    processes.filter_map(memory).fold((0.0, 0.0), |one, other| if other.0 > one.0 { other } else { one })
}
