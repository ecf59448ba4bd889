//! Buckets of other owners: read without credentials, or at the reader's expense.

use std::net::TcpListener;

use futures::TryStreamExt;
use glimpse::config::Settings;
use glimpse::domain::ImageUri;
use glimpse::source::{EmbeddedS3, EmbeddedS3Settings, ImageSource, NewObject, S3Source, Scope};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::succeeded;
use crate::cli::commands::{glimpse, stdout};
use crate::contract::source::settings;
use crate::support::scripted_bucket::{BUCKET, Reply, Script, ScriptedBucket};
use crate::support::{TestApp, demo_image};

/// Answers only requests without a signature.
async fn public() -> ScriptedBucket {
    let denied = || Reply::error(403, "AccessDenied", "Access Denied");
    let signed = |request: &crate::support::scripted_bucket::BucketRequest| {
        request.header("authorization").is_some() || request.query.contains_key("X-Amz-Signature")
    };
    ScriptedBucket::start_with(Script::four().with_handler(move |request| signed(request).then(denied))).await
}

/// Answers only signed requests with the requester-pays header.
async fn requester_pays() -> ScriptedBucket {
    let denied = || Reply::error(403, "AccessDenied", "Access Denied");
    let pays = |request: &crate::support::scripted_bucket::BucketRequest| {
        request.header("authorization").is_some()
            && request.header("x-amz-request-payer").as_deref() == Some("requester")
    };
    ScriptedBucket::start_with(Script::four().with_handler(move |request| (!pays(request)).then(denied))).await
}

/// Whether the doctor's check of the bucket passes, and its output.
async fn doctor(variables: &[(&str, &str)]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut all = vec![("GLIMPSE_DATA_DIR", data.to_str().unwrap()), ("GLIMPSE_ADDR", "127.0.0.1:0")];
    all.extend(variables);
    let message = stdout(&glimpse(&all, &["doctor"]).await);
    let passes =
        message.lines().any(|line| line.starts_with("ok ") && line.split_whitespace().nth(1) == Some("bucket"));
    (passes, message)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_bucket_is_read_without_looking_for_credentials() {
    let bucket = public().await;
    // The address at which a cloud machine would offer its role.
    let cloud = TcpListener::bind("127.0.0.1:0").unwrap();
    cloud.set_nonblocking(true).unwrap();
    let cloud_url = format!("http://{}", cloud.local_addr().unwrap());
    let endpoint = [("S3_ENDPOINT", bucket.url.as_str()), ("S3_BUCKET", BUCKET)];
    let anonymous = [endpoint[0], endpoint[1], ("S3_ANONYMOUS", "true")];
    let ambient = [
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", cloud_url.as_str()),
        ("AWS_ACCESS_KEY_ID", "ambient"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let (passes, message) = doctor(&[&anonymous[..], &ambient[..]].concat()).await;
    assert!(passes, "{message}");
    assert!(cloud.accept().is_err(), "the metadata service got a request");
    let (passes, message) = doctor(&[&endpoint[..], &ambient[..]].concat()).await;
    assert!(!passes, "a signed request is refused by this bucket: {message}");

    let app = TestApp::start_with(&anonymous).await;
    let job = app.ingest_with(json!({})).await;
    succeeded(&job);
    assert_eq!(job.counts.done, 4);
    let original = app.client.get(format!("{}{}/original", app.url, super::path("a.jpg"))).send().await.unwrap();
    assert_eq!(original.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requester_pays_bucket_is_read_if_the_reader_pays() {
    let bucket = requester_pays().await;
    let variables = bucket.variables();
    let mut all: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert!(!doctor(&all).await.0, "the reader does not pay");
    all.push(("S3_REQUEST_PAYER", "requester"));
    let (passes, message) = doctor(&all).await;
    assert!(passes, "{message}");
    let app = TestApp::start_with(&all).await;
    let job = app.ingest_with(json!({})).await;
    succeeded(&job);
    assert_eq!(job.counts.done, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_server_allows_anonymous_reads_only_if_configured() {
    for public_read in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let mut at = EmbeddedS3Settings::in_folder(folder.path());
        at.addr.set_port(0);
        (at.durable, at.public_read) = (false, public_read);
        let server = EmbeddedS3::start(at, &CancellationToken::new()).await.unwrap();
        let signed = settings(server.endpoint(), server.credentials().clone());
        let source = S3Source::new(signed.clone()).await.unwrap();
        let uri = ImageUri::new("pipeline", "a.jpg");
        let object = NewObject { bytes: demo_image("cat.jpg").into(), ..NewObject::default() };
        source.put(&uri, object.clone()).await.unwrap();

        let anonymous = S3Source::new(glimpse::source::S3Settings { credentials: None, anonymous: true, ..signed });
        let anonymous = anonymous.await.unwrap();
        let scope = Scope { bucket: "pipeline".to_owned(), prefix: String::new(), start_after: None };
        let listed = anonymous.list(&scope).try_collect::<Vec<_>>().await;
        assert_eq!(listed.is_ok(), public_read, "{listed:?}");
        assert_eq!(anonymous.fetch_file(&uri, 1 << 20).await.is_ok(), public_read);
        assert!(anonymous.put(&uri, object).await.is_err(), "no write without a signature");
        assert!(anonymous.remove(&uri).await.is_err());
        if public_read {
            let endpoint = server.endpoint();
            let app = TestApp::start_with(&[("S3_ENDPOINT", endpoint.as_str()), ("S3_ANONYMOUS", "true")]).await;
            assert_eq!(app.ingest_with(json!({})).await.counts.done, 1);
        }
    }
}

#[test]
fn settings_that_contradict_anonymous_are_refused_by_name() {
    let url = ("S3_ENDPOINT", "http://127.0.0.1:9");
    let pair = [("S3_ACCESS_KEY_ID", "a"), ("S3_SECRET_ACCESS_KEY", "b")];
    let anonymous = ("S3_ANONYMOUS", "true");
    for (variables, named) in [
        (vec![anonymous], "S3_ENDPOINT=embedded"),
        (vec![anonymous, url, pair[0], pair[1]], "S3_ACCESS_KEY_ID"),
        (vec![anonymous, url, ("THUMBNAIL_PREFIX", "thumbs/")], "THUMBNAIL_PREFIX"),
        (vec![anonymous, ("S3_ENDPOINT", "aws"), ("S3_REQUEST_PAYER", "requester")], "S3_REQUEST_PAYER"),
        (vec![("S3_REQUEST_PAYER", "owner")], "S3_REQUEST_PAYER is `owner`"),
        (vec![("S3_ANONYMOUS", "perhaps")], "S3_ANONYMOUS"),
    ] {
        let message = Settings::from_variables(variables).unwrap_err().to_string();
        assert!(message.contains(named), "{message}");
    }
    Settings::from_variables([anonymous, url]).unwrap();
}
