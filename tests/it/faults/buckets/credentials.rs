//! An error that no image caused ends the job once, names the setting, and can be retried.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::plain::{refused, retried, service, service_with, succeeded};
use crate::page::browser::Browser;
use crate::support::scripted_bucket::{Fault, Mode, Reply, Script, ScriptedBucket};

#[tokio::test(flavor = "multi_thread")]
async fn expired_credentials_end_the_job_once_and_a_retry_completes_it() {
    let bucket = ScriptedBucket::start(Mode::Expired).await;
    let app = service_with(&bucket, &[("GLIMPSE_FETCH_LANES", "1"), ("IMAGE_BATCH_SIZE", "1")]).await;
    let (job, text) = refused(&app, json!({})).await;
    assert!(text.contains("S3_ACCESS_KEY_ID") && text.contains("ExpiredToken") && text.contains("retry"), "{text}");
    assert!(job.counts.done <= 2 && bucket.all_gets() <= 4, "{job:?}");
    bucket.set(Mode::Plain);
    let rest = retried(&app, &job.job_id).await;
    assert_eq!((rest.status.as_str(), rest.counts.failed), ("SUCCEEDED", 0), "{rest:?}");
    assert_eq!(rest.counts.unchanged, job.counts.done);
    assert_eq!(rest.counts.unchanged + rest.counts.done, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_of_an_ended_job_has_its_options_and_its_limit() {
    let bucket = ScriptedBucket::start(Mode::Expired).await;
    let app = service_with(&bucket, &[("GLIMPSE_FETCH_LANES", "1"), ("IMAGE_BATCH_SIZE", "1")]).await;
    let (first, _) = refused(&app, json!({"image_max_items": 3})).await;
    bucket.set(Mode::Plain);
    let rest = retried(&app, &first.job_id).await;
    assert_eq!(rest.status, "SUCCEEDED", "{rest:?}");
    assert_eq!(first.counts.done + rest.counts.done, 3, "the limit is for both jobs together");

    succeeded(&app, json!({})).await;
    let denied = Reply::error(403, "InvalidAccessKeyId", "The key does not exist in our records.");
    bucket.change(|script| {
        script.objects.remove(0);
        script.on_next = Some(Fault::always(denied));
    });
    let mirror = json!({"sync": true, "max_delete_percent": 100});
    let (broken, _) = refused(&app, mirror).await;
    assert_eq!((broken.counts.listed, broken.counts.deleted), (2, 0), "interrupted during its listing");
    bucket.set(Mode::Plain);
    let rest = retried(&app, &broken.job_id).await;
    assert_eq!((rest.status.as_str(), rest.counts.unchanged, rest.counts.deleted), ("SUCCEEDED", 3, 1), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_offers_to_continue_an_ended_job() {
    let bucket = ScriptedBucket::start(Mode::Expired).await;
    let app = service(&bucket).await;
    let (job, _) = refused(&app, json!({})).await;
    assert_eq!(job.counts.failed, 0);
    bucket.set(Mode::Plain);
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto(&format!("/?view=jobs&id={}", job.job_id)).await;
    browser.wait_until("document.querySelector('.job .error')?.innerText.includes('ExpiredToken')").await;
    browser.press("Continue job").await;
    browser.wait_until("document.querySelector('.job .state.succeeded')").await;
    browser.close().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_becomes_unreadable_ends_the_job_and_fails_no_image() {
    for reply in [
        Reply::error(403, "AccessDenied", "Access Denied"),
        Reply::new(403, "text/html", "<html>blocked</html>"),
        Reply::bare(404),
        Reply::new(405, "text/html", "<html>not here</html>"),
    ] {
        let bucket = ScriptedBucket::start(Mode::Plain).await;
        bucket.change(|script| script.on_get = Some(Fault { reply: reply.clone(), after: 2, times: usize::MAX }));
        let app = service_with(&bucket, &[("GLIMPSE_FETCH_LANES", "1"), ("IMAGE_BATCH_SIZE", "1")]).await;
        let (job, message) = refused(&app, json!({})).await;
        assert!(message.contains("can no longer be read") && message.contains("S3_ACCESS_KEY_ID"), "{message}");
        assert!(reply.status != 403 || message.contains("403"), "{message}");
        assert!(job.counts.done <= 2, "{job:?}");
        bucket.change(|script| script.on_get = None);
        let rest = retried(&app, &job.job_id).await;
        assert_eq!((rest.counts.done + rest.counts.unchanged, rest.counts.failed), (4, 0), "{rest:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_are_deleted_during_a_job_fail_alone() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    let app = service_with(&bucket, &[("GLIMPSE_FETCH_LANES", "1"), ("IMAGE_BATCH_SIZE", "1")]).await;
    // After two reads, all objects except the last one are deleted.
    let reads = AtomicUsize::new(0);
    bucket.change(|script| {
        script.handler = Some(Arc::new(move |request| {
            let key = request.key();
            if request.is_listing() {
                return (reads.load(Ordering::SeqCst) > 2
                    && request.query.get("prefix").is_some_and(|key| !key.is_empty()))
                .then(|| {
                    Reply::new(
                        200,
                        "application/xml",
                        "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
                    )
                });
            }
            let read = reads.fetch_add(1, Ordering::SeqCst);
            (read >= 2 && key != b"e.jpg").then(|| Reply::error(404, "NoSuchKey", "The specified key does not exist."))
        }));
    });
    let job = app.ingest_with(json!({})).await;
    assert_eq!((job.status.as_str(), job.counts.done, job.counts.failed), ("SUCCEEDED", 3, 1), "{job:?}");
    assert_eq!(app.failures(&job.job_id).await.failures[0].class, "fetch_missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_for_a_bucket_that_lists_but_does_not_read() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    let failure = Reply::error(500, "InternalError", "We encountered an internal error.");
    bucket.change(|script| script.on_get = Some(Fault { reply: failure, after: 2, times: 40 }));
    let more = [("GLIMPSE_FETCH_LANES", "1"), ("IMAGE_BATCH_SIZE", "1"), ("S3_CIRCUIT_BREAKER_THRESHOLD", "100")];
    let app = service_with(&bucket, &more).await;
    let job = succeeded(&app, json!({})).await;
    assert_eq!((job.counts.done, job.counts.failed), (4, 0), "{job:?}");
}

/// Status, code, message, and the text that the message of the job must contain.
const OPERATORS: [(u16, &str, &str, &str); 30] = [
    (400, "ExpiredToken", "", "S3_ACCESS_KEY_ID"),
    (403, "ExpiredTokenException", "", "S3_ACCESS_KEY_ID"),
    (403, "InvalidAccessKeyId", "", "S3_ACCESS_KEY_ID"),
    (400, "InvalidToken", "", "S3_ACCESS_KEY_ID"),
    (403, "InvalidClientTokenId", "", "S3_ACCESS_KEY_ID"),
    (400, "TokenRefreshRequired", "", "S3_ACCESS_KEY_ID"),
    (400, "UnrecognizedClientException", "", "S3_ACCESS_KEY_ID"),
    (403, "SignatureDoesNotMatch", "", "S3_SECRET_ACCESS_KEY"),
    (403, "AccessDenied", "The provided token has expired", "S3_ACCESS_KEY_ID"),
    (403, "AccessDenied", "The access key does not exist", "S3_ACCESS_KEY_ID"),
    (403, "TokenExpired", "", "have expired (TokenExpired, 403)"),
    (400, "SessionExpired", "", "have expired (SessionExpired, 400)"),
    (403, "ExpiredCredentials", "", "have expired (ExpiredCredentials, 403)"),
    (403, "InvalidAccessKeyID", "", "does not accept the credentials (InvalidAccessKeyID, 403)"),
    (403, "AccessKeyDisabled", "", "does not accept the credentials (AccessKeyDisabled, 403)"),
    (400, "SignatureExpired", "", "clock"),
    (403, "RequestTimeTooSkewed", "", "clock"),
    (400, "RequestExpired", "", "clock"),
    (400, "AuthorizationHeaderMalformed", "the region is wrong; expecting 'eu-west-3'", "eu-west-3"),
    (301, "PermanentRedirect", "", "S3_REGION"),
    (400, "IllegalLocationConstraintException", "The eu-west-3 location constraint is incompatible", "eu-west-3"),
    (400, "IncorrectEndpoint", "", "S3_REGION"),
    (403, "NotSignedUp", "", "account"),
    (403, "AccountProblem", "", "account"),
    (403, "AllAccessDisabled", "", "account"),
    (404, "NoSuchBucket", "", "S3_BUCKET"),
    (404, "XAdminUserNotFound", "", "S3_ACCESS_KEY_ID"),
    (401, "", "", "S3_ACCESS_KEY_ID"),
    (302, "", "", "S3_ENDPOINT"),
    (402, "", "", "account"),
];

fn reply(status: u16, code: &str, message: &str) -> Reply {
    if code.is_empty() { Reply::bare(status) } else { Reply::error(status, code, message) }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_of_the_service_ends_the_job_while_reading_and_while_listing() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    let app = service(&bucket).await;
    for (status, code, message, word) in OPERATORS {
        bucket.set(Mode::Plain);
        bucket.change(|script| script.on_get = Some(Fault::always(reply(status, code, message))));
        let (_, sentence) = refused(&app, json!({})).await;
        assert!(sentence.contains(word), "a read that gives {status} {code}: {sentence}");
        bucket.set(Mode::Plain);
        bucket.change(|script| script.on_list = Some(Fault::always(reply(status, code, message))));
        let (_, sentence) = refused(&app, json!({})).await;
        assert!(sentence.contains(word), "a listing that gives {status} {code}: {sentence}");
    }
    assert!(bucket.all_gets() <= 4 * OPERATORS.len(), "no request is repeated: {}", bucket.all_gets());
    bucket.set(Mode::Plain);
    bucket.change(|script| script.on_list = Some(Fault::always(Reply::error(403, "AccessDenied", "Access Denied"))));
    let (_, sentence) = refused(&app, json!({})).await;
    assert!(sentence.contains("s3:ListBucket") && sentence.contains("S3_ACCESS_KEY_ID"), "{sentence}");
    bucket.set(Mode::Plain);
    assert_eq!(succeeded(&app, json!({})).await.counts.done, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_object_fails_alone() {
    for denied in [
        Reply::error(403, "AccessDenied", "Access Denied"),
        Reply::bare(403),
        Reply::error(400, "KMS.DisabledException", "the key is disabled"),
    ] {
        let handler = {
            let denied = denied.clone();
            move |request: &crate::support::scripted_bucket::BucketRequest| {
                (!request.is_listing() && request.key() == b"b.jpg").then(|| denied.clone())
            }
        };
        let bucket = ScriptedBucket::start_with(Script::four().with_handler(handler)).await;
        let app = service(&bucket).await;
        let job = succeeded(&app, json!({})).await;
        assert_eq!((job.counts.done, job.counts.failed), (3, 1), "{denied:?}");
        assert_eq!(app.failures(&job.job_id).await.failures[0].class, "fetch_denied");
    }
}
