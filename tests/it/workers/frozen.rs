//! A worker that is frozen while it has an older version of an object, and wakes after another worker has written the
//! newer one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use glimpse::api::replies::{JobReply, SubmitReply};
use glimpse::index::embedded::EmbeddedIndex;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::support::proxies::http::{HttpProxy, ProxyAction};
use crate::support::services::cheap_clip::CheapClip;
use crate::support::worker::{Worker, points, submit};
use crate::support::{TestApp, demo_image};

/// The proxies between a worker and its provider, and between it and the service.
struct WorkerProxies {
    provider: HttpProxy,
    service: HttpProxy,
    /// The number of images that the provider was asked for since the worker joined.
    requests: Arc<AtomicUsize>,
    /// Whether the provider answers everything.
    answers: watch::Sender<bool>,
    /// Whether requests of the worker for leases arrive after what it reports.
    slow: Arc<AtomicBool>,
}

impl WorkerProxies {
    /// The provider answers this number of images, and the next ones only when it is released.
    async fn new(app: &TestApp, clip: &CheapClip, images: usize) -> Self {
        let (joined, slow) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let requests = Arc::new(AtomicUsize::new(0));
        let (answers, answered) = watch::channel(false);
        let (came, count) = (joined.clone(), requests.clone());
        let provider = HttpProxy::new(&clip.url, move |uri| {
            // Before the worker joins, it requests probes.
            let image = came.load(Ordering::SeqCst) && uri.path() == "/embedding/image";
            let is_held = image && count.fetch_add(1, Ordering::SeqCst) >= images;
            if is_held { ProxyAction::PassWhen(answered.clone()) } else { ProxyAction::Pass }
        })
        .await;
        let late = slow.clone();
        let service = HttpProxy::new(&app.url, move |uri| {
            joined.fetch_or(uri.path().contains("/workers/"), Ordering::SeqCst);
            let late = late.load(Ordering::SeqCst) && uri.path().ends_with("/heartbeat");
            if late { ProxyAction::PassAfter(Duration::from_secs(1)) } else { ProxyAction::Pass }
        })
        .await;
        Self { provider, service, requests, answers, slow }
    }

    /// Starts a worker behind these proxies.
    fn start(&self, app: &TestApp, job: &SubmitReply, name: &str) -> Worker {
        let (url, token) = (self.provider.url(), job.worker_token.as_deref().unwrap());
        let more = [
            ("IMAGE_EMBEDDING_PROVIDER", "clip"),
            ("CLIP_URL", url.as_str()),
            ("IMAGE_EMBED_BATCH_SIZE", "1"),
            ("GLIMPSE_EMBED_LANES", "1"),
        ];
        Worker::start_through(&self.service.url(), app, &job.job_id, token, name, &more)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_version_is_not_written_over_a_newer_one() {
    let clip = CheapClip::start(Duration::ZERO).await;
    let app = TestApp::start_with(&[
        ("IMAGE_EMBEDDING_PROVIDER", "clip"),
        ("CLIP_URL", clip.url.as_str()),
        ("GLIMPSE_LEASE_SECONDS", "3"),
        ("IMAGE_BATCH_SIZE", "1"),
    ])
    .await;
    let keys = ["images/1.jpg", "images/2.jpg", "images/3.jpg"];
    for (key, name) in keys.into_iter().zip(["cat.jpg", "panda.jpg", "rocket.jpg"]) {
        app.put(key, demo_image(name)).await;
    }
    let job = submit(&app, json!({"s3_prefix": "images/", "collection": "c", "executor": "workers"})).await;
    let (proxies, other_worker) = (WorkerProxies::new(&app, &clip, 0).await, WorkerProxies::new(&app, &clip, 2).await);
    let one = proxies.start(&app, &job, "one");
    app.job_until(&job.job_id, |_| proxies.requests.load(Ordering::SeqCst) > 0).await;
    one.signal("-STOP");
    proxies.answers.send(true).unwrap();
    let newer = ["coffee.jpg", "raccoon.jpg", "cat.jpg"].map(demo_image);
    for (key, bytes) in keys.into_iter().zip(&newer) {
        app.put(key, bytes.clone()).await;
    }
    let _two = other_worker.start(&app, &job, "two");
    app.job_until(&job.job_id, |job| job.counts.done == 2).await;
    proxies.slow.store(true, Ordering::SeqCst);
    one.signal("-CONT");
    // It knows now that its leases belong to another worker, and any harm is done.
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let (_, logs) = app.get(&format!("/jobs/{}/logs", job.job_id)).await;
        if logs["logs"].as_str().unwrap().contains("[one] had no connection for longer than a lease") {
            break;
        }
        assert!(Instant::now() < deadline, "{} {:?}", logs["logs"].as_str().unwrap(), app.job(&job.job_id).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    other_worker.answers.send(true).unwrap();
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
