//! Archived objects have a failure class of their own, and are not requested if they cannot be read.

use serde_json::json;

use super::plain::{service, succeeded};
use crate::support::scripted_bucket::{BucketRequest, Mode, Reply, Script, ScriptedBucket};

#[tokio::test(flavor = "multi_thread")]
async fn archived_objects_fail_in_every_run_without_a_request() {
    let bucket = ScriptedBucket::start(Mode::Glacier).await;
    bucket.change(|script| "DEEP_ARCHIVE".clone_into(&mut script.object("b.jpg").class));
    let app = service(&bucket).await;
    for _ in 0..2 {
        let job = succeeded(&app, json!({})).await;
        assert_eq!((job.counts.failed, job.counts.left, bucket.all_gets()), (4, 0, 0), "{job:?}");
        let failures = app.failures(&job.job_id).await.failures;
        assert!(failures.iter().all(|failure| failure.class == "archived"), "{failures:?}");
        assert!(failures.iter().any(|failure| failure.message.contains("DEEP_ARCHIVE")), "{failures:?}");
    }
    let capped = json!({"image_max_items": 1});
    bucket.change(|script| "GLACIER_IR".clone_into(&mut script.object("e.jpg").class));
    assert_eq!(succeeded(&app, capped).await.counts.done, 1, "an archived object is not read");
}

#[tokio::test(flavor = "multi_thread")]
async fn restored_objects_are_indexed_and_archived_records_stay() {
    let bucket = ScriptedBucket::start(Mode::Glacier).await;
    let date = "2030-01-01T00:00:00.000Z";
    bucket.change(|script| {
        let restored =
            format!("<IsRestoreInProgress>false</IsRestoreInProgress><RestoreExpiryDate>{date}</RestoreExpiryDate>");
        script.object("a.jpg").restore = Some(restored);
        script.object("b.jpg").restore = Some("<IsRestoreInProgress>true</IsRestoreInProgress>".to_owned());
        "GLACIER_IR".clone_into(&mut script.object("d.jpg").class);
    });
    let app = service(&bucket).await;
    let job = succeeded(&app, json!({})).await;
    assert_eq!((job.counts.done, job.counts.failed), (2, 2), "{:?}", app.failures(&job.job_id).await);
    assert_eq!((bucket.gets("a.jpg"), bucket.gets("b.jpg"), bucket.gets("e.jpg")), (1, 0, 0));
    bucket.set(Mode::Glacier);
    let job = succeeded(&app, json!({"sync": true, "max_delete_percent": 100})).await;
    assert_eq!((job.counts.unchanged, job.counts.failed, job.counts.deleted), (2, 2, 0), "{job:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_reply_says_archived_has_the_same_class() {
    let tier = "<StorageClass>INTELLIGENT_TIERING</StorageClass><AccessTier>ARCHIVE_ACCESS</AccessTier>";
    let archived = Reply::error_with(403, "InvalidObjectState", "not valid for the object's access tier", tier);
    let handler =
        move |request: &BucketRequest| (!request.is_listing() && request.key() == b"b.jpg").then(|| archived.clone());
    let bucket = ScriptedBucket::start_with(Script::four().with_handler(handler)).await;
    bucket.change(|script| "INTELLIGENT_TIERING".clone_into(&mut script.object("b.jpg").class));
    let app = service(&bucket).await;
    let job = succeeded(&app, json!({})).await;
    assert_eq!((job.counts.done, job.counts.failed), (3, 1));
    let failure = app.failures(&job.job_id).await.failures.remove(0);
    assert_eq!(failure.class, "archived");
    assert!(failure.message.contains("ARCHIVE_ACCESS"), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_be_shown_has_the_code_of_its_reason() {
    let bucket = ScriptedBucket::start_with(Script::four()).await;
    let app = service(&bucket).await;
    assert_eq!(succeeded(&app, json!({})).await.counts.done, 4);
    let found: Vec<_> = app.get("/search/images?q=a").await.1["results"].as_array().unwrap().clone();
    let id = |key: &str| found.iter().find(|hit| hit["s3_key"] == key).unwrap()["id"].as_str().unwrap().to_owned();
    bucket.change(|script| {
        *script = std::mem::take(script).with_handler(|request: &BucketRequest| {
            let error =
                |status, code| Some(Reply::error_with(status, code, "no", "<StorageClass>GLACIER</StorageClass>"));
            match request.key().as_slice() {
                b"a.jpg" => error(403, "InvalidObjectState"),
                b"b.jpg" => error(403, "AccessDenied"),
                _ => None,
            }
        });
    });
    for (key, status, code, reason) in
        [("a.jpg", 422, "archived", "GLACIER"), ("b.jpg", 502, "bucket_refused", "the bucket refuses access")]
    {
        let (got, reply) = app.get(&format!("/images/{}/original", id(key))).await;
        assert_eq!((got.as_u16(), reply["code"].as_str()), (status, Some(code)), "{reply}");
        assert!(reply["message"].as_str().unwrap().contains(reason), "{reply}");
    }
}
