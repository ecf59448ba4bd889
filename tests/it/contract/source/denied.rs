//! A bucket that denies access: the credentials are valid, but not for it. `make test-servers` gets such a pair from
//! MinIO and sets it in the environment (`AWS_…`), where a source without credentials finds it.

use futures::TryStreamExt;
use glimpse::source::{ImageSource, NewObject, S3Settings, S3Source, Scope, SourceError};

use super::Fixture;
use crate::support::environment::{skip, variable};

#[tokio::test]
async fn a_denied_bucket_is_an_error_of_every_call() {
    let Some(fixture) = Fixture::real().await else { return };
    if variable("S3_TEST_AMBIENT_IS_DENIED").is_none() {
        skip(
            "s3-denied",
            "set S3_TEST_AMBIENT_IS_DENIED, and AWS_ACCESS_KEY_ID and so on to credentials without any permission",
        );
        return;
    }
    fixture.put("k", b"x").await.unwrap();
    let source = S3Source::new(S3Settings { credentials: None, ..fixture.settings.clone() }).await.unwrap();
    let scope = Scope { bucket: fixture.bucket.clone(), prefix: String::new(), start_after: None };
    let errors = [
        source.fetch(&fixture.listed("k", 1)).await.unwrap_err(),
        source.put(&fixture.uri("k"), NewObject { bytes: "y".into(), ..NewObject::default() }).await.unwrap_err(),
        source.list(&scope).try_collect::<Vec<_>>().await.unwrap_err(),
        source.bucket_exists(&fixture.bucket).await.unwrap_err(),
        source.remove(&fixture.uri("k")).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, SourceError::Denied(_) | SourceError::Operator(_)), "{error}");
    }
    assert_eq!(&fixture.source.fetch(&fixture.listed("k", 1)).await.unwrap().bytes[..], b"x");
}
