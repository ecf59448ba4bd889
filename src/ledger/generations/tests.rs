use super::*;
use crate::domain::{ImageUri, StoreSet};
use crate::ledger::{Ledger, ObjectRow, objects, tombstones};

fn name(text: &str) -> CollectionName {
    CollectionName::parse(text).unwrap()
}

fn uri(key: &str) -> ImageUri {
    ImageUri::new("b", key)
}

fn row(key: &str, etag: &str) -> ObjectRow {
    let stores = StoreSet::parse("embedded");
    ObjectRow { uri: uri(key), etag: etag.to_owned(), size_bytes: 1, space: "s".to_owned(), stores }
}

async fn put(ledger: &Ledger, collection: &str, key: &str, etag: &str) {
    let (collection, row) = (name(collection), row(key, etag));
    ledger.write(move |tx| objects::put_all(tx, &collection, vec![row])).await.unwrap();
}

async fn due(ledger: &Ledger, physical: &str) -> Vec<String> {
    let physical = name(physical);
    let keys = ledger.read(move |db| due::take(db, &physical, i64::MAX, 100)).await.unwrap();
    keys.into_iter().map(|key| format!("{} from {}", key.uri.key(), key.source)).collect()
}

async fn states(ledger: &Ledger) -> Vec<(u32, &'static str)> {
    let all = ledger.read(|db| list(db, &name("c"))).await.unwrap();
    all.into_iter().map(|one| (one.number, one.state.as_str())).collect()
}

async fn ledger_with_two_generations() -> (tempfile::TempDir, Ledger) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    put(&ledger, "c", "old", "1").await;
    ledger.write(|tx| begin(tx, &name("c"), 2, &name("c-g2"), JobId::fresh())).await.unwrap();
    (folder, ledger)
}

#[tokio::test]
async fn every_change_of_the_current_generation_is_due_in_the_others() {
    let (_folder, ledger) = ledger_with_two_generations().await;
    assert!(due(&ledger, "c-g2").await.is_empty());
    put(&ledger, "c", "new", "1").await;
    put(&ledger, "c", "old", "2").await;
    assert_eq!(due(&ledger, "c-g2").await, ["new from c", "old from c"]);
    // What a rebuild writes is not a change of the collection.
    put(&ledger, "c-g2", "old", "2").await;
    assert_eq!(due(&ledger, "c").await, Vec::<String>::new());
    let keys = ledger.read(|db| due::take(db, &name("c-g2"), i64::MAX, 100)).await.unwrap();
    // The object changes while the key is worked on.
    put(&ledger, "c", "new", "2").await;
    ledger.write(move |tx| keys.iter().try_for_each(|key| due::done(tx, &name("c-g2"), key))).await.unwrap();
    assert_eq!(due(&ledger, "c-g2").await, ["new from c"]);
    ledger.write(|tx| objects::forget(tx, &name("c"), &uri("old"))).await.unwrap();
    assert_eq!(due(&ledger, "c-g2").await, ["new from c", "old from c"]);
    // The same version again, only with other stores.
    ledger.write(|tx| tx.execute("DELETE FROM due", ())).await.unwrap();
    put(&ledger, "c", "new", "2").await;
    assert!(due(&ledger, "c-g2").await.is_empty());
    put(&ledger, "other", "new", "2").await;
    assert!(due(&ledger, "c-g2").await.is_empty());
}

#[tokio::test]
async fn a_switch_moves_the_pointer_and_a_rollback_moves_it_back() {
    let (_folder, ledger) = ledger_with_two_generations().await;
    let (collection, now) = (name("c"), Timestamp::now());
    let switch = |number, force| {
        let collection = collection.clone();
        ledger.write(move |tx| switch(tx, &collection, number, (now, now), force))
    };
    assert!(!switch(2, false).await.unwrap(), "it is not complete");
    ledger.write(|tx| set_ready(tx, &name("c-g2"))).await.unwrap();
    assert!(switch(2, false).await.unwrap());
    assert_eq!(states(&ledger).await, [(1, "previous"), (2, "current")]);
    put(&ledger, "c-g2", "new", "1").await;
    assert_eq!(due(&ledger, "c").await, ["new from c-g2"]);
    let expired = ledger.read(move |db| expired(db, now)).await.unwrap();
    assert_eq!(expired.len(), 1);
    assert_eq!(ledger.write(|tx| roll_back(tx, &name("c"))).await.unwrap(), Some(1));
    assert_eq!(states(&ledger).await, [(1, "current"), (2, "ready")]);
    assert_eq!(ledger.write(|tx| roll_back(tx, &name("c"))).await.unwrap(), None);
    assert!(switch(2, false).await.unwrap());
    ledger.write(|tx| begin(tx, &name("c"), 3, &name("c-g3"), JobId::fresh())).await.unwrap();
    assert!(switch(3, true).await.unwrap(), "forced");
    assert_eq!(states(&ledger).await, [(1, "dropping"), (2, "previous"), (3, "current")]);
    assert!(
        !ledger.write(|tx| begin_drop(tx, &name("c-g3"), Timestamp::now())).await.unwrap(),
        "it is the current one"
    );
    ledger.write(|tx| end_drop(tx, &name("c"))).await.unwrap();
    assert_eq!(states(&ledger).await, [(2, "previous"), (3, "current")]);
}

