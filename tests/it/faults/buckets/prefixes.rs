//! Services that return keys outside the requested prefix.

use std::sync::Arc;

use serde_json::json;

use super::plain::{refused, service, succeeded};
use crate::support::scripted_bucket::{Mode, Reply, Script, ScriptedBucket};

/// A service that ignores the prefix, or compares it without case.
fn list_all(bucket: &ScriptedBucket, matches: fn(key: &str, prefix: &str) -> bool) {
    bucket.change(|script| {
        let objects = script.objects.clone();
        script.handler = Some(Arc::new(move |request| {
            let prefix = request.query.get("prefix").cloned().unwrap_or_default();
            let entry = |object: &crate::support::scripted_bucket::Object| {
                let key = String::from_utf8(object.key.clone()).unwrap();
                let text = format!(
                    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00Z</LastModified>\
                     <ETag>{}</ETag><Size>{}</Size></Contents>",
                    object.etag,
                    object.bytes.len()
                );
                matches(&key, &prefix).then_some(text)
            };
            let entries: String = objects.iter().filter_map(entry).collect();
            let page = format!("<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>");
            request.is_listing().then(|| Reply::new(200, "application/xml", page))
        }));
    });
}

fn four_as(keys: [&str; 4]) -> Script {
    let mut script = Script::four();
    for (object, key) in script.objects.iter_mut().zip(keys) {
        object.key = key.as_bytes().to_vec();
    }
    script
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_outside_the_prefix_fails_the_job_and_sync_removes_nothing() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    bucket.change(|script| script.objects = four_as(["a.jpg", "b.jpg", "photos/1.jpg", "photos/2.jpg"]).objects);
    let app = service(&bucket).await;
    assert_eq!(succeeded(&app, json!({})).await.counts.done, 4);
    let services: [fn(&str, &str) -> bool; 2] =
        [|key, prefix| key.to_lowercase().starts_with(&prefix.to_lowercase()), |_, _| true];
    for matches in services {
        list_all(&bucket, matches);
        for options in [
            json!({"s3_prefix": "Photos/", "sync": true, "max_delete_percent": 100}),
            json!({"s3_prefix": "Photos/", "sync": true, "dry_run": true}),
            json!({"s3_prefix": "Photos/"}),
        ] {
            let (job, message) = refused(&app, options).await;
            assert!(message.contains("which does not start with the prefix `Photos/`"), "{message}");
            assert_eq!((job.counts.deleted, job.counts.listed), (0, 0), "{job:?}");
        }
    }
    bucket.change(|script| script.handler = None);
    let all = succeeded(&app, json!({"sync": true})).await;
    assert_eq!((all.counts.unchanged, all.counts.deleted), (4, 0), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_finds_a_prefix_in_any_normal_form_is_read_in_the_form_of_its_keys() {
    let (nfc, nfd) = ("Z\u{fc}rich/", "Zu\u{308}rich/");
    let bucket =
        ScriptedBucket::start_with(four_as(["a.jpg", "b.jpg", "Zu\u{308}rich/1.jpg", "Zu\u{308}rich/2.jpg"])).await;
    list_all(&bucket, |key, prefix| {
        prefix.is_empty() || (key.starts_with("Zu\u{308}rich/") && ["Z\u{fc}rich/", "Zu\u{308}rich/"].contains(&prefix))
    });
    let app = service(&bucket).await;
    for (prefix, done) in [(nfc, 2), (nfd, 0)] {
        let job = succeeded(&app, json!({"s3_prefix": prefix})).await;
        assert_eq!((job.counts.listed, job.counts.done), (2, done), "{prefix:?}: {job:?}");
    }
}
