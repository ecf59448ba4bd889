//! Records are written, replaced, read and deleted.

use glimpse::domain::{Embedding, ImageRecord, StoredImage};
use glimpse::index::{ImageIndex, IndexError};

use super::support::{EAST, NORTH, count, fresh, ids, query, record};

fn same(read: &ImageRecord, written: &ImageRecord) {
    assert_eq!((read.id, &read.uri, &read.payload), (written.id, &written.uri, &written.payload));
    assert!(read.embedding.cosine(&written.embedding) > 0.999_999, "{:?}", read.embedding);
}

pub(crate) async fn upserted_records_are_found_and_deleted_ones_are_not(index: &dyn ImageIndex) {
    let collection = fresh(index, "contract-records").await;
    // Keys that a store could change by mistake.
    let keys = ["a.jpg", "a b/ü+%25.jpg", "/lead.jpg", "a//b.jpg", "quote'\".jpg"];
    let mut records: Vec<_> = keys.iter().map(|key| record(key, EAST)).collect();
    records[0].payload.meta.insert("camera".into(), "a=b".into());
    records[0].payload.thumbnail_key = Some("t.webp".into());
    records[0].payload.etag = None;
    index.upsert(&collection, &records).await.unwrap();
    index.upsert(&collection, &[]).await.unwrap();
    assert_eq!(count(index, &collection).await, 5);
    for written in &records {
        same(&index.get(&collection, &[written.id]).await.unwrap()[0], written);
        let images = index.payloads(&collection, &[written.id]).await.unwrap();
        assert_eq!(images, [StoredImage::from(written.clone())]);
    }
    let never_written = record("never.jpg", EAST).id;
    index.delete(&collection, &[records[1].id, never_written]).await.unwrap();
    index.delete(&collection, &[]).await.unwrap();
    assert_eq!(count(index, &collection).await, 4);
    assert!(index.get(&collection, &[records[1].id, never_written]).await.unwrap().is_empty());
    let found = index.search(&collection, &query(EAST, 10)).await.unwrap();
    assert!(found.len() == 4 && found.iter().all(|hit| hit.id != records[1].id));
    index.drop_collection(&collection).await.unwrap();
}

pub(crate) async fn a_record_is_replaced_completely(index: &dyn ImageIndex) {
    let collection = fresh(index, "contract-replaced").await;
    let (mut one, other) = (record("a.jpg", EAST), record("b.jpg", EAST));
    index.upsert(&collection, &[one.clone(), other]).await.unwrap();
    one = record("a.jpg", NORTH);
    one.payload.width = 7;
    for _ in 0..3 {
        index.upsert(&collection, std::slice::from_ref(&one)).await.unwrap();
    }
    assert_eq!(count(index, &collection).await, 2);
    same(&index.get(&collection, &[one.id]).await.unwrap()[0], &one);
    let hits = index.search(&collection, &query(NORTH, 2)).await.unwrap();
    assert_eq!((hits[0].id, &hits[0].payload), (one.id, &one.payload));
    assert!(hits[0].score > 0.999 && hits[1].score.abs() < 0.001, "{hits:?}");
    index.drop_collection(&collection).await.unwrap();
}

pub(crate) async fn the_last_record_of_a_batch_counts(index: &dyn ImageIndex) {
    let collection = fresh(index, "contract-twice").await;
    let mut last = record("a.jpg", NORTH);
    last.payload.width = 9;
    index.upsert(&collection, &[record("a.jpg", EAST), record("b.jpg", EAST), last.clone()]).await.unwrap();
    assert_eq!(count(index, &collection).await, 2);
    same(&index.get(&collection, &[last.id]).await.unwrap()[0], &last);
    index.drop_collection(&collection).await.unwrap();
}

pub(crate) async fn a_wrong_dimension_is_rejected_and_nothing_is_written(index: &dyn ImageIndex) {
    let collection = fresh(index, "contract-sizes").await;
    let mut bad = record("bad.jpg", EAST);
    bad.embedding = Embedding::normalised(vec![1.0, 0.0], 2).unwrap();
    let refused = index.upsert(&collection, &[record("good.jpg", EAST), bad.clone()]).await.unwrap_err();
    assert!(matches!(&refused, IndexError::Rejected { id, .. } if *id == bad.id), "{refused}");
    assert!(index.get(&collection, &[bad.id]).await.unwrap().is_empty());
    index.drop_collection(&collection).await.unwrap();
}

pub(crate) async fn scan_gives_every_id_in_order(index: &dyn ImageIndex) {
    let collection = fresh(index, "contract-scanned").await;
    assert!(ids(index, &collection).await.is_empty());
    // More than any store returns in one page.
    let records: Vec<_> = (0..2_500).map(|n| record(&format!("{n}.jpg"), EAST)).collect();
    for batch in records.chunks(500) {
        index.upsert(&collection, batch).await.unwrap();
    }
    let mut expected: Vec<_> = records.iter().map(|record| record.id).collect();
    expected.sort();
    assert_eq!(ids(index, &collection).await, expected);
    index.drop_collection(&collection).await.unwrap();
}
