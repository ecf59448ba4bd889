//! A job that is stopped while it waits for a dependency ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::http::Uri;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::jobs::crash::{Process, put, succeeded};
use crate::support::proxies::http::{HttpProxy, ProxyAction};
use crate::support::services::cheap_clip::CheapClip;

const IMAGES: u32 = 400;
/// Work in flight has 20 s to complete. A job that waits for a dependency must not need any of it.
const AT_ONCE: Duration = Duration::from_secs(12);

/// A CLIP service that can be switched off.
struct Clip {
    is_down: Arc<AtomicBool>,
    http_proxy: HttpProxy,
    _provider: CheapClip,
}

impl Clip {
    async fn start() -> Self {
        let (clip, is_down) = (CheapClip::start(Duration::from_millis(5)).await, Arc::new(AtomicBool::new(false)));
        let down = is_down.clone();
        let handler =
            move |_: &Uri| if down.load(Ordering::SeqCst) { ProxyAction::Reply(503, "") } else { ProxyAction::Pass };
        Self { http_proxy: HttpProxy::new(&clip.url, handler).await, is_down, _provider: clip }
    }

    fn switch(&self, on: bool) {
        self.is_down.store(!on, Ordering::SeqCst);
    }
}

/// A service whose job waits for a CLIP service that stopped during the job.
async fn waiting(folder: &std::path::Path, clip: &Clip) -> Process {
    let process = Process::start_with(folder, &clip.http_proxy.url());
    let bucket = process.bucket().await;
    for n in 0..IMAGES {
        put(&bucket, n, n).await;
    }
    process.submit().await;
    wait_until(&process, |job| job["counts"]["done"].as_u64() > Some(0)).await;
    clip.switch(false);
    wait_until(&process, |job| job["waiting_on"]["dependency"] == "clip").await;
    process
}

async fn wait_until(process: &Process, condition: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let job = process.newest_job().await.unwrap();
        if condition(&job) {
            return job;
        }
        assert!(Instant::now() < deadline, "still {job}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_job_that_waits_for_its_provider_releases_its_collection_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let clip = Clip::start().await;
    let process = waiting(folder.path(), &clip).await;
    let (client, first) = (Client::new(), process.newest_job().await.unwrap());
    process.submit().await;
    let started = Instant::now();
    let url = format!("{}/jobs/{}", process.service.url, first["job_id"].as_str().unwrap());
    assert_eq!(client.delete(&url).send().await.unwrap().status(), StatusCode::OK);
    wait_until(&process, |second| second["status"] == "RUNNING").await;
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
    let stopped: Value = client.get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!((&stopped["status"], &stopped["counts"]["failed"]), (&json!("STOPPED"), &json!(0)), "{stopped}");
    clip.switch(true);
    process.finish().await;
    let second = process.newest_job().await.unwrap();
    assert_eq!(second["counts"]["listed"], IMAGES, "{second}");
    assert_eq!(process.service.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_job_waits_for_its_provider_stops_at_once_and_continues_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let clip = Clip::start().await;
    let process = waiting(folder.path(), &clip).await;
    let started = Instant::now();
    assert_eq!(process.service.stop(), Some(0));
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
    clip.switch(true);
    let process = Process::start_with(folder.path(), &clip.http_proxy.url());
    process.finish().await;
    let job = process.newest_job().await.unwrap();
    succeeded(&job);
    assert_eq!(job["counts"]["done"], IMAGES, "{job}");
    assert_eq!(process.service.stop(), Some(0));
}
