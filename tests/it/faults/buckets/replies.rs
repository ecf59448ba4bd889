//! Replies to reads that have a success status and are not the object.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::StatusCode;
use bytes::Bytes;
use glimpse::api::replies::JobReply;
use glimpse::domain::ImageUri;
use serde_json::json;

use super::plain::{refused, retried, service, service_with, succeeded};
use crate::support::scripted_bucket::{BUCKET, BucketRequest, Delivery, Mode, Object, Reply, Script, ScriptedBucket};

/// Returns the reply to the read of an object with these bytes.
type Answer = fn(Bytes) -> Reply;

/// Replies that no retry can be expected to change: the operator must change a setting.
const REFUSED: [(&str, Answer); 5] = [
    ("HTML", |_| Reply::new(200, "text/html", "<!DOCTYPE html><html><body>Please sign in</body></html>")),
    ("only zeros", |bytes| Reply::new(200, "image/jpeg", vec![0; bytes.len()])),
    ("plain text", |_| Reply::new(200, "application/json", "{\"error\": \"sign in\"}")),
    ("AccessDenied", |_| Reply::error(200, "AccessDenied", "Access Denied")),
    ("ExpiredToken", |_| Reply::error(200, "ExpiredToken", "The provided token has expired.")),
];

/// Replies of a service that is down.
const WAITED_FOR: [(&str, Answer); 6] = [
    ("InternalError", |_| Reply::error(200, "InternalError", "We encountered an internal error.")),
    ("an empty body", |_| Reply::new(200, "image/jpeg", "")),
    ("204", |_| Reply::bare(204)),
    ("a part", |bytes| {
        let range = format!("bytes 0-99/{}", bytes.len());
        Reply::new(206, "image/jpeg", bytes.slice(..100)).header("content-range", range).header("etag", "\"1\"")
    }),
    ("half", |bytes| Reply { delivery: Delivery::Half, ..Reply::new(200, "image/jpeg", bytes) }),
    ("a declared half", |bytes| Reply::new(200, "image/jpeg", bytes.slice(..bytes.len() / 2)).header("etag", "\"1\"")),
];

/// Answers reads of the keys that `affects` selects with `answer`, after `after` reads.
fn answer_with(bucket: &ScriptedBucket, after: usize, answer: Answer, affects: fn(&str) -> bool) {
    let reads = AtomicUsize::new(0);
    bucket.change(|script| {
        let bytes: BTreeMap<_, _> =
            script.objects.iter().map(|object| (object.key.clone(), object.bytes.clone())).collect();
        script.handler = Some(Arc::new(move |request: &BucketRequest| {
            let key = request.key();
            if request.is_listing() || !affects(std::str::from_utf8(&key).unwrap()) {
                return None;
            }
            (reads.fetch_add(1, Ordering::SeqCst) >= after).then(|| answer(bytes[&key].clone()))
        }));
    });
}

/// The number of reads that are answered normally at first: none, or some as in the middle of a job.
const STARTS: [usize; 2] = [0, 2];

const ONE_BY_ONE: [(&str, &str); 4] = [
    ("GLIMPSE_FETCH_LANES", "1"),
    ("IMAGE_BATCH_SIZE", "1"),
    ("S3_CIRCUIT_BREAKER_THRESHOLD", "3"),
    ("S3_CIRCUIT_BREAKER_TIMEOUT", "1"),
];

