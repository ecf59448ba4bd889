//! Errors that a real Weaviate cannot be made to return.

use std::time::Duration;

use glimpse::domain::{Endpoint, FailureKind, SearchEffort, SearchQuery, Secret};
use glimpse::index::weaviate::{WeaviateIndex, WeaviateSettings};
use glimpse::index::{ImageIndex, IndexError, Quantization};
use serde_json::json;

use super::fake::{Grpc, Rest, Running};
use crate::contract::index::support::{EAST, name, query, record, space};
use crate::support::free_address;

/// The class of the collection `documents`, as `GET /v1/schema/DocumentsImages` returns it.
pub(crate) fn class() -> Rest {
    let types = [
        ("text[]", &["s3_folders", "meta_kv", "terms", "range_terms"][..]),
        ("date", &["indexed_at"]),
        ("object", &["guard"]),
    ];
    let numbers = ["width", "height", "frames", "size_bytes", "indexed_micros", "version"];
    let texts = [
        "s3_key",
        "s3_uri",
        "s3_bucket",
        "format",
        "thumbnail_key",
        "etag",
        "content_sha256",
        "space",
        "meta",
        "payload",
    ];
    let all = types.into_iter().chain([("int", &numbers[..]), ("text", &texts[..])]);
    let properties =
        all.flat_map(|(kind_name, names)| names.iter().map(move |name| json!({"name": name, "dataType": [kind_name]})));
    let mark = json!({"glimpse": {"collection": "documents", "space": space()}}).to_string();
    let class = json!({
        "class": "DocumentsImages", "description": mark, "properties": properties.collect::<Vec<_>>(),
        "vectorIndexConfig": {"distance": "cosine"},
    });
    Rest::Says(200, None, class.to_string())
}

fn failure(error: IndexError) -> FailureKind {
    match error {
        IndexError::Dependency(down) => {
            assert_eq!(down.dependency, "weaviate");
            assert!(!format!("{down:?}").contains("sesame"), "{down:?}");
            down.failure
        }
        other => panic!("{other}"),
    }
}

#[test]
fn it_is_created_without_a_runtime_or_a_connection() {
    let settings = WeaviateSettings {
        url: "http://127.0.0.1:1".parse().unwrap(),
        grpc_url: None,
        api_key: Secret::new("open sesame"),
        timeout: Duration::from_secs(1),
        quantization: Quantization::Int8,
    };
    let index = WeaviateIndex::new(settings.clone()).unwrap();
    assert!(!format!("{index:?}").contains("sesame"), "{index:?}");
    let wrong = WeaviateIndex::new(WeaviateSettings { api_key: Secret::new("open\nsesame"), ..settings }).unwrap_err();
    assert!(wrong.to_string().starts_with("WEAVIATE_API_KEY") && !wrong.to_string().contains("sesame"), "{wrong}");
}

