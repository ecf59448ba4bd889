//! The contract of the port [`ImageSource`], against the embedded S3 server and, if `S3_TEST_ENDPOINT` is set, against
//! a real one, with the same checks and the same client. It creates buckets there (`glimpse-test-…`, `made-…`) and
//! leaves them, so use a server for tests only, as `make test-servers` does. MinIO and `versitygw` 1.8.0 pass.

mod denied;
mod embedded_server;
mod failure;
mod pages;
mod uploads;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use glimpse::domain::{ImageRef, ImageUri};
use glimpse::resilience::Retryable;
use glimpse::source::{
    EmbeddedS3, EmbeddedS3Settings, ImageSource, NewObject, S3Credentials, S3Settings, S3Source, Scope, SourceError,
};
use tokio_util::sync::CancellationToken;

use self::pages::a_listing_has_every_key_once_in_order_over_many_pages;
use self::uploads::an_upload_in_parts_is_one_object;
use crate::support::environment::{print, skip, variable};

/// A server, and a bucket in it for this test.
struct Fixture {
    settings: S3Settings,
    source: S3Source,
    bucket: String,
    /// Whether it takes keys that cannot be names of files.
    any_key: bool,
    _server: Option<(EmbeddedS3, tempfile::TempDir)>,
}

/// Settings for a server at this URL.
pub(crate) fn settings(endpoint: String, credentials: S3Credentials) -> S3Settings {
    S3Settings {
        endpoint: Some(endpoint),
        region: "us-east-1".to_owned(),
        path_style: true,
        credentials: Some(credentials),
        anonymous: false,
        request_payer: false,
        max_bytes: 1 << 20,
        timeout: Duration::from_secs(30),
    }
}

impl Fixture {
    async fn embedded() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut at = EmbeddedS3Settings::in_folder(folder.path());
        at.addr.set_port(0);
        at.durable = false;
        let server = EmbeddedS3::start(at, &CancellationToken::new()).await.unwrap();
        let settings = settings(server.endpoint(), server.credentials().clone());
        let source = S3Source::new(settings.clone()).await.unwrap();
        Self { settings, source, bucket: "pipeline".to_owned(), any_key: true, _server: Some((server, folder)) }
    }

    async fn real() -> Option<Self> {
        let Some(endpoint) = variable("S3_TEST_ENDPOINT") else {
            skip("s3", "set S3_TEST_ENDPOINT");
            return None;
        };
        let pair = S3Credentials::from_parts(variable("S3_TEST_ACCESS_KEY_ID"), variable("S3_TEST_SECRET_ACCESS_KEY"));
        let settings = settings(endpoint, pair.unwrap().expect("S3_TEST_ACCESS_KEY_ID"));
        let source = S3Source::new(settings.clone()).await.unwrap();
        let bucket = format!("glimpse-test-{}", uuid::Uuid::now_v7().simple());
        source.ensure_bucket(&bucket).await.unwrap();
        Some(Self { settings, source, bucket, any_key: false, _server: None })
    }

    fn uri(&self, key: &str) -> ImageUri {
        ImageUri::new(&self.bucket, key)
    }

    fn listed(&self, key: &str, size_bytes: u64) -> ImageRef {
        ImageRef { uri: self.uri(key), etag: None, size_bytes, modified: None }
    }

    async fn put(&self, key: &str, bytes: &'static [u8]) -> Result<Option<String>, SourceError> {
        self.source.put(&self.uri(key), NewObject { bytes: bytes.into(), ..NewObject::default() }).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Vec<ImageRef> {
        let start_after = start_after.map(str::to_owned);
        let scope = Scope { bucket: self.bucket.clone(), prefix: prefix.to_owned(), start_after };
        self.source.list(&scope).try_collect().await.unwrap()
    }

    async fn keys(&self, prefix: &str, start_after: Option<&str>) -> Vec<String> {
        self.list(prefix, start_after).await.into_iter().map(|image| image.uri.key().to_owned()).collect()
    }
}

macro_rules! contract {
    ($($check:ident)*) => {
        mod embedded {
            $(#[tokio::test]
            async fn $check() {
                super::$check(&super::Fixture::embedded().await).await;
            })*
        }
        mod real {
            $(#[tokio::test]
            async fn $check() {
                if let Some(fixture) = super::Fixture::real().await {
                    super::$check(&fixture).await;
                }
            })*
        }
    };
}

