//! A server that is down, slow, busy or full, or refuses access.

use std::time::{Duration, Instant};

use glimpse::domain::{FailureKind as Kind, ImageId};
use glimpse::index::{ImageIndex, IndexError};
use glimpse::resilience::Retryable;

use super::{EAST, index};
use crate::contract::index::support::{count, fresh, name, query, record, space};
use crate::support::qdrant::{QdrantServer, ServerFault};

/// The result of every method.
async fn outcomes(index: &dyn ImageIndex) -> Vec<IndexError> {
    let (collection, one) = (name("contract-failure"), record("a.jpg", EAST));
    let scanned = async {
        let ids: Result<Vec<ImageId>, _> = futures::TryStreamExt::try_collect(index.scan(&collection)).await;
        ids.map(|_| ())
    };
    let request = query(EAST, 1);
    let results = [
        index.ready().await,
        index.ensure_image_collection(&collection, &space()).await.map(|_| ()),
        index.describe(&collection).await.map(|_| ()),
        index.collections().await.map(|_| ()),
        index.upsert(&collection, std::slice::from_ref(&one)).await,
        index.delete(&collection, &[one.id]).await,
        index.search(&collection, &request).await.map(|_| ()),
        index.get(&collection, &[one.id]).await.map(|_| ()),
        scanned.await,
        index.drop_collection(&collection).await,
    ];
    results.into_iter().map(Result::unwrap_err).collect()
}

