//! Long listings, which are listed in several lanes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use glimpse::api::replies::JobReply;
use serde_json::json;

use super::plain::{service, service_with, succeeded};
use crate::support::scripted_bucket::{BucketRequest, Object, Reply, Script, ScriptedBucket};

/// Keys that are not images, in three folders of different sizes, in addition to the four images.
const OTHERS: u64 = 12_000;

/// A bucket with more keys than are listed in one lane.
fn long_listing() -> Script {
    let mut script = Script { page: 500, ..Script::four() };
    let folder = |number: u64| ["a/", "é/deep/er/", "x/"][usize::from(number > 500) + usize::from(number > 11_000)];
    let keys = (0..OTHERS).map(|number| format!("{}{:05x}.txt", folder(number), number * 7));
    script.objects.extend(keys.map(|key| Object::new(key, "not an image")));
    script.objects.sort_by(|one, other| one.key.cmp(&other.key));
    script
}

fn is_lane(request: &BucketRequest) -> bool {
    request.is_listing() && !request.query.contains_key("max-keys") && request.query.contains_key("start-after")
}

#[tokio::test(flavor = "multi_thread")]
async fn several_lanes_have_the_result_of_one_lane() {
    for lanes in ["8", "1"] {
        let bucket = ScriptedBucket::start_with(long_listing()).await;
        let app = service_with(&bucket, &[("S3_LIST_LANES", lanes)]).await;
        let job = succeeded(&app, json!({})).await;
        assert_eq!((job.counts.listed, job.counts.skipped, job.counts.done), (OTHERS + 4, OTHERS, 4), "{job:?}");
        let log = app.log(&job.job_id).await;
        assert_eq!(log.contains("lists the rest in 8 lanes"), lanes == "8", "{log}");
        assert_eq!(log.contains(" lanes"), lanes == "8", "{log}");

        bucket.change(|script| script.objects.retain(|object| object.key != b"b.jpg" && object.key != b"e.jpg"));
        let plan = succeeded(&app, json!({"sync": true, "dry_run": true})).await.plan.unwrap();
        assert_eq!((plan.deleted, plan.new), (2, 0));
        let again = succeeded(&app, json!({"sync": true, "max_delete_percent": 60})).await;
        assert_eq!((again.counts.unchanged, again.counts.deleted, again.counts.done), (2, 2, 0), "{again:?}");
        assert_eq!(bucket.all_gets(), 4, "unchanged images are not read");
    }
}

/// What a scripted bucket answers to a request; `None` for its usual answer.
type Answer = fn(&BucketRequest, &Script) -> Option<Reply>;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_start_after_is_listed_in_one_lane() {
    let ignored = |request: &BucketRequest, bucket: &Script| {
        let mut request = BucketRequest {
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: request.headers.clone(),
        };
        request.query.remove("start-after")?;
        Some(bucket.clone().answer(&request))
    };
    let refused =
        |_: &BucketRequest, _: &Script| Some(Reply::error(501, "NotImplemented", "StartAfter is not supported."));
    for answer in [ignored as Answer, refused] {
        let plain = long_listing();
        let script = long_listing().with_handler(move |request| {
            let starts_after = request.is_listing() && request.query.contains_key("start-after");
            if starts_after { answer(request, &plain) } else { None }
        });
        let bucket = ScriptedBucket::start_with(script).await;
        let app = service(&bucket).await;
        let job = succeeded(&app, json!({"sync": true})).await;
        assert_eq!((job.counts.listed, job.counts.done), (OTHERS + 4, 4), "{job:?}");
        let log = app.log(&job.job_id).await;
        assert!(log.contains("lists in one lane") && log.contains("start-after"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_wait_for_a_service_that_throttles() {
    let requests = Arc::new(AtomicUsize::new(0));
    let script = long_listing().with_handler(move |request| {
        let throttled = is_lane(request) && requests.fetch_add(1, Ordering::SeqCst) % 4 == 3;
        throttled.then(|| Reply::error(503, "SlowDown", "Please reduce your request rate."))
    });
    let bucket = ScriptedBucket::start_with(script).await;
    let job = succeeded(&service(&bucket).await, json!({"sync": true})).await;
    assert_eq!((job.counts.listed, job.counts.skipped, job.counts.done), (OTHERS + 4, OTHERS, 4), "{job:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_lane_continues_after_a_restart() {
    let bucket = ScriptedBucket::start_with(long_listing()).await;
    let app = service_with(&bucket, &[("S3_CIRCUIT_BREAKER_TIMEOUT", "1")]).await;
    succeeded(&app, json!({})).await;
    let requests = Arc::new(AtomicUsize::new(0));
    let down = move |request: &BucketRequest| {
        let is_down = request.is_listing()
            && (request.query.contains_key("start-after") || request.query.contains_key("continuation-token"))
            && requests.fetch_add(1, Ordering::SeqCst) >= 20;
        is_down.then(|| Reply::error(503, "SlowDown", "Please reduce your request rate."))
    };
    bucket.change(|script| {
        script.objects.retain(|object| object.key != b"d.jpg");
        script.handler = Some(Arc::new(down));
    });
    let id = app.submit(json!({"sync": true, "max_delete_percent": 30})).await;
    let waiting = app.job_until(&id, |job| job.waiting_on.is_some() || job.is_final()).await;
    assert!(waiting.counts.listed >= 2_000 && !waiting.is_final(), "{waiting:?}");
    let app = app.restart().await;
    bucket.change(|script| script.handler = None);
    let job = app.job_until(&id, JobReply::is_final).await;
    assert_eq!((job.status.as_str(), job.counts.listed), ("SUCCEEDED", OTHERS + 3), "{job:?}");
    assert_eq!((job.counts.unchanged, job.counts.deleted), (3, 1), "{job:?}");
}