contract! {
    unusual_keys_are_returned_unchanged
    a_listing_has_every_key_once_in_order_over_many_pages
    an_object_has_its_bytes_etag_type_and_metadata
    an_empty_object_is_an_object
    writing_again_replaces
    a_missing_object_is_missing
    a_wrong_secret_is_denied
    too_large_is_refused_by_the_listing_and_by_the_reply
    a_key_that_is_too_long_is_not_retried
    a_bucket_is_created_once
    an_upload_in_parts_is_one_object
}

/// Keys that every service must take unchanged.
const UNUSUAL_KEYS: [&str; 16] = [
    "k/a b.jpg",
    "k/a+b.jpg",
    "k/50%.jpg",
    "k/50%25.jpg",
    "k/%2F",
    "k/ünï/日本 😀.png",
    "k/&<>\"'.jpg",
    "k/a=b?c#d;e,f",
    "k/*~(!)@:$[]{}|\\^`",
    " k",
    "k/ x ",
    "k/tab\there",
    "k/line\nbreak",
    "k/\u{fffd}\u{7f}",
    "K/a",
    "k/a",
];
/// Keys that Amazon S3 and the embedded server take; a server that stores objects as files under their keys cannot.
const NOT_FILE_NAMES: [&str; 9] =
    ["s3://k", "/lead.jpg", "k//two.jpg", "k/./x", "k/../x", "k/\u{1}", "k/a/b", "k/end/", ".."];

async fn unusual_keys_are_returned_unchanged(fixture: &Fixture) {
    let long = format!("k/{}.jpg", "y".repeat(200));
    let mut keys: Vec<&str> = UNUSUAL_KEYS.to_vec();
    keys.push(&long);
    if fixture.any_key {
        keys.extend(NOT_FILE_NAMES);
    } else {
        print(&format!("not tested with a real server: the keys {NOT_FILE_NAMES:?}"));
    }
    keys.sort_unstable();
    for key in &keys {
        fixture.put(key, b"x").await.unwrap_or_else(|error| panic!("{key:?}: {error}"));
    }
    assert_eq!(fixture.keys("", None).await, keys);
    for (at, key) in keys.iter().enumerate() {
        let fetched =
            fixture.source.fetch(&fixture.listed(key, 1)).await.unwrap_or_else(|error| panic!("{key:?}: {error}"));
        assert_eq!(&fetched.bytes[..], b"x", "{key:?}");
        assert_eq!(fixture.keys("", Some(key)).await, keys[at + 1..], "after {key:?}");
        assert_eq!(fixture.keys(key, None).await[0], *key, "prefix {key:?}");
        fixture.source.remove(&fixture.uri(key)).await.unwrap();
    }
    assert!(fixture.keys("", None).await.is_empty());
}

async fn an_object_has_its_bytes_etag_type_and_metadata(fixture: &Fixture) {
    let metadata = BTreeMap::from([
        ("place".to_owned(), "Zürich, 日本".to_owned()),
        ("plain".to_owned(), "a=b; c".to_owned()),
        ("long".to_owned(), "größer ".repeat(60).trim().to_owned()),
    ]);
    let object = NewObject {
        bytes: "hello".into(),
        content_type: "image/png".to_owned(),
        metadata: metadata.clone(),
        ..NewObject::default()
    };
    let written = fixture.source.put(&fixture.uri("o.png"), object.clone()).await.unwrap();
    let only_new = NewObject { only_new: true, ..object };
    let exists = fixture.source.put(&fixture.uri("o.png"), only_new.clone()).await.unwrap_err();
    assert_eq!(exists, SourceError::Exists(fixture.uri("o.png")));
    fixture.source.put(&fixture.uri("new.png"), only_new).await.unwrap();
    let listed = fixture.list("o.png", None).await.remove(0);
    let fetched = fixture.source.fetch(&listed).await.unwrap();
    assert_eq!((&fetched.bytes[..], listed.size_bytes), (&b"hello"[..], 5));
    assert_eq!(fetched.etag.as_deref(), Some("5d41402abc4b2a76b9719d911017c592"), "the MD5, without quotes");
    assert_eq!(listed.etag, fetched.etag);
    assert_eq!(listed.etag, written);
    assert_eq!(fetched.content_type.as_deref(), Some("image/png"));
    assert_eq!(fetched.metadata, metadata);
    assert!(listed.modified.unwrap().unix_seconds() > 1_700_000_000);
}

async fn an_empty_object_is_an_object(fixture: &Fixture) {
    fixture.put("empty", b"").await.unwrap();
    let listed = fixture.list("empty", None).await.remove(0);
    assert_eq!(listed.size_bytes, 0);
    assert!(fixture.source.fetch(&listed).await.unwrap().bytes.is_empty());
}

