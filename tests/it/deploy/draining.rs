//! A service that is asked to stop completes requests in flight, and answers meanwhile.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;

use crate::support::TestApp;
use crate::support::services::cheap_clip::CheapClip;

#[tokio::test(flavor = "multi_thread")]
async fn requests_during_draining_get_an_answer() {
    let clip = CheapClip::start(Duration::from_millis(400)).await;
    let variables =
        [("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", clip.url.as_str()), ("GLIMPSE_EMBED_LANES", "1")];
    let app = TestApp::start_with(&variables).await;
    app.seed_demo().await;
    let id = app.submit(json!({"s3_prefix": "images/"})).await;
    app.job_until(&id, |job| job.counts.done > 0).await;
    app.request_stop();
    let (status, reply) = app.get("/readyz").await;
    assert_eq!((status, reply["code"].as_str()), (StatusCode::SERVICE_UNAVAILABLE, Some("draining")), "{reply}");
    let response = app.send(reqwest::Method::POST, "/jobs/images", Some(json!({"s3_prefix": "images/"}))).await;
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(app.get("/healthz").await.0, StatusCode::OK, "it is running");
    let url = app.url.clone();
    let folder = app.stop().await;
    assert!(reqwest::get(format!("{url}/healthz")).await.is_err(), "then it has stopped");
    // The job continues where it stopped.
    let app = TestApp::start_in(folder, &variables).await;
    let job = app.job_until(&id, glimpse::api::replies::JobReply::is_final).await;
    assert_eq!((job.status.as_str(), job.counts.done), ("SUCCEEDED", 26));
    app.stop().await;
}
