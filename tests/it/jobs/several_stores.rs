//! The whole service with two stores: the embedded one, and the fake Qdrant.

use std::time::Duration;

use glimpse::api::replies::{JobReply, SearchReply, VerifyReply};
use glimpse::domain::{CollectionName, ImageId, Secret, Timestamp};
use glimpse::index::ImageIndex;
use glimpse::index::Quantization;
use glimpse::index::qdrant::{QdrantIndex, QdrantSettings};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::commands::{glimpse, stdout};
use crate::support::qdrant::{Limits, QdrantServer};
use crate::support::{TestApp, demo_image};

/// The name of the collection in Qdrant.
const QDRANT_COLLECTION: &str = "documents_images";
/// The number of demo images.
const DEMO_IMAGES: u64 = 26;

/// A service with both stores, which retries Qdrant soon after a failure.
async fn start_with_both_stores(qdrant: &QdrantServer) -> TestApp {
    TestApp::start_with(&variables("embedded,qdrant", &qdrant.url())).await
}

fn variables<'a>(stores: &'a str, url: &'a str) -> Vec<(&'static str, &'a str)> {
    vec![("VECTOR_DB_PROVIDER", stores), ("QDRANT_URL", url), ("VECTOR_DB_CIRCUIT_BREAKER_TIMEOUT", "1")]
}

/// The same server, for changes by hand.
fn raw_index(qdrant: &QdrantServer) -> QdrantIndex {
    let timeout = Duration::from_secs(10);
    QdrantIndex::new(QdrantSettings {
        url: qdrant.url().parse().unwrap(),
        api_key: Secret::default(),
        timeout,
        quantization: Quantization::Int8,
    })
    .unwrap()
}

async fn verify(app: &TestApp, body: Option<Value>) -> VerifyReply {
    let response = app.send(Method::POST, "/collections/documents/verify", body).await;
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.unwrap()
}

async fn search(app: &TestApp, options: &str) -> SearchReply {
    let (status, reply) = app.get(&format!("/search/images?q=an+animal&{options}")).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    serde_json::from_value(reply).unwrap()
}

