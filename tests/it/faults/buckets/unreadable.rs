//! Buckets that can be listed but not read.

use serde_json::json;

use super::plain::{refused, retried, service, succeeded};
use crate::support::scripted_bucket::{BucketRequest, Fault, Mode, Object, Reply, Script, ScriptedBucket};

fn refusals() -> [Reply; 4] {
    [
        Reply::error(403, "AccessDenied", "Access Denied"),
        Reply::bare(403),
        Reply::bare(404),
        Reply::new(405, "text/html", "<html>not here</html>"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_whose_objects_are_all_refused_stops_the_job_and_no_image_fails() {
    for reply in refusals() {
        let bucket = ScriptedBucket::start(Mode::Plain).await;
        bucket.change(|script| script.on_get = Some(Fault::always(reply.clone())));
        let app = service(&bucket).await;
        let (job, message) = refused(&app, json!({})).await;
        assert!(message.contains("s3:GetObject") && message.contains("S3_ACCESS_KEY_ID"), "{message}");
        assert!(message.contains("can be listed"), "{message}");
        bucket.change(|script| script.on_get = None);
        let rest = retried(&app, &job.job_id).await;
        assert_eq!((rest.counts.done, rest.counts.failed), (4, 0), "{rest:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_with_a_denying_policy_of_their_own_fail_alone_although_they_come_first() {
    for reply in refusals() {
        let image = Script::four().objects.remove(0).bytes;
        let objects = (0..40).map(|n| Object::new(format!("{n:02}.jpg"), image.clone())).collect();
        let denied = move |request: &BucketRequest| {
            (!request.is_listing() && request.key().as_slice() < &b"05"[..]).then(|| reply.clone())
        };
        let script = Script { objects, page: 20, ..Script::default() }.with_handler(denied);
        let bucket = ScriptedBucket::start_with(script).await;
        let app = service(&bucket).await;
        let job = succeeded(&app, json!({})).await;
        assert_eq!((job.counts.done, job.counts.failed), (35, 5), "{job:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_lists_and_fails_for_every_object_is_waited_for() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    let failure = Reply::error(500, "InternalError", "We encountered an internal error.");
    bucket.change(|script| script.on_get = Some(Fault { reply: failure, after: 0, times: 60 }));
    let app = super::plain::service_with(&bucket, &[("S3_CIRCUIT_BREAKER_THRESHOLD", "100")]).await;
    let job = succeeded(&app, json!({})).await;
    assert_eq!((job.counts.done, job.counts.failed), (4, 0), "{job:?}");
}
