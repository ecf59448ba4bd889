//! Wrong settings: the job and `glimpse doctor` name them.

use serde_json::json;

use super::plain::{refused, service, service_with};
use crate::cli::commands::{glimpse, stdout};
use crate::support::scripted_bucket::{Delivery, Fault, Mode, Reply, ScriptedBucket, gzip};

/// Returns the message of a job, and then that of `glimpse doctor`.
async fn messages(bucket: &ScriptedBucket, more: &[(&str, &str)]) -> [String; 2] {
    let app = service_with(bucket, more).await;
    let (_, job) = refused(&app, json!({})).await;
    let folder = tempfile::tempdir().unwrap();
    let variables = bucket.variables();
    let mut all_variables = vec![("GLIMPSE_DATA_DIR", folder.path().to_str().unwrap())];
    all_variables.extend(variables.iter().map(|(name, value)| (*name, value.as_str())));
    all_variables.extend(more);
    let doctor = glimpse(&all_variables, &["doctor"]).await;
    [job, stdout(&doctor)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_region_is_reported_with_the_expected_one() {
    let bucket = ScriptedBucket::start(Mode::Region).await;
    for text in messages(&bucket, &[]).await {
        assert!(text.contains("S3_REGION") && text.contains("us-east-1") && text.contains("eu-central-1"), "{text}");
    }
    let header = Reply::bare(301).header("x-amz-bucket-region", "ap-south-1");
    let endpoint = "<Endpoint>photos.s3.ap-south-1.amazonaws.com</Endpoint>";
    let message = "The bucket you are attempting to access must be addressed using the specified endpoint.";
    for reply in [header, Reply::error_with(301, "PermanentRedirect", message, endpoint)] {
        bucket.change(|script| script.on_any = Some(Fault::always(reply)));
        let (_, text) = refused(&service(&bucket).await, json!({})).await;
        assert!(text.contains("S3_REGION") && text.contains("ap-south-1"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_reported() {
    let bucket = ScriptedBucket::start(Mode::Skew).await;
    for text in messages(&bucket, &[]).await {
        assert!(text.contains("clock"), "{text}");
    }
    let late = Reply::error(403, "RequestTimeTooSkewed", "too large").header("date", "Thu, 01 Jan 2026 00:00:00 GMT");
    bucket.change(|script| script.on_any = Some(Fault::always(late)));
    let (_, text) = refused(&service(&bucket).await, json!({})).await;
    assert!(text.contains("differ by "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_ends_with_the_bucket_name_is_reported() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    for end in ["/photos", "/photos/"] {
        let endpoint = format!("{}{end}", bucket.url);
        for text in messages(&bucket, &[("S3_ENDPOINT", &endpoint)]).await {
            assert!(text.contains("ends in the bucket's name"), "{text}");
            assert!(text.contains(&format!("set S3_ENDPOINT to `{}`", bucket.url)), "{text}");
        }
    }
    bucket.set(Mode::Endpoint);
    let (_, text) = refused(&service(&bucket).await, json!({})).await;
    assert!(text.contains("S3_ENDPOINT") && text.contains("S3_PATH_STYLE"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_is_not_a_listing_is_reported_with_its_kind() {
    let bucket = ScriptedBucket::start(Mode::Buckets).await;
    for text in messages(&bucket, &[]).await {
        assert!(text.contains("a list of buckets") && text.contains("S3_PATH_STYLE"), "{text}");
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
        let (_, text) = refused(&app, json!({})).await;
        assert!(text.contains(what) && text.contains("S3_PATH_STYLE") && text.contains("S3_ENDPOINT"), "{text}");
    }
    for cut in [
        "<ListBucketResult><Contents><Key>a.jpg</Key>",
        "<ListBucketResult><Contents><Key>a.jpg</Key></Contents>",
        "<ListBucketResult><Contents><Key>a<b.jpg</Key></Contents></ListBucketResult>",
    ] {
        bucket.change(|script| script.on_any = Some(Fault::always(Reply::new(200, "application/xml", cut))));
        let (_, text) = refused(&app, json!({})).await;
        assert!(text.contains("cannot be read"), "{cut}: {text}");
    }
    // An error with a success status is still that error.
    let expired = Reply::new(200, "application/xml", "<Error><Code>ExpiredToken</Code><Message>x</Message></Error>");
    bucket.change(|script| script.on_any = Some(Fault::always(expired)));
    let (_, text) = refused(&app, json!({})).await;
    assert!(text.contains("have expired"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_is_not_modified_is_refused_and_no_redirect() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    bucket.change(|script| script.on_list = Some(Fault::always(Reply::bare(304))));
    let (_, text) = refused(&service(&bucket).await, json!({})).await;
    assert!(text.contains("refuses to list") && text.contains("304") && !text.contains("redirect"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_listing_is_read() {
    for header in [true, false] {
        let page = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a.jpg</Key><Size>27255</Size>\
                    </Contents></ListBucketResult>";
        let page = Reply::new(200, "application/xml", gzip(page.as_bytes()));
        let page = if header { page.header("content-encoding", "gzip") } else { page };
        let bucket = ScriptedBucket::start(Mode::Plain).await;
        bucket.change(|script| script.on_list = Some(Fault::always(page)));
        let job = super::plain::succeeded(&service(&bucket).await, json!({})).await;
        assert_eq!((job.counts.listed, job.counts.done), (1, 1), "{job:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_cut_off_without_a_length_is_waited_for() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    let page = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a.jpg</Key><Size>27255</Size>\
                </Contents></ListBucketResult>";
    let cut = Reply { delivery: Delivery::Half, ..Reply::new(200, "application/xml", page) };
    bucket.change(|script| script.on_next = Some(Fault { reply: cut, after: 0, times: 12 }));
    let app = service_with(&bucket, &[("S3_CIRCUIT_BREAKER_THRESHOLD", "100")]).await;
    let job = super::plain::succeeded(&app, json!({"sync": true})).await;
    assert_eq!((job.counts.listed, job.counts.done), (4, 4), "{job:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_page_is_requested_again() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    let page = Reply::new(200, "text/html", "<html>one moment</html>");
    bucket.change(|script| script.on_next = Some(Fault { reply: page, after: 0, times: 2 }));
    let job = super::plain::succeeded(&service(&bucket).await, json!({})).await;
    assert_eq!(job.counts.done, 4);
}
