//! A full disk fails no job and no image: the job waits, and requests that would write return an error.

use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::jobs::crash::{Process, is_final, put, succeeded};
use crate::jobs::full_disk::SmallDisk;
use crate::support::services::cheap_clip::CheapClip;

const IMAGES: u32 = 3_000;

/// Waits until the newest job reports that it waits for space, with another retry time than `not_for`.
async fn until_it_waits(process: &Process, not_for: Option<&Value>) -> Value {
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let job = process.newest_job().await.unwrap();
        assert!(!is_final(&job), "it neither fails nor is done: {job}");
        let waiting = &job["waiting_on"];
        let full = waiting["message"].as_str().is_some_and(|message| message.contains("no space left"));
        if full && not_for != Some(&waiting["next_try"]) {
            return waiting["next_try"].clone();
        }
        assert!(Instant::now() < deadline, "nothing is reported: {job}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_large_transaction_finds_no_space_waits_and_completes() {
    let clip = CheapClip::start(Duration::ZERO).await;
    let Some(disk) = SmallDisk::mount(64 * 1024) else { return };
    let process = Process::start(&disk.data(), &clip);
    let bucket = process.bucket().await;
    stream::iter(0..IMAGES).for_each_concurrent(16, |n| put(&bucket, n, n)).await;
    // Enough space for the job's state and its log, but not for a page of its listing.
    disk.fill(150);
    process.submit().await;
    let first = until_it_waits(&process, None).await;
    // It tries again, and does not fail then either.
    until_it_waits(&process, Some(&first)).await;
    disk.free();
    process.finish().await;
    let job = process.newest_job().await.unwrap();
    succeeded(&job);
    assert_eq!((&job["counts"]["done"], &job["counts"]["left"]), (&json!(IMAGES), &json!(0)), "{job}");
    assert_eq!(process.service.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_to_a_full_disk_are_refused_with_the_reason_and_succeed_later() {
    let Some(disk) = SmallDisk::mount(16 * 1024) else { return };
    let clip = CheapClip::start(Duration::ZERO).await;
    let process = Process::start(&disk.data(), &clip);
    let (client, url) = (Client::new(), process.service.url.clone());
    disk.fill(0);
    let submit = client.post(format!("{url}/jobs/images")).json(&json!({"s3_prefix": "images/"}));
    let delete = client.delete(format!("{url}/collections/documents"));
    for request in [submit.try_clone().unwrap(), delete.try_clone().unwrap()] {
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(reply.headers().contains_key("retry-after"));
        let reply: Value = reply.json().await.unwrap();
        assert_eq!(reply["code"], "ledger_full", "{reply}");
        assert!(reply["message"].as_str().unwrap().contains("no space left"), "{reply}");
    }
    assert_eq!(client.get(format!("{url}/jobs")).send().await.unwrap().status(), StatusCode::OK, "reads still work");
    disk.free();
    assert_eq!(submit.send().await.unwrap().status(), StatusCode::ACCEPTED);
    process.finish().await;
    assert_eq!(process.service.stop(), Some(0));
}
