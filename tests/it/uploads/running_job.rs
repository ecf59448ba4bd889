use std::time::{Duration, Instant};

use glimpse::api::replies::JobReply;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::upload;
use crate::mirrors::{deliver, minio};
use crate::support::services::cheap_clip::CheapClip;
use crate::support::{TestApp, demo_image, quarters_png};

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_does_not_wait_for_a_job_on_the_same_collection() {
    let clip = CheapClip::start(Duration::from_millis(60)).await;
    let app = TestApp::start_with(&[("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", &clip.url)]).await;
    for number in 0..300 {
        app.put(&format!("images/{number:03}.png"), quarters_png(number)).await;
    }
    let job = app.submit(json!({"s3_prefix": "images/", "collection": "documents", "sync": true})).await;
    app.job_until(&job, |job| job.counts.done > 0).await;
    let (status, reply) = upload(&app, "images/new.png", quarters_png(1_000)).await;
    assert!(status == StatusCode::CREATED && reply.indexed, "{status} {reply:?}");
    // Also one that the job has listed and not indexed yet.
    let (status, replaced) = upload(&app, "images/299.png", quarters_png(1_001)).await;
    assert!(status == StatusCode::OK && replaced.indexed, "{status} {replaced:?}");
    assert!(!app.job(&job).await.is_final(), "the job still runs");
    let (status, reply) = app.delete("/collections/documents").await;
    assert_eq!((status, &reply["code"]), (StatusCode::CONFLICT, &json!("collection_busy")), "{reply}");
    let job = app.job_until(&job, JobReply::is_final).await;
    assert_eq!((job.status.as_str(), job.counts.failed), ("SUCCEEDED", 0), "{job:?}");
    // The end of the job has not removed the upload, and has not overwritten it with an older version.
    let after = app.ingest_with(json!({"s3_prefix": "images/", "collection": "documents", "sync": true})).await;
    assert_eq!((after.counts.done, after.counts.deleted, after.counts.unchanged), (0, 0, 301), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_after_an_upload_changes_nothing() {
    let app = TestApp::start().await;
    let spec = json!({"s3_prefix": "images/", "collection": "documents", "sync": true});
    let mirror = app.send(Method::PUT, "/mirrors/after-upload", Some(spec)).await.json::<Value>().await.unwrap();
    let (_, created) = upload(&app, "images/cat.jpg", demo_image("cat.jpg")).await;
    assert!(created.indexed);
    let token = mirror["event_token"].as_str().unwrap();
    let event = minio("pipeline", "s3:ObjectCreated:Put", "images/cat.jpg");
    assert_eq!(deliver(&app, token, &event).await, [1, 0, 0]);
    let unchanged = "glimpse_event_keys_total{mirror=\"after-upload\",outcome=\"unchanged\"} 1";
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let metrics = app.client.get(format!("{}/metrics", app.url)).send().await.unwrap().text().await.unwrap();
        if metrics.contains(unchanged) {
            assert!(metrics.contains("glimpse_event_keys_total{mirror=\"\",outcome=\"indexed\"}"), "{metrics}");
            break;
        }
        assert!(Instant::now() < deadline, "{metrics}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_into_a_collection_of_another_model_use_its_model() {
    let app = TestApp::start().await;
    upload(&app, "images/cat.jpg", demo_image("cat.jpg")).await;
    let clip = CheapClip::start(Duration::ZERO).await;
    let app = app.restart_with(&[("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", &clip.url)]).await;
    let (_, created) = upload(&app, "images/new.jpg", demo_image("panda.jpg")).await;
    assert!(created.indexed, "{created:?}");
    assert_eq!(app.find("a panda", 1).await, ["new.jpg"]);
}
