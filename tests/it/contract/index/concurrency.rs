//! Readers and writers at the same time.

use std::sync::atomic::{AtomicBool, Ordering};

use glimpse::domain::{CollectionName, ImageRecord};
use glimpse::index::ImageIndex;

use super::support::{fresh, query, record};

const RECORDS: u32 = 64;
const ROUNDS: u32 = 60;

/// The `n`th record in its `round`th version. Vector and payload both have the round and the record: if they disagree,
/// a reader got halves of two versions.
fn edition(n: u32, round: u32) -> ImageRecord {
    let mut record = record(&format!("{n}.jpg"), vector(n, round));
    (record.payload.width, record.payload.height) = (n, round);
    record
}

fn vector(n: u32, round: u32) -> [f32; 4] {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let angle = (n * ROUNDS + round) as f32 * 1e-3;
    [angle.cos(), angle.sin(), 0.5, 0.0]
}

/// For a networked store, too: the score is that of the vector that came with the payload (ADR 0011).
pub(crate) async fn readers_get_whole_records_while_writers_replace_them(index: &dyn ImageIndex) {
    let collection = fresh(index, "contract-concurrent").await;
    let all = |round| (0..RECORDS).map(|n| edition(n, round)).collect::<Vec<_>>();
    index.upsert(&collection, &all(0)).await.unwrap();
    let done = AtomicBool::new(false);
    let write = async {
        for round in 1..ROUNDS {
            index.upsert(&collection, &all(round)).await.unwrap();
        }
        done.store(true, Ordering::Relaxed);
    };
    futures::join!(write, read(index, &collection, &done), read(index, &collection, &done));
    index.drop_collection(&collection).await.unwrap();
}

async fn read(index: &dyn ImageIndex, collection: &CollectionName, done: &AtomicBool) {
    let question = query([0.6, 0.8, 0.1, 0.0], 1_000);
    while !done.load(Ordering::Relaxed) {
        let hits = index.search(collection, &question).await.unwrap();
        assert_eq!(hits.len(), RECORDS as usize, "a record is found before, during and after its replacement");
        for hit in hits {
            let edition = edition(hit.payload.width, hit.payload.height);
            let cosine = edition.embedding.cosine(&question.embedding);
            assert!(hit.id == edition.id && (hit.score - cosine).abs() < 1e-5, "{hit:?} against {cosine}");
        }
        let ids: Vec<_> = (0..RECORDS).map(|n| edition(n, 0).id).collect();
        for record in index.get(collection, &ids).await.unwrap() {
            let edition = edition(record.payload.width, record.payload.height);
            assert!(record.id == edition.id && record.embedding.cosine(&edition.embedding) > 0.999_999, "{record:?}");
        }
    }
}