fn kind(error: &IndexError) -> Kind {
    match error {
        IndexError::Dependency(error) => {
            assert_eq!(error.dependency, "qdrant");
            error.failure
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn each_failure_is_distinguished_in_every_method() {
    let qdrant = QdrantServer::start().await;
    let (slow_client, quick_client) =
        (index(&qdrant.url(), "", Duration::from_mins(1)), index(&qdrant.url(), "", Duration::from_millis(300)));
    let collection = fresh(&slow_client, "contract-failure").await;
    let busy = Kind::Busy { retry_after: Duration::from_secs(7) };
    for (failure, index, expected) in [
        (ServerFault::Unavailable, &slow_client, Kind::Failed),
        (ServerFault::Exhausted(7), &slow_client, busy),
        (ServerFault::Full, &slow_client, Kind::Full),
        (ServerFault::Slow(Duration::from_mins(5)), &quick_client, Kind::TimedOut),
    ] {
        qdrant.fail(failure);
        for error in outcomes(index).await {
            assert_eq!(kind(&error), expected, "{failure:?}: {error}");
            assert!(error.is_retryable());
        }
    }
    qdrant.fail(ServerFault::None);
    slow_client.upsert(&collection, &[record("a.jpg", EAST)]).await.unwrap();
}

#[tokio::test]
async fn the_time_limit_holds_for_both_attempts_together() {
    let qdrant = QdrantServer::start().await;
    let index = index(&qdrant.url(), "", Duration::from_secs(1));
    qdrant.fail(ServerFault::Slow(Duration::from_mins(5)));
    let started = Instant::now();
    assert_eq!(kind(&index.ready().await.unwrap_err()), Kind::TimedOut);
    // The client's own limit is two seconds, and then it would try again.
    assert!(started.elapsed() < Duration::from_millis(1_900), "{:?}", started.elapsed());
    // A slow server is not down, as long as it is within the limit.
    qdrant.fail(ServerFault::Slow(Duration::from_millis(20)));
    index.ready().await.unwrap();
}

#[tokio::test]
async fn a_stopped_server_fails_and_is_used_again_after_its_restart() {
    let qdrant = QdrantServer::start().await;
    let index = index(&qdrant.url(), "", Duration::from_secs(10));
    let collection = fresh(&index, "contract-failure").await;
    index.upsert(&collection, &[record("a.jpg", EAST)]).await.unwrap();
    for _ in 0..3 {
        qdrant.stop().await;
        for error in outcomes(&index).await {
            assert_eq!(kind(&error), Kind::Failed, "{error}");
            assert!(error.is_retryable());
        }
        qdrant.restart().await;
        index.ready().await.unwrap();
        assert_eq!(count(&index, &collection).await, 1, "it still has its points");
    }
    index.upsert(&collection, &[record("b.jpg", EAST)]).await.unwrap();
    assert_eq!(qdrant.points(&super::collection_in_qdrant(&collection)).len(), 2);
}

#[tokio::test]
async fn an_unreachable_server_blocks_nothing_and_fails() {
    let qdrant = QdrantServer::start().await;
    let url = qdrant.url();
    drop(qdrant);
    let index = index(&url, "", Duration::from_secs(5));
    for error in outcomes(&index).await {
        assert_eq!(kind(&error), Kind::Failed, "{error}");
    }
}

#[tokio::test]
async fn https_to_a_server_without_tls_fails() {
    let qdrant = QdrantServer::start().await;
    let index = index(&qdrant.url().replace("http://", "https://"), "", Duration::from_secs(5));
    let error = index.ready().await.unwrap_err();
    assert!(kind(&error) == Kind::Failed && error.to_string().contains("cannot connect"), "{error}");
}

#[tokio::test]
async fn an_unfinished_write_is_not_a_success() {
    let qdrant = QdrantServer::start().await;
    let index = index(&qdrant.url(), "", Duration::from_secs(5));
    let collection = fresh(&index, "contract-waits").await;
    let one = record("a.jpg", EAST);
    qdrant.fail(ServerFault::WaitTimeout);
    let error = index.upsert(&collection, std::slice::from_ref(&one)).await.unwrap_err();
    assert!(kind(&error) == Kind::TimedOut && error.is_retryable(), "{error}");
    assert_eq!(kind(&index.delete(&collection, &[one.id]).await.unwrap_err()), Kind::TimedOut);
    assert!(index.search(&collection, &query(EAST, 1)).await.unwrap().is_empty());
    qdrant.fail(ServerFault::None);
    index.upsert(&collection, &[one]).await.unwrap();
    assert_eq!(count(&index, &collection).await, 1);
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_never_retried() {
    let qdrant = QdrantServer::with_key("right").await;
    for wrong in ["", "hunter2"] {
        for error in outcomes(&index(&qdrant.url(), wrong, Duration::from_secs(5))).await {
            assert!(kind(&error) == Kind::Refused && !error.is_retryable(), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
    let index = index(&qdrant.url(), "right", Duration::from_secs(5));
    index.ready().await.unwrap();
    fresh(&index, "contract-key").await;
}

#[tokio::test]
async fn the_rest_port_is_replaced_by_the_grpc_port() {
    let index = index("http://127.0.0.1:6333", "", Duration::from_secs(5));
    assert!(format!("{index:?}").contains("http://127.0.0.1:6334"), "{index:?}");
}

#[tokio::test]
async fn empty_requests_are_not_sent() {
    let qdrant = QdrantServer::start().await;
    let index = index(&qdrant.url(), "", Duration::from_secs(5));
    let nowhere = name("contract-nothing");
    assert!(index.search(&nowhere, &query(EAST, 0)).await.unwrap().is_empty());
    index.upsert(&nowhere, &[]).await.unwrap();
    index.delete(&nowhere, &[]).await.unwrap();
    assert!(index.get(&nowhere, &[]).await.unwrap().is_empty());
    for method in ["info", "query", "upsert", "delete", "get"] {
        assert_eq!(qdrant.calls(method), 0, "{method}");
    }
}

#[tokio::test]
async fn a_point_that_another_client_removed_is_not_an_error() {
    let qdrant = QdrantServer::start().await;
    let index = index(&qdrant.url(), "", Duration::from_secs(5));
    let collection = fresh(&index, "contract-tampered").await;
    let records = ["a.jpg", "b.jpg"].map(|key| record(key, EAST));
    index.upsert(&collection, &records).await.unwrap();
    assert_eq!(qdrant.delete_points(&super::collection_in_qdrant(&collection), &[records[0].id.0]), 1);
    assert_eq!(crate::contract::index::support::ids(&index, &collection).await, [records[1].id]);
}
