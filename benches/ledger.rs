//! Writing objects into the ledger: the cost of the triggers that mark changed objects as due in other generations, as a
//! ratio to the same ledger without these triggers. `GLIMPSE_BENCH_ROWS` (default 100,000) is the number of objects.

#![expect(clippy::unwrap_used, reason = "a bench may panic")]
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench reads its own variable")]

use std::time::Instant;

use glimpse::domain::{CollectionName, ImageUri, StoreSet};
use glimpse::ledger::{Ledger, ObjectRow, objects};

/// As many objects as a page of the listing has.
const PAGE: u32 = 1_000;
/// Rounds over the same objects with other ETags; the first round inserts them.
const ROUNDS: u32 = 3;

const WITHOUT_TRIGGERS: &str = "DROP TRIGGER object_of_generation; DROP TRIGGER changed_object_of_generation;";
const TWO_GENERATIONS: &str = "INSERT INTO generations(collection, number, physical, state, created_at) VALUES
    ('documents', 1, 'documents', 'current', ''), ('documents', 2, 'documents-g2', 'building', '');";

#[tokio::main]
async fn main() {
    let rows: u32 = std::env::var("GLIMPSE_BENCH_ROWS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let setups = [("without triggers", WITHOUT_TRIGGERS), ("one generation", ""), ("two generations", TWO_GENERATIONS)];
    let mut best = [[f64::MAX; 2]; 3];
    for _ in 0..3 {
        for (times, (_, sql)) in best.iter_mut().zip(setups) {
            let measured = write(rows, sql).await;
            *times = [times[0].min(measured[0]), times[1].min(measured[1])];
        }
    }
    println!("{rows} objects                insert              update");
    for (times, (name, _)) in best.iter().zip(setups) {
        let [insert, update] = [0, 1]
            .map(|at| format!("{:6.2} µs ({:4.2} x)", times[at] * 1e6 / f64::from(rows), times[at] / best[0][at]));
        println!("{name:18} {insert:>19} {update:>19}");
    }
}

/// Returns the seconds of all inserts, and the mean seconds of a round of updates.
async fn write(rows: u32, sql: &'static str) -> [f64; 2] {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    ledger.write(move |tx| tx.execute_batch(sql)).await.unwrap();
    let collection = CollectionName::parse("documents").unwrap();
    let mut times = [0.0; 2];
    for round in 0..ROUNDS {
        for first in (0..rows).step_by(PAGE as usize) {
            let row = |number: u32| ObjectRow {
                uri: ImageUri::new("pipeline", &format!("images/{number:08}.jpg")),
                etag: format!("{round}-{number}"),
                size_bytes: 1_000,
                space: "space".to_owned(),
                stores: StoreSet::parse("embedded"),
            };
            let page: Vec<_> = (first..rows.min(first + PAGE)).map(row).collect();
            let name = collection.clone();
            let started = Instant::now();
            ledger.write(move |tx| objects::put_all(tx, &name, page)).await.unwrap();
            times[usize::from(round > 0)] += started.elapsed().as_secs_f64();
        }
    }
    [times[0], times[1] / f64::from(ROUNDS - 1)]
}
