//! Work that began before an image was removed permanently, and ends afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use glimpse::api::replies::JobReply;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{CAT, PANDA, remove, removed, removed_everywhere, restore};
use crate::mirrors::{keys, keys_until};
use crate::support::proxies::http::{HttpProxy, ProxyAction};
use crate::support::services::cheap_clip::CheapClip;
use crate::support::worker::{Worker, submit};
use crate::support::{TestApp, demo_image};

/// A provider that holds the images that it is asked for.
struct Gate {
    provider: HttpProxy,
    closed: Arc<AtomicBool>,
    held: Arc<AtomicUsize>,
    open: watch::Sender<bool>,
    _clip: CheapClip,
}

impl Gate {
    /// Starts it with an open gate.
    async fn start() -> Self {
        let clip = CheapClip::start(Duration::ZERO).await;
        let (closed, held) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (open, opened) = watch::channel(false);
        let (is_closed, count) = (closed.clone(), held.clone());
        let provider = HttpProxy::new(&clip.url, move |uri| {
            if is_closed.load(Ordering::SeqCst) && uri.path() == "/embedding/image" {
                count.fetch_add(1, Ordering::SeqCst);
                return ProxyAction::PassWhen(opened.clone());
            }
            ProxyAction::Pass
        })
        .await;
        Self { provider, closed, held, open, _clip: clip }
    }

    /// Starts the service with this provider and two images, which are indexed, and then replaces the images.
    async fn service(&self) -> TestApp {
        let url = self.provider.url();
        let app = TestApp::start_with(&[("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", &url)]).await;
        app.put(CAT, demo_image("cat.jpg")).await;
        app.put(PANDA, demo_image("panda.jpg")).await;
        assert_eq!(app.ingest().await.counts.done, 2);
        app.put(CAT, demo_image("coffee.jpg")).await;
        app.put(PANDA, demo_image("rocket.jpg")).await;
        self.closed.store(true, Ordering::SeqCst);
        app
    }

    async fn wait_until_held(&self) {
        let deadline = std::time::Instant::now() + Duration::from_mins(1);
        while self.held.load(Ordering::SeqCst) == 0 {
            assert!(std::time::Instant::now() < deadline, "no image arrived at the provider");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Checks that the job has indexed the other image only, and that the removed one stays away until it is restored.
async fn check(app: &TestApp, job: &str) {
    let job = app.job_until(job, JobReply::is_final).await;
    let counts = &job.counts;
    assert_eq!(job.status, "SUCCEEDED", "{job:?}");
    assert_eq!((counts.listed, counts.done, counts.skipped, counts.left), (2, 1, 1, 0), "{job:?}");
    removed_everywhere(app).await;
    assert_eq!(keys(app).await, [PANDA]);
    let again = app.ingest().await;
    assert_eq!((again.counts.unchanged, again.counts.skipped), (1, 1), "{again:?}");
    assert_eq!(restore(app, CAT).await.0, StatusCode::OK);
    let after = app.ingest().await;
    assert_eq!((after.counts.unchanged, after.counts.done), (1, 1), "{after:?}");
    assert_eq!(keys(app).await, [CAT, PANDA]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_does_not_bring_an_image_back_that_is_removed_while_it_is_processed() {
    let gate = Gate::start().await;
    let app = gate.service().await;
    let job = app.submit(json!({"s3_prefix": "images/", "collection": "documents", "sync": true})).await;
    gate.wait_until_held().await;
    assert_eq!(remove(&app, CAT).await.0, StatusCode::OK);
    gate.open.send(true).unwrap();
    check(&app, &job).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_report_of_a_worker_does_not_bring_an_image_back() {
    let gate = Gate::start().await;
    let app = gate.service().await;
    let body = json!({"s3_prefix": "images/", "collection": "documents", "executor": "workers"});
    let job = submit(&app, body).await;
    let url = gate.provider.url();
    let token = job.worker_token.as_deref().unwrap();
    gate.closed.store(false, Ordering::SeqCst);
    let closed = gate.closed.clone();
    // Before the worker joins, it sends probes to the provider.
    let service = HttpProxy::new(&app.url, move |uri| {
        closed.fetch_or(uri.path().contains("/workers/"), Ordering::SeqCst);
        ProxyAction::Pass
    })
    .await;
    let worker = Worker::start_through(
        &service.url(),
        &app,
        &job.job_id,
        token,
        "one",
        &[("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", url.as_str())],
    );
    gate.wait_until_held().await;
    assert_eq!(remove(&app, CAT).await.0, StatusCode::OK);
    gate.open.send(true).unwrap();
    app.job_until(&job.job_id, JobReply::is_final).await;
    drop(worker);
    check(&app, &job.job_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_does_not_bring_an_image_back_that_is_removed_while_it_is_indexed() {
    let gate = Gate::start().await;
    let app = gate.service().await;
    let url = format!("{}/objects/{CAT}?collection=documents", app.url);
    let upload = tokio::spawn(app.client.put(url).body(demo_image("raccoon.jpg")).send());
    gate.wait_until_held().await;
    assert_eq!(remove(&app, CAT).await.0, StatusCode::OK);
    gate.open.send(true).unwrap();
    let reply = upload.await.unwrap().unwrap();
    let (status, reply) = (reply.status(), reply.json::<Value>().await.unwrap());
    assert_eq!((status, &reply["code"]), (StatusCode::CONFLICT, &json!("removed_permanently")), "{reply}");
    assert!(reply["message"].as_str().unwrap().contains("is stored"), "{reply}");
    removed_everywhere(&app).await;
    assert_eq!(keys(&app).await, [PANDA]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_stopped_after_it_has_written_leaves_no_record() {
    let gate = Gate::start().await;
    let app = gate.service().await;
    let job = app.submit(json!({"s3_prefix": "images/", "collection": "documents"})).await;
    gate.wait_until_held().await;
    assert_eq!(remove(&app, CAT).await.0, StatusCode::OK);
    app.delete(&format!("/jobs/{job}")).await;
    gate.open.send(true).unwrap();
    app.job_until(&job, JobReply::is_final).await;
    removed_everywhere(&app).await;
    keys_until(&app, &[PANDA]).await;
    assert_eq!(removed(&app).await.total, 1);
    // The service is not disturbed: a restart finds the same.
    let app = app.restart().await;
    assert_eq!(keys(&app).await, [PANDA]);
}