fn done(job: &JobReply) -> (u64, u64, u64) {
    assert_eq!(job.status, "SUCCEEDED", "{job:?}");
    (job.counts.done, job.counts.unchanged, job.counts.failed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_for_a_store_that_is_down_and_the_counts_agree_at_the_end() {
    let qdrant = QdrantServer::start().await;
    let app = start_with_both_stores(&qdrant).await;
    let keys = app.seed_demo().await;
    let seeded = keys.len() as u64;
    assert_eq!(seeded, DEMO_IMAGES);
    // Down from the middle of the first job on.
    let id = app.submit(json!({"s3_prefix": "images/"})).await;
    app.job_until(&id, |job| job.counts.done > 0).await;
    qdrant.stop().await;
    let job = app.job_until(&id, |job| job.waiting_on.is_some() || job.is_final()).await;
    let waiting = job.waiting_on.expect("more images are left than two lanes hold");
    assert_eq!(waiting.dependency, "qdrant");

    // Indexed images can be found meanwhile, and the service reports that the results are partial.
    let half = search(&app, "provider=all&limit=50").await;
    assert!(!half.results.is_empty() && half.results.iter().all(|hit| hit.stores == ["embedded"]), "{half:?}");
    assert!(half.warnings.len() == 1 && half.warnings[0].starts_with("qdrant "), "{:?}", half.warnings);
    assert!(search(&app, "provider=embedded").await.warnings.is_empty());
    let (status, _) = app.get("/search/images?q=a&provider=qdrant").await;
    assert!(matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE), "{status}");
    let (status, ready) = app.get("/readyz").await;
    assert_eq!((status, ready["warnings"].as_array().unwrap().len()), (StatusCode::OK, 1), "{ready}");
    let (status, _) = app.post("/collections/documents/verify", json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT, "a job is running");

    qdrant.restart().await;
    let job = app.job_until(&id, JobReply::is_final).await;
    assert_eq!(done(&job), (seeded, 0, 0));
    assert_eq!(qdrant.points(QDRANT_COLLECTION).len(), keys.len());
    let agrees = verify(&app, None).await;
    assert!(agrees.agrees && agrees.total == 0 && agrees.compared == seeded, "{agrees:?}");
    assert_eq!(agrees.stores.values().copied().collect::<Vec<_>>(), [seeded; 2]);

    let merged = search(&app, "provider=all&limit=50").await;
    assert_eq!((merged.provider.as_str(), merged.results.len(), merged.warnings.len()), ("all", keys.len(), 0));
    assert!(merged.results.iter().all(|hit| hit.stores == ["embedded", "qdrant"]), "{merged:?}");
    let (embedded, qdrant_hits) = (search(&app, "provider=embedded").await, search(&app, "provider=qdrant").await);
    for ((embedded, qdrant_hits), start_with_both_stores) in
        embedded.results.iter().zip(&qdrant_hits.results).zip(&merged.results)
    {
        assert!(
            embedded.image.id == qdrant_hits.image.id
                && embedded.image.id == start_with_both_stores.image.id
                && (embedded.score - qdrant_hits.score).abs() < 1e-5,
            "{embedded:?} {qdrant_hits:?}"
        );
        assert!(embedded.stores.is_empty(), "a query to one store has hits of that store");
    }
    app.stop().await;
}

/// Fails if the points differ by more than the last bits of their numbers: a vector that is written again is normalised
/// again.
fn assert_same_points(points: &[(Uuid, Vec<f32>)], expected: &[(Uuid, Vec<f32>)]) {
    assert_eq!(points.len(), expected.len());
    for ((id, vector), (expected_id, expected)) in points.iter().zip(expected) {
        let is_same = vector.iter().zip(expected).all(|(one, other)| (one - other).abs() < 1e-6);
        assert!(id == expected_id && is_same, "the same vectors are restored: {id} {expected_id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn points_deleted_by_hand_are_reported_and_restored_without_embedding() {
    let qdrant = QdrantServer::start().await;
    let app = start_with_both_stores(&qdrant).await;
    app.seed_demo().await;
    assert_eq!(done(&app.ingest().await), (DEMO_IMAGES, 0, 0));
    let before = qdrant.points(QDRANT_COLLECTION);
    let deleted: Vec<_> = before.iter().take(10).map(|(id, _)| *id).collect();
    assert_eq!(qdrant.delete_points(QDRANT_COLLECTION, &deleted), 10);

    let found = verify(&app, Some(json!({"repair": false}))).await;
    assert!(!found.agrees && found.total == 10 && found.repaired == 0, "{found:?}");
    let mut named: Vec<_> = found.differences.iter().map(|difference| difference.id.clone()).collect();
    named.sort();
    assert_eq!(named, deleted.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert!(
        found.differences.iter().all(|embedded| embedded.kind == "missing" && embedded.stores == ["qdrant"]),
        "{found:?}"
    );
    assert!(found.differences[0].s3_uri.as_ref().unwrap().starts_with("s3://pipeline/images/"));
    assert_eq!(qdrant.points(QDRANT_COLLECTION).len(), before.len() - 10, "nothing is repaired without --repair");

    let report = verify(&app, Some(json!({"repair": true}))).await;
    assert!(report.agrees && report.total == 10 && report.repaired == 10, "{report:?}");
    assert_same_points(&qdrant.points(QDRANT_COLLECTION), &before);
    assert_eq!(verify(&app, None).await.total, 0);
    // Nothing is left for a job to do.
    assert_eq!(done(&app.ingest().await), (0, DEMO_IMAGES, 0));

    // Another vector under the same id, older than the record itself.
    let raw_index = raw_index(&qdrant);
    let collection = CollectionName::parse("documents").unwrap();
    let ids = [ImageId(deleted[0]), ImageId(deleted[1])];
    let mut records = raw_index.get(&collection, &ids).await.unwrap();
    records[0].embedding = records[1].embedding.clone();
    records[0].payload.indexed_at = Timestamp::parse("2020-01-01T00:00:00Z").unwrap();
    raw_index.upsert(&collection, &records[..1]).await.unwrap();
    let at = [("GLIMPSE_URL", app.url.as_str())];
    let output = glimpse(&at, &["verify"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(
        stdout(&output).contains("unequal") && stdout(&output).contains("1 difference, 0 repaired"),
        "{}",
        stdout(&output)
    );
    let output = glimpse(&at, &["verify", "--repair", "--json", "--collection", "documents"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert_eq!(serde_json::from_slice::<VerifyReply>(&output.stdout).unwrap().repaired, 1);
    let output = glimpse(&at, &["verify"]).await;
    assert!(output.status.success() && stdout(&output).contains("no differences"), "{}", stdout(&output));
    assert_same_points(&qdrant.points(QDRANT_COLLECTION), &before);

    let (status, reply) = app.post("/collections/documents/verify", json!({"sample": 2_000_000})).await;
    assert_eq!((status, reply["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("invalid_sample")));
    let (status, _) = app.post("/collections/nowhere/verify", json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_or_wiped_store_is_filled_by_copies() {
    let qdrant = QdrantServer::start().await;
    let url = qdrant.url();
    let app = TestApp::start_with(&variables("embedded", &url)).await;
    app.seed_demo().await;
    assert_eq!(done(&app.ingest().await), (DEMO_IMAGES, 0, 0));
    let app = app.restart_with(&variables("qdrant,embedded", &url)).await;
    // The new store has no records yet, and this is reported.
    let half = search(&app, "provider=all").await;
    assert_eq!(half.warnings, ["qdrant is left out: there is no collection `documents`"]);
    assert_eq!(done(&app.ingest().await), (DEMO_IMAGES, 0, 0));
    assert_eq!(search(&app, "").await.provider, "qdrant", "the first store answers if none is named");
    assert!(verify(&app, None).await.agrees);

    // Wiped by hand: its collection is created again, and the ledger forgets its records there.
    let collection = CollectionName::parse("documents").unwrap();
    raw_index(&qdrant).drop_collection(&collection).await.unwrap();
    assert_eq!(done(&app.ingest().await), (DEMO_IMAGES, 0, 0));
    assert_eq!(qdrant.points(QDRANT_COLLECTION).len() as u64, DEMO_IMAGES);
    // Restored from an older backup: it has fewer records than the ledger assumes.
    let ids: Vec<_> = qdrant.points(QDRANT_COLLECTION).iter().take(3).map(|(id, _)| *id).collect();
    qdrant.delete_points(QDRANT_COLLECTION, &ids);
    assert_eq!(done(&app.ingest().await), (3, DEMO_IMAGES - 3, 0));
    assert!(verify(&app, None).await.agrees);

    // Removed from all stores, or from none.
    qdrant.stop().await;
    let (status, _) = app.delete("/collections/documents").await;
    assert!(status.is_server_error(), "{status}");
    assert_eq!(search(&app, "provider=embedded&limit=50").await.results.len() as u64, DEMO_IMAGES);
    qdrant.restart().await;
    // Until its breaker lets a call through again.
    while app.get("/readyz").await.1.get("warnings").is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(app.delete("/collections/documents").await.0, StatusCode::OK);
    assert!(qdrant.points(QDRANT_COLLECTION).is_empty());
    assert_eq!(app.delete("/collections/documents").await.0, StatusCode::NOT_FOUND);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_between_ledger_and_stores_are_found_and_repaired() {
    let qdrant = QdrantServer::start().await;
    let app = start_with_both_stores(&qdrant).await;
    let keys = app.seed_demo().await;
    assert_eq!(done(&app.ingest().await), (DEMO_IMAGES, 0, 0));
    // Removed from both stores, past the ledger.
    let hit = search(&app, "limit=1").await.results.remove(0);
    let id = hit.image.id.parse().unwrap();
    qdrant.delete_points(QDRANT_COLLECTION, &[id]);
    let folder = app.stop().await;
    {
        let index = glimpse::index::embedded::EmbeddedIndex::open(&folder.path().join("index")).unwrap();
        let collection = CollectionName::parse("documents").unwrap();
        index.delete(&collection, &[ImageId(id)]).await.unwrap();
    }
    let url = qdrant.url();
    let app = TestApp::start_in(folder, &variables("embedded,qdrant", &url)).await;
    let found = verify(&app, None).await;
    let kinds: Vec<_> =
        found.differences.iter().map(|embedded| (embedded.kind.as_str(), embedded.s3_uri.clone())).collect();
    assert_eq!(kinds, [("lost", Some(hit.image.s3_uri.clone()))]);
    assert!(verify(&app, Some(json!({"repair": true}))).await.agrees);
    assert_eq!(done(&app.ingest().await), (1, DEMO_IMAGES - 1, 0), "forgotten images are indexed again");

    // A new ledger with old stores: it learns what they have, and reads no image again.
    let folder = app.stop().await;
    for file in ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"] {
        std::fs::remove_file(folder.path().join(file)).ok();
    }
    let app = TestApp::start_in(folder, &variables("embedded,qdrant", &url)).await;
    let found = verify(&app, None).await;
    assert_eq!((found.total, found.ledger), (keys.len() as u64, 0));
    assert!(found.differences.iter().all(|embedded| embedded.kind == "unknown"), "{found:?}");
    assert!(verify(&app, Some(json!({"repair": true}))).await.agrees);
    assert_eq!(done(&app.ingest().await), (0, DEMO_IMAGES, 0));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exact_search_names_the_store_that_refuses_it() {
    let qdrant = QdrantServer::start().await;
    let app = start_with_both_stores(&qdrant).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    app.ingest().await;
    let exact = search(&app, "provider=all&exact=true").await;
    assert_eq!(
        (&exact.results[0].stores[..], exact.warnings.len()),
        (&["embedded".to_owned(), "qdrant".to_owned()][..], 0)
    );
    qdrant.set_limits(Limits { no_exact: true, ..Limits::default() });
    let exact = search(&app, "provider=all&exact=true").await;
    assert_eq!(exact.results[0].stores, ["embedded"]);
    assert!(exact.warnings[0].contains("qdrant cannot search exactly"), "{:?}", exact.warnings);
    assert_eq!(search(&app, "provider=qdrant").await.results.len(), 1, "other searches are allowed");
    let body = json!({"positive": [{"text": "a cat"}], "provider": "qdrant", "exact": true});
    let (status, reply) = app.post("/search/images", body).await;
    assert_eq!((status, &reply["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("invalid_exact")), "{reply}");
    let (status, reply) = app.get("/search/images?q=a&exact=perhaps").await;
    assert_eq!((status, &reply["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("invalid_exact")), "{reply}");
}
