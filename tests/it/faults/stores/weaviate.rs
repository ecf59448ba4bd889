//! A Weaviate that cannot take an object, limits requests, or indexes late.

use std::time::{Duration, Instant};

use glimpse::domain::{FailureKind as Kind, Filter};
use glimpse::index::{ImageIndex, IndexError};

use crate::contract::index::support::{EAST, ids, name, query, record};
use crate::contract::index::weaviate::failure::class;
use crate::contract::index::weaviate::fake::{Grpc, Running};

fn kind(error: &IndexError) -> Option<Kind> {
    match error {
        IndexError::Dependency(down) => Some(down.failure),
        _ => None,
    }
}

#[tokio::test]
async fn an_object_that_a_failing_server_could_not_write_is_not_removed() {
    let documents = name("documents");
    let records = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"].map(|key| record(key, EAST));
    for message in [
        "store is read-only due to: disk usage too high",
        "write segment.wal: no space left on device",
        "put object: context deadline exceeded",
        "cannot process batch: not enough memory",
        "server is shutting down",
        "cannot achieve consistency level \"QUORUM\": cannot reach enough replicas",
        "shard busy: structural vector op in progress",
        "leader not found",
    ] {
        let server = Running::new(class(), Grpc::Refuses(vec![(0, message)])).await;
        let refused = server.index().upsert(&documents, &records).await.unwrap_err();
        assert_eq!(kind(&refused), Some(Kind::Failed), "{message}: {refused}");
        assert!(server.calls("BatchDelete").is_empty(), "{message}");
    }
}

#[tokio::test]
async fn quoted_values_in_an_error_do_not_decide_its_class() {
    let documents = name("documents");
    let records = ["timeout.jpg", "a/read-only/no space left.jpg", "c.jpg", "d.jpg"].map(|key| record(key, EAST));
    for (message, deleted) in [
        ("invalid text property 's3_key' on class 'DocumentsImages': not a string: 'timeout.jpg'", 1),
        ("invalid text property 's3_key' on class 'DocumentsImages': a/read-only/no space left.jpg", 1),
        // Its owner is unknown, and it stores nothing without a vector: it stays.
        ("no luck with a/read-only/no space left.jpg", 0),
        ("no luck with timeout.jpg", 0),
    ] {
        let server = Running::new(class(), Grpc::Refuses(vec![(1, message)])).await;
        let refused = server.index().upsert(&documents, &records).await.unwrap_err();
        assert!(matches!(&refused, IndexError::Rejected { id, .. } if *id == records[1].id), "{message}: {refused}");
        assert_eq!(server.calls("BatchDelete").len(), deleted, "{message}");
    }
}

#[tokio::test]
async fn an_unknown_error_for_all_objects_is_a_failure_of_the_server() {
    let server = Running::new(class(), Grpc::Refuses(vec![(0, "odd"), (1, "odd")])).await;
    let records = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"].map(|key| record(key, EAST));
    let refused = server.index().upsert(&name("documents"), &records).await.unwrap_err();
    assert_eq!(kind(&refused), Some(Kind::Failed), "{refused}");
    assert!(server.calls("BatchDelete").is_empty());
}

#[tokio::test]
async fn too_large_messages_are_split_and_only_a_too_large_object_is_refused() {
    let server = Running::new(class(), Grpc::Limits { bytes: 20_000, results: 10_000 }).await;
    let (index, documents) = (server.index(), name("documents"));
    let mut records: Vec<_> = (0..60).map(|n| record(&format!("{n}.jpg"), EAST)).collect();
    index.upsert(&documents, &records).await.unwrap();
    let sent = server.calls("BatchObjects").iter().filter(|body| body.len() <= 20_005).count();
    assert!(sent > 2, "{sent}");
    records[7].payload.meta.insert("k".into(), "x".repeat(40_000));
    let refused = index.upsert(&documents, &records).await.unwrap_err();
    assert!(matches!(&refused, IndexError::Rejected { id, .. } if *id == records[7].id), "{refused}");
}

#[tokio::test]
async fn a_small_limit_of_results_makes_pages_smaller_or_is_reported() {
    let server = Running::new(class(), Grpc::Limits { bytes: usize::MAX, results: 4 }).await;
    let (index, documents) = (server.index(), name("documents"));
    assert!(index.search(&documents, &query(EAST, 4)).await.unwrap().is_empty());
    assert!(ids(&index, &documents).await.is_empty());
    assert!(index.get(&documents, &[record("a.jpg", EAST).id; 9]).await.unwrap().is_empty());
    let mut request = query(EAST, 9);
    request.filter = Filter { min_width: Some(1), ..Filter::default() };
    let refused = index.search(&documents, &request).await.unwrap_err();
    assert_eq!(kind(&refused), Some(Kind::Misconfigured), "{refused}");
    assert!(refused.to_string().contains("QUERY_MAXIMUM_RESULTS"), "{refused}");
}

#[tokio::test]
async fn the_queue_of_vectors_is_waited_for_up_to_a_limit() {
    let server = Running::new(class(), Grpc::Refuses(vec![])).await;
    let (index, documents) = (server.index(), name("documents"));
    server.queue(vec![300, 2, 0]);
    assert_eq!(index.wait_until_indexed(&documents, Duration::from_mins(1)).await.unwrap(), None);
    server.queue(vec![5]);
    let started = Instant::now();
    assert_eq!(index.wait_until_indexed(&documents, Duration::from_millis(200)).await.unwrap(), Some(5));
    assert!(started.elapsed() >= Duration::from_millis(200));
}
