//! Listings that are not in the order of their keys, with failing pages and restarts of the service.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use glimpse::api::replies::JobReply;
use serde_json::json;

use super::plain::{refused, service, service_with, succeeded};
use crate::support::scripted_bucket::{Fault, Mode, Object, Reply, Script, ScriptedBucket, Tokens};

fn busy() -> Reply {
    Reply::error(503, "SlowDown", "Please reduce your request rate.")
}

/// The four images under other keys, in this order.
fn listed_as(keys: [&str; 4]) -> Script {
    let mut script = Script::four();
    for (object, key) in script.objects.iter_mut().zip(keys) {
        object.key = key.as_bytes().to_vec();
    }
    script.on_next = Some(Fault { reply: busy(), after: 0, times: 3 });
    script
}

#[tokio::test(flavor = "multi_thread")]
async fn every_image_of_an_unordered_listing_is_indexed_even_if_a_page_fails() {
    let bucket = ScriptedBucket::start(Mode::Unordered).await;
    let app = service(&bucket).await;
    assert_eq!(succeeded(&app, json!({})).await.counts.done, 4);
    for keys in [
        ["e.jpg", "d.jpg", "b.jpg", "a.jpg"],
        ["a.jpg", "B.jpg", "c.jpg", "D.jpg"],
        ["\u{1F600}.jpg", "\u{FF21}.jpg", "a.jpg", "\u{E000}.jpg"],
        ["z.jpg", "a.jpg", "y.jpg", "b.jpg"],
    ] {
        let bucket = ScriptedBucket::start_with(listed_as(keys)).await;
        let app = service(&bucket).await;
        let job = succeeded(&app, json!({})).await;
        assert_eq!((job.counts.done, job.counts.listed), (4, 4), "{keys:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unordered_listing_continues_after_a_restart() {
    let bucket = ScriptedBucket::start_with(listed_as(["d.jpg", "e.jpg", "a.jpg", "b.jpg"])).await;
    bucket.change(|script| script.on_next = Some(Fault::always(busy())));
    let app = service_with(&bucket, &[("S3_CIRCUIT_BREAKER_TIMEOUT", "1")]).await;
    let id = app.submit(json!({})).await;
    app.job_until(&id, |job| job.counts.listed == 2 && job.waiting_on.is_some()).await;
    let app = app.restart().await;
    bucket.change(|script| script.on_next = None);
    let job = app.job_until(&id, JobReply::is_final).await;
    assert_eq!((job.status.as_str(), job.counts.done, job.counts.listed), ("SUCCEEDED", 4, 4), "{job:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_after_a_restart_fails_the_job_instead_of_losing_images() {
    let bucket = ScriptedBucket::start_with(listed_as(["d.jpg", "e.jpg", "a.jpg", "b.jpg"])).await;
    bucket.change(|script| script.on_next = Some(Fault::always(busy())));
    let app = service_with(&bucket, &[("S3_CIRCUIT_BREAKER_TIMEOUT", "1")]).await;
    let id = app.submit(json!({})).await;
    app.job_until(&id, |job| job.counts.listed == 2 && job.waiting_on.is_some()).await;
    let app = app.restart().await;
    let token_refused = Reply::error(400, "InvalidArgument", "The continuation token provided is incorrect");
    bucket.change(|script| script.on_next = Some(Fault::always(token_refused)));
    let job = app.job_until(&id, JobReply::is_final).await;
    let message = job.message.unwrap_or_default();
    assert!(job.status == "FAILED" && message.contains("cannot be resumed"), "{message}");
    bucket.change(|script| script.on_next = None);
    let rest = super::plain::retried(&app, &id).await;
    assert_eq!((rest.status.as_str(), rest.counts.done + rest.counts.unchanged), ("SUCCEEDED", 4), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_removes_nothing_after_an_unordered_listing() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    let app = service(&bucket).await;
    succeeded(&app, json!({})).await;
    bucket.change(|script| script.objects.rotate_left(2));
    let (job, message) = refused(&app, json!({"sync": true, "max_delete_percent": 100})).await;
    assert!(message.contains("out of order") && message.contains("without sync"), "{message}");
    assert_eq!(job.counts.deleted, 0);
    bucket.change(|script| script.objects.rotate_left(2));
    let again = succeeded(&app, json!({"sync": true})).await;
    assert_eq!((again.counts.unchanged, again.counts.deleted), (4, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_removes_nothing_if_the_order_breaks_at_a_restart() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    let app = service_with(&bucket, &[("S3_CIRCUIT_BREAKER_TIMEOUT", "1")]).await;
    succeeded(&app, json!({})).await;
    bucket.change(|script| {
        script.objects.rotate_left(2);
        script.on_next = Some(Fault::always(busy()));
    });
    let id = app.submit(json!({"sync": true, "max_delete_percent": 100})).await;
    app.job_until(&id, |job| job.counts.listed == 2 && job.waiting_on.is_some()).await;
    let app = app.restart().await;
    bucket.change(|script| script.on_next = None);
    let job = app.job_until(&id, JobReply::is_final).await;
    assert_eq!((job.status.as_str(), job.counts.deleted), ("FAILED", 0), "{job:?}");
    bucket.change(|script| script.objects.rotate_left(2));
    let again = succeeded(&app, json!({"sync": true})).await;
    assert_eq!((again.counts.unchanged, again.counts.deleted), (4, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_in_another_order_for_each_page_fails_the_job_instead_of_losing_images() {
    let mut script = Script { page: 3, ..Script::default() };
    let images = Script::four().objects;
    script.objects = (0..8).map(|n| Object::new(format!("{n}.jpg"), images[n % 4].bytes.clone())).collect();
    let bucket = ScriptedBucket::start_with(script).await;
    // Each page is a part of another order.
    let pages = AtomicUsize::new(0);
    let entries = ["0 3 6", "1 0 4", "2 7"];
    bucket.change(|script| {
        script.handler = Some(Arc::new(move |request| {
            let page = request.is_listing().then(|| pages.fetch_add(1, Ordering::SeqCst) % entries.len())?;
            let keys = entries[page].split(' ');
            let keys = keys
                .map(|n| format!("<Contents><Key>{n}.jpg</Key><Size>1</Size></Contents>"))
                .collect::<Vec<_>>()
                .concat();
            let next = match page {
                2 => "<IsTruncated>false</IsTruncated>".to_owned(),
                _ => format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{page}</NextContinuationToken>"),
            };
            Some(Reply::new(200, "application/xml", format!("<ListBucketResult>{next}{keys}</ListBucketResult>")))
        }));
    });
    let app = service(&bucket).await;
    let job = app.ingest_with(json!({})).await;
    let message = job.message.unwrap_or_default();
    assert!(job.status == "FAILED" && message.contains("not stable") && message.contains("`0.jpg`"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_on_two_pages_count_once() {
    for overlap in [1, 2] {
        let mut script = Script::four();
        script.objects.push(Object::new("f.jpg", script.objects[0].bytes.clone()));
        (script.page, script.tokens) = (3, Tokens::Overlapping(overlap));
        let bucket = ScriptedBucket::start_with(script).await;
        let app = service(&bucket).await;
        let job = succeeded(&app, json!({"sync": true})).await;
        assert_eq!((job.counts.listed, job.counts.done), (5, 5), "{overlap} keys twice");
    }
}
