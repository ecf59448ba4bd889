//! The ends of jobs and what follows: failed images are retried, too many failures end a job, old jobs are forgotten,
//! and unfinished ones are resumed or not.

use futures::stream::{self, StreamExt};
use glimpse::api::replies::JobReply;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::cli::commands::{glimpse, stdout};
use crate::jobs::mirror::remove;
use crate::support::{TestApp, demo_image};

#[tokio::test(flavor = "multi_thread")]
async fn failed_images_are_retried_alone_by_a_new_job() {
    let app =
        TestApp::start_with(&[("IMAGE_BATCH_SIZE", "2"), ("IMAGE_EMBED_BATCH_SIZE", "2"), ("IMAGE_MAX_SIZE_MB", "1")])
            .await;
    app.seed_demo().await;
    app.put("images/cut.jpg", demo_image("cat.jpg")[..2_000].to_vec()).await;
    app.put("images/huge.jpg", vec![0; 2 << 20]).await;
    app.put("images/wrong.jpg", "no image").await;
    let first = app.submit(json!({"s3_prefix": "images/"})).await;
    let retry = format!("/jobs/{first}/retry");
    let (status, reply) = app.post(&retry, Value::Null).await;
    assert_eq!((status, reply["code"].as_str()), (StatusCode::CONFLICT, Some("job_not_final")), "{reply}");
    let job = app.job_until(&first, JobReply::is_final).await;
    assert_eq!((job.counts.done, job.counts.failed), (26, 3));

    app.put("images/cut.jpg", demo_image("cat.jpg")).await;
    app.put("images/huge.jpg", demo_image("rocket.jpg")).await;
    let response = app.send(Method::POST, &retry, None).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let again: Value = response.json().await.unwrap();
    let again = app.job_until(again["job_id"].as_str().unwrap(), JobReply::is_final).await;
    assert_eq!(again.retry_of.as_deref(), Some(first.as_str()));
    assert_eq!((again.counts.listed, again.counts.done, again.counts.failed), (3, 2, 1), "{again:?}");
    assert_eq!(app.failures(&again.job_id).await.failures[0].s3_key, "images/wrong.jpg");
    assert_eq!(app.ingest().await.counts.unchanged, 28, "a retried job is known");

    remove(&app, "images/wrong.jpg").await;
    let at = [("GLIMPSE_URL", app.url.as_str())];
    let output = glimpse(&at, &["jobs", "retry", &again.job_id]).await;
    assert_eq!(output.status.code(), Some(3), "{}", stdout(&output));
    let good = app.ingest().await;
    let (status, reply) = app.post(&format!("/jobs/{}/retry", good.job_id), Value::Null).await;
    assert_eq!((status, reply["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("nothing_failed")), "{reply}");
    let (status, _) = app.post("/jobs/nonsense/retry", Value::Null).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_too_many_failures_ends_early_with_the_reason() {
    let app = TestApp::start_with(&[("IMAGE_BATCH_SIZE", "16"), ("GLIMPSE_FETCH_LANES", "2")]).await;
    stream::iter(0..600)
        .for_each_concurrent(16, |at| {
            let app = &app;
            async move { app.put(&format!("images/{at:03}.jpg"), "no image").await }
        })
        .await;
    let job = app.ingest_with(json!({"s3_prefix": "images/", "max_failures": "5%"})).await;
    assert_eq!(job.status, "FAILED");
    assert!((100..600).contains(&job.counts.failed), "{job:?}");
    let text = job.message.unwrap();
    assert!(text.contains("max_failures = 5% allows; the last: unsupported_format"), "{text}");
    // Too few to compute a percentage before the end.
    app.put("few/1.jpg", demo_image("cat.jpg")).await;
    app.put("few/2.jpg", "no image").await;
    let few = app.ingest_with(json!({"s3_prefix": "few/", "max_failures": "50%"})).await;
    assert_eq!((few.status.as_str(), few.counts.failed), ("SUCCEEDED", 1));
    let few = app.ingest_with(json!({"s3_prefix": "few/", "max_failures": "49.5%"})).await;
    assert_eq!((few.status.as_str(), few.counts.unchanged), ("FAILED", 1), "one of one");
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_jobs_are_forgotten_automatically_and_on_request() {
    let app = TestApp::start_with(&[("GLIMPSE_JOBS_KEPT", "3")]).await;
    app.put("images/wrong.jpg", "no image").await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(app.ingest().await.job_id);
    }
    // The oldest job is forgotten just after another one ends.
    let mut known = 5;
    for _ in 0..100 {
        known = app.get("/jobs").await.1["jobs"].as_array().unwrap().len();
        if known == 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(known, 3);
    assert_eq!(app.get(&format!("/jobs/{}", ids[1])).await.0, StatusCode::NOT_FOUND);
    assert_eq!(app.failures(&ids[2]).await.total, 1);
    assert_eq!(app.post("/jobs/prune", json!({"keep": 2})).await.1, json!({"removed": 1}));
    let at = [("GLIMPSE_URL", app.url.as_str())];
    let output = glimpse(&at, &["jobs", "prune", "--keep", "1"]).await;
    assert_eq!(stdout(&output).trim(), "deleted 1 finished jobs");
    assert_eq!(app.post("/jobs/prune", json!({"keep": 0})).await.1, json!({"removed": 1}));
    assert_eq!(app.get("/jobs").await.1["jobs"], json!([]));
    let (status, reply) = app.post("/jobs/prune", json!({"kept": 2})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_jobs_are_not_resumed_if_that_is_turned_off() {
    let app = TestApp::start_with(&[("IMAGE_BATCH_SIZE", "4")]).await;
    for copy in 0..80 {
        app.put(&format!("images/{copy:03}.jpg"), [demo_image("cat.jpg").as_slice(), &[copy]].concat()).await;
    }
    let running = app.submit(json!({"s3_prefix": "images/"})).await;
    let waiting = app.submit(json!({"s3_prefix": "images/"})).await;
    app.job_until(&running, |job| job.counts.done > 0).await;
    let app = app.restart_with(&[("GLIMPSE_RESUME", "false")]).await;
    for id in [&running, &waiting] {
        let job = app.job(id).await;
        assert_eq!(job.status, "STOPPED");
        assert!(job.message.unwrap().contains("GLIMPSE_RESUME"));
    }
    let rest = app.ingest().await;
    assert_eq!(
        (rest.status.as_str(), rest.counts.done + rest.counts.unchanged),
        ("SUCCEEDED", 80),
        "jobs run as usual"
    );
}
