//! The scripted bucket without a fault, and helpers of this folder.

use glimpse::api::replies::JobReply;
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::scripted_bucket::{Mode, ScriptedBucket};

/// A service over that bucket.
pub(super) async fn service(bucket: &ScriptedBucket) -> TestApp {
    service_with(bucket, &[]).await
}

/// The same with more variables.
pub(super) async fn service_with(bucket: &ScriptedBucket, more: &[(&str, &str)]) -> TestApp {
    let own = bucket.variables();
    let mut all: Vec<(&str, &str)> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
    all.retain(|(name, _)| more.iter().all(|(other, _)| name != other));
    all.extend(more);
    TestApp::start_with(&all).await
}

/// Runs a job that must fail without a failed image, and returns it and its message.
pub(super) async fn refused(app: &TestApp, body: Value) -> (JobReply, String) {
    let job = app.ingest_with(body).await;
    assert_eq!((job.status.as_str(), job.counts.failed), ("FAILED", 0), "{job:?}");
    assert_eq!(app.failures(&job.job_id).await.total, 0);
    let text = job.message.clone().unwrap();
    (job, text)
}

/// Runs a job that must succeed.
pub(super) async fn succeeded(app: &TestApp, body: Value) -> JobReply {
    let job = app.ingest_with(body).await;
    assert_eq!(job.status, "SUCCEEDED", "{job:?}");
    job
}

/// Retries a job and waits for the end of the new one.
pub(super) async fn retried(app: &TestApp, id: &str) -> JobReply {
    let (status, reply) = app.post(&format!("/jobs/{id}/retry"), Value::Null).await;
    assert_eq!(status, 202, "{reply}");
    let job = app.job_until(reply["job_id"].as_str().unwrap(), JobReply::is_final).await;
    assert_eq!(job.retry_of.as_deref(), Some(id));
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_without_a_fault_is_indexed_and_then_unchanged() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    let app = service(&bucket).await;
    let job = succeeded(&app, json!({})).await;
    assert_eq!((job.counts.done, job.counts.failed), (4, 0), "{job:?}");
    assert_eq!((bucket.gets("a.jpg"), bucket.all_gets(), bucket.lists()), (1, 4, 2));
    let again = succeeded(&app, json!({"sync": true})).await;
    assert_eq!((again.counts.unchanged, again.counts.deleted, bucket.all_gets()), (4, 0, 4), "{again:?}");
}
