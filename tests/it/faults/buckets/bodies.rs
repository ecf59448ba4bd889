//! Bodies that end too early or arrive too slowly.

use std::time::Duration;

use glimpse::api::replies::JobReply;
use glimpse::domain::{ImageRef, ImageUri};
use glimpse::source::{ImageSource, S3Credentials, S3Settings, S3Source, SourceError};
use serde_json::json;

use super::plain::{service, service_with, succeeded};
use crate::support::scripted_bucket::{BUCKET, Delivery, Mode, Script, ScriptedBucket};

/// Slower than the minimum speed.
const DRIP: Delivery = Delivery::Drip(Duration::from_millis(300));

fn deliver_all(script: &mut Script, delivery: Delivery) {
    script.objects.iter_mut().for_each(|object| object.delivery = delivery);
}

/// Runs a job while no body arrives whole. It must wait and say why; after a repair it must index every image.
async fn is_waited_for(delivery: Delivery, timeout: &str) {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    bucket.change(|script| deliver_all(script, delivery));
    let more = [("S3_TIMEOUT", timeout), ("S3_CIRCUIT_BREAKER_THRESHOLD", "2"), ("S3_CIRCUIT_BREAKER_TIMEOUT", "1")];
    let app = service_with(&bucket, &more).await;
    let id = app.submit(json!({})).await;
    // The first pauses are those of a single object; then the check of other objects fails.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let job = app.job_until(&id, |job| job.waiting_on.is_some() || job.is_final()).await;
    let waiting = job.waiting_on.as_ref().unwrap_or_else(|| panic!("{job:?}"));
    assert_eq!((waiting.dependency.as_str(), job.counts.done, job.counts.failed), ("s3", 0, 0), "{job:?}");
    assert!(waiting.message.contains("does not answer"), "{job:?}");
    bucket.change(|script| deliver_all(script, Delivery::Whole));
    let job = app.job_until(&id, JobReply::is_final).await;
    assert_eq!((job.status.as_str(), job.counts.done, job.counts.failed), ("SUCCEEDED", 4, 0), "{job:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_whose_bodies_all_end_too_early_is_waited_for() {
    is_waited_for(Delivery::Cut, "30").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_whose_bodies_all_arrive_too_slowly_is_waited_for() {
    is_waited_for(DRIP, "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_body_that_ends_too_early_is_one_truncated_image() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    bucket.change(|script| script.object("b.jpg").delivery = Delivery::Cut);
    let app = service(&bucket).await;
    let job = succeeded(&app, json!({})).await;
    assert_eq!((job.counts.done, job.counts.failed), (3, 1), "{job:?}");
    assert_eq!(app.failures(&job.job_id).await.failures[0].class, "truncated");
    assert_eq!(bucket.gets("b.jpg"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_body_that_arrives_too_slowly_is_one_failed_image() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    bucket.change(|script| script.object("b.jpg").delivery = DRIP);
    let app = service_with(&bucket, &[("S3_TIMEOUT", "1"), ("S3_CIRCUIT_BREAKER_THRESHOLD", "100")]).await;
    let job = succeeded(&app, json!({})).await;
    assert_eq!((job.counts.done, job.counts.failed), (3, 1), "{job:?}");
    assert_eq!(app.failures(&job.job_id).await.failures[0].class, "fetch_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_arrives_too_slowly_is_given_up_with_its_speed() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    bucket.change(|script| deliver_all(script, DRIP));
    let credentials = S3Credentials { access_key_id: "anyone".to_owned(), secret_access_key: "secret".to_owned() };
    let settings = S3Settings {
        endpoint: Some(bucket.url.clone()),
        region: "us-east-1".to_owned(),
        path_style: true,
        credentials: Some(credentials),
        anonymous: false,
        request_payer: false,
        max_bytes: 1 << 20,
        timeout: Duration::from_secs(1),
    };
    let source = S3Source::new(settings).await.unwrap();
    let image = ImageRef { uri: ImageUri::new(BUCKET, "a.jpg"), etag: None, size_bytes: 1, modified: None };
    let read = tokio::time::timeout(Duration::from_secs(20), source.fetch(&image)).await.unwrap();
    let Err(SourceError::Dependency(error)) = read else { panic!("{read:?}") };
    assert!(error.detail.contains("too slow") && error.detail.contains("S3_TIMEOUT"), "{error}");
}
