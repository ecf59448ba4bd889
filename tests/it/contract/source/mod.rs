//! The contract of the port [`ImageSource`], against the embedded S3 server and, if `S3_TEST_ENDPOINT` is set, against
//! a real one, with the same checks and the same client. It creates buckets there (`glimpse-test-…`, `made-…`) and
//! leaves them, so use a server for tests only, as `make test-servers` does. MinIO and `versitygw` 1.8.0 pass.

mod denied;
mod embedded_server;
mod pages;
mod trouble;
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
struct World {
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

impl World {
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

    async fn put(&self, key: &str, bytes: &'static [u8]) -> Result<(), SourceError> {
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
                super::$check(&super::World::embedded().await).await;
            })*
        }
        mod real {
            $(#[tokio::test]
            async fn $check() {
                if let Some(world) = super::World::real().await {
                    super::$check(&world).await;
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
const AWKWARD: [&str; 16] = [
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
const NO_FILE_NAME: [&str; 9] =
    ["s3://k", "/lead.jpg", "k//two.jpg", "k/./x", "k/../x", "k/\u{1}", "k/a/b", "k/end/", ".."];

async fn unusual_keys_are_returned_unchanged(world: &World) {
    let long = format!("k/{}.jpg", "y".repeat(200));
    let mut taken: Vec<&str> = AWKWARD.to_vec();
    taken.push(&long);
    if world.any_key {
        taken.extend(NO_FILE_NAME);
    } else {
        print(&format!("not asked of a real server: the keys {NO_FILE_NAME:?}"));
    }
    taken.sort_unstable();
    for key in &taken {
        world.put(key, b"x").await.unwrap_or_else(|error| panic!("{key:?}: {error}"));
    }
    assert_eq!(world.keys("", None).await, taken);
    for (at, key) in taken.iter().enumerate() {
        let fetched =
            world.source.fetch(&world.listed(key, 1)).await.unwrap_or_else(|error| panic!("{key:?}: {error}"));
        assert_eq!(&fetched.bytes[..], b"x", "{key:?}");
        assert_eq!(world.keys("", Some(key)).await, taken[at + 1..], "after {key:?}");
        assert_eq!(world.keys(key, None).await[0], *key, "prefix {key:?}");
        world.source.remove(&world.uri(key)).await.unwrap();
    }
    assert!(world.keys("", None).await.is_empty());
}

async fn an_object_has_its_bytes_etag_type_and_metadata(world: &World) {
    let metadata = BTreeMap::from([
        ("place".to_owned(), "Zürich, 日本".to_owned()),
        ("plain".to_owned(), "a=b; c".to_owned()),
        ("long".to_owned(), "größer ".repeat(60).trim().to_owned()),
    ]);
    let object = NewObject { bytes: "hello".into(), content_type: "image/png".to_owned(), metadata: metadata.clone() };
    world.source.put(&world.uri("o.png"), object).await.unwrap();
    let listed = world.list("o.png", None).await.remove(0);
    let fetched = world.source.fetch(&listed).await.unwrap();
    assert_eq!((&fetched.bytes[..], listed.size_bytes), (&b"hello"[..], 5));
    assert_eq!(fetched.etag.as_deref(), Some("5d41402abc4b2a76b9719d911017c592"), "the MD5, without quotes");
    assert_eq!(listed.etag, fetched.etag);
    assert_eq!(fetched.content_type.as_deref(), Some("image/png"));
    assert_eq!(fetched.metadata, metadata);
    assert!(listed.modified.unwrap().unix_seconds() > 1_700_000_000);
}

async fn an_empty_object_is_an_object(world: &World) {
    world.put("empty", b"").await.unwrap();
    let listed = world.list("empty", None).await.remove(0);
    assert_eq!(listed.size_bytes, 0);
    assert!(world.source.fetch(&listed).await.unwrap().bytes.is_empty());
}

async fn writing_again_replaces(world: &World) {
    world.put("o", b"one").await.unwrap();
    world.put("o", b"second").await.unwrap();
    let listed = world.list("", None).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(&world.source.fetch(&listed[0]).await.unwrap().bytes[..], b"second");
}

async fn a_missing_object_is_missing(world: &World) {
    let uri = world.uri("nothing here.jpg");
    assert_eq!(world.source.fetch(&world.listed(uri.key(), 1)).await.unwrap_err(), SourceError::Missing(uri));
    let nowhere = ImageRef { uri: ImageUri::new("no-such-bucket-here", "k"), ..world.listed("k", 1) };
    let no_bucket = SourceError::NoBucket("no-such-bucket-here".to_owned());
    assert_eq!(world.source.fetch(&nowhere).await.unwrap_err(), no_bucket);
    assert_eq!(world.source.put(&nowhere.uri, NewObject::default()).await.unwrap_err(), no_bucket);
    let scope = Scope { bucket: "no-such-bucket-here".to_owned(), prefix: String::new(), start_after: None };
    assert_eq!(world.source.list(&scope).collect::<Vec<_>>().await, [Err(no_bucket)]);
    world.source.remove(&world.uri("nothing")).await.unwrap();
}

async fn a_wrong_secret_is_denied(world: &World) {
    let pair = world.settings.credentials.clone().unwrap();
    for wrong in [
        S3Credentials { secret_access_key: "wrong".repeat(8), ..pair.clone() },
        S3Credentials { access_key_id: "NOBODY".repeat(3), ..pair },
    ] {
        let settings = S3Settings { credentials: Some(wrong), ..world.settings.clone() };
        let source = S3Source::new(settings).await.unwrap();
        let scope = Scope { bucket: world.bucket.clone(), prefix: String::new(), start_after: None };
        let errors = [
            source.fetch(&world.listed("k", 1)).await.unwrap_err(),
            source.put(&world.uri("k"), NewObject { bytes: "x".into(), ..NewObject::default() }).await.unwrap_err(),
            source.list(&scope).try_collect::<Vec<_>>().await.unwrap_err(),
            source.bucket_exists(&world.bucket).await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, SourceError::Operator(_)), "{error}");
        }
    }
}

async fn too_large_is_refused_by_the_listing_and_by_the_reply(world: &World) {
    world.put("big", b"0123456789").await.unwrap();
    let small = S3Source::new(S3Settings { max_bytes: 9, ..world.settings.clone() }).await.unwrap();
    let too_large = |bytes| SourceError::TooLarge { uri: world.uri("big"), bytes, limit: 9 };
    assert_eq!(small.fetch(&world.listed("big", 11)).await.unwrap_err(), too_large(11), "nothing was asked");
    assert_eq!(small.fetch(&world.listed("big", 0)).await.unwrap_err(), too_large(10));
    let just = S3Source::new(S3Settings { max_bytes: 10, ..world.settings.clone() }).await.unwrap();
    assert_eq!(just.fetch(&world.listed("big", 10)).await.unwrap().bytes.len(), 10);
    // A file that is not an image has another limit.
    assert_eq!(small.fetch_file(&world.uri("big"), 10).await.unwrap().bytes, "0123456789");
    assert_eq!(just.fetch_file(&world.uri("big"), 9).await.unwrap_err(), too_large(10));
    let gone = just.fetch_file(&world.uri("gone"), 9).await.unwrap_err();
    assert!(matches!(gone, SourceError::Missing(_)), "{gone}");
}

async fn a_key_that_is_too_long_is_not_retried(world: &World) {
    let key = "x/".repeat(520);
    for error in
        [world.put(&key, b"x").await.unwrap_err(), world.source.fetch(&world.listed(&key, 1)).await.unwrap_err()]
    {
        assert!(!error.is_retryable(), "{error}");
    }
}

async fn a_bucket_is_created_once(world: &World) {
    let bucket = format!("made-{}", uuid::Uuid::now_v7().simple());
    assert!(!world.source.bucket_exists(&bucket).await.unwrap());
    world.source.ensure_bucket(&bucket).await.unwrap();
    world.source.ensure_bucket(&bucket).await.unwrap();
    assert!(world.source.bucket_exists(&bucket).await.unwrap());
}
