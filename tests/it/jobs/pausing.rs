//! Jobs that are paused and resumed.

use glimpse::api::replies::JobReply;
use reqwest::StatusCode;
use serde_json::json;

use crate::cli::Cli;
use crate::ray::jobs::{on_ray, put_images, with_ray};
use crate::support::ray::OnSubmit;
use crate::support::worker::{Worker, submit};
use crate::support::{TestApp, demo_image};

const IMAGES: u64 = 120;

async fn app_with_images(more: &[(&str, &str)]) -> TestApp {
    let variables = [&[("IMAGE_BATCH_SIZE", "4"), ("IMAGE_EMBED_BATCH_SIZE", "2")], more].concat();
    let app = TestApp::start_with(&variables).await;
    for copy in 0..u8::try_from(IMAGES).unwrap() {
        app.put(&format!("images/{copy:03}.jpg"), [demo_image("cat.jpg").as_slice(), &[copy]].concat()).await;
    }
    app
}

async fn change(app: &TestApp, id: &str, operation: &str) -> JobReply {
    let (status, reply) = app.post(&format!("/jobs/{id}/{operation}"), json!({})).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    serde_json::from_value(reply).unwrap()
}

/// Waits until the images in flight of a paused job are finished. Returns the number of finished images.
async fn done_when_idle(app: &TestApp, id: &str) -> u64 {
    while !app.log(id).await.contains("done; the job continues when it is resumed") {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    app.job(id).await.counts.done
}

fn assert_complete(job: &JobReply, images: u64) {
    assert_eq!((job.status.as_str(), job.counts.done, job.counts.failed), ("SUCCEEDED", images, 0), "{job:?}");
    assert_eq!(job.paused_at, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_job_waits_across_a_restart_and_keeps_its_collection() {
    let app = app_with_images(&[]).await;
    let id = app.submit(json!({"s3_prefix": "images/"})).await;
    app.job_until(&id, |job| job.counts.done > 0).await;
    let paused = change(&app, &id, "pause").await;
    assert!(paused.status == "PAUSED" && paused.paused_at.is_some() && paused.finished_at.is_none(), "{paused:?}");
    let again = change(&app, &id, "pause").await;
    assert_eq!((again.status, again.paused_at), (paused.status, paused.paused_at), "a second pause changes nothing");
    let done = done_when_idle(&app, &id).await;
    assert!(done < IMAGES, "the job was too fast: {done}");
    let metrics = app.send(reqwest::Method::GET, "/metrics", None).await.text().await.unwrap();
    assert!(metrics.contains("glimpse_jobs{state=\"paused\"} 1"), "{metrics}");

    let app = app.restart().await;
    let behind = app.submit(json!({"s3_prefix": "none/"})).await;
    let elsewhere = app.ingest_with(json!({"s3_prefix": "images/00", "collection": "other"})).await;
    assert_complete(&elsewhere, 10);
    let waiting = app.job(&behind).await;
    assert_eq!(waiting.status, "PENDING");
    let message = waiting.waiting_on.unwrap().message;
    assert!(message.contains(&format!("the job {id} is paused and keeps its collection")), "{message}");
    let (status, reply) = app.delete("/collections/documents").await;
    assert_eq!((status, reply["code"].as_str()), (StatusCode::CONFLICT, Some("collection_busy")));
    let paused = app.job(&id).await;
    assert_eq!((paused.status.as_str(), paused.counts.done, paused.waiting_on.is_none()), ("PAUSED", done, true));

    let resumed = change(&app, &id, "resume").await;
    assert!(resumed.status == "RUNNING" && resumed.paused_at.is_none(), "{resumed:?}");
    assert_complete(&app.job_until(&id, JobReply::is_final).await, IMAGES);
    app.job_until(&behind, JobReply::is_final).await;
    let log = app.log(&id).await;
    let lines = ["paused by a client", "resumed by a client", "the job continues to index"];
    assert!(lines.iter().all(|line| log.contains(line)), "{log}");
    for operation in ["pause", "resume"] {
        let (status, reply) = app.post(&format!("/jobs/{id}/{operation}"), json!({})).await;
        assert_eq!((status, reply["code"].as_str()), (StatusCode::CONFLICT, Some("job_is_final")), "{reply}");
        let (status, _) = app.post(&format!("/jobs/none/{operation}"), json!({})).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_job_is_paused_and_stopped_by_the_command_line() {
    let app = app_with_images(&[("GLIMPSE_JOB_QUEUE", "2")]).await;
    let running = app.submit(json!({"s3_prefix": "images/"})).await;
    app.job_until(&running, |job| job.status == "RUNNING").await;
    let (first, second) = (app.submit(json!({})).await, app.submit(json!({})).await);
    let cli = Cli::new(&app);
    let text = cli.run(0, &["jobs", "pause", &first]).await;
    let expected = format!("job {first}: PAUSED\npaused since ");
    assert!(text.starts_with(&expected) && text.contains(&format!("glimpse jobs resume {first}")), "{text}");
    let (status, _) = app.post("/jobs/images", json!({})).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "a paused job keeps its place in the queue");
    app.delete(&format!("/jobs/{running}")).await;
    // The job that has not begun does not keep the collection.
    app.job_until(&second, JobReply::is_final).await;
    assert_eq!(app.job(&first).await.status, "PAUSED");
    assert!(cli.run(0, &["jobs", "stop", &first]).await.starts_with(&format!("job {first}: stopped")));
    let stopped = app.job(&first).await;
    assert!(stopped.status == "STOPPED" && stopped.paused_at.is_none(), "{stopped:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_wait_while_their_job_is_paused() {
    let app = app_with_images(&[("GLIMPSE_LEASE_SECONDS", "3")]).await;
    let job = submit(&app, json!({"s3_prefix": "images/", "executor": "workers"})).await;
    let worker = Worker::start(&app, &job, "one", &[("GLIMPSE_EMBED_LANES", "1")]);
    app.job_until(&job.job_id, |job| job.counts.done > 0).await;
    change(&app, &job.job_id, "pause").await;
    let done = done_when_idle(&app, &job.job_id).await;
    assert!(done < IMAGES, "the job was too fast: {done}");
    app.ingest_with(json!({"s3_prefix": "images/", "collection": "other"})).await;
    assert_eq!(app.job(&job.job_id).await.counts.done, done, "the worker gets nothing");
    change(&app, &job.job_id, "resume").await;
    assert_complete(&app.job_until(&job.job_id, JobReply::is_final).await, IMAGES);
    assert_eq!(worker.wait().await.0, Some(0), "the same worker has done the rest");
    assert!(!app.log(&job.job_id).await.contains("died"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_free_while_its_job_is_paused() {
    let (app, ray) = with_ray(&[]).await;
    ray.set_on_submit(OnSubmit::StartsWorkers);
    put_images(&app, 100).await;
    let id = app.submit(on_ray()).await;
    app.job_until(&id, |job| job.counts.done > 0).await;
    change(&app, &id, "pause").await;
    let done = done_when_idle(&app, &id).await;
    assert!(done < 100, "the job was too fast: {done}");
    ray.wait_for(|_, job| matches!(job.status, "SUCCEEDED" | "STOPPED")).await;
    change(&app, &id, "resume").await;
    assert_complete(&app.job_until(&id, JobReply::is_final).await, 100);
    assert_eq!(ray.ids().len(), 2, "new workers have done the rest: {:?}", ray.ids());
    app.stop().await;
}
