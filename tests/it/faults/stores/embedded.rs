//! An embedded index with a damaged row, and its disk space.

use std::path::Path;

use glimpse::domain::{CollectionName, ImageRecord, ImageUri};
use glimpse::index::ImageIndex;
use glimpse::index::embedded::EmbeddedIndex;
use rusqlite::Connection;
use serde_json::json;

use crate::contract::index::support::{EAST, count, fresh, ids, name, query, record, space};
use crate::support::TestApp;

fn catalogue(folder: &Path) -> std::path::PathBuf {
    folder.join("index.sqlite")
}

/// Runs statements on the catalogue, past the index.
fn run_sql(folder: &Path, sql: &str) {
    Connection::open(catalogue(folder)).unwrap().execute_batch(sql).unwrap();
}

fn folders(n: u32) -> ImageRecord {
    record(&format!("a/b/{n}.jpg"), EAST)
}

#[tokio::test]
async fn a_record_whose_payload_is_damaged_is_left_out_and_can_be_replaced_and_removed() {
    for damage in [
        "UPDATE payloads_1 SET payload = 'damaged' WHERE slot IN (1, 2)",
        "UPDATE payloads_1 SET payload = CAST(x'ff00ff' AS TEXT) WHERE slot IN (1, 2)",
        "UPDATE payloads_1 SET payload = '' WHERE slot IN (1, 2)",
        "UPDATE payloads_1 SET payload = '{}' WHERE slot IN (1, 2)",
        "DELETE FROM payloads_1 WHERE slot IN (1, 2)",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let index = EmbeddedIndex::open(folder.path()).unwrap();
        let collection = fresh(&index, "damaged").await;
        let records: Vec<_> = (0..6).map(folders).collect();
        index.upsert(&collection, &records).await.unwrap();
        drop(index);
        run_sql(folder.path(), damage);

        let index = EmbeddedIndex::open(folder.path()).unwrap();
        let nearest = query(EAST, 10);
        assert_eq!(found_len(index.search(&collection, &nearest).await), 4, "{damage}");
        let all: Vec<_> = records.iter().map(|record| record.id).collect();
        assert_eq!(index.get(&collection, &all).await.unwrap().len(), 4, "{damage}");
        index.delete(&collection, &[records[2].id]).await.unwrap();
        index.upsert(&collection, &records[1..2]).await.unwrap();
        assert_eq!(
            (found_len(index.search(&collection, &nearest).await), count(&index, &collection).await),
            (5, 5),
            "{damage}"
        );
        // The slots are used again, and the damaged ones do not interfere.
        for _ in 0..3 {
            index.upsert(&collection, &records).await.unwrap();
        }
        let mut in_folder = query(EAST, 10);
        in_folder.filter.folders = "a/b/".to_owned().into();
        assert_eq!(found_len(index.search(&collection, &in_folder).await), 6, "{damage}");
    }
}

fn found_len<T, E: std::fmt::Debug>(found: Result<Vec<T>, E>) -> usize {
    found.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_over_a_damaged_record_ends() {
    let app = TestApp::start().await;
    let names = app.seed_demo().await;
    assert_eq!(app.ingest().await.status, "SUCCEEDED");
    let stopped = app.stop().await;
    run_sql(&stopped.path().join("index"), "UPDATE payloads_1 SET payload = 'damaged'");
    let app = TestApp::start_in(stopped, &[]).await;
    app.bucket.remove(&ImageUri::new("pipeline", "images/cat.jpg")).await.unwrap();
    let job = app.ingest_with(json!({"s3_prefix": "images/", "sync": true, "max_delete_percent": 100})).await;
    assert_eq!((job.status.as_str(), job.counts.deleted, job.counts.failed), ("SUCCEEDED", 1, 0), "{job:?}");
    assert_eq!(names.len(), 26);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_collection_frees_its_disk_space_while_others_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let index = EmbeddedIndex::open(folder.path()).unwrap();
    let (kept, dropped) = (fresh(&index, "kept").await, fresh(&index, "dropped").await);
    fill(&index, &dropped).await;
    index.upsert(&kept, &[folders(0)]).await.unwrap();
    let before = size(folder.path());
    let more = [folders(1)];
    let (done, written) = futures::join!(index.drop_collection(&dropped), index.upsert(&kept, &more));
    done.unwrap();
    written.unwrap();
    until_smaller(folder.path(), before / 4).await;
    assert_eq!(ids(&index, &kept).await.len(), 2);
    fresh(&index, "dropped").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalogue_of_version_0_1_frees_its_disk_space_too() {
    let folder = tempfile::tempdir().unwrap();
    let index = EmbeddedIndex::open(folder.path()).unwrap();
    let (kept, dropped) = (fresh(&index, "kept").await, fresh(&index, "dropped").await);
    fill(&index, &dropped).await;
    index.upsert(&kept, &[folders(0)]).await.unwrap();
    drop(index);
    // A catalogue of version 0.1; and a drop that was interrupted.
    run_sql(folder.path(), "PRAGMA auto_vacuum = NONE; VACUUM; DELETE FROM collections WHERE name = 'dropped'");
    let before = size(folder.path());
    let index = EmbeddedIndex::open(folder.path()).unwrap();
    until_smaller(folder.path(), before / 4).await;
    assert_eq!(ids(&index, &kept).await.len(), 1);
    assert!(index.describe(&name("dropped")).await.unwrap().is_none());
    index.ensure_image_collection(&name("dropped"), &space()).await.unwrap();
}

/// Some megabytes of payloads.
async fn fill(index: &EmbeddedIndex, collection: &CollectionName) {
    for batch in 0..20_u32 {
        let records: Vec<_> = (0..500)
            .map(|n| {
                let mut record = folders(batch * 500 + n);
                record.payload.content_sha256 = "0".repeat(1_000);
                record
            })
            .collect();
        index.upsert(collection, &records).await.unwrap();
    }
}

fn size(folder: &Path) -> u64 {
    std::fs::metadata(catalogue(folder)).unwrap().len()
}

async fn until_smaller(folder: &Path, bytes: u64) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while size(folder) > bytes {
        assert!(std::time::Instant::now() < deadline, "{} bytes, expected {bytes}", size(folder));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