async fn writing_again_replaces(fixture: &Fixture) {
    fixture.put("o", b"one").await.unwrap();
    fixture.put("o", b"second").await.unwrap();
    let listed = fixture.list("", None).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(&fixture.source.fetch(&listed[0]).await.unwrap().bytes[..], b"second");
}

async fn a_missing_object_is_missing(fixture: &Fixture) {
    let uri = fixture.uri("nothing here.jpg");
    assert_eq!(fixture.source.fetch(&fixture.listed(uri.key(), 1)).await.unwrap_err(), SourceError::Missing(uri));
    let nowhere = ImageRef { uri: ImageUri::new("no-such-bucket-here", "k"), ..fixture.listed("k", 1) };
    let no_bucket = SourceError::NoBucket("no-such-bucket-here".to_owned());
    assert_eq!(fixture.source.fetch(&nowhere).await.unwrap_err(), no_bucket);
    assert_eq!(fixture.source.put(&nowhere.uri, NewObject::default()).await.unwrap_err(), no_bucket);
    let scope = Scope { bucket: "no-such-bucket-here".to_owned(), prefix: String::new(), start_after: None };
    assert_eq!(fixture.source.list(&scope).collect::<Vec<_>>().await, [Err(no_bucket)]);
    fixture.source.remove(&fixture.uri("nothing")).await.unwrap();
}

async fn a_wrong_secret_is_denied(fixture: &Fixture) {
    let pair = fixture.settings.credentials.clone().unwrap();
    for wrong in [
        S3Credentials { secret_access_key: "wrong".repeat(8), ..pair.clone() },
        S3Credentials { access_key_id: "NOBODY".repeat(3), ..pair },
    ] {
        let settings = S3Settings { credentials: Some(wrong), ..fixture.settings.clone() };
        let source = S3Source::new(settings).await.unwrap();
        let scope = Scope { bucket: fixture.bucket.clone(), prefix: String::new(), start_after: None };
        let errors = [
            source.fetch(&fixture.listed("k", 1)).await.unwrap_err(),
            source.put(&fixture.uri("k"), NewObject { bytes: "x".into(), ..NewObject::default() }).await.unwrap_err(),
            source.list(&scope).try_collect::<Vec<_>>().await.unwrap_err(),
            source.bucket_exists(&fixture.bucket).await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, SourceError::Operator(_)), "{error}");
        }
    }
}

async fn too_large_is_refused_by_the_listing_and_by_the_reply(fixture: &Fixture) {
    fixture.put("big", b"0123456789").await.unwrap();
    let small = S3Source::new(S3Settings { max_bytes: 9, ..fixture.settings.clone() }).await.unwrap();
    let too_large = |bytes| SourceError::TooLarge { uri: fixture.uri("big"), bytes, limit: 9 };
    assert_eq!(small.fetch(&fixture.listed("big", 11)).await.unwrap_err(), too_large(11), "no request was sent");
    assert_eq!(small.fetch(&fixture.listed("big", 0)).await.unwrap_err(), too_large(10));
    let just = S3Source::new(S3Settings { max_bytes: 10, ..fixture.settings.clone() }).await.unwrap();
    assert_eq!(just.fetch(&fixture.listed("big", 10)).await.unwrap().bytes.len(), 10);
    // A file that is not an image has another limit.
    assert_eq!(small.fetch_file(&fixture.uri("big"), 10).await.unwrap().bytes, "0123456789");
    assert_eq!(just.fetch_file(&fixture.uri("big"), 9).await.unwrap_err(), too_large(10));
    let missing = just.fetch_file(&fixture.uri("gone"), 9).await.unwrap_err();
    assert!(matches!(missing, SourceError::Missing(_)), "{missing}");
}

async fn a_key_that_is_too_long_is_not_retried(fixture: &Fixture) {
    let key = "x/".repeat(520);
    for error in
        [fixture.put(&key, b"x").await.unwrap_err(), fixture.source.fetch(&fixture.listed(&key, 1)).await.unwrap_err()]
    {
        assert!(!error.is_retryable(), "{error}");
    }
}

async fn a_bucket_is_created_once(fixture: &Fixture) {
    let bucket = format!("made-{}", uuid::Uuid::now_v7().simple());
    assert!(!fixture.source.bucket_exists(&bucket).await.unwrap());
    fixture.source.ensure_bucket(&bucket).await.unwrap();
    fixture.source.ensure_bucket(&bucket).await.unwrap();
    assert!(fixture.source.bucket_exists(&bucket).await.unwrap());
}
