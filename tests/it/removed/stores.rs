//! Crashes and failures between the row in the ledger and the removal of the record from the stores.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{CAT, PANDA, remove, removed, removed_everywhere, restore, start_indexed};
use crate::mirrors::{keys, keys_until};
use crate::support::qdrant::QdrantServer;
use crate::support::{TestApp, demo_image, image_id};

/// Changes the ledger of a stopped service.
fn change_ledger(folder: &std::path::Path, sql: &str) {
    let db = rusqlite::Connection::open(folder.join("ledger.sqlite")).unwrap();
    db.execute_batch(sql).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_the_stores_were_asked_is_repaired_at_the_next_start() {
    let app = start_indexed().await;
    let stopped = app.stop_for_restart().await;
    // What the first transaction of a removal leaves.
    let sql = format!(
        "INSERT INTO tombstones(collection, uri, image, removed_at)
         VALUES ('documents', 's3://pipeline/{CAT}', '{}', '2026-01-01T00:00:00Z');
         DELETE FROM objects WHERE uri = 's3://pipeline/{CAT}'",
        image_id(CAT)
    );
    change_ledger(stopped.data(), &sql);
    let app = stopped.start().await;
    keys_until(&app, &[PANDA]).await;
    removed_everywhere(&app).await;
    let job = app.ingest().await;
    assert_eq!((job.counts.unchanged, job.counts.skipped), (1, 1), "{job:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_left_behind_is_removed_by_a_verification() {
    let app = start_indexed().await;
    let stopped = app.stop_for_restart().await;
    // As after a write that the ledger does not know of.
    let sql = format!(
        "INSERT INTO tombstones(collection, uri, image, removed_at, pending)
         VALUES ('documents', 's3://pipeline/{CAT}', '{}', '2026-01-01T00:00:00Z', 0);
         DELETE FROM objects WHERE uri = 's3://pipeline/{CAT}'",
        image_id(CAT)
    );
    change_ledger(stopped.data(), &sql);
    let app = stopped.start().await;
    assert_eq!(keys(&app).await, [CAT, PANDA]);
    let (_, report) = app.post("/collections/documents/verify", json!({"repair": true})).await;
    assert_eq!(report["differences"][0]["kind"], json!("unknown"), "{report}");
    keys_until(&app, &[PANDA]).await;
    let (_, report) = app.post("/collections/documents/verify", json!({})).await;
    assert_eq!(report["total"], json!(0), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_loses_the_record_when_it_answers() {
    let qdrant = QdrantServer::start().await;
    let url = qdrant.url();
    let variables = [
        ("VECTOR_DB_PROVIDER", "embedded,qdrant"),
        ("QDRANT_URL", url.as_str()),
        ("VECTOR_DB_CIRCUIT_BREAKER_TIMEOUT", "1"),
    ];
    let app = TestApp::start_with(&variables).await;
    app.put(CAT, demo_image("cat.jpg")).await;
    app.put(PANDA, demo_image("panda.jpg")).await;
    assert_eq!(app.ingest().await.counts.done, 2);
    qdrant.stop().await;
    let (status, reply) = remove(&app, CAT).await;
    assert!(status.is_server_error(), "{status} {reply}");
    assert!(removed(&app).await.removed_images[0].pending);
    // It cannot be restored before: a record of an object that does not exist would stay.
    let (status, reply) = restore(&app, CAT).await;
    assert!(status.is_server_error(), "{status} {reply}");
    let app = app.restart().await;
    qdrant.restart().await;
    removed_everywhere(&app).await;
    let deadline = Instant::now() + Duration::from_mins(1);
    while qdrant.points("documents_images").len() != 1 {
        assert!(Instant::now() < deadline, "{:?}", qdrant.points("documents_images"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for provider in ["embedded", "qdrant"] {
        let (status, reply): (_, Value) = app.get(&format!("/images?collection=documents&provider={provider}")).await;
        assert_eq!((status, &reply["count"]), (StatusCode::OK, &json!(1)), "{reply}");
    }
}