/// After a forced switch, the current generation itself has outdated images.
#[tokio::test]
async fn a_write_or_a_removal_ends_that_a_key_is_due_in_the_current_generation() {
    let (_folder, ledger) = ledger_with_two_generations().await;
    put(&ledger, "c-g2", "old", "1").await;
    for key in ["old", "new", "other"] {
        put(&ledger, "c", key, "2").await;
    }
    let now = Timestamp::now();
    assert!(ledger.write(move |tx| switch(tx, &name("c"), 2, (now, now), true)).await.unwrap());
    assert_eq!(due(&ledger, "c-g2").await, ["new from c", "old from c", "other from c"]);
    let waiting = ledger.read(|db| due::waiting_generations(db, 0)).await.unwrap();
    assert_eq!(waiting, [name("c-g2")]);
    // The version that it had already.
    put(&ledger, "c-g2", "old", "1").await;
    ledger.write(|tx| objects::forget(tx, &name("c-g2"), &uri("other"))).await.unwrap();
    assert_eq!(due(&ledger, "c-g2").await, ["new from c"]);
    assert_eq!(due(&ledger, "c").await, ["old from c-g2", "other from c-g2"]);
}

#[tokio::test]
async fn a_key_knows_whether_its_object_was_removed() {
    let (_folder, ledger) = ledger_with_two_generations().await;
    let removed = async || {
        let keys = ledger.read(|db| due::take(db, &name("c-g2"), i64::MAX, 100)).await.unwrap();
        keys.into_iter().map(|key| key.is_removed).collect::<Vec<_>>()
    };
    put(&ledger, "c", "old", "2").await;
    assert_eq!(removed().await, [false]);
    ledger.write(|tx| objects::forget(tx, &name("c"), &uri("old"))).await.unwrap();
    assert_eq!(removed().await, [true]);
    put(&ledger, "c", "old", "3").await;
    assert_eq!(removed().await, [false]);
}

#[tokio::test]
async fn a_collection_with_only_its_first_generation_has_no_rows() {
    let (_folder, ledger) = ledger_with_two_generations().await;
    assert!(ledger.write(|tx| begin_drop(tx, &name("c-g2"), Timestamp::now())).await.unwrap());
    assert_eq!(states(&ledger).await, [(1, "current"), (2, "dropping")]);
    ledger.write(|tx| end_drop(tx, &name("c-g2"))).await.unwrap();
    assert!(states(&ledger).await.is_empty());
}

#[tokio::test]
async fn an_image_that_was_removed_permanently_stays_away_from_every_generation() {
    let (_folder, ledger) = ledger_with_two_generations().await;
    assert!(ledger.write(|tx| tombstones::put(tx, &name("c"), &uri("old"))).await.unwrap());
    put(&ledger, "c-g2", "old", "1").await;
    let found = ledger.read(|db| objects::page(db, &name("c-g2"), None, 10)).await.unwrap();
    assert!(found.is_empty());
    assert!(ledger.read(|db| tombstones::exists(db, &name("c-g2"), &uri("old"))).await.unwrap());
}

#[tokio::test]
async fn the_coverage_counts_and_names_what_is_missing() {
    let (_folder, ledger) = ledger_with_two_generations().await;
    put(&ledger, "c", "a", "1").await;
    put(&ledger, "c-g2", "old", "1").await;
    put(&ledger, "c-g2", "vanished", "1").await;
    let coverage = ledger.read_in_steps(due::coverage(name("c"), name("c-g2"), 10)).await.unwrap();
    assert_eq!(coverage, due::Coverage { total: 2, covered: 1, missing: vec![uri("a")] });
}