#[tokio::test]
async fn rest_replies_are_classified() {
    let busy = |seconds| FailureKind::Busy { retry_after: Duration::from_secs(seconds) };
    for (rest, means) in [
        (Rest::Says(503, None, "not ready".into()), FailureKind::Failed),
        (Rest::Says(503, Some(("retry-after", "7")), String::new()), busy(7)),
        (Rest::Says(429, Some(("retry-after", "9")), String::new()), busy(9)),
        (Rest::Says(401, None, r#"{"error":[]}"#.into()), FailureKind::Refused),
        (Rest::Says(307, Some(("location", "/elsewhere")), String::new()), FailureKind::Refused),
        (Rest::Says(200, None, "<html>a proxy</html>".into()), FailureKind::Failed),
        (Rest::Says(200, None, " ".repeat((4 << 20) + 1)), FailureKind::Failed),
        (Rest::Silent, FailureKind::TimedOut),
    ] {
        let server = Running::new(rest, Grpc::Refuses(vec![])).await;
        let (index, documents) = (server.index(), name("documents"));
        assert_eq!(failure(index.describe(&documents).await.unwrap_err()), means);
        assert_eq!(failure(index.ensure_image_collection(&documents, &space()).await.unwrap_err()), means);
        assert_eq!(failure(index.search(&documents, &query(EAST, 1)).await.unwrap_err()), means);
        assert_eq!(failure(index.upsert(&documents, &[record("a.jpg", EAST)]).await.unwrap_err()), means);
        assert!(server.calls("BatchObjects").is_empty(), "nothing is written to an unknown collection");
    }
}

#[tokio::test]
async fn grpc_replies_are_classified() {
    let wait = Duration::from_secs(7);
    let server = Running::new(class(), Grpc::Silent).await;
    let (index, documents) = (server.index(), name("documents"));
    for (grpc, means) in [
        (Grpc::Status(14, "maintenance", None), FailureKind::Failed),
        (Grpc::Status(8, "usage limit", Some("7")), FailureKind::Busy { retry_after: wait }),
        (Grpc::Status(16, "wrong key", None), FailureKind::Refused),
        (Grpc::Status(12, "no such service", None), FailureKind::Refused),
        (Grpc::Status(2, "something", None), FailureKind::Failed),
        (Grpc::Silent, FailureKind::TimedOut),
    ] {
        server.grpc_becomes(grpc);
        assert_eq!(failure(index.upsert(&documents, &[record("a.jpg", EAST)]).await.unwrap_err()), means);
        assert_eq!(failure(index.search(&documents, &query(EAST, 1)).await.unwrap_err()), means);
        assert_eq!(failure(index.describe(&documents).await.unwrap_err()), means);
        assert_eq!(failure(index.ready().await.unwrap_err()), means);
    }
    server.grpc_becomes(Grpc::Status(2, "could not find class DocumentsImages in schema", None));
    let error = index.search(&documents, &query(EAST, 1)).await.unwrap_err();
    assert_eq!(error, IndexError::UnknownCollection(documents.clone()));
    assert_eq!(index.describe(&documents).await.unwrap(), None);
    let keys = server.keys();
    assert!(keys.len() > 20 && keys.iter().all(|key| key.as_deref() == Some("Bearer open sesame")), "{keys:?}");
}

#[tokio::test]
async fn a_search_that_panicked_in_the_server_is_repeated_once() {
    let server =
        Running::new(class(), Grpc::Status(2, "panic occurred: index out of range [7] with length 5", None)).await;
    let refused = server.index().search(&name("documents"), &query(EAST, 1)).await.unwrap_err();
    assert_eq!(failure(refused), FailureKind::Failed);
    assert_eq!(server.calls("Search").len(), 2);
}

/// While a class is removed, a request fails in any layer of the server: this message was observed with 1.39.
#[tokio::test]
async fn an_unspecific_error_of_a_class_that_is_missing_now_is_an_unknown_collection() {
    let closed = "explorer: get class: vector search: distance between entrypoint and query node: store already closed";
    let documents = name("documents");
    let unknown = IndexError::UnknownCollection(documents.clone());
    let Rest::Says(_, _, class) = class() else { unreachable!() };
    for refused in [Grpc::Status(2, closed, None), Grpc::Refuses(vec![(0, closed)])] {
        let server = Running::new(Rest::Once(class.clone()), refused).await;
        assert_eq!(server.index().upsert(&documents, &[record("a.jpg", EAST)]).await.unwrap_err(), unknown);
    }
    let server = Running::new(Rest::Once(class.clone()), Grpc::Status(2, closed, None)).await;
    assert_eq!(server.index().search(&documents, &query(EAST, 1)).await.unwrap_err(), unknown);
    let server = Running::new(Rest::Once(class), Grpc::Status(2, closed, None)).await;
    assert_eq!(server.index().describe(&documents).await.unwrap(), None);
}

#[tokio::test]
async fn a_refused_object_is_named_and_deleted() {
    let message = "new node has a vector with length 2. Existing nodes have vectors with length 4";
    let server = Running::new(class(), Grpc::Refuses(vec![(2, message), (1, message)])).await;
    let records = ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg", "g.jpg", "h.jpg"].map(|key| record(key, EAST));
    let refused = server.index().upsert(&name("documents"), &records).await.unwrap_err();
    let IndexError::Rejected { id, reason } = refused else { panic!("{refused}") };
    assert_eq!(id, records[1].id, "the first of those that were refused");
    assert!(!reason.contains("node"), "its own message is only logged: {reason}");
    let deleted = server.calls("BatchDelete");
    assert_eq!(deleted.len(), 1);
    let deleted = String::from_utf8_lossy(&deleted[0]).into_owned();
    for (at, record) in records.iter().enumerate() {
        assert_eq!(deleted.contains(&record.id.to_string()), at == 1 || at == 2, "{at}");
    }
}

#[tokio::test]
async fn a_full_server_is_not_a_failure_of_the_record() {
    let server = Running::new(class(), Grpc::Refuses(vec![(0, "store is read-only due to: disk usage")])).await;
    let records = ["a.jpg", "b.jpg"].map(|key| record(key, EAST));
    let refused = server.index().upsert(&name("documents"), &records).await.unwrap_err();
    assert_eq!(failure(refused), FailureKind::Failed);
    // A position that was not sent belongs to no record.
    server.grpc_becomes(Grpc::Refuses(vec![(-1, "what")]));
    let refused = server.index().upsert(&name("documents"), &records).await.unwrap_err();
    assert_eq!(failure(refused), FailureKind::Failed);
}

#[tokio::test]
async fn large_writes_are_sent_in_limited_requests() {
    let server = Running::new(class(), Grpc::Refuses(vec![])).await;
    // A busy machine takes its time for twelve megabytes.
    let index = WeaviateIndex::new(WeaviateSettings { timeout: Duration::from_mins(1), ..server.settings() }).unwrap();
    let mut records: Vec<_> = (0..600).map(|n| record(&format!("{n}.jpg"), EAST)).collect();
    index.upsert(&name("documents"), &records).await.unwrap();
    assert_eq!(server.calls("BatchObjects").len(), 3);
    // Twice in the payload and once in a term: about twelve megabytes each.
    for record in &mut records[..3] {
        record.payload.meta.insert("k".into(), "x".repeat(4 << 20));
    }
    index.upsert(&name("documents"), &records[..3]).await.unwrap();
    let sizes: Vec<_> = server.calls("BatchObjects")[3..].iter().map(bytes::Bytes::len).collect();
    assert!(sizes.len() == 3 && sizes.iter().all(|size| *size < 16 << 20), "{sizes:?}");
    records[0].payload.meta.insert("k".into(), "x".repeat(32 << 20));
    let refused = index.upsert(&name("documents"), &records[..1]).await.unwrap_err();
    assert!(matches!(&refused, IndexError::Rejected { id, .. } if *id == records[0].id), "{refused}");
    assert_eq!(server.calls("BatchObjects").len(), 6, "it was not sent");
}

#[tokio::test]
async fn a_refused_connection_is_a_failure_of_the_store() {
    let closed: Endpoint = format!("http://{}", free_address()).parse().unwrap();
    let server = Running::new(class(), Grpc::Refuses(vec![])).await;
    let no_rest = WeaviateIndex::new(WeaviateSettings { url: closed.clone(), ..server.settings() }).unwrap();
    assert_eq!(failure(no_rest.ready().await.unwrap_err()), FailureKind::Failed);
    let no_grpc = WeaviateIndex::new(WeaviateSettings { grpc_url: Some(closed), ..server.settings() }).unwrap();
    assert_eq!(failure(no_grpc.ready().await.unwrap_err()), FailureKind::Failed);
    let refused = no_grpc.search(&name("documents"), &query(EAST, 1)).await.unwrap_err();
    assert_eq!(failure(refused), FailureKind::Failed);
}

#[tokio::test]
async fn an_exact_search_of_a_class_that_is_never_searched_as_a_whole_is_refused() {
    let server = Running::new(class(), Grpc::Counts(1_000_000)).await;
    let exact = SearchQuery { effort: SearchEffort::Exact, ..query(EAST, 1) };
    let refused = server.index().search(&name("documents"), &exact).await.unwrap_err();
    let IndexError::NoExactSearch { store: "weaviate", reason } = refused else { panic!("{refused}") };
    assert!(reason.contains("flatSearchCutoff"), "{reason}");
    assert!(server.calls("Search").is_empty());
}

#[tokio::test]
async fn an_exact_search_of_a_large_class_consists_of_ranges() {
    let Rest::Says(_, _, mut body) = class() else { unreachable!() };
    body = body.replace(r#""distance":"cosine""#, r#""distance":"cosine","flatSearchCutoff":40000"#);
    let server = Running::new(Rest::Says(200, None, body), Grpc::Counts(1_000_000)).await;
    let exact = SearchQuery { effort: SearchEffort::Exact, ..query(EAST, 1) };
    assert!(server.index().search(&name("documents"), &exact).await.unwrap().is_empty());
    assert_eq!(server.calls("Search").len(), 36, "1,000,000 objects in ranges of 28,000");
}
