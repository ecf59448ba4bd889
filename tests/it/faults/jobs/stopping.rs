//! A job that is stopped while it waits for a dependency ends at once.

use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::crash::{Process, put, succeeded};
use crate::support::cheap_clip::CheapClip;

const IMAGES: u32 = 400;
/// What is in flight has 20 s to end. A job that waits for a dependency must need none of it.
const AT_ONCE: Duration = Duration::from_secs(12);

/// A service whose job waits for a CLIP service that went down in its middle; with the address of that.
async fn waiting(folder: &std::path::Path) -> (Process, String) {
    let clip = CheapClip::start(Duration::from_millis(5)).await;
    let addr = clip.url.trim_start_matches("http://").to_owned();
    let process = Process::start(folder, &clip);
    let bucket = process.bucket().await;
    for n in 0..IMAGES {
        put(&bucket, n, n).await;
    }
    process.submit().await;
    until(&process, |job| job["counts"]["done"].as_u64() > Some(0)).await;
    drop(clip);
    until(&process, |job| job["waiting_on"]["dependency"] == "clip").await;
    (process, addr)
}

async fn until(process: &Process, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let job = process.newest_job().await.unwrap();
        if wanted(&job) {
            return job;
        }
        assert!(Instant::now() < deadline, "still {job}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_job_that_waits_for_its_provider_leaves_its_collection_to_the_next_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (process, addr) = waiting(folder.path()).await;
    let (client, first) = (Client::new(), process.newest_job().await.unwrap());
    process.submit().await;
    let begun = Instant::now();
    let url = format!("{}/jobs/{}", process.service.url, first["job_id"].as_str().unwrap());
    assert_eq!(client.delete(&url).send().await.unwrap().status(), StatusCode::OK);
    until(&process, |second| second["status"] == "RUNNING").await;
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    let stopped: Value = client.get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!((&stopped["status"], &stopped["counts"]["failed"]), (&json!("STOPPED"), &json!(0)), "{stopped}");
    let clip = CheapClip::at(&addr, Duration::ZERO).await;
    process.finish().await;
    let second = process.newest_job().await.unwrap();
    assert_eq!(second["counts"]["listed"], IMAGES, "{second}");
    drop(clip);
    assert_eq!(process.service.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_job_waits_for_its_provider_stops_at_once_and_goes_on_at_its_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (process, addr) = waiting(folder.path()).await;
    let begun = Instant::now();
    assert_eq!(process.service.stop(), Some(0));
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    let clip = CheapClip::at(&addr, Duration::ZERO).await;
    let process = Process::start(folder.path(), &clip);
    process.finish().await;
    let job = process.newest_job().await.unwrap();
    succeeded(&job);
    assert_eq!(job["counts"]["done"], IMAGES, "{job}");
    assert_eq!(process.service.stop(), Some(0));
}
