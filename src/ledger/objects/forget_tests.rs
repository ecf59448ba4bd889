use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::domain::StoreSet;
use crate::ledger::objects::forget::*;
use crate::ledger::{Ledger, ObjectRow, objects};

/// More objects than two steps can process.
const OBJECTS: u32 = 2 * ROWS_PER_STEP + 500;

fn collection() -> CollectionName {
    CollectionName::parse("large").unwrap()
}

fn known(n: u32, stores: &'static [&'static str]) -> ObjectRow {
    let uri = ImageUri::new("b", &format!("images/{n:08}.jpg"));
    ObjectRow {
        uri,
        etag: "e".to_owned(),
        size_bytes: 1,
        space: "s".to_owned(),
        stores: stores.iter().copied().collect(),
    }
}

async fn ledger_with(objects: u32, stores: &'static [&'static str]) -> (tempfile::TempDir, Ledger) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let rows = (0..objects).map(|n| known(n, stores)).collect();
    ledger.write(move |tx| objects::put_all(tx, &collection(), rows)).await.unwrap();
    (folder, ledger)
}

async fn count(ledger: &Ledger) -> u32 {
    let sql = "SELECT count(*) FROM objects";
    ledger.read(move |db| db.query_row(sql, (), |row| row.get(0))).await.unwrap()
}

async fn begin(ledger: &Ledger) -> bool {
    ledger.write(|tx| begin_drop(tx, &collection())).await.unwrap()
}

async fn some(ledger: &Ledger) -> bool {
    ledger.write(|tx| forget_some(tx, &collection())).await.unwrap()
}

async fn rows(ledger: &Ledger) -> Vec<ObjectRow> {
    ledger.read(|db| objects::page(db, &collection(), None, OBJECTS)).await.unwrap()
}

#[tokio::test]
async fn a_collection_is_forgotten_in_steps_and_its_mark_survives_a_crash() {
    let (folder, ledger) = ledger_with(OBJECTS, &["embedded"]).await;
    assert!(begin(&ledger).await, "its objects are known");
    assert!(some(&ledger).await);
    assert_eq!(count(&ledger).await, OBJECTS - ROWS_PER_STEP);
    drop(ledger);
    let ledger = Ledger::open(folder.path()).unwrap();
    assert_eq!(ledger.read(dropping).await.unwrap(), [collection()]);
    while some(&ledger).await {}
    assert_eq!(count(&ledger).await, 0);
    assert!(begin(&ledger).await, "the mark shows that the collection was known");
    ledger.write(|tx| end_drop(tx, &collection())).await.unwrap();
    assert!(ledger.read(dropping).await.unwrap().is_empty());
    assert!(!begin(&ledger).await);
}

#[tokio::test]
async fn other_calls_run_between_the_steps() {
    let (_folder, ledger) = ledger_with(OBJECTS, &["embedded", "qdrant"]).await;
    let (finished, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let other_calls = {
        let (ledger, finished, calls) = (ledger.clone(), finished.clone(), calls.clone());
        async move {
            while !finished.load(Ordering::SeqCst) {
                // A call that writes waits for one step, not for all of them.
                let none = ImageUri::new("b", "none.jpg");
                ledger.write(move |tx| objects::forget(tx, &collection(), &none)).await.unwrap();
                calls.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let forget = async {
        ledger.in_steps(forget_store(collection(), "qdrant")).await.unwrap();
        finished.store(true, Ordering::SeqCst);
    };
    tokio::join!(forget, other_calls);
    assert!(calls.load(Ordering::SeqCst) >= OBJECTS / ROWS_PER_STEP, "{calls:?}");
    assert_eq!(ledger.read_in_steps(count_in_store(collection(), "qdrant")).await.unwrap(), 0);
    assert_eq!(ledger.read_in_steps(count_in_store(collection(), "embedded")).await.unwrap(), u64::from(OBJECTS));
    let one = rows(&ledger).await.remove(0);
    assert_eq!(one.stores, StoreSet::parse("embedded"));
    ledger.in_steps(forget_store(collection(), "embedded")).await.unwrap();
    assert_eq!(count(&ledger).await, 0, "an object that is in no store is forgotten");
}

#[tokio::test]
async fn objects_that_a_store_lost_are_forgotten_part_by_part() {
    let (_folder, ledger) = ledger_with(OBJECTS, &["embedded"]).await;
    let kept: HashSet<ImageId> = (0..OBJECTS).step_by(2).map(|n| known(n, &[]).uri.id()).collect();
    let mut forgotten = 0;
    for number in 0..3 {
        let part = Part { number, of: 3 };
        let ids = kept.iter().copied().filter(|id| part.contains(*id)).collect();
        forgotten += ledger.in_steps(forget_all_except(collection(), "embedded", part, ids)).await.unwrap();
    }
    assert_eq!(forgotten, u64::from(OBJECTS / 2));
    let left = rows(&ledger).await;
    assert!(left.len() == kept.len() && left.iter().all(|known| kept.contains(&known.uri.id())));
    let (lost, rest): (Vec<_>, Vec<_>) = kept.into_iter().enumerate().partition(|(at, _)| at % 3 == 0);
    let lost: HashSet<_> = lost.into_iter().map(|(_, id)| id).collect();
    let lost_objects = lost.len() as u64;
    assert_eq!(ledger.in_steps(forget_ids(collection(), "embedded", lost)).await.unwrap(), lost_objects);
    assert_eq!(count(&ledger).await, u32::try_from(rest.len()).unwrap());
}
