//! Listings that would never end, or that cannot be continued.

use std::sync::Arc;

use serde_json::json;

use super::plain::{refused, service, succeeded};
use crate::support::scripted_bucket::{Mode, Reply, Script, ScriptedBucket, Tokens};

async fn fails_with(tokens: Tokens, reason: &str, most_pages: usize) {
    let bucket = ScriptedBucket::start_with(Script { tokens, ..Script::four() }).await;
    let app = service(&bucket).await;
    let (_, text) = refused(&app, json!({})).await;
    assert!(
        text.contains(reason) && text.contains("ListObjectsV2") && text.contains("S3_ENDPOINT"),
        "{tokens:?}: {text}"
    );
    assert!(bucket.lists() <= most_pages, "{tokens:?}: {} pages", bucket.lists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circular_listing_fails_the_job_with_the_reason() {
    fails_with(Tokens::Same, "the same continuation token again", 2).await;
    fails_with(Tokens::Cycle(2), "again", 8).await;
    fails_with(Tokens::FirstPageAgain, "the same page again", 4).await;
    let bucket = ScriptedBucket::start(Mode::SameToken).await;
    let app = service(&bucket).await;
    refused(&app, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_page_without_a_token_fails_the_job_and_names_listobjectsv2() {
    fails_with(Tokens::Missing, "without a continuation token", 1).await;
    fails_with(Tokens::Empty, "without a continuation token", 1).await;
    let bucket = ScriptedBucket::start(Mode::NoToken).await;
    let app = service(&bucket).await;
    refused(&app, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_pages_are_skipped_up_to_a_limit() {
    let bucket = ScriptedBucket::start_with(Script { tokens: Tokens::EmptyPagesFirst(5), ..Script::four() }).await;
    let app = service(&bucket).await;
    assert_eq!(succeeded(&app, json!({"sync": true})).await.counts.done, 4);
    fails_with(Tokens::EmptyPagesFirst(5_000), "1,000 pages without a key", 1_000).await;
}

/// Answers every listing with this page.
fn list_with(bucket: &ScriptedBucket, page: String) {
    bucket.change(|script| {
        script.handler = Some(Arc::new(move |request| {
            request.is_listing().then(|| Reply::new(200, "application/xml", page.clone()))
        }));
    });
}

fn page(head: &str) -> String {
    let entry =
        "<Contents><Key>a.jpg</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>7</Size></Contents>";
    format!("<ListBucketResult><Name>photos</Name>{head}{entry}</ListBucketResult>")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_may_be_incomplete_removes_nothing() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    let app = service(&bucket).await;
    assert_eq!(succeeded(&app, json!({})).await.counts.done, 4);
    for (body, reason) in [
        (page("<NextMarker>a.jpg</NextMarker>"), "IsTruncated"),
        (page("<Marker></Marker><MaxKeys>1</MaxKeys>"), "IsTruncated"),
        ("<ListBucketResult/>".to_owned(), "IsTruncated"),
        (page("<IsTruncated>false</IsTruncated><Error><Code>InternalError</Code></Error>"), "cannot be read"),
        (
            page("<IsTruncated>false</IsTruncated><CommonPrefixes><Prefix>x/</Prefix></CommonPrefixes>"),
            "CommonPrefixes",
        ),
    ] {
        list_with(&bucket, body);
        let (job, message) = refused(&app, json!({"sync": true, "max_delete_percent": 100})).await;
        assert!(message.contains(reason), "{message}");
        assert_eq!(job.counts.deleted, 0);
    }
    bucket.change(|script| script.handler = None);
    let again = succeeded(&app, json!({"sync": true})).await;
    assert_eq!((again.counts.unchanged, again.counts.deleted), (4, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_values_do_not_fail_the_listing() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    let app = service(&bucket).await;
    for (time, size) in
        [("2026-01-01 00:00:00", "27255"), ("Thu, 01 Jan 2026 00:00:00 GMT", " 27255 "), ("", "27255.0")]
    {
        let entry = |key: &str| {
            format!(
                "<Contents><Key>{key}</Key><LastModified>{time}</LastModified><ETag>1</ETag><Size>{size}</Size></Contents>"
            )
        };
        let head = "<IsTruncated> FALSE </IsTruncated><KeyCount>many</KeyCount>";
        list_with(
            &bucket,
            format!(
                "<ListBucketResult>{head}{}{}<Contents></Contents></ListBucketResult>",
                entry("a.jpg"),
                entry("b.jpg")
            ),
        );
        let job = succeeded(&app, json!({})).await;
        let counts = &job.counts;
        assert_eq!((counts.done + counts.unchanged, counts.skipped, counts.failed), (2, 1, 0), "{time}: {job:?}");
    }
}
