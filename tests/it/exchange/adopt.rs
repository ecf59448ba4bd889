//! The ledger is lost, and the records of the store are not: they are adopted, and jobs go on as before.

use glimpse::api::replies::JobReply;
use glimpse::domain::ImageUri;
use reqwest::StatusCode;
use serde_json::json;
use tempfile::TempDir;

use crate::exchange::{agrees, put_images, run};
use crate::support::TestApp;
use crate::support::qdrant::QdrantServer;

fn lose_ledger(folder: &TempDir) {
    for name in ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"] {
        std::fs::remove_file(folder.path().join(name)).ok();
    }
    assert!(!folder.path().join("ledger.sqlite").exists());
}

async fn adopts(app: TestApp, variables: &[(&str, &str)], store: &str) {
    put_images(&app).await;
    assert_eq!(app.ingest().await.counts.done, 4);
    let found = app.find("a cat", 4).await;
    let (status, reply) = app.post("/collections/documents/adopt", json!({})).await;
    assert_eq!((status, &reply["code"]), (StatusCode::CONFLICT, &json!("collection_known")), "{reply}");
    let folder = app.stop().await;
    lose_ledger(&folder);
    let app = TestApp::start_in(folder, variables).await;
    let (_, report) = app.post("/collections/documents/verify", json!({})).await;
    assert_eq!((&report["total"], &report["ledger"]), (&json!(4), &json!(0)), "{report}");
    let (code, out, err) = run(&app, &["collections", "adopt", "documents", "--store", store]).await;
    assert!(code == Some(0) && out.contains(&format!("adopted 4 images of `documents` from {store}")), "{out}{err}");
    agrees(&app).await;
    assert_eq!(app.find("a cat", 4).await, found);
    let job = app.ingest_with(json!({"s3_prefix": "images/", "sync": true})).await;
    assert_eq!((job.counts.unchanged, job.counts.done, job.counts.deleted), (4, 0, 0));
    app.bucket.remove(&ImageUri::new("pipeline", "images/panda.jpg")).await.unwrap();
    let job = app.ingest_with(json!({"s3_prefix": "images/", "sync": true, "max_delete_percent": 100})).await;
    assert_eq!((job.counts.unchanged, job.counts.deleted), (3, 1));
    let (code, _, err) = run(&app, &["collections", "adopt", "documents"]).await;
    assert!(code == Some(1) && err.contains("knows the collection `documents` already"), "{err}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_of_the_embedded_store_is_adopted() {
    adopts(TestApp::start().await, &[], "embedded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_of_qdrant_is_adopted() {
    let qdrant = QdrantServer::start().await;
    let url = qdrant.url();
    let variables = [("VECTOR_DB_PROVIDER", "qdrant"), ("QDRANT_URL", url.as_str())];
    adopts(TestApp::start_with(&variables).await, &variables, "qdrant").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_of_another_model_or_store_is_not_adopted() {
    let app = TestApp::start().await;
    put_images(&app).await;
    app.ingest().await;
    let folder = app.stop().await;
    lose_ledger(&folder);
    let app = TestApp::start_in(folder, &[("IMAGE_RESIZE", "pad")]).await;
    for (path, body, status, code) in [
        ("/collections/documents/adopt", json!({}), 409, "space_mismatch"),
        ("/collections/none/adopt", json!({}), 404, "unknown_collection"),
        ("/collections/documents/adopt", json!({"store": "qdrant"}), 422, "invalid_store"),
    ] {
        let (found, reply) = app.post(path, body).await;
        assert_eq!((found.as_u16(), reply["code"].as_str().unwrap()), (status, code), "{reply}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_is_adopted_as_that_of_its_collection() {
    let app = TestApp::start().await;
    put_images(&app).await;
    assert_eq!(app.ingest().await.counts.done, 4);
    let (status, reply) = app.post("/collections/documents/rebuild", json!({"resize": "pad"})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{reply}");
    app.job_until(reply["job_id"].as_str().unwrap(), JobReply::is_final).await;
    let (status, reply) = app.post("/collections/documents/switch", json!({})).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    let found = app.find("a cat", 4).await;
    let folder = app.stop().await;
    lose_ledger(&folder);

    let app = TestApp::start_in(folder, &[("IMAGE_RESIZE", "pad")]).await;
    let adopt = async |body| {
        let (status, reply) = app.post("/collections/documents-g2/adopt", body).await;
        (status.as_u16(), reply)
    };
    let (status, reply) = adopt(json!({})).await;
    assert_eq!((status, &reply["code"]), (409, &json!("several_generations")), "{reply}");
    let (status, first) = app.post("/collections/documents/adopt", json!({})).await;
    assert_eq!((status.as_u16(), &first["code"]), (409, &json!("several_generations")), "in both directions: {first}");
    let (status, reply) = adopt(json!({"collection": "birds"})).await;
    assert_eq!((status, &reply["code"]), (422, &json!("invalid_collection")), "{reply}");
    assert_eq!(app.delete("/collections/documents").await.0, StatusCode::OK);
    let (code, out, err) = run(&app, &["collections", "adopt", "documents-g2"]).await;
    assert!(code == Some(0) && out.contains("adopted 4 images of `documents` from embedded"), "{out}{err}");
    assert!(out.contains("its generation 2, which is the current one"), "{out}");
    agrees(&app).await;
    assert_eq!(app.find("a cat", 4).await, found);
    let (_, generations) = app.get("/collections/documents/generations").await;
    assert_eq!(
        (&generations["current"], generations["generations"].as_array().unwrap().len()),
        (&json!(2), 1),
        "{generations}"
    );
    let job = app.ingest_with(json!({"s3_prefix": "images/", "sync": true})).await;
    assert_eq!((job.counts.unchanged, job.counts.done, job.counts.deleted), (4, 0, 0));
    let (status, reply) = adopt(json!({})).await;
    assert_eq!((status, &reply["code"]), (409, &json!("name_of_generation")), "{reply}");
    app.stop().await;
}
