//! Listings of more than one page, and changes between pages.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use glimpse::domain::ImageUri;
use glimpse::resilience::Concurrently;
use glimpse::source::{ImageSource, NewObject, S3Settings, S3Source, Scope, SourceError};

use super::Fixture;
use crate::support::proxies::http::{HttpProxy, ProxyAction};

/// Keys in a page of every service.
const PAGE: usize = 1_000;

pub(super) async fn a_listing_has_every_key_once_in_order_over_many_pages(fixture: &Fixture) {
    let keys: Vec<String> = (0..2_600).map(|n| format!("many/{n:05} é")).collect();
    let lanes = NonZeroUsize::new(32).unwrap();
    let (source, bucket) = (fixture.source.clone(), fixture.bucket.clone());
    futures::stream::iter(keys.clone())
        .concurrently(lanes, move |key| {
            let (source, uri) = (source.clone(), ImageUri::new(&bucket, &key));
            async move { source.put(&uri, NewObject { bytes: "x".into(), ..NewObject::default() }).await.unwrap() }
        })
        .collect::<Vec<Option<String>>>()
        .await;
    fixture.put("before", b"x").await.unwrap();
    fixture.put("manz", b"x").await.unwrap();
    assert_eq!(fixture.keys("many/", None).await, keys);
    assert_eq!(fixture.keys("many/", Some(&keys[1_233])).await, keys[1_234..]);
    assert_eq!(fixture.keys("many/00", Some("many/00998")).await, keys[998..1_000]);
    assert_eq!(fixture.keys("many/", Some("n")).await, [""; 0]);
    assert_eq!(fixture.keys("", None).await.len(), 2_602);
    let first = async |start_after: Option<&str>, limit| {
        let start_after = start_after.map(str::to_owned);
        let scope = Scope { bucket: fixture.bucket.clone(), prefix: "many/".to_owned(), start_after };
        let found = fixture.source.first(&scope, limit).await.unwrap();
        found.iter().map(|image| image.uri.key().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(first(None, 1).await, keys[..1]);
    assert_eq!(first(Some(&keys[1_233]), 2).await, keys[1_234..1_236]);
    assert_eq!(first(Some("many/00999 éé"), 1).await, keys[1_000..1_001], "after a text that is not a key");
    assert_eq!(first(Some(&keys[2_599]), 1).await, [""; 0]);
    one_refusal_between_pages_is_retried(fixture, &keys).await;
    a_permanent_refusal_ends_the_listing_with_an_error(fixture, &keys).await;
}

/// The same bucket through a proxy that answers `503 Slow Down` to pages after the first, `times` times.
async fn slowed_down(fixture: &Fixture, times: usize) -> (Vec<Result<String, SourceError>>, usize) {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    let http_proxy = HttpProxy::new(fixture.settings.endpoint.as_deref().unwrap(), move |request| {
        let later = request.query().is_some_and(|query| query.contains("continuation-token="));
        if later && count.fetch_add(1, Ordering::SeqCst) < times {
            let body = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
            return ProxyAction::Reply(503, body);
        }
        ProxyAction::Pass
    })
    .await;
    let settings = S3Settings { endpoint: Some(http_proxy.url()), ..fixture.settings.clone() };
    let source = S3Source::new(settings).await.unwrap();
    let scope = Scope { bucket: fixture.bucket.clone(), prefix: "many/".to_owned(), start_after: None };
    let listed = source.list(&scope).map(|image| image.map(|image| image.uri.key().to_owned())).collect().await;
    (listed, requests.load(Ordering::SeqCst))
}

async fn one_refusal_between_pages_is_retried(fixture: &Fixture, keys: &[String]) {
    let (listed, requests) = slowed_down(fixture, 1).await;
    assert_eq!(requests, 3, "two later pages, one of them twice");
    assert_eq!(listed.into_iter().collect::<Result<Vec<_>, _>>().unwrap(), keys);
}

async fn a_permanent_refusal_ends_the_listing_with_an_error(fixture: &Fixture, keys: &[String]) {
    let (mut listed, _) = slowed_down(fixture, usize::MAX).await;
    let error = listed.pop().unwrap().unwrap_err();
    assert!(matches!(&error, SourceError::Dependency(down) if down.failure.is_temporary()), "{error}");
    assert_eq!(listed.into_iter().collect::<Result<Vec<_>, _>>().unwrap(), keys[..PAGE]);
}
