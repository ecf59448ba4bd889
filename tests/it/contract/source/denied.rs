//! A bucket that denies access: the credentials are valid, but not for it. `make test-servers` gets such a pair from
//! MinIO and sets it in the environment (`AWS_…`), where a source without credentials finds it.

use futures::TryStreamExt;
use glimpse::source::{ImageSource, NewObject, S3Settings, S3Source, Scope, SourceError};

use super::World;
use crate::support::environment::{skip, variable};

#[tokio::test]
async fn a_denied_bucket_is_an_error_of_every_call() {
    let Some(world) = World::real().await else { return };
    if variable("S3_TEST_AMBIENT_IS_DENIED").is_none() {
        skip(
            "s3-denied",
            "set S3_TEST_AMBIENT_IS_DENIED, and AWS_ACCESS_KEY_ID and so on to credentials without any permission",
        );
        return;
    }
    world.put("k", b"x").await.unwrap();
    let source = S3Source::new(S3Settings { credentials: None, ..world.settings.clone() }).await.unwrap();
    let scope = Scope { bucket: world.bucket.clone(), prefix: String::new(), start_after: None };
    let errors = [
        source.fetch(&world.listed("k", 1)).await.unwrap_err(),
        source.put(&world.uri("k"), NewObject { bytes: "y".into(), ..NewObject::default() }).await.unwrap_err(),
        source.list(&scope).try_collect::<Vec<_>>().await.unwrap_err(),
        source.bucket_exists(&world.bucket).await.unwrap_err(),
        source.remove(&world.uri("k")).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, SourceError::Denied(_) | SourceError::Operator(_)), "{error}");
    }
    assert_eq!(&world.source.fetch(&world.listed("k", 1)).await.unwrap().bytes[..], b"x");
}
