//! Rebuilds that remote workers run.

use glimpse::api::replies::{JobReply, SearchReply, SubmitReply};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{rebuild, up_to_date};
use crate::ray::jobs::{put_images, with_ray};
use crate::support::ray::OnSubmit;
use crate::support::services::wrong_clip::{REVERSED, WrongClip};
use crate::support::worker::Worker;
use crate::support::{TestApp, demo_image, root, serve};

/// The number of images that [`start`] indexes.
const IMAGES: u64 = 36;

/// Starts the service and indexes images that all differ.
async fn start(variables: &[(&str, &str)]) -> TestApp {
    let common = [("GLIMPSE_LEASE_SECONDS", "3"), ("IMAGE_BATCH_SIZE", "4"), ("IMAGE_EMBED_BATCH_SIZE", "1")];
    let app = TestApp::start_with(&[&common, variables].concat()).await;
    for name in ["cat.jpg", "panda.jpg", "coffee.jpg"] {
        for copy in 0..12 {
            let bytes = [demo_image(name).as_slice(), &[copy]].concat();
            app.put(&format!("images/{copy:02}/{name}"), bytes).await;
        }
    }
    assert_eq!(app.ingest().await.counts.done, IMAGES);
    app
}

async fn submit(app: &TestApp, body: Value) -> SubmitReply {
    let (status, reply) = app.post("/collections/documents/rebuild", body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{reply}");
    serde_json::from_value(reply).unwrap()
}

/// The score of each image in a generation.
async fn scores(app: &TestApp, generation: u32) -> Vec<(String, f64)> {
    let (status, reply) = app.get(&format!("/search/images?q=a+cat&limit=100&generation={generation}")).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    let reply: SearchReply = serde_json::from_value(reply).unwrap();
    let mut scores: Vec<_> = reply.results.into_iter().map(|hit| (hit.image.s3_key, f64::from(hit.score))).collect();
    scores.sort_by(|first, other| first.0.cmp(&other.0));
    scores
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_change_to_the_model_of_the_new_generation() {
    // Workers keep no thumbnails, so they decode to the size of the model, which is small here.
    let app = start(&[("GLIMPSE_INDEX_THUMBNAILS", "false")]).await;
    let model = root().join("tests/data/clip-tiny");
    let job = submit(&app, json!({"model": model, "executor": "workers"})).await;
    // Their settings name the model of the current generation.
    let first = Worker::start(&app, &job, "one", &[("IMAGE_EMBED_BATCH_SIZE", "1")]);
    app.job_until(&job.job_id, |job| job.counts.done > 0).await;
    first.signal("-KILL");
    let second = Worker::start(&app, &job, "two", &[("IMAGE_EMBED_BATCH_SIZE", "1")]);
    let ended = app.job_until(&job.job_id, JobReply::is_final).await;
    assert_eq!((ended.status.as_str(), ended.counts.done, ended.counts.failed), ("SUCCEEDED", IMAGES, 0), "{ended:?}");
    let (code, text) = second.wait().await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("another model than the settings"), "{text}");
    let by_workers = scores(&app, 2).await;
    assert_eq!(by_workers.len() as u64, IMAGES);
    assert_ne!(by_workers, scores(&app, 1).await);

    // The service makes the same vectors.
    assert_eq!(app.delete("/collections/documents/generations/2").await.0, StatusCode::OK);
    let job = rebuild(&app, json!({"model": model})).await;
    assert_eq!(app.job_until(&job, JobReply::is_final).await.status, "SUCCEEDED");
    for ((key, score), (other_key, other)) in scores(&app, 2).await.iter().zip(&by_workers) {
        assert!(key == other_key && (score - other).abs() < 1e-4, "{key} {score}, {other_key} {other}");
    }

    // After the switch, jobs of the collection run with the model of its generation, also in workers.
    let (status, reply) = app.post("/collections/documents/switch", json!({})).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    app.put("images/louvre.jpg", demo_image("louvre.jpg")).await;
    let job = crate::support::worker::submit(&app, json!({"executor": "workers"})).await;
    let third = Worker::start(&app, &job, "three", &[]);
    let ended = app.job_until(&job.job_id, JobReply::is_final).await;
    assert_eq!((ended.status.as_str(), ended.counts.done), ("SUCCEEDED", 1), "{ended:?}");
    assert_eq!(third.wait().await.0, Some(0));
    up_to_date(&app).await;
    assert_eq!((scores(&app, 2).await.len() as u64, scores(&app, 1).await.len() as u64), (IMAGES + 1, IMAGES + 1));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_the_provider_of_the_new_generation_is_refused_and_the_job_can_be_moved() {
    let clip = WrongClip::new();
    clip.set_mode(REVERSED);
    let (url, _serving) = serve(clip.router()).await;
    let app = start(&[("CLIP_URL_SECOND", url.as_str())]).await;
    let job = submit(&app, json!({"provider": "second", "executor": "workers"})).await;
    let (code, text) = Worker::start(&app, &job, "one", &[]).wait().await;
    assert_eq!(code, Some(78), "{text}");
    // The service refuses it with its own reason.
    let is_refusal = |text: &str| {
        text.contains("the worker cannot use the model ")
            && text.contains(" of the job: the provider `second` is not configured; set CLIP_URL_SECOND")
    };
    assert!(is_refusal(&text), "{text}");
    let refused = |job: &JobReply| {
        job.waiting_on.as_ref().is_some_and(|waiting| waiting.message.contains("a worker was refused"))
    };
    let waiting = app.job_until(&job.job_id, refused).await.waiting_on.unwrap();
    assert!(is_refusal(&waiting.message), "{waiting:?}");
    assert!(is_refusal(&app.log(&job.job_id).await));
    let worker = Worker::start(&app, &job, "two", &[("CLIP_URL_SECOND", url.as_str())]);
    app.job_until(&job.job_id, |job| job.counts.done > 0).await;
    let (status, reply) = app.post(&format!("/jobs/{}/executor", job.job_id), json!({"executor": "local"})).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    let ended = app.job_until(&job.job_id, JobReply::is_final).await;
    assert_eq!((ended.status.as_str(), ended.counts.done, ended.counts.failed), ("SUCCEEDED", IMAGES, 0), "{ended:?}");
    let (code, text) = worker.wait().await;
    assert!(code == Some(0) || code == Some(1) || code == Some(78), "{code:?} {text}");
    assert_eq!(scores(&app, 2).await.len() as u64, IMAGES);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_runs_a_rebuild() {
    let (app, ray) = with_ray(&[]).await;
    ray.set_on_submit(OnSubmit::StartsWorkers);
    put_images(&app, 30).await;
    assert_eq!(app.ingest().await.counts.done, 30);
    let job = rebuild(&app, json!({"model": root().join("tests/data/clip-tiny"), "executor": "ray"})).await;
    let ended = app.job_until(&job, JobReply::is_final).await;
    assert_eq!(
        (ended.status.as_str(), ended.executor.as_str(), ended.counts.done),
        ("SUCCEEDED", "ray", 30),
        "{ended:?}"
    );
    assert_eq!(scores(&app, 2).await.len(), 30);
    app.stop().await;
}
