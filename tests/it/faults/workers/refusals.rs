//! D5: a refused worker reports it where an operator looks, and is not restarted without end.

use glimpse::api::replies::JobReply;
use serde_json::json;

use super::{JobApi, start_with_images};
use crate::ray::jobs::{on_ray, put_images, with_ray};
use crate::support::ray::OnSubmit;
use crate::support::worker::{Worker, submit};
use crate::support::{TestApp, demo_image};

/// Settings of a worker that writes to another store than the job.
const OTHER_STORE: [(&str, &str); 2] = [("VECTOR_DB_PROVIDER", "qdrant"), ("QDRANT_URL", "http://127.0.0.1:1")];

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_worker_exits_with_78_and_the_job_reports_it_once() {
    let (app, job) = start_with_images(3, &[]).await;
    let api = JobApi::new(&app, &job).await;
    let mut other = api.introduction().await;
    other["version"] = json!("9.9.9\n2026-01-01T00:00:00Z SUCCEEDED: 3 done");
    let (status, reply) = api.post("workers/w", &other).await;
    assert_eq!((status.as_u16(), reply["code"].as_str()), (409, Some("worker_refused")));
    let waits = |text: &'static str| {
        move |job: &JobReply| job.waiting_on.as_ref().is_some_and(|waiting| waiting.message.contains(text))
    };
    app.job_until(&job.job_id, waits("a worker was refused: the worker has version 9.9.9")).await;

    for (name, more, expected) in [
        ("one", &OTHER_STORE[..], "the worker writes to qdrant"),
        ("two", &OTHER_STORE[..], "the worker writes to qdrant"),
        ("not a name", &[][..], "`not a name` is not"),
    ] {
        let (code, text) = Worker::start(&app, &job, name, more).wait().await;
        assert!(code == Some(78) && text.contains(expected), "{name}: {code:?} {text}");
        app.job_until(&job.job_id, waits(expected)).await;
    }
    let text = app.log(&job.job_id).await;
    let refusals: Vec<&str> = text.lines().filter(|line| line.contains("a worker was refused: ")).collect();
    assert_eq!(refusals.len(), 3, "one line for each reason: {text}");
    assert!(!text.lines().any(|line| line.starts_with("2026-01-01")), "{text}");

    // A worker that cannot use its settings at all exits with the same code.
    let (code, output) = Worker::start(&app, &job, "four", &[("IMAGE_EMBED_BATCH_SIZE", "none")]).wait().await;
    assert!(code == Some(78) && output.contains("IMAGE_EMBED_BATCH_SIZE"), "{code:?} {output}");
    assert_eq!(Worker::start(&app, &job, "five", &[]).wait().await.0, Some(0));
    let ended = app.job_until(&job.job_id, JobReply::is_final).await;
    assert_eq!((ended.status.as_str(), ended.counts.done), ("SUCCEEDED", 3), "{ended:?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_keeps_a_limited_number_of_refusals() {
    let (app, job) = start_with_images(1, &[]).await;
    let api = JobApi::new(&app, &job).await;
    let mut other = api.introduction().await;
    for version in 0..60 {
        other["version"] = json!(format!("0.0.{version}"));
        assert_eq!(api.post("workers/w", &other).await.0.as_u16(), 409);
    }
    let refusals = app.log(&job.job_id).await.matches("a worker was refused: ").count();
    assert_eq!(refusals, 20);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_ray_a_refused_worker_is_not_started_again_and_the_job_fails_with_the_reason() {
    let (app, ray) = with_ray(&[]).await;
    ray.set_on_submit(OnSubmit::StartsWorkers);
    ray.add_node_variables(&OTHER_STORE);
    put_images(&app, 3).await;
    let ended = app.ingest_with(on_ray()).await;
    let text = ended.message.unwrap_or_default();
    assert!(ended.status == "FAILED" && text.contains("every worker that Ray started was refused"), "{text}");
    assert!(text.contains("the worker writes to qdrant, the job's stores are embedded"), "{text}");
    assert_eq!(ray.ids().len(), 1, "no other generation was submitted");
    let log = app.log(&ended.job_id).await;
    assert!(log.contains("a worker was refused: the worker writes to qdrant"), "{log}");
    assert_eq!(ray.started_workers(), 2, "one worker for each slot");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_reads_another_bucket_of_the_same_name_is_refused() {
    let (app, other) = tokio::join!(TestApp::start(), TestApp::start());
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    other.put("other/cat.jpg", demo_image("cat.jpg")).await;
    let job = submit(&app, json!({"s3_prefix": "images/", "executor": "workers"})).await;
    let elsewhere = || {
        let credentials = other.bucket_credentials();
        let variables = credentials.iter().map(|(name, value)| (*name, value.as_str()));
        let variables: Vec<_> = variables.chain([("S3_ENDPOINT", other.bucket_url())]).collect();
        Worker::start(&app, &job, "one", &variables)
    };
    for (bytes, found) in [(None, "it finds no object"), (Some(demo_image("coffee.jpg")), "it finds ")] {
        if let Some(bytes) = bytes {
            other.put("images/cat.jpg", bytes).await;
        }
        let (code, text) = elsewhere().wait().await;
        assert!(code == Some(78) && text.contains(found) && text.contains("S3_ENDPOINT of the worker"), "{text}");
    }
    let waiting = app.job(&job.job_id).await;
    assert_eq!((waiting.counts.done, waiting.counts.failed), (0, 0));
    assert!(waiting.waiting_on.unwrap().message.contains("reads another bucket"));
    assert_eq!(Worker::start(&app, &job, "two", &[]).wait().await.0, Some(0));
    assert_eq!(app.job(&job.job_id).await.counts.done, 1);
}
