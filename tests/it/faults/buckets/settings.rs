//! Wrong settings: the job and `glimpse doctor` name them.

use serde_json::json;

use super::plain::{refused, service, service_with};
use crate::cli::commands::{glimpse, stdout};
use crate::support::scripted_bucket::{Fault, Mode, Reply, ScriptedBucket};

/// Returns the message of a job, and then that of `glimpse doctor`.
async fn told(bucket: &ScriptedBucket, more: &[(&str, &str)]) -> [String; 2] {
    let app = service_with(bucket, more).await;
    let (_, job) = refused(&app, json!({})).await;
    let folder = tempfile::tempdir().unwrap();
    let own = bucket.variables();
    let mut all = vec![("GLIMPSE_DATA_DIR", folder.path().to_str().unwrap())];
    all.extend(own.iter().map(|(name, value)| (*name, value.as_str())));
    all.extend(more);
    let doctor = glimpse(&all, &["doctor"]).await;
    [job, stdout(&doctor)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_region_is_reported_with_the_expected_one() {
    let bucket = ScriptedBucket::start(Mode::Region).await;
    for said in told(&bucket, &[]).await {
        assert!(said.contains("S3_REGION") && said.contains("us-east-1") && said.contains("eu-central-1"), "{said}");
    }
    let header = Reply::bare(301).header("x-amz-bucket-region", "ap-south-1");
    let endpoint = "<Endpoint>photos.s3.ap-south-1.amazonaws.com</Endpoint>";
    let message = "The bucket you are attempting to access must be addressed using the specified endpoint.";
    for reply in [header, Reply::error_with(301, "PermanentRedirect", message, endpoint)] {
        bucket.change(|script| script.on_any = Some(Fault::always(reply)));
        let (_, said) = refused(&service(&bucket).await, json!({})).await;
        assert!(said.contains("S3_REGION") && said.contains("ap-south-1"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_reported() {
    let bucket = ScriptedBucket::start(Mode::Skew).await;
    for said in told(&bucket, &[]).await {
        assert!(said.contains("clock"), "{said}");
    }
    let late = Reply::error(403, "RequestTimeTooSkewed", "too large").header("date", "Thu, 01 Jan 2026 00:00:00 GMT");
    bucket.change(|script| script.on_any = Some(Fault::always(late)));
    let (_, said) = refused(&service(&bucket).await, json!({})).await;
    assert!(said.contains("differ by "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_ends_with_the_bucket_name_is_reported() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    for end in ["/photos", "/photos/"] {
        let endpoint = format!("{}{end}", bucket.url);
        for said in told(&bucket, &[("S3_ENDPOINT", &endpoint)]).await {
            assert!(said.contains("ends in the bucket's name"), "{said}");
            assert!(said.contains(&format!("set S3_ENDPOINT to `{}`", bucket.url)), "{said}");
        }
    }
    bucket.set(Mode::Endpoint);
    let (_, said) = refused(&service(&bucket).await, json!({})).await;
    assert!(said.contains("S3_ENDPOINT") && said.contains("S3_PATH_STYLE"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_is_not_a_listing_is_reported_with_its_kind() {
    let bucket = ScriptedBucket::start(Mode::Buckets).await;
    for said in told(&bucket, &[]).await {
        assert!(said.contains("a list of buckets") && said.contains("S3_PATH_STYLE"), "{said}");
    }
    let app = service(&bucket).await;
    for (reply, what) in [
        (Reply::new(200, "text/html", "<!DOCTYPE html><html><title>Console</title></html>"), "an HTML page"),
        (Reply::bare(200), "an empty body"),
        (Reply::bare(204), "an empty body"),
        (Reply::new(200, "application/json", "{\"buckets\":[]}"), "JSON"),
        (Reply::new(200, "text/plain", "It works!"), "text that is not XML"),
        (Reply::new(200, "application/xml", "<feed/>"), "XML of another kind (feed)"),
    ] {
        bucket.change(|script| script.on_any = Some(Fault::always(reply)));
        let (_, said) = refused(&app, json!({})).await;
        assert!(said.contains(what) && said.contains("S3_PATH_STYLE") && said.contains("S3_ENDPOINT"), "{said}");
    }
    for cut in [
        "<ListBucketResult><Contents><Key>a.jpg</Key>",
        "<ListBucketResult><Contents><Key>a.jpg</Key></Contents>",
        "<ListBucketResult><Contents><Key>a<b.jpg</Key></Contents></ListBucketResult>",
    ] {
        bucket.change(|script| script.on_any = Some(Fault::always(Reply::new(200, "application/xml", cut))));
        let (_, said) = refused(&app, json!({})).await;
        assert!(said.contains("cannot be read"), "{cut}: {said}");
    }
    // An error with a success status is still that error.
    let expired = Reply::new(200, "application/xml", "<Error><Code>ExpiredToken</Code><Message>x</Message></Error>");
    bucket.change(|script| script.on_any = Some(Fault::always(expired)));
    let (_, said) = refused(&app, json!({})).await;
    assert!(said.contains("have expired"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_page_is_requested_again() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    let page = Reply::new(200, "text/html", "<html>one moment</html>");
    bucket.change(|script| script.on_next = Some(Fault { reply: page, after: 0, times: 2 }));
    let job = super::plain::succeeded(&service(&bucket).await, json!({})).await;
    assert_eq!(job.counts.done, 4);
}
