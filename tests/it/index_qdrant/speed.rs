//! How fast records go into the Qdrant of the tests and are found there. A measurement, run by hand:
//! `cargo test --test it -- --ignored --nocapture index_qdrant::speed`.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use glimpse::domain::{Embedding, Filter, ImageRecord, SearchQuery, Space};
use glimpse::index::ImageIndex;

use crate::index_contract::support::{name, record, space};
use crate::support::qdrant::QdrantServer;

const SIZE: usize = 512;
const RECORDS: usize = 10_000;

fn records() -> Vec<ImageRecord> {
    let of = |n: usize| {
        let mut record = record(&format!("images/birds/{n}.jpg"), super::EAST);
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let vector: Vec<f32> = (0..SIZE).map(|at| ((n * 31 + at * 17) % 1_009) as f32 - 504.0).collect();
        record.embedding = Embedding::normalised(vector, SIZE).unwrap();
        record
    };
    (0..RECORDS).map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn of_upserts_and_searches() {
    let qdrant = QdrantServer::start().await;
    let index = super::index(&qdrant.url(), "", Duration::from_mins(1));
    let (records, space) = (records(), Space { dimension: SIZE, ..space() });
    let collection = name("contract-speed");
    for batch in [64, 256] {
        for lanes in [1, 2, 4] {
            index.ensure_image_collection(&collection, &space).await.unwrap();
            let begun = Instant::now();
            #[expect(clippy::disallowed_methods, reason = "one stage")]
            let written = stream::iter(records.chunks(batch))
                .map(|batch| index.upsert(&collection, batch))
                .buffer_unordered(lanes)
                .try_collect::<()>();
            written.await.unwrap();
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let speed = RECORDS as f64 / begun.elapsed().as_secs_f64();
            eprintln!("batches of {batch}, {lanes} at once: {speed:.0} points/s");
            assert!(speed > 2_000.0, "it would hold up a pipeline");
            if (batch, lanes) != (256, 4) {
                index.drop_collection(&collection).await.unwrap();
            }
        }
    }
    // Brute force in a debug build on one side, the adapter and the wire on the other: the few say which is which.
    for count in [RECORDS, 64] {
        index.drop_collection(&collection).await.unwrap();
        index.ensure_image_collection(&collection, &space).await.unwrap();
        for batch in records[..count].chunks(256) {
            index.upsert(&collection, batch).await.unwrap();
        }
        let mut times = Vec::new();
        for record in &records[..50] {
            let embedding = record.embedding.clone();
            let query = SearchQuery { embedding, limit: 10, offset: 0, filter: Filter::default() };
            let begun = Instant::now();
            assert_eq!(index.search(&collection, &query).await.unwrap().len(), 10);
            times.push(begun.elapsed());
        }
        times.sort();
        eprintln!("a search over {count} points: median {:?}, longest {:?}", times[25], times[49]);
    }
}
