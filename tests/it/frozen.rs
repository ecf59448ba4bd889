//! A worker that was frozen with an older version of an object in hand, and wakes when another has written the newer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use glimpse::api::replies::JobReply;
use glimpse::index::embedded::EmbeddedIndex;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::between::{Between, Verdict};
use crate::support::cheap_clip::CheapClip;
use crate::support::worker::{Worker, points, submit};
use crate::support::{TestApp, demo_picture};

type Flag = Arc<AtomicBool>;

#[tokio::test(flavor = "multi_thread")]
async fn what_it_has_in_hand_is_not_written_over_the_newer() {
    let clip = CheapClip::start(Duration::from_secs(1)).await;
    let remote = |url| [("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", url)];
    let [kind, url] = remote(clip.url.as_str());
    let app = TestApp::with(&[kind, url, ("GLIMPSE_LEASE_SECONDS", "3"), ("GLIMPSE_LEASE_SIZE", "1")]).await;
    let keys = ["images/1.jpg", "images/2.jpg", "images/3.jpg"];
    for (key, name) in keys.into_iter().zip(["cat.jpg", "panda.jpg", "rocket.jpg"]) {
        app.put(key, demo_picture(name)).await;
    }
    let job = submit(&app, json!({"s3_prefix": "images/", "collection": "c", "executor": "workers"})).await;
    // Its provider takes the first of them and does not answer before it is frozen; and what it writes when it wakes arrives
    // before what it asks.
    let (joined, asked, awake) = (Flag::default(), Flag::default(), Flag::default());
    let (release, released) = tokio::sync::watch::channel(false);
    let (of_job, seen) = (joined.clone(), asked.clone());
    let provider = Between::new(&clip.url, move |uri| {
        let image = of_job.load(Ordering::SeqCst) && uri.path() == "/embedding/image";
        seen.fetch_or(image, Ordering::SeqCst);
        if image { Verdict::PassesWhen(released.clone()) } else { Verdict::Passes }
    })
    .await;
    let slow = awake.clone();
    let service = Between::new(&app.url, move |uri| {
        joined.fetch_or(uri.path().contains("/workers/"), Ordering::SeqCst);
        let late = slow.load(Ordering::SeqCst) && uri.path().ends_with("/heartbeat");
        if late { Verdict::PassesAfter(Duration::from_secs(1)) } else { Verdict::Passes }
    })
    .await;
    let one_by_one = [("IMAGE_BATCH_SIZE", "1"), ("GLIMPSE_EMBED_LANES", "1")];
    let (token, held) = (job.worker_token.as_deref().unwrap(), provider.url());
    let held = [&one_by_one[..], &remote(held.as_str())].concat();
    let one = Worker::through(&service.url(), &app, &job.job_id, token, "one", &held);
    app.job_until(&job.job_id, |_| asked.load(Ordering::SeqCst)).await;
    one.signal("-STOP");
    release.send(true).unwrap();
    let newer = ["coffee.jpg", "raccoon.jpg", "cat.jpg"].map(demo_picture);
    for (key, bytes) in keys.into_iter().zip(&newer) {
        app.put(key, bytes.clone()).await;
    }
    let _two = Worker::start(&app, &job, "two", &[&one_by_one[..], &remote(clip.url.as_str())].concat());
    let now = app.job_until(&job.job_id, |job| job.counts.done == 2).await;
    assert_eq!(now.status, "RUNNING", "there is time for the other to do harm");
    awake.store(true, Ordering::SeqCst);
    one.signal("-CONT");
    let ended = app.job_until(&job.job_id, JobReply::is_final).await;
    assert_eq!((ended.status.as_str(), ended.counts.done), ("SUCCEEDED", 3), "{ended:?}");
    let folder = app.stop().await;
    let index = EmbeddedIndex::open(&folder.path().join("index")).unwrap();
    let mut written: Vec<_> = points(&index, "c")
        .await
        .into_iter()
        .map(|point| (point.payload.s3_key, point.payload.content_sha256))
        .collect();
    written.sort();
    let sums = newer.map(|bytes| hex::encode(Sha256::digest(bytes)));
    assert_eq!(written, keys.into_iter().map(str::to_owned).zip(sums).collect::<Vec<_>>());
}
