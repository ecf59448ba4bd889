//! Rebuilds with a second provider that is configured by a name, and that is down for a while.

use std::time::{Duration, Instant};

use glimpse::api::replies::JobReply;
use reqwest::StatusCode;
use serde_json::json;

use super::{Searches, generations, rebuild, search, up_to_date};
use crate::jobs::crash::{Process, is_final};
use crate::jobs::full_disk::SmallDisk;
use crate::support::proxies::tcp::TcpProxy;
use crate::support::serve;
use crate::support::services::cheap_clip::CheapClip;
use crate::support::services::wrong_clip::{REVERSED, WrongClip};
use crate::support::{TestApp, demo_image};

/// Each of the 37 images takes this long, so that no rebuild ends before the provider is cut or changed.
const DELAY: Duration = Duration::from_millis(50);

/// Starts the service with a provider `second` behind a proxy that can be cut. Its circuit breaker opens after `threshold` failures.
async fn start_with_second(url: &str, threshold: &str) -> (TestApp, TcpProxy) {
    let proxy = TcpProxy::start(url, true).await;
    let proxy_url = proxy.url();
    let variables = [
        ("CLIP_URL_SECOND", proxy_url.as_str()),
        ("CLIP_CIRCUIT_BREAKER_THRESHOLD", threshold),
        ("CLIP_CIRCUIT_BREAKER_TIMEOUT", "1"),
        ("IMAGE_EMBED_BATCH_SIZE", "1"),
        ("IMAGE_BATCH_SIZE", "4"),
    ];
    let app = TestApp::start_with(&variables).await;
    for name in ["cat.jpg", "panda.jpg", "coffee.jpg"] {
        for copy in 0..12 {
            // Other bytes after the end of the image: nothing is recognised as a copy.
            let bytes = [demo_image(name).as_slice(), &[copy]].concat();
            app.put(&format!("images/{copy:02}/{name}"), bytes).await;
        }
    }
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    (app, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_waits_for_its_provider_while_searches_go_on() {
    let clip = WrongClip::slow(DELAY);
    let (url, _serving) = serve(clip.router()).await;
    let (app, mut proxy) = start_with_second(&url, "2").await;
    assert_eq!(app.ingest_with(json!({"s3_prefix": "images/cat"})).await.counts.done, 1);
    let searches = Searches::start(&app);
    assert_eq!(app.ingest().await.counts.done, 36);

    let job = rebuild(&app, json!({"provider": "second"})).await;
    app.job_until(&job, |job| job.counts.done > 3).await;
    proxy.cut();
    let waiting = app.job_until(&job, |job| job.waiting_on.is_some()).await;
    assert!(waiting.counts.failed == 0 && waiting.counts.done < 37, "{waiting:?}");
    // The collection goes on: images are indexed with its own model, and become due in the other generation.
    app.put("images/louvre.jpg", demo_image("louvre.jpg")).await;
    assert_eq!(app.ingest().await.counts.done, 1);
    let (status, reply) = app.post("/collections/documents/switch", json!({})).await;
    assert_eq!((status, reply["code"].as_str().unwrap()), (StatusCode::CONFLICT, "generation_state"), "{reply}");
    // The state of the job and the provider's is found again after a restart.
    let scores = searches.stop().await;
    assert_eq!(scores.len(), 1, "{scores:?}");
    let app = app.restart().await;
    let waiting = app.job_until(&job, |job| job.waiting_on.is_some()).await;
    assert_eq!(waiting.counts.failed, 0, "{waiting:?}");
    let searches = Searches::start(&app);
    proxy.connect().await;
    let done = app.job_until(&job, JobReply::is_final).await;
    assert_eq!((done.status.as_str(), done.counts.failed), ("SUCCEEDED", 0), "{done:?}");
    let reply = up_to_date(&app).await;
    assert_eq!((reply.generations.len(), reply.generations[1].coverage_percent), (2, 100.0), "{reply:?}");

    let (status, reply) = app.post("/collections/documents/switch", json!({})).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    assert_eq!(search(&app, "").await.generation, 2);
    let scores = searches.stop().await;
    assert!(scores.values().all(|scores| scores.len() == 1), "{scores:?}");

    // Without its provider, the new generation cannot be searched; the previous one can, also by a rollback.
    proxy.cut();
    let (status, reply) = app.get("/search/images?q=a+street+at+night").await;
    assert_eq!((status, reply["code"].as_str().unwrap()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"), "{reply}");
    assert!(reply["message"].as_str().unwrap().contains("`glimpse collections rollback documents`"), "{reply}");
    let (status, reply) = app.post("/collections/documents/rollback", json!({})).await;
    assert_eq!((status, &reply["generation"]), (StatusCode::OK, &json!(1)), "{reply}");
    assert_eq!(search(&app, "").await.generation, 1);
    let (status, reply) = app.post("/collections/documents/switch", json!({})).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "a switch would end all searches: {reply}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_does_not_hold_up_other_collections() {
    let clip = WrongClip::slow(DELAY);
    let (url, _serving) = serve(clip.router()).await;
    let (app, mut proxy) = start_with_second(&url, "2").await;
    let ingest = async |collection: &str| {
        app.ingest_with(json!({"s3_prefix": "images/0", "collection": collection})).await.counts.done
    };
    for (collection, body) in [("documents", json!({"provider": "second"})), ("zoo", json!({"resize": "pad"}))] {
        assert_eq!(ingest(collection).await, 30);
        let (status, reply) = app.post(&format!("/collections/{collection}/rebuild"), body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{reply}");
        let job = app.job_until(reply["job_id"].as_str().unwrap(), JobReply::is_final).await;
        assert_eq!(job.status, "SUCCEEDED");
    }
    proxy.cut();
    app.put("images/0/louvre.jpg", demo_image("louvre.jpg")).await;
    assert_eq!((ingest("documents").await, ingest("zoo").await), (1, 1));
    let due = async |collection: &str| {
        let (_, reply) = app.get(&format!("/collections/{collection}/generations")).await;
        reply["generations"][1]["due"].as_u64().unwrap()
    };
    let deadline = Instant::now() + Duration::from_mins(1);
    while due("zoo").await > 0 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(due("documents").await, 1);
    let (status, reply) = app.post("/collections/zoo/switch", json!({})).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    proxy.connect().await;
    while due("documents").await > 0 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_changes_its_model_under_its_name_is_not_mixed_in() {
    let clip = WrongClip::slow(DELAY);
    let (url, _serving) = serve(clip.router()).await;
    let (app, _proxy) = start_with_second(&url, "2").await;
    assert_eq!(app.ingest().await.counts.done, 37);
    let job = rebuild(&app, json!({"provider": "second"})).await;
    app.job_until(&job, |job| job.counts.done > 3).await;
    clip.set_mode(REVERSED);
    let app = app.restart().await;
    let job = app.job_until(&job, JobReply::is_final).await;
    let message = job.message.unwrap();
    assert_eq!((job.status.as_str(), job.counts.failed), ("FAILED", 0), "{message}");
    assert!(job.counts.done < 37, "{:?}", job.counts);
    assert_eq!(search(&app, "").await.generation, 1);
    let states: Vec<_> = generations(&app).await.generations.into_iter().map(|one| one.state).collect();
    assert_eq!(states, ["current", "building"]);
    app.stop().await;
}

/// The provider is away for such a short time that the circuit breaker does not open, and comes back with another model, whose
/// vectors have the same size.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_comes_back_with_another_model_is_found_out() {
    let clip = WrongClip::slow(DELAY);
    let (url, _serving) = serve(clip.router()).await;
    let (app, mut proxy) = start_with_second(&url, "100").await;
    assert_eq!(app.ingest().await.counts.done, 37);
    let job = rebuild(&app, json!({"provider": "second"})).await;
    app.job_until(&job, |job| job.counts.done > 3).await;
    proxy.cut();
    clip.set_mode(REVERSED);
    tokio::time::sleep(Duration::from_millis(300)).await;
    proxy.connect().await;
    let job = app.job_until(&job, JobReply::is_final).await;
    assert_eq!((job.status.as_str(), job.counts.failed), ("FAILED", 0), "{job:?}");
    assert!(job.counts.done < 37, "{:?}", job.counts);
    app.stop().await;
}

/// An image that could not be indexed in a generation that is ready is missing there until the same rebuild is made again.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_is_ready_is_completed_by_the_same_rebuild() {
    let app = super::start_indexed(&[]).await;
    let job = rebuild(&app, json!({"resize": "pad"})).await;
    app.job_until(&job, JobReply::is_final).await;
    let missing = crate::support::image_id("images/panda.jpg");
    app.put("images/panda.jpg", b"not an image".to_vec()).await;
    assert_eq!(app.ingest().await.counts.failed, 1);
    let reply = up_to_date(&app).await;
    assert_eq!(reply.generations[1].state, "ready");
    app.put("images/panda.jpg", demo_image("panda.jpg")).await;
    let job = rebuild(&app, json!({"resize": "pad"})).await;
    let job = app.job_until(&job, JobReply::is_final).await;
    assert_eq!(job.status, "SUCCEEDED", "{job:?}");
    let reply = up_to_date(&app).await;
    assert_eq!((reply.generations.len(), reply.generations[1].coverage_percent), (2, 100.0), "{reply:?}");
    let (status, _) = app.get(&format!("/images/{missing}?collection=documents")).await;
    assert_eq!(status, StatusCode::OK);
    let (status, reply) = app.post("/collections/documents/switch", json!({"generation": 3})).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{reply}");
    let (status, reply) = app.post("/collections/documents/switch", json!({"generation": 2})).await;
    assert_eq!((status, &reply["state"]), (StatusCode::OK, &json!("previous")), "{reply}");
}

/// The disk is full in the middle of a rebuild.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_on_a_full_disk_waits_until_there_is_space() {
    let Some(disk) = SmallDisk::mount(24 * 1024) else { return };
    let clip = CheapClip::start(Duration::from_millis(15)).await;
    let process = Process::start(&disk.data(), &clip);
    let bucket = process.bucket().await;
    for n in 0..400 {
        crate::jobs::crash::put(&bucket, n, n).await;
    }
    process.submit().await;
    process.finish().await;
    let url = process.service.url.clone();
    let client = reqwest::Client::new();
    let rebuild = client.post(format!("{url}/collections/documents/rebuild")).json(&json!({"resize": "pad"}));
    let reply: serde_json::Value = rebuild.send().await.unwrap().json().await.unwrap();
    assert!(reply["job_id"].is_string(), "{reply}");
    while process.newest_job().await.unwrap()["counts"]["done"].as_u64() < Some(20) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    disk.fill(100);
    let full = |job: &serde_json::Value| {
        job["waiting_on"]["message"].as_str().is_some_and(|message| message.contains("no space left"))
    };
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let job = process.newest_job().await.unwrap();
        assert!(!is_final(&job), "it neither fails nor is done: {job}");
        if full(&job) {
            break;
        }
        assert!(Instant::now() < deadline, "nothing is reported: {job}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let search = client.get(format!("{url}/search/images?q=a+cat")).send().await.unwrap();
    assert_eq!(search.status(), StatusCode::OK);
    disk.free();
    process.finish().await;
    let switch = client.post(format!("{url}/collections/documents/switch")).json(&json!({}));
    assert_eq!(switch.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(process.service.stop(), Some(0));
}
