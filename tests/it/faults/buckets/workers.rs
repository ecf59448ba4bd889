//! A remote worker with wrong settings of the bucket ends the job and fails no image.

use glimpse::api::replies::JobReply;
use serde_json::json;

use super::plain::{retried, service};
use crate::cli::commands::glimpse;
use crate::support::scripted_bucket::{BucketRequest, Mode, Reply, Script, ScriptedBucket};
use crate::support::worker::submit;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_expired_credentials_ends_the_job_and_counts_no_image() {
    let expired = Reply::error(400, "ExpiredToken", "The provided token has expired.");
    let handler = move |request: &BucketRequest| {
        request
            .header("authorization")
            .is_some_and(|value| value.contains("Credential=stale/"))
            .then(|| expired.clone())
    };
    let bucket = ScriptedBucket::start_with(Script::four().with_handler(handler)).await;
    let app = service(&bucket).await;
    let job = submit(&app, json!({"executor": "workers"})).await;
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("GLIMPSE_WORKER_TOKEN", job.worker_token.as_deref().unwrap()),
        ("GLIMPSE_DATA_DIR", folder.path().to_str().unwrap()),
        ("S3_ENDPOINT", bucket.url.as_str()),
        ("S3_BUCKET", "photos"),
        ("S3_ACCESS_KEY_ID", "stale"),
        ("S3_SECRET_ACCESS_KEY", "secret"),
    ];
    let work = ["worker", "--service", app.url.as_str(), "--job", job.job_id.as_str(), "--name", "w1"];
    let worker = glimpse(&variables, &work).await;
    assert!(!worker.status.success());
    let ended = app.job_until(&job.job_id, JobReply::is_final).await;
    assert_eq!((ended.status.as_str(), ended.counts.done, ended.counts.failed), ("FAILED", 0, 0), "{ended:?}");
    let message = ended.message.unwrap();
    assert!(message.contains("worker w1") && message.contains("S3_ACCESS_KEY_ID"), "{message}");

    let (status, moved) = app.post(&format!("/jobs/{}/retry", job.job_id), json!(null)).await;
    assert_eq!(status, 202, "{moved}");
    let id = moved["job_id"].as_str().unwrap();
    assert!(moved["worker_token"].is_string(), "the same executor: {moved}");
    app.post(&format!("/jobs/{id}/executor"), json!({"executor": "local"})).await;
    let rest = app.job_until(id, JobReply::is_final).await;
    assert_eq!((rest.status.as_str(), rest.counts.done), ("SUCCEEDED", 4), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_removed_during_a_job_ends_it() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    let no_bucket = Reply::error(404, "NoSuchBucket", "The specified bucket does not exist");
    bucket.change(|script| {
        script.on_get = Some(crate::support::scripted_bucket::Fault { reply: no_bucket, after: 1, times: usize::MAX });
    });
    let app = service(&bucket).await;
    let (job, message) = super::plain::refused(&app, json!({})).await;
    assert!(message.contains("S3_BUCKET"), "{message}");
    bucket.set(Mode::Plain);
    let rest = retried(&app, &job.job_id).await;
    assert_eq!((rest.status.as_str(), rest.counts.done + rest.counts.unchanged), ("SUCCEEDED", 4), "{rest:?}");
}
