//! The scripted bucket without a fault: what the other tests of this folder differ from.

use serde_json::json;

use crate::support::TestApp;
use crate::support::scripted_bucket::{Mode, ScriptedBucket};

/// A service over that bucket.
pub(super) async fn service(bucket: &ScriptedBucket) -> TestApp {
    service_with(bucket, &[]).await
}

/// The same with more variables.
pub(super) async fn service_with(bucket: &ScriptedBucket, more: &[(&str, &str)]) -> TestApp {
    let own = bucket.variables();
    let own = own.iter().map(|(name, value)| (*name, value.as_str()));
    TestApp::with(&own.chain(more.iter().copied()).collect::<Vec<_>>()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_without_a_fault_is_indexed_and_then_unchanged() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    let app = service(&bucket).await;
    let job = app.ingest_with(json!({})).await;
    assert_eq!((job.status.as_str(), job.counts.done, job.counts.failed), ("SUCCEEDED", 4, 0), "{job:?}");
    assert_eq!((bucket.gets("a.jpg"), bucket.all_gets(), bucket.lists()), (1, 4, 2));
    let again = app.ingest_with(json!({"sync": true})).await;
    assert_eq!((again.counts.unchanged, again.counts.deleted, bucket.all_gets()), (4, 0, 4), "{again:?}");
}
