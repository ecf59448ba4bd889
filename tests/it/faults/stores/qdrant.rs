//! A Qdrant that is too old, limits requests, or returns scores of another version of a record.

use std::time::Duration;

use glimpse::domain::{FailureKind as Kind, Secret};
use glimpse::index::Quantization;
use glimpse::index::qdrant::{QdrantIndex, QdrantSettings};
use glimpse::index::{EnsureOutcome, ImageIndex, IndexError};
use reqwest::StatusCode;
use serde_json::json;

use crate::cli::commands::{glimpse, stdout};
use crate::contract::index::support::{EAST, count, fresh, ids, name, query, record, space};
use crate::support::TestApp;
use crate::support::qdrant::{Limits, QdrantServer};

fn index(qdrant: &QdrantServer) -> QdrantIndex {
    let timeout = Duration::from_mins(1);
    QdrantIndex::new(QdrantSettings {
        url: qdrant.url().parse().unwrap(),
        api_key: Secret::default(),
        timeout,
        quantization: Quantization::Int8,
    })
    .unwrap()
}

async fn app(qdrant: &QdrantServer) -> TestApp {
    TestApp::start_with(&[("VECTOR_DB_PROVIDER", "qdrant"), ("QDRANT_URL", &qdrant.url())]).await
}

/// The message of a server that must be changed.
fn sentence(error: &IndexError) -> String {
    match error {
        IndexError::Dependency(down) if down.failure == Kind::Misconfigured => down.for_client(),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_qdrant_before_1_16_is_refused_with_both_versions_before_anything_is_made() {
    let qdrant = QdrantServer::start().await;
    qdrant.set_version(Some("1.15.4"));
    let app = app(&qdrant).await;
    let has_both = |text: &str| assert!(text.contains("1.15.4") && text.contains("1.16"), "{text}");
    app.seed_demo().await;

    let job = app.ingest().await;
    assert_eq!((job.status.as_str(), job.counts.failed), ("FAILED", 0), "{job:?}");
    has_both(&job.message.clone().unwrap_or_default());
    let (status, ready) = app.get("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{ready}");
    has_both(ready["message"].as_str().unwrap());
    let (_, shown) = app.get("/status").await;
    has_both(&shown["stores"].to_string());
    let data = tempfile::tempdir().unwrap();
    let url = qdrant.url();
    let variables = [
        ("VECTOR_DB_PROVIDER", "qdrant"),
        ("QDRANT_URL", url.as_str()),
        ("GLIMPSE_DATA_DIR", data.path().to_str().unwrap()),
        ("GLIMPSE_URL", app.url.as_str()),
    ];
    has_both(&stdout(&glimpse(&variables, &["doctor"]).await));
    assert_eq!((qdrant.calls("create"), qdrant.calls("upsert")), (0, 0), "nothing is created");

    // After an upgrade the same process uses it.
    qdrant.set_version(Some("1.16.0"));
    let job = app.ingest().await;
    assert_eq!((job.status.as_str(), job.counts.done), ("SUCCEEDED", 26), "{job:?}");
    assert_eq!(app.get("/readyz").await.0, StatusCode::OK);
    app.stop().await;
}

#[tokio::test]
async fn a_qdrant_with_a_hidden_version_is_checked_by_a_trial() {
    let qdrant = QdrantServer::start().await;
    let collection = name("hidden-version");
    for version in [None, Some(""), Some("dev")] {
        qdrant.set_version(version);
        qdrant.set_limits(Limits { no_metadata: true, ..Limits::default() });
        let refused = index(&qdrant).ensure_image_collection(&collection, &space()).await.unwrap_err();
        assert!(sentence(&refused).contains("1.16"), "{refused}");
        qdrant.set_limits(Limits::default());
        assert_eq!(index(&qdrant).describe(&collection).await.unwrap(), None, "the created collection is removed");
        let created = index(&qdrant).ensure_image_collection(&collection, &space()).await.unwrap();
        assert_eq!(created, EnsureOutcome::Created, "{version:?}");
        index(&qdrant).ready().await.unwrap();
        index(&qdrant).drop_collection(&collection).await.unwrap();
    }
    qdrant.set_version(Some("1.16.0-dev"));
    assert_eq!(index(&qdrant).ensure_image_collection(&collection, &space()).await.unwrap(), EnsureOutcome::Created);
}

#[tokio::test]
async fn a_qdrant_that_was_replaced_by_an_older_one_is_named_without_advice_to_remove_a_collection() {
    let qdrant = QdrantServer::start().await;
    let collection = fresh(&index(&qdrant), "downgraded").await;
    index(&qdrant).upsert(&collection, &[record("a.jpg", EAST)]).await.unwrap();
    qdrant.set_version(Some("1.15.4"));
    let older = index(&qdrant);
    for refused in [
        older.upsert(&collection, &[record("b.jpg", EAST)]).await.unwrap_err(),
        older.describe(&collection).await.unwrap_err(),
        older.collections().await.unwrap_err(),
        older.search(&collection, &query(EAST, 1)).await.unwrap_err(),
        older.ensure_image_collection(&collection, &space()).await.unwrap_err(),
        older.drop_collection(&collection).await.unwrap_err(),
    ] {
        let text = sentence(&refused);
        assert!(text.contains("1.15.4") && text.contains("1.16") && !text.contains("remove"), "{text}");
    }
    assert_eq!(qdrant.points("downgraded_images").len(), 1, "nothing was written or removed");
    qdrant.set_version(Some("1.19.0"));
    assert_eq!(count(&index(&qdrant), &collection).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_strict_mode_requests_become_smaller_and_everything_is_indexed() {
    for forbids in [false, true] {
        let qdrant = QdrantServer::start().await;
        let limits = Limits { upsert: Some(1), query: Some(5), no_exact: true, forbids, ..Limits::default() };
        qdrant.set_limits(limits);
        let app = app(&qdrant).await;
        app.seed_demo().await;
        let job = app.ingest().await;
        assert_eq!((job.status.as_str(), job.counts.done, job.counts.failed), ("SUCCEEDED", 26, 0), "{job:?}");
        let (status, found) = app.get("/search/images?q=an+animal&limit=26").await;
        assert_eq!((status, found["results"].as_array().map(Vec::len)), (StatusCode::OK, Some(26)), "{found}");
        let (status, verified) = app.post("/collections/documents/verify", json!({})).await;
        assert_eq!(status, StatusCode::OK, "{verified}");
        assert_eq!((qdrant.largest("upsert limit"), qdrant.largest("limit")), (1, 5));
        app.stop().await;
    }
}

#[tokio::test]
async fn smaller_pages_in_strict_mode_give_the_same_results() {
    let qdrant = QdrantServer::start().await;
    let whole = index(&qdrant);
    let collection = fresh(&whole, "paged").await;
    qdrant.set_limits(Limits { upsert: Some(15), ..Limits::default() });
    let records: Vec<_> = (0..40_u16).map(|n| record(&format!("{n}.jpg"), [1.0, f32::from(n / 4), 0.0, 0.0])).collect();
    whole.upsert(&collection, &records).await.unwrap();
    assert_eq!((qdrant.calls("upsert"), qdrant.largest("upsert limit")), (4, 15), "one is refused, three are accepted");
    let request = query(EAST, 25);
    let expected = whole.search(&collection, &request).await.unwrap();
    let all_ids = ids(&whole, &collection).await;
    qdrant.set_limits(Limits { query: Some(7), ..Limits::default() });
    let cut = index(&qdrant);
    assert_eq!(cut.search(&collection, &request).await.unwrap(), expected);
    assert_eq!(ids(&cut, &collection).await, all_ids);
    // The limit is remembered: it is not exceeded a second time.
    let before = qdrant.calls("query");
    cut.search(&collection, &query(EAST, 1)).await.unwrap();
    assert_eq!(qdrant.calls("query") - before, 2, "9 points in pages of 7");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_cannot_be_met_ends_the_job_with_the_servers_message() {
    for (limits, text) in [
        (Limits { points: Some(10), upsert: Some(5), ..Limits::default() }, "Max points count limit of 10"),
        (Limits { indexes: Some(2), ..Limits::default() }, "maximum number of payload indices (2)"),
        (Limits { indexes: Some(2), forbids: true, ..Limits::default() }, "maximum number of payload indices (2)"),
    ] {
        let qdrant = QdrantServer::start().await;
        qdrant.set_limits(limits);
        let app = app(&qdrant).await;
        app.seed_demo().await;
        let job = app.ingest().await;
        assert_eq!((job.status.as_str(), job.counts.failed), ("FAILED", 0), "{job:?}");
        let message = job.message.clone().unwrap_or_default();
        assert!(message.contains(text) && message.contains("strict mode"), "{message}");
        // After the limit is raised, finished work is kept.
        qdrant.set_limits(Limits::default());
        let job = app.ingest().await;
        assert_eq!((job.status.as_str(), job.counts.done + job.counts.unchanged), ("SUCCEEDED", 26), "{job:?}");
        app.stop().await;
    }
}

#[tokio::test]
async fn too_large_messages_are_split_and_only_a_too_large_record_is_refused() {
    let qdrant = QdrantServer::start().await;
    let index = index(&qdrant);
    let collection = fresh(&index, "messages").await;
    qdrant.set_limits(Limits { message: Some(20_000), ..Limits::default() });
    let mut records: Vec<_> = (0..200).map(|n| record(&format!("{n}.jpg"), EAST)).collect();
    index.upsert(&collection, &records).await.unwrap();
    assert_eq!(qdrant.points("messages_images").len(), 200);
    records[7].payload.meta.insert("k".into(), "x".repeat(40_000));
    let refused = index.upsert(&collection, &records).await.unwrap_err();
    assert!(matches!(&refused, IndexError::Rejected { id, .. } if *id == records[7].id), "{refused}");
    assert!(refused.to_string().contains("20000"), "{refused}");
    records.remove(7);
    index.upsert(&collection, &records).await.unwrap();
}

#[tokio::test]
async fn a_score_is_the_cosine_with_the_vector_of_the_hit() {
    let qdrant = QdrantServer::start().await;
    let index = index(&qdrant);
    let collection = fresh(&index, "editions").await;
    let records = [record("a.jpg", [0.8, 0.6, 0.0, 0.0]), record("b.jpg", [0.6, 0.8, 0.0, 0.0])];
    index.upsert(&collection, &records).await.unwrap();
    // As during a replacement of points: the scores are of the previous version.
    qdrant.set_limits(Limits { stale_scores: true, ..Limits::default() });
    let request = query(EAST, 2);
    for (hit, record) in index.search(&collection, &request).await.unwrap().iter().zip(&records) {
        let cosine = record.embedding.cosine(&request.embedding);
        assert!(hit.id == record.id && (hit.score - cosine).abs() < 1e-6, "{hit:?} against {cosine}");
    }
}
