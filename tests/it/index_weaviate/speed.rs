//! What a real server takes, printed: `cargo test --test it -- --ignored --nocapture index_weaviate::speed`.

use std::time::{Duration, Instant};

use glimpse::domain::{Embedding, ImageRecord, SearchQuery, Space};
use glimpse::index::ImageIndex;

use super::Server;
use crate::index_contract::support::{name, query, record, space};

const SIZE: usize = 512;

/// The same direction in every run, another for every number.
fn direction(n: usize) -> Embedding {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(n as u64 + 1);
    let number = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        #[expect(clippy::cast_precision_loss, reason = "any number will do")]
        let number = (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0;
        number
    };
    Embedding::normalised((0..SIZE).map(number).collect(), SIZE).unwrap()
}

fn some(from: usize, count: usize) -> Vec<ImageRecord> {
    let of = |n| ImageRecord { embedding: direction(n), ..record(&format!("photos/{n}.jpg"), [1.0, 0.0, 0.0, 0.0]) };
    (from..from + count).map(of).collect()
}

fn middle(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort();
    (times[times.len() / 2], times[times.len() * 95 / 100])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a test"]
async fn of_writes_and_searches() {
    let Some(server) = Server::real() else { return };
    let test = async {
        let index = &server.index;
        let collection = name("contracted-speed");
        index.ensure_image_collection(&collection, &Space { dimension: SIZE, ..space() }).await.unwrap();
        let mut at = 0;
        for (batch, calls) in [(64, 1), (64, 2), (256, 1), (256, 2)] {
            let batches: Vec<_> = (0..2_560 / batch).map(|n| some(at + n * batch, batch)).collect();
            at += 2_560;
            let begun = Instant::now();
            let lanes = batches.chunks(batches.len() / calls).map(async |batches| {
                for batch in batches {
                    index.upsert(&collection, batch).await.unwrap();
                }
            });
            futures::future::join_all(lanes).await;
            let rate = 2_560.0 / begun.elapsed().as_secs_f64();
            eprintln!("{batch} records a call, {calls} calls at once: {rate:.0} records/s");
        }
        for (what, limit, filtered) in [("", 10, false), ("", 100, false), (", filtered", 10, true)] {
            let mut times = Vec::new();
            for n in 0..200 {
                let mut question = SearchQuery { embedding: direction(100_000 + n), ..query([1.0; 4], limit) };
                question.filter.s3_prefix = filtered.then(|| "photos/".to_owned());
                let begun = Instant::now();
                assert_eq!(index.search(&collection, &question).await.unwrap().len(), limit);
                times.push(begun.elapsed());
            }
            let (p50, p95) = middle(times);
            eprintln!("{limit} hits of {at}{what}: p50 {p50:.1?}, p95 {p95:.1?}");
        }
        let begun = Instant::now();
        index.describe(&collection).await.unwrap();
        eprintln!("describe: {:.1?}", begun.elapsed());
    };
    server.cleaned("contracted-speed", test).await;
}