#[tokio::test(flavor = "multi_thread")]
async fn other_content_for_every_object_ends_the_job_and_fails_no_image() {
    for (what, answer) in REFUSED {
        for after in STARTS {
            let bucket = ScriptedBucket::start(Mode::Plain).await;
            answer_with(&bucket, after, answer, |_| true);
            let app = service_with(&bucket, &ONE_BY_ONE).await;
            let (job, message) = refused(&app, json!({})).await;
            assert!(message.contains(what) && message.contains("S3_"), "{what} after {after}: {message}");
            assert!(job.counts.done <= after as u64, "{job:?}");
            bucket.change(|script| script.handler = None);
            let rest = retried(&app, &job.job_id).await;
            assert_eq!((rest.counts.done + rest.counts.unchanged, rest.counts.failed), (4, 0), "{what}: {rest:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn zeros_are_noticed_if_all_objects_have_the_same_etag() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    bucket.change(|script| script.objects.iter_mut().for_each(|object| "1".clone_into(&mut object.etag)));
    let zeros = |bytes: Bytes| Reply::new(200, "image/jpeg", vec![0; bytes.len()]).header("etag", "\"1\"");
    answer_with(&bucket, 2, zeros, |_| true);
    let (_, message) = refused(&service_with(&bucket, &ONE_BY_ONE).await, json!({})).await;
    assert!(message.contains("only zeros"), "{message}");
}

/// Runs a job that must wait for the bucket, and then complete after a repair.
async fn is_waited_for(what: &str, answer: Answer, after: usize) {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    answer_with(&bucket, after, answer, |_| true);
    let app = service_with(&bucket, &ONE_BY_ONE).await;
    let id = app.submit(json!({})).await;
    // The first pauses are those of a single object; then every other object is read, too.
    let all_were_read = |bucket: &ScriptedBucket| bucket.all_gets() >= after + 8;
    let job = app.job_until(&id, |job| (job.waiting_on.is_some() && all_were_read(&bucket)) || job.is_final()).await;
    let dependency = job.waiting_on.as_ref().map(|waiting| waiting.dependency.as_str());
    assert_eq!((dependency, job.counts.failed), (Some("s3"), 0), "{what} after {after}: {job:?}");
    bucket.change(|script| script.handler = None);
    let job = app.job_until(&id, JobReply::is_final).await;
    assert_eq!((job.status.as_str(), job.counts.done, job.counts.failed), ("SUCCEEDED", 4, 0), "{what}: {job:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_returns_less_for_every_object_is_waited_for() {
    for answers in WAITED_FOR.chunks(3) {
        let jobs = answers.iter().map(|(what, answer)| is_waited_for(what, *answer, 0));
        futures::future::join_all(jobs).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_begins_to_return_less_is_waited_for() {
    for answers in WAITED_FOR.chunks(3) {
        let jobs = answers.iter().map(|(what, answer)| is_waited_for(what, *answer, 2));
        futures::future::join_all(jobs).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_such_reply_among_good_ones_is_one_failed_image() {
    for (what, answer) in REFUSED.into_iter().chain(WAITED_FOR) {
        if what == "ExpiredToken" {
            continue;
        }
        let bucket = ScriptedBucket::start(Mode::Plain).await;
        answer_with(&bucket, 0, answer, |key| key == "b.jpg");
        let app = service_with(&bucket, &[("S3_CIRCUIT_BREAKER_THRESHOLD", "100")]).await;
        let job = succeeded(&app, json!({})).await;
        assert_eq!((job.counts.done, job.counts.failed), (3, 1), "{what}: {job:?}");
        assert!(bucket.gets("b.jpg") <= 6, "{what}: {} reads", bucket.gets("b.jpg"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_reply_is_read_again() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    let page = Reply::new(200, "text/html", "<html>one moment</html>");
    let fault = crate::support::scripted_bucket::Fault { reply: page, after: 1, times: 1 };
    bucket.change(|script| script.on_get = Some(fault));
    assert_eq!(succeeded(&service(&bucket).await, json!({})).await.counts.done, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_full_of_stored_html_pages_fails_each_of_them() {
    let page = |n: usize| format!("<html>stored page {n}</html>");
    let objects = (0..4).map(|n| Object::new(format!("{n}.jpg"), page(n))).collect();
    let bucket = ScriptedBucket::start_with(Script { objects, ..Script::default() }).await;
    let app = service(&bucket).await;
    let job = succeeded(&app, json!({})).await;
    assert_eq!((job.counts.failed, bucket.all_gets()), (4, 4), "their size and ETag are those of the listing: {job:?}");
    assert_eq!(app.failures(&job.job_id).await.failures[0].class, "unsupported_format");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_overwritten_during_a_job_is_indexed() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    let other =
        |_: Bytes| Reply::new(200, "image/jpeg", crate::support::demo_image("moose.jpg")).header("etag", "\"other\"");
    answer_with(&bucket, 0, other, |_| true);
    assert_eq!(succeeded(&service(&bucket).await, json!({})).await.counts.done, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_html_page_in_place_of_an_original_is_a_failure_of_the_bucket() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    let app = service(&bucket).await;
    succeeded(&app, json!({})).await;
    let image = format!("/images/{}", ImageUri::new(BUCKET, "a.jpg").id());
    for (what, answer) in [REFUSED[0], WAITED_FOR[0]] {
        answer_with(&bucket, 0, answer, |_| true);
        for path in ["original", "preview"] {
            let (status, reply) = app.get(&format!("{image}/{path}")).await;
            let bucket_failed = [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE].contains(&status);
            assert!(bucket_failed, "{path}, {what}: {status} {reply}");
        }
    }
}
